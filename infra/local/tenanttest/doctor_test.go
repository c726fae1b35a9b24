package tenanttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	openfga "github.com/openfga/go-sdk"
	sdk "github.com/openfga/go-sdk/client"

	"github.com/steward-iam/steward/infra/cmd/doctor/check"
	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/secret"
)

// installation is a world that setup has set up, with a deployment beside it.
type installation struct {
	*world
	deployed map[string]string // the environment of the functions
	account  awstest.Options
	agent    *agentFake
	app      *oktaAppFake
	client   string // the application's id
}

// install sets a world up and describes the deployment that belongs to it.
func install(t *testing.T) *installation {
	t.Helper()
	w := start(t)
	in := &installation{world: w, agent: newAgent(), app: &oktaAppFake{next: w.org}}
	w.file.Tester = tenant.Tester{Email: "alice@example.com", RefreshToken: "env:TESTER", Relation: "read_okta", Object: "okta:groups"}
	w.okta.Config.Handler = in.app
	w.apply(t)
	r := w.plan(t).Result()
	in.client = r.ClientID
	in.app.good(w.file.Auth0.Issuer() + "login/callback")
	w.tenant.Connect("alice@example.com")
	w.env["TESTER"] = w.tenant.SignIn(r.ClientID, "alice@example.com")
	w.env["OKTA_ADMIN"] = "canary-okta-admin"
	w.file.Okta.AdminToken = "env:OKTA_ADMIN"

	auth0Secret, err := w.stored("steward/auth0")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in.account = awstest.Options{
		NoChaos: true, Fallback: in.agent,
		Secrets: map[string]string{"steward/auth0": auth0Secret.Reveal(), "steward/fga": w.env["FGA_SECRET"], "steward/token-key": strings.Repeat("k", 64), "steward/approval-key": strings.Repeat("a", 64), "steward/audit-key": strings.Repeat("t", 64)},
		Tables:  run.Tables("sessions", "audit"),
		Queues:  []awstest.Queue{{Name: "approvals"}},
	}
	in.deployed = map[string]string{
		"AUTH0_ISSUER_URL": r.Issuer, "AUTH0_CLIENT_ID": r.ClientID, "AUTH0_CLIENT_SECRET_ARN": "steward/auth0", "AUTH0_CONNECTION_NAME": r.Connection,
		"OKTA_ORG_URL": w.okta.URL,
		"FGA_API_URL":  w.fga.URL, "FGA_STORE_ID": r.FGAStoreID, "FGA_MODEL_ID": r.FGAModelID, "FGA_TOKEN_ISSUER_URL": w.fga.URL,
		"FGA_AUDIENCE": w.fga.URL + "/", "FGA_CLIENT_ID": "fga-client", "FGA_CLIENT_SECRET_ARN": "steward/fga", "FGA_USER_CLAIM": "email", "APPROVALS_MESSAGE": "sentence",
		"FGA_AUTHORIZER_FUNCTION_NAME": "fga-authorizer", "SESSION_TABLE_NAME": "sessions", "AUDIT_TABLE_NAME": "audit",
		"APPROVAL_KEY_SECRET_ARN": "steward/approval-key", "AUDIT_KEY_SECRET_ARN": "steward/audit-key",
		"TOKEN_KEY_SECRET_ARN": "steward/token-key", "APP_BASE_URL": "https://steward.test",
		"AGENT_RUNTIME": "classic", "BEDROCK_AGENT_ID": "AGENT00001", "BEDROCK_AGENT_ALIAS_ID": "ALIAS00001",
	}
	return in
}

// examine runs doctor. Its AWS answers over a transport, so that the endpoint may have the name of the real one.
func (in *installation) examine(t *testing.T) check.Report {
	t.Helper()
	server := awstest.New(in.account)
	cfg := aws.Config{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
		BaseEndpoint: aws.String("https://aws.test"), HTTPClient: &http.Client{Transport: handler{server}},
	}
	if in.deployed["APPROVAL_QUEUE_URL"] == "" {
		in.deployed["APPROVAL_QUEUE_URL"] = server.QueueURL("https://aws.test", "approvals")
	}
	s := &check.Installation{
		Env: in.deployed, AWS: &cfg, File: &in.file, Transport: in.transport, CIBA: true,
		Secrets: tenant.Secrets{
			Env:     func(k string) (string, bool) { v, ok := in.env[k]; return v, ok },
			Manager: plan.SecretsManager{Client: secretsmanager.NewFromConfig(cfg)}.Value,
		},
	}
	return check.Run(t.Context(), s)
}

