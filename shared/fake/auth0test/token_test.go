package auth0test_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

func TestClientAuthentication(t *testing.T) {
	a := begin(t)
	machine := func(header http.Header, pairs ...string) answer {
		h := formType.Clone()
		maps.Copy(h, header)
		v := form(append([]string{"grant_type", "client_credentials", "audience", api}, pairs...)...)
		return a.do(http.DefaultClient, http.MethodPost, "/oauth/token", h, strings.NewReader(v.Encode()))
	}
	basic := func(user, password string) http.Header {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header
	}
	if got := machine(nil, "client_id", "machine", "client_secret", "machine-secret"); got.StatusCode != 200 {
		t.Errorf("post: %d %s", got.StatusCode, got.body)
	}
	if got := machine(basic("machine", "machine-secret")); got.StatusCode != 200 {
		t.Errorf("basic: %d %s", got.StatusCode, got.body)
	}
	machine(nil).wants(t, 400, "invalid_request", "Missing required parameter: client_id")
	machine(nil, "client_id", "machine").wants(t, 401, "access_denied", "Unauthorized")
	machine(nil, "client_id", "machine", "client_secret", "wrong").wants(t, 401, "access_denied", "Unauthorized")
	machine(nil, "client_id", "nobody", "client_secret", "machine-secret").wants(t, 401, "access_denied", "Unauthorized")
	machine(basic("machine", "wrong")).wants(t, 401, "access_denied", "Unauthorized")
	machine(basic("machine", "machine-secret"), "client_secret", "machine-secret").wants(t, 400, "invalid_request", "")
	machine(nil, "client_id", "machine", "client_secret", "machine-secret", "grant_type", "").wants(t, 400, "invalid_request", "Missing required parameter: grant_type")
	machine(nil, "client_id", "machine", "client_secret", "machine-secret", "grant_type", "password").wants(t, 400, "unsupported_grant_type", "")
	a.post("/oauth/token", as("grant_type", "client_credentials", "audience", api)).
		wants(t, 403, "unauthorized_client", "Grant type 'client_credentials' not allowed for the client.")

	documented := begin(t, func(o *auth0test.Options) { o.InvalidClient = true })
	documented.post("/oauth/token", as("grant_type", "refresh_token", "client_secret", "wrong")).wants(t, 401, "invalid_client", "")
}

func TestClientCredentials(t *testing.T) {
	a := begin(t)
	ask := func(pairs ...string) answer {
		return a.post("/oauth/token", as(append([]string{"client_id", "machine", "client_secret", "machine-secret", "grant_type", "client_credentials"}, pairs...)...))
	}
	got := ask("audience", api)
	c := claims(t, got.str("access_token"))
	if c["sub"] != "machine@clients" || c["aud"] != api || c["gty"] != "client-credentials" || got.str("scope") != "users:read" {
		t.Errorf("got %v, scope %q", c, got.str("scope"))
	}
	ask().wants(t, 403, "access_denied", "")
	ask("audience", "https://nobody.test/").wants(t, 403, "access_denied", "Service not found: https://nobody.test/")
	ask("audience", a.url+"/api/v2/").wants(t, 403, "access_denied", `Client "machine" is not authorized to access resource server "`+a.url+`/api/v2/".`)
	ask("audience", a.url+"/me/").wants(t, 403, "access_denied", "")
}

func TestAudience(t *testing.T) {
	a := begin(t)
	got := a.login(aliceEmail, "audience", api, "scope", "openid users:read nonsense offline_access")
	c := claims(t, got.str("access_token"))
	aud, _ := c["aud"].([]any)
	if !slices.Equal(aud, []any{api, a.url + "/userinfo"}) || c["azp"] != clientID || c["scope"] != "openid users:read offline_access" {
		t.Errorf("claims %v", c)
	}
	if got.str("scope") != "openid users:read offline_access" {
		t.Errorf("scope %q", got.str("scope"))
	}
	a.Configure(func(s *auth0test.Settings) { s.APIs[api].AllowOfflineAccess = false })
	a.newBrowser()
	got = a.login(aliceEmail, "audience", api, "scope", "openid users:read offline_access")
	if got.json["refresh_token"] != nil {
		t.Error("a refresh token without Allow Offline Access")
	}
}

func (a *tenant) refreshWith(token string, pairs ...string) answer {
	a.t.Helper()
	return a.post("/oauth/token", as(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...))
}

const badRefresh = "Unknown or invalid refresh token."

