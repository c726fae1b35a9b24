package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// The Bedrock console's test window has sessions that no person stands behind. Where it is switched on, and it is not
// meant for production, a function names the page /link there and shows a code; whoever types it here while signed in
// binds that one session to themselves. It ends with the login.

// linkPage asks for the code.
type linkPage struct {
	Title   string
	Who     string
	Session string
	Say     string // what was wrong with the last code
}

const linkTitle = "Link a console session"

// link shows the page.
func (a *App) link(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if a.home(w, r, err) {
		return
	}
	id := r.URL.Query().Get("session")
	if err == nil && !consoleLike(id) {
		err = fault.New(fault.Invalid, "This link is not whole. Please copy it again from the test window.", nil)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.render(w, http.StatusOK, "link", linkPage{Title: linkTitle, Who: accountOf(l.Owner), Session: id})
}

// linked takes the code.
func (a *App) linked(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if a.home(w, r, err) {
		return
	}
	if err == nil {
		err = a.count(r.Context(), l.Owner.Subject, linkTries)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxMessage)
	id := session.ID(r.PostFormValue("session"))
	if err == nil {
		err = a.bind(r.Context(), l, id, r.PostFormValue("code"))
	}
	if fault.KindOf(err) == fault.Rejected {
		said := a.spoken(r.Context(), err)
		a.render(w, http.StatusUnprocessableEntity, "link", linkPage{Title: linkTitle, Who: accountOf(l.Owner), Session: string(id), Say: said.Message})
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.render(w, http.StatusOK, "message", messagePage{Title: "Linked", Say: "The test window now acts for " + accountOf(l.Owner) + " until you sign out here. Ask your question there again."})
}

// bind stores the console's session as one of this login.
func (a *App) bind(ctx context.Context, l session.Login, id session.ID, code string) error {
	sealer, err := a.Sealer(ctx)
	if err != nil {
		return err
	}
	if !session.LinkCodeFits(sealer, id, strings.TrimSpace(code), a.Now()) {
		return fault.New(fault.Rejected, "This is not the code the test window shows now. Please ask there again and type the new one.", errors.New("link code does not fit"))
	}
	_, refresh, err := a.refreshToken(ctx, l)
	if err != nil {
		return err
	}
	old, err := a.Sessions.Session(ctx, id)
	switch {
	case err == nil && old.Live(a.Now()) && old.Owner.Subject == l.Owner.Subject:
		return nil // linked already
	case err == nil && old.Live(a.Now()):
		return fault.New(fault.Conflict, "Somebody else has linked this test window. Please start a new session there.", nil)
	case err == nil:
		err = a.Sessions.DeleteSession(ctx, id)
	case fault.KindOf(err) == fault.Unauthenticated:
		err = nil
	}
	if err != nil {
		return err
	}
	if err := a.Sessions.AddSession(ctx, l.Key, id); err != nil { // first, so that nothing outlives the login
		return err
	}
	l.Current = id
	if err := a.openSession(ctx, l, session.FrontConsole, refresh); err != nil {
		return err
	}
	if err := a.record(ctx, l, audit.LinkConsole, succeeded); err != nil {
		return errors.Join(err, a.Sessions.DeleteSession(ctx, id))
	}
	return nil
}

// consoleLike says whether Bedrock can have made the id.
func consoleLike(id string) bool {
	return len(id) >= 2 && len(id) <= 100 && madeOf(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:")
}
