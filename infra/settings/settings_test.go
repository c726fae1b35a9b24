package settings_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/settings"
)

// good is a context that can be deployed.
func good(changes map[string]any) func(key string) any {
	context := map[string]any{
		"stage": "dev",
		"dev": map[string]any{
			"auth0IssuerUrl": "https://acme.eu.auth0.com/", "auth0ClientId": "abc", "auth0Connection": "okta-corp", "oktaOrgUrl": "https://acme.okta.com",
			"fgaApiUrl": "https://api.eu1.fga.dev", "fgaStoreId": "01HVMMBCMGZNT3SED4Z17ECXCA", "fgaModelId": "01HVMMBD123456789ABCDEFGHJ",
			"fgaTokenIssuerUrl": "https://auth.fga.dev/", "fgaAudience": "https://api.eu1.fga.dev/", "fgaClientId": "def",
		},
	}
	context["prod"] = context["dev"]
	for k, v := range changes {
		context[k] = v
	}
	return func(key string) any { return context[key] }
}

func TestParse(t *testing.T) {
	s, err := settings.Parse(good(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.StackName() != "steward-dev" || s.Agent != settings.Classic || s.FGAUserClaim != "email" || s.ApprovalsMessage != "sentence" || s.LogRetentionDays != 30 || s.BaseURL != nil {
		t.Errorf("defaults are %+v", s)
	}
	want := settings.Model{ID: "global.anthropic.claude-sonnet-4-6", Base: "anthropic.claude-sonnet-4-6", Profile: true, Global: true}
	if diff := cmp.Diff(want, s.Model); diff != "" {
		t.Errorf("model, -want +got:\n%s", diff)
	}
}

// TestProdIsBounded: prod is bounded unless it says otherwise, dev only if it does.
func TestProdIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		context  map[string]any
		reserved map[string]int
		queue    int
	}{
		"dev":             {map[string]any{}, nil, 0},
		"prod":            {map[string]any{"stage": "prod"}, map[string]int{"chat": 50}, 10},
		"prod, otherwise": {map[string]any{"stage": "prod", "reservedConcurrency": `{"chat": 20, "ciba": 5}`, "queueConcurrency": 2.0}, map[string]int{"chat": 20, "ciba": 5}, 2},
		"prod, unbounded": {map[string]any{"stage": "prod", "reservedConcurrency": map[string]any{}, "queueConcurrency": "0"}, map[string]int{}, 0},
		"dev, bounded":    {map[string]any{"reservedConcurrency": `{"chat": 3}`, "queueConcurrency": "4"}, map[string]int{"chat": 3}, 4},
	} {
		s, err := settings.Parse(good(tc.context))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.reserved, s.ReservedConcurrency); diff != "" || s.QueueConcurrency != tc.queue {
			t.Errorf("%s: queue %d, want %d; reserved, -want +got:\n%s", name, s.QueueConcurrency, tc.queue, diff)
		}
	}
}

func TestCommandLineOverridesTheFile(t *testing.T) {
	s, err := settings.Parse(good(map[string]any{"oktaOrgUrl": "https://other.okta.com", "stage": "prod", "agent": "harness", "auth0Connection": " "}))
	if err != nil {
		t.Fatal(err)
	}
	if s.OktaOrg.Host != "other.okta.com" || s.StackName() != "steward-prod" || s.Agent != settings.Harness || s.LogRetentionDays != 365 {
		t.Errorf("got %+v", s)
	}
	if s.Auth0Connection != "okta-corp" {
		t.Errorf("a blank goes before a value: %q", s.Auth0Connection)
	}
}

