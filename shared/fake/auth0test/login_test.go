package auth0test_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

func TestDiscovery(t *testing.T) {
	a := begin(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		got := a.get(path)
		for key, want := range map[string]string{
			"issuer": a.url + "/", "authorization_endpoint": a.url + "/authorize", "token_endpoint": a.url + "/oauth/token",
			"jwks_uri":                            a.url + "/.well-known/jwks.json",
			"backchannel_authentication_endpoint": a.url + "/bc-authorize",
		} {
			if got.str(key) != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got.str(key), want)
			}
		}
	}
	keys, _ := a.get("/.well-known/jwks.json").json["keys"].([]any)
	if len(keys) != 2 {
		t.Fatalf("got %d keys, want current and next", len(keys))
	}
	for _, k := range keys {
		for _, field := range []string{"kid", "n", "e", "x5t", "x5c"} {
			if k.(map[string]any)[field] == nil {
				t.Errorf("key without %s", field)
			}
		}
	}
}

func TestLogin(t *testing.T) {
	a := begin(t)
	back := a.signIn(aliceEmail)
	if back.Get("state") != "st-1" || back.Get("code") == "" {
		t.Fatalf("callback query %v", back)
	}
	redeem := func(pairs ...string) answer {
		return a.post("/oauth/token", as(append([]string{"grant_type", "authorization_code", "code", back.Get("code"), "redirect_uri", callback, "code_verifier", verifier}, pairs...)...))
	}
	redeem("redirect_uri", "https://evil.test/").wants(t, 403, "invalid_grant", "")
	redeem("code_verifier", strings.Repeat("x", 43)).wants(t, 403, "invalid_grant", "Failed to verify code verifier")
	redeem("code_verifier", "").wants(t, 403, "invalid_grant", "Failed to verify code verifier")
	redeem("client_id", "other", "client_secret", "other-secret").wants(t, 403, "invalid_grant", "Invalid authorization code")
	redeem("code", "").wants(t, 400, "invalid_request", "Missing required parameter: code")

	got := redeem()
	if got.StatusCode != 200 || got.str("token_type") != "Bearer" || got.json["expires_in"] != 86400.0 || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	if strings.Contains(got.str("access_token"), ".") {
		t.Error("the access token without an audience is not opaque")
	}
	c := claims(t, got.str("id_token"))
	for key, want := range map[string]any{
		"iss": a.url + "/", "sub": aliceSub, "aud": clientID, "nonce": "n-1", "email": aliceEmail, "email_verified": true,
		"https://steward.example/okta": "00ualice000000000001",
	} {
		if c[key] != want {
			t.Errorf("claim %s is %v, want %v", key, c[key], want)
		}
	}
	if c["sid"] == nil || c["auth_time"] != nil {
		t.Errorf("sid %v, auth_time %v", c["sid"], c["auth_time"])
	}
	redeem().wants(t, 403, "invalid_grant", "Invalid authorization code")
}

// RFC 9207: announced, and then in every answer, faults included.
func TestResponseIssuer(t *testing.T) {
	for _, on := range []bool{false, true} {
		a := begin(t, func(o *auth0test.Options) { o.ResponseIssuer = on })
		want := ""
		if on {
			want = a.url + "/"
		}
		if got := a.get("/.well-known/openid-configuration"); got.json["authorization_response_iss_parameter_supported"] != on {
			t.Errorf("announced: %v, want %t", got.json["authorization_response_iss_parameter_supported"], on)
		}
		if back := a.signIn(aliceEmail); back.Get("iss") != want || back.Get("code") == "" {
			t.Errorf("signed in: %v, want iss %q", back, want)
		}
		refused, err := a.get(a.authorizeURL("response_type", "token")).Location()
		if err != nil {
			t.Fatal(err)
		}
		if back := refused.Query(); back.Get("iss") != want || back.Get("error") == "" {
			t.Errorf("refused: %v, want iss %q", back, want)
		}
	}
}

