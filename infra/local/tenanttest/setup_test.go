package tenanttest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	openfga "github.com/openfga/go-sdk/client"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/secret"
)

// TestSetupMakesAWorkingTenant: a tenant with nothing in it becomes one in which a person signs in, connects Okta, has a token exchanged, is asked on
// the phone and is known to FGA. A second run has nothing to do.
func TestSetupMakesAWorkingTenant(t *testing.T) {
	w := start(t)
	p := w.plan(t)
	if got := p.Changes(); got < 10 {
		var b bytes.Buffer
		p.Print(&b)
		t.Fatalf("%d changes planned for an empty tenant:\n%s", got, &b)
	}
	var progress bytes.Buffer
	if err := p.Apply(t.Context(), &progress); err != nil {
		t.Fatal(err)
	}
	w.walkthrough(t)

	again := w.plan(t)
	if again.Changes() != 0 {
		var b bytes.Buffer
		again.Print(&b)
		t.Errorf("the second plan is not empty:\n%s", &b)
	}
	if got := again.Result(); got.ClientID == "" || got.FGAModelID != p.Result().FGAModelID || got.FGAStoreID != p.Result().FGAStoreID {
		t.Errorf("second run found %+v, the first made %+v", got, p.Result())
	}
	for _, shown := range []string{progress.String(), fmt.Sprintf("%+v %v", again.Steps, again.Notes)} {
		for _, hidden := range w.hidden(t) {
			if strings.Contains(shown, hidden) {
				t.Errorf("a secret is shown: %s", shown)
			}
		}
	}
}

// TestNextRunCompletesAnInterruptedOne: whichever change fails, before or after the tenant made it, the error says what is done, and the next run
// completes.
func TestNextRunCompletesAnInterruptedOne(t *testing.T) {
	for _, lost := range []bool{false, true} {
		name := map[bool]string{false: "refused", true: "answer lost"}[lost]
		for k := 1; ; k++ {
			w := start(t)
			p := w.plan(t)
			w.fault.arm(k, lost)
			err := p.Apply(t.Context(), io.Discard)
			if err == nil {
				if k < 8 {
					t.Fatalf("%s: only %d changes", name, k-1)
				}
				break
			}
			interrupted, ok := errors.AsType[*plan.Interrupted](err)
			if !ok {
				t.Fatalf("%s %d: %T %v", name, k, err, err)
			}
			if want := "make setup"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), interrupted.Failed.Resource) {
				t.Errorf("%s %d: %v", name, k, err)
			}
			for _, s := range interrupted.Done {
				if !strings.Contains(err.Error(), s.Resource) {
					t.Errorf("%s %d: does not tell of %s: %v", name, k, s.Resource, err)
				}
			}
			w.fault.arm(0, false)
			if err := w.plan(t).Apply(t.Context(), io.Discard); err != nil {
				t.Fatalf("%s %d: the second run: %v", name, k, err)
			}
			if n := w.plan(t).Changes(); n != 0 {
				t.Errorf("%s %d: %d changes are left after the second run", name, k, n)
			}
			w.walkthrough(t)
			w.tenant.Configure(func(s *auth0test.Settings) {
				apps := 0
				for _, c := range s.Clients {
					if c.Name == "Steward" {
						apps++
					}
				}
				if apps != 1 {
					t.Errorf("%s %d: %d applications", name, k, apps)
				}
			})
		}
	}
}