// handler is a transport to a handler.
type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// TestDoctorFindsNothingWrong: with everything as it should be, every check was made and is well.
func TestDoctorFindsNothingWrong(t *testing.T) {
	in := install(t)
	report := in.examine(t)
	for _, f := range report.Findings {
		if f.Status != check.OK {
			t.Errorf("%s %s: %s%s", f.Check, f.Status, f.Wrong, f.Reason)
		}
	}
	var table, raw bytes.Buffer
	report.Print(&table)
	if err := report.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	var back check.Report
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil || len(back.Findings) != len(check.IDs()) {
		t.Errorf("JSON: %d findings, %v", len(back.Findings), err)
	}
	if !strings.Contains(table.String(), "0 wrong") {
		t.Errorf("table:\n%s", &table)
	}
	for _, hidden := range append(in.hidden(t), in.env["TESTER"]) {
		if strings.Contains(table.String()+raw.String(), hidden) {
			t.Error("a secret is shown")
		}
	}
}

// TestDoctorNamesTheWrongSetting breaks one setting after the other. Each time doctor finds that one wrong, says where to change it, and calls nothing
// else wrong.
func TestDoctorNamesTheWrongSetting(t *testing.T) {
	app := func(change func(*auth0test.Client)) func(*testing.T, *installation) {
		return func(_ *testing.T, in *installation) {
			in.tenant.Configure(func(s *auth0test.Settings) { change(s.Clients[in.client]) })
		}
	}
	without := func(grant string) func(*testing.T, *installation) {
		return app(func(c *auth0test.Client) {
			c.GrantTypes = slices.DeleteFunc(slices.Clone(c.GrantTypes), func(g string) bool { return g == grant })
		})
	}
	conn := func(change func(*auth0test.Connection)) func(*testing.T, *installation) {
		return func(_ *testing.T, in *installation) {
			in.tenant.Configure(func(s *auth0test.Settings) { change(s.Connections["okta-corp"]) })
		}
	}
	option := func(key string, value any) func(*testing.T, *installation) {
		return conn(func(c *auth0test.Connection) { c.Options[key] = value })
	}
	scope := func(gone string) func(*testing.T, *installation) {
		return conn(func(c *auth0test.Connection) {
			c.Options["scope"] = strings.Join(slices.DeleteFunc(c.Scopes(), func(s string) bool { return s == gone }), " ")
		})
	}
	env := func(key, value string) func(*testing.T, *installation) {
		return func(_ *testing.T, in *installation) { in.deployed[key] = value }
	}
	secretIs := func(name, value string) func(*testing.T, *installation) {
		return func(_ *testing.T, in *installation) { in.account.Secrets[name] = value }
	}
	settings := func(change func(*auth0test.Settings)) func(*testing.T, *installation) {
		return func(_ *testing.T, in *installation) { in.tenant.Configure(change) }
	}
	grants := func(change func(*auth0test.ClientGrant)) func(*testing.T, *installation) { // of the application
		return func(_ *testing.T, in *installation) {
			in.tenant.Configure(func(s *auth0test.Settings) {
				for _, g := range s.Grants {
					if g.ClientID == in.client {
						change(g)
					}
				}
			})
		}
	}

	for name, c := range map[string]struct {
		spoil   func(*testing.T, *installation)
		check   string
		setting string
	}{
		"no connection name":         {env("AUTH0_CONNECTION_NAME", ""), "config.auth0", "auth0Connection"},
		"no Okta org":                {env("OKTA_ORG_URL", ""), "config.okta", "oktaOrgUrl"},
		"store id cut short":         {env("FGA_STORE_ID", "01ARZ3"), "config.fga", "fgaStoreId"},
		"no agent alias":             {env("BEDROCK_AGENT_ALIAS_ID", ""), "config.app", "BEDROCK_AGENT_ALIAS_ID"},
		"empty Auth0 secret":         {secretIs("steward/auth0", ""), "secret.auth0", "steward/auth0"},
		"empty FGA secret":           {secretIs("steward/fga", ""), "secret.fga", "steward/fga"},
		"short approval key":         {secretIs("steward/approval-key", "short"), "secret.approval-key", "steward/approval-key"},
		"repeated audit key":         {secretIs("steward/audit-key", strings.Repeat("a", 40)+"\n"+strings.Repeat("a", 40)), "secret.audit-key", "steward/audit-key"},
		"short token key":            {secretIs("steward/token-key", "short"), "secret.token-key", "steward/token-key"},
		"another session table":      {env("SESSION_TABLE_NAME", "audit"), "table.sessions", "SESSION_TABLE_NAME"},
		"no index":                   {func(_ *testing.T, in *installation) { in.account.Tables[0].Indexes = nil }, "table.sessions", dynamo.OwnerIndex},
		"no time-to-live":            {func(_ *testing.T, in *installation) { in.account.Tables[0].TTL = "" }, "table.ttl", "ttl"},
		"no audit table":             {env("AUDIT_TABLE_NAME", "gone"), "table.audit", "AUDIT_TABLE_NAME"},
		"no queue":                   {env("APPROVAL_QUEUE_URL", "https://aws.test/000000000000/gone"), "queue", "APPROVAL_QUEUE_URL"},
		"alias behind":               {func(_ *testing.T, in *installation) { in.agent.functions["find_users"] = "Yesterday's description." }, "agent", "alias"},
		"issuer that does not exist": {env("AUTH0_ISSUER_URL", "http://127.0.0.1:1/"), "auth0.discovery", "auth0IssuerUrl"},
		"issuer by another name": {func(_ *testing.T, in *installation) {
			in.deployed["AUTH0_ISSUER_URL"] = strings.Replace(in.deployed["AUTH0_ISSUER_URL"], "127.0.0.1", "localhost", 1)
		}, "auth0.discovery", "auth0IssuerUrl"},
		"machine without a scope": {settings(func(s *auth0test.Settings) {
			for _, g := range s.Grants {
				if g.ClientID == "admin" {
					g.Scope = slices.DeleteFunc(slices.Clone(g.Scope), func(s string) bool { return s == "read:mfa_policies" })
				}
			}
		}), "auth0.management", "read:mfa_policies"},
		"unknown client id":     {env("AUTH0_CLIENT_ID", "nobody"), "auth0.application", "auth0ClientId"},
		"wrong client secret":   {secretIs("steward/auth0", "another"), "auth0.credentials", "AUTH0_CLIENT_SECRET_ARN"},
		"authentication none":   {app(func(c *auth0test.Client) { c.TokenEndpointAuthMethod = "none" }), "auth0.authentication", "Client Secret (Post)"},
		"third party":           {app(func(c *auth0test.Client) { c.IsFirstParty = false }), "auth0.first-party", "is_first_party"},
		"not OIDC conformant":   {app(func(c *auth0test.Client) { c.OIDCConformant = false }), "auth0.first-party", "OIDC Conformant"},
		"no code grant":         {without(auth0test.GrantAuthorizationCode), "auth0.grant.code", "Authorization Code"},
		"no refresh grant":      {without(auth0test.GrantRefreshToken), "auth0.grant.refresh", "Grant Types: Refresh Token"},
		"no Token Vault grant":  {without(auth0test.GrantTokenVault), "auth0.grant.token-vault", "Grant Types: Token Vault"},
		"no CIBA grant":         {without(auth0test.GrantCIBA), "auth0.grant.ciba", "CIBA"},
		"rotation":              {app(func(c *auth0test.Client) { c.RefreshToken.RotationType = "rotating" }), "auth0.rotation", "Refresh Token Rotation: off"},
		"tokens without an end": {app(func(c *auth0test.Client) { c.RefreshToken.InfiniteTokenLifetime = true }), "auth0.expiration", "Refresh Token Expiration"},
		"no callback":           {app(func(c *auth0test.Client) { c.Callbacks = c.Callbacks[:1] }), "auth0.callbacks", "https://steward.test/connect/callback"},
		"no logout URL":         {app(func(c *auth0test.Client) { c.AllowedLogoutURLs = nil }), "auth0.logout", "https://steward.test/"},
		"no blanks in messages": {settings(func(s *auth0test.Settings) { s.Guardian.RefuseBlanks = true }), "tester.ciba", "approvalsMessage in cdk.json (APPROVALS_MESSAGE): token"},
		"no push channel":       {app(func(c *auth0test.Client) { c.NotificationChannels = nil }), "auth0.channel", "Guardian Push"},
		"no audience policy":    {app(func(c *auth0test.Client) { c.RefreshToken.Policies = nil }), "auth0.refresh-audience", "Multi-Resource Refresh Token"},
		"nobody can disconnect": {app(func(c *auth0test.Client) {
			c.RefreshToken.Policies[0].Scope = []string{"create:me:connected_accounts", "read:me:connected_accounts"}
		}), "auth0.refresh-audience", "delete:me:connected_accounts"},
		"grant of the version before": {grants(func(g *auth0test.ClientGrant) { g.Scope = []string{"create:me:connected_accounts"} }), "auth0.my-account-grant", "read:me:connected_accounts, delete:me:connected_accounts"},
		"My Account not active": {func(_ *testing.T, in *installation) {
			in.tenant.Configure(func(s *auth0test.Settings) { delete(s.APIs, in.tenant.Issuer()+"me/") })
		}, "auth0.my-account", "Activate"},
		"no My Account grant":                   {grants(func(g *auth0test.ClientGrant) { g.ClientID = "another" }), "auth0.my-account-grant", "Application Access"},
		"grant for the client instead of users": {grants(func(g *auth0test.ClientGrant) { g.SubjectType = "client" }), "auth0.my-account-grant", "for users"},
		"MFA always":                            {settings(func(s *auth0test.Settings) { s.Guardian.Policies = []string{"all-applications"} }), "auth0.mfa-policy", "Never"},
		"push off":                              {settings(func(s *auth0test.Settings) { s.Guardian.PushEnabled = false }), "auth0.push", "Push Notification"},
		"no connection":                         {env("AUTH0_CONNECTION_NAME", "okta-gone"), "connection.exists", "auth0Connection"},
		"kind okta":                             {conn(func(c *auth0test.Connection) { c.Strategy = "okta" }), "connection.kind", "OpenID Connect"},
		"front channel":                         {option("type", "front_channel"), "connection.type", "Back Channel"},
		"another org":                           {option("issuer", "https://other.okta.com"), "connection.org", "Issuer URL"},
		"connection disabled":                   {conn(func(c *auth0test.Connection) { c.EnabledClients = nil }), "connection.enabled", "turn the application on"},
		"not for signing in":                    {conn(func(c *auth0test.Connection) { c.Authentication.Active = false }), "connection.sign-in", "Purpose"},
		"purpose off":                           {conn(func(c *auth0test.Connection) { c.ConnectedAccounts.Active = false }), "connection.purpose", "Connected Accounts for Token Vault"},
		"no offline_access":                     {scope("offline_access"), "connection.offline", "offline_access"},
		"no logs scope":                         {scope("okta.logs.read"), "connection.scopes", "okta.logs.read"},
		"audience without slash": {func(_ *testing.T, in *installation) {
			in.deployed["FGA_AUDIENCE"] = strings.TrimSuffix(in.deployed["FGA_AUDIENCE"], "/")
		}, "fga.audience", "fgaAudience"},
		"another audience": {env("FGA_AUDIENCE", "https://api.eu1.fga.dev/"), "fga.token", "fgaAudience"},
		"wrong FGA client": {env("FGA_CLIENT_ID", "nobody"), "fga.token", "fgaClientId"},
		"wrong FGA secret": {secretIs("steward/fga", "another"), "fga.token", "FGA_CLIENT_SECRET_ARN"},
		"no token issuer":  {env("FGA_TOKEN_ISSUER_URL", "http://127.0.0.1:1"), "fga.token", "fgaTokenIssuerUrl"},
		"FGA not there":    {env("FGA_API_URL", "http://127.0.0.1:1"), "fga.store", "fgaApiUrl"},
		"no such store":    {env("FGA_STORE_ID", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "fga.store", "fgaStoreId"},
		"no such model":    {env("FGA_MODEL_ID", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "fga.model", "fgaModelId"},
		"model drift":      {otherModel, "fga.drift", "fgaModelId"},
		"Okta not there": {func(_ *testing.T, in *installation) {
			in.deployed["OKTA_ORG_URL"] = "http://127.0.0.1:1"
			in.forget("issuer", "discovery_url", "authorization_endpoint")
		}, "okta.org", "oktaOrgUrl"},
		"scope not granted":        {func(_ *testing.T, in *installation) { in.app.scopes = in.app.scopes[1:] }, "okta.app", "Okta API Scopes"},
		"no refresh grant in Okta": {func(_ *testing.T, in *installation) { in.app.grants = []string{"authorization_code"} }, "okta.app", "turn Refresh Token on"},
		"no redirect in Okta":      {func(_ *testing.T, in *installation) { in.app.redirects = nil }, "okta.app", "login/callback"},
		"tester unknown": {func(_ *testing.T, in *installation) {
			in.file.Tester.Email = "nobody@example.com"
			in.grantTester(t, "user:nobody@example.com")
		}, "tester.user", "tester.email"},
		"phone not enrolled": {settings(func(s *auth0test.Settings) { s.People[aliceSub].PushEnrolled = false }), "tester.push", "enrolment invitation"},
		"not connected":      {func(_ *testing.T, in *installation) { in.disconnect(t) }, "tester.vault", "Connect Okta"},
		"connected too early": {func(t *testing.T, in *installation) {
			in.disconnect(t)
			full := ""
			in.tenant.Configure(func(s *auth0test.Settings) {
				full = s.Connections["okta-corp"].Options["scope"].(string)
				s.Connections["okta-corp"].Options["scope"] = strings.ReplaceAll(full, " okta.logs.read", "")
			})
			in.tenant.Connect("alice@example.com")
			in.tenant.Configure(func(s *auth0test.Settings) { s.Connections["okta-corp"].Options["scope"] = full })
		}, "tester.vault-scopes", "Connect Okta again"},
		"tokens forgotten":      {func(t *testing.T, in *installation) { in.forgetTokens(t) }, "tester.exchange", "Connect Okta"},
		"token refused by Okta": {func(_ *testing.T, in *installation) { in.app.refuse = true }, "tester.okta", "Issuer URL"},
		"tuple missing":         {func(_ *testing.T, in *installation) { in.file.Tester.Object = "okta:apps" }, "tester.fga", "fga.tuples"},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			c.spoil(t, in)
			report := in.examine(t)
			found := report.Wrong()
			if len(found) != 1 || found[0].Check != c.check || !strings.Contains(found[0].Setting, c.setting) {
				var b bytes.Buffer
				report.Print(&b)
				t.Errorf("want %s alone, with %q to change; got %d wrong:\n%s", c.check, c.setting, len(found), &b)
			}
		})
	}
}

