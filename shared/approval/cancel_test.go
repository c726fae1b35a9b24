package approval_test

import (
	"context"
	"errors"
	"testing"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// store holds one approval, and may say that it has changed since.
type store struct {
	held  approval.Approval
	stale bool
}

func (s *store) Approval(context.Context, session.ID, string) (approval.Approval, error) {
	return s.held, nil
}

func (s *store) Transition(_ context.Context, t approval.Transition) (approval.Approval, error) {
	if s.stale {
		return approval.Approval{}, approval.ErrStale
	}
	s.held = t.After()
	return s.held, nil
}

// trail refuses as many entries as fail says, and keeps the others.
type trail struct {
	fail    int
	entries []audit.Entry
}

func (t *trail) Add(_ context.Context, e audit.Entry) error {
	if t.fail--; t.fail >= 0 {
		return errors.New("throttled")
	}
	t.entries = append(t.entries, e)
	return nil
}

func TestCancelRecordsWhatItCancelsAndNothingElse(t *testing.T) {
	for name, tc := range map[string]struct {
		status   approval.Status
		owner    session.Subject // of the stored approval, where it is another
		stale    bool
		fail     int
		kind     fault.Kind
		recorded audit.Result
		reason   approval.Reason
	}{
		"pending":                        {status: approval.Pending, recorded: audit.Cancelled, reason: approval.ByHand},
		"approved, signed out":           {status: approval.Approved, recorded: audit.SignedOut, reason: approval.SignedOut},
		"begun":                          {status: approval.Executing, kind: fault.Conflict},
		"done":                           {status: approval.Done, kind: fault.Conflict},
		"changed since it was read":      {status: approval.Pending, stale: true, kind: fault.Conflict},
		"of somebody else":               {status: approval.Pending, owner: "another", kind: fault.NotFound},
		"cancelled before":               {status: approval.Cancelled, kind: fault.Conflict, recorded: audit.Cancelled},
		"recorded with the second try":   {status: approval.Pending, fail: 1, recorded: audit.Cancelled, reason: approval.ByHand},
		"not recorded with either try":   {status: approval.Pending, fail: 2, kind: fault.Upstream, reason: approval.ByHand},
		"cancelled before, not recorded": {status: approval.Cancelled, fail: 2, kind: fault.Conflict},
	} {
		listed := sample()
		stored := listed
		stored.Status, stored.ChangedAt = tc.status, at
		if tc.owner != "" {
			stored.Owner = tc.owner
		}
		s, log := &store{held: stored, stale: tc.stale}, &trail{fail: tc.fail}
		a, err := approval.Cancel(t.Context(), s, log, listed, tc.reason, at)
		if fault.KindOf(err) != tc.kind {
			t.Errorf("%s: got %v, want kind %q", name, err, tc.kind)
		}
		if tc.reason != "" && (a.Status != approval.Cancelled || a.Result != string(tc.reason) || s.held.Status != approval.Cancelled) {
			t.Errorf("%s: it is %s (%s)", name, a.Status, a.Result)
		}
		var recorded audit.Result
		for _, e := range log.entries {
			recorded += e.Result
		}
		if recorded != tc.recorded {
			t.Errorf("%s: recorded %+v, want %q", name, log.entries, tc.recorded)
		}
	}
}