// TestInvalidSettingsAreNamed gives one fault each, and wants it named.
func TestInvalidSettingsAreNamed(t *testing.T) {
	dev := func(key string, value any) map[string]any {
		m := map[string]any{}
		for k, v := range good(nil)("dev").(map[string]any) {
			m[k] = v
		}
		m[key] = value
		return map[string]any{"dev": m}
	}
	cases := []struct {
		name    string
		context map[string]any
		want    string
	}{
		{"stage unknown", map[string]any{"stage": "test"}, `stage: is "test", want one of dev, prod`},
		{"stage missing", map[string]any{"stage": ""}, "stage: is missing"},
		{"agent unknown", map[string]any{"agent": "both"}, `agent: is "both", want one of classic, harness`},
		{"misspelt key", dev("oktaOrgURL", "x"), "oktaOrgURL: is no setting"},
		{"stage is no object", map[string]any{"dev": "x"}, "dev: want an object"},
		{"approvals without a type", map[string]any{"approvalsApi": "https://steward.example.com/approvals"}, "approvalsDetailType: is missing"},
		{"approvals without an API", map[string]any{"approvalsDetailType": "urn:x"}, "approvalsApi: is missing"},
		{"approvals in rhyme", map[string]any{"approvalsMessage": "rhyme"}, `approvalsMessage: is "rhyme", want one of sentence, token`},
		{"approvals with a blank", map[string]any{"approvalsApi": "a b", "approvalsDetailType": "urn:x"}, `approvalsApi: is "a b"`},
		{"name with capitals", map[string]any{"name": "Steward"}, `name: is "Steward"`},
		{"name with two hyphens", map[string]any{"name": "a--b"}, `name: is "a--b"`},
		{"name too long", map[string]any{"name": "a23456789012345678901234567890"}, "name: has 30 characters"},
		{"plain http", map[string]any{"auth0IssuerUrl": "http://acme.auth0.com/"}, `auth0IssuerUrl: has scheme "http"`},
		{"loopback", map[string]any{"oktaOrgUrl": "http://localhost:3002"}, "oktaOrgUrl: is this machine"},
		{"no URL", map[string]any{"fgaApiUrl": "api.fga.dev"}, "fgaApiUrl: is not an absolute URL"},
		{"query in URL", map[string]any{"fgaTokenIssuerUrl": "https://auth.fga.dev/?x=1"}, "fgaTokenIssuerUrl: must not carry"},
		{"empty client", dev("auth0ClientId", ""), "auth0ClientId: is missing"},
		{"client with a blank", map[string]any{"fgaClientId": "a b"}, `fgaClientId: is "a b"`},
		{"number for a text", dev("auth0Connection", 7.0), "auth0Connection: want a text"},
		{"store is no ULID", map[string]any{"fgaStoreId": "main"}, `fgaStoreId: is "main"`},
		{"claim", map[string]any{"fgaUserClaim": "name"}, `fgaUserClaim: is "name", want one of email, sub`},
		{"model", map[string]any{"model": "Claude"}, `model: is "Claude"`},
		{"profile without regions", map[string]any{"model": "apac.anthropic.claude-sonnet-4-6"}, "modelRegions: is missing"},
		{"regions without profile", map[string]any{"model": "anthropic.claude-sonnet-4-6", "modelRegions": "eu-west-1"}, "modelRegions: is only for"},
		{"no region", map[string]any{"model": "eu.anthropic.claude-sonnet-4-6", "modelRegions": "Frankfurt"}, `modelRegions: "Frankfurt" is no region`},
		{"guardrail without version", map[string]any{"guardrailId": "abc"}, "guardrailVersion: is missing"},
		{"guardrail on a harness", map[string]any{"agent": "harness", "guardrailId": "abc", "guardrailVersion": "1"}, "guardrailId: cannot be set on a harness"},
		{"draft guardrail in prod", map[string]any{"stage": "prod", "guardrailId": "abc", "guardrailVersion": "DRAFT"}, "guardrailVersion: is DRAFT"},
		{"memory", map[string]any{"harnessMemory": "all"}, `harnessMemory: is "all"`},
		{"base URL with a path", map[string]any{"baseUrl": "https://example.com/steward"}, `baseUrl: has the path "/steward"`},
		{"table name", map[string]any{"sessionTableName": "a b"}, `sessionTableName: is "a b"`},
		{"console linking in prod", map[string]any{"stage": "prod", "consoleLinking": true}, "consoleLinking: is not for prod"},
		{"console linking unclear", map[string]any{"consoleLinking": "maybe"}, "consoleLinking: want true or false"},
		{"concurrency of nobody", map[string]any{"reservedConcurrency": map[string]any{"okta": 1.0}}, `reservedConcurrency: there is no function "okta"`},
		{"concurrency in halves", map[string]any{"reservedConcurrency": `{"chat": 1.5}`}, "reservedConcurrency: chat wants a whole number"},
		{"queue of one", map[string]any{"queueConcurrency": 1.0}, "queueConcurrency: wants a whole number from 2 to 1000, or 0"},
		{"queue of many", map[string]any{"queueConcurrency": "1001"}, "queueConcurrency: wants a whole number from 2 to 1000, or 0"},
		{"queue of words", map[string]any{"queueConcurrency": "two"}, "queueConcurrency: wants a whole number from 2 to 1000, or 0"},
		{"concurrency is no object", map[string]any{"reservedConcurrency": "5"}, "reservedConcurrency: want an object"},
		{"e-mail", map[string]any{"alarmEmail": "On Call <oncall@example.com>"}, "alarmEmail: want a plain e-mail address"},
		{"retention", map[string]any{"logRetentionDays": 8.0}, "logRetentionDays: want one of"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := settings.Parse(good(c.context))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if strings.HasPrefix(c.name, "stage ") {
				return // without a stage its settings are missing too
			}
			if err != nil && len(strings.Split(err.Error(), "\n")) > 1 {
				t.Errorf("one fault is told as several:\n%v", err)
			}
		})
	}
}

// TestAllFaultsAtOnce holds that one failed start tells all.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := settings.Parse(func(string) any { return nil })
	if err == nil {
		t.Fatal("an empty context can be deployed")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		got = append(got, key)
	}
	want := []string{"stage", "auth0IssuerUrl", "auth0ClientId", "auth0Connection", "oktaOrgUrl", "fgaApiUrl", "fgaStoreId", "fgaModelId", "fgaTokenIssuerUrl", "fgaAudience", "fgaClientId"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults, -want +got:\n%s", diff)
	}
}

// TestRepositorysOwnSettingsAreValid holds that the example values of cdk.json parse in every combination, and are known to be examples.
func TestRepositorysOwnSettingsAreValid(t *testing.T) {
	for _, stage := range []string{"dev", "prod"} {
		for _, agent := range []string{"classic", "harness"} {
			lookup, err := settings.File("../../cdk.json", map[string]string{"stage": stage, "agent": agent})
			if err != nil {
				t.Fatal(err)
			}
			s, err := settings.Parse(lookup)
			if err != nil {
				t.Errorf("%s %s: %v", stage, agent, err)
			}
			got := settings.Examples(lookup, s.Stage)
			slices.Sort(got)
			want := []string{"auth0ClientId", "auth0IssuerUrl", "fgaClientId", "fgaModelId", "fgaStoreId", "oktaOrgUrl"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: example values, -want +got:\n%s", stage, diff)
			}
		}
	}
	if got := settings.Examples(good(nil), settings.Dev); len(got) > 0 {
		t.Errorf("%v are taken for examples", got)
	}
}
