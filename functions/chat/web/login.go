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
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

const (
	loginLifetime = 8 * time.Hour
	flowLifetime  = 10 * time.Minute
	leaving       = 8 * time.Second // what signing out may take where others have to be told
	maxSessions   = 100             // conversations of one login
)

// cookieLike says whether session.NewCookie can have made the value.
func cookieLike(value string) bool {
	return len(value) == 52 && madeOf(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

// who reads the cookie and finds the login behind it.
func (a *App) who(r *http.Request) (session.Login, error) {
	c, err := r.Cookie(siteOf(r).login)
	if err != nil || !cookieLike(c.Value) {
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
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(lifetime / time.Second)} //nolint:gosec // Secure but for plain HTTP on this computer
	if lifetime <= 0 {
		c.MaxAge = -1
	}
	return c
}

// flow is what has to survive the browser's visit to Auth0. It travels in a sealed cookie; the server keeps nothing.
type flow struct {
	State       string    `json:"s"`
	Nonce       string    `json:"n,omitempty"`
	Verifier    string    `json:"v"`
	AuthSession string    `json:"a,omitempty"` // connecting an account only
	Ends        time.Time `json:"e"`
}

// purposes a flow is sealed for. One of connecting is bound to its login as well.
const purposeLogin, purposeConnect = "login", "connect"

func (a *App) newFlow() flow {
	return flow{State: rand.Text() + rand.Text(), Verifier: auth0.NewVerifier().Reveal(), Ends: a.Now().Add(flowLifetime)}
}

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

var errFlow = fault.New(fault.Unauthenticated, "This sign-in was started in another browser or too long ago. Please start again.", errors.New("no matching flow for the callback"))

// takeFlow opens the flow cookie, compares the state in constant time, and uses the flow up, in the browser and in the table:
// it leads to one call of Auth0 at most, however often the callback comes. A callback that does not match leaves it as it is.
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

// name is what the table knows a flow by.
func (f flow) name() string {
	sum := sha256.Sum256([]byte("flow " + f.State))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func madeOf(value, alphabet string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return !strings.ContainsRune(alphabet, c) })
}

// login sends the browser to Auth0.
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	if a.startedElsewhere(w, r) {
		return
	}
	if c := r.URL.Query().Get("connection"); c != "" && c != a.Connection {
		a.fail(w, r, fault.New(fault.Invalid, "People sign in to Steward through its own Okta connection only. Please sign in from Steward's page.", nil))
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

// callback turns what Auth0 sent back into a login. Whatever goes wrong ends on a page, never in another redirect.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	f, err := a.takeFlow(w, r, purposeLogin)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.checkIssuer(r); err != nil {
		a.fail(w, r, err)
		return
	}
	if err := refusal(r, "Signing in was cancelled or refused. Nothing was changed."); err != nil {
		a.fail(w, r, err)
		return
	}
	cookie, err := a.signIn(r, f)
	if err != nil {
		a.fail(w, r, auth0.Fault(err))
		return
	}
	s := siteOf(r)
	http.SetCookie(w, s.cookie(s.login, cookie.Reveal(), loginLifetime))
	http.Redirect(w, r, s.url("/"), http.StatusSeeOther) //nolint:gosec // our own page
}

// checkIssuer compares the iss of a callback with our tenant (RFC 9207), before anything else of the answer is believed.
func (a *App) checkIssuer(r *http.Request) error {
	return a.Auth.CheckResponseIssuer(r.Context(), r.URL.Query().Get("iss"))
}

// refusal is the error a callback carries (RFC 6749 section 4.1.2.1). Its words were in the browser's hands: only a
// well-formed code reaches the log, nothing reaches the page.
func refusal(r *http.Request, say string) error {
	code := r.URL.Query().Get("error")
	switch {
	case code == "":
		return nil
	case code == "access_denied" || code == "login_required" || code == "consent_required" || code == "interaction_required":
		return fault.New(fault.Rejected, say, errors.New("callback with error "+code))
	case len(code) > 40 || !madeOf(code, "abcdefghijklmnopqrstuvwxyz_"):
		code = "unreadable"
	}
	return fault.New(fault.Unauthenticated, "Auth0 could not complete this step. Please try again; if it stays, quote the reference.", errors.New("callback with error "+code))
}

