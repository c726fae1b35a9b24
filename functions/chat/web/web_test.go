package web

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	cookie  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRST"
	current = session.ID("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
)

var when = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// The fakes are structs of functions; what a test does not set is not called.

type sessions struct {
	Sessions
	login func() (session.Login, error)
}

func (s sessions) Login(context.Context, session.LoginKey) (session.Login, error) { return s.login() }

func (s sessions) Session(_ context.Context, id session.ID) (session.Session, error) {
	return session.Session{ID: id}, nil
}

func (s sessions) DeleteLogin(context.Context, session.LoginKey) error { return nil }

func (s sessions) DeleteSession(context.Context, session.ID) error { return nil }

func (s sessions) UseFlow(context.Context, string, time.Time) error { return nil }

func (s sessions) ReserveTurn(context.Context, session.LoginKey, time.Time, time.Time) (string, error) {
	return "turn", nil
}

func (s sessions) EndTurn(context.Context, session.LoginKey, string) error { return nil }

type vault func() (secret.String, error)

func (v vault) Token(_ context.Context, s *session.Session) (secret.String, error) {
	s.OktaLogin = "alice@corp.example"
	return v()
}

func (v vault) Renew(ctx context.Context, s *session.Session) (secret.String, error) {
	return v.Token(ctx, s)
}

func (v vault) Account(context.Context, session.Session) (auth0.ConnectedAccount, bool, error) {
	return auth0.ConnectedAccount{}, false, nil
}

func (v vault) Disconnect(context.Context, session.Session) error { return nil }

type limits struct{}

func (limits) OfOwner(context.Context, session.Subject, Limit, time.Time) (time.Duration, error) {
	return 0, nil
}

type approvals struct {
	Approvals
	list []approval.Approval
}

func (a approvals) ByOwner(context.Context, session.Subject, int) ([]approval.Approval, error) {
	return a.list, nil
}

type trail []audit.Entry

func (t trail) BySubject(context.Context, session.Subject, int) ([]audit.Entry, error) {
	return t, nil
}

type record func() error

func (r record) Add(context.Context, audit.Entry) error { return r() }

type runtime func(yield func(agent.Event, error) bool)

func (r runtime) Run(context.Context, agent.Turn) iter.Seq2[agent.Event, error] {
	return iter.Seq2[agent.Event, error](r)
}
func (r runtime) End(context.Context, string) error { return nil }

type noAuth struct{ Auth }

func (noAuth) AuthCodeURL(context.Context, auth0.AuthRequest) (string, error) {
	return "https://tenant.example/authorize", nil
}

func (noAuth) CheckResponseIssuer(context.Context, string) error { return nil }

func person(p session.Person) func() (session.Login, error) {
	return func() (session.Login, error) {
		return session.Login{Key: "k", Owner: p, Current: current, Sessions: []session.ID{current}, ExpiresAt: when.Add(time.Hour)}, nil
	}
}

// app is an App in which alice is signed in, and the log it writes.
func app(t *testing.T, change ...func(*Config)) (*App, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	base := &url.URL{Scheme: "https", Host: "steward.example"}
	sealer, err := seal.New(secret.New(strings.Repeat("k", 40)))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Base: func(context.Context) (*url.URL, error) { return base, nil }, Issuer: "https://tenant.example/", Connection: "okta-corp",
		Auth:     noAuth{},
		Sessions: sessions{login: person(session.Person{Subject: "oidc|okta-corp|00u1", Email: "alice@example.com", Name: "Alice Adams"})},
		Vault:    vault(func() (secret.String, error) { return secret.New("token"), nil }),
		Sealer:   func(context.Context) (*seal.Sealer, error) { return sealer, nil },
		Limits:   limits{}, Approvals: approvals{}, Activity: trail{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return when },
	}
	for _, f := range change {
		f(&cfg)
	}
	return New(cfg), &log
}

