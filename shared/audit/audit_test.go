package audit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/audit"
)

func TestIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	ids := []string{
		audit.NewID(time.UnixMilli(1)), audit.NewID(at), audit.IDOf(at.Add(time.Millisecond), "x"), audit.NewID(at.Add(time.Hour)), audit.NewID(at.AddDate(200, 0, 0)),
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order: %q", ids)
	}
	for _, id := range ids {
		if len(id) != 29 {
			t.Errorf("%q has %d characters", id, len(id))
		}
	}
	if first, second := audit.NewID(at), audit.NewID(at); first == second {
		t.Error("two ids of one moment are the same")
	}
	same := audit.IDOf(at.Add(300*time.Microsecond), "x")
	if same != audit.IDOf(at, "x") || same == audit.IDOf(at, "y") || same == audit.IDOf(at.Add(time.Millisecond), "x") {
		t.Error("the id of a thing and moment is not that of both")
	}
}
