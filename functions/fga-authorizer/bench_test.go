package main

import (
	"log/slog"
	"strings"
	"testing"
)

// One question from payload to answer, OpenFGA in this process: what is left when nobody takes time.
func BenchmarkCheck(b *testing.B) {
	invoke, _, log := function(b, slog.LevelInfo)
	payload := fixture(b, "one.json")
	b.ReportAllocs()
	for b.Loop() {
		if got := invoke(payload); !strings.Contains(got, `"allowed"`) {
			b.Fatal(got)
		}
		log.Reset()
	}
}
