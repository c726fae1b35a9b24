package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

const (
	loginLifetime = 8 * time.Hour
	flowLifetime  = 10 * time.Minute
	logoutTimeout = 8 * time.Second // for all calls of a sign-out
	maxSessions   = 100             // conversations of one login
)

// isCookie reports whether value has the form that session.NewCookie gives it.
func isCookie(value string) bool {
	return len(value) == 52 && consistsOf(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

// currentLogin returns the live login of the request's cookie. Without one the error is a fault.Unauthenticated.
func (a *App) currentLogin(r *http.Request) (session.Login, error) {
	c, err := r.Cookie(siteOf(r).login)
	if err != nil || !isCookie(c.Value) {
		return session.Login{}, session.NotSignedIn(nil)
	}
	l, err := a.Sessions.Login(r.Context(), session.KeyOf(secret.New(c.Value)))
	if err != nil {
		return session.Login{}, err
	}
	if !l.Live(a.Now()) {
		return session.Login{}, session.NotSignedIn(errors.New("login has expired"))
	}
	return l, nil
}

func (s *site) cookie(name, value string, lifetime time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure, except for plain HTTP on this computer
		Name:     name,
		Value:    value,
		Path:     "/",
		HttpOnly: true,
		Secure:   s.secure,
		SameSite: http.SameSiteLaxMode,
		MaxAge:   int(lifetime / time.Second),
	}
	if lifetime <= 0 {
		c.MaxAge = -1
	}
	return c
}

// flow is the state of a visit to Auth0. It is kept in a sealed cookie, not on the server.
type flow struct {
	State       string    `json:"s"`
	Nonce       string    `json:"n,omitempty"`
	Verifier    string    `json:"v"`
	AuthSession string    `json:"a,omitempty"` // connecting an account only
	Ends        time.Time `json:"e"`
}

// The purposes that a flow is sealed for. A flow to connect an account is bound to its login as well.
const purposeLogin, purposeConnect = "login", "connect"

func (a *App) newFlow() flow {
	return flow{State: rand.Text() + rand.Text(), Verifier: auth0.NewVerifier().Reveal(), Ends: a.Now().Add(flowLifetime)}
}

// keepFlow sets the flow cookie, sealed for purpose.
func (a *App) keepFlow(w http.ResponseWriter, r *http.Request, f flow, purpose ...string) error {
	sealer, err := a.Sealer(r.Context())
	if err != nil {
		return err
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode flow: %w", err)
	}
	sealed, err := sealer.Seal(secret.New(string(plain)), append([]string{"chat flow"}, purpose...)...)
	if err != nil {
		return err
	}
	s := siteOf(r)
	http.SetCookie(w, s.cookie(s.flow, base64.RawURLEncoding.EncodeToString(sealed), flowLifetime))
	return nil
}

var errFlow = fault.New(fault.Unauthenticated, "You started this in another browser or too long ago. Please start again.", errors.New("no matching flow for the callback"))

// takeFlow opens the flow cookie, compares the state in constant time and marks the flow as used, in the browser and in the
// table, so that a repeated callback makes no second call to Auth0. A callback that does not match changes nothing; its error is
// errFlow.
func (a *App) takeFlow(w http.ResponseWriter, r *http.Request, purpose ...string) (flow, error) {
	s := siteOf(r)
	c, err := r.Cookie(s.flow)
	if err != nil {
		return flow{}, errFlow
	}
	sealer, err := a.Sealer(r.Context())
	if err != nil {
		return flow{}, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return flow{}, errFlow
	}
	plain, err := sealer.Open(sealed, append([]string{"chat flow"}, purpose...)...)
	if err != nil {
		return flow{}, errFlow
	}
	var f flow
	if err := json.Unmarshal([]byte(plain.Reveal()), &f); err != nil {
		return flow{}, errFlow
	}
	if !a.Now().Before(f.Ends) || !secret.New(f.State).Equal(secret.New(r.URL.Query().Get("state"))) {
		return flow{}, errFlow
	}
	http.SetCookie(w, s.cookie(s.flow, "", 0))
	err = a.Sessions.UseFlow(r.Context(), f.name(), f.Ends)
	if fault.KindOf(err) == fault.Conflict {
		return flow{}, errFlow
	}
	return f, err
}

// name is the key of the flow in the table.
func (f flow) name() string {
	sum := sha256.Sum256([]byte("flow " + f.State))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// consistsOf reports whether value has only characters of alphabet.
func consistsOf(value, alphabet string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return !strings.ContainsRune(alphabet, c) })
}

