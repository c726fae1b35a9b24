package auth0_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	clientID     = "steward-local"
	clientSecret = "s3cr3t-synthetic"
	callback     = "http://localhost:3000/callback"
	linked       = "http://localhost:3000/connect/callback"
	alice        = "alice@example.com"
)

func clientOf(t testing.TB, issuer string, now func() time.Time) *auth0.Client {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return auth0.New(auth0.Config{
		Issuer: u, ClientID: clientID, Now: now, HTTP: &http.Client{Timeout: 2 * time.Second},
		Secret: func(context.Context) (secret.String, error) { return secret.New(clientSecret), nil },
	})
}

func tenant(t *testing.T) (*auth0test.Server, *auth0.Client) {
	s := auth0test.Start(t, auth0test.Options{
		Clients:   []auth0test.Client{auth0test.WebApp(clientID, clientSecret, callback, linked)},
		People:    []auth0test.Person{{Email: alice, EmailVerified: true, Name: "Alice", OktaUserID: "00ualice000000000001"}},
		OktaToken: func(p auth0test.Person, _ []string) (string, time.Duration) { return "okta-" + p.OktaUserID, time.Hour },
	})
	return s, clientOf(t, s.URL, nil)
}

// browse does the browser's part of a flow: it opens the page, submits the form, and returns the query of the callback.
func browse(t *testing.T, page string, press func(form string) (path string, fields url.Values)) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), "http://localhost:3000/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := b.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	path, fields := press(string(body))
	u := *resp.Request.URL
	u.Path, u.RawQuery = path, ""
	if resp, err = b.PostForm(u.String(), fields); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return to.Query()
}

var hidden = regexp.MustCompile(`name="(state|ticket)" value="([^"]*)"`)

