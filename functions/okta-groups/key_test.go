package main

import (
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
)

// A rotation loses nothing and needs no restart: a function that is warm goes on with what was sealed before, and opens what
// others seal with the new key.
func TestRotation(t *testing.T) {
	w := start(t)
	alice := w.SignIn("alice")
	wants(t, w.ask(alice, "list_user_groups"), "", "Engineering")
	w.Rotate("token-key")
	carol := w.SignIn("carol")
	wants(t, w.ask(alice, "list_user_groups"), "", "Engineering")
	wants(t, w.ask(carol, "list_user_groups"), "", "Engineering")
	w.restart()
	wants(t, w.ask(alice, "list_user_groups"), "", "Engineering")
}

// There is no default key. Where none is named the function does not start, and under one that is no key nothing is
// exchanged and nothing read: the fault is ours, and says so.
func TestNoReadWithoutAKey(t *testing.T) {
	for key, says := range pipelinetest.BadKeys {
		t.Run(key, func(t *testing.T) {
			w := start(t)
			alice := w.SignIn("alice")
			w.UseKey(key)
			w.restart()
			wants(t, w.ask(alice, "list_user_groups"), "internal", says)
			if calls := append(w.ToAuth0.Calls(), w.ToOkta.Calls()...); len(calls) != 0 {
				t.Errorf("it called %q", calls)
			}
			w.UseKey("token-key") // the fault is mended, and nothing else is wrong
			w.restart()
			wants(t, w.ask(alice, "list_user_groups"), "", "Engineering")
		})
	}
	w := start(t)
	delete(w.Env, "TOKEN_KEY_SECRET_ARN")
	if _, err := parseConfig(w.Lookup); err == nil || !strings.Contains(err.Error(), "TOKEN_KEY_SECRET_ARN: ") {
		t.Errorf("without the setting: %v", err)
	}
}
