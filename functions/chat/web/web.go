// Package web serves Steward's page and its HTTP API.
//
//	GET  /                          the page; signed out it invites to sign in
//	GET  /login, /callback          authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), OpenID Connect
//	POST /logout                    ends everything the login opened
//	GET  /connect, /connect/callback   Connected Accounts flow of Auth0's My Account API
//	POST /disconnect                takes the Okta account out of Token Vault
//	POST /api/chat                  one question; the answer streams as text/event-stream
//	POST /api/chat/new              a new conversation: a new session, unknown to the agent
//	GET  /api/approvals             the person's approvals, newest first
//	POST /api/approvals/{id}/cancel
//	GET  /api/activity              the person's own audit trail
//	GET  /api/account               whose Okta account is connected, and since when
//	GET  /link, POST /link          only where linking is on: binds a session of the Bedrock console to the person
//	GET  /healthz, /static/
//
// The browser holds one opaque cookie and nothing else of value. Every address is built from the configured base URL,
// never from the Host header. What others wrote reaches the page as text nodes only, and the content security policy
// would stop it if it did not.
//
// What a person may do is counted in the table (limit.go), and a login has one running turn. A token bucket in each process keeps
// what polls in a loop away from the table.
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

// Sessions stores logins and sessions. Reads are consistent; what is not there is a fault of kind Unauthenticated.
type Sessions interface {
	Login(ctx context.Context, key session.LoginKey) (session.Login, error)
	PutLogin(ctx context.Context, l session.Login) error
	SetCurrent(ctx context.Context, key session.LoginKey, id session.ID) error
	AddSession(ctx context.Context, key session.LoginKey, id session.ID) error
	DeleteLogin(ctx context.Context, key session.LoginKey) error
	Session(ctx context.Context, id session.ID) (session.Session, error)
	PutSession(ctx context.Context, s session.Session) error
	DeleteSession(ctx context.Context, id session.ID) error
	// ForgetOkta removes what a session remembers of the connected Okta account.
	ForgetOkta(ctx context.Context, id session.ID) error
	// UseFlow counts a flow as used; it is a Conflict where it was used before.
	UseFlow(ctx context.Context, name string, expires time.Time) error
	// TakeTurn reserves the one running turn of a login; it is a Conflict where another one runs.
	TakeTurn(ctx context.Context, key session.LoginKey, now, until time.Time) (token string, err error)
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

// Vault holds the person's Okta account, as tokenvault.Vault does.
type Vault interface {
	// Token gives a token of the very person who signed in, and sets what the session knows of the account. A fault of kind Conflict
	// says that none is connected, or with a *tokenvault.WrongAccount in its chain that it is another person's.
	Token(ctx context.Context, s *session.Session) (secret.String, error)
	// Renew is Token without the cached one.
	Renew(ctx context.Context, s *session.Session) (secret.String, error)
	Account(ctx context.Context, s session.Session) (auth0.ConnectedAccount, bool, error)
	Disconnect(ctx context.Context, s session.Session) error
}

// Approvals are the changes that wait, or waited, for a person.
type Approvals interface {
	// ByOwner lists a person's latest approvals, newest first.
	ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error)
	// Cancel takes back one of them while it has not begun: by hand, or because the
	// person signed out. It is a Conflict where it has.
	Cancel(ctx context.Context, a approval.Approval, signedOut bool) (approval.Approval, error)
}

// Activity is a person's audit trail, newest first.
type Activity interface {
	BySubject(ctx context.Context, subject session.Subject, limit int) ([]audit.Entry, error)
}

// Limits counts what people do, for all processes together.
type Limits interface {
	// OfOwner counts once more. Wait is zero where the limit allows it, else the time until it does.
	OfOwner(ctx context.Context, owner session.Subject, limit Limit, now time.Time) (wait time.Duration, err error)
}

// Config is what an App needs.
type Config struct {
	Base       func(context.Context) (*url.URL, error) // the address people open; asked until it answers, then remembered
	Issuer     string                                  // Auth0's, where signing out leads
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

// App serves all of it.
type App struct {
	Config
	pages  func() *template.Template
	static func() *assets
	using  *limiter
	told   *memory
	cross  *http.CrossOriginProtection
	root   http.Handler

	mu   sync.Mutex
	site *site
}

// site is what follows from the base URL.
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
		Config: cfg,
		static: sync.OnceValue(loadAssets),
		using:  newLimiter(60, 200*time.Millisecond),
		told:   newMemory(),
		cross:  http.NewCrossOriginProtection(),
	}
	a.pages = loadPages(a.static)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.page)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /connect", a.connect)
	mux.HandleFunc("GET /connect/callback", a.connected)
	mux.HandleFunc("POST /disconnect", a.disconnect)
	mux.HandleFunc("POST /api/chat", a.chat)
	mux.HandleFunc("POST /api/chat/new", a.newChat)
	mux.HandleFunc("GET /api/approvals", a.approvals)
	mux.HandleFunc("POST /api/approvals/{id}/cancel", a.cancel)
	mux.HandleFunc("GET /api/activity", a.activity)
	mux.HandleFunc("GET /api/account", a.account)
	if cfg.Linking {
		mux.HandleFunc("GET /link", a.link)
		mux.HandleFunc("POST /link", a.linked)
	}
	for path, allow := range map[string]string{"/api/chat": "POST", "/api/chat/new": "POST", "/api/approvals": "GET", "/api/approvals/{id}/cancel": "POST", "/api/activity": "GET", "/api/account": "GET"} {
		mux.HandleFunc(path, notAllowed(allow))
	}
	mux.HandleFunc("/", a.notFound)

	outer := http.NewServeMux()
	outer.HandleFunc("GET /static/", func(w http.ResponseWriter, r *http.Request) { a.static().ServeHTTP(w, r) })
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte("ok\n"))
	})
	outer.Handle("/", a.guard(mux))
	a.root = a.recovering(outer)
	return a
}

// ServeHTTP makes App an http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.root.ServeHTTP(w, r) }

// at is the site, found out once. A base URL that cannot be read now may be readable later.
func (a *App) at(ctx context.Context) (*site, error) {
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

// url is an absolute address of ours.
func (s *site) url(path string) string { return s.base.JoinPath(path).String() }

// origin is the base URL as browsers write it in the Origin header.
func (s *site) origin() string { return s.base.Scheme + "://" + s.base.Host }

type siteKey struct{}

func siteOf(r *http.Request) *site { return r.Context().Value(siteKey{}).(*site) }
