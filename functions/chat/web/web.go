// Package web serves Steward's page and its HTTP API.
//
//	GET  /                          the chat, or the sign-in button
//	GET  /login, /callback          authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), OpenID Connect
//	POST /logout                    ends the login and all its sessions
//	GET  /connect, /connect/callback   Connected Accounts flow of Auth0's My Account API
//	POST /disconnect                removes the Okta account from Token Vault
//	POST /api/chat                  one question; the answer streams as text/event-stream
//	POST /api/chat/new              a new conversation: a new session, unknown to the agent
//	GET  /api/approvals             the person's approvals, newest first
//	POST /api/approvals/{id}/cancel
//	GET  /api/activity              the person's own audit trail
//	GET  /api/account               the connected Okta account, and since when
//	GET  /link, POST /link          links a session of the Bedrock console to the person; only with console linking on
//	GET  /healthz, /static/
//
// The browser's only credential is one opaque cookie. Every address is built from the configured base URL, never from the Host
// header. Text of other people reaches the page as text nodes only; the content security policy is the second line of defence.
//
// The limits of a person are counted in the table (limits.go), and a login has one running turn. A token bucket in each process
// protects the table from a page that polls too fast.
package web

import (
	"context"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// Sessions stores logins and sessions. Reads are consistent. A login or session that does not exist is a fault.Unauthenticated.
type Sessions interface {
	Login(ctx context.Context, key session.LoginKey) (session.Login, error)
	PutLogin(ctx context.Context, l session.Login) error
	SetCurrent(ctx context.Context, key session.LoginKey, id session.ID) error
	AddSession(ctx context.Context, key session.LoginKey, id session.ID) error
	DeleteLogin(ctx context.Context, key session.LoginKey) error
	Session(ctx context.Context, id session.ID) (session.Session, error)
	PutSession(ctx context.Context, s session.Session) error
	DeleteSession(ctx context.Context, id session.ID) error
	// ForgetOkta removes the connected Okta account from a session.
	ForgetOkta(ctx context.Context, id session.ID) error
	// UseFlow marks a flow as used. A flow that was used before is a fault.Conflict.
	UseFlow(ctx context.Context, name string, expires time.Time) error
	// ReserveTurn reserves the one running turn of a login. Another running turn is a fault.Conflict.
	ReserveTurn(ctx context.Context, key session.LoginKey, now, until time.Time) (token string, err error)
	EndTurn(ctx context.Context, key session.LoginKey, token string) error
}

// Auth is the part of auth0.Client used here.
type Auth interface {
	AuthCodeURL(ctx context.Context, r auth0.AuthRequest) (string, error)
	Code(ctx context.Context, code secret.String, redirectURI string, verifier secret.String) (auth0.Tokens, error)
	VerifyIDToken(ctx context.Context, raw secret.String) (auth0.IDToken, error)
	CheckResponseIssuer(ctx context.Context, iss string) error
	Revoke(ctx context.Context, refresh secret.String) error
	LogoutURL(returnTo string) string
	MyAccountToken(ctx context.Context, refresh secret.String, scopes ...auth0.MyAccountScope) (secret.String, error)
	StartConnect(ctx context.Context, me secret.String, r auth0.ConnectRequest) (auth0.ConnectTicket, error)
	CompleteConnect(ctx context.Context, me, authSession, connectCode secret.String, redirectURI string, verifier secret.String) error
}

// Vault is the part of tokenvault.Vault used here.
type Vault interface {
	// Token returns the Okta token of the person who signed in, and sets the account in s. No connected account is a
	// fault.Conflict; an account of another person is one with a *tokenvault.WrongAccount in its chain.
	Token(ctx context.Context, s *session.Session) (secret.String, error)
	// Renew is Token without the cached token.
	Renew(ctx context.Context, s *session.Session) (secret.String, error)
	Account(ctx context.Context, s session.Session) (auth0.ConnectedAccount, bool, error)
	Disconnect(ctx context.Context, s session.Session) error
}

// Approvals are the changes that people were asked to approve.
type Approvals interface {
	// ByOwner lists a person's latest approvals, newest first.
	ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error)
	approval.Store
}

// Activity is a person's audit trail, newest first.
type Activity interface {
	BySubject(ctx context.Context, subject session.Subject, limit int) ([]audit.Entry, error)
}

