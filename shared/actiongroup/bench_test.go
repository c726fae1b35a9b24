package actiongroup_test

import (
	"os"
	"testing"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
)

// An event is decoded and held against the catalogue before anything else is done.
func BenchmarkCall(b *testing.B) {
	payload, err := os.ReadFile("testdata/event.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := actiongroup.Decode(payload)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Call(catalogue.GroupOkta); err != nil {
			b.Fatal(err)
		}
	}
}
