package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

const (
	clientSecret = "canary-client-secret-7c1d"
	tokenKey     = "canary-token-key-0123456789abcdef0123456789"
	auditKey     = "canary-audit-key-0123456789abcdef0123456789"
	alice        = "alice@example.com"
	aliceSub     = "oidc|okta-corp|00ualice000000000001"
	bob          = "bob@example.com"
)

// world is the chat over HTTP, with the fakes of Auth0, Okta, AWS and the agent. It has its own versions of the agent's two
// functions: one lists groups, the other asks for an approval.
type world struct {
	t         *testing.T
	base      string
	env       map[string]string
	from      aws.Config
	app       http.Handler
	auth0     *auth0test.Server
	okta      *oktatest.Org
	aws       *awstest.Server
	table     *lossy // in front of aws
	bedrock   *bedrocktest.Server
	approvals *dynamo.Approvals
	sessions  *dynamo.Sessions
	log       *bytes.Buffer

	mu     sync.Mutex
	now    time.Time
	events []actiongroup.Event
	hold   func() // called before the next function answers
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// locked makes a writer safe for concurrent use.
type locked struct {
	mu sync.Mutex
	io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Writer.Write(p)
}

func begin(t *testing.T, change ...func(env map[string]string)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now().Truncate(time.Millisecond), log: &bytes.Buffer{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.base = "http://" + listener.Addr().String()

	client := auth0test.WebApp("steward-local", clientSecret, w.base+"/callback", w.base+"/connect/callback")
	client.AllowedLogoutURLs = []string{w.base + "/"}
	w.okta = oktatest.New(oktatest.Options{Now: w.clock, Seed: 7})
	org := httptest.NewServer(w.okta)
	t.Cleanup(org.Close)
	w.auth0 = auth0test.Start(t, auth0test.Options{
		OktaToken: func(p auth0test.Person, scopes []string) (string, time.Duration) {
			return w.okta.MintToken(p.OktaUserID, scopes, time.Hour), time.Hour
		},
		Clients: []auth0test.Client{client},
		Now:     w.clock,
		People: []auth0test.Person{
			{Email: alice, EmailVerified: true, Name: "Alice <Adams>", OktaUserID: oktatest.Alice, PushEnrolled: true},
			{Email: bob, EmailVerified: true, OktaUserID: oktatest.Bob, PushEnrolled: true},
		},
	})
	w.bedrock = bedrocktest.New(bedrocktest.Options{Invoke: w.invoke})
	w.aws = awstest.New(awstest.Options{
		NoChaos: true, Now: w.clock,
		Tables: []awstest.Table{
			{
				Name: "sessions", Hash: awstest.Key{Name: "session_id"}, Range: awstest.Key{Name: "item"}, TTL: "ttl",
				Indexes: []awstest.Index{{Name: "by-owner", Hash: awstest.Key{Name: "owner"}, Range: awstest.Key{Name: "item"}}},
			},
			{Name: "audit", Hash: awstest.Key{Name: "subject"}, Range: awstest.Key{Name: "id"}},
		},
		Secrets:    map[string]string{"auth0": clientSecret, "key": tokenKey, "audit-key": auditKey, "empty-key": "", "short-key": "canary-token-key"},
		Parameters: map[string]string{"/steward/base-url": w.base},
		Invoke:     w.invoke,
		Fallback:   w.bedrock,
	})
	w.table = &lossy{next: w.aws}
	endpoint := httptest.NewServer(w.table)
	t.Cleanup(endpoint.Close)
	env := map[string]string{
		"SESSION_TABLE_NAME": "sessions", "AUDIT_TABLE_NAME": "audit",
		"AUTH0_ISSUER_URL": w.auth0.URL, "AUTH0_CLIENT_ID": "steward-local", "AUTH0_CLIENT_SECRET_ARN": w.aws.SecretARN("auth0"),
		"AUTH0_CONNECTION_NAME": "okta-corp", "TOKEN_KEY_SECRET_ARN": w.aws.SecretARN("key"), "AUDIT_KEY_SECRET_ARN": w.aws.SecretARN("audit-key"),
		"OKTA_ORG_URL":  org.URL,
		"AGENT_RUNTIME": "classic", "BEDROCK_AGENT_ID": "AGENT12345", "BEDROCK_AGENT_ALIAS_ID": "ALIAS12345",
		"APP_BASE_URL": w.base,
	}
	for _, f := range change {
		f(env)
	}
	w.env = env
	w.from = aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond })
		},
	}
	db := dynamodb.NewFromConfig(w.from)
	w.approvals, w.sessions = dynamo.NewApprovals(db, "sessions"), dynamo.NewSessions(db, "sessions")
	w.app = w.process(env)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: w.app}}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		for _, canary := range []string{clientSecret, "canary-token-key", auditKey} {
			if strings.Contains(w.log.String(), canary) {
				t.Errorf("the log holds %q", canary)
			}
		}
	})
	return w
}

