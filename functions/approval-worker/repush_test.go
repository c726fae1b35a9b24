package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
)

// The answer of the phone is lost, so the person is asked once more, and in the middle of that the worker is killed: at each
// call it makes, before the call gets out and after it was taken but not answered. Whatever is on the phone then, only the
// answer to a push that is on record counts, there is one outcome, and the phone does not ring more often than it may.
func TestAWorkerKilledAtTheSecondPushMakesOneChange(t *testing.T) {
	for decision, want := range map[string]struct {
		status approval.Status
		times  int
		trail  map[string]int
	}{
		"approve": {approval.Done, 1, map[string]int{"decision approved": 1, "outcome done": 1}},
		"deny":    {approval.Denied, 0, map[string]int{"outcome refused": 1}},
		"":        {approval.Expired, 0, map[string]int{"outcome expired": 1}}, // nobody answers
	} {
		t.Run("then "+decision, func(t *testing.T) {
			for n, last := 1, false; !last; n++ {
				for _, after := range []bool{false, true}[min(n-1, 1):] {
					w := start(t)
					a := suspend().asked(w)
					w.Decide("frank", "approve")
					w.ToAuth0.Fail(pipelinetest.Fault{Match: "/oauth/token", Times: 1, Reset: true, After: true})
					for range 2 { // the answer is lost, and found to be lost
						w.Forward(11 * time.Second)
						w.Deliver(t.Context(), w.Handle)
					}
					w.restart()
					w.Forward(11 * time.Second)
					ctx := w.KillAt(n, after)
					w.Deliver(ctx, w.Handle)
					made, killed := w.Revive()
					if last = !killed; last {
						if !slices.Contains(made, "POST /bc-authorize") {
							t.Fatalf("nobody was asked again: %q", made)
						}
						break
					}
					w.restart()
					a = w.Settle(w.Handle, a, func() {
						for _, p := range w.Pushes("frank") {
							if p.Status == "pending" && decision != "" {
								_ = w.Auth0.Decide(p.ID, decision)
							}
						}
					})
					w.Drain(w.Handle)
					where := fmt.Sprintf("killed at call %d (%s), after: %t", n, made[len(made)-1], after)
					if a.Status != want.status || suspend().times(w) != want.times {
						t.Errorf("%s: ended as %s (%s), it happened %d times", where, a.Status, a.Result, suspend().times(w))
					}
					if want.times == 0 {
						w.nothingHappens()
					}
					if pushes := len(w.Pushes("frank")); pushes < 2 || pushes > maxPushes {
						t.Errorf("%s: %d pushes, want 2 to %d", where, pushes, maxPushes)
					}
					trail := w.recorded()
					if !maps.Equal(trail, want.trail) {
						t.Errorf("%s: trail %v, want %v", where, trail, want.trail)
					}
				}
			}
		})
	}
}