func request(method, to, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, to, strings.NewReader(body))
	r.Header.Set("Cookie", "__Host-steward="+cookie)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func serve(a *App, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// hashes are replaced in goldens, as they change with the files.
var hashes = regexp.MustCompile(`(/static/[a-z-]+)\.[0-9a-f]{12}\.`)

// A name written from right to left does not change the order of the words around it, on the page and in what the script adds.
func TestNamesKeepTheirDirection(t *testing.T) {
	a, _ := app(t, func(c *Config) {
		c.Sessions = sessions{login: person(session.Person{Subject: "oidc|x", Email: "dana@example.com", Name: "\u05d3\u05e0\u05d4"})}
	})
	page := serve(a, request("GET", "/", "")).Body.String()
	for _, want := range []string{"<bdi>dana@example.com</bdi>", "<bdi>\u05d3\u05e0\u05d4</bdi>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	script, err := os.ReadFile(filepath.Join("static", "app.js"))
	if err != nil {
		t.Fatal(err)
	}
	js := string(script)
	for _, foreign := range []string{"approval.summary", "approval.result", "entry.summary", "entry.words", "step.text", "message", "e.sentence"} {
		shown := regexp.MustCompile(`el\("(?:p|b|span|div)", \{[^}]*\}, ` + regexp.QuoteMeta(foreign) + `\)|textContent = ` + regexp.QuoteMeta(foreign) + `\b`)
		if !strings.Contains(js, "...named("+foreign+")") || shown.MatchString(js) {
			t.Errorf("%s is shown without isolation: %q", foreign, shown.FindString(js))
		}
	}
	for _, foreign := range []string{"p.value", "part"} {
		if !strings.Contains(js, `el("bdi", {}, `+foreign+`)`) {
			t.Errorf("%s is not in a bdi", foreign)
		}
	}
}

// TestPages compares whole pages. Names hold markup, which must come out as text.
func TestPages(t *testing.T) {
	evil := session.Person{Subject: "oidc|x", Email: `"><script>alert(1)</script>@example.com`, Name: `<img src=x onerror=alert(1)> "Bobby"`}
	for name, change := range map[string]func(*Config){
		"signed-out": func(c *Config) {
			c.Sessions = sessions{login: func() (session.Login, error) { return session.Login{}, session.NotSignedIn(nil) }}
		},
		"chat": func(*Config) {},
		"not-connected": func(c *Config) {
			c.Vault = vault(func() (secret.String, error) { return secret.String{}, fault.New(fault.Conflict, "not connected", nil) })
		},
		"markup-in-names": func(c *Config) { c.Sessions = sessions{login: person(evil)} },
		"bare-person":     func(c *Config) { c.Sessions = sessions{login: person(session.Person{Subject: "oidc|x"})} },
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := app(t, change)
			got := hashes.ReplaceAllString(serve(a, request("GET", "/", "")).Body.String(), "$1.HASH.")
			golden := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("page differs (-want +got), -update writes it anew:\n%s", diff)
			}
			if strings.Contains(got, "<img") || strings.Contains(got, "<script>") || strings.Contains(got, " style=") || strings.Contains(got, " on") && regexp.MustCompile(`<[^>]* on[a-z]+=`).MatchString(got) {
				t.Error("the page holds what the content security policy forbids")
			}
		})
	}
}

