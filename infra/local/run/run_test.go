package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "steward-bin-")
	if err != nil {
		panic(err)
	}
	bin = dir
	code := 1
	if err := run.Build(context.Background(), bin, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, opts run.Options) *run.Fleet {
	t.Helper()
	opts.Bin = bin
	f, err := run.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		for call, allowed := range f.Roles.Calls() {
			if !allowed && opts.Fleet.Functions == nil {
				t.Errorf("%s may not %s on %s; of attributes it named %q, see infra/fleet/attributes.go", call.Function, call.Action, call.Resource, f.Roles.Attributes()[call])
			}
		}
		if t.Failed() {
			t.Logf("the functions said:\n%s", f.Lambda.Logs())
		}
	})
	return f
}

func signIn(t *testing.T, f *run.Fleet, name string) *chatclient.Visitor {
	t.Helper()
	v, err := chatclient.SignIn(t.Context(), f.ChatURL, name+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func say(t *testing.T, v *chatclient.Visitor, message string) chatclient.Answer {
	t.Helper()
	a, err := v.Say(t.Context(), message)
	if err != nil {
		t.Fatalf("%s: %v (after %+v)", message, err, a)
	}
	if len(a.Errors) > 0 {
		t.Fatalf("%s: got errors %q", message, a.Errors)
	}
	return a
}

func TestReadWithEitherRuntime(t *testing.T) {
	for _, runtime := range []string{"classic", "harness"} {
		t.Run(runtime, func(t *testing.T) {
			f := start(t, run.Options{AgentRuntime: runtime})
			if a := say(t, signIn(t, f, "alice"), "What are my Okta groups?"); !strings.Contains(a.Text, "Engineering") {
				t.Errorf("alice: got %q, want her groups", a.Text)
			}
			dave := signIn(t, f, "dave") // which asks Okta whose account is connected
			before := len(f.Tap.Requests(faultproxy.Okta))
			if a := say(t, dave, "What are my Okta groups?"); strings.Contains(a.Text, "Everyone") {
				t.Errorf("dave: got %q, want a refusal", a.Text)
			}
			if after := len(f.Tap.Requests(faultproxy.Okta)); after != before {
				t.Errorf("Okta was asked %d times for somebody who may not", after-before)
			}
		})
	}
}

func TestApprovalOnThePhone(t *testing.T) {
	f := start(t, run.Options{PollInterval: time.Second})
	for _, tt := range []struct{ decision, status string }{{"approve", "done"}, {"deny", "denied"}} {
		if err := f.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		bob := signIn(t, f, "bob")
		a := say(t, bob, "Reset the password of dave@example.com")
		pushes := f.Tenant.Pushes()
		if len(a.Approvals) != 1 || len(pushes) != 1 || a.Approvals[0].Code == "" || !strings.Contains(pushes[0].BindingMessage, a.Approvals[0].Code) {
			t.Fatalf("got %+v and pushes %+v, want one of each with the same code", a, pushes)
		}
		var decided struct{ Status string }
		post(t, f.ControlURL+"/pushes/"+pushes[0].ID, map[string]string{"decision": tt.decision}, &decided)
		end, err := bob.Await(t.Context(), a.Approvals[0].ID)
		if err != nil || end.Status != tt.status {
			t.Fatalf("%s: got %+v, %v, want %s", tt.decision, end, err, tt.status)
		}
		want := map[string]int{"done": 1}[tt.status]
		if n := f.Org.MailCount(oktatest.Dave, oktatest.MailResetPassword); n != want {
			t.Errorf("%s: dave got %d mails, want %d", tt.decision, n, want)
		}
	}
}

// With rich authorization requests the phone shows the whole sentence of the change.
func TestRichApprovals(t *testing.T) {
	f := start(t, run.Options{PollInterval: time.Second, RichApprovals: true})
	bob := signIn(t, f, "bob")
	a := say(t, bob, "Reset the password of dave@example.com")
	pushes := f.Tenant.Pushes()
	if len(a.Approvals) != 1 || len(pushes) != 1 || !strings.Contains(string(pushes[0].Details), a.Approvals[0].Summary) {
		t.Fatalf("got %+v and pushes %+v, want the sentence of the change in its details", a.Approvals, pushes)
	}
	if err := f.Tenant.Decide(pushes[0].ID, "approve"); err != nil {
		t.Fatal(err)
	}
	if end, err := bob.Await(t.Context(), a.Approvals[0].ID); err != nil || end.Status != "done" {
		t.Errorf("got %+v, %v, want it done", end, err)
	}
}

func TestConnectOkta(t *testing.T) {
	f := start(t, run.Options{NotConnected: true})
	alice := signIn(t, f, "alice")
	if a := say(t, alice, "What are my Okta groups?"); !strings.Contains(a.Text, "Connect Okta") {
		t.Errorf("got %q, want to be sent to Connect Okta", a.Text)
	}
	if err := alice.Connect(t.Context(), "approve"); err != nil {
		t.Fatal(err)
	}
	if a := say(t, alice, "What are my Okta groups?"); !strings.Contains(a.Text, "Engineering") {
		t.Errorf("connected: got %q, want her groups", a.Text)
	}
}

// TestFleetDrivesTheRun changes the one description of the functions and looks for the change in the run.
func TestFleetDrivesTheRun(t *testing.T) {
	with := func(change func(*fleet.Function)) fleet.Fleet {
		changed := fleet.Steward()
		for i := range changed.Functions {
			if changed.Functions[i].Name == fleet.OktaGroups {
				change(&changed.Functions[i])
			}
		}
		return changed
	}
	t.Run("timeout", func(t *testing.T) {
		f := start(t, run.Options{Fleet: with(func(fn *fleet.Function) { fn.Timeout = time.Nanosecond })})
		_, _ = signIn(t, f, "alice").Say(t.Context(), "What are my Okta groups?")
		for _, s := range f.Lambda.Stats() {
			if s.Function == fleet.OktaGroups && s.Timeouts == 0 {
				t.Errorf("got %+v, want it to run out of its nanosecond", s)
			}
		}
	})
	t.Run("environment", func(t *testing.T) {
		f := start(t, run.Options{Fleet: with(func(fn *fleet.Function) {
			fn.Env = slices.DeleteFunc(slices.Clone(fn.Env), func(e fleet.Env) bool { return e.Source == fleet.OktaOrg })
		})})
		_, _ = signIn(t, f, "alice").Say(t.Context(), "What are my Okta groups?")
		if said := f.Lambda.Logs().String(); !strings.Contains(said, "OKTA_ORG_URL") {
			t.Errorf("the function did not miss OKTA_ORG_URL; it said:\n%s", said)
		}
	})
	t.Run("unknown source", func(t *testing.T) {
		changed := with(func(fn *fleet.Function) {
			fn.Env = append(slices.Clone(fn.Env), fleet.Env{Key: "MORE", Source: "something new"})
		})
		if _, err := run.Start(t.Context(), run.Options{Fleet: changed, Bin: bin}); err == nil || !strings.Contains(err.Error(), "something new") {
			t.Errorf("got %v, want to hear which source is unknown", err)
		}
	})
}

func TestStateFileAndReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build", "local.json")
	var secrets sync.Map
	f, err := run.Start(t.Context(), run.Options{Bin: bin, StateFile: path, Secret: func(value string) { secrets.Store(value, true) }})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"chat", "auth0", "phone", "okta", "fga", "fga_store_id", "fga_model_id", "aws", "control", "users"} {
		if got[key] == nil {
			t.Errorf("%s is missing in %s", key, raw)
		}
	}
	environment := run.EnvironmentFile(path)
	if info, err := os.Stat(environment); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: got %v, %v, want a file for this user alone", environment, info, err)
	}
	if raw, err = os.ReadFile(environment); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"AWS_ENDPOINT_URL", "AUTH0_CLIENT_ID", "AUDIT_KEY_SECRET_ARN", "FGA_STORE_ID"} {
		if !strings.Contains(string(raw), key) {
			t.Errorf("%s is missing in %s", key, raw)
		}
	}
	secrets.Range(func(secret, _ any) bool {
		if strings.Contains(string(raw), secret.(string)) {
			t.Errorf("the secret %.6s… is in %s", secret, environment)
		}
		return true
	})
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if res := get(t, strings.Replace(f.ControlURL, "localhost", host, 1)+"/stats"); res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", host, res.StatusCode)
		}
	}

	alice := signIn(t, f, "alice")
	f.Org.AddGroup("Temporary", "", "OKTA_GROUP", oktatest.Alice)
	post(t, f.ControlURL+"/reset", nil, nil)
	if f.Org.FindGroup("Temporary") != "" {
		t.Error("the group outlived the reset")
	}
	if _, err := alice.Say(t.Context(), "What are my Okta groups?"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v, want the session to be gone", err)
	}
	if a := say(t, signIn(t, f, "alice"), "What are my Okta groups?"); !strings.Contains(a.Text, "Engineering") {
		t.Errorf("after the reset: got %q", a.Text)
	}

	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{path, environment} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	port := ln.Addr().(*net.TCPAddr).Port
	_, err = run.Start(t.Context(), run.Options{Bin: bin, PortBase: port})
	if want := fmt.Sprintf("port %d is in use", port); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

func post(t *testing.T, url string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: got %d", url, res.StatusCode)
	}
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
}
