package tenanttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/steward-iam/steward/infra/cmd/doctor/check"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/auth0test"
)

// build compiles one of the two commands.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/steward-iam/steward/infra/cmd/"+name) //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return bin
}

// execute runs a command in a terminal with the given environment and answer.
func execute(t *testing.T, bin, answer string, env []string, args ...string) (out string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...) //nolint:gosec // our own
	cmd.Env, cmd.Stdin = append(env, "HOME="+t.TempDir()), strings.NewReader(answer)
	raw, err := cmd.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		exit = failed.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(raw), exit
}

// TestSetupCommand: the command shows its plan, asks, obeys, is done the second time, and says what is wrong with a file.
func TestSetupCommand(t *testing.T) {
	w := start(t)
	aws := httptest.NewServer(w.aws)
	t.Cleanup(aws.Close)
	bin := build(t, "setup")
	file := filepath.Join(t.TempDir(), "steward.yaml")
	if err := os.WriteFile(file, []byte(w.yaml()), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"AWS_ENDPOINT_URL=" + aws.URL}
	for k, v := range w.env {
		env = append(env, k+"="+v)
	}
	for _, step := range []struct {
		name, answer string
		args         []string
		exit         int
		want, not    string
	}{
		{"no file", "", []string{"-config", file + ".gone"}, 1, "steward.example.yaml", ""},
		{"plan only", "", []string{"-config", file, "-plan"}, 0, "Nothing was changed.", "created"},
		{"refused", "n\n", []string{"-config", file}, 0, "Nothing was changed.", "created  "},
		{"silence is a no", "", []string{"-config", file}, 0, "Nothing was changed.", "created  "},
		{"yes", "y\n", []string{"-config", file}, 0, `"fgaModelId"`, "Nothing"},
		{"again", "", []string{"-config", file, "-yes"}, 0, "Nothing to change.", "created"},
	} {
		out, exit := execute(t, bin, step.answer, env, step.args...)
		if exit != step.exit || !strings.Contains(out, step.want) || step.not != "" && strings.Contains(out, step.not) {
			t.Errorf("%s: exit %d:\n%s", step.name, exit, out)
		}
		for _, hidden := range []string{"canary"} {
			if strings.Contains(out, hidden) {
				t.Errorf("%s: a secret is shown:\n%s", step.name, out)
			}
		}
	}
	if out, exit := execute(t, bin, "", nil, "-config", file); exit != 1 || !strings.Contains(out, "ADMIN_SECRET is empty") || !strings.Contains(out, "Nothing was changed") {
		t.Errorf("without secrets: exit %d:\n%s", exit, out)
	}
}

// TestDoctorAndSetupOnTheLaptop: doctor finds the run of `make local` well, by the environment that the run wrote, whichever agent runtime that has; with steward.local.yaml it sees the tenant's
// settings too, setup adopts what is there, and a broken setting makes the exit code 1.
func TestDoctorAndSetupOnTheLaptop(t *testing.T) {
	bins, state := t.TempDir(), filepath.Join(t.TempDir(), "local.json")
	if err := run.Build(t.Context(), bins, nil); err != nil {
		t.Fatal(err)
	}
	fleet, err := run.Start(t.Context(), run.Options{Bin: bins, StateFile: state, AgentRuntime: "harness"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fleet.Close() })
	doctor, setup, state := build(t, "doctor"), build(t, "setup"), run.EnvironmentFile(state)

	out, exit := execute(t, doctor, "", nil, "-local", state, "-config", "none.yaml")
	if exit != 0 || !strings.Contains(out, "26 ok, 0 wrong") || !strings.Contains(out, "the agent runs on a harness") {
		t.Errorf("doctor: exit %d:\n%s", exit, out)
	}

	// steward.local.yaml, with the ports of this run.
	raw, err := os.ReadFile("../../tenant/steward.local.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for port, url := range map[int]string{3000: fleet.ChatURL, 3001: fleet.Auth0URL, 3002: fleet.OktaURL, 3003: fleet.FGAURL} {
		text = strings.ReplaceAll(text, fmt.Sprintf("http://localhost:%d", port), url)
	}
	file := filepath.Join(t.TempDir(), "steward.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"AWS_ENDPOINT_URL=" + fleet.AWSURL}
	if out, exit := execute(t, setup, "", env, "-config", file, "-yes"); exit != 0 || strings.Contains(out, "+ create") {
		t.Errorf("setup: exit %d:\n%s", exit, out)
	}
	if out, exit := execute(t, setup, "", env, "-config", file, "-plan"); exit != 0 || !strings.Contains(out, "Nothing to change.") {
		t.Errorf("setup again: exit %d:\n%s", exit, out)
	}
	if out, exit = execute(t, doctor, "", nil, "-local", state, "-config", file); exit != 0 || !strings.Contains(out, "54 ok, 0 wrong") {
		t.Errorf("doctor: exit %d:\n%s", exit, out)
	}

	fleet.Tenant.Configure(func(s *auth0test.Settings) { s.Guardian.Policies = []string{"all-applications"} })
	var report check.Report
	out, exit = execute(t, doctor, "", nil, "-local", state, "-config", file, "-json")
	if err := json.NewDecoder(bytes.NewReader([]byte(out))).Decode(&report); err != nil || exit != 1 || len(report.Wrong()) != 1 || report.Wrong()[0].Check != "auth0.mfa-policy" {
		t.Errorf("doctor -json: exit %d, %v:\n%s", exit, err, out)
	}
	if out, exit := execute(t, doctor, "", nil, "-local", "gone.json", "-config", file); exit != 2 || !strings.Contains(out, "make local") {
		t.Errorf("doctor without a run: exit %d:\n%s", exit, out)
	}
}