// TestPagesLoadNothingFromOtherSites: neither page nor style nor script names another host.
func TestPagesLoadNothingFromOtherSites(t *testing.T) {
	for _, tree := range []fs.FS{templates, files} {
		err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(tree, path)
			for _, found := range regexp.MustCompile(`(?:https?:)?//[a-z][^\s"')]*`).FindAllString(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", ""), -1) {
				t.Errorf("%s names %s", path, found)
			}
			if regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`).Match(text) {
				t.Errorf("%s makes markup of text", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	a, _ := app(t)
	for _, path := range []string{"/", "/nothing", "/api/approvals", "/api/nothing", "/callback"} {
		h := serve(a, request("GET", path, "")).Header()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self' https://tenant.example;") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
	}
}

func TestStatic(t *testing.T) {
	a, _ := app(t)
	for name, kind := range map[string]string{"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"} {
		got := serve(a, httptest.NewRequest("GET", a.static().path(name), nil))
		if got.Code != 200 || got.Header().Get("Content-Type") != kind || !strings.Contains(got.Header().Get("Cache-Control"), "immutable") || got.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, got.Code, got.Header())
		}
	}
	for _, path := range []string{"/static/app.css", "/static/", "/static/../web.go", "/static/app.000000000000.css"} {
		if got := serve(a, httptest.NewRequest("GET", path, nil)); got.Code == 200 || strings.Contains(got.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d", path, got.Code)
		}
	}
}

func ask(a *App) *httptest.ResponseRecorder {
	return serve(a, request("POST", "/api/chat", `{"message":"hi"}`))
}

func TestEvents(t *testing.T) {
	a, _ := app(t, func(c *Config) {
		c.Agent = runtime(func(yield func(agent.Event, error) bool) {
			yield(agent.Trace{Step: agent.StepCall, ActionGroup: "okta-groups", Function: "find_users", Parameters: []agent.Parameter{{Name: "query", Value: "</script>\n\nevent: done"}}}, nil)
			yield(agent.Trace{Step: agent.StepModel, InputTokens: 8, OutputTokens: 2, Duration: 1500 * time.Millisecond}, nil)
			yield(agent.Text{Text: "Line one\r\n\nevent: error\n"}, nil)
			yield(nil, fault.New(fault.Upstream, "The assistant is busy.", errors.New("throttled")))
		})
	})
	got := ask(a)
	body := regexp.MustCompile(`"ref":"[A-Z2-7]{10}"`).ReplaceAllString(got.Body.String(), `"ref":"REF"`)
	want := ": open\n\n" +
		"event: trace\ndata: {\"step\":\"call\",\"title\":\"Find users\",\"function\":\"find_users\",\"parameters\":[{\"name\":\"query\",\"value\":\"\\u003c/script\\u003e\\n\\nevent: done\"}]}\n\n" +
		"event: trace\ndata: {\"step\":\"model\",\"title\":\"Model\",\"input_tokens\":8,\"output_tokens\":2,\"ms\":1500}\n\n" +
		"event: text\ndata: {\"text\":\"Line one\\r\\n\\nevent: error\\n\"}\n\n" +
		"event: error\ndata: {\"message\":\"The assistant is busy.\",\"ref\":\"REF\"}\n\n" +
		"event: done\ndata: {}\n\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	if got.Header().Get("Content-Type") != "text/event-stream" || !got.Flushed {
		t.Errorf("headers %v, flushed %v", got.Header(), got.Flushed)
	}
}

func TestConnectOktaIsOfferedWhenItIsMissing(t *testing.T) {
	missing := func() (secret.String, error) { return secret.String{}, tokenvault.NotConnected(nil) }
	for name, c := range map[string]struct {
		step  agent.Trace
		vault vault
		want  bool
	}{
		"the refusal says it":             {agent.Trace{Step: agent.StepReprompt, Action: fault.ConnectOkta}, func() (secret.String, error) { panic("nobody needs to be asked") }, true},
		"refused, not connected":          {agent.Trace{Step: agent.StepReprompt, Text: "any words"}, missing, true},
		"refused for another reason":      {agent.Trace{Step: agent.StepReprompt, Text: "Connect Okta"}, func() (secret.String, error) { return secret.New("token"), nil }, false},
		"refused, Auth0 cannot be asked":  {agent.Trace{Step: agent.StepReprompt}, func() (secret.String, error) { return secret.String{}, fault.New(fault.Upstream, "", nil) }, false},
		"not refused, so nobody is asked": {agent.Trace{Step: agent.StepResult, Text: "Connect Okta"}, missing, false},
	} {
		a, _ := app(t, func(cfg *Config) {
			cfg.Vault = c.vault
			cfg.Agent = runtime(func(yield func(agent.Event, error) bool) {
				_ = yield(c.step, nil) && yield(agent.Text{Text: "answer"}, nil)
			})
		})
		body := ask(a).Body.String()
		if got := strings.HasSuffix(body, "event: done\ndata: {\"connect\":true}\n\n"); got != c.want {
			t.Errorf("%s: connect is offered: %v\n%s", name, got, body)
		}
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Run("page", func(t *testing.T) {
		a, log := app(t, func(c *Config) { c.Vault = vault(func() (secret.String, error) { panic("canary page") }) })
		got := serve(a, request("GET", "/", ""))
		if got.Code != 500 || strings.Contains(got.Body.String(), "canary") || !strings.Contains(got.Body.String(), `data-testid="ref"`) || !strings.Contains(log.String(), "canary page") {
			t.Errorf("got %d %s\nlog %s", got.Code, got.Body, log)
		}
	})
	t.Run("api", func(t *testing.T) {
		a, _ := app(t, func(c *Config) { c.Sessions = sessions{login: func() (session.Login, error) { panic("canary api") }} })
		if got := serve(a, request("GET", "/api/approvals", "")); got.Code != 500 || !strings.HasPrefix(got.Body.String(), `{"message":"Something went wrong`) {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
	})
	t.Run("beside the path", func(t *testing.T) {
		a, log := app(t, func(c *Config) { c.Audit = record(func() error { panic("canary job") }) })
		got := serve(a, request("POST", "/logout", ""))
		if got.Code != 502 || strings.Contains(got.Body.String(), "canary") || !strings.Contains(got.Body.String(), `data-testid="ref"`) || !strings.Contains(log.String(), "canary job") {
			t.Errorf("got %d %s\nlog %s", got.Code, got.Body, log)
		}
	})
	t.Run("within a stream", func(t *testing.T) {
		a, log := app(t, func(c *Config) {
			c.Agent = runtime(func(yield func(agent.Event, error) bool) {
				yield(agent.Text{Text: "So"}, nil)
				panic("canary stream")
			})
		})
		got := ask(a)
		if got.Code != 200 || !strings.Contains(got.Body.String(), "event: error\n") || !strings.HasSuffix(got.Body.String(), "event: done\ndata: {}\n\n") || strings.Contains(got.Body.String(), "canary") || !strings.Contains(log.String(), "canary stream") {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
	})
}

func TestTurnEndsWhenTheBrowserLeaves(t *testing.T) {
	words := 0
	a, _ := app(t, func(c *Config) {
		c.Agent = runtime(func(yield func(agent.Event, error) bool) {
			for words = 1; yield(agent.Text{Text: "word "}, nil) && words < 1000; words++ {
			}
		})
	})
	a.ServeHTTP(&closed{ResponseRecorder: httptest.NewRecorder(), after: 3}, request("POST", "/api/chat", `{"message":"hi"}`))
	if words > 5 {
		t.Errorf("the turn went on for %d words", words)
	}
}

// closed is a connection that breaks after some writes.
type closed struct {
	*httptest.ResponseRecorder
	after int
}

func (c *closed) Write(p []byte) (int, error) {
	if c.after--; c.after < 0 {
		return 0, errors.New("connection reset")
	}
	return c.ResponseRecorder.Write(p)
}

func TestLimiter(t *testing.T) {
	l := newLimiter(3, time.Second)
	now := when
	for i := range 3 {
		if l.take("a", now) != 0 {
			t.Fatalf("token %d is refused", i)
		}
	}
	if wait := l.take("a", now); wait != time.Second {
		t.Errorf("wait %s, want 1s", wait)
	}
	if l.take("b", now) != 0 {
		t.Error("one login uses up another's tokens")
	}
	if l.take("a", now.Add(time.Second)) != 0 || l.take("a", now.Add(time.Second)) == 0 {
		t.Error("one second is not one token")
	}
	if l.take("a", now.Add(-time.Hour)) == 0 {
		t.Error("a clock that goes back gives tokens")
	}
	for i := range maxBuckets + 10 {
		l.take(session.LoginKey(rune(1000+i)), now)
	}
	l.take("z", now.Add(time.Hour))
	if len(l.buckets) > 2 {
		t.Errorf("%d buckets are kept", len(l.buckets))
	}
}

func TestOutcomesAreReportedOnce(t *testing.T) {
	m := newReports()
	ap := func(id string, s approval.Status) approval.Approval {
		return approval.Approval{ID: id, SessionID: current, Code: "K7QX", Operation: "delete_group", Target: approval.NewRef("okta_group", id, "G\" ["+id), Status: s}
	}
	news := func(all ...approval.Approval) int {
		facts, reported := m.changes(current, all)
		reported()
		return len(facts)
	}
	other := ap("9", approval.Done)
	other.SessionID = "other"
	for i, step := range []struct {
		all  []approval.Approval
		want int
	}{
		{nil, 0},
		{[]approval.Approval{ap("1", approval.Pending), other}, 0},
		{[]approval.Approval{ap("1", approval.Done), ap("2", approval.Denied)}, 2},
		{[]approval.Approval{ap("1", approval.Done), ap("2", approval.Denied)}, 0},
		{[]approval.Approval{ap("3", approval.Executing)}, 1},
		{[]approval.Approval{ap("3", approval.Failed)}, 1},
	} {
		if got := news(step.all...); got != step.want {
			t.Errorf("step %d: %d facts, want %d", i, got, step.want)
		}
	}
	facts, _ := newReports().changes(current, []approval.Approval{ap("2", approval.Done), ap("1", approval.Denied)})
	if want := []string{
		`approval K7QX (Delete the group "G' [1" #UETUU) is denied`, `approval K7QX (Delete the group "G' [2" #A7GHU) is done`,
	}; !cmp.Equal(facts, want) {
		t.Errorf("got %q, want %q", facts, want)
	}
}

// FuzzCookies: no cookie value but that of a login gives access.
func FuzzCookies(f *testing.F) {
	f.Add(cookie, "x")
	f.Add("", "=")
	f.Add("\"quoted\"", "AAAA")
	f.Add(strings.Repeat("A", 52), strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, login, flow string) {
		a, _ := app(t, func(c *Config) {
			c.Sessions = sessions{login: func() (session.Login, error) { return session.Login{}, session.NotSignedIn(nil) }}
		})
		r := request("GET", "/callback?code=c&state=s", "")
		r.Header["Cookie"] = []string{"__Host-steward=" + login + "; __Host-steward-flow=" + flow}
		if got := serve(a, r); got.Code != 401 {
			t.Errorf("callback: %d", got.Code)
		}
		r = request("GET", "/api/approvals", "")
		r.Header["Cookie"] = []string{"__Host-steward=" + login}
		if got := serve(a, r); got.Code != 401 {
			t.Errorf("api: %d", got.Code)
		}
	})
}

