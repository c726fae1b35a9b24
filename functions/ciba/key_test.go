package main

import (
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
)

// There is no default key. Where none is named the function does not start, and under one that is no key no phone rings:
// the fault is ours, and says so.
func TestNoPushWithoutAKey(t *testing.T) {
	for key, says := range pipelinetest.BadKeys {
		t.Run(key, func(t *testing.T) {
			w := start(t)
			frank := w.SignIn("frank")
			w.UseKey(key)
			w.restart()
			wants(t, w.ask(frank, "manage_user", "action", "suspend", "user", "dave"), "internal", says)
			w.nothingAsked("frank")
			if calls := append(w.ToAuth0.Calls(), w.ToOkta.Calls()...); len(calls) != 0 {
				t.Errorf("it called %q", calls)
			}
		})
	}
	w := start(t)
	delete(w.Env, "TOKEN_KEY_SECRET_ARN")
	if _, err := parseConfig(w.Lookup); err == nil || !strings.Contains(err.Error(), "TOKEN_KEY_SECRET_ARN: ") {
		t.Errorf("without the setting: %v", err)
	}
}
