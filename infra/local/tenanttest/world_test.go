// Package tenanttest tests setup and doctor against the fakes and the real OpenFGA server, which lives in this module.
package tenanttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	sdk "github.com/openfga/go-sdk/client"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	embedded "github.com/steward-iam/steward/infra/local/openfga"
	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

const aliceSub = "oidc|okta-corp|" + oktatest.Alice

// world is one installation: the fakes, the file that describes what is wanted, and a terminal's environment.
type world struct {
	tenant    *auth0test.Server
	org       *oktatest.Org
	okta      *httptest.Server
	aws       *awstest.Server
	awsURL    string
	fga       *embedded.Server
	issuer    *fgatest.Issuer
	file      tenant.File
	env       map[string]string
	fault     *faults
	transport *reach.Transport
}

// start makes fakes with nothing of Steward's in them: no application, no connection, push off, MFA always, no store.
func start(t *testing.T) *world {
	t.Helper()
	w := &world{env: map[string]string{"ADMIN_SECRET": "canary-admin-secret", "OKTA_SECRET": "canary-okta-secret", "FGA_SECRET": "canary-fga-secret"}}
	w.org = oktatest.New(oktatest.Options{Seed: 1, PageSize: -1})
	w.okta = httptest.NewServer(w.org)
	t.Cleanup(w.okta.Close)
	w.tenant = auth0test.Start(t, auth0test.Options{
		Clients:   []auth0test.Client{auth0test.Machine("admin", w.env["ADMIN_SECRET"])},
		Grants:    []auth0test.ClientGrant{{ClientID: "admin", Audience: auth0test.ManagementAPI}},
		People:    []auth0test.Person{{Email: "alice@example.com", EmailVerified: true, OktaUserID: oktatest.Alice, PushEnrolled: true}},
		PushLimit: -1, PollInterval: time.Nanosecond, MFAAlways: true,
		OktaToken: func(p auth0test.Person, scopes []string) (string, time.Duration) {
			return w.org.MintToken(p.OktaUserID, scopes, time.Hour), time.Hour
		},
	})
	w.tenant.Configure(func(s *auth0test.Settings) {
		clear(s.Connections)
		s.Guardian.PushEnabled = false
	})
	w.aws = awstest.New(awstest.Options{NoChaos: true, Secrets: map[string]string{"steward/auth0": "", "steward/fga": ""}})
	awsServer := httptest.NewServer(w.aws)
	t.Cleanup(awsServer.Close)
	w.awsURL = awsServer.URL

	front := httptest.NewUnstartedServer(nil)
	var err error
	w.issuer = &fgatest.Issuer{ClientID: "fga-client", ClientSecret: secret.New(w.env["FGA_SECRET"])}
	if w.fga, err = embedded.New(t.Context(), "http://"+front.Listener.Addr().String(), embedded.Options{Issuer: w.issuer, RequireToken: true, Tuples: []fga.Tuple{}}); err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = w.fga
	front.Start()
	t.Cleanup(func() { front.Close(); _ = w.fga.Close() })

	if w.file, err = tenant.Parse([]byte(w.yaml())); err != nil {
		t.Fatal(err)
	}
	w.fault = &faults{base: http.DefaultTransport}
	w.transport = &reach.Transport{Base: w.fault, Sleep: func(context.Context, time.Duration) error { return nil }}
	return w
}

// yaml is the file of this installation.
func (w *world) yaml() string {
	return fmt.Sprintf(`
auth0:
  domain: %s
  management: {client_id: admin, client_secret: "env:ADMIN_SECRET"}
  application:
    urls: ["https://steward.test"]
    client_secret_to: steward/auth0
  connection: {okta_client_id: 0oaexample, okta_client_secret: "env:OKTA_SECRET"}
okta: {org_url: %s}
fga:
  api_url: %[3]s
  token_issuer: %[3]s
  store_name: fresh
  setup: {client_id: fga-client, client_secret: "env:FGA_SECRET"}
  checker: {client_id: fga-client, client_secret: "env:FGA_SECRET", client_secret_to: steward/fga}
  tuples:
    - {user: "user:alice@example.com", relation: read_okta, object: "okta:groups"}
    - {user: "user:alice@example.com", relation: self_service, object: "okta:main"}
    - {user: "user:frank@example.com", relation: admin, object: "okta:main"}
    - {user: "user:*", relation: protected, object: "okta_user:00ufrank00000000006x"}
`, w.tenant.URL, w.okta.URL, w.fga.URL)
}

func (w *world) secretsManager() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &w.awsURL, Credentials: aws.AnonymousCredentials{}, HTTPClient: &http.Client{Transport: w.fault},
		RetryMaxAttempts: 1,
	})
}

func (w *world) options() plan.Options {
	return plan.Options{
		File: w.file, Transport: w.transport, Store: plan.SecretsManager{Client: w.secretsManager()},
		Secrets: tenant.Secrets{Env: func(k string) (string, bool) { v, ok := w.env[k]; return v, ok }},
	}
}

func (w *world) plan(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := plan.New(t.Context(), w.options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) apply(t *testing.T) *plan.Plan {
	t.Helper()
	p := w.plan(t)
	if err := p.Apply(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	return p
}

// refused wants planning to fail with the words, and nothing to have been changed.
func (w *world) refused(t *testing.T, want string) {
	t.Helper()
	w.fault.arm(1<<30, false) // counts
	_, err := plan.New(t.Context(), w.options())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
	if w.fault.seen != 0 {
		t.Errorf("%d changes were made", w.fault.seen)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret is shown: %v", err)
	}
}

// stored reads a secret as the functions do: out of Secrets Manager.
func (w *world) stored(name string) func(context.Context) (secret.String, error) {
	return func(ctx context.Context) (secret.String, error) {
		return plan.SecretsManager{Client: w.secretsManager()}.Value(ctx, name)
	}
}

// hidden are the secrets that must not be shown.
func (w *world) hidden(t *testing.T) []string {
	t.Helper()
	value, err := w.stored("steward/auth0")(t.Context())
	if err != nil || value.IsZero() {
		t.Fatalf("the Auth0 secret is not stored: %v", err)
	}
	return []string{value.Reveal(), "canary"}
}

func (w *world) authorizer(t *testing.T, storeID, modelID string) *openfga.Client {
	t.Helper()
	u, err := url.Parse(w.fga.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openfga.New(openfga.Config{APIURL: u, StoreID: storeID, ModelID: modelID, Credentials: &openfga.Credentials{
		Issuer: u, Audience: w.file.FGA.Audience, ClientID: w.file.FGA.Checker.ClientID, Secret: w.stored("steward/fga"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) fgaClient(t *testing.T) *sdk.OpenFgaClient {
	t.Helper()
	token, err := plan.FGAToken(t.Context(), http.DefaultClient, w.fga.URL, "fga-client", secret.New(w.env["FGA_SECRET"]), w.file.FGA.Audience)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plan.FGAClient(w.fga.URL, w.plan(t).Result().FGAStoreID, token, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