// TestSetupLeavesOthersUntouched: what others made stays as it is, and what bears our names without being ours stops the run before it begins.
func TestSetupLeavesOthersUntouched(t *testing.T) {
	w := start(t)
	theirs := auth0test.WebApp("theirs", "their-secret", "https://elsewhere.test/cb")
	theirs.RefreshToken.RotationType = "rotating"
	w.tenant.Configure(func(s *auth0test.Settings) {
		s.Clients[theirs.ID] = &theirs
		s.Connections["other"] = &auth0test.Connection{ID: "con_other", Name: "other", Strategy: "oidc", Options: map[string]any{"scope": "openid"}, EnabledClients: []string{"theirs"}}
	})
	w.apply(t)
	store := w.fgaClient(t)
	tuple := openfga.ClientTupleKey{User: "user:zoe@example.com", Relation: "admin", Object: "okta:main"}
	if _, err := store.WriteTuples(t.Context()).Body([]openfga.ClientTupleKey{tuple}).Execute(); err != nil {
		t.Fatal(err)
	}
	w.file.FGA.Tuples = w.file.FGA.Tuples[:1] // and a tuple that left the file stays too
	w.apply(t)
	w.tenant.Configure(func(s *auth0test.Settings) {
		if got := s.Clients["theirs"]; got.RefreshToken.RotationType != "rotating" || len(got.Callbacks) != 1 || got.Secret != "their-secret" {
			t.Errorf("somebody else's application was touched: %+v", got)
		}
		if got := s.Connections["other"]; got.Options["scope"] != "openid" || !slices.Equal(got.EnabledClients, []string{"theirs"}) {
			t.Errorf("somebody else's connection was touched: %+v", got)
		}
	})
	left, err := store.Read(t.Context()).Body(openfga.ClientReadRequest{}).Execute()
	if err != nil || len(left.GetTuples()) != 5 {
		t.Errorf("tuples left: %v, %v; want our four and zoe's", left, err)
	}

	w.tenant.Configure(func(s *auth0test.Settings) {
		for _, c := range s.Clients {
			if c.Name == "Steward" {
				c.Extra = map[string]any{}
			}
		}
	})
	w.refused(t, "that setup did not make")
}

// TestMyAccountScopesAreAdded: a tenant that the version before set up lets people connect an account only; the next run lets
// them list and disconnect it too.
func TestMyAccountScopesAreAdded(t *testing.T) {
	w := start(t)
	client := w.apply(t).Result().ClientID
	w.tenant.Configure(func(s *auth0test.Settings) {
		old := []string{"create:me:connected_accounts"}
		s.Clients[client].RefreshToken.Policies[0].Scope = old
		for _, g := range s.Grants {
			if g.ClientID == client && g.Audience == w.tenant.Issuer()+"me/" {
				g.Scope = old
			}
		}
	})
	p := w.plan(t)
	var b bytes.Buffer
	p.Print(&b)
	if p.Changes() != 2 || strings.Count(b.String(), "read:me:connected_accounts, delete:me:connected_accounts") != 2 || strings.Contains(b.String(), "create:me") {
		t.Errorf("plan:\n%s", &b)
	}
	if err := p.Apply(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	w.walkthrough(t)
}

// TestSetupKeepsConnectionOptions: options of the connection that the file does not speak of survive, although a PATCH replaces them all.
func TestSetupKeepsConnectionOptions(t *testing.T) {
	w := start(t)
	w.apply(t)
	w.tenant.Configure(func(s *auth0test.Settings) {
		o := s.Connections["okta-corp"].Options
		o["upstream_params"] = map[string]any{"prompt": map[string]any{"value": "login"}}
		o["scope"] = "openid profile email okta.policies.read"
	})
	w.apply(t)
	w.tenant.Configure(func(s *auth0test.Settings) {
		o := s.Connections["okta-corp"].Options
		if o["upstream_params"] == nil || !strings.Contains(o["scope"].(string), "okta.policies.read") || !strings.Contains(o["scope"].(string), "offline_access") {
			t.Errorf("options %v", o)
		}
	})
}

// TestSetupRefusesBeforeItChanges: each stops the run before anything is changed, and says what to do.
func TestSetupRefusesBeforeItChanges(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"machine token without a scope": {func(w *world) {
			w.tenant.Configure(func(s *auth0test.Settings) {
				g := s.Grants[slices.IndexFunc(s.Grants, func(g *auth0test.ClientGrant) bool { return g.ClientID == "admin" })]
				g.Scope = slices.DeleteFunc(slices.Clone(g.Scope), func(s string) bool { return s == "update:mfa_policies" })
			})
		}, "update:mfa_policies"},
		"machine not authorized": {func(w *world) {
			w.tenant.Configure(func(s *auth0test.Settings) {
				s.Grants = slices.DeleteFunc(s.Grants, func(g *auth0test.ClientGrant) bool { return g.ClientID == "admin" })
			})
		}, "may not use the Auth0 Management API"},
		"machine of another tenant": {func(w *world) { w.file.Auth0.Management.ClientID = "stranger" }, "does not accept the machine application stranger"},
		"wrong tenant": {func(w *world) {
			u := *w.file.Auth0.Domain.URL
			u.Host = "localhost:" + u.Port()
			w.file.Auth0.Domain.URL = &u
		}, "calls itself"},
		"token of another tenant": {func(w *world) { w.fault.issuer = "https://other.auth0.com/" }, "was issued by https://other.auth0.com/"},
		"no tenant there": {func(w *world) {
			u := *w.file.Auth0.Domain.URL
			u.Host = "127.0.0.1:1"
			w.file.Auth0.Domain.URL = &u
		}, "127.0.0.1:1 cannot be reached"},
		"secret not set":   {func(w *world) { delete(w.env, "ADMIN_SECRET") }, "ADMIN_SECRET"},
		"FGA secret wrong": {func(w *world) { w.env["FGA_SECRET"] = "wrong" }, "does not accept the FGA client"},
		"FGA audience":     {func(w *world) { w.file.FGA.Audience = strings.TrimSuffix(w.file.FGA.Audience, "/") }, "slash at its end"},
		"no such store":    {func(w *world) { w.file.FGA.StoreName, w.file.FGA.StoreID = "", "01ARZ3NDEKTSV4RRFFQ69G5FAV" }, "There is no FGA store"},
		"connection of Okta kind": {func(w *world) {
			w.tenant.Configure(func(s *auth0test.Settings) {
				s.Connections["okta-corp"] = &auth0test.Connection{ID: "con_1", Name: "okta-corp", Strategy: "okta", Options: map[string]any{}}
			})
		}, "kind oidc"},
		"connection to another org": {func(w *world) {
			w.tenant.Configure(func(s *auth0test.Settings) {
				s.Connections["okta-corp"] = &auth0test.Connection{ID: "con_1", Name: "okta-corp", Strategy: "oidc", Options: map[string]any{"issuer": "https://other.okta.com"}}
			})
		}, "leads to other.okta.com"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			c.spoil(w)
			w.refused(t, c.want)
		})
	}
}

