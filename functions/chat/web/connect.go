package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// What the page says of the Okta connection.
const (
	oktaConnected = "connected"
	oktaMissing   = "missing"
	oktaUnknown   = "unknown" // could not be asked
)

// oktaAccount is what is known of the person's Okta account.
type oktaAccount struct {
	State string
	Login string // of the account, by Okta's answer; "" unless it is connected
}

// okta finds out whether the person's Okta account is connected, the only sure way: by getting their token. It is kept
// in the session, so the first question finds it there.
func (a *App) okta(ctx context.Context, l session.Login) oktaAccount {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	s, err := a.Sessions.Session(ctx, l.Current)
	if err == nil {
		_, err = a.Vault.Token(ctx, &s)
	}
	if err == nil {
		return oktaAccount{State: oktaConnected, Login: s.OktaLogin}
	}
	if wrong, ok := errors.AsType[*tokenvault.WrongAccount](err); ok { // connected long ago, by a version that did not compare
		o := outcome{Result: audit.OK}
		if !wrong.Disconnected {
			o.Result = audit.Failed
		}
		a.refuseAccount(ctx, l, wrong, audit.DisconnectOkta, o)
	}
	fault.Answer(ctx, a.Log, err)
	if fault.KindOf(err) == fault.Conflict {
		return oktaAccount{State: oktaMissing}
	}
	return oktaAccount{State: oktaUnknown}
}

// refuseAccount forgets and records an account that the vault has found to be another person's.
func (a *App) refuseAccount(ctx context.Context, l session.Login, wrong *tokenvault.WrongAccount, operation string, o outcome) {
	o.Object = oktaUser(string(wrong.Account.ID), wrong.Account.Login)
	if err := errors.Join(a.forgetOkta(ctx, l), a.record(ctx, l, operation, o)); err != nil {
		fault.Answer(ctx, a.Log, err)
	}
}

// forgetOkta makes all sessions of the login forget the Okta account: token, expiry, id and login.
func (a *App) forgetOkta(ctx context.Context, l session.Login) error {
	jobs := make([]func() error, len(l.Sessions))
	for i, id := range l.Sessions {
		jobs[i] = func() error { return a.Sessions.ForgetOkta(ctx, id) }
	}
	return together(jobs)
}

func oktaUser(id, login string) audit.Ref {
	if id == "" {
		return audit.Ref{}
	}
	return audit.Ref{Type: string(catalogue.TargetUser), ID: id, Label: shownName(login)}
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
		err = a.count(r.Context(), l.Owner.Subject, connections)
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
	if wrong, ok := errors.AsType[*tokenvault.WrongAccount](err); ok {
		said := a.spoken(r.Context(), err)
		a.render(w, http.StatusConflict, "wrong-account", wrongAccountPage{Title: "Not your Okta account", Account: shownName(wrong.Account.Login), Needed: wrong.Needed, Kept: !wrong.Disconnected, Ref: said.Ref})
		return
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
	return a.verifyAccount(r.Context(), l)
}

// verifyAccount compares an account that was just connected with who signed in. Nothing that a session knew of an account before
// is used any more.
func (a *App) verifyAccount(ctx context.Context, l session.Login) error {
	if err := a.forgetOkta(ctx, l); err != nil {
		return err
	}
	s, err := a.Sessions.Session(ctx, l.Current)
	if err != nil {
		return err
	}
	_, err = a.Vault.Renew(ctx, &s)
	if err == nil {
		return a.record(ctx, l, audit.ConnectOkta, outcome{Result: audit.OK, Object: oktaUser(s.OktaUserID, s.OktaLogin)})
	}
	if wrong, ok := errors.AsType[*tokenvault.WrongAccount](err); ok {
		a.refuseAccount(ctx, l, wrong, audit.ConnectOkta, outcome{Result: audit.Result(fault.Conflict)})
		return err
	}
	ref, err := fault.Refer(fault.New(fault.Upstream,
		"An Okta account was connected, but whose it is could not be found out now. Steward will look before it uses the account. Please open the page again in a minute.", err))
	if recorded := a.record(ctx, l, audit.ConnectOkta, outcome{Result: audit.Unknown, Reference: ref}); recorded != nil {
		fault.Answer(ctx, a.Log, recorded)
	}
	return err
}

// disconnect takes the Okta account out of Token Vault, and out of the login's sessions.
func (a *App) disconnect(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if a.home(w, r, err) {
		return
	}
	if err == nil {
		err = a.count(r.Context(), l.Owner.Subject, connections)
	}
	if err == nil {
		err = a.takeAway(r.Context(), l)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	http.Redirect(w, r, siteOf(r).url("/")+"#disconnected", http.StatusSeeOther) //nolint:gosec // our own page
}

func (a *App) takeAway(ctx context.Context, l session.Login) error {
	s, err := a.Sessions.Session(ctx, l.Current)
	if err != nil {
		return err
	}
	if err := a.Vault.Disconnect(ctx, s); err != nil {
		return fault.New(fault.Upstream, "Your Okta account could not be disconnected now. Please try again in a minute.", err)
	}
	if err := a.forgetOkta(ctx, l); err != nil {
		return fault.New(fault.Upstream, "Your Okta account is disconnected, but a copy of its token could not be deleted. It ends by itself within an hour. Please try again.", err)
	}
	if err := a.record(ctx, l, audit.DisconnectOkta, outcome{Result: audit.OK, Object: oktaUser(s.OktaUserID, s.OktaLogin)}); err != nil {
		return fault.New(fault.Upstream, "Your Okta account is disconnected, but your activity does not show it: the record could not be written.", err)
	}
	return nil
}

// accountInfo answers GET /api/account.
type accountInfo struct {
	Okta  string     `json:"okta"`
	Login string     `json:"login,omitempty"`
	Since *time.Time `json:"since,omitempty"` // when it was connected, if Auth0 says so
}

// account tells whose Okta account is connected, and since when. The page asks for it when the account menu opens.
func (a *App) account(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	var s session.Session
	if err == nil {
		s, err = a.Sessions.Session(r.Context(), l.Current)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx := r.Context()
	var connected auth0.ConnectedAccount
	there, found := false, error(nil)
	var now oktaAccount
	err = together([]func() error{
		func() error { now = a.okta(ctx, l); return nil },
		func() error { connected, there, found = a.Vault.Account(ctx, s); return nil },
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if found != nil {
		fault.Answer(r.Context(), a.Log, found) // it is connected all the same; since when is not known
	}
	info := accountInfo{Okta: now.State, Login: now.Login}
	if there && now.State == oktaConnected && !connected.CreatedAt.IsZero() {
		info.Since = &connected.CreatedAt
	}
	writeJSON(w, http.StatusOK, info)
}

// home redirects whoever is not signed in to the page that says so.
func (a *App) home(w http.ResponseWriter, r *http.Request, err error) bool {
	if fault.KindOf(err) != fault.Unauthenticated {
		return false
	}
	http.Redirect(w, r, siteOf(r).url("/"), http.StatusSeeOther) //nolint:gosec // our own page
	return true
}