// login sends the browser to Auth0.
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	if c := r.URL.Query().Get("connection"); c != "" && c != a.Connection {
		a.fail(w, r, fault.New(fault.Invalid, "You can sign in through Steward's own Okta connection only. Please sign in from Steward's page.", nil))
		return
	}
	f := a.newFlow()
	f.Nonce = rand.Text()
	to, err := a.Auth.AuthCodeURL(r.Context(), auth0.AuthRequest{
		RedirectURI: siteOf(r).url("/callback"),
		State:       secret.New(f.State),
		Nonce:       secret.New(f.Nonce),
		Verifier:    secret.New(f.Verifier),
		Connection:  a.Connection,
	})
	if err == nil {
		err = a.keepFlow(w, r, f, purposeLogin)
	}
	if err != nil {
		a.fail(w, r, auth0.Fault(err))
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// callback turns the answer of Auth0 into a login. Every error is answered with a page, never with another redirect.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	cookie, err := a.redeem(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	s := siteOf(r)
	http.SetCookie(w, s.cookie(s.login, cookie.Reveal(), loginLifetime))
	redirectHome(w, r, "")
}

// redeem checks the callback and signs in. It returns the cookie of the new login.
func (a *App) redeem(w http.ResponseWriter, r *http.Request) (secret.String, error) {
	f, err := a.takeFlow(w, r, purposeLogin)
	if err == nil { // RFC 9207: the issuer is checked before anything else of the answer is used
		err = a.Auth.CheckResponseIssuer(r.Context(), r.URL.Query().Get("iss"))
	}
	if err == nil {
		err = refusal(r, "You cancelled the sign-in, or Okta refused it. Nothing has changed.")
	}
	if err != nil {
		return secret.String{}, err
	}
	cookie, err := a.signIn(r, f)
	if err != nil {
		return secret.String{}, auth0.Fault(err)
	}
	return cookie, nil
}

// refusal returns the error of a callback (RFC 6749 section 4.1.2.1), nil if it has none. The parameters can be forged: only a
// well-formed code is logged, and nothing of them is shown.
func refusal(r *http.Request, say string) error {
	code := r.URL.Query().Get("error")
	switch {
	case code == "":
		return nil
	case code == "access_denied" || code == "login_required" || code == "consent_required" || code == "interaction_required":
		return fault.New(fault.Rejected, say, errors.New("callback with error "+code))
	case len(code) > 40 || !consistsOf(code, "abcdefghijklmnopqrstuvwxyz_"):
		code = "unreadable"
	}
	return fault.New(fault.Unauthenticated, "Auth0 could not complete this step. Please try again. If it happens again, tell your administrator the reference.", errors.New("callback with error "+code))
}

// signIn redeems the code, verifies the id_token, and opens a new login that replaces the one of the browser. It returns the
// cookie.
func (a *App) signIn(r *http.Request, f flow) (secret.String, error) {
	ctx := r.Context()
	code := secret.New(r.URL.Query().Get("code"))
	if code.IsZero() {
		return secret.String{}, errFlow
	}
	tokens, err := a.Auth.Code(ctx, code, siteOf(r).url("/callback"), secret.New(f.Verifier))
	if err != nil {
		return secret.String{}, err
	}
	id, err := a.Auth.VerifyIDToken(ctx, tokens.IDToken)
	if err != nil {
		return secret.String{}, err
	}
	if !id.Nonce.Equal(secret.New(f.Nonce)) || id.Subject == "" {
		return secret.String{}, fault.New(fault.Unauthenticated, "I could not verify your sign-in. Please sign in again.", errors.New("nonce or subject of the id_token does not fit"))
	}
	if !throughConnection(id.Subject, a.Connection) {
		return secret.String{}, fault.New(fault.Denied, "You signed in with an account that is not from this company's Okta. Please sign in again through Okta.", errors.New("the subject is of another connection"))
	}
	person := session.Person{Subject: session.Subject(id.Subject), Email: id.Email, EmailVerified: id.EmailVerified, Name: id.Name, Picture: id.Picture}

	old, err := a.currentLogin(r)
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		return secret.String{}, err
	}
	now := a.Now()
	cookie := session.NewCookie()
	l := session.Login{Key: session.KeyOf(cookie), Owner: person, Current: session.NewID(), CreatedAt: now, ExpiresAt: now.Add(loginLifetime)}
	l.Sessions = []session.ID{l.Current}
	if old.Owner.Subject == person.Subject {
		l.Sessions = append(l.Sessions, old.Sessions...)
	}
	if err := a.openLogin(ctx, l, tokens.RefreshToken); err != nil {
		return secret.String{}, err
	}
	if old.Key != "" {
		if err := a.replace(ctx, old, l); err != nil {
			fault.Answer(ctx, a.Log, err) // the old login expires
		}
	}
	return cookie, nil
}