func (in *installation) forget(options ...string) {
	in.tenant.Configure(func(s *auth0test.Settings) {
		for _, o := range options {
			delete(s.Connections["okta-corp"].Options, o)
		}
	})
}

func (in *installation) grantTester(t *testing.T, user string) {
	t.Helper()
	if _, err := in.fgaClient(t).WriteTuples(t.Context()).Body([]sdk.ClientTupleKey{{User: user, Relation: "read_okta", Object: "okta:groups"}}).Execute(); err != nil {
		t.Fatal(err)
	}
}

// otherModel pins a model that is not ours.
func otherModel(t *testing.T, in *installation) {
	out, err := in.fgaClient(t).WriteAuthorizationModel(t.Context()).Body(sdk.ClientWriteAuthorizationModelRequest{
		SchemaVersion: "1.1",
		TypeDefinitions: []openfga.TypeDefinition{
			{Type: "user"},
			{Type: "okta", Relations: &map[string]openfga.Userset{"org": {This: &map[string]any{}}, "read_okta": {This: &map[string]any{}}}, Metadata: &openfga.Metadata{Relations: &map[string]openfga.RelationMetadata{
				"org": {DirectlyRelatedUserTypes: &[]openfga.RelationReference{{Type: "okta"}}}, "read_okta": {DirectlyRelatedUserTypes: &[]openfga.RelationReference{{Type: "user"}}},
			}}},
		},
	}).Execute()
	if err != nil {
		t.Fatal(err)
	}
	in.deployed["FGA_MODEL_ID"] = out.GetAuthorizationModelId()
}

