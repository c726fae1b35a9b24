package run_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/local/run"
)

// TestSecretsStayInside tells the everyday story and looks for every secret that was drawn or sent meanwhile: in the logs, in the
// tables, on the control port and in what the person's browser was given.
func TestSecretsStayInside(t *testing.T) {
	var mu sync.Mutex
	secrets := map[string]bool{}
	f := start(t, run.Options{PollInterval: time.Second, NotConnected: true, Secret: func(value string) {
		mu.Lock()
		defer mu.Unlock()
		secrets[value] = true
	}})
	bob := signIn(t, f, "bob")
	if err := bob.Connect(t.Context(), "approve"); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	for _, message := range []string{"What are my Okta groups?", "Reset the password of dave@example.com"} {
		a := say(t, bob, message)
		seen.WriteString(a.Text)
		for _, trace := range a.Traces {
			seen.Write(trace)
		}
		for i, approval := range a.Approvals {
			if err := f.Tenant.Decide(f.Tenant.Pushes()[i].ID, "approve"); err != nil {
				t.Fatal(err)
			}
			if end, err := bob.Await(t.Context(), approval.ID); err != nil || end.Status != "done" {
				t.Fatalf("got %+v, %v", end, err)
			}
		}
	}
	for _, path := range []string{"/api/approvals", "/api/activity"} {
		var raw json.RawMessage
		if err := bob.JSON(t.Context(), http.MethodGet, path, nil, &raw); err != nil {
			t.Fatal(err)
		}
		seen.Write(raw)
	}

	places := map[string]string{"the functions' logs": f.Lambda.Logs().String(), "the browser": seen.String()}
	for _, path := range []string{"/requests", "/pushes", "/logs", "/stats"} {
		places["the control port's "+path] = read(t, http.MethodGet, f.ControlURL+path, "", "")
	}
	for _, table := range []string{"bedrock-sessions", "steward-audit"} {
		rows := read(t, http.MethodPost, f.AWSURL, "DynamoDB_20120810.Scan", `{"TableName":"`+table+`"}`)
		for _, binary := range binaries.FindAllStringSubmatch(rows, -1) {
			plain, err := base64.StdEncoding.DecodeString(binary[1])
			if err != nil {
				t.Fatal(err)
			}
			rows += string(plain)
		}
		places["table "+table] = rows
	}
	if !strings.Contains(places["table bedrock-sessions"], `"B":`) {
		t.Error("nothing is sealed in the session table: the test looks in the wrong place")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(secrets) < 10 {
		t.Errorf("saw only %d secrets pass: the test looks in the wrong place", len(secrets))
	}
	for place, text := range places {
		if len(text) < 3 {
			t.Errorf("%s is empty: the test looks in the wrong place", place)
		}
		for s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds the secret %.6s…", place, s)
			}
		}
	}
}

var binaries = regexp.MustCompile(`"B":"([^"]+)"`)

func read(t *testing.T, method, url, target, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: got %d %s, %v", method, url, res.StatusCode, raw, err)
	}
	return string(raw)
}