// Limits counts what people do, over all processes.
type Limits interface {
	// OfOwner adds one. wait is 0 if the limit allows it, else the time until it does.
	OfOwner(ctx context.Context, owner session.Subject, limit Limit, now time.Time) (wait time.Duration, err error)
}

// Config is what an App needs.
type Config struct {
	Base       func(context.Context) (*url.URL, error) // the address people open; called until it succeeds, then kept
	Issuer     string                                  // of Auth0, where the sign-out form leads
	Connection string                                  // the Okta connection at Auth0
	Auth       Auth
	Vault      Vault
	Sealer     func(context.Context) (*seal.Sealer, error)
	Sessions   Sessions
	Limits     Limits
	Approvals  Approvals
	Activity   Activity
	Audit      audit.Recorder
	Agent      agent.Runtime
	Linking    bool // whether console sessions may be linked; see link.go
	Log        *slog.Logger
	Now        func() time.Time
}

// App is the http.Handler.
type App struct {
	Config
	pages       func() *template.Template
	static      func() *assets
	polls       *limiter
	reports     *reports
	crossOrigin *http.CrossOriginProtection
	root        http.Handler

	mu   sync.Mutex
	site *site
}

// site holds what depends on the base URL.
type site struct {
	base   *url.URL
	secure bool
	csp    string
	// cookie names
	login, flow string
}

// New makes an App.
func New(cfg Config) *App {
	a := &App{
		Config:      cfg,
		static:      sync.OnceValue(loadAssets),
		polls:       newLimiter(60, 200*time.Millisecond),
		reports:     newReports(),
		crossOrigin: http.NewCrossOriginProtection(),
	}
	a.pages = loadPages(a.static)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.page)
	mux.HandleFunc("GET /login", ownSiteOnly(a.login))
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /connect", ownSiteOnly(a.signedIn(a.connect)))
	mux.HandleFunc("GET /connect/callback", a.signedIn(a.connectCallback))
	mux.HandleFunc("POST /disconnect", a.signedIn(a.disconnect))
	if cfg.Linking {
		mux.HandleFunc("GET /link", a.signedIn(a.linkForm))
		mux.HandleFunc("POST /link", a.signedIn(a.link))
	}
	api := func(method, path string, handle func(http.ResponseWriter, *http.Request, session.Login) error) {
		mux.HandleFunc(method+" "+path, a.signedIn(handle))
		mux.HandleFunc(path, notAllowed(method))
	}
	api("POST", "/api/chat", a.chat)
	api("POST", "/api/chat/new", a.newChat)
	api("GET", "/api/approvals", a.approvals)
	api("POST", "/api/approvals/{id}/cancel", a.cancel)
	api("GET", "/api/activity", a.activity)
	api("GET", "/api/account", a.account)
	mux.HandleFunc("/", a.notFound)

	outer := http.NewServeMux()
	outer.HandleFunc("GET /static/", func(w http.ResponseWriter, r *http.Request) { a.static().ServeHTTP(w, r) })
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte("ok\n"))
	})
	outer.Handle("/", a.protect(mux))
	a.root = a.recoverPanic(outer)
	return a
}

// ServeHTTP makes App an http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.root.ServeHTTP(w, r) }

// loadSite returns the site. The base URL is read until that succeeds once.
func (a *App) loadSite(ctx context.Context) (*site, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.site != nil {
		return a.site, nil
	}
	base, err := a.Base(ctx)
	if err != nil {
		return nil, err
	}
	s := &site{base: base, secure: base.Scheme == "https", login: "__Host-steward", flow: "__Host-steward-flow"}
	if !s.secure {
		if !config.Loopback(base.Hostname()) {
			return nil, fmt.Errorf("base URL %s is neither https nor this machine", base.Redacted())
		}
		s.login, s.flow = "steward", "steward-flow"
	}
	s.csp = policy(a.Issuer)
	a.site = s
	return s, nil
}

// url returns the absolute URL of a path of this app.
func (s *site) url(path string) string { return s.base.JoinPath(path).String() }

// origin returns the base URL as browsers write it in the Origin header.
func (s *site) origin() string { return s.base.Scheme + "://" + s.base.Host }

type siteKey struct{}

func siteOf(r *http.Request) *site { return r.Context().Value(siteKey{}).(*site) }