func TestRefresh(t *testing.T) {
	a := begin(t)
	token := a.login(aliceEmail).str("refresh_token")
	got := a.refreshWith(token)
	if got.StatusCode != 200 || got.json["refresh_token"] != nil || claims(t, got.str("id_token"))["sub"] != aliceSub {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	if c := claims(t, got.str("id_token")); c["nonce"] != nil {
		t.Error("a refreshed ID token has a nonce")
	}
	if got := a.refreshWith(token, "scope", "openid nonsense"); got.str("scope") != "openid" {
		t.Errorf("scope %q", got.str("scope"))
	}
	a.refreshWith("").wants(t, 400, "invalid_request", "Missing required parameter: refresh_token")
	a.refreshWith("v1.nonsense").wants(t, 403, "invalid_grant", badRefresh)
	a.refreshWith(token, "client_id", "other", "client_secret", "other-secret").wants(t, 403, "invalid_grant", badRefresh)

	a.Configure(func(s *auth0test.Settings) { delete(s.People, aliceSub) })
	a.refreshWith(token).wants(t, 403, "invalid_grant", "The refresh_token was generated for a user who doesn't exist anymore.")
}

func TestRefreshTakesJSON(t *testing.T) {
	a := begin(t)
	token := a.login(aliceEmail).str("refresh_token")
	body := `{"grant_type":"refresh_token","client_id":"` + clientID + `","client_secret":"` + secret + `","refresh_token":"` + token + `"}`
	got := a.do(http.DefaultClient, http.MethodPost, "/oauth/token", http.Header{"Content-Type": {"application/json; charset=utf-8"}}, strings.NewReader(body))
	if got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	got = a.do(http.DefaultClient, http.MethodPost, "/oauth/token", http.Header{"Content-Type": {"application/json"}}, strings.NewReader("nonsense"))
	got.wants(t, 400, "invalid_request", "")
	got = a.do(http.DefaultClient, http.MethodPost, "/oauth/token", formType, strings.NewReader("grant_type=refresh_token&grant_type=password"))
	got.wants(t, 400, "invalid_request", "")
}

func TestRefreshExpires(t *testing.T) {
	a := begin(t)
	token := a.login(aliceEmail).str("refresh_token")
	a.clock.forward(14 * 24 * time.Hour)
	if got := a.refreshWith(token); got.StatusCode != 200 {
		t.Fatalf("in use: %d %s", got.StatusCode, got.body)
	}
	a.clock.forward(14 * 24 * time.Hour)
	if got := a.refreshWith(token); got.StatusCode != 200 {
		t.Fatalf("still in use: %d %s", got.StatusCode, got.body)
	}
	a.clock.forward(3 * 24 * time.Hour)
	a.refreshWith(token).wants(t, 403, "invalid_grant", badRefresh) // absolute

	token = a.login(aliceEmail, "prompt", "login").str("refresh_token")
	a.clock.forward(15 * 24 * time.Hour)
	a.refreshWith(token).wants(t, 403, "invalid_grant", badRefresh) // idle
}

func TestRevoke(t *testing.T) {
	a := begin(t)
	token := a.login(aliceEmail).str("refresh_token")
	a.post("/oauth/revoke", as("token", token, "client_secret", "wrong")).wants(t, 401, "access_denied", "")
	a.post("/oauth/revoke", as()).wants(t, 400, "invalid_request", "Missing required parameter: token")
	a.post("/oauth/revoke", as("client_id", "other", "client_secret", "other-secret", "token", token))
	if got := a.refreshWith(token); got.StatusCode != 200 {
		t.Fatal("another client could revoke")
	}
	for range 2 { // a dead token is fine, too
		if got := a.post("/oauth/revoke", as("token", token)); got.StatusCode != 200 || got.body != "" {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	}
	a.refreshWith(token).wants(t, 403, "invalid_grant", badRefresh)
}

func TestRotation(t *testing.T) {
	a := begin(t)
	a.Configure(func(s *auth0test.Settings) {
		s.Clients[clientID].RefreshToken.RotationType, s.Clients[clientID].RefreshToken.Leeway = "rotating", 10
	})
	first := a.login(aliceEmail).str("refresh_token")
	second := a.refreshWith(first).str("refresh_token")
	if second == "" || second == first {
		t.Fatal("no new refresh token")
	}
	if got := a.refreshWith(first); got.StatusCode != 200 {
		t.Errorf("inside the leeway: %d %s", got.StatusCode, got.body)
	}
	third := a.refreshWith(second).str("refresh_token")
	a.clock.forward(11 * time.Second)
	a.refreshWith(second).wants(t, 403, "invalid_grant", badRefresh) // reuse
	a.refreshWith(third).wants(t, 403, "invalid_grant", badRefresh)  // the family is gone
}

func TestMultiResourceRefreshToken(t *testing.T) {
	a := begin(t)
	token := a.login(aliceEmail).str("refresh_token")
	got := a.refreshWith(token, "audience", a.url+"/me/", "scope", "openid create:me:connected_accounts read:me:nonsense")
	c := claims(t, got.str("access_token"))
	if got.str("scope") != "create:me:connected_accounts" || c["aud"] != a.url+"/me/" || c["sub"] != aliceSub {
		t.Errorf("got %s, claims %v", got.body, c)
	}
	a.refreshWith(token, "audience", api).wants(t, 400, "invalid_target", "")
	a.refreshWith(token, "audience", a.url+"/api/v2/").wants(t, 400, "invalid_target", "")
	a.Configure(func(s *auth0test.Settings) { s.Grants = nil })
	a.refreshWith(token, "audience", a.url+"/me/").wants(t, 403, "access_denied", "")
}

func TestChaosAnswersTooManyRequests(t *testing.T) {
	seeded := begin(t, func(o *auth0test.Options) { o.Chaos = 7 })
	var plan []int
	for range 3 {
		seeded.Reset()
		var statuses []int
		for range 40 {
			statuses = append(statuses, seeded.refreshWith("x").StatusCode)
		}
		if plan != nil && !slices.Equal(plan, statuses) {
			t.Error("the same seed made another plan")
		}
		plan = statuses
	}
	if !slices.Contains(plan, 429) || !slices.Contains(plan, 403) {
		t.Errorf("plan %v", plan)
	}
}

func TestRotateKeys(t *testing.T) {
	a := begin(t)
	kids := func() []any {
		keys, _ := a.get("/.well-known/jwks.json").json["keys"].([]any)
		return []any{keys[0].(map[string]any)["kid"], keys[1].(map[string]any)["kid"]}
	}
	before := kids()
	a.RotateKeys()
	if after := kids(); after[0] != before[1] || slices.Contains(before, after[1]) {
		t.Errorf("keys %v, then %v", before, after)
	}
}