func TestSignIn(t *testing.T) {
	s, c := tenant(t)
	verifier, nonce := auth0.NewVerifier(), secret.New("n-1")
	page, err := c.AuthCodeURL(t.Context(), auth0.AuthRequest{RedirectURI: callback, State: secret.New("st-1"), Nonce: nonce, Verifier: verifier, Connection: "okta-corp"})
	if err != nil {
		t.Fatal(err)
	}
	back := browse(t, page, func(form string) (string, url.Values) {
		return "/u/login", url.Values{"state": {hidden.FindStringSubmatch(form)[2]}, "person": {alice}}
	})
	if back.Get("state") != "st-1" {
		t.Fatalf("came back with %v", back)
	}
	code := secret.New(back.Get("code"))
	if _, err := c.Code(t.Context(), code, callback, auth0.NewVerifier()); err == nil {
		t.Error("another verifier redeemed the code")
	}
	tokens, err := c.Code(t.Context(), code, callback, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Code(t.Context(), code, callback, verifier); fault.KindOf(auth0.Fault(err)) != fault.Unauthenticated {
		t.Errorf("the code was redeemed twice: %v", err)
	}
	id, err := c.VerifyIDToken(t.Context(), tokens.IDToken)
	if err != nil {
		t.Fatal(err)
	}
	want := auth0.IDToken{Subject: "oidc|okta-corp|00ualice000000000001", Email: alice, EmailVerified: true, Name: "Alice", Nonce: id.Nonce, IssuedAt: id.IssuedAt, Expiry: id.Expiry}
	if id != want || !id.Nonce.Equal(nonce) || id.IssuedAt.IsZero() || !id.Expiry.After(id.IssuedAt) {
		t.Errorf("id_token %+v, want %+v", id, want)
	}

	// The same refresh token: other audiences, Okta's token, the end.
	refresh := tokens.RefreshToken
	me, err := c.MyAccountToken(t.Context(), refresh, auth0.CreateConnectedAccounts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.FederatedToken(t.Context(), refresh, "okta-corp"); !notConnected(err) {
		t.Errorf("before connecting: %v", err)
	}
	connect(t, c, me, alice)
	got, err := c.FederatedToken(t.Context(), refresh, "okta-corp")
	if err != nil || got.AccessToken.Reveal() != "okta-00ualice000000000001" || got.ExpiresIn <= 59*time.Minute || got.Scope == "" {
		t.Errorf("Okta token %v for %s, %v", got.AccessToken.IsZero(), got.ExpiresIn, err)
	}
	for range 2 { // revoking a dead one is no error
		if err := c.Revoke(t.Context(), refresh); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Refresh(t.Context(), refresh, "", ""); fault.KindOf(auth0.Fault(err)) != fault.Unauthenticated {
		t.Errorf("after revoking: %v", err)
	}
	if got, want := c.LogoutURL("http://localhost:3000/"), s.URL+"/v2/logout?client_id=steward-local&returnTo=http%3A%2F%2Flocalhost%3A3000%2F"; got != want {
		t.Errorf("logout %s, want %s", got, want)
	}
}

func notConnected(err error) bool {
	e, ok := errors.AsType[*auth0.Error](err)
	return ok && e.NotConnected()
}

// connect runs the Connected Accounts flow; person is whose Okta account is chosen there.
func connect(t *testing.T, c *auth0.Client, me secret.String, person string) {
	t.Helper()
	verifier := auth0.NewVerifier()
	ticket, err := c.StartConnect(t.Context(), me, auth0.ConnectRequest{Connection: "okta-corp", RedirectURI: linked, State: secret.New("st-2"), Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	back := browse(t, ticket.URL, func(form string) (string, url.Values) {
		return "/connected-accounts/connect", url.Values{"ticket": {hidden.FindStringSubmatch(form)[2]}, "person": {person}, "decision": {"approve"}}
	})
	code := secret.New(back.Get("connect_code"))
	if back.Get("state") != "st-2" || code.IsZero() {
		t.Fatalf("came back with %v", back)
	}
	if err := c.CompleteConnect(t.Context(), me, ticket.AuthSession, code, linked, verifier); err != nil {
		t.Fatal(err)
	}
	if err := c.CompleteConnect(t.Context(), me, ticket.AuthSession, code, linked, verifier); err == nil {
		t.Error("a connect_code was redeemed twice")
	}
}

func TestAuthCodeURL(t *testing.T) {
	s, c := tenant(t)
	// RFC 7636 appendix B
	r := auth0.AuthRequest{RedirectURI: callback, State: secret.New("st"), Nonce: secret.New("no"), Verifier: secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Connection: "okta-corp"}
	got, err := c.AuthCodeURL(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access"},
		"state": {"st"}, "nonce": {"no"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, "connection": {"okta-corp"},
	}
	if d := cmp.Diff(want, u.Query()); d != "" || u.Scheme+"://"+u.Host+u.Path != s.URL+"/authorize" {
		t.Errorf("%s (-want +got):\n%s", got, d)
	}
	for name, change := range map[string]func(*auth0.AuthRequest){
		"state": func(r *auth0.AuthRequest) { r.State = secret.String{} }, "nonce": func(r *auth0.AuthRequest) { r.Nonce = secret.String{} }, "verifier": func(r *auth0.AuthRequest) { r.Verifier = secret.String{} },
	} {
		r := r
		change(&r)
		if _, err := c.AuthCodeURL(t.Context(), r); err == nil {
			t.Errorf("a sign-in without %s", name)
		}
	}
	if v := auth0.NewVerifier().Reveal(); len(v) != 52 || v == auth0.NewVerifier().Reveal() {
		t.Errorf("verifier %q", v)
	}
}

// access_denied means four things; status, code and description tell which.
func TestRefusalsByStatusAndCode(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   auth0.Error
		kind   fault.Kind
		says   string
	}{
		"wrong secret, as documented": {401, nil, `{"error":"invalid_client","error_description":"x"}`, auth0.Error{Status: 401, Code: "invalid_client", Description: "x"}, fault.Internal, "not set up correctly"},
		"wrong secret, as seen":       {401, nil, `{"error":"access_denied","error_description":"Unauthorized"}`, auth0.Error{Status: 401, Code: "access_denied", Description: "Unauthorized"}, fault.Internal, "not set up correctly"},
		"a policy":                    {403, nil, `{"error":"access_denied","error_description":"Denied by policy"}`, auth0.Error{Status: 403, Code: "access_denied", Description: "Denied by policy"}, fault.Internal, "not set up correctly"},
		"a limit":                     {429, http.Header{"Retry-After": {"7"}}, `{"error":"too_many_requests"}`, auth0.Error{Status: 429, Code: "too_many_requests", RetryAfter: 7 * time.Second}, fault.Upstream, "busy"},
		"a limit, as seen":            {429, nil, `{"error":"access_denied","error_description":"Too Many Requests"}`, auth0.Error{Status: 429, Code: "access_denied", Description: "Too Many Requests"}, fault.Upstream, "busy"},
		"a limit as a refusal":        {403, nil, `{"error":"access_denied","error_description":"Too Many Requests"}`, auth0.Error{Status: 403, Code: "access_denied", Description: "Too Many Requests"}, fault.Upstream, "busy"},
		"grant off":                   {403, nil, `{"error":"unauthorized_client"}`, auth0.Error{Status: 403, Code: "unauthorized_client"}, fault.Internal, "not set up correctly"},
		"second factor wanted":        {401, nil, `{"error":"mfa_required"}`, auth0.Error{Status: 401, Code: "mfa_required"}, fault.Internal, "not set up correctly"},
		"dead refresh token":          {403, nil, `{"error":"invalid_grant"}`, auth0.Error{Status: 403, Code: "invalid_grant"}, fault.Unauthenticated, "sign in again"},
		"something else":              {400, nil, `{"error":"invalid_request"}`, auth0.Error{Status: 400, Code: "invalid_request"}, fault.Internal, "not set up correctly"},
		"slow_down":                   {400, http.Header{"Retry-After": {"10"}}, `{"error":"slow_down","interval":15}`, auth0.Error{Status: 400, Code: "slow_down", RetryAfter: 10 * time.Second, Interval: 15 * time.Second}, fault.Internal, ""},
		"absurd waits":                {429, http.Header{"Retry-After": {"-5"}}, `{"error":"too_many_requests","interval":1e300}`, auth0.Error{Status: 429, Code: "too_many_requests", Interval: 24 * time.Hour}, fault.Upstream, "busy"},
		"a problem document":          {403, nil, `{"type":"https://auth0.com/api-errors/A0E-403","title":"Insufficient Scope"}`, auth0.Error{Status: 403, Code: "Insufficient Scope", Description: "https://auth0.com/api-errors/A0E-403"}, fault.Internal, "not set up correctly"},
		"down":                        {503, nil, `<html>Bad gateway</html>`, auth0.Error{Status: 503}, fault.Upstream, "did not answer"},
		"down, in JSON":               {500, nil, `{"error":"server_error"}`, auth0.Error{Status: 500, Code: "server_error"}, fault.Upstream, "did not answer"},
		"a proxy":                     {403, nil, `Forbidden`, auth0.Error{Status: 403}, fault.Upstream, "did not answer"},
		"a redirect":                  {307, http.Header{"Location": {"https://elsewhere.test/"}}, ``, auth0.Error{Status: 307}, fault.Upstream, "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if r.FormValue("client_id") != clientID || r.FormValue("client_secret") != clientSecret || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("form %v", r.Form)
				}
				maps.Copy(w.Header(), tc.header)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer web.Close()
			err := clientOf(t, web.URL, nil).Form(t.Context(), auth0.EndpointToken, url.Values{"x": {"y"}}, nil)
			got, ok := errors.AsType[*auth0.Error](err)
			if !ok || *got != tc.want || calls.Load() != 1 {
				t.Fatalf("got %+v after %d calls, want %+v", err, calls.Load(), tc.want)
			}
			f, ok := errors.AsType[*fault.Error](auth0.Fault(err))
			if !ok || f.Kind != tc.kind || !strings.Contains(f.Say, tc.says) {
				t.Errorf("fault %+v, want %s %q", f, tc.kind, tc.says)
			}
			if tc.want.Description != "" && strings.Contains(err.Error(), tc.want.Description) {
				t.Errorf("the log would have Auth0's words: %v", err)
			}
		})
	}
}

// The exchange has its documented fields and no others. Auth0 takes a scope or an audience without a word, and what they
// do then is documented nowhere.
func TestTheExchangeHasItsDocumentedFields(t *testing.T) {
	var sent url.Values
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.RequestURI != "/oauth/token" {
			t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
		}
		sent = r.PostForm
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"okta","expires_in":3600,"token_type":"Bearer"}`)
	}))
	defer web.Close()
	if _, err := clientOf(t, web.URL, nil).FederatedToken(t.Context(), secret.New("the-refresh-token"), "okta-corp"); err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type":           {"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:refresh_token"},
		"subject_token":        {"the-refresh-token"},
		"requested_token_type": {"http://auth0.com/oauth/token-type/federated-connection-access-token"},
		"connection":           {"okta-corp"},
		"client_id":            {clientID},
		"client_secret":        {clientSecret},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("-documented +sent:\n%s", diff)
	}
}

func TestUnusableAnswersAreUpstreamFaults(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		},
		"half of JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"canary`)
		},
		"no token": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{}`)
		},
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"nothing": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the server notices that the client has left only after that
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(answer)
			defer web.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := clientOf(t, web.URL, nil).FederatedToken(ctx, secret.New("refresh-canary"), "okta-corp")
			if fault.KindOf(auth0.Fault(err)) != fault.Upstream || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), clientSecret) {
				t.Errorf("got %v", err)
			}
		})
	}
	down := auth0.New(auth0.Config{Issuer: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Secret: func(context.Context) (secret.String, error) {
		return secret.String{}, fault.New(fault.Internal, "no value yet", nil)
	}})
	if err := auth0.Fault(down.Form(t.Context(), auth0.EndpointToken, url.Values{}, nil)); fault.KindOf(err) != fault.Internal {
		t.Errorf("without a secret: %v", err)
	}
}

// issuer is a tenant whose tokens are made by the test.
type issuer struct {
	url    string
	key    *rsa.PrivateKey
	outage atomic.Pointer[http.HandlerFunc] // answers the request for keys, if set
	names  atomic.Bool                      // authorization responses name their issuer (RFC 9207)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.url + "/", "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/oauth/token", "jwks_uri": i.url + "/keys", "authorization_response_iss_parameter_supported": i.names.Load()})
		case i.outage.Load() != nil:
			(*i.outage.Load())(w, r)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]any{{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
		}
	}))
	t.Cleanup(web.Close)
	i.url = web.URL
	return i
}

// sign makes a token of claims; change alters header and claims first.
func (i *issuer) sign(t testing.TB, key *rsa.PrivateKey, change func(header, claims map[string]any)) secret.String {
	t.Helper()
	now := time.Now().Unix()
	header := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "k1"}
	claims := map[string]any{"iss": i.url + "/", "aud": clientID, "sub": "oidc|okta-corp|00u1", "iat": now, "exp": now + 3600, "email": "canary@example.com"}
	change(header, claims)
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	if header["alg"] == "none" {
		return secret.New(b64(h) + "." + b64(c) + ".")
	}
	return i.jws(t, key, h, c)
}

// signText signs claims as they are written, with ISS and NOW filled in.
func (i *issuer) signText(t testing.TB, claims string) secret.String {
	t.Helper()
	claims = strings.NewReplacer("ISS", i.url+"/", "NOW", strconv.FormatInt(time.Now().Unix(), 10)).Replace(claims)
	return i.jws(t, i.key, []byte(`{"alg":"RS256","kid":"k1"}`), []byte(claims))
}

func (i *issuer) jws(t testing.TB, key *rsa.PrivateKey, h, c []byte) secret.String {
	t.Helper()
	signed := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(signed + "." + b64(sig))
}

// asJSON is a token in the flattened JSON serialization (RFC 7515 section 7.2.2).
func asJSON(token secret.String) secret.String {
	part := strings.Split(token.Reveal(), ".")
	return secret.New(`{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`)
}

// encoding/json fills a field from a name in any letter case, the last one winning. A provider that lets people add claims
// would let them change their address.
func TestClaimsAreDecodedExactly(t *testing.T) {
	i := newIssuer(t)
	const rest = `"iss":"ISS","aud":"steward-local","iat":NOW,"exp":9999999999,"sub":"oidc|okta-corp|00u1"`
	for claims, want := range map[string]auth0.IDToken{
		`{` + rest + `,"email":"alice@example.com","email_verified":true,"EMAIL":"frank@example.com"}`:                        {Email: "alice@example.com", EmailVerified: true},
		`{` + rest + `,"email":"alice@example.com","email_verified":false,"Email_Verified":true,"SUB":"oidc|okta-corp|00u2"}`: {Email: "alice@example.com"},
		`{` + rest + `,"EMAIL":"frank@example.com","EMAIL_VERIFIED":true,"Name":"Frank"}`:                                     {},
		`{` + rest + `,"email":"alice@example.com","email_verified":"true"}`:                                                  {Email: "alice@example.com", EmailVerified: true},
		`{` + rest + `,"email":"alice@example.com","email_verified":"TRUE"}`:                                                  {Email: "alice@example.com"},
		`{` + rest + `,"email":"alice@example.com","email_verified":1}`:                                                       {Email: "alice@example.com"},
		`{` + rest + `,"email":"alice@example.com","email_verified":"false"}`:                                                 {Email: "alice@example.com"},
		`{` + rest + `,"email":null,"name":null,"picture":null,"email_verified":null}`:                                        {},
	} {
		got, err := clientOf(t, i.url, nil).VerifyIDToken(t.Context(), i.signText(t, claims))
		want.Subject, want.IssuedAt, want.Expiry = "oidc|okta-corp|00u1", got.IssuedAt, got.Expiry
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", claims, got, err, want)
		}
	}
}

// RFC 9207 section 2.4.
func TestCheckResponseIssuer(t *testing.T) {
	i := newIssuer(t)
	for _, tc := range []struct {
		announced bool
		iss       string
		want      fault.Kind
	}{
		{false, "", ""},
		{false, i.url + "/", ""},
		{false, "https://evil.test/", fault.Unauthenticated},
		{true, "", fault.Unauthenticated},
		{true, i.url + "/", ""},
		{true, i.url, fault.Unauthenticated},
		{true, i.url + "//", fault.Unauthenticated},
		{true, strings.ToUpper(i.url) + "/", fault.Unauthenticated},
		{true, "https://evil.test/", fault.Unauthenticated},
	} {
		i.names.Store(tc.announced)
		if err := clientOf(t, i.url, nil).CheckResponseIssuer(t.Context(), tc.iss); fault.KindOf(err) != tc.want {
			t.Errorf("announced %t, iss %q: got %v, want %q", tc.announced, tc.iss, err, tc.want)
		}
	}
	if err := clientOf(t, "http://127.0.0.1:1", nil).CheckResponseIssuer(t.Context(), ""); fault.KindOf(err) != fault.Upstream {
		t.Errorf("nobody could be asked whether it is announced: %v", err)
	}
}

func FuzzCheckResponseIssuer(f *testing.F) {
	f.Add("")
	f.Add("https://tenant.example/")
	i := newIssuer(f)
	i.names.Store(true)
	c := clientOf(f, i.url, nil)
	f.Add(c.Issuer())
	f.Fuzz(func(t *testing.T, iss string) {
		if err := c.CheckResponseIssuer(t.Context(), iss); (err == nil) != (iss == c.Issuer()) {
			t.Errorf("iss %q: %v", iss, err)
		}
	})
}

func TestSubjectConnection(t *testing.T) {
	for sub, want := range map[string][2]string{
		"oidc|okta-corp|00u1abcd": {"okta-corp", "00u1abcd"},
		"oidc|okta-corp|a|b":      {"okta-corp", "a|b"},
		"oidc|other|00u1":         {"other", "00u1"},
		"oidc|okta-corp":          {},
		"oidc|okta-corp|":         {},
		"oidc||00u1":              {},
		"OIDC|okta-corp|00u1":     {},
		"samlp|okta-corp|00u1":    {},
		"auth0|64510000":          {},
		"google-oauth2|1184":      {},
		"|okta-corp|00u1":         {},
		"oidc":                    {},
		"":                        {},
	} {
		connection, id, ok := auth0.SubjectConnection(sub)
		if [2]string{connection, id} != want || ok != (want != [2]string{}) {
			t.Errorf("%q: %q, %q, %t", sub, connection, id, ok)
		}
	}
}

func TestVerifyIDToken(t *testing.T) {
	i := newIssuer(t)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(_, c map[string]any) {
		return func(_, c map[string]any) { c[name] = value }
	}
	both := func(a string, v any, b string, w any) func(_, c map[string]any) {
		return func(_, c map[string]any) { c[a], c[b] = v, w }
	}
	as := func(name string, value any) func(h, _ map[string]any) {
		return func(h, _ map[string]any) { h[name] = value }
	}
	for name, tc := range map[string]struct {
		token secret.String
		kind  fault.Kind
	}{
		"good":                            {i.sign(t, i.key, func(_, _ map[string]any) {}), ""},
		"several audiences":               {i.sign(t, i.key, both("aud", []string{clientID, "api"}, "azp", clientID)), ""},
		"azp":                             {i.sign(t, i.key, set("azp", clientID)), ""},
		"an audience in a list":           {i.sign(t, i.key, set("aud", []string{clientID})), ""},
		"fractions of a second":           {i.sign(t, i.key, set("iat", float64(time.Now().Unix())+0.5)), ""},
		"a clock that is a little ahead":  {i.sign(t, i.key, set("iat", time.Now().Unix()+50)), ""},
		"a long subject":                  {i.sign(t, i.key, set("sub", "oidc|okta-corp|"+strings.Repeat("x", 240))), ""},
		"unknown claims":                  {i.sign(t, i.key, set("Sub", "oidc|okta-corp|00u2")), ""},
		"no email":                        {i.sign(t, i.key, func(_, c map[string]any) { delete(c, "email") }), ""},
		"alg none":                        {i.sign(t, i.key, as("alg", "none")), fault.Unauthenticated},
		"HMAC with the public key's name": {i.sign(t, i.key, as("alg", "HS256")), fault.Unauthenticated},
		"another key":                     {i.sign(t, foreign, func(_, _ map[string]any) {}), fault.Unauthenticated},
		"an unknown key":                  {i.sign(t, foreign, as("kid", "k2")), fault.Unauthenticated},
		"another issuer":                  {i.sign(t, i.key, set("iss", "https://evil.test/")), fault.Unauthenticated},
		"issuer, no slash":                {i.sign(t, i.key, set("iss", i.url)), fault.Unauthenticated},
		"another audience":                {i.sign(t, i.key, set("aud", "other")), fault.Unauthenticated},
		"no audience":                     {i.sign(t, i.key, set("aud", "")), fault.Unauthenticated},
		"expired":                         {i.sign(t, i.key, set("exp", time.Now().Unix()-1)), fault.Unauthenticated},
		"no expiry":                       {i.sign(t, i.key, func(_, c map[string]any) { delete(c, "exp") }), fault.Unauthenticated},
		"several audiences, no azp":       {i.sign(t, i.key, set("aud", []string{clientID, "api"})), fault.Unauthenticated},
		"another azp":                     {i.sign(t, i.key, set("azp", "api")), fault.Unauthenticated},
		"several audiences, another azp":  {i.sign(t, i.key, both("aud", []string{clientID, "api"}, "azp", "api")), fault.Unauthenticated},
		"azp that is none":                {i.sign(t, i.key, set("azp", true)), fault.Unauthenticated},
		"audience that is none":           {i.sign(t, i.key, set("aud", map[string]any{"x": clientID})), fault.Unauthenticated},
		"no iat":                          {i.sign(t, i.key, func(_, c map[string]any) { delete(c, "iat") }), fault.Unauthenticated},
		"iat in the future":               {i.sign(t, i.key, set("iat", time.Now().Unix()+120)), fault.Unauthenticated},
		"iat that is none":                {i.sign(t, i.key, set("iat", "now")), fault.Unauthenticated},
		"iat null":                        {i.sign(t, i.key, set("iat", nil)), fault.Unauthenticated},
		"iat zero":                        {i.sign(t, i.key, set("iat", 0)), fault.Unauthenticated},
		"not good yet":                    {i.sign(t, i.key, set("nbf", time.Now().Unix()+120)), fault.Unauthenticated},
		"a subject that is too long":      {i.sign(t, i.key, set("sub", "oidc|okta-corp|"+strings.Repeat("x", 241))), fault.Unauthenticated},
		"a subject with a line break":     {i.sign(t, i.key, set("sub", "oidc|okta-corp|00u1\n")), fault.Unauthenticated},
		"a subject in other letters":      {i.sign(t, i.key, set("sub", "oidc|okta-corp|00u1\u200b")), fault.Unauthenticated},
		"subject null":                    {i.sign(t, i.key, set("sub", nil)), fault.Unauthenticated},
		"subject in capitals only":        {i.sign(t, i.key, func(_, c map[string]any) { c["SUB"] = c["sub"]; delete(c, "sub") }), fault.Unauthenticated},
		"audience in capitals only":       {i.sign(t, i.key, func(_, c map[string]any) { c["AUD"] = c["aud"]; delete(c, "aud") }), fault.Unauthenticated},
		"expiry in capitals only":         {i.sign(t, i.key, func(_, c map[string]any) { c["Exp"] = c["exp"]; delete(c, "exp") }), fault.Unauthenticated},
		"subject twice":                   {i.signText(t, `{"iss":"ISS","aud":"steward-local","iat":NOW,"exp":9999999999,"sub":"oidc|okta-corp|00u1","sub":"oidc|okta-corp|00u1"}`), fault.Unauthenticated},
		"address twice":                   {i.signText(t, `{"iss":"ISS","aud":"steward-local","iat":NOW,"exp":9999999999,"sub":"oidc|okta-corp|00u1","email":"canary@example.com","email":"b"}`), fault.Unauthenticated},
		"text behind the claims":          {i.signText(t, `{"iss":"ISS","aud":"steward-local","iat":NOW,"exp":9999999999,"sub":"oidc|okta-corp|00u1"} {}`), fault.Unauthenticated},
		"JSON serialization":              {asJSON(i.sign(t, i.key, func(_, _ map[string]any) {})), fault.Unauthenticated},
		"white space around":              {secret.New(" " + i.sign(t, i.key, func(_, _ map[string]any) {}).Reveal()), fault.Unauthenticated},
		"a line break behind":             {secret.New(i.sign(t, i.key, func(_, _ map[string]any) {}).Reveal() + "\n"), fault.Unauthenticated},
		"a fourth part":                   {secret.New(i.sign(t, i.key, func(_, _ map[string]any) {}).Reveal() + ".e30"), fault.Unauthenticated},
		"two tokens":                      {secret.New(strings.Repeat(i.sign(t, i.key, func(_, _ map[string]any) {}).Reveal(), 2)), fault.Unauthenticated},
		"no key id":                       {i.sign(t, i.key, func(h, _ map[string]any) { delete(h, "kid") }), fault.Unauthenticated},
		"no subject":                      {i.sign(t, i.key, set("sub", "")), fault.Unauthenticated},
		"email that is none":              {i.sign(t, i.key, set("email", 7)), fault.Unauthenticated},
		"empty":                           {secret.String{}, fault.Unauthenticated},
		"no token":                        {secret.New("a.b.c"), fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := clientOf(t, i.url, nil).VerifyIDToken(t.Context(), tc.token)
			if fault.KindOf(err) != tc.kind {
				t.Fatalf("got %v, want %q", err, tc.kind)
			}
			if (err == nil) != strings.HasPrefix(id.Subject, "oidc|okta-corp|") {
				t.Errorf("got %+v, %v", id, err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the log would have a claim: %v", err)
			}
		})
	}
	t.Run("keys cannot be fetched", func(t *testing.T) { // so the token can be neither accepted nor called a forgery
		valid, forged := i.sign(t, i.key, func(_, _ map[string]any) {}), i.sign(t, foreign, func(_, _ map[string]any) {})
		for name, outage := range map[string]http.HandlerFunc{
			"unavailable": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"reset":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"no JSON":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>") },
		} {
			t.Run(name, func(t *testing.T) {
				c := clientOf(t, i.url, nil)
				i.outage.Store(&outage)
				for _, token := range []secret.String{valid, forged} {
					if _, err := c.VerifyIDToken(t.Context(), token); fault.KindOf(err) != fault.Upstream {
						t.Errorf("got %v", err)
					}
				}
				i.outage.Store(nil)
				if _, err := c.VerifyIDToken(t.Context(), valid); err != nil {
					t.Errorf("after the outage: %v", err)
				}
				if _, err := c.VerifyIDToken(t.Context(), forged); fault.KindOf(err) != fault.Unauthenticated {
					t.Errorf("a forged token after the outage: %v", err)
				}
			})
		}
	})
	t.Run("discovery unreachable", func(t *testing.T) {
		if _, err := clientOf(t, "http://127.0.0.1:1", nil).VerifyIDToken(t.Context(), i.sign(t, i.key, func(_, _ map[string]any) {})); fault.KindOf(err) != fault.Upstream {
			t.Errorf("got %v", err)
		}
	})
	t.Run("keys rotate", func(t *testing.T) {
		s, c := tenant(t)
		for range 3 {
			tokens, err := c.Refresh(t.Context(), secret.New(s.SignIn(clientID, alice)), "", "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.VerifyIDToken(t.Context(), tokens.IDToken); err != nil {
				t.Error(err)
			}
			s.RotateKeys()
		}
	})
}

func FuzzVerifyIDToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
	i := &issuer{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.url + "/", "jwks_uri": i.url + "/keys", "keys": []any{}})
	}))
	f.Cleanup(web.Close)
	i.url = web.URL
	u, _ := url.Parse(web.URL)
	c := auth0.New(auth0.Config{Issuer: u, ClientID: clientID})
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := c.VerifyIDToken(t.Context(), secret.New(token)); err == nil {
			t.Errorf("%q verified as %+v", token, id)
		}
	})
}
