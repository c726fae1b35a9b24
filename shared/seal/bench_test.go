package seal_test

import (
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
)

// A token of some two kilobytes is opened at every call to Okta.
func BenchmarkOpen(b *testing.B) {
	sealer, err := seal.New(seal.GenerateKey())
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := sealer.Seal(secret.New(strings.Repeat("t", 2000)), "session-1", "owner-1", "okta_token")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sealer.Open(sealed, "session-1", "owner-1", "okta_token"); err != nil {
			b.Fatal(err)
		}
	}
}