// signIn redeems the code, verifies who came, and opens a new login, in place of the one that the browser had.
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
		return secret.String{}, fault.New(fault.Unauthenticated, "The sign-in could not be verified. Please sign in again.", errors.New("nonce or subject of the id_token does not fit"))
	}
	if !throughConnection(id.Subject, a.Connection) {
		return secret.String{}, fault.New(fault.Denied, "You signed in with an account that is not from this company's Okta. Please sign in again through Okta.", errors.New("the subject is of another connection"))
	}
	person := session.Person{Subject: session.Subject(id.Subject), Email: id.Email, EmailVerified: id.EmailVerified, Name: id.Name, Picture: id.Picture}

	old, err := a.who(r)
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
			fault.Answer(ctx, a.Log, err) // it ends by itself
		}
	}
	return cookie, nil
}

// throughConnection says whether a subject can come from the connection, as its form tells: oidc|<connection>|<id at Okta>, or
// oidc|<id> as older tenants have it, or okta for oidc where the connection is of Auth0's Okta Workforce kind. The address of
// Auth0's login page names the connection, and whoever opens it may change that.
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

// openLogin stores a new login with its first session, and records it. What cannot be recorded is taken back.
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
		if left := together(undo); left != nil {
			a.Log.LogAttrs(ctx, slog.LevelWarn, "a sign-in that failed left something behind", slog.Any("err", left))
		}
	}
	return err
}

// replace ends the login that the browser had before its new one. No approval is cancelled by that:
//
//   - The same person keeps the sessions of the old login, in the list of the new one. What waits or was approved goes on, and
//     signing out ends it all.
//   - If another person signed in, the old login ends, and so do its sessions, but for those in which a change of the first person
//     is still open: whoever asked for it can approve it on their own phone. No browser leads to these sessions any more; they end
//     with the time of the old login.
//
// The old refresh token is not revoked here, as some tenants revoke the whole grant with it, and so the new one.
func (a *App) replace(ctx context.Context, old, by session.Login) error {
	ctx, cancel := context.WithTimeout(ctx, leaving)
	defer cancel()
	jobs := []func() error{
		func() error { return a.Sessions.DeleteLogin(ctx, old.Key) },
		func() error { return a.Agent.End(ctx, string(old.Current)) },
	}
	if old.Owner.Subject == by.Owner.Subject {
		return together(jobs)
	}
	jobs = append(jobs, func() error { return a.record(ctx, old, audit.SignOut, succeeded) })
	all, err := a.Approvals.ByOwner(ctx, old.Owner.Subject, maxApprovals)
	if err != nil {
		return errors.Join(fmt.Errorf("find open approvals: %w", err), together(jobs)) // any session may be needed
	}
	for _, id := range old.Sessions {
		if !slices.ContainsFunc(all, func(ap approval.Approval) bool { return ap.SessionID == id && !ap.Status.Final() }) {
			jobs = append(jobs, func() error { return a.Sessions.DeleteSession(ctx, id) })
		}
	}
	return together(jobs)
}

// openSession stores the session l.Current, with the refresh token sealed for it.
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

// refreshToken opens the refresh token of the login's current session.
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
		return s, secret.String{}, fault.New(fault.Internal, "The stored sign-in cannot be read. Please sign in again.", err)
	}
	return s, refresh, nil
}

// refreshTokens opens the refresh tokens of all the login's sessions: one for each time that the person signed in. An error tells of
// those that could not be read; the others are returned.
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
	err := together(jobs)
	return all, err
}

