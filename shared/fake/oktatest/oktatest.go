// Package oktatest is a fake Okta org over HTTP.
//
// It answers the Management API paths under /api/v1 for users, groups, apps and
// the System Log the way Okta does, and refuses what Okta refuses:
//
//	request ─▶ fault? ─▶ who (401) ─▶ rate limit (429) ─▶ scope (403 + WWW-Authenticate)
//	        ─▶ admin role (403 E0000006) ─▶ state and type rules ─▶ effect ─▶ System Log event
//
// Lists are paged with separate Link headers whose host is the org's own and
// not the address that was called, group descriptions are null where nobody
// wrote one, lifecycle calls are not idempotent, and a membership list may need
// several pages. The sources are Okta's API reference
// (https://developer.okta.com/docs/reference/core-okta-api/), its error-code
// catalogue and its published OpenAPI document, against which the tests check
// every answer.
//
// What it does not do: the OAuth endpoints (tokens come from [Org.MintToken]),
// DPoP proofs, SSWS tokens, creating or editing user profiles, group rules and
// group owners, changing apps themselves, enrolling factors, asynchronous
// transitions (transitioningToStatus), If-Match, ThreatInsight and everything
// else outside /api/v1/users, /groups, /apps and /logs. Of a list's parameters
// it takes those we send (search of people and groups by name, login and
// e-mail, q of apps, a window of the log about somebody); others answer 501.
// Rate limits are counted and reported, and enforced only when
// [Options.RateLimit] is set. Direct removal of a person whom only a group
// brought into an app answers 404. Nothing persists.
package oktatest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Options shape an [Org]. The zero value is a usable org.
type Options struct {
	// BaseURL is the org's own address, used in Link headers and _links. It
	// need not be the address at which the fake listens; behind a custom
	// domain Okta's is not either. Default: https://example.okta.test.
	BaseURL string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Seed makes ids, generated people and request ids reproducible.
	Seed uint64
	// PageSize is the largest page the org serves whatever limit is asked
	// for. Default 50; negative means Okta's own maxima.
	PageSize int
	// SearchLag is how long a write stays invisible to the search parameter,
	// whose index Okta documents as eventually consistent.
	SearchLag time.Duration
	// RateLimit multiplies Okta's published per-minute limits (1 enforces
	// them as published). 0 counts and reports but refuses nobody.
	RateLimit float64
	// Roles overrides the admin roles of people by user id. The six demo
	// people are super administrators, everybody else has no role.
	Roles map[string]Role
	// Log receives one line per request. Default: none.
	Log *slog.Logger
}

// Org is the fake organisation. It is an [http.Handler] and safe for
// concurrent use.
type Org struct {
	faults.Engine

	opts Options
	mux  *http.ServeMux
	base string

	mu      sync.Mutex
	rng     *rand.Rand
	users   []*user
	groups  []*group
	apps    []*app
	events  []*event
	stale   map[string]stale
	tokens  map[[sha256.Size]byte]token
	mails   []Mail
	buckets map[string]*bucket
}

// New returns an org seeded with the demo people, groups and apps.
func New(opts Options) *Org {
	opts.BaseURL = strings.TrimSuffix(cmp.Or(opts.BaseURL, "https://example.okta.test"), "/")
	opts.PageSize = cmp.Or(opts.PageSize, 50)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	o := &Org{opts: opts, base: opts.BaseURL, tokens: map[[sha256.Size]byte]token{}}
	o.Describe = o.describe
	o.routes()
	o.Reset()
	return o
}

// Reset brings people, groups, apps, log, mails, requests and faults back to
// the seed. Tokens stay good, so whoever is signed in stays signed in.
func (o *Org) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rng = rand.New(rand.NewPCG(o.opts.Seed, 0x6f6b7461)) //nolint:gosec // reproducible test data, not a secret
	o.users, o.groups, o.apps, o.events = nil, nil, nil, nil
	o.stale = map[string]stale{}
	o.mails = nil
	o.Fail()
	o.Forget()
	o.buckets = map[string]*bucket{}
	o.seed()
}