// disconnect takes the tester's account out of the vault, as the person can in the chat.
func (in *installation) disconnect(t *testing.T) {
	t.Helper()
	app := auth0.New(auth0.Config{Issuer: in.file.Auth0.Domain.URL, ClientID: in.client, Secret: in.stored("steward/auth0")})
	token, err := app.MyAccountToken(t.Context(), secret.New(in.env["TESTER"]), auth0.ReadConnectedAccounts, auth0.DeleteConnectedAccounts)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := app.ConnectedAccounts(t.Context(), token, "okta-corp")
	if err != nil || len(accounts) != 1 {
		t.Fatalf("got %v, %v, want one account", accounts, err)
	}
	if err := app.DeleteConnectedAccount(t.Context(), token, accounts[0].ID); err != nil {
		t.Fatal(err)
	}
}

// forgetTokens makes the vault lose the tokens while the account still shows as connected.
func (in *installation) forgetTokens(t *testing.T) {
	t.Helper()
	m, _, err := plan.Manage(t.Context(), in.file, tenant.Secrets{Env: func(k string) (string, bool) { v, ok := in.env[k]; return v, ok }}, in.transport)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := m.User.ListFederatedConnectionsTokenSets(t.Context(), aliceSub)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		if err := m.User.DeleteFederatedConnectionsTokenSet(t.Context(), aliceSub, s.GetID()); err != nil {
			t.Fatal(err)
		}
	}
}