func TestCodeExpires(t *testing.T) {
	a := begin(t)
	code := a.signIn(aliceEmail).Get("code")
	a.clock.forward(10 * time.Minute)
	a.post("/oauth/token", as("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)).
		wants(t, 403, "invalid_grant", "Invalid authorization code")
}

func TestAuthorizeShowsWhatItMustNotRedirect(t *testing.T) {
	a := begin(t)
	for name, pairs := range map[string][]string{
		"no client":        {"client_id", ""},
		"unknown client":   {"client_id", "nobody"},
		"unknown redirect": {"redirect_uri", "https://evil.test/callback"},
		"longer redirect":  {"redirect_uri", callback + "/x"},
		"no redirect":      {"redirect_uri", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := a.get(a.authorizeURL(pairs...)); got.StatusCode != 400 && got.StatusCode != 403 {
				t.Errorf("got %d", got.StatusCode)
			}
		})
	}
}

func TestAuthorizeRedirectsFaults(t *testing.T) {
	a := begin(t)
	for name, test := range map[string]struct {
		pairs       []string
		code, about string
	}{
		"response type":     {[]string{"response_type", "token"}, "unsupported_response_type", ""},
		"plain challenge":   {[]string{"code_challenge_method", "plain"}, "invalid_request", ""},
		"unknown audience":  {[]string{"audience", "https://nobody.test/"}, "access_denied", "Service not found: https://nobody.test/"},
		"management API":    {[]string{"audience", a.url + "/api/v2/"}, "access_denied", ""},
		"connection":        {[]string{"connection", "nope"}, "invalid_request", "the connection was not found"},
		"both access kinds": {[]string{"scope", "openid online_access offline_access"}, "invalid_request", "Cannot request both online_access and offline_access scopes"},
		"silent":            {[]string{"prompt", "none"}, "login_required", "Login required"},
	} {
		t.Run(name, func(t *testing.T) {
			q := a.location(a.get(a.authorizeURL(test.pairs...))).Query()
			if q.Get("error") != test.code || q.Get("state") != "st-1" || q.Get("code") != "" || (test.about != "" && q.Get("error_description") != test.about) {
				t.Errorf("got %v, want %s %q", q, test.code, test.about)
			}
		})
	}
}

func TestLoginDisabledConnection(t *testing.T) {
	a := begin(t)
	a.Configure(func(s *auth0test.Settings) { s.Connections["okta-corp"].Authentication.Active = false })
	if q := a.location(a.get(a.authorizeURL())).Query(); q.Get("error") != "invalid_request" {
		t.Errorf("got %v", q)
	}
}

func TestSingleSignOn(t *testing.T) {
	a := begin(t)
	a.signIn(aliceEmail)
	if q := a.location(a.get(a.authorizeURL("prompt", "none"))).Query(); q.Get("code") == "" {
		t.Errorf("silent login of a signed-in browser: %v", q)
	}
	if u := a.location(a.get(a.authorizeURL("prompt", "login"))); u.Path != "/u/login" {
		t.Errorf("prompt=login went to %s", u)
	}
	a.clock.forward(time.Minute)
	if u := a.location(a.get(a.authorizeURL("max_age", "30"))); u.Path != "/u/login" {
		t.Errorf("max_age went to %s", u)
	}
	if u := a.location(a.get("/v2/logout?client_id=" + clientID)); u.String() != bye {
		t.Errorf("logout went to %s", u)
	}
	if u := a.location(a.get(a.authorizeURL())); u.Path != "/u/login" {
		t.Errorf("after logout went to %s", u)
	}
}

func TestMaxAgeGivesAuthTime(t *testing.T) {
	a := begin(t)
	if c := claims(t, a.login(aliceEmail, "max_age", "600").str("id_token")); c["auth_time"] == nil {
		t.Error("no auth_time")
	}
}

func TestLoginCancelled(t *testing.T) {
	a := begin(t)
	page := a.get(a.location(a.get(a.authorizeURL())).String())
	if strings.Contains(page.body, "<Adams>") {
		t.Error("a name was not escaped")
	}
	state := hidden.FindStringSubmatch(page.body)[2]
	press := func() answer {
		return a.do(a.browser, http.MethodPost, "/u/login", formType, strings.NewReader(form("state", state, "decision", "cancel").Encode()))
	}
	if q := a.location(press()).Query(); q.Get("error") != "access_denied" || q.Get("state") != "st-1" {
		t.Errorf("got %v", q)
	}
	if got := press(); got.StatusCode != 400 {
		t.Errorf("a used login page answered %d", got.StatusCode)
	}
}

func TestCrossSitePostRefused(t *testing.T) {
	a := begin(t)
	h := http.Header{"Content-Type": formType["Content-Type"], "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.test"}}
	for _, path := range []string{"/u/login", "/connected-accounts/connect", "/phone/pushes/x"} {
		if got := a.do(a.browser, http.MethodPost, path, h, strings.NewReader("")); got.StatusCode != 403 {
			t.Errorf("%s answered %d", path, got.StatusCode)
		}
	}
}

func TestLogout(t *testing.T) {
	a := begin(t)
	a.login(aliceEmail)
	for name, got := range map[string]answer{
		"unknown URL": a.get("/v2/logout?client_id=" + clientID + "&returnTo=" + url.QueryEscape("https://evil.test/")),
		"no client":   a.get("/v2/logout?returnTo=" + url.QueryEscape(bye)),
	} {
		if got.StatusCode != 400 {
			t.Errorf("%s: got %d", name, got.StatusCode)
		}
	}
	if u := a.location(a.get("/v2/logout?client_id=" + clientID + "&returnTo=" + url.QueryEscape(bye))); u.String() != bye {
		t.Errorf("went to %s", u)
	}
	if q := a.location(a.get(a.authorizeURL("prompt", "none"))).Query(); q.Get("error") != "login_required" {
		t.Errorf("still signed in: %v", q)
	}
}