// TestSetupWaitsOutRateLimits: a 429 is waited for as long as it says, and the run completes.
func TestSetupWaitsOutRateLimits(t *testing.T) {
	w := start(t)
	var waits []time.Duration
	w.transport.OnWait = func(_ string, d time.Duration) { waits = append(waits, d) }
	w.fault.limitEvery = 3
	w.apply(t)
	if len(waits) < 5 || slices.ContainsFunc(waits, func(d time.Duration) bool { return d != 2*time.Second }) {
		t.Errorf("waits %v, want the Retry-After of 2 s each", waits)
	}
	w.walkthrough(t)
}

// TestMissingSecretsAreLeftForLater: where the secrets do not exist yet, the rest is set up and the plan says what comes later.
func TestMissingSecretsAreLeftForLater(t *testing.T) {
	w := start(t)
	w.file.Auth0.Application.SecretTo = "steward/not-there-yet"
	p := w.apply(t)
	var b bytes.Buffer
	p.Print(&b)
	if !strings.Contains(b.String(), "make deploy") {
		t.Errorf("plan:\n%s", &b)
	}
}

// walkthrough does as the functions do, with nothing but what setup left behind.
func (w *world) walkthrough(t *testing.T) {
	t.Helper()
	r := w.plan(t).Result()
	ctx := t.Context()
	app := auth0.New(auth0.Config{Issuer: w.file.Auth0.Domain.URL, ClientID: r.ClientID, Secret: w.stored("steward/auth0")})
	w.tenant.Connect("alice@example.com")
	refresh := secret.New(w.tenant.SignIn(r.ClientID, "alice@example.com"))
	if _, err := app.FederatedToken(ctx, refresh, r.Connection); err != nil {
		t.Errorf("Token Vault exchange: %v", err)
	}
	me, err := app.MyAccountToken(ctx, refresh, auth0.CreateConnectedAccounts, auth0.ReadConnectedAccounts, auth0.DeleteConnectedAccounts)
	if err != nil {
		t.Errorf("My Account token: %v", err)
	}
	connected, err := app.ConnectedAccounts(ctx, me, r.Connection)
	if err != nil || len(connected) != 1 {
		t.Errorf("connected accounts: %v, %v", connected, err)
	}
	for _, a := range connected {
		if err := app.DeleteConnectedAccount(ctx, me, a.ID); err != nil {
			t.Errorf("disconnect: %v", err)
		}
	}
	if _, err := app.StartConnect(ctx, me, auth0.ConnectRequest{Connection: r.Connection, RedirectURI: "https://steward.test/connect/callback", State: secret.New("state"), Verifier: auth0.NewVerifier()}); err != nil {
		t.Errorf("connect Okta: %v", err)
	}
	if _, err := app.AuthCodeURL(ctx, auth0.AuthRequest{RedirectURI: "https://steward.test/callback", State: secret.New("s"), Nonce: secret.New("n"), Verifier: auth0.NewVerifier(), Connection: r.Connection}); err != nil {
		t.Errorf("sign in: %v", err)
	}
	phone := &ciba.Client{Auth0: app}
	begun := time.Now()
	asked, err := phone.Start(ctx, ciba.Request{Subject: aliceSub, Message: ciba.Message{Operation: "reset_password", Phrase: "Reset password", Code: "K7Q2"}, Expiry: ciba.Expiry})
	if err != nil {
		t.Fatalf("CIBA: %v", err)
	}
	pushes := w.tenant.Pushes()
	if err := w.tenant.Decide(pushes[len(pushes)-1].ID, "approve"); err != nil {
		t.Fatal(err)
	}
	if a, err := phone.Poll(ctx, asked.AuthReqID, ciba.Request{Subject: aliceSub}, begun, asked.Interval); err != nil || a.Outcome != ciba.Approved {
		t.Errorf("CIBA poll: %+v, %v", a, err)
	}
	decisions, err := w.authorizer(t, r.FGAStoreID, r.FGAModelID).Ask(ctx, fga.Request{Checks: []fga.Check{
		fga.ForArea("user:alice@example.com", fga.ReadOkta, fga.Groups), fga.ForArea("user:dave@example.com", fga.ReadOkta, fga.Groups),
	}})
	if err != nil || decisions.Decisions[0] != fga.Allowed || decisions.Decisions[1] != fga.Denied {
		t.Errorf("FGA: %+v, %v", decisions, err)
	}
}

