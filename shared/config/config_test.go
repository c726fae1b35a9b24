package config_test

import (
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/config"
)

func env(m map[string]string) config.Lookup {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func TestAllFaultsAreReported(t *testing.T) {
	r := config.Read(env(map[string]string{"BLANK": " ", "RUNTIME": "modern", "URL": "http://example.com"}))
	r.String("MISSING")
	r.String("BLANK")
	r.Enum("RUNTIME", "classic", "harness")
	r.URL("URL")
	err := r.Err()
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{"MISSING: is missing", "BLANK: is missing", `RUNTIME: is "modern", want one of classic, harness`, `URL: has scheme "http"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("fault %q lacks %q", err, want)
		}
	}
}

func TestURL(t *testing.T) {
	for _, c := range []struct {
		in string
		ok bool
	}{
		{"https://acme.us.auth0.com/", true},
		{"https://acme.example:8443", true},
		{"http://localhost:3001/", true},
		{"http://127.0.0.1:3001", true},
		{"http://[::1]:3001", true},
		{"http://acme.us.auth0.com/", false},
		{"http://localhost.evil.example/", false},
		{"http://127.0.0.1.evil.example/", false},
		{"acme.us.auth0.com", false},
		{"https://user:pass@acme.example", false},
		{"https://acme.example?x=1", false},
		{"https://acme.example#x", false},
		{"https://:443", false},
		{"ftp://acme.example", false},
		{"", false},
	} {
		r := config.Read(env(map[string]string{"URL": c.in}))
		if u := r.URL("URL"); (r.Err() == nil) != c.ok || (u != nil) != c.ok {
			t.Errorf("%q: got %v, fault %v; want ok=%v", c.in, u, r.Err(), c.ok)
		}
	}
}

func TestOptional(t *testing.T) {
	r := config.Read(env(map[string]string{"CLAIM": "sub"}))
	if got := r.Optional("CLAIM", "email"); got != "sub" {
		t.Errorf("CLAIM = %q", got)
	}
	if got := r.Optional("OTHER", "email"); got != "email" {
		t.Errorf("OTHER = %q", got)
	}
	if r.OptionalSwitch("NONE") || r.Err() != nil {
		t.Errorf("a switch that is not set is on, or a fault: %v", r.Err())
	}
	if bad := config.Read(env(map[string]string{"LINKING": "yes"})); bad.OptionalSwitch("LINKING") || bad.Err() == nil {
		t.Error("a switch took yes for an answer")
	}
	if r.OptionalEnum("NONE", "sentence", "token") != "sentence" || r.Err() != nil {
		t.Errorf("a choice that is not set is not the first of its set: %v", r.Err())
	}
	if bad := config.Read(env(map[string]string{"STYLE": "poem"})); bad.OptionalEnum("STYLE", "sentence", "token") == "" || bad.Err() == nil {
		t.Error("a value outside the set was taken")
	}
	if u := r.OptionalURL("NONE"); u != nil || r.Err() != nil {
		t.Errorf("NONE = %v, %v", u, r.Err())
	}
}
