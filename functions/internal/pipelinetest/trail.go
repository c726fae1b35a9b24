package pipelinetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/session"
)

// WantTrail compares whole entries. Who, when and through what is filled in from the entry that is there, after it has been held
// to what every entry must have; so are Okta's request id and the reference where none is wanted. No args and empty args are one.
func WantTrail(t testing.TB, got []audit.Entry, want ...audit.Entry) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], &want[i]
		if g.ID == "" || g.At.IsZero() || g.Subject == "" || len(g.Session) != 16 || g.Front == "" {
			t.Errorf("entry %d lacks id, time, subject, session or front: %+v", i, g)
		}
		w.ID, w.At, w.Subject, w.Session = g.ID, g.At, g.Subject, g.Session
		if w.Front == "" {
			w.Front = session.FrontChat
		}
		if w.Reference == "" {
			w.Reference = g.Reference
		}
		if w.OktaRequestID == "" {
			w.OktaRequestID = g.OktaRequestID
		}
		if needs := g.Result == "upstream" || g.Result == "internal"; (g.Reference != "") != needs {
			t.Errorf("entry %d has the result %q and the reference %q", i, g.Result, g.Reference)
		}
	}
	options := cmp.Options{cmpopts.IgnoreUnexported(audit.Entry{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })}
	if d := cmp.Diff(want, got, options); d != "" {
		t.Errorf("trail (-want +got):\n%s", d)
	}
}