// throughConnection reports whether the form of a subject allows that it comes from the connection: oidc|<connection>|<id at
// Okta>, oidc|<id> at older tenants, or okta|<connection>|<id> if the connection is of the type Okta Workforce. The check is
// needed because the person can change the connection in the address of Auth0's login page.
func throughConnection(subject, connection string) bool {
	if name, _, ok := auth0.SubjectConnection(subject); ok {
		return name == connection
	}
	strategy, rest, _ := strings.Cut(subject, "|")
	if name, _, ok := strings.Cut(rest, "|"); ok && strategy == "okta" {
		return name == connection
	}
	return strategy == "oidc" && rest != ""
}

// openLogin stores a new login with its first session and records the sign-in. If one of these fails, the login is deleted again.
func (a *App) openLogin(ctx context.Context, l session.Login, refresh secret.String) error {
	err := a.openSession(ctx, l, session.FrontChat, refresh)
	if err == nil {
		err = a.Sessions.PutLogin(ctx, l)
	}
	if err == nil {
		err = a.record(ctx, l, audit.SignIn, succeeded)
	}
	if err != nil {
		undo := []func() error{
			func() error { return a.Sessions.DeleteLogin(ctx, l.Key) },
			func() error { return a.Sessions.DeleteSession(ctx, l.Current) },
		}
		if left := runAll(undo); left != nil {
			a.Log.LogAttrs(ctx, slog.LevelWarn, "a failed sign-in could not be deleted", slog.Any("err", left))
		}
	}
	return err
}

// replace ends the login that the browser had before. It cancels no approval:
//
//   - If the same person signed in again, the new login takes over the sessions of the old one, so open changes go on. Signing
//     out ends all of them.
//   - If another person signed in, the old login and its sessions are deleted, except sessions with an open change: the first
//     person can still approve it on their phone. No browser reaches these sessions; they expire with the old login.
//
// The old refresh token is not revoked, as some tenants then revoke the whole grant, which includes the new token.
func (a *App) replace(ctx context.Context, old, by session.Login) error {
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	jobs := []func() error{
		func() error { return a.Sessions.DeleteLogin(ctx, old.Key) },
		func() error { return a.Agent.End(ctx, string(old.Current)) },
	}
	if old.Owner.Subject == by.Owner.Subject {
		return runAll(jobs)
	}
	jobs = append(jobs, func() error { return a.record(ctx, old, audit.SignOut, succeeded) })
	all, err := a.Approvals.ByOwner(ctx, old.Owner.Subject, maxApprovals)
	if err != nil {
		return errors.Join(fmt.Errorf("find open approvals: %w", err), runAll(jobs)) // any session may be needed
	}
	for _, id := range old.Sessions {
		if !slices.ContainsFunc(all, func(ap approval.Approval) bool { return ap.SessionID == id && !ap.Status.Final() }) {
			jobs = append(jobs, func() error { return a.Sessions.DeleteSession(ctx, id) })
		}
	}
	return runAll(jobs)
}

// openSession stores the session l.Current with the sealed refresh token.
func (a *App) openSession(ctx context.Context, l session.Login, front session.Front, refresh secret.String) error {
	sealer, err := a.Sealer(ctx)
	if err != nil {
		return err
	}
	sealed, err := tokenvault.SealRefreshToken(sealer, l.Current, l.Owner, refresh)
	if err != nil {
		return fmt.Errorf("seal refresh token: %w", err)
	}
	return a.Sessions.PutSession(ctx, session.Session{
		ID: l.Current, Owner: l.Owner, Front: front, Login: l.Key, CreatedAt: a.Now(), ExpiresAt: l.ExpiresAt, RefreshToken: sealed,
	})
}

// refreshToken returns the login's current session and its refresh token. A session that has ended is a fault.Unauthenticated.
func (a *App) refreshToken(ctx context.Context, l session.Login) (session.Session, secret.String, error) {
	s, err := a.Sessions.Session(ctx, l.Current)
	if err != nil {
		return s, secret.String{}, err
	}
	if !s.Live(a.Now()) || s.Owner.Subject != l.Owner.Subject {
		return s, secret.String{}, session.NotSignedIn(errors.New("the login's session is not live"))
	}
	sealer, err := a.Sealer(ctx)
	if err != nil {
		return s, secret.String{}, err
	}
	refresh, err := tokenvault.OpenRefreshToken(sealer, s)
	if err != nil {
		return s, secret.String{}, fault.New(fault.Internal, "I cannot read your stored sign-in. Please sign in again.", err)
	}
	return s, refresh, nil
}