// process returns the handler of a new process of the function.
func (w *world) process(env map[string]string) http.Handler {
	w.t.Helper()
	cfg, err := parseConfig(lookup(env))
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := newHandler(cfg, w.from, slog.New(slog.NewTextHandler(&locked{Writer: io.MultiWriter(w.log, w.t.Output())}, nil)), w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

func harness(env map[string]string) {
	delete(env, "BEDROCK_AGENT_ID")
	delete(env, "BEDROCK_AGENT_ALIAS_ID")
	env["AGENT_RUNTIME"] = "harness"
	env["HARNESS_ARN"] = "arn:aws:bedrock-agentcore:us-east-1:000000000000:harness/steward-AbCdEf1234"
	env["OKTA_GROUPS_FUNCTION_NAME"] = catalogue.GroupOkta
	env["CIBA_FUNCTION_NAME"] = catalogue.GroupCIBA
}

// invoke runs the functions of the agent.
func (w *world) invoke(ctx context.Context, name string, payload []byte) ([]byte, string, error) {
	e, err := actiongroup.Decode(payload)
	if err != nil {
		return nil, "", err
	}
	w.mu.Lock()
	w.events = append(w.events, e)
	hold := w.hold
	w.hold = nil
	w.mu.Unlock()
	if hold != nil {
		hold()
	}
	answer := e.Answer(`3 groups: "Everyone", "Engineering", "<img src=x onerror=alert(1)>"`)
	if name == catalogue.GroupCIBA && e.Function != "check_approval" {
		a := w.ask(ctx, session.ID(e.SessionID), aliceSub)
		answer = e.Answer("Approve on your phone, code " + a.Code + ". I'll carry on by myself.")
	}
	out, err := json.Marshal(answer)
	return out, "", err
}

// ask stores a pending approval, as the function ciba does.
func (w *world) ask(ctx context.Context, id session.ID, owner session.Subject) approval.Approval {
	w.t.Helper()
	now := w.clock()
	a := approval.Approval{
		ID: approval.NewID(now), SessionID: id, Owner: owner, Operation: "reset_password",
		Target: approval.Ref{Type: "okta_user", ID: "00u" + approval.NewCode() + approval.NewCode(), Label: bob}, ExpiresAt: now.Add(5 * time.Minute),
		Code: "K7QX", Summary: "Reset the password of " + bob, Status: approval.Pending, CreatedAt: now,
	}
	a.Digest = a.Sum()
	a, _, err := w.approvals.Create(ctx, a, now)
	if err != nil {
		w.t.Error(err)
	}
	return a
}

// browser keeps cookies and does not follow redirects.
type browser struct {
	*world
	jar    *cookiejar.Jar
	client *http.Client
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{world: w, jar: jar, client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type answer struct {
	*http.Response
	body string
}

func (b *browser) do(method, to, body string, headers ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = b.base + to
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(got)}
}

func (b *browser) get(to string) answer { b.t.Helper(); return b.do(http.MethodGet, to, "") }

func (b *browser) ask(message string) answer {
	b.t.Helper()
	body, _ := json.Marshal(map[string]string{"message": message})
	return b.do(http.MethodPost, "/api/chat", string(body), "Content-Type", "application/json", "Origin", b.base, "Sec-Fetch-Site", "same-origin")
}

func (a answer) wants(t *testing.T, status int, parts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Fatalf("%s %s: the answer lacks %q:\n%s", a.Request.Method, a.Request.URL.Path, part, a.body)
		}
	}
	return a
}

// location returns the target of a redirect.
func (b *browser) location(a answer) string {
	b.t.Helper()
	if a.StatusCode/100 != 3 {
		b.t.Fatalf("%s: got %d %s, want a redirect", a.Request.URL, a.StatusCode, a.body)
	}
	to, err := a.Location()
	if err != nil {
		b.t.Fatal(err)
	}
	return to.String()
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(state|ticket)" value="([^"]*)">`)

// authorize signs in at Auth0 from the address that /login gave, and returns the address of the callback.
func (b *browser) authorize(to, email string) string {
	b.t.Helper()
	got := b.get(to)
	for range 4 {
		if got.StatusCode/100 == 3 {
			next := b.location(got)
			if mustParse(b.t, next).Path == "/callback" {
				return next
			}
			got = b.get(next)
			continue
		}
		m := hidden.FindStringSubmatch(got.body)
		if m == nil {
			break
		}
		got = b.do(http.MethodPost, b.auth0.URL+"/u/login", url.Values{"state": {m[2]}, "person": {email}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	b.t.Fatalf("signing in at Auth0 led nowhere: %d %s", got.StatusCode, got.body)
	return ""
}

func (b *browser) signIn(email string) *browser {
	b.t.Helper()
	done := b.get(b.authorize(b.location(b.get("/login")), email))
	if to := b.location(done); to != b.base+"/" {
		b.t.Fatalf("the callback leads to %s", to)
	}
	return b
}

// cookie returns the browser's login cookie, "" if it has none.
func (b *browser) cookie() string {
	u, _ := url.Parse(b.base)
	for _, c := range b.jar.Cookies(u) {
		if c.Name == "steward" {
			return c.Value
		}
	}
	return ""
}

type event struct{ name, data string }

func eventsOf(body string) (all []event) {
	for block := range strings.SplitSeq(body, "\n\n") {
		var e event
		for line := range strings.SplitSeq(block, "\n") {
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				e.name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				e.data = v
			}
		}
		if e.name != "" {
			all = append(all, e)
		}
	}
	return all
}

func textOf(all []event) string {
	var b strings.Builder
	for _, e := range all {
		var piece struct{ Text string }
		if e.name == "text" && json.Unmarshal([]byte(e.data), &piece) == nil {
			b.WriteString(piece.Text)
		}
	}
	return b.String()
}

func names(all []event) string {
	var out []string
	for _, e := range all {
		if len(out) == 0 || out[len(out)-1] != e.name {
			out = append(out, e.name)
		}
	}
	return strings.Join(out, " ")
}

// runtimes change the environment for each agent runtime.
var runtimes = map[string]func(env map[string]string){"classic": func(map[string]string) {}, "harness": harness}

// ended reports whether the chat ended a session at the agent: with endSession or StopRuntimeSession.
func (w *world) ended(runtime, id string) bool {
	return slices.ContainsFunc(w.bedrock.Requests(), func(r bedrocktest.Request) bool {
		return r.End && r.Runtime == runtime && r.SessionID == id
	})
}

// refreshToken returns a function that tries the current refresh token of a session.
func (w *world) refreshToken(id session.ID) (alive func() error) {
	w.t.Helper()
	s, err := w.sessions.Session(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	sealer, err := seal.New(secret.New(tokenKey))
	if err != nil {
		w.t.Fatal(err)
	}
	refresh, err := tokenvault.OpenRefreshToken(sealer, s)
	if err != nil {
		w.t.Fatal(err)
	}
	client := auth0.New(auth0.Config{Issuer: mustParse(w.t, w.auth0.URL), ClientID: "steward-local", Secret: func(context.Context) (secret.String, error) { return secret.New(clientSecret), nil }})
	return func() error { _, err := client.Refresh(w.t.Context(), refresh, "", ""); return err }
}

func TestSignInAskSignOut(t *testing.T) {
	for runtime, change := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			w := begin(t, change)
			b := w.browser()
			b.get("/").wants(t, 200, `data-testid="signed-out"`, `data-testid="login"`)
			b.signIn(alice)
			page := b.get("/").wants(t, 200, "Hello, <bdi>Alice</bdi>.", alice, `data-testid="message"`, `data-testid="connect-card"`)
			if strings.Contains(page.body, "<Adams>") {
				t.Error("a name is markup on the page")
			}

			got := b.ask("What are my Okta groups?").wants(t, 200)
			if kind := got.Header.Get("Content-Type"); kind != "text/event-stream" {
				t.Errorf("content type %q", kind)
			}
			all := eventsOf(got.body)
			if text := textOf(all); !strings.Contains(text, "Engineering") {
				t.Errorf("answer %q", text)
			}
			if !strings.HasPrefix(names(all), "trace") || !strings.HasSuffix(names(all), "text done") && !strings.HasSuffix(names(all), "trace done") {
				t.Errorf("events %s", names(all))
			}
			if strings.Contains(got.body, "<img") {
				t.Error("markup is not escaped in the stream")
			}
			id := w.events[0].SessionID
			if len(id) != 43 || strings.Contains(page.body, id) || strings.Contains(got.body, id) || id == b.cookie() {
				t.Errorf("session id %q is not private", id)
			}
			w.browser().do(http.MethodGet, "/api/approvals", "", "Cookie", "steward="+id).wants(t, 401) // nor a credential

			got = b.ask("Reset the password of bob@example.com").wants(t, 200, "event: approval\n", `"code":"K7QX"`, `"status":"pending"`)
			var cards []map[string]any
			if err := json.Unmarshal([]byte(b.get("/api/approvals").wants(t, 200).body), &cards); err != nil || len(cards) != 1 {
				t.Fatalf("approvals %v %v", cards, err)
			}
			for _, field := range []string{"id", "operation", "summary", "code", "status", "created_at", "expires_at", "result", "requester", "approver"} {
				if _, ok := cards[0][field]; !ok {
					t.Errorf("an approval lacks %s", field)
				}
			}

			alive := w.refreshToken(session.ID(id))
			if err := alive(); err != nil {
				t.Fatalf("the refresh token does not work before: %v", err)
			}
			out := b.do(http.MethodPost, "/logout", "", "Origin", w.base, "Sec-Fetch-Site", "same-origin")
			if to := b.location(out); !strings.HasPrefix(to, w.auth0.URL+"/v2/logout?") || !strings.Contains(to, url.QueryEscape(w.base+"/")) {
				t.Errorf("signing out leads to %s", to)
			}
			b.get("/api/approvals").wants(t, 401, `"message"`)
			if b.cookie() != "" {
				t.Error("the cookie is still there")
			}
			left, err := w.approvals.ByOwner(t.Context(), aliceSub, 5)
			if err != nil || len(left) != 1 || left[0].Status != approval.Cancelled {
				t.Errorf("after signing out the approval is %+v, %v", left, err)
			}
			if err := alive(); fault.KindOf(auth0.Fault(err)) != fault.Unauthenticated {
				t.Errorf("after signing out the refresh token gives %v", err)
			}
			if !w.ended(runtime, id) {
				t.Error("the agent still holds the conversation")
			}
		})
	}
}

func TestCookies(t *testing.T) {
	w := begin(t)
	b := w.browser()
	start := b.get("/login")
	done := b.get(b.authorize(b.location(start), alice))
	for _, got := range []answer{start, done} {
		for _, c := range got.Cookies() {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %v", c)
			}
			if len(c.Value) > 600 || strings.Contains(c.Value, "alice") {
				t.Errorf("cookie %s holds more than it should: %d bytes", c.Name, len(c.Value))
			}
		}
	}
	first := b.cookie()
	b.signIn(alice)
	if second := b.cookie(); second == "" || second == first {
		t.Errorf("a new sign-in keeps the cookie: %q, %q", first, second)
	}
	old := w.browser()
	old.do(http.MethodGet, "/api/approvals", "", "Cookie", "steward="+first).wants(t, 401)

	t.Run("over https", func(t *testing.T) {
		w := begin(t, func(env map[string]string) { env["APP_BASE_URL"] = "https://steward.example" })
		w.auth0.Configure(func(s *auth0test.Settings) {
			c := s.Clients["steward-local"]
			c.Callbacks = append(c.Callbacks, "https://steward.example/callback")
		})
		b := w.browser()
		start := b.get("/login")
		back := mustParse(t, b.authorize(b.location(start), alice))
		if back.Scheme+"://"+back.Host != "https://steward.example" {
			t.Errorf("the way back is %s", back)
		}
		flow := start.Cookies()[0]
		done := b.do(http.MethodGet, "/callback?"+back.RawQuery, "", "Cookie", flow.Name+"="+flow.Value)
		if to := b.location(done); to != "https://steward.example/" {
			t.Errorf("the callback leads to %s", to)
		}
		made := map[string]string{}
		for _, got := range []answer{start, done} {
			if got.Header.Get("Strict-Transport-Security") == "" {
				t.Errorf("%s may be asked for in clear", got.Request.URL.Path)
			}
			for _, c := range got.Cookies() {
				if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
					t.Errorf("cookie %v", c)
				}
				made[c.Name] = c.Value
			}
		}
		if login := made["__Host-steward"]; !regexp.MustCompile(`^[A-Z2-7]{52}$`).MatchString(login) || made["__Host-steward-flow"] != "" || len(made) != 2 {
			t.Errorf("cookies %v, want a login that is a random text, and a flow that is over", made)
		}
	})
}

func TestLoginExpires(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	w.forward(8*time.Hour + time.Second)
	b.get("/api/approvals").wants(t, 401)
	b.get("/").wants(t, 200, `data-testid="signed-out"`, "has ended")
	b.get("/").wants(t, 200, `data-testid="signed-out"`)
}

func TestCallbackRefuses(t *testing.T) {
	w := begin(t)
	back := func(b *browser) *url.URL {
		u, err := url.Parse(b.authorize(b.location(b.get("/login")), alice))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	with := func(u *url.URL, pairs ...string) string {
		q := u.Query()
		for i := 0; i+1 < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
			if pairs[i+1] == "" {
				q.Del(pairs[i])
			}
		}
		return w.base + "/callback?" + q.Encode()
	}
	for name, pairs := range map[string][]string{
		"another state":   {"state", strings.Repeat("A", 52)},
		"no state":        {"state", ""},
		"no code":         {"code", ""},
		"another code":    {"code", "nonsense"},
		"access denied":   {"code", "", "error", "access_denied", "error_description", "<b>evil words</b>"},
		"unreadable":      {"code", "", "error", "<script>"},
		"interaction":     {"code", "", "error", "login_required"},
		"state of blanks": {"state", " "},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			got := b.get(with(back(b), pairs...))
			if got.StatusCode < 400 || got.StatusCode > 499 {
				t.Fatalf("got %d", got.StatusCode)
			}
			got.wants(t, got.StatusCode, `data-testid="ref"`, "Back to Steward")
			if strings.Contains(got.body, "evil") || strings.Contains(got.body, "<script>") || b.cookie() != "" {
				t.Errorf("page %s, cookie %q", got.body, b.cookie())
			}
		})
	}
	t.Run("without the cookie of the beginning", func(t *testing.T) {
		w.browser().get(back(w.browser()).String()).wants(t, 401, "in another browser")
	})
	t.Run("too late", func(t *testing.T) {
		b := w.browser()
		u := back(b)
		w.forward(11 * time.Minute)
		b.get(u.String()).wants(t, 401)
	})
	t.Run("twice", func(t *testing.T) {
		b := w.browser()
		u := back(b).String()
		flow := b.jar.Cookies(mustParse(t, u))
		b.location(b.get(u))
		b.get(u).wants(t, 401) // the flow is used up
		b.jar.SetCookies(mustParse(t, u), flow)
		b.get(u).wants(t, 401) // and so is the code
	})
	t.Run("a nonce of another sign-in", func(t *testing.T) {
		b := w.browser()
		to := mustParse(t, b.location(b.get("/login")))
		q := to.Query()
		q.Set("nonce", "another")
		to.RawQuery = q.Encode()
		b.get(b.authorize(to.String(), alice)).wants(t, 401, "could not verify your sign-in")
	})
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestConnectOkta(t *testing.T) {
	w := begin(t)
	b := w.browser()
	if to := b.location(b.get("/connect")); to != w.base+"/" {
		t.Errorf("signed out, /connect leads to %s", to)
	}
	if to := b.location(b.get("/connect/callback?connect_code=x&state=y")); to != w.base+"/" {
		t.Errorf("signed out, /connect/callback leads to %s", to)
	}
	b.signIn(alice)
	b.get("/").wants(t, 200, `data-testid="connect"`, `data-testid="connect-card"`)

	b.get(b.consent("deny", alice)).wants(t, 403, "Okta is not connected", `data-testid="ref"`)

	back := b.consent("approve", alice)
	other := w.browser().signIn(bob)
	other.jar.SetCookies(mustParse(t, w.base), flowOf(b))
	other.get(back).wants(t, 401) // a flow opens only under the login it was started in
	if to := b.location(b.get(back)); to != w.base+"/#connected" {
		t.Errorf("connected, and led to %s", to)
	}
	page := b.get("/").wants(t, 200, "Okta connected")
	if strings.Contains(page.body, `data-testid="connect"`) {
		t.Error("still asks to connect")
	}
}

func flowOf(b *browser) (flow []*http.Cookie) {
	u, _ := url.Parse(b.base)
	for _, c := range b.jar.Cookies(u) {
		if c.Name == "steward-flow" {
			flow = append(flow, c)
		}
	}
	return flow
}

func TestConsoleLinking(t *testing.T) {
	begin(t).browser().get("/link?session=abc").wants(t, 404)

	w := begin(t, func(env map[string]string) { env["CONSOLE_LINKING"] = "on" })
	sealer, err := seal.New(secret.New(tokenKey))
	if err != nil {
		t.Fatal(err)
	}
	const console = session.ID("301234567890123")
	code := func(id session.ID) string {
		c, err := session.LinkCode(sealer, id, w.clock())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	post := func(b *browser, id session.ID, code string, headers ...string) answer {
		return b.do(http.MethodPost, "/link", url.Values{"session": {string(id)}, "code": {code}}.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
	}
	if to := w.browser().location(w.browser().get("/link?session=" + string(console))); to != w.base+"/" {
		t.Errorf("signed out, /link leads to %s", to)
	}
	b := w.browser().signIn(alice)
	b.get("/link?session=%3Cscript%3E").wants(t, 400)
	b.get("/link").wants(t, 400)
	b.get("/link?session="+string(console)).wants(t, 200, alice, `data-testid="link-code"`, `value="301234567890123"`)
	post(b, console, "AAAA-AAAA").wants(t, 422, "shows another code")
	post(b, "another-session", code(console)).wants(t, 422, "shows another code")
	post(b, console, code(console), "Origin", "https://evil.example").wants(t, 403)
	if _, err := w.sessions.Session(t.Context(), console); err == nil {
		t.Fatal("linked without its code")
	}
	post(b, console, " "+strings.ToLower(code(console))).wants(t, 200, "acts for alice@example.com")
	post(b, console, code(console)).wants(t, 200)
	s, err := w.sessions.Session(t.Context(), console)
	if err != nil || s.Owner.Subject != aliceSub || !s.Live(w.clock()) || len(s.RefreshToken) == 0 {
		t.Fatalf("session %+v, %v", s.ID, err)
	}
	b.ask("What are my Okta groups?").wants(t, 200)
	if w.events[0].SessionID == string(console) {
		t.Error("the browser talks in the console's session")
	}
	post(w.browser().signIn(bob), console, code(console)).wants(t, 409, "Somebody else")
	b.location(b.do(http.MethodPost, "/logout", ""))
	if _, err := w.sessions.Session(t.Context(), console); err == nil {
		t.Error("the console's session outlives the login")
	}
}

func TestNotSignedIn(t *testing.T) {
	w := begin(t)
	for _, cookie := range []string{"", "steward=", "steward=" + strings.Repeat("A", 52), "steward=../../x", "steward=" + strings.Repeat("A", 5000)} {
		for _, path := range []string{"GET /api/approvals", "GET /api/activity", "POST /api/chat", "POST /api/chat/new", "POST /api/approvals/x/cancel"} {
			method, path, _ := strings.Cut(path, " ")
			got := w.browser().do(method, path, `{"message":"hi"}`, "Cookie", cookie, "Content-Type", "application/json")
			got.wants(t, 401, `"message":"You are not signed in`, `"ref":"`)
			if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", got.Header)
			}
		}
	}
}

func TestCrossSiteIsRefused(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	for name, headers := range map[string][]string{
		"another origin":          {"Origin", "https://evil.example"},
		"opaque origin":           {"Origin", "null"},
		"cross-site":              {"Sec-Fetch-Site", "cross-site"},
		"another port, same host": {"Sec-Fetch-Site", "same-site", "Origin", w.auth0.URL},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/logout", "/api/chat", "/api/chat/new", "/api/approvals/x/cancel"} {
				b.do(http.MethodPost, path, `{"message":"hi"}`, append(headers, "Content-Type", "application/json")...).wants(t, 403, "another site")
			}
		})
	}
	b.do(http.MethodGet, "/api/approvals", "", "Sec-Fetch-Site", "same-site").wants(t, 403)
	b.get("/api/approvals").wants(t, 200) // still signed in
}

func TestQuestionsAreLimited(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	post := func(body, kind string) answer {
		return b.do(http.MethodPost, "/api/chat", body, "Content-Type", kind)
	}
	post(`{"message":"hi"}`, "text/plain").wants(t, 415, "application/json")
	post(`{"message":"hi"}`, "").wants(t, 415)
	post(`{"message":"`, "application/json").wants(t, 400, `"ref"`)
	post(`{"message":" \u0000\n"}`, "application/json").wants(t, 400, "message is empty")
	post(`["hi"]`, "application/json").wants(t, 400)
	post(`{"message":"`+strings.Repeat("x", 8193)+`"}`, "application/json").wants(t, 413, "longer than 8 KB")
	post(`{"message":"`+strings.Repeat("x", 100<<10)+`"}`, "application/json").wants(t, 413, "longer than")
	post(strings.Repeat("x", 3<<20), "application/json").wants(t, 413, "longer than")
	b.get("/api/chat").wants(t, 405)
	b.get("/api/nothing").wants(t, 404, `"message"`)
	b.get("/nothing").wants(t, 404, "no such page")
}

func TestNewChatIsANewSession(t *testing.T) {
	for runtime, change := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			w := begin(t, change)
			b := w.browser().signIn(alice)
			b.ask("What are my Okta groups?").wants(t, 200)
			before := b.get("/").body
			b.do(http.MethodPost, "/api/chat/new", "").wants(t, 204)
			b.ask("What are my Okta groups?").wants(t, 200)
			if len(w.events) != 2 || w.events[0].SessionID == w.events[1].SessionID {
				t.Fatalf("sessions %v", w.events)
			}
			marker := regexp.MustCompile(`data-conversation="([^"]+)"`)
			if marker.FindString(before) == marker.FindString(b.get("/").body) {
				t.Error("the page cannot tell the conversations apart")
			}
			if !w.ended(runtime, w.events[0].SessionID) || w.ended(runtime, w.events[1].SessionID) {
				t.Error("the agent still holds the old conversation, or has lost the new one")
			}
			b.do(http.MethodPost, "/logout", "") // ends every conversation of the login
			if !w.ended(runtime, w.events[1].SessionID) {
				t.Error("the agent still holds the new conversation")
			}
		})
	}
}

func TestOutcomesReachTheAgentOnce(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	b.ask("Reset the password of bob@example.com").wants(t, 200, "event: approval")
	all, err := w.approvals.ByOwner(t.Context(), aliceSub, 5)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	a := all[0]
	key, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() (approval.Transition, error){
		func() (approval.Transition, error) { return a.Approve(w.clock(), key) },
		func() (approval.Transition, error) { return a.Claim(w.clock(), time.Minute) },
		func() (approval.Transition, error) {
			return a.Finish(w.clock(), approval.Done, approval.Outcome{Result: "Bob gets a mail."})
		},
	} {
		next, err := step()
		if err == nil {
			a, err = w.approvals.Transition(t.Context(), next)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.ask("What am I allowed to do?").wants(t, 200)
	b.ask("What are my Okta groups?").wants(t, 200)
	var reported []string
	for _, r := range w.bedrock.Requests() {
		if strings.Contains(r.Text, "Bob gets a mail.") {
			reported = append(reported, r.Text)
		}
	}
	if len(reported) != 1 || !strings.Contains(reported[0], "approval K7QX (Reset the password of bob@example.com) is done") {
		t.Errorf("the agent got %q, want the outcome once", reported)
	}
}

func TestCancel(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	b.ask("Reset the password of bob@example.com").wants(t, 200)
	all, _ := w.approvals.ByOwner(t.Context(), aliceSub, 5)
	path := "/api/approvals/" + url.PathEscape(all[0].ID) + "/cancel"
	w.browser().signIn(bob).do(http.MethodPost, path, "").wants(t, 404)
	b.do(http.MethodPost, "/api/approvals/..%2F..%2Fx/cancel", "").wants(t, 404)
	b.do(http.MethodPost, path, "").wants(t, 200, `"status":"cancelled"`)
	b.do(http.MethodPost, path, "").wants(t, 409, "already cancelled")
	b.get("/api/activity").wants(t, 200, `you cancelled it before I began`, `"outcome":"cancelled"`, `"operation":"reset_password"`, `"operation":"sign_in"`)
}

func TestAgentFailuresAreAnswered(t *testing.T) {
	for name, f := range map[string]faults.Fault{
		"before": bedrocktest.Failing("AccessDeniedException", "canary: user secret-arn", 0),
		"within": bedrocktest.Failing("InternalServerException", "", 2),
		"reset":  {Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			b := w.browser().signIn(alice)
			w.bedrock.Fail(f)
			got := b.ask("What are my Okta groups?").wants(t, 200, "event: error\n", `"message":"`, `"ref":"`)
			if all := eventsOf(got.body); all[len(all)-1] != (event{"done", "{}"}) {
				t.Errorf("ends with %v", all[len(all)-1])
			}
			if strings.Contains(got.body, "canary") || strings.Contains(got.body, "Exception") {
				t.Errorf("leaks: %s", got.body)
			}
		})
	}
}

// TestHostIsIgnored: no address is built from the Host header.
func TestHostIsIgnored(t *testing.T) {
	w := begin(t)
	req := httptest.NewRequest(http.MethodGet, "http://evil.example/login", nil)
	req.Header.Set("X-Forwarded-Host", "evil.example")
	rec := httptest.NewRecorder()
	w.app.ServeHTTP(rec, req)
	if to := rec.Header().Get("Location"); rec.Code != 303 || strings.Contains(to, "evil") || !strings.Contains(to, url.QueryEscape(w.base+"/callback")) {
		t.Errorf("got %d %s", rec.Code, to)
	}
}

func TestBaseURLFromTheParameter(t *testing.T) {
	w := begin(t, func(env map[string]string) {
		delete(env, "APP_BASE_URL")
		env["APP_BASE_URL_PARAMETER"] = "/steward/base-url"
	})
	b := w.browser().signIn(alice)
	b.get("/").wants(t, 200, "Hello, <bdi>Alice</bdi>.")
	read := 0
	for _, r := range w.aws.Requests() {
		if r.Name() == "ssm GetParameter" {
			read++
		}
	}
	if read != 1 {
		t.Errorf("the parameter was read %d times", read)
	}
}

func TestMissingBaseURLIsAnswered(t *testing.T) {
	w := begin(t, func(env map[string]string) {
		delete(env, "APP_BASE_URL")
		env["APP_BASE_URL_PARAMETER"] = "/steward/other"
	})
	w.browser().get("/").wants(t, 500, "own address", `data-testid="ref"`)
	w.browser().get("/healthz").wants(t, 200, "ok")
}

// TestFunctionURL calls the handler as Lambda does, with cookies in a field of the event and of the response.
func TestFunctionURL(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	call := lambdaurl.Wrap(w.app)
	ask := func(method, path, body string, headers map[string]string, cookies ...string) (*events.LambdaFunctionURLStreamingResponse, string) {
		req := &events.LambdaFunctionURLRequest{RawPath: path, Cookies: cookies, Headers: headers, Body: body}
		req.RequestContext.HTTP.Method, req.RequestContext.DomainName = method, "abc.lambda-url.us-east-1.on.aws"
		resp, err := call(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(got)
	}
	resp, body := ask("GET", "/", "", map[string]string{}, "theme=dark", "steward="+b.cookie())
	if resp.StatusCode != 200 || !strings.Contains(body, "Hello, <bdi>Alice</bdi>.") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	resp, _ = ask("GET", "/login", "", map[string]string{})
	if resp.StatusCode != 303 || len(resp.Cookies) != 1 {
		t.Errorf("got %d, cookies %v", resp.StatusCode, resp.Cookies)
	}
	resp, body = ask("POST", "/api/chat", `{"message":"What are my Okta groups?"}`, map[string]string{"content-type": "application/json", "cookie": "steward=" + b.cookie(), "origin": w.base})
	if resp.StatusCode != 200 || resp.Headers["Content-Type"] != "text/event-stream" || !strings.Contains(textOf(eventsOf(body)), "Engineering") {
		t.Errorf("got %d %v %s", resp.StatusCode, resp.Headers, body)
	}
}

// TestTextIsStreamedAtOnce: the agent makes each piece of text only when the browser has the one before.
func TestTextIsStreamedAtOnce(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	next := make(chan struct{}, 1)
	bedrock := bedrocktest.New(bedrocktest.Options{Invoke: w.invoke, ChunkBytes: 8})
	w.table.next = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/agents/") {
			w.aws.ServeHTTP(rw, r)
			return
		}
		bedrock.ServeHTTP(&stepwise{ResponseWriter: rw, done: r.Context().Done(), next: next}, r)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // passes only if the test has failed
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base+"/api/chat", strings.NewReader(`{"message":"What are my Okta groups?"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	pieces := 0
	next <- struct{}{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if lines.Text() == "event: text" {
			pieces++
			select {
			case next <- struct{}{}:
			default: // more pieces than chunks
			}
		}
	}
	if pieces < 4 || ctx.Err() != nil {
		t.Errorf("%d pieces of text, then %v", pieces, ctx.Err())
	}
}

// stepwise writes each chunk of an agent's answer when next has an element.
type stepwise struct {
	http.ResponseWriter
	done <-chan struct{}
	next <-chan struct{}
}

func (s *stepwise) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("chunk")) {
		select {
		case <-s.next:
		case <-s.done:
		}
	}
	return s.ResponseWriter.Write(p)
}

func (s *stepwise) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func lookup(env map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) { v, ok := env[key]; return v, ok }
}

func TestConfig(t *testing.T) {
	good := map[string]string{
		"SESSION_TABLE_NAME": "s", "AUDIT_TABLE_NAME": "a", "AUTH0_ISSUER_URL": "https://t.example/", "AUTH0_CLIENT_ID": "c", "AUTH0_CLIENT_SECRET_ARN": "x",
		"AUTH0_CONNECTION_NAME": "okta-corp", "TOKEN_KEY_SECRET_ARN": "k", "AUDIT_KEY_SECRET_ARN": "m", "OKTA_ORG_URL": "https://corp.example", "AGENT_RUNTIME": "classic", "BEDROCK_AGENT_ID": "A", "BEDROCK_AGENT_ALIAS_ID": "B", "APP_BASE_URL": "https://app.example",
	}
	for name, test := range map[string]struct {
		change map[string]string
		want   []string // parts of the error; none is no error
	}{
		"whole":               {nil, nil},
		"parameter instead":   {map[string]string{"APP_BASE_URL": "", "APP_BASE_URL_PARAMETER": "/p"}, nil},
		"neither":             {map[string]string{"APP_BASE_URL": ""}, []string{"APP_BASE_URL"}},
		"both":                {map[string]string{"APP_BASE_URL_PARAMETER": "/p"}, []string{"APP_BASE_URL"}},
		"plain http":          {map[string]string{"APP_BASE_URL": "http://app.example"}, []string{"APP_BASE_URL"}},
		"http on loopback":    {map[string]string{"APP_BASE_URL": "http://localhost:3000"}, nil},
		"linking by halves":   {map[string]string{"CONSOLE_LINKING": "yes"}, []string{"CONSOLE_LINKING"}},
		"another runtime":     {map[string]string{"AGENT_RUNTIME": "other"}, []string{"AGENT_RUNTIME"}},
		"harness lacks all":   {map[string]string{"AGENT_RUNTIME": "harness"}, []string{"HARNESS_ARN", "OKTA_GROUPS_FUNCTION_NAME", "CIBA_FUNCTION_NAME"}},
		"every fault at once": {map[string]string{"SESSION_TABLE_NAME": "", "AUTH0_ISSUER_URL": "x"}, []string{"SESSION_TABLE_NAME", "AUTH0_ISSUER_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for k, v := range good {
				env[k] = v
			}
			for k, v := range test.change {
				env[k] = v
			}
			_, err := parseConfig(lookup(env))
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, key := range test.want {
				if !strings.Contains(fmt.Sprint(err), key) {
					t.Errorf("%q does not name %s", err, key)
				}
			}
		})
	}
}
