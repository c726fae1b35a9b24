package main

import (
	"testing"

	"github.com/steward-iam/steward/shared/approval"
)

// A permission that was just taken away is gone: the last question before a change skips every cache.
func TestThePermissionIsCheckedWithoutCaches(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	w.Decide("frank", "approve")
	w.ends(a, approval.Done, "")
	calls := w.FGA.Calls()
	if len(calls) == 0 {
		t.Fatal("nothing was asked")
	}
	for _, c := range calls {
		if c.Consistency != "HIGHER_CONSISTENCY" {
			t.Errorf("asked %+v", c)
		}
	}
}
