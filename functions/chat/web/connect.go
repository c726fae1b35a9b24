package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// What the page says of the Okta connection.
const (
	oktaConnected = "connected"
	oktaMissing   = "missing"
	oktaUnknown   = "unknown" // could not be asked
)

// okta finds out whether the person's Okta account is connected, the only sure way: by getting their token. It is kept
// in the session, so the first question finds it there.
func (a *App) okta(ctx context.Context, l session.Login) string {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	s, err := a.Sessions.Session(ctx, l.Current)
	if err == nil {
		_, err = a.Vault.Token(ctx, &s)
	}
	switch {
	case err == nil:
		return oktaConnected
	case fault.KindOf(err) == fault.Conflict:
		return oktaMissing
	}
	fault.Answer(ctx, a.Log, err)
	return oktaUnknown
}

// me is a token for the person's own account at Auth0, and the login it is for.
func (a *App) me(r *http.Request, l session.Login) (secret.String, error) {
	_, refresh, err := a.refreshToken(r.Context(), l)
	if err != nil {
		return secret.String{}, err
	}
	return a.Auth.MyAccountToken(r.Context(), refresh, auth0.CreateConnectedAccounts)
}

// connect sends the browser to the Connected Accounts flow.
func (a *App) connect(w http.ResponseWriter, r *http.Request) {
	if a.startedElsewhere(w, r) {
		return
	}
	l, err := a.who(r)
	if a.home(w, r, err) {
		return
	}
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	to, err := a.startConnect(w, r, l)
	if err != nil {
		a.fail(w, r, auth0.Fault(err))
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // Auth0's page
}

func (a *App) startConnect(w http.ResponseWriter, r *http.Request, l session.Login) (string, error) {
	me, err := a.me(r, l)
	if err != nil {
		return "", err
	}
	f := a.newFlow()
	ticket, err := a.Auth.StartConnect(r.Context(), me, auth0.ConnectRequest{
		Connection:  a.Connection,
		RedirectURI: siteOf(r).url("/connect/callback"),
		State:       secret.New(f.State),
		Verifier:    secret.New(f.Verifier),
	})
	if err != nil {
		return "", err
	}
	f.AuthSession = ticket.AuthSession.Reveal()
	return ticket.URL, a.keepFlow(w, r, f, purposeConnect, string(l.Key))
}

// connected completes it.
func (a *App) connected(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if a.home(w, r, err) {
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	f, err := a.takeFlow(w, r, purposeConnect, string(l.Key))
	if err == nil {
		err = refusal(r, "Okta was not connected: the request was cancelled or refused. You can try again at any time.")
	}
	if err == nil {
		err = a.finishConnect(r, l, f)
	}
	if err != nil {
		a.fail(w, r, auth0.Fault(err))
		return
	}
	http.Redirect(w, r, siteOf(r).url("/")+"#connected", http.StatusSeeOther) //nolint:gosec // our own page
}

func (a *App) finishConnect(r *http.Request, l session.Login, f flow) error {
	code := secret.New(r.URL.Query().Get("connect_code"))
	if code.IsZero() || f.AuthSession == "" {
		return fault.New(fault.Unauthenticated, "Auth0 sent nothing to complete. Please choose Connect Okta again.", errors.New("no connect_code"))
	}
	me, err := a.me(r, l)
	if err != nil {
		return err
	}
	if err := a.Auth.CompleteConnect(r.Context(), me, secret.New(f.AuthSession), code, siteOf(r).url("/connect/callback"), secret.New(f.Verifier)); err != nil {
		return err
	}
	return a.record(r.Context(), l, "connect_okta")
}

// home redirects whoever is not signed in to the page that says so.
func (a *App) home(w http.ResponseWriter, r *http.Request, err error) bool {
	if fault.KindOf(err) != fault.Unauthenticated {
		return false
	}
	http.Redirect(w, r, siteOf(r).url("/"), http.StatusSeeOther) //nolint:gosec // our own page
	return true
}