// oktaAppFake adds to the org what only administrators see: the OIDC app and its grants.
type oktaAppFake struct {
	next                      http.Handler
	grants, redirects, scopes []string
	refuse                    bool // tokens of people
}

func (f *oktaAppFake) good(callback string) {
	f.grants, f.redirects, f.scopes = []string{"authorization_code", "refresh_token"}, []string{callback}, tenant.OktaScopes()
}

func (f *oktaAppFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	admin := r.Header.Get("Authorization") == "SSWS canary-okta-admin"
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case admin && r.URL.Path == "/api/v1/apps/0oaexample":
		answer(map[string]any{"id": "0oaexample", "status": "ACTIVE", "settings": map[string]any{"oauthClient": map[string]any{"grant_types": f.grants, "redirect_uris": f.redirects}}})
	case admin && r.URL.Path == "/api/v1/apps/0oaexample/grants":
		list := []map[string]any{}
		for _, s := range f.scopes {
			list = append(list, map[string]any{"id": "oag" + s, "status": "ACTIVE", "scopeId": s})
		}
		answer(list)
	case f.refuse && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		w.WriteHeader(http.StatusUnauthorized)
		answer(map[string]any{"errorCode": "E0000011"})
	default:
		f.next.ServeHTTP(w, r)
	}
}

