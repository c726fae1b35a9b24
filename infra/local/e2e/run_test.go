package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// TestRichApprovalsShowTheWholeSentence: with rich authorization requests the push holds the sentence that describes the change.
func TestRichApprovalsShowTheWholeSentence(t *testing.T) {
	f := start(t, run.Options{PollInterval: time.Second, RichApprovals: true})
	bob := signIn(t, f, "bob@example.com")
	a := answer(t, bob, "Reset the password of dave@example.com")
	pushes := f.Tenant.Pushes()
	if len(a.Approvals) != 1 || len(pushes) != 1 || !strings.Contains(string(pushes[0].Details), a.Approvals[0].Summary) {
		t.Fatalf("got %+v and pushes %+v, want the sentence of the change in its details", a.Approvals, pushes)
	}
	approve(t, f, bob, a.Approvals[0].ID)
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
		_, _ = signIn(t, f, "alice@example.com").Say(t.Context(), "What are my Okta groups?")
		for _, s := range f.Lambda.Stats() {
			if s.Function == fleet.OktaGroups && s.Timeouts == 0 {
				t.Errorf("got %+v, want it to run out of its nanosecond", s)
			}
		}
	})
	t.Run("environment", func(t *testing.T) {
		f := start(t, run.Options{Fleet: with(func(fn *fleet.Function) {
			fn.Env = slices.DeleteFunc(slices.Clone(fn.Env), func(e fleet.Env) bool { return e.Key == "OKTA_ORG_URL" })
		})})
		_, _ = signIn(t, f, "alice@example.com").Say(t.Context(), "What are my Okta groups?")
		if text := f.Lambda.Logs().String(); !strings.Contains(text, "OKTA_ORG_URL") {
			t.Errorf("the function did not miss OKTA_ORG_URL; it text:\n%s", text)
		}
	})
	t.Run("unknown key", func(t *testing.T) {
		changed := with(func(fn *fleet.Function) {
			fn.Env = append(slices.Clone(fn.Env), fleet.Env{Key: "SOMETHING_NEW"})
		})
		if _, err := run.Start(t.Context(), run.Options{Fleet: changed, Bin: bin}); err == nil || !strings.Contains(err.Error(), "SOMETHING_NEW") {
			t.Errorf("got %v, want to hear which key is unknown", err)
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
		read(t, strings.Replace(f.ControlURL, "localhost", host, 1)+"/stats")
	}

	alice := signIn(t, f, "alice@example.com")
	f.Org.AddGroup("Temporary", "", "OKTA_GROUP", oktatest.Alice)
	post(t, f.ControlURL+"/reset", nil, nil)
	if f.Org.FindGroup("Temporary") != "" {
		t.Error("the group outlived the reset")
	}
	if _, err := alice.Say(t.Context(), "What are my Okta groups?"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v, want the session to be gone", err)
	}
	if a := answer(t, signIn(t, f, "alice@example.com"), "What are my Okta groups?"); !strings.Contains(a.Text, "Engineering") {
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
