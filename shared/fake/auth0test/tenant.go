package auth0test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Options are a tenant's starting settings and its knobs. The zero value of each knob is the documented behaviour of a new tenant.
type Options struct {
	Issuer           string // base URL; Start fills it in
	Clients          []Client
	People           []Person
	APIs             []ResourceServer // besides My Account and Management
	Grants           []ClientGrant    // besides My Account for every web application; no scopes on ManagementAPI means all
	Connection       string           // name of the Okta connection, default okta-corp
	ConnectionScopes []string         // what it asks Okta for; default DefaultScopes

	Now func() time.Time
	Log *slog.Logger

	// OktaToken mints the upstream token the Okta fake accepts. An empty token means that Okta refused the refresh (the person was
	// deactivated, say). It is called under the tenant's lock and must not call the tenant. Without it tokens are random.
	OktaToken func(person Person, scopes []string) (token string, expiresIn time.Duration)

	PollInterval time.Duration // CIBA interval, default 5 s
	PushLimit    int           // pushes a minute to one person, default 5; negative is none
	PushExpiry   time.Duration // the longest that a back-channel request waits, whatever requested_expiry says; 0 is as requested

	MFAAlways      bool // MFA policy Always, which makes Token Vault answer mfa_required
	ResponseIssuer bool // authorization responses carry iss, and discovery announces it (RFC 9207; off in a new tenant)

	PollStatus    PollStatus // status codes of an unfinished poll
	SpecExpiry    bool       // an expired request answers expired_token (OpenID CIBA 11), not access_denied
	InvalidClient bool       // bad credentials answer the documented invalid_client, not the access_denied seen in the field
	Chaos         uint64     // a seed: one in eight calls of the token endpoint and /bc-authorize answers 429; 0 is none
}

// PollStatus is the style of status codes for an unfinished CIBA poll; Auth0 documents 400 there, but answers its device flow, on the
// same endpoint, with 403 and 429.
type PollStatus int

const (
	// PollStatus400 answers 400 to everything but success.
	PollStatus400 PollStatus = iota
	// PollStatusDevice answers 403 while pending and when denied, and 429 with slow_down.
	PollStatusDevice
)

// DefaultScopes is what the Okta connection asks for.
var DefaultScopes = []string{
	"openid", "profile", "email", "offline_access",
	"okta.users.read", "okta.users.manage", "okta.groups.read", "okta.groups.manage", "okta.apps.read", "okta.apps.manage", "okta.logs.read",
}

// Tenant is the fake. It answers one request at a time, under one lock.
type Tenant struct {
	faults.Engine

	opts   Options
	issuer string // with trailing slash
	now    func() time.Time
	log    *slog.Logger
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection

	mu       sync.Mutex
	keys     int // index of the current signing key
	settings Settings
	state    state
}

// state is all that a running tenant remembers.
type state struct {
	logins   map[string]*login        // by the login page's state
	sessions map[string]*session      // by cookie
	codes    map[string]*code         // authorization codes
	refresh  map[string]*refreshToken // by token
	opaque   map[string]*opaqueToken  // by access token
	links    []*link                  // connected-account flows under way
	vault    map[string][]*account    // by sub
	requests map[string]*backchannel  // by auth_req_id
	pushes   []*backchannel           // in order of arrival
	asked    map[string][]time.Time   // pushes to a person, by sub
	chaos    *faults.Chaos
}

// New makes a tenant. Its issuer must be set.
func New(o Options) *Tenant {
	o.Connection = cmp.Or(o.Connection, "okta-corp")
	o.PollInterval = cmp.Or(o.PollInterval, 5*time.Second)
	o.PushLimit = cmp.Or(o.PushLimit, 5)
	if o.ConnectionScopes == nil {
		o.ConnectionScopes = DefaultScopes
	}
	t := &Tenant{opts: o, issuer: strings.TrimSuffix(o.Issuer, "/") + "/", now: o.Now, log: o.Log, guard: http.NewCrossOriginProtection()}
	if t.now == nil {
		t.now = time.Now
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if o.Chaos != 0 {
		t.log.Info("tenant answers 429 now and then", "seed", o.Chaos)
	}
	t.routes()
	t.Reset()
	return t
}

// Issuer is the tenant's base URL with its trailing slash.
func (t *Tenant) Issuer() string { return t.issuer }

// Reset forgets everything and goes back to the settings given to New.
func (t *Tenant) Reset() {
	t.Fail()
	t.Forget()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settings = t.settingsFrom(t.opts)
	t.state = state{
		logins: map[string]*login{}, sessions: map[string]*session{}, codes: map[string]*code{}, refresh: map[string]*refreshToken{},
		opaque: map[string]*opaqueToken{}, vault: map[string][]*account{}, requests: map[string]*backchannel{},
		asked: map[string][]time.Time{},
		chaos: faults.NewChaos(t.opts.Chaos, t.opts.Chaos == 0),
	}
}

// Configure changes the settings, as an administrator would in the dashboard.
func (t *Tenant) Configure(change func(*Settings)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.settings)
}

