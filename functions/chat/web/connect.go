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
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// The states of the Okta connection, as the page has them.
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

// okta returns whether the person's Okta account is connected. The only sure way to know is to get their token. The token is kept
// in the session, so the first question does not fetch it again.
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
	if wrong, ok := errors.AsType[*tokenvault.WrongAccount](err); ok { // connected by a version that did not compare the accounts
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

// refuseAccount removes an account of another person from the login's sessions and records that.
func (a *App) refuseAccount(ctx context.Context, l session.Login, wrong *tokenvault.WrongAccount, operation string, o outcome) {
	o.Object = oktaUser(string(wrong.Account.ID), wrong.Account.Login)
	if err := errors.Join(a.forgetOkta(ctx, l), a.record(ctx, l, operation, o)); err != nil {
		fault.Answer(ctx, a.Log, err)
	}
}

// forgetOkta removes the Okta account (token, expiry, id and login) from all sessions of the login.
func (a *App) forgetOkta(ctx context.Context, l session.Login) error {
	jobs := make([]func() error, len(l.Sessions))
	for i, id := range l.Sessions {
		jobs[i] = func() error { return a.Sessions.ForgetOkta(ctx, id) }
	}
	return runAll(jobs)
}

func oktaUser(id, login string) audit.Ref {
	if id == "" {
		return audit.Ref{}
	}
	return audit.Ref{Type: string(catalogue.TargetUser), ID: id, Label: shownName(login)}
}

// myAccountToken returns a token for connecting an account to the person's own account at Auth0.
func (a *App) myAccountToken(r *http.Request, l session.Login) (secret.String, error) {
	_, refresh, err := a.refreshToken(r.Context(), l)
	if err != nil {
		return secret.String{}, err
	}
	return a.Auth.MyAccountToken(r.Context(), refresh, auth0.CreateConnectedAccounts)
}

// connect sends the browser to the Connected Accounts flow.
func (a *App) connect(w http.ResponseWriter, r *http.Request, l session.Login) error {
	if err := a.count(r.Context(), l.Owner.Subject, connections); err != nil {
		return err
	}
	to, err := a.startConnect(w, r, l)
	if err != nil {
		return auth0.Fault(err)
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // Auth0's page
	return nil
}

func (a *App) startConnect(w http.ResponseWriter, r *http.Request, l session.Login) (string, error) {
	me, err := a.myAccountToken(r, l)
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

// connectCallback completes the flow when the browser comes back from Auth0.
func (a *App) connectCallback(w http.ResponseWriter, r *http.Request, l session.Login) error {
	f, err := a.takeFlow(w, r, purposeConnect, string(l.Key))
	if err == nil {
		err = refusal(r, "Okta is not connected: you cancelled, or Okta refused. You can try again at any time.")
	}
	if err == nil {
		err = a.finishConnect(r, l, f)
	}
	if wrong, ok := errors.AsType[*tokenvault.WrongAccount](err); ok {
		answer := a.logError(r.Context(), err)
		a.render(w, http.StatusConflict, "wrong-account", wrongAccountPage{
			Title: "Not your Okta account", Account: shownName(wrong.Account.Login), Needed: wrong.Needed, Kept: !wrong.Disconnected, Ref: answer.Ref,
		})
		return nil
	}
	if err != nil {
		return auth0.Fault(err)
	}
	redirectHome(w, r, "#connected")
	return nil
}

func (a *App) finishConnect(r *http.Request, l session.Login, f flow) error {
	code := secret.New(r.URL.Query().Get("connect_code"))
	if code.IsZero() || f.AuthSession == "" {
		return fault.New(fault.Unauthenticated, "Auth0 sent no code. Please choose “Connect Okta” again.", errors.New("no connect_code"))
	}
	me, err := a.myAccountToken(r, l)
	if err != nil {
		return err
	}
	if err := a.Auth.CompleteConnect(r.Context(), me, secret.New(f.AuthSession), code, siteOf(r).url("/connect/callback"), secret.New(f.Verifier)); err != nil {
		return err
	}
	return a.verifyAccount(r.Context(), l)
}

// verifyAccount compares the account that was just connected with the person who signed in. It first removes what the sessions
// knew of an earlier account.
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
		"You connected an Okta account, but I could not find out whose it is. I will check that before I use it. Please open the page again in a minute.", err))
	if recorded := a.record(ctx, l, audit.ConnectOkta, outcome{Result: audit.Unknown, Reference: ref}); recorded != nil {
		fault.Answer(ctx, a.Log, recorded)
	}
	return err
}

// disconnect removes the Okta account from Token Vault and from the login's sessions.
func (a *App) disconnect(w http.ResponseWriter, r *http.Request, l session.Login) error {
	err := a.count(r.Context(), l.Owner.Subject, connections)
	if err == nil {
		err = a.disconnectOkta(r.Context(), l)
	}
	if err != nil {
		return err
	}
	redirectHome(w, r, "#disconnected")
	return nil
}

func (a *App) disconnectOkta(ctx context.Context, l session.Login) error {
	s, err := a.Sessions.Session(ctx, l.Current)
	if err != nil {
		return err
	}
	if err := a.Vault.Disconnect(ctx, s); err != nil {
		return fault.New(fault.Upstream, "I could not disconnect your Okta account. Please try again in a minute.", err)
	}
	if err := a.forgetOkta(ctx, l); err != nil {
		return fault.New(fault.Upstream, "Your Okta account is disconnected, but I could not delete a copy of its token. The token expires within an hour. Please try again.", err)
	}
	if err := a.record(ctx, l, audit.DisconnectOkta, outcome{Result: audit.OK, Object: oktaUser(s.OktaUserID, s.OktaLogin)}); err != nil {
		return fault.New(fault.Upstream, "Your Okta account is disconnected, but I could not write that to your activity.", err)
	}
	return nil
}

// accountInfo answers GET /api/account.
type accountInfo struct {
	Okta  string     `json:"okta"`
	Login string     `json:"login,omitempty"`
	Since *time.Time `json:"since,omitempty"` // when it was connected, if Auth0 says so
}

// account answers whose Okta account is connected, and since when. The page asks when the account menu opens.
func (a *App) account(w http.ResponseWriter, r *http.Request, l session.Login) error {
	ctx := r.Context()
	s, err := a.Sessions.Session(ctx, l.Current)
	if err != nil {
		return err
	}
	var info accountInfo
	err = parallel.Do(
		func() error {
			okta := a.okta(ctx, l)
			info.Okta, info.Login = okta.State, okta.Login
			return nil
		},
		func() error {
			connected, found, err := a.Vault.Account(ctx, s)
			if err != nil {
				fault.Answer(ctx, a.Log, err) // the answer then lacks the time
			}
			if found && !connected.CreatedAt.IsZero() {
				info.Since = &connected.CreatedAt
			}
			return nil
		},
	)
	if err != nil {
		return err
	}
	if info.Okta != oktaConnected {
		info.Since = nil
	}
	writeJSON(w, http.StatusOK, info)
	return nil
}