// refreshTokens returns the different refresh tokens of the login's sessions: one for each time the person signed in. If some
// cannot be read, it returns the others and an error.
func (a *App) refreshTokens(ctx context.Context, l session.Login) ([]secret.String, error) {
	var mu sync.Mutex
	var all []secret.String
	jobs := make([]func() error, len(l.Sessions))
	for i, id := range l.Sessions {
		jobs[i] = func() error {
			of := l
			of.Current = id
			_, refresh, err := a.refreshToken(ctx, of)
			if errors.Is(err, session.ErrNotSignedIn) {
				return nil // the session has ended
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(all, refresh.Equal) {
				all = append(all, refresh)
			}
			return nil
		}
	}
	err := runAll(jobs)
	return all, err
}

// logout ends the login here and at Auth0.
func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	s := siteOf(r)
	http.SetCookie(w, s.cookie(s.login, "", 0))
	l, err := a.currentLogin(r)
	if fault.KindOf(err) != fault.Unauthenticated {
		if err == nil {
			err = a.signOut(r.Context(), l)
		} else {
			err = fault.New(fault.Upstream, "This browser is signed out, but I could not read your stored sign-in. It expires within 8 hours.", err)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, a.Auth.LogoutURL(s.url("/")), http.StatusSeeOther) //nolint:gosec // Auth0's page
}

// signOut deletes the login and its sessions and records that. Then it cancels the approvals that have not started, ends the
// sessions at the agent and revokes the refresh tokens. It returns the errors of the rows and of the record; the other errors are
// logged, as nothing of the rest can be used without the rows.
func (a *App) signOut(ctx context.Context, l session.Login) error {
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	refresh, err := a.refreshTokens(ctx, l) // before their rows are deleted
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "refresh token cannot be revoked", slog.Any("err", err))
	}

	rows := []func() error{func() error { return a.Sessions.DeleteLogin(ctx, l.Key) }}
	rest := []func() error{func() error { return a.cancelAll(ctx, l) }}
	for _, id := range l.Sessions {
		rows = append(rows, func() error { return a.Sessions.DeleteSession(ctx, id) })
		if _, err := session.ParseID(string(id)); err == nil { // not a session of the console
			rest = append(rest, func() error { return a.Agent.End(ctx, string(id)) })
		}
	}
	for _, token := range refresh {
		rest = append(rest, func() error { return a.Auth.Revoke(ctx, token) })
	}
	removed, o := runAll(rows), succeeded
	if removed != nil {
		o.Result = audit.Failed
	}
	recorded := parallel.Recover(func() error { return a.record(ctx, l, audit.SignOut, o) }) // a panic here must not stop the rest
	if late := runAll(rest); late != nil {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "signing out is incomplete", slog.Any("err", late))
	}
	switch {
	case removed != nil:
		return fault.New(fault.Upstream, "This browser is signed out, but I could not delete your stored sign-in. It expires within 8 hours.", errors.Join(removed, recorded))
	case recorded != nil:
		return fault.New(fault.Upstream, "You are signed out, but I could not write that to your activity.", recorded)
	}
	return nil
}

// cancelAll cancels the login's approvals that have not started.
func (a *App) cancelAll(ctx context.Context, l session.Login) error {
	all, err := a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
	if err != nil {
		return fmt.Errorf("cancel approvals: %w", err)
	}
	var jobs []func() error
	for _, ap := range all {
		if ap.Status.Can(approval.Cancelled) && slices.Contains(l.Sessions, ap.SessionID) {
			jobs = append(jobs, func() error {
				_, err := approval.Cancel(ctx, a.Approvals, a.Audit, ap, approval.SignedOut, a.Now())
				return err
			})
		}
	}
	return runAll(jobs)
}

// runAll runs jobs side by side, at most eight at a time, and joins their errors. A panic becomes an error.
func runAll(jobs []func() error) error {
	errs := make([]error, len(jobs))
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, job := range jobs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = parallel.Recover(job)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// outcome is the part of an audit entry that depends on how the operation ended.
type outcome struct {
	Result    audit.Result
	Object    audit.Ref
	Reference string
}

var succeeded = outcome{Result: audit.OK}

// record adds the audit entry of an operation on the login itself. These need no permission beyond being signed in.
func (a *App) record(ctx context.Context, l session.Login, operation string, o outcome) error {
	now := a.Now()
	e, err := audit.New(now, audit.Act{Subject: l.Owner.Subject, Front: session.FrontChat, Session: l.Current, Operation: operation, Object: o.Object},
		audit.Details{ID: audit.NewID(now), Kind: audit.Outcome, Permission: audit.Unchecked, Result: o.Result, Reference: o.Reference})
	if err != nil {
		return err
	}
	return a.Audit.Add(ctx, e)
}