// faults fail chosen changes on their way to the tenants.
type faults struct {
	base       http.RoundTripper
	nth, seen  int
	lost       bool
	limitEvery int
	issuer     string // of the machine's token, instead of the tenant's own
	all        int
}

func (f *faults) arm(nth int, lost bool) { f.nth, f.seen, f.lost = nth, 0, lost }

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	target := r.Header.Get("X-Amz-Target")
	if f.all++; f.limitEvery > 0 && f.all%f.limitEvery == 0 && target == "" {
		return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"2"}}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
	}
	if f.issuer != "" && strings.HasSuffix(r.URL.Path, "/oauth/token") {
		claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + f.issuer + `"}`))
		body := fmt.Sprintf(`{"access_token":"e30.%s.c2ln","scope":"%s"}`, claims, strings.Join(plan.ManagementScopes, " "))
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	changes := r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/oauth/token") && !strings.HasSuffix(r.URL.Path, "/read")
	if target != "" {
		changes = strings.HasSuffix(target, "PutSecretValue")
	}
	if changes && f.nth > 0 {
		if f.seen++; f.seen == f.nth {
			if f.lost {
				if resp, err := f.base.RoundTrip(r); err == nil {
					_ = resp.Body.Close()
				}
			}
			return nil, io.ErrUnexpectedEOF
		}
	}
	return f.base.RoundTrip(r)
}
