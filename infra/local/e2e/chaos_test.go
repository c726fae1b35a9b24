package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// TestReadsAndChangesWorkUnderChaos reads and changes while the fakes throttle, page small, deliver twice and answer stale reads.
func TestReadsAndChangesWorkUnderChaos(t *testing.T) {
	for seed := range uint64(2) {
		f := start(t, run.Options{Chaos: seed + 1, PollInterval: time.Second})
		bob := signIn(t, f, "bob@example.com")
		if a := answer(t, bob, "What are my Okta groups?"); !strings.Contains(a.Text, "Support") {
			t.Errorf("seed %d: got %q, want bob's groups", seed+1, a.Text)
		}
		a := answer(t, bob, "Reset the password of dave@example.com")
		if len(f.Tenant.Pushes()) == 0 { // the seed had a 429 for the push
			if n := f.Org.MailCount(oktatest.Dave, oktatest.MailResetPassword); n != 0 || len(a.Approvals) != 1 || a.Approvals[0].Status != "failed" {
				t.Errorf("seed %d: got %q, %+v and %d mails without a push", seed+1, a.Text, a.Approvals, n)
			}
			continue
		}
		approve(t, f, bob, a.Approvals[0].ID)
		if n := f.Org.MailCount(oktatest.Dave, oktatest.MailResetPassword); n != 1 {
			t.Errorf("seed %d: dave got %d mails, want 1", seed+1, n)
		}
	}
}
