package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/iam"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// polled says whether a poll for the phone's answer has been answered.
func polled(f *run.Fleet) bool {
	return slices.ContainsFunc(f.Proxy.Requests(faults.Auth0), func(r faults.Request) bool {
		return r.Form["grant_type"] == "urn:openid:params:grant-type:ciba" && r.Status != 0
	})
}

// TestEveryAccessIsNeeded reads, changes, cancels and signs out, and compares what the functions called with what the fleet
// lets them do: equal, so that no function is given what it does not use.
func TestEveryAccessIsNeeded(t *testing.T) {
	for _, runtime := range []string{"classic", "harness"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			f := start(t, run.Options{AgentRuntime: runtime, PollInterval: time.Second})
			bob := signIn(t, f, "bob@example.com")
			answer(t, bob, "What are my Okta groups?")
			ask := func() chatclient.Approval {
				t.Helper()
				a := answer(t, bob, "Reset the password of dave@example.com")
				if len(a.Approvals) != 1 {
					t.Fatalf("got %+v, want one approval", a)
				}
				return a.Approvals[0]
			}
			changed := ask()
			for begun := time.Now(); !polled(f); time.Sleep(50 * time.Millisecond) { // still pending: the worker puts the message back
				if time.Since(begun) > 20*time.Second {
					t.Fatal("nobody polls for the answer of the phone")
				}
			}
			approve(t, f, bob, changed.ID)
			answer(t, bob, "Did it work?")
			cancelled := ask()
			call := func(method, path string) {
				t.Helper()
				if err := bob.JSON(t.Context(), method, path, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			call(http.MethodPost, "/api/approvals/"+cancelled.ID+"/cancel")
			call(http.MethodGet, "/api/activity")
			call(http.MethodPost, "/logout")

			if diff := cmp.Diff(f.Roles.Permissions(), f.Roles.Calls()); diff != "" {
				t.Errorf("what the functions may do -in the fleet +as called:\n%s", diff)
			}
		})
	}
}

// TestMissingPermissionIsRefused takes one access away: the person hears that it went wrong and gets nothing.
func TestMissingPermissionIsRefused(t *testing.T) {
	without := func(function string, r fleet.Resource) fleet.Fleet {
		changed := fleet.Steward()
		for i, fn := range changed.Functions {
			if fn.Name != function {
				continue
			}
			changed.Functions[i].Access = nil
			for _, a := range fn.Access {
				if a.Resource != r {
					changed.Functions[i].Access = append(changed.Functions[i].Access, a)
				}
			}
		}
		return changed
	}
	t.Run("call", func(t *testing.T) {
		f := start(t, run.Options{Fleet: without(fleet.OktaGroups, fleet.ResourceAuthorizer)})
		a, _ := signIn(t, f, "alice@example.com").Say(t.Context(), "What are my Okta groups?")
		refused := iam.Call{Function: fleet.OktaGroups, Permission: iam.Permission{Action: "lambda:InvokeFunction", Resource: "arn:aws:lambda:us-east-1:000000000000:function:fga-authorizer"}}
		if allowed, called := f.Roles.Calls()[refused]; !called || allowed || strings.Contains(a.Text, "Engineering") {
			t.Errorf("got %q, called %v, allowed %v, want it refused and no groups", a.Text, called, allowed)
		}
	})
	t.Run("event source mapping", func(t *testing.T) {
		_, err := run.Start(t.Context(), run.Options{Bin: bin, Fleet: without(fleet.ApprovalWorker, fleet.ResourceQueue)})
		if err == nil || !strings.Contains(err.Error(), "sqs:ReceiveMessage") {
			t.Errorf("got %v, want to hear what the role lacks", err)
		}
	})
}