// agentFake answers the read calls of Bedrock Agents about one agent and its alias.
type agentFake struct {
	instruction string
	functions   map[string]string
}

func newAgent() *agentFake {
	f := &agentFake{instruction: catalogue.Instruction, functions: map[string]string{}}
	for _, g := range catalogue.ActionGroups() {
		for _, fn := range g.Functions {
			f.functions[fn.Name] = fn.Description
		}
	}
	return f
}

func (f *agentFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const agent = `"agentId":"AGENT00001","createdAt":"2026-11-24T09:00:00Z","updatedAt":"2026-11-24T09:00:00Z"`
	var functions []map[string]string
	for name, description := range f.functions {
		functions = append(functions, map[string]string{"name": name, "description": description})
	}
	schema, _ := json.Marshal(functions)
	instruction, _ := json.Marshal(f.instruction)
	answer, ok := map[string]string{
		"/agents/AGENT00001/agentaliases/ALIAS00001": `{"agentAlias":{` + agent + `,"agentAliasId":"ALIAS00001","agentAliasName":"live","agentAliasArn":"arn:a","agentAliasStatus":"PREPARED",
			"routingConfiguration":[{"agentVersion":"7"}]}}`,
		"/agents/AGENT00001/agentversions/7": `{"agentVersion":{` + agent + `,"agentName":"steward","agentArn":"arn:a","agentStatus":"PREPARED","agentResourceRoleArn":"arn:r",
			"idleSessionTTLInSeconds":900,"version":"7","instruction":` + string(instruction) + `}}`,
		"/agents/AGENT00001/agentversions/7/actiongroups": `{"actionGroupSummaries":[{"actionGroupId":"AG1","actionGroupName":"all","actionGroupState":"ENABLED","updatedAt":"2026-11-24T09:00:00Z"}]}`,
		"/agents/AGENT00001/agentversions/7/actiongroups/AG1": `{"agentActionGroup":{` + agent + `,"actionGroupId":"AG1","actionGroupName":"all","actionGroupState":"ENABLED","agentVersion":"7",
			"functionSchema":{"functions":` + string(schema) + `}}}`,
	}[strings.TrimSuffix(r.URL.Path, "/")]
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		answer = `{"message":"not found"}`
	}
	_, _ = io.WriteString(w, answer)
}
