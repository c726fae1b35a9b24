package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// canary collects secrets as they are made, and every place where none may be.
type canary struct {
	mu      sync.Mutex
	secrets map[string]string   // value → what it is
	places  map[string][]string // where → what was there
	chat    string              // host of the chat
	next    http.RoundTripper
}

const passed = "what passed the fault proxy"

func (c *canary) secret(what, value string) {
	if len(value) < 8 { // nothing that short is one of ours
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.secrets[value]; known == "" || known == passed {
		c.secrets[value] = what
	}
}

func (c *canary) place(where string, text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places[where] = append(c.places[where], string(text))
}

// made are the fields of forms and answers that hold secrets.
var made = []string{
	"access_token", "refresh_token", "id_token", "auth_req_id", "auth_session", "client_secret", "code", "code_verifier", "connect_code",
	"subject_token", "token", "tempPassword", "activationToken", "activationUrl", "resetPasswordUrl",
}

func (c *canary) learn(from string, body []byte) {
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		for name, v := range object {
			if value, ok := v.(string); ok && slices.Contains(made, name) {
				c.secret(name+" of "+from, value)
			}
		}
		return
	}
	if form, err := url.ParseQuery(string(body)); err == nil {
		for _, name := range made {
			c.secret(name+" of "+from, form.Get(name))
		}
	}
}

// exchange sorts what went over a wire of the fakes: secrets belong to Auth0's and FGA's token wires, and to Secrets Manager's answers.
func (c *canary) exchange(e faultproxy.Exchange) {
	c.learn(e.Service, e.Request)
	c.learn(e.Service, e.Response)
	switch {
	case e.Service == faults.AWS && strings.HasPrefix(e.Target, "secretsmanager."):
		var out struct{ SecretString string }
		_ = json.Unmarshal(e.Response, &out)
		c.secret("secret of Secrets Manager", out.SecretString)
	case e.Service == faults.AWS:
		c.place("request "+e.Target+e.Path, e.Request)
		c.place("answer "+e.Target+e.Path, e.Response)
	case e.Service == faults.Okta || e.Service == faults.FGA && e.Path != "/oauth/token":
		c.place("body to "+e.Service, e.Request)
	}
}