// FuzzCallback: a callback with any query is refused, is one line of the log, and signs nobody in.
func FuzzCallback(f *testing.F) {
	f.Add("code=c&state=s")
	f.Add("error=access_denied&error_description=%3Cscript%3E")
	f.Add("error=%0aforged&state=")
	f.Add("%zz&&;;=")
	f.Fuzz(func(t *testing.T, query string) {
		a, log := app(t)
		started := serve(a, request("GET", "/login", ""))
		r := request("GET", "/callback", "")
		r.URL.RawQuery = query
		r.Header.Set("Cookie", started.Result().Cookies()[0].String())
		got := serve(a, r)
		if got.Code < 400 || got.Code > 499 {
			t.Errorf("got %d", got.Code)
		}
		if strings.Count(strings.TrimSpace(log.String()), "\n") > 0 {
			t.Errorf("log %q", log)
		}
		for _, c := range got.Result().Cookies() {
			if c.Name == "__Host-steward" {
				t.Errorf("cookie %v", c)
			}
		}
	})
}

// FuzzQuestion: any body is a question or a refusal.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte(`{"message":"hi"}`))
	f.Add([]byte(`{"message":{}}`))
	f.Add([]byte(`{"message":"\ud800"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request("POST", "/api/chat", "")
		r.Body = io.NopCloser(bytes.NewReader(body))
		message, err := question(r)
		if err == nil && (message == "" || len(message) > maxMessage || message != strings.TrimSpace(message)) {
			t.Errorf("question %q", message)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("refused with %v", err)
		}
	})
}