func (t *Tenant) routes() {
	m := http.NewServeMux()
	m.HandleFunc("GET /.well-known/openid-configuration", t.discovery)
	m.HandleFunc("GET /.well-known/oauth-authorization-server", t.discovery)
	m.HandleFunc("GET /.well-known/jwks.json", t.jwks)

	m.HandleFunc("GET /authorize", t.authorize)
	m.HandleFunc("POST /authorize", t.authorize)
	m.HandleFunc("GET /u/login", t.loginPage)
	m.HandleFunc("POST /u/login", t.sameOrigin(t.signIn))
	m.HandleFunc("POST /oauth/token", t.token)
	m.HandleFunc("POST /oauth/revoke", t.revoke)
	m.HandleFunc("GET /v2/logout", t.logout)

	m.HandleFunc("POST /bc-authorize", t.backchannelAuthorize)
	m.HandleFunc("GET /phone", t.phonePage)
	m.HandleFunc("GET /phone/pushes", t.phonePushes)
	m.HandleFunc("POST /phone/pushes/{id}", t.sameOrigin(t.phoneDecide))

	m.HandleFunc("POST /me/v1/connected-accounts/connect", t.me("create:me:connected_accounts", t.connect))
	m.HandleFunc("POST /me/v1/connected-accounts/complete", t.me("create:me:connected_accounts", t.complete))
	m.HandleFunc("GET /me/v1/connected-accounts/accounts", t.me("read:me:connected_accounts", t.listAccounts))
	m.HandleFunc("DELETE /me/v1/connected-accounts/accounts/{id}", t.me("delete:me:connected_accounts", t.deleteAccount))
	m.HandleFunc("GET /connected-accounts/connect", t.consentPage)
	m.HandleFunc("POST /connected-accounts/connect", t.sameOrigin(t.consent))

	t.managementRoutes(m)

	m.Handle("GET /assets/", assets())
	m.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/phone", http.StatusFound) })
	m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Not Found", http.StatusNotFound) })
	t.mux = m
}

// ServeHTTP answers one request: it reads the body, takes the lock, counts the request against its rate window and routes it. The
// phone, which is a page for people, stays out of the journal.
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/phone") || strings.HasPrefix(r.URL.Path, "/assets/") {
		t.serve(w, r)
		return
	}
	t.Wrap(faults.Auth0, http.HandlerFunc(t.serve)).ServeHTTP(w, r)
}

func (t *Tenant) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "Payload Too Large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path)
	if fault := t.limited(w.Header(), r); fault != nil {
		fault.write(w)
		return
	}
	t.mux.ServeHTTP(w, r)
}

// limited writes the rate headers every answer carries, and refuses the requests that chaos picks. The limit itself is not enforced.
func (t *Tenant) limited(h http.Header, r *http.Request) *oauthError {
	hit := (r.URL.Path == "/oauth/token" || r.URL.Path == "/bc-authorize") && t.state.chaos.OneIn(8)
	left := "99"
	if hit {
		left = "0"
	}
	h.Set("x-ratelimit-limit", "100")
	h.Set("x-ratelimit-remaining", left)
	h.Set("x-ratelimit-reset", strconv.FormatInt(t.now().Unix()+1, 10))
	if hit {
		return t.tooMany(1)
	}
	return nil
}

func (t *Tenant) tooMany(retryAfter int) *oauthError {
	return &oauthError{Status: 429, Code: "too_many_requests", Description: "Rate limit exceeded.", retryAfter: retryAfter}
}

// sameOrigin refuses posts that another site's page makes the browser send. Callers that are not browsers pass.
func (t *Tenant) sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := t.guard.Check(r); err != nil {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// oauthError is an error body of the Authentication API.
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"error_uri,omitempty"`
	MFAToken    string `json:"mfa_token,omitempty"`
	Interval    int    `json:"interval,omitempty"`

	retryAfter int
}

func (e *oauthError) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	writeJSON(w, e.Status, e)
}

func refuse(status int, code, description string) *oauthError {
	return &oauthError{Status: status, Code: code, Description: description}
}

func missing(parameter string) *oauthError {
	return refuse(400, "invalid_request", "Missing required parameter: "+parameter)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the caller went away: nobody left to tell
}

// parseBody reads a form or a flat JSON object; the token endpoint takes both. A parameter given twice is refused (RFC 6749 3.2).
func parseBody(contentType string, body []byte) (url.Values, *oauthError) {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.TrimSpace(strings.ToLower(media)) {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, refuse(400, "invalid_request", "The body is not a form")
		}
		for k, v := range form {
			if len(v) > 1 {
				return nil, refuse(400, "invalid_request", "Parameter "+k+" was given more than once")
			}
		}
		return form, nil
	case "application/json":
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, refuse(400, "invalid_request", "The body is not a JSON object")
		}
		form := url.Values{}
		for k, v := range object {
			if s, ok := v.(string); ok {
				form.Set(k, s)
				continue
			}
			raw, _ := json.Marshal(v) // it was JSON a moment ago
			form.Set(k, string(raw))
		}
		return form, nil
	default:
		return nil, refuse(400, "invalid_request", "Unsupported content type")
	}
}

func id(prefix string) string { return prefix + rand.Text() }

// opaque is n random bytes as base64url.
func opaque(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
