package tenant_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/shared/fake/auth0test"
)

func example(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("steward.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestExampleFileIsValid: the documented file is a good one, and so it is with every commented key turned on.
func TestExampleFileIsValid(t *testing.T) {
	f, err := tenant.Parse([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Auth0.Issuer() != "https://acme.eu.auth0.com/" || f.FGA.Audience != "https://api.eu1.fga.dev/" || len(f.FGA.Tuples) != 4 {
		t.Errorf("%+v", f)
	}
	if diff := cmp.Diff([]string{"https://steward.example.com/callback", "https://steward.example.com/connect/callback"}, f.Auth0.Application.Callbacks()); diff != "" {
		t.Error(diff)
	}
}

// TestEveryFaultIsNamed: every fault at once, each with its line, and no value repeated.
func TestEveryFaultIsNamed(t *testing.T) {
	_, err := tenant.Parse([]byte(`auth0:
  domain: http://acme.eu.auth0.com
  managment: {client_id: x}
  management:
    client_id: x
    client_secret: canary-in-clear
  application:
    urls: [https://steward.example.com/app]
    refresh_token_days: many
    client_secret_to: "no such name"
  connection: {name: "okta corp", okta_client_id: 0oa, okta_client_secret: "env:OKTA_SECRET"}
okta:
  org_url: https://acme.okta.com
fga:
  api_url: https://api.eu1.fga.dev
  store_id: short
  tuples:
    - {user: "user:a", relation: "read okta", object: "okta:groups"}
`))
	if err == nil {
		t.Fatal("no fault")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		"fga.token_issuer is missing; only an OpenFGA on a loopback address is asked without credentials",
		"line 2: want an https URL, or http on a loopback address",
		"line 3: there is no key managment here",
		"line 6: want a reference to a secret, env:NAME or secretsmanager:NAME, and never the secret itself",
		"line 8: auth0.application.urls.0 has a path, want none: the app lives at the root",
		"line 9: cannot unmarshal !!str the value into int",
		"line 10: want the name or the ARN of a secret in AWS Secrets Manager",
		"line 11: auth0.connection.name want letters, digits and hyphens",
		"line 16: fga.store_id want the 26 characters of a store id",
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	if len(got) != len(want)+1 || !strings.Contains(err.Error(), "line 18: fga.tuples.0 is no tuple") {
		t.Errorf("got:\n%v", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a value is repeated: %v", err)
	}
}

// TestSecretsInClearAreRefused: whatever looks like a secret is refused wherever it stands, comments included.
func TestSecretsInClearAreRefused(t *testing.T) {
	for name, secret := range map[string]string{
		"JWT":           "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
		"Okta token":    "00canaryCANARYcanaryCANARYcanaryCANARY1234",
		"refresh token": "v1.canaryCANARYcanary12345",
		"client secret": "canaryCANARYcanaryCANARYcanaryCANARY0123456789_-canaryCANARY",
	} {
		for place, file := range map[string]string{
			"a name":    strings.Replace(example(t), "name: Steward", "name: "+secret, 1),
			"a comment": strings.Replace(example(t), "name: Steward", "name: Steward # "+secret, 1),
			"a secret":  strings.Replace(example(t), "env:OKTA_CLIENT_SECRET", secret, 1),
		} {
			_, err := tenant.Parse([]byte(file))
			if err == nil {
				t.Errorf("%s in %s passes", name, place)
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("%s in %s is repeated: %v", name, place, err)
			}
		}
	}
}

// TestEmptyFileNamesWhatIsMissing names what is missing, all of it.
func TestEmptyFileNamesWhatIsMissing(t *testing.T) {
	_, err := tenant.Parse(nil)
	for _, want := range []string{"auth0.domain", "auth0.management.client_secret", "auth0.application.urls", "okta.org_url", "fga.api_url", "fga.store_id"} {
		if err == nil || !strings.Contains(err.Error(), want+" ") {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

// The connection asks for what the fakes give by default, which is what the functions are tested with.
func TestScopes(t *testing.T) {
	if got, want := tenant.ConnectionScopes(), slices.Clone(auth0test.DefaultScopes); !cmp.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestRefsAreResolved reads secrets from where references point.
func TestRefsAreResolved(t *testing.T) {
	s := tenant.Secrets{Env: func(k string) (string, bool) { return map[string]string{"A": " value \n"}[k], true }}
	if v, err := s.Get(context.Background(), "env:A"); err != nil || v.Reveal() != "value" {
		t.Errorf("%v", err)
	}
	for ref, want := range map[tenant.Ref]string{"env:B": "B is empty", "secretsmanager:x": "AWS is not at hand", "": "want a reference"} {
		if _, err := s.Get(context.Background(), ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", ref, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("auth0: {domain: x}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = tenant.Parse(raw) })
}
