package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

const canary = "canary-fga-client-secret"

// function is the whole function but for its main: configuration, client, handler, on the wire of the runtime, against
// an OpenFGA with the demo grants.
func function(t testing.TB, level slog.Level) (invoke func(string) string, fake *fgatest.Fake, log *bytes.Buffer) {
	t.Helper()
	tuples, err := model.DemoTuples()
	if err != nil {
		t.Fatal(err)
	}
	fake = fgatest.New(tuples...)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	fake.Issuer = &fgatest.Issuer{ClientID: "steward-fga", ClientSecret: secret.New(canary), Audience: server.URL + "/"}
	env := environment()
	env["FGA_API_URL"], env["FGA_TOKEN_ISSUER_URL"], env["FGA_AUDIENCE"] = server.URL, server.URL, server.URL+"/"
	s, err := parseConfig(lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	client, err := openfga.New(s.openFGA(secretsFunc(func(string) (secret.String, error) { return secret.New(canary), nil })))
	if err != nil {
		t.Fatal(err)
	}
	log = &bytes.Buffer{}
	h := lambda.NewHandler(handler{fga: client, log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level}))}.Handle)
	return func(payload string) string {
		t.Helper()
		answer, err := h.Invoke(t.Context(), []byte(payload))
		if err != nil {
			t.Fatalf("the function failed: %v", err)
		}
		return string(answer)
	}, fake, log
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFunction(t *testing.T) {
	invoke, fake, log := function(t, slog.LevelInfo)
	model := `,"model_id":"` + fgatest.ModelID + `"`
	for name, tc := range map[string]struct{ payload, want string }{
		"one":                    {fixture(t, "one.json"), `{"decisions":["allowed"]` + model + `}`},
		"many":                   {fixture(t, "many.json"), `{"decisions":["allowed","denied","unknown"]` + model + `,"reason":"refused"}`},
		"dave":                   {strings.ReplaceAll(fixture(t, "one.json"), "erin", "dave"), `{"decisions":["denied"]` + model + `}`},
		"nothing":                {`{}`, `{"decisions":[],"reason":"invalid"}`},
		"another event":          {`{"Records":[]}`, `{"decisions":[],"reason":"invalid"}`},
		"everyone asks":          {`{"checks":[{"user":"user:*","relation":"read_okta","object":"okta:groups"}]}`, `{"decisions":["unknown"],"reason":"invalid"}`},
		"a user who is no user":  {`{"checks":[{"user":"user:a b","relation":"read_okta","object":"okta:groups"}]}`, `{"decisions":["unknown"],"reason":"invalid"}`},
		"a type we do not have":  {`{"checks":[{"user":"user:a","relation":"read_okta","object":"moon:groups"}]}`, `{"decisions":["unknown"]` + model + `,"reason":"refused"}`},
		"a caller's own context": {`{"checks":[{"user":"user:a","relation":"read_okta","object":"okta:main","context":{}}]}`, `{"decisions":[],"reason":"invalid"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, invoke(tc.payload)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if n := fake.Issuer.Calls(); n != 1 {
		t.Errorf("%d tokens fetched, want 1", n)
	}
	for _, leak := range []string{canary, "@example.com", "fga-"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("log holds %q:\n%s", leak, log)
		}
	}
	for _, want := range []string{"can_reset_password", "okta_user:00udave000000000004x", "denied", "refused", fgatest.ModelID} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
}

// TestOutages: an outage is an answer that says unknown, and the next call is answered again.
func TestOutages(t *testing.T) {
	invoke, fake, log := function(t, slog.LevelInfo)
	for name, tc := range map[string]struct {
		fault  faults.Fault
		reason fga.Reason
	}{
		"429":            {faults.Fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}}, fga.ReasonThrottled},
		"500":            {faults.Fault{Status: 500}, fga.ReasonUpstream},
		"garbage":        {faults.Fault{Status: 200, Body: "{"}, fga.ReasonUpstream},
		"reset":          {faults.Fault{Reset: true}, fga.ReasonUpstream},
		"token endpoint": {faults.Fault{Status: 500}, fga.ReasonUpstream},
	} {
		t.Run(name, func(t *testing.T) {
			fake.Issuer.Revoke()
			fake.Fail(tc.fault)
			if name == "token endpoint" {
				fake.Issuer.Fail(tc.fault)
				fake.Fail(faults.Fault{Status: 401, Times: 1}) // the token is dropped, a new one is needed
			}
			if got, want := invoke(fixture(t, "one.json")), `"decisions":["unknown"]`; !strings.Contains(got, want) || !strings.Contains(got, string(tc.reason)) {
				t.Errorf("got %s, want %s and reason %s", got, want, tc.reason)
			}
			fake.Fail()
			fake.Issuer.Fail()
			if got := invoke(fixture(t, "one.json")); !strings.Contains(got, `"allowed"`) {
				t.Errorf("afterwards: %s", got)
			}
		})
	}
	if strings.Contains(log.String(), canary) || strings.Contains(log.String(), "erin@") {
		t.Errorf("log tells too much:\n%s", log)
	}
}

func TestDebugNamesTheUser(t *testing.T) {
	invoke, _, log := function(t, slog.LevelDebug)
	invoke(fixture(t, "one.json"))
	if !strings.Contains(log.String(), "user:erin@example.com") {
		t.Errorf("log at debug level lacks the user:\n%s", log)
	}
}

type askerFunc func(fga.Request) (fga.Response, error)

func (f askerFunc) Ask(_ context.Context, r fga.Request) (fga.Response, error) { return f(r) }

// TestHandlerTrustsNoCount: an answer of the wrong length decides nothing.
func TestHandlerTrustsNoCount(t *testing.T) {
	for _, err := range []error{nil, errors.New("half an answer")} {
		h := handler{log: slog.New(slog.DiscardHandler), fga: askerFunc(func(fga.Request) (fga.Response, error) {
			return fga.Response{Decisions: []fga.Decision{fga.Allowed}}, err
		})}
		got, failed := h.Handle(t.Context(), json.RawMessage(fixture(t, "many.json")))
		want := fga.Response{Decisions: []fga.Decision{fga.Unknown, fga.Unknown, fga.Unknown}, Reason: fga.ReasonUpstream}
		if diff := cmp.Diff(want, got); failed != nil || diff != "" {
			t.Errorf("Handle: %v (-want +got):\n%s", failed, diff)
		}
	}
}