// MailKind says why Okta wrote to somebody.
type MailKind string

// The mails the org sends.
const (
	MailResetPassword MailKind = "reset_password"
	MailActivation    MailKind = "activation"
)

// Mail is one mail the org sent.
type Mail struct {
	Time   time.Time `json:"time"`
	UserID string    `json:"user_id"`
	To     string    `json:"to"`
	Kind   MailKind  `json:"kind"`
}

// Mails returns the mails sent so far, oldest first.
func (o *Org) Mails() []Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mails)
}

// MailCount says how many mails of one kind a person got.
func (o *Org) MailCount(userID string, kind MailKind) (n int) {
	for _, m := range o.Mails() {
		if m.UserID == userID && m.Kind == kind {
			n++
		}
	}
	return n
}

type token struct {
	user    string
	scopes  []string
	expires time.Time
}

// MintToken returns an access token of the org's authorization server for one
// person. It looks like a JWT; like Okta's own it is opaque to everybody else.
// For a person the org does not know it returns "".
func (o *Org) MintToken(userID string, scopes []string, ttl time.Duration) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.user(userID)
	if u == nil {
		return ""
	}
	now := o.opts.Now()
	claims, _ := json.Marshal(map[string]any{ // plain strings and numbers always encode
		"ver": 1, "jti": "AT." + o.randomString(24), "iss": o.base, "aud": o.base, "sub": u.login,
		"uid": u.id, "scp": scopes, "cid": "0oasteward0000000000", "iat": now.Unix(), "exp": now.Add(ttl).Unix(),
	})
	b64 := base64.RawURLEncoding.EncodeToString
	t := b64([]byte(`{"kid":"fake","alg":"RS256"}`)) + "." + b64(claims) + "." + o.randomString(43)
	o.tokens[sha256.Sum256([]byte(t))] = token{u.id, slices.Clone(scopes), now.Add(ttl)}
	return t
}

// RevokeTokens makes every token of a person useless, as clearing their
// sessions with oauthTokens=true would.
func (o *Org) RevokeTokens(userID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.revokeTokens(userID)
}

func (o *Org) revokeTokens(userID string) {
	for k, t := range o.tokens {
		if t.user == userID {
			delete(o.tokens, k)
		}
	}
}

// call is one request on its way through the org.
type call struct {
	*Org
	w     http.ResponseWriter
	r     *http.Request
	now   time.Time
	body  []byte
	token token
	actor *user
	out   answer

	requestID string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

const maxBody = 1 << 20

// ServeHTTP answers one request of the Management API.
func (o *Org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.Wrap(faults.Okta, http.HandlerFunc(o.serve)).ServeHTTP(w, r)
}

// describe names the owner of a request's token in the journal.
func (o *Org) describe(entry *faults.Request, r *http.Request, _ []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry.Actor = o.tokens[bearer(r)].user
}

func bearer(r *http.Request) [sha256.Size]byte {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return sha256.Sum256([]byte(token))
}

func (o *Org) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body", http.StatusRequestEntityTooLarge)
		return
	}
	o.mu.Lock()
	c := &call{Org: o, w: w, r: r, now: o.opts.Now(), body: body, out: answer{header: http.Header{}}, requestID: o.randomHex(32)}
	token, known := o.tokens[bearer(r)]
	if c.admit(token, known && c.now.Before(token.expires)) {
		o.mux.ServeHTTP(c, r)
	}
	o.mu.Unlock()
	o.opts.Log.InfoContext(r.Context(), "okta", "method", r.Method, "path", r.URL.Path, "status", c.out.status,
		"actor", token.user, "request_id", c.requestID)
	c.send()
}

// Header, Write and WriteHeader make a call the ResponseWriter of the mux, so
// that what the mux itself writes (redirects of unclean paths) is kept too.
func (c *call) Header() http.Header { return c.out.header }

func (c *call) Write(b []byte) (int, error) {
	c.out.body = append(c.out.body, b...)
	return len(b), nil
}

func (c *call) WriteHeader(status int) { c.out.status = status }