// logout ends the login here and at Auth0.
func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	s := siteOf(r)
	http.SetCookie(w, s.cookie(s.login, "", 0))
	l, err := a.who(r)
	if fault.KindOf(err) != fault.Unauthenticated {
		if err == nil {
			err = a.leave(r.Context(), l)
		} else {
			err = fault.New(fault.Upstream, "This browser is signed out, but the stored sign-in could not be read. It ends by itself within 8 hours.", err)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, a.Auth.LogoutURL(s.url("/")), http.StatusSeeOther) //nolint:gosec // Auth0's page
}

// leave deletes everything a login opened, then tells those who have to know: pending approvals end, the agent
// forgets, Auth0 revokes. The error is about the rows and the record; the rest is logged, for nothing works without the rows.
func (a *App) leave(ctx context.Context, l session.Login) error {
	ctx, cancel := context.WithTimeout(ctx, leaving)
	defer cancel()
	refresh, err := a.refreshTokens(ctx, l) // before the rows that hold them go
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "refresh token cannot be revoked", slog.Any("err", err))
	}

	rows := []func() error{func() error { return a.Sessions.DeleteLogin(ctx, l.Key) }}
	rest := []func() error{func() error { return a.cancelAll(ctx, l) }}
	for _, id := range l.Sessions {
		rows = append(rows, func() error { return a.Sessions.DeleteSession(ctx, id) })
		if _, err := session.ParseID(string(id)); err == nil { // the console ends its own
			rest = append(rest, func() error { return a.Agent.End(ctx, string(id)) })
		}
	}
	for _, token := range refresh {
		rest = append(rest, func() error { return a.Auth.Revoke(ctx, token) })
	}
	removed, o := together(rows), succeeded
	if removed != nil {
		o.Result = audit.Failed
	}
	recorded := together([]func() error{func() error { return a.record(ctx, l, audit.SignOut, o) }})
	if late := together(rest); late != nil {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "signing out left something behind", slog.Any("err", late))
	}
	switch {
	case removed != nil:
		return fault.New(fault.Upstream, "This browser is signed out, but the stored sign-in could not be removed. It ends by itself within 8 hours.", errors.Join(removed, recorded))
	case recorded != nil:
		return fault.New(fault.Upstream, "You are signed out, but your activity does not show it: the record could not be written.", recorded)
	}
	return nil
}

// cancelAll takes back what this login's conversations asked for and nobody has begun to do.
func (a *App) cancelAll(ctx context.Context, l session.Login) error {
	all, err := a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
	if err != nil {
		return fmt.Errorf("cancel approvals: %w", err)
	}
	var jobs []func() error
	for _, ap := range all {
		if ap.Status.Can(approval.Cancelled) && slices.Contains(l.Sessions, ap.SessionID) {
			jobs = append(jobs, func() error {
				_, err := a.Approvals.Cancel(ctx, ap, true)
				return err
			})
		}
	}
	return together(jobs)
}

// together runs jobs side by side, a few at a time, and joins their errors. A job that panics has failed: left alone it would
// end the process, and with it everybody's streams.
func together(jobs []func() error) error {
	errs := make([]error, len(jobs))
	gate := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, job := range jobs {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() {
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
				}
				<-gate
			}()
			errs[i] = job()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// outcome is what an entry of the login's own acts says beside the operation.
type outcome struct {
	Result    audit.Result
	Object    audit.Ref
	Reference string
}

var succeeded = outcome{Result: audit.OK}

// record adds the outcome of an act of the login itself. Being signed in is enough for these, so no permission is asked.
func (a *App) record(ctx context.Context, l session.Login, operation string, o outcome) error {
	now := a.Now()
	e, err := audit.New(now, audit.Act{Subject: l.Owner.Subject, Front: session.FrontChat, Session: l.Current, Operation: operation, Object: o.Object},
		audit.Known{ID: audit.NewID(now), Kind: audit.Outcome, Permission: audit.Unchecked, Result: o.Result, Reference: o.Reference})
	if err != nil {
		return err
	}
	return a.Audit.Add(ctx, e)
}
