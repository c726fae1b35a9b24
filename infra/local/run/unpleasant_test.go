package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// TestUnpleasant tells the everyday story to fakes that throttle, page small, deliver twice and read stale.
func TestUnpleasant(t *testing.T) {
	for seed := range uint64(2) {
		f := start(t, run.Options{Seed: seed + 1, PollInterval: time.Second})
		bob := signIn(t, f, "bob")
		if a := say(t, bob, "What are my Okta groups?"); !strings.Contains(a.Text, "Support") {
			t.Errorf("seed %d: got %q, want bob's groups", seed+1, a.Text)
		}
		a := say(t, bob, "Reset the password of dave@example.com")
		if len(f.Tenant.Pushes()) == 0 { // the seed had a 429 for the push
			if n := f.Org.MailCount(oktatest.Dave, oktatest.MailResetPassword); n != 0 || len(a.Approvals) != 1 || a.Approvals[0].Status != "failed" {
				t.Errorf("seed %d: got %q, %+v and %d mails without a push", seed+1, a.Text, a.Approvals, n)
			}
			continue
		}
		if err := f.Tenant.Decide(f.Tenant.Pushes()[0].ID, "approve"); err != nil {
			t.Fatal(err)
		}
		end, err := bob.Await(t.Context(), a.Approvals[0].ID)
		if n := f.Org.MailCount(oktatest.Dave, oktatest.MailResetPassword); err != nil || end.Status != "done" || n != 1 {
			t.Errorf("seed %d: got %+v, %v and %d mails, want it done once", seed+1, end, err, n)
		}
	}
}