func (c *call) send() {
	h := c.w.Header()
	for k, v := range c.out.header {
		h[k] = v
	}
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	h.Set("X-Okta-Request-Id", c.requestID)
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Strict-Transport-Security", "max-age=315360000; includeSubDomains")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	if len(c.out.body) > 0 {
		h.Set("Content-Type", "application/json")
	}
	c.w.WriteHeader(cmp.Or(c.out.status, http.StatusOK))
	_, _ = c.w.Write(c.out.body) // a client that left is no concern of ours
}

// admit says who is asking, and whether the org still listens to them.
func (c *call) admit(t token, live bool) bool {
	if values := c.r.Header.Values("Authorization"); len(values) != 1 || !live {
		c.unauthorized()
		return false
	}
	c.token, c.actor = t, c.user(t.user)
	if c.actor == nil || c.actor.status == Deprovisioned || c.actor.status == Suspended {
		c.unauthorized()
		return false
	}
	if accept := c.r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") {
		c.fail(http.StatusBadRequest, "E0000021", "Bad request.  Accept and/or Content-Type headers likely do not match supported values.")
		return false
	}
	if b := c.count(); b.used > b.limit && c.opts.RateLimit > 0 {
		c.out.header.Set("X-Rate-Limit-Remaining", "0")
		c.fail(http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.")
		return false
	}
	return true
}

// count counts the request against its bucket and says so in the headers.
func (c *call) count() *bucket {
	b := c.bucket()
	b.used++
	h := c.out.header
	h.Set("X-Rate-Limit-Limit", strconv.Itoa(b.limit))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(b.limit-b.used, 0)))
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
	return b
}

func (c *call) unauthorized() {
	c.out.header.Set("WWW-Authenticate", `Bearer authorization_uri="`+c.base+`/oauth2/v1/authorize", realm="`+c.base+
		`", error="invalid_token", error_description="The access token is invalid or has expired."`)
	c.fail(http.StatusUnauthorized, "E0000011", "Invalid token provided")
}

// may refuses whoever lacks the scope or the admin role.
func (c *call) may(scope string, p permission) bool {
	if !c.hasScope(scope) {
		c.out.header.Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization_uri="%s/oauth2/v1/authorize", realm="%[1]s", scope="%s", `+
			`error="insufficient_scope", error_description="The access token provided does not contain the required scopes.", resource="%s"`,
			c.base, scope, c.r.URL.Path))
		c.forbidden()
		return false
	}
	if !c.actor.role.may(p) {
		c.forbidden()
		return false
	}
	return true
}

func (c *call) forbidden() {
	c.fail(http.StatusForbidden, "E0000006", "You do not have permission to perform the requested action")
}

func (c *call) hasScope(scope string) bool {
	manage := strings.TrimSuffix(scope, ".read") + ".manage"
	return slices.Contains(c.token.scopes, scope) || slices.Contains(c.token.scopes, manage)
}

func (c *call) ok(v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // maps of plain values always encode
		panic(err)
	}
	c.out.status, c.out.body = http.StatusOK, bytes.TrimRight(b.Bytes(), "\n")
}

func (c *call) empty()     { c.ok(map[string]any{}) }
func (c *call) noContent() { c.out.status = http.StatusNoContent }

func (c *call) fail(status int, code, summary string, causes ...string) {
	list := make([]any, 0, len(causes))
	for _, s := range causes {
		list = append(list, map[string]any{"errorSummary": s})
	}
	c.ok(map[string]any{
		"errorCode": code, "errorSummary": summary, "errorLink": code,
		"errorId": "oae" + c.randomString(22), "errorCauses": list,
	})
	c.out.status = status
}

func (c *call) invalid(what string, causes ...string) {
	c.fail(http.StatusBadRequest, "E0000001", "Api validation failed: "+what, causes...)
}

func (c *call) notFound(id, kind string) {
	c.fail(http.StatusNotFound, "E0000007", "Not found: Resource not found: "+id+" ("+kind+")")
}

// page answers one page of a list and its Link headers.
func page[T any](c *call, all []T, id func(T) string, standard, largest int, render func(T) any) {
	limit := standard
	q := c.r.URL.Query()
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			c.invalid("limit", "limit: The limit must be a positive number.")
			return
		}
		limit = n
	}
	asked := min(limit, largest)
	limit = asked
	if c.opts.PageSize > 0 {
		limit = min(limit, c.opts.PageSize)
	}
	from := 0
	if after := q.Get("after"); after != "" {
		i := slices.IndexFunc(all, func(v T) bool { return id(v) == after })
		if i < 0 {
			c.fail(http.StatusBadRequest, "E0000031", "Invalid search criteria.", "Invalid cursor.")
			return
		}
		from = i + 1
	}
	to := min(from+limit, len(all))
	out := make([]any, 0, to-from)
	for _, v := range all[from:to] {
		out = append(out, render(v))
	}
	q.Set("limit", strconv.Itoa(asked))
	c.link("self", q)
	if to < len(all) {
		q.Set("after", id(all[to-1]))
		c.link("next", q)
	}
	c.ok(out)
}

func (c *call) link(rel string, q url.Values) {
	c.out.header.Add("Link", "<"+c.base+c.r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="`+rel+`"`)
}

