package auth0test_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

const (
	clientID  = "cLi3ntAAAA"
	secret    = "s3cr3t-synthetic"
	callback  = "https://app.acme.test/callback"
	linked    = "https://app.acme.test/connect/callback"
	bye       = "https://app.acme.test/bye"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	api       = "https://agent.acme.test/api"

	aliceEmail = "alice@example.com"
	aliceSub   = "oidc|okta-corp|00ualice000000000001"
	bobEmail   = "bob@example.com"
)

// clock is a time a test moves by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// tenant is a running fake and the application and browser in front of it.
type tenant struct {
	*auth0test.Tenant
	t       *testing.T
	url     string
	clock   *clock
	browser *http.Client // keeps cookies, follows nothing
	minted  []string     // scopes of each Okta token
	refuse  bool         // Okta refuses refreshes
}

func options() auth0test.Options {
	app := auth0test.WebApp(clientID, secret, callback, linked)
	app.AllowedLogoutURLs = []string{bye}
	return auth0test.Options{
		Clients: []auth0test.Client{app, auth0test.WebApp("other", "other-secret", callback), auth0test.Machine("machine", "machine-secret")},
		People: []auth0test.Person{
			{Email: aliceEmail, EmailVerified: true, Name: "Alice <Adams>", OktaUserID: "00ualice000000000001", PushEnrolled: true, Claims: map[string]any{"https://steward.example/okta": "00ualice000000000001"}},
			{Email: bobEmail, EmailVerified: true, Name: "Bob", OktaUserID: "00ubob00000000000002"},
		},
		APIs: []auth0test.ResourceServer{{
			Name: "Agent", Identifier: api, Scopes: []auth0test.Scope{{Value: "users:read"}, {Value: "users:write"}}, AllowOfflineAccess: true,
			AuthorizationDetails: []auth0test.DetailsType{{Type: "urn:auth0:schemas:authorization-details:v1:list_users"}, {Type: "free_form"}},
		}},
		Grants: []auth0test.ClientGrant{{ClientID: "machine", Audience: api, Scope: []string{"users:read"}}},
	}
}

func begin(t *testing.T, change ...func(*auth0test.Options)) *tenant {
	t.Helper()
	a := &tenant{t: t, clock: &clock{at: time.Now().Truncate(time.Second)}}
	o := options()
	o.Now = a.clock.Now
	o.OktaToken = func(p auth0test.Person, scopes []string) (string, time.Duration) {
		a.minted = append(a.minted, strings.Join(scopes, " "))
		if a.refuse {
			return "", 0
		}
		return fmt.Sprintf("okta-%s-%d", p.OktaUserID, len(a.minted)), 40 * time.Minute
	}
	for _, c := range change {
		c(&o)
	}
	s := auth0test.Start(t, o)
	a.Tenant, a.url = s.Tenant, s.URL
	a.newBrowser()
	return a
}

func (a *tenant) newBrowser() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
	json map[string]any
}

func (a *tenant) do(c *http.Client, method, path string, header http.Header, body io.Reader) answer {
	a.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = a.url + path
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := c.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	got := answer{Response: resp, body: string(raw)}
	_ = json.Unmarshal(raw, &got.json) // not all answers are JSON
	if resp.Header.Get("X-Ratelimit-Limit") == "" || resp.Header.Get("X-Ratelimit-Reset") == "" {
		a.t.Errorf("%s %s answered without rate headers", method, path)
	}
	return got
}

var formType = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// form is a url.Values written as pairs.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// as adds our client's credentials, unless a pair names others.
func as(pairs ...string) url.Values {
	v := form(append([]string{"client_id", clientID, "client_secret", secret}, pairs...)...)
	for k := range v {
		if v.Get(k) == "" {
			v.Del(k)
		}
	}
	return v
}

func (a *tenant) post(path string, v url.Values) answer {
	a.t.Helper()
	return a.do(http.DefaultClient, http.MethodPost, path, formType, strings.NewReader(v.Encode()))
}

func (a *tenant) get(path string) answer {
	a.t.Helper()
	return a.do(a.browser, http.MethodGet, path, nil, nil)
}

func (a *tenant) me(method, path, token string, body any) answer {
	a.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	return a.do(http.DefaultClient, method, "/me/v1/connected-accounts/"+path, h, bytes.NewReader(raw))
}

func (a *tenant) authorizeURL(pairs ...string) string {
	v := form(append([]string{
		"response_type", "code", "client_id", clientID, "redirect_uri", callback, "scope", "openid profile email offline_access", "state", "st-1",
		"nonce", "n-1", "code_challenge", challenge, "code_challenge_method", "S256", "connection", "okta-corp",
	}, pairs...)...)
	for k := range v {
		if v.Get(k) == "" {
			v.Del(k)
		}
	}
	return "/authorize?" + v.Encode()
}

// location is where an answer redirects to, with its query.
func (a *tenant) location(got answer) *url.URL {
	a.t.Helper()
	if got.StatusCode != http.StatusFound {
		a.t.Fatalf("got %d %s, want a redirect", got.StatusCode, got.body)
	}
	u, err := got.Location()
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

var hidden = regexp.MustCompile(`name="(state|ticket)" value="([^"]+)"`)

// signIn goes through the login page as a person and gives the callback's query.
func (a *tenant) signIn(email string, pairs ...string) url.Values {
	a.t.Helper()
	page := a.get(a.location(a.get(a.authorizeURL(pairs...))).String())
	if !strings.Contains(page.body, `data-person="`+email+`"`) {
		a.t.Fatalf("the login page has no button for %s: %s", email, page.body)
	}
	state := hidden.FindStringSubmatch(page.body)[2]
	got := a.do(a.browser, http.MethodPost, "/u/login", formType, strings.NewReader(form("state", state, "person", email).Encode()))
	return a.location(got).Query()
}

// login signs a person in and redeems the code.
func (a *tenant) login(email string, pairs ...string) answer {
	a.t.Helper()
	got := a.post("/oauth/token", as("grant_type", "authorization_code", "code", a.signIn(email, pairs...).Get("code"), "redirect_uri", callback, "code_verifier", verifier))
	if got.StatusCode != http.StatusOK {
		a.t.Fatalf("login of %s: %d %s", email, got.StatusCode, got.body)
	}
	return got
}

func (got answer) str(key string) string {
	s, _ := got.json[key].(string)
	return s
}

// wants checks status, error code and description.
func (got answer) wants(t *testing.T, status int, code, description string) {
	t.Helper()
	if got.StatusCode != status || got.str("error") != code || (description != "" && got.str("error_description") != description) {
		t.Errorf("got %d %s\nwant %d %s %q", got.StatusCode, got.body, status, code, description)
	}
}

// claims reads a JWT without checking it; the SDK tests check signatures.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// overHandler calls a handler without a network, so that it works in a synctest bubble.
type overHandler struct{ http.Handler }

func (h overHandler) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}