// RoundTrip keeps what the browser gets from the chat. Cookies are secrets; everything else is a place.
func (c *canary) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(r)
	if err != nil || r.URL.Host != c.chat {
		return res, err
	}
	for _, cookie := range res.Cookies() {
		c.secret("cookie "+cookie.Name, cookie.Value)
		for part := range strings.SplitSeq(cookie.Value, ".") {
			c.secret("part of cookie "+cookie.Name, part)
		}
	}
	for name, values := range res.Header {
		toAuth0 := name == "Location" && !strings.HasPrefix(values[0], "/") && !strings.Contains(values[0], c.chat+"/")
		if name != "Set-Cookie" && !toAuth0 { // the way to Auth0 carries the state, which is a cookie too
			c.place("header "+name, []byte(strings.Join(values, "\n")))
		}
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	c.place("page "+r.URL.Path, body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, err
}

// TestSecretsAreInSealedRowsOnly goes through everything: signing in, connecting, reading, approving, denying, failing, signing out. No
// secret that was made meanwhile is anywhere but in the wires that must carry it.
func TestSecretsAreInSealedRowsOnly(t *testing.T) {
	for _, runtime := range []string{"classic", "harness"} {
		t.Run(runtime, func(t *testing.T) {
			c := &canary{secrets: map[string]string{}, places: map[string][]string{}, next: http.DefaultTransport}
			var text, fakes lockedBuffer
			f := start(t, run.Options{
				AgentRuntime: runtime, PollInterval: time.Second, NotConnected: true, Logs: &text, Log: slog.New(slog.NewTextHandler(&fakes, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Secret: func(value string) { c.secret(passed, value) },
			})
			f.Proxy.Record(c.exchange)
			c.chat = strings.TrimPrefix(f.ChatURL, "http://")
			http.DefaultTransport = c // which chatclient uses
			t.Cleanup(func() { http.DefaultTransport = c.next })
			useEverything(t, f)

			c.place("the functions' logs", text.bytes())
			c.place("the fakes' logs", fakes.bytes())
			for _, path := range []string{"/requests", "/pushes", "/logs", "/stats", "/faults"} {
				c.place("control port "+path, read(t, f.ControlURL+path))
			}
			sealed := 0
			for _, table := range []string{sessionTable, "steward-audit"} {
				out, err := tables(f).Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(table)})
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range out.Items {
					for name, value := range row {
						if b, ok := value.(*types.AttributeValueMemberB); ok {
							sealed++
							c.place("table "+table, b.Value)
						}
						c.place("table "+table, fmt.Appendf(nil, "%s=%v", name, value))
						if s, ok := value.(*types.AttributeValueMemberS); ok {
							c.place("table "+table, []byte(s.Value))
						}
					}
				}
			}
			if sealed == 0 {
				t.Error("nothing is sealed: the test looks in the wrong place")
			}
			c.report(t)
		})
	}
}

// useEverything uses every part of Steward once.
func useEverything(t *testing.T, f *run.Fleet) {
	t.Helper()
	alice, bob := signIn(t, f, "alice@example.com"), signIn(t, f, "bob@example.com")
	say := func(v *chatclient.Client, message string) chatclient.Answer {
		t.Helper()
		return answer(t, v, message)
	}
	say(alice, "What are my Okta groups?") // not connected
	for _, v := range []*chatclient.Client{alice, bob} {
		if err := v.Connect(t.Context(), "approve"); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, "groups", say(alice, "What are my Okta groups?").Text, "Everyone")
	say(alice, "Who is in Finance?") // not allowed
	say(bob, "Show the account of dave@example.com")
	say(bob, "What may I do?")
	ends := map[string]string{}
	for i, tt := range []struct{ message, decision, end string }{
		{"Reset the password of dave@example.com", "approve", "done"},
		{"Expire the password of erin@example.com", "approve", "done"},
		{"Reset the password of carol@example.com", "deny", "denied"},
	} {
		a := say(bob, tt.message)
		if len(a.Approvals) != 1 {
			t.Fatalf("%s: got %+v, want an approval", tt.message, a)
		}
		if err := f.Tenant.Decide(f.Tenant.Pushes()[i].ID, tt.decision); err != nil {
			t.Fatal(err)
		}
		ends[a.Approvals[0].ID] = tt.end
	}
	for id, want := range ends {
		if end, err := bob.Await(t.Context(), id); err != nil || end.Status != want {
			t.Errorf("got %+v, %v, want %s", end, err, want)
		}
	}
	for _, fault := range []faults.Fault{
		{Service: faults.Okta, Status: 500},
		{Service: faults.Okta, Status: 401},
		{Service: faults.FGA, Body: "<<<"},
		{Service: faults.AWS, Match: "GetItem", Status: 400},
		{Service: faults.AWS, Match: "PutItem", Reset: true},
		{Service: faults.Auth0, Match: "/oauth/token", Status: 403, Body: `{"error":"invalid_grant","error_description":"Bad"}`},
	} {
		alice = signIn(t, f, "alice@example.com") // one sign-in may not ask so much at once
		f.Proxy.Add(fault)
		_, _ = alice.Say(t.Context(), "What are my Okta groups?") // whatever comes of it
		_, _ = alice.Say(t.Context(), "How do I reset my password?")
		f.Proxy.Fail()
	}
	// A sign-in that fails, a page that is not there, a cross-site post.
	for _, path := range []string{"/callback?error=access_denied&error_description=no&state=x", "/callback?code=abcdefghijkl&state=wrong", "/connect/callback?connect_code=abcdefgh&state=wrong", "/nothing"} {
		if r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.ChatURL+path, nil); err == nil {
			if res, err := alice.HTTP.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		}
	}
	for _, path := range []string{"/api/approvals", "/api/activity"} {
		var raw json.RawMessage
		if err := bob.JSON(t.Context(), http.MethodGet, path, nil, &raw); err != nil {
			t.Error(err)
		}
	}
	say(bob, "Reset the password of alice@example.com") // left open
	carol := signIn(t, f, "carol@example.com")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.ChatURL+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", f.ChatURL)
	res, err := carol.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if _, err := carol.Say(t.Context(), "What are my Okta groups?"); err == nil {
		t.Error("carol signed out and may still ask")
	}
}

func (c *canary) report(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	kinds := map[string]int{}
	for _, what := range c.secrets {
		kinds[what]++
	}
	for _, want := range []string{"id_token of auth0", "access_token of auth0", "access_token of fga", "refresh_token of auth0", "auth_req_id of auth0", "code_verifier of auth0", "secret of Secrets Manager"} {
		if kinds[want] == 0 {
			t.Errorf("saw no %s: the test looks in the wrong place (%v)", want, kinds)
		}
	}
	size := 0
	for where, texts := range c.places {
		all := strings.Join(texts, "\n")
		size += len(all)
		for value, what := range c.secrets {
			for _, form := range []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value))} {
				if at := strings.Index(all, form); at >= 0 {
					t.Errorf("%s holds %s, at …%.60q", where, what, all[max(0, at-40):at])
					break
				}
			}
		}
	}
	t.Logf("%d secrets of %d kinds, none in %d places of %d KB", len(c.secrets), len(kinds), len(c.places), size>>10)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func read(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: got %d %s, %v", url, res.StatusCode, raw, err)
	}
	return raw
}