// bucket is one rate limit window.
type bucket struct {
	limit, used int
	reset       time.Time
}

func (c *call) bucket() *bucket {
	parts := strings.Split(strings.TrimPrefix(c.r.URL.Path, "/api/v1/"), "/")
	name, limit := "api", 1200
	switch {
	case parts[0] == "users" && len(parts) == 2 && c.r.Method == http.MethodGet:
		name, limit = "users/id", 2000
	case parts[0] == "users" && len(parts) <= 2:
		name, limit = "users", 600
	case parts[0] == "groups" && len(parts) == 2:
		name, limit = "groups/id", 1000
	case parts[0] == "groups":
		name, limit = "groups", 500
	case parts[0] == "apps" && len(parts) == 1:
		name, limit = "apps", 100
	case parts[0] == "apps":
		name, limit = "apps/id", 500
	case parts[0] == "logs":
		name, limit = "logs", 120
	}
	if c.opts.RateLimit > 0 {
		limit = max(1, int(float64(limit)*c.opts.RateLimit))
	}
	key := c.r.Method + " " + name
	b := c.buckets[key]
	if b == nil || !c.now.Before(b.reset) {
		b = &bucket{limit: limit, reset: c.now.Add(time.Minute)}
		c.buckets[key] = b
	}
	return b
}

func (o *Org) routes() {
	o.mux = http.NewServeMux()
	handle := func(pattern, scope string, p permission, h func(*call)) {
		o.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c := w.(*call) // ServeHTTP passes nothing else
			c.r = r        // the mux's own copy, which knows the path values
			if c.may(scope, p) {
				h(c)
			}
		})
	}
	o.userRoutes(handle)
	o.groupRoutes(handle)
	o.appRoutes(handle)
	handle("GET /api/v1/logs", "okta.logs.read", readLogs, (*call).listEvents)
	o.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			probe := r.Clone(r.Context())
			probe.Method = m
			if _, pattern := o.mux.Handler(probe); pattern != "/" {
				c.fail(http.StatusMethodNotAllowed, "E0000022", "The endpoint does not support the provided HTTP method")
				return
			}
		}
		c.fail(http.StatusNotFound, "E0000008", "The requested path was not found")
	})
}

type handleFunc = func(pattern, scope string, p permission, h func(*call))

// decode reads a JSON body.
func (c *call) decode(v any) bool {
	if err := json.Unmarshal(c.body, v); err != nil {
		c.fail(http.StatusBadRequest, "E0000003", "The request body was not well-formed.")
		return false
	}
	return true
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (o *Org) randomString(n int) string { return o.random(n, alphabet) }
func (o *Org) randomHex(n int) string    { return o.random(n, "0123456789abcdef") }

func (o *Org) random(n int, from string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[o.rng.IntN(len(from))]
	}
	return string(b)
}

// Time marshals as Okta writes it: milliseconds and Z.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
