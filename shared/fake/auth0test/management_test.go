package auth0test_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

// administered is a tenant with a machine client that may do everything in the Management API.
func administered(o *auth0test.Options) {
	o.Clients = append(o.Clients, auth0test.Machine("admin", "admin-secret"))
	o.Grants = append(o.Grants, auth0test.ClientGrant{ClientID: "admin", Audience: auth0test.ManagementAPI})
}

// api calls the Management API as the administrator.
func (a *tenant) api(method, path, body string) answer {
	a.t.Helper()
	token := a.post("/oauth/token", form("grant_type", "client_credentials", "client_id", "admin", "client_secret", "admin-secret", "audience", a.url+"/api/v2/")).str("access_token")
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	return a.do(http.DefaultClient, method, "/api/v2/"+path, h, strings.NewReader(body))
}

// Auth0's Go SDK sets up a tenant from nothing, in the order the documentation gives, and then the whole path works.
func TestGoAuth0Management(t *testing.T) {
	o := options()
	administered(&o)
	s := auth0test.StartTLS(t, o)
	a := &tenant{t: t, Tenant: s.Tenant, url: s.URL}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.Client())
	m, err := management.New(strings.TrimPrefix(s.URL, "https://"), management.WithClient(s.Client()), management.WithClientCredentials(ctx, "admin", "admin-secret"), management.WithNoRetries())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	app := &management.Client{
		Name: auth0.String("New app"), AppType: auth0.String("regular_web"), IsFirstParty: auth0.Bool(true), OIDCConformant: auth0.Bool(true),
		GrantTypes:                        &[]string{"authorization_code", "refresh_token", auth0test.GrantTokenVault, auth0test.GrantCIBA},
		TokenEndpointAuthMethod:           auth0.String("client_secret_post"),
		Callbacks:                         &[]string{callback},
		AsyncApprovalNotificationChannels: &[]string{"guardian-push"},
		RefreshToken: &management.ClientRefreshToken{
			RotationType: auth0.String("non-rotating"), ExpirationType: auth0.String("expiring"), TokenLifetime: auth0.Int(86400),
			Policies: &[]management.ClientRefreshTokenPolicy{{Audience: auth0.String(s.URL + "/me/"), Scope: &[]string{"create:me:connected_accounts"}}},
		},
	}
	must(m.Client.Create(ctx, app))
	if app.GetClientID() == "" || app.GetClientSecret() == "" || app.RefreshToken.GetIdleTokenLifetime() != 1296000 {
		t.Errorf("client %v", app)
	}
	must(m.ClientGrant.Create(ctx, &management.ClientGrant{
		ClientID: app.ClientID, Audience: auth0.String(s.URL + "/me/"), Scope: &[]string{"create:me:connected_accounts"}, SubjectType: auth0.String("user"),
	}))
	grants, err := m.ClientGrant.List(ctx, management.Parameter("client_id", app.GetClientID()))
	if err != nil || len(grants.ClientGrants) != 1 || grants.ClientGrants[0].GetSubjectType() != "user" {
		t.Errorf("grants %v, %v", grants, err)
	}

	conn := &management.Connection{
		Name: auth0.String("okta-new"), Strategy: auth0.String(management.ConnectionStrategyOIDC),
		Authentication: &management.Authentication{Active: auth0.Bool(true)}, ConnectedAccounts: &management.ConnectedAccounts{Active: auth0.Bool(true)},
		Options: &management.ConnectionOptionsOIDC{Type: auth0.String("back_channel"), ClientID: auth0.String("x"), Scope: auth0.String("openid offline_access okta.users.read")},
	}
	must(m.Connection.Create(ctx, conn))
	must(m.Connection.UpdateEnabledClients(ctx, conn.GetID(), []management.ConnectionEnabledClient{{ClientID: app.ClientID, Status: auth0.Bool(true)}}))
	enabled, err := m.Connection.ReadEnabledClients(ctx, conn.GetID())
	if err != nil || len(enabled.GetClients()) != 1 {
		t.Errorf("enabled clients %v, %v", enabled, err)
	}
	read, err := m.Connection.ReadByName(ctx, "okta-new")
	if err != nil || read.GetConnectedAccounts().GetActive() != true || read.Options.(*management.ConnectionOptionsOIDC).GetScope() != "openid offline_access okta.users.read" {
		t.Errorf("connection %v, %v", read, err)
	}

	must(m.Guardian.MultiFactor.Push.Enable(ctx, true))
	must(m.Guardian.MultiFactor.UpdatePolicy(ctx, &management.MultiFactorPolicies{}))
	factors, err := m.Guardian.MultiFactor.List(ctx)
	if err != nil || len(factors) != 8 {
		t.Errorf("factors %v, %v", factors, err)
	}
	bob := "oidc|okta-corp|00ubob00000000000002"
	if enrolled, err := m.User.Enrollments(ctx, bob); err != nil || len(enrolled) != 0 {
		t.Errorf("enrolments %v, %v", enrolled, err)
	}
	a.Configure(func(s *auth0test.Settings) { s.People[bob].PushEnrolled = true })
	if enrolled, err := m.User.Enrollments(ctx, bob); err != nil || len(enrolled) != 1 || enrolled[0].GetStatus() != "confirmed" {
		t.Errorf("enrolments %v, %v", enrolled, err)
	}

	// What was just set up works: sign in, connect, exchange, ask.
	a.newBrowser()
	a.browser.Transport = s.Client().Transport
	post := func(path string, v url.Values) answer {
		v.Set("client_id", app.GetClientID())
		v.Set("client_secret", app.GetClientSecret())
		return a.do(s.Client(), http.MethodPost, path, formType, strings.NewReader(v.Encode()))
	}
	code := a.signIn(bobEmail, "client_id", app.GetClientID(), "connection", "okta-new").Get("code")
	refresh := post("/oauth/token", form("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)).str("refresh_token")
	me := post("/oauth/token", form("grant_type", "refresh_token", "refresh_token", refresh, "audience", s.URL+"/me/")).str("access_token")
	h := http.Header{"Authorization": {"Bearer " + me}, "Content-Type": {"application/json"}}
	call := func(path string, body map[string]any) answer {
		raw, err := json.Marshal(body)
		must(err)
		return a.do(s.Client(), http.MethodPost, "/me/v1/connected-accounts/"+path, h, strings.NewReader(string(raw)))
	}
	started := call("connect", map[string]any{"connection": "okta-new", "redirect_uri": callback})
	connectTicket := started.json["connect_params"].(map[string]any)["ticket"].(string)
	back := a.location(a.do(a.browser, http.MethodPost, "/connected-accounts/connect", formType, strings.NewReader(form("ticket", connectTicket, "person", bobEmail, "decision", "approve").Encode())))
	call("complete", map[string]any{"auth_session": started.str("auth_session"), "connect_code": back.Query().Get("connect_code"), "redirect_uri": callback})
	exchange := func() answer {
		return post("/oauth/token", form("grant_type", auth0test.GrantTokenVault, "subject_token", refresh, "subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token", "requested_token_type", federated, "connection", "okta-new"))
	}
	if got := exchange(); got.str("scope") != "openid offline_access okta.users.read" {
		t.Errorf("exchange: %d %s", got.StatusCode, got.body)
	}
	asked := post("/bc-authorize", form("scope", "openid", "binding_message", "hello", "login_hint", a.hint(bob)))
	if asked.StatusCode != 200 {
		t.Errorf("bc-authorize: %d %s", asked.StatusCode, asked.body)
	}

	accounts, err := m.User.ListConnectedAccounts(ctx, bob)
	if err != nil || len(accounts.ConnectedAccounts) != 1 || accounts.ConnectedAccounts[0].GetConnection() != "okta-new" {
		t.Errorf("connected accounts %v, %v", accounts, err)
	}
	sets, err := m.User.ListFederatedConnectionsTokenSets(ctx, bob)
	if err != nil || len(sets) != 1 {
		t.Fatalf("token sets %v, %v", sets, err)
	}
	must(m.User.DeleteFederatedConnectionsTokenSet(ctx, bob, sets[0].GetID()))
	exchange().wants(t, 401, notConnected, "")
	must(m.Client.Update(ctx, app.GetClientID(), &management.Client{GrantTypes: &[]string{"authorization_code"}}))
	if got, err := m.Client.Read(ctx, app.GetClientID()); err != nil || len(got.GetGrantTypes()) != 1 || got.GetName() != "New app" || got.GetClientSecret() == "" {
		t.Errorf("client %v, %v", got, err)
	}
	var gone management.Error
	if _, err := m.Client.Read(ctx, "nobody"); !errors.As(err, &gone) || gone.Status() != 404 {
		t.Errorf("an unknown client: %v", err)
	}
}

// A setting changed over the wire changes what the tenant does, and back.
func TestManagementDecides(t *testing.T) {
	a := begin(t, administered)
	subject := a.login(aliceEmail).str("refresh_token")
	a.Connect(aliceEmail)
	connections := a.api(http.MethodGet, "connections?name=okta-corp", "")
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(connections.body), &list); err != nil || len(list) != 1 {
		t.Fatalf("connections %s", connections.body)
	}
	set := func(t *testing.T, method, path, body string) {
		t.Helper()
		if got := a.api(method, path, body); got.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, got.StatusCode, got.body)
		}
	}
	all := `["authorization_code","refresh_token","` + auth0test.GrantTokenVault + `","` + auth0test.GrantCIBA + `"]`
	for name, test := range map[string]struct {
		method, path, off, on string
		probe                 func() answer
		status                int
		code                  string
	}{
		"CIBA grant":     {"PATCH", "clients/" + clientID, `{"grant_types":["authorization_code","refresh_token"]}`, `{"grant_types":` + all + `}`, func() answer { return a.ask() }, 403, "unauthorized_client"},
		"rotation":       {"PATCH", "clients/" + clientID, `{"refresh_token":{"rotation_type":"rotating"}}`, `{"refresh_token":{"rotation_type":"non-rotating"}}`, func() answer { return a.exchange(subject) }, 400, "invalid_request"},
		"MFA always":     {"PUT", "guardian/policies", `["all-applications"]`, `[]`, func() answer { return a.exchange(subject) }, 401, "mfa_required"},
		"purpose":        {"PATCH", "connections/" + list[0].ID, `{"connected_accounts":{"active":false}}`, `{"connected_accounts":{"active":true}}`, func() answer { return a.exchange(subject) }, 400, "invalid_request"},
		"enabled client": {"PATCH", "connections/" + list[0].ID + "/clients", `[{"client_id":"` + clientID + `","status":false}]`, `[{"client_id":"` + clientID + `","status":true}]`, func() answer { return a.exchange(subject) }, 401, notConnected},
		"push factor":    {"PUT", "guardian/factors/push-notification", `{"enabled":false}`, `{"enabled":true}`, func() answer { return a.ask() }, 400, "invalid_request"},
		"third party":    {"PATCH", "clients/" + clientID, `{"is_first_party":false}`, `{"is_first_party":true}`, func() answer { return a.exchange(subject) }, 403, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			a.clock.forward(time.Minute)
			set(t, test.method, test.path, test.off)
			test.probe().wants(t, test.status, test.code, "")
			set(t, test.method, test.path, test.on)
			if got := test.probe(); got.StatusCode != 200 {
				t.Errorf("set back: %d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestManagementRefusals(t *testing.T) {
	a := begin(t, administered)
	a.Configure(func(s *auth0test.Settings) {
		s.Grants = append(s.Grants, &auth0test.ClientGrant{ID: "cgr_few", ClientID: "machine", Audience: a.url + "/api/v2/", Scope: []string{"read:clients"}, SubjectType: "client"})
	})
	few := a.post("/oauth/token", form("grant_type", "client_credentials", "client_id", "machine", "client_secret", "machine-secret", "audience", a.url+"/api/v2/")).str("access_token")
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	machine := a.post("/oauth/token", form("grant_type", "client_credentials", "client_id", "machine", "client_secret", "machine-secret", "audience", api)).str("access_token")
	clients := a.do(http.DefaultClient, http.MethodGet, "/api/v2/clients", bearer(few), nil)
	if strings.Contains(clients.body, secret) {
		t.Error("secrets are shown without read:client_keys")
	}
	for name, test := range map[string]struct {
		got    answer
		status int
	}{
		"no token":            {a.do(http.DefaultClient, http.MethodGet, "/api/v2/clients", nil, nil), 401},
		"nonsense token":      {a.do(http.DefaultClient, http.MethodGet, "/api/v2/clients", bearer("x"), nil), 401},
		"another API's token": {a.do(http.DefaultClient, http.MethodGet, "/api/v2/clients", bearer(machine), nil), 401},
		"scope":               {a.do(http.DefaultClient, http.MethodGet, "/api/v2/connections", bearer(few), nil), 403},
		"unknown client":      {a.api("GET", "clients/nobody", ""), 404},
		"unknown user":        {a.api("GET", "users/oidc%7Cnobody/enrollments", ""), 404},
		"no JSON":             {a.api("POST", "clients", "{"), 400},
		"no name":             {a.api("POST", "clients", "{}"), 400},
		"odd app type":        {a.api("POST", "clients", `{"name":"x","app_type":"toaster"}`), 400},
		"odd rotation":        {a.api("PATCH", "clients/"+clientID, `{"refresh_token":{"rotation_type":"sometimes"}}`), 400},
		"wrong type":          {a.api("PATCH", "clients/"+clientID, `{"callbacks":"x"}`), 400},
		"immutable":           {a.api("PATCH", "clients/"+clientID, `{"client_id":"x"}`), 400},
		"connection exists":   {a.api("POST", "connections", `{"name":"okta-corp","strategy":"oidc"}`), 409},
		"connection name":     {a.api("POST", "connections", `{"name":"okta corp","strategy":"oidc"}`), 400},
		"grant for nobody":    {a.api("POST", "client-grants", `{"client_id":"nobody","audience":"`+api+`","scope":[]}`), 404},
		"grant exists":        {a.api("POST", "client-grants", `{"client_id":"machine","audience":"`+api+`","scope":[]}`), 409},
		"grant of no scope":   {a.api("POST", "client-grants", `{"client_id":"other","audience":"`+api+`","scope":["nope"]}`), 400},
		"odd MFA policy":      {a.api("PUT", "guardian/policies", `["never"]`), 400},
		"page out of range":   {a.api("GET", "clients?per_page=101", ""), 400},
	} {
		t.Run(name, func(t *testing.T) {
			if test.got.StatusCode != test.status || test.got.json["statusCode"] != float64(test.status) || test.got.str("message") == "" {
				t.Errorf("got %d %s", test.got.StatusCode, test.got.body)
			}
		})
	}
	if c := a.api("GET", "clients/"+clientID, ""); c.json["refresh_token"].(map[string]any)["rotation_type"] != "non-rotating" {
		t.Errorf("a refused change was kept: %s", c.body)
	}
	page := a.api("GET", "clients?per_page=2&page=1&include_totals=true", "")
	if page.json["total"] != 4.0 || page.json["start"] != 2.0 || len(page.json["clients"].([]any)) != 2 {
		t.Errorf("page %s", page.body)
	}
	if got := a.api("GET", "users-by-email?email="+aliceEmail, ""); !strings.Contains(got.body, aliceSub) {
		t.Errorf("by e-mail: %s", got.body)
	}
	got := a.api("PATCH", "clients/"+clientID, `{"description":"kept","token_endpoint_auth_method":null}`)
	if got.str("description") != "kept" || got.json["token_endpoint_auth_method"] != nil {
		t.Errorf("got %s", got.body)
	}
}
