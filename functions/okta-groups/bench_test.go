package main

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
)

// A repeated read as the function sees it, its world at its heels in this process: what is left when nobody takes time.
func BenchmarkRead(b *testing.B) {
	w := start(b)
	w.restartLoggingTo(slog.New(slog.DiscardHandler))
	alice := w.SignIn("alice")
	payload, err := json.Marshal(pipelinetest.Event(alice, "list_user_groups"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Handle(b.Context(), payload); err != nil {
			b.Fatal(err)
		}
	}
}
