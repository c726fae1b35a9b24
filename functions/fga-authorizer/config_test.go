package main

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/secret"
)

func environment() map[string]string {
	return map[string]string{
		"FGA_API_URL":           "https://api.us1.fga.dev",
		"FGA_STORE_ID":          "01KAFGATESTST0RE0000000000",
		"FGA_MODEL_ID":          "01KAFGATESTM0DE10000000000",
		"FGA_TOKEN_ISSUER_URL":  "https://auth.fga.dev/",
		"FGA_AUDIENCE":          "https://api.us1.fga.dev/",
		"FGA_CLIENT_ID":         "steward-fga",
		"FGA_CLIENT_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:fga-AbCdEf",
	}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) { v, ok := env[key]; return v, ok }
}

func TestParseConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(map[string]string)
		faults []string // keys that are named, all in one error
	}{
		"complete":                 {func(map[string]string) {}, nil},
		"empty":                    {func(e map[string]string) { clear(e) }, []string{"FGA_API_URL", "FGA_STORE_ID", "FGA_MODEL_ID"}},
		"plain http":               {func(e map[string]string) { e["FGA_API_URL"] = "http://api.us1.fga.dev" }, []string{"FGA_API_URL"}},
		"plain http to the issuer": {func(e map[string]string) { e["FGA_TOKEN_ISSUER_URL"] = "http://auth.fga.dev" }, []string{"FGA_TOKEN_ISSUER_URL"}},
		"ids that are names":       {func(e map[string]string) { e["FGA_STORE_ID"], e["FGA_MODEL_ID"] = "main", "latest" }, []string{"FGA_STORE_ID", "FGA_MODEL_ID"}},
		"issuer empty":             {func(e map[string]string) { e["FGA_TOKEN_ISSUER_URL"] = "" }, []string{"FGA_TOKEN_ISSUER_URL"}},
		"issuer without the rest": {func(e map[string]string) {
			delete(e, "FGA_AUDIENCE")
			delete(e, "FGA_CLIENT_ID")
			delete(e, "FGA_CLIENT_SECRET_ARN")
		}, []string{"FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"}},
		"the rest without the issuer": {func(e map[string]string) { delete(e, "FGA_TOKEN_ISSUER_URL") }, []string{"FGA_TOKEN_ISSUER_URL", "FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"}},
		"on this machine without credentials": {func(e map[string]string) {
			for _, key := range []string{"FGA_TOKEN_ISSUER_URL", "FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"} {
				delete(e, key)
			}
			e["FGA_API_URL"] = "http://127.0.0.1:3003"
		}, nil},
		"elsewhere without credentials": {func(e map[string]string) {
			for _, key := range []string{"FGA_TOKEN_ISSUER_URL", "FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"} {
				delete(e, key)
			}
		}, []string{"FGA_TOKEN_ISSUER_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(environment())
			tc.change(env)
			_, err := parseConfig(lookup(env))
			if (err == nil) != (tc.faults == nil) {
				t.Fatalf("err = %v, want faults of %v", err, tc.faults)
			}
			for _, key := range tc.faults {
				if !strings.Contains(err.Error(), key+": ") {
					t.Errorf("%s is not named in: %v", key, err)
				}
			}
		})
	}
}

type secretsFunc func(arn string) (secret.String, error)

func (f secretsFunc) Get(_ context.Context, arn string) (secret.String, error)   { return f(arn) }
func (f secretsFunc) Fresh(_ context.Context, arn string) (secret.String, error) { return f(arn) }

// TestSecretIsReadLate: starting costs no call to Secrets Manager, and the ARN that is read is the configured one.
func TestSecretIsReadLate(t *testing.T) {
	s, err := parseConfig(lookup(environment()))
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	c := s.openFGA(secretsFunc(func(arn string) (secret.String, error) { asked = arn; return secret.New("x"), nil }))
	if asked != "" {
		t.Error("secret read while configuring")
	}
	if _, err := c.Credentials.Secret(t.Context()); err != nil || asked != environment()["FGA_CLIENT_SECRET_ARN"] {
		t.Errorf("asked for %q, %v", asked, err)
	}
}
