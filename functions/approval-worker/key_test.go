package main

import (
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
)

// There is no default key. Where none is named the worker does not start, and under one that is no key it neither asks how a
// push stands nor carries anything out. The message comes back, so that a key in time is in time for the change.
func TestWithoutAKeyNothingIsCarriedOut(t *testing.T) {
	for key := range pipelinetest.BadKeys {
		t.Run(key, func(t *testing.T) {
			w := start(t)
			a := suspend().asked(w)
			w.Decide("frank", "approve")
			w.Forget()
			w.UseKey(key)
			w.restart()
			w.Forward(7 * time.Second)
			if w.Deliver(t.Context(), w.Handle) == 0 || w.Approval(a).Status != approval.Pending || !w.Logged(`"kind":"internal"`) {
				t.Errorf("it is %s, and the log does not say that the fault is ours", w.Approval(a).Status)
			}
			if calls := append(w.ToAuth0.Calls(), w.ToOkta.Calls()...); len(calls) != 0 {
				t.Errorf("it called %q", calls)
			}
			w.UseKey("token-key")
			w.restart()
			w.ends(a, approval.Done, "")
		})
	}
	w := start(t)
	delete(w.Env, "TOKEN_KEY_SECRET_ARN")
	if _, err := parseConfig(w.Lookup); err == nil || !strings.Contains(err.Error(), "TOKEN_KEY_SECRET_ARN: ") {
		t.Errorf("without the setting: %v", err)
	}
}
