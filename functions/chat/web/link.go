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

// A session of the Bedrock console's test window has no signed-in person. With console linking on (not for production), a
// function answers there with the address of the page /link and a code. A signed-in person who types the code on that page links
// the session to their login. It ends with the login.

// linkPage is the form for the code.
type linkPage struct {
	Title   string
	Account string
	Session string
	Say     string // what is wrong with the code that was sent, "" at first
}

const linkTitle = "Link a console session"

// linkForm shows the form.
func (a *App) linkForm(w http.ResponseWriter, r *http.Request, l session.Login) error {
	id := r.URL.Query().Get("session")
	if !isConsoleSession(id) {
		return fault.New(fault.Invalid, "This link is incomplete. Please copy it again from the test window.", nil)
	}
	a.render(w, http.StatusOK, "link", linkPage{Title: linkTitle, Account: accountOf(l.Owner), Session: id})
	return nil
}

// link checks the code and links the session.
func (a *App) link(w http.ResponseWriter, r *http.Request, l session.Login) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxMessage)
	id := session.ID(r.PostFormValue("session"))
	err := a.count(r.Context(), l.Owner.Subject, linkTries)
	if err == nil {
		err = a.linkSession(r.Context(), l, id, r.PostFormValue("code"))
	}
	if fault.KindOf(err) == fault.Rejected {
		answer := a.logError(r.Context(), err)
		a.render(w, http.StatusUnprocessableEntity, "link", linkPage{Title: linkTitle, Account: accountOf(l.Owner), Session: string(id), Say: answer.Message})
		return nil
	}
	if err != nil {
		return err
	}
	a.render(w, http.StatusOK, "message", messagePage{Title: "Linked", Say: "The test window now acts for " + accountOf(l.Owner) + " until you sign out here. Ask your question there again."})
	return nil
}

// linkSession stores the console's session as one of this login.
func (a *App) linkSession(ctx context.Context, l session.Login, id session.ID, code string) error {
	sealer, err := a.Sealer(ctx)
	if err != nil {
		return err
	}
	if !session.LinkCodeFits(sealer, id, strings.TrimSpace(code), a.Now()) {
		return fault.New(fault.Rejected, "The test window shows another code. Please ask there again and type the new code.", errors.New("link code does not fit"))
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
		return fault.New(fault.Conflict, "Somebody else has linked this session. Please start a new one in the test window.", nil)
	case err == nil:
		err = a.Sessions.DeleteSession(ctx, id)
	case fault.KindOf(err) == fault.Unauthenticated:
		err = nil
	}
	if err != nil {
		return err
	}
	if err := a.Sessions.AddSession(ctx, l.Key, id); err != nil { // first, so that the session ends with the login in any case
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

// isConsoleSession reports whether id has the form of a session id of Bedrock.
func isConsoleSession(id string) bool {
	return len(id) >= 2 && len(id) <= 100 && consistsOf(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:")
}
