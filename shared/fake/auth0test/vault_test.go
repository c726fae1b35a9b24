package auth0test_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

const federated = "http://auth0.com/oauth/token-type/federated-connection-access-token"

// exchange asks the Token Vault for Alice's Okta token, with pairs in place of the usual fields.
func (a *tenant) exchange(subject string, pairs ...string) answer {
	a.t.Helper()
	return a.post("/oauth/token", as(append([]string{
		"grant_type", auth0test.GrantTokenVault, "subject_token", subject, "subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token",
		"requested_token_type", federated, "connection", "okta-corp",
	}, pairs...)...))
}

const notConnected = "federated_connection_refresh_token_not_found"

func TestTokenVault(t *testing.T) {
	a := begin(t)
	subject := a.login(aliceEmail).str("refresh_token")
	a.exchange(subject).wants(t, 401, notConnected, "Federated connection Refresh Token not found.")
	if len(a.minted) != 0 {
		t.Error("a login filled the vault")
	}

	a.Connect(aliceEmail)
	got := a.exchange(subject)
	if got.StatusCode != 200 || got.str("access_token") != "okta-00ualice000000000001-1" || got.str("issued_token_type") != federated ||
		got.str("token_type") != "Bearer" || got.json["expires_in"] != 2400.0 || !strings.Contains(got.str("scope"), "okta.users.manage") {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	for _, field := range []string{"refresh_token", "id_token"} {
		if got.json[field] != nil {
			t.Errorf("the answer has a %s", field)
		}
	}
	a.clock.forward(20 * time.Minute)
	if got := a.exchange(subject, "scope", "ignored", "audience", "ignored"); got.str("access_token") != "okta-00ualice000000000001-1" || got.json["expires_in"] != 1200.0 {
		t.Errorf("the stored token was not given again: %s", got.body)
	}
	a.clock.forward(20 * time.Minute)
	if got := a.exchange(subject); got.str("access_token") != "okta-00ualice000000000001-2" || got.json["expires_in"] != 2400.0 {
		t.Errorf("the token was not refreshed: %s", got.body)
	}
	a.ExpireOktaTokens()
	a.refuse = true
	a.exchange(subject).wants(t, 401, notConnected, "")
}

func TestTokenVaultRefusals(t *testing.T) {
	a := begin(t)
	subject := a.SignIn(clientID, aliceEmail)
	a.Connect(aliceEmail)
	for name, test := range map[string]struct {
		pairs  []string
		status int
		code   string
	}{
		"no subject token":        {[]string{"subject_token", ""}, 400, "invalid_request"},
		"no subject token type":   {[]string{"subject_token_type", ""}, 400, "invalid_request"},
		"other subject type":      {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, 400, "invalid_request"},
		"no requested token type": {[]string{"requested_token_type", ""}, 400, "invalid_request"},
		"other requested type":    {[]string{"requested_token_type", "urn:x"}, 400, "invalid_request"},
		"no connection":           {[]string{"connection", ""}, 400, "invalid_request"},
		"unknown subject token":   {[]string{"subject_token", "v1.nonsense"}, 401, "invalid_grant"},
		"wrong secret":            {[]string{"client_secret", "wrong"}, 401, "access_denied"},
		"unknown connection":      {[]string{"connection", "okta-other"}, 401, notConnected},
		"unknown account":         {[]string{"login_hint", "00ustranger000000000"}, 401, "user_not_found"},
		"an access token":         {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:access_token"}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) { a.exchange(subject, test.pairs...).wants(t, test.status, test.code, "") })
	}

	// Each setting alone breaks the exchange; Reset gives the tenant back as it was.
	settings := map[string]struct {
		change func(*auth0test.Settings)
		status int
		code   string
	}{
		"grant type off":  {func(s *auth0test.Settings) { drop(s, auth0test.GrantTokenVault) }, 403, "unauthorized_client"},
		"third party":     {func(s *auth0test.Settings) { s.Clients[clientID].IsFirstParty = false }, 403, "unauthorized_client"},
		"public client":   {func(s *auth0test.Settings) { s.Clients[clientID].TokenEndpointAuthMethod = "none" }, 403, "unauthorized_client"},
		"rotation":        {func(s *auth0test.Settings) { s.Clients[clientID].RefreshToken.RotationType = "rotating" }, 400, "invalid_request"},
		"MFA always":      {func(s *auth0test.Settings) { s.Guardian.Policies = []string{"all-applications"} }, 401, "mfa_required"},
		"not enabled":     {func(s *auth0test.Settings) { s.Connections["okta-corp"].EnabledClients = nil }, 401, notConnected},
		"purpose off":     {func(s *auth0test.Settings) { s.Connections["okta-corp"].ConnectedAccounts.Active = false }, 400, "invalid_request"},
		"user is deleted": {func(s *auth0test.Settings) { delete(s.People, aliceSub) }, 401, "invalid_grant"},
	}
	for name, test := range settings {
		t.Run(name, func(t *testing.T) {
			a.Reset()
			a.newBrowser()
			subject := a.login(aliceEmail).str("refresh_token")
			a.Connect(aliceEmail)
			a.Configure(test.change)
			got := a.exchange(subject)
			got.wants(t, test.status, test.code, "")
			if test.code == "mfa_required" && !strings.HasPrefix(got.str("mfa_token"), "Fe26.") {
				t.Errorf("mfa_token %q", got.str("mfa_token"))
			}
		})
	}
}

func drop(s *auth0test.Settings, grant string) {
	c := s.Clients[clientID]
	c.GrantTypes = slices.DeleteFunc(c.GrantTypes, func(g string) bool { return g == grant })
}

// connectOkta runs the Connected Accounts flow; person is whose Okta account the browser chooses.
func (a *tenant) connectOkta(token, person, decision string, body map[string]any) (started answer, back *http.Response) {
	a.t.Helper()
	started = a.me(http.MethodPost, "connect", token, body)
	if started.StatusCode != http.StatusCreated {
		return started, nil
	}
	ticket := started.json["connect_params"].(map[string]any)["ticket"].(string)
	page := a.get(started.str("connect_uri") + "?ticket=" + ticket)
	if !strings.Contains(page.body, `id="approve"`) || !strings.Contains(page.body, "offline_access") || !strings.Contains(page.body, `<option value="`+bobEmail+`">`) {
		a.t.Fatalf("consent page: %d %s", page.StatusCode, page.body)
	}
	got := a.do(a.browser, http.MethodPost, "/connected-accounts/connect", formType, strings.NewReader(form("ticket", ticket, "person", person, "decision", decision).Encode()))
	if again := a.get(started.str("connect_uri") + "?ticket=" + ticket); again.StatusCode != 400 {
		a.t.Errorf("a used ticket answered %d", again.StatusCode)
	}
	return started, got.Response
}

func (a *tenant) myAccountToken(email string) (me, refresh string) {
	a.t.Helper()
	refresh = a.login(email).str("refresh_token")
	return a.refreshWith(refresh, "audience", a.url+"/me/").str("access_token"), refresh
}

func (got answer) problem(t *testing.T, status int) {
	t.Helper()
	if got.StatusCode != status || got.json["status"] != float64(status) || got.str("title") == "" || got.str("type") == "" || got.str("error") != "" {
		t.Errorf("got %d %s, want a problem of status %d", got.StatusCode, got.body, status)
	}
}

func TestConnectedAccounts(t *testing.T) {
	a := begin(t)
	token, refresh := a.myAccountToken(aliceEmail)
	start := map[string]any{
		"connection": "okta-corp", "redirect_uri": linked, "state": "st-91f2", "scopes": []string{"openid", "okta.users.read"},
		"code_challenge": challenge, "code_challenge_method": "S256",
	}
	started, resp := a.connectOkta(token, aliceEmail, "approve", start)
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	if back.Query().Get("state") != "st-91f2" || started.json["expires_in"] != 300.0 {
		t.Errorf("back %s, started %s", back, started.body)
	}
	finish := map[string]any{"auth_session": started.str("auth_session"), "connect_code": back.Query().Get("connect_code"), "redirect_uri": linked, "code_verifier": verifier}
	with := func(key string, value any) map[string]any {
		m := map[string]any{}
		for k, v := range finish {
			m[k] = v
		}
		m[key] = value
		return m
	}
	a.newBrowser()
	bob, _ := a.myAccountToken(bobEmail)
	a.me(http.MethodPost, "complete", bob, finish).problem(t, 400) // somebody else's flow
	a.me(http.MethodPost, "complete", token, with("connect_code", "nonsense")).problem(t, 400)
	a.me(http.MethodPost, "complete", token, with("redirect_uri", callback)).problem(t, 400)
	a.me(http.MethodPost, "complete", token, with("code_verifier", strings.Repeat("x", 43))).problem(t, 400)
	a.me(http.MethodPost, "complete", token, with("unknown", 1)).problem(t, 400)
	a.exchange(refresh).wants(t, 401, notConnected, "")

	got := a.me(http.MethodPost, "complete", token, finish)
	if got.StatusCode != 201 || !strings.HasPrefix(got.str("id"), "cac_") || got.str("connection") != "okta-corp" || got.str("access_type") != "offline" {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	a.me(http.MethodPost, "complete", token, finish).problem(t, 409)
	if got := a.exchange(refresh); got.str("scope") != "openid okta.users.read offline_access" {
		t.Errorf("got %s", got.body)
	}

	list := a.me(http.MethodGet, "accounts", token, nil)
	if accounts, _ := list.json["accounts"].([]any); len(accounts) != 1 {
		t.Errorf("accounts %s", list.body)
	}
	a.me(http.MethodGet, "accounts?take=21", token, nil).problem(t, 400)
	a.me(http.MethodDelete, "accounts/"+got.str("id"), bob, nil).problem(t, 404)
	if got := a.me(http.MethodDelete, "accounts/"+got.str("id"), token, nil); got.StatusCode != 204 {
		t.Errorf("delete: %d %s", got.StatusCode, got.body)
	}
	a.exchange(refresh).wants(t, 401, notConnected, "")
}

func TestEachCallOfMyAccountHasItsScope(t *testing.T) {
	a := begin(t)
	_, refresh := a.myAccountToken(aliceEmail)
	a.Connect(aliceEmail)
	for scope, allowed := range map[string]string{"create": "connect", "read": "accounts", "delete": "accounts/cac_x"} {
		token := a.refreshWith(refresh, "audience", a.url+"/me/", "scope", scope+":me:connected_accounts").str("access_token")
		for path, got := range map[string]answer{
			"connect":        a.me(http.MethodPost, "connect", token, map[string]any{"connection": "okta-corp", "redirect_uri": linked}),
			"complete":       a.me(http.MethodPost, "complete", token, map[string]any{}),
			"accounts":       a.me(http.MethodGet, "accounts", token, nil),
			"accounts/cac_x": a.me(http.MethodDelete, "accounts/cac_x", token, nil),
		} {
			alike := path == allowed || path == "complete" && scope == "create"
			if (got.StatusCode == 403) == alike {
				t.Errorf("%s with %s: %d %s", path, scope, got.StatusCode, got.body)
			}
		}
	}
}

func TestConnectAnothersAccount(t *testing.T) {
	a := begin(t)
	token, refresh := a.myAccountToken(aliceEmail)
	started, resp := a.connectOkta(token, bobEmail, "approve", map[string]any{"connection": "okta-corp", "redirect_uri": linked})
	back, _ := resp.Location()
	a.me(http.MethodPost, "complete", token, map[string]any{"auth_session": started.str("auth_session"), "connect_code": back.Query().Get("connect_code"), "redirect_uri": linked})
	if got := a.exchange(refresh); got.str("access_token") != "okta-00ubob00000000000002-1" {
		t.Errorf("the vault holds %s, want a token of the account that was connected", got.body)
	}

	a.Connect(aliceEmail) // a second account of the same connection: the youngest is given, unless the hint says which
	for hint, want := range map[string]string{"": "okta-00ualice000000000001-2", "00ubob00000000000002": "okta-00ubob00000000000002-1"} {
		if got := a.exchange(refresh, "login_hint", hint); got.str("access_token") != want {
			t.Errorf("hint %q: got %s, want %s", hint, got.body, want)
		}
	}
	first := a.me(http.MethodGet, "accounts?take=1", token, nil)
	second := a.me(http.MethodGet, "accounts?take=1&from="+first.str("next"), token, nil)
	if first.str("next") == "" || second.json["next"] != nil || first.body == second.body || len(second.json["accounts"].([]any)) != 1 {
		t.Errorf("pages %s and %s", first.body, second.body)
	}
}

func TestConnectRefusals(t *testing.T) {
	a := begin(t)
	token, refresh := a.myAccountToken(aliceEmail)
	ok := map[string]any{"connection": "okta-corp", "redirect_uri": linked}
	with := func(key string, value any) map[string]any {
		m := map[string]any{"connection": "okta-corp", "redirect_uri": linked}
		m[key] = value
		return m
	}
	readOnly := a.refreshWith(refresh, "audience", a.url+"/me/", "scope", "read:me:connected_accounts").str("access_token")
	a.me(http.MethodPost, "connect", "nonsense", ok).problem(t, 401)
	a.me(http.MethodPost, "connect", a.login(aliceEmail, "audience", api, "prompt", "login").str("access_token"), ok).problem(t, 401)
	a.me(http.MethodPost, "connect", readOnly, ok).problem(t, 403)
	a.me(http.MethodPost, "connect", token, with("redirect_uri", "https://evil.test/")).problem(t, 400)
	a.me(http.MethodPost, "connect", token, with("connection", "")).problem(t, 400)
	a.me(http.MethodPost, "connect", token, with("connection", "nope")).problem(t, 404)
	a.me(http.MethodPost, "connect", token, with("surprise", true)).problem(t, 400)
	a.me(http.MethodPost, "connect", token, with("scopes", []string{})).problem(t, 400)
	a.me(http.MethodPost, "connect", token, with("code_challenge", challenge)).problem(t, 400)
	a.me(http.MethodPost, "connect", token, with("authorization_params", map[string]any{"x": 1})).problem(t, 400)

	_, resp := a.connectOkta(token, aliceEmail, "deny", ok)
	if back, _ := resp.Location(); back.Query().Get("error") != "access_denied" || back.Query().Get("connect_code") != "" {
		t.Errorf("denied: %s", back)
	}
	started := a.me(http.MethodPost, "connect", token, ok)
	a.clock.forward(300 * time.Second)
	ticket := started.json["connect_params"].(map[string]any)["ticket"].(string)
	if got := a.get("/connected-accounts/connect?ticket=" + ticket); got.StatusCode != 400 {
		t.Errorf("an old ticket answered %d", got.StatusCode)
	}
	a.Configure(func(s *auth0test.Settings) { s.Connections["okta-corp"].ConnectedAccounts.Active = false })
	a.me(http.MethodPost, "connect", token, ok).problem(t, 404)
	a.clock.forward(24 * time.Hour)
	a.me(http.MethodPost, "connect", token, ok).problem(t, 401)
}
