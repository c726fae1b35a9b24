// Package e2e tests whole flows against the laptop run: the shipped binaries, the real OpenFGA, the fakes, and a real
// browser in front of them. Every test starts a fleet of its own on free ports; all share one build of the functions
// and one Chromium.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
)

var bin string // of the functions

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "steward-e2e-")
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
	stopBrowser()
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
			t.Logf("the functions logged:\n%s", f.Lambda.Logs())
		}
	})
	return f
}

func signIn(t *testing.T, f *run.Fleet, email string) *chatclient.Client {
	t.Helper()
	v, err := chatclient.SignIn(t.Context(), f.ChatURL, email)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// answer is what the agent answers, which must be without errors.
func answer(t *testing.T, v *chatclient.Client, message string) chatclient.Answer {
	t.Helper()
	a, err := v.Say(t.Context(), message)
	if err != nil || len(a.Errors) > 0 {
		t.Fatalf("%s: got %+v, %v", message, a, err)
	}
	return a
}

// say is the text of an answer, errors included.
func say(t *testing.T, v *chatclient.Client, message string) string {
	t.Helper()
	a, err := v.Say(t.Context(), message)
	if err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	return a.Text + strings.Join(a.Errors, " ")
}

// approve approves the newest push, and waits until the change is done.
func approve(t *testing.T, f *run.Fleet, v *chatclient.Client, id string) {
	t.Helper()
	pushes := f.Tenant.Pushes()
	if err := f.Tenant.Decide(pushes[len(pushes)-1].ID, "approve"); err != nil {
		t.Fatal(err)
	}
	if end, err := v.Await(t.Context(), id); err != nil || end.Status != "done" {
		t.Fatalf("got %+v, %v, want it done", end, err)
	}
}

// post sends JSON and returns the answer, which must be a success.
func post(t *testing.T, url string, header map[string]string, in any) []byte {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("POST %s: got %d %s, %v", url, res.StatusCode, out, err)
	}
	return out
}

// tuple is a grant as OpenFGA's HTTP API writes it.
func tuple(user, relation, object string) map[string]string {
	return map[string]string{"user": user, "relation": relation, "object": object}
}

// change writes to the store, or deletes from it, over OpenFGA's own HTTP API; what is "writes" or "deletes".
func change(t *testing.T, f *run.Fleet, what string, tuples ...map[string]string) {
	t.Helper()
	post(t, f.FGAURL+"/stores/"+f.OpenFGA.StoreID+"/write", nil, map[string]any{what: map[string]any{"tuple_keys": tuples}})
}
