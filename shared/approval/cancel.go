package approval

import (
	"context"
	"errors"
	"time"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// Store reads approvals and stores transitions.
type Store interface {
	Approval(ctx context.Context, id session.ID, approvalID string) (Approval, error)
	Transition(ctx context.Context, t Transition) (Approval, error)
}

// Cancel cancels an approval from a list, records that, and returns the cancelled approval. The approval is read again first, as
// lists may be stale. Errors: fault.NotFound if it is not an approval of the same person, fault.Conflict if it is already decided
// or cancelled, fault.Upstream if it is cancelled but not recorded.
func Cancel(ctx context.Context, store Store, trail audit.Recorder, listed Approval, reason Reason, now time.Time) (Approval, error) {
	a, err := store.Approval(ctx, listed.SessionID, listed.ID)
	if err != nil {
		return a, err
	}
	if a.Owner == "" || a.Owner != listed.Owner {
		return a, fault.New(fault.NotFound, "There is no such approval.", errors.New("approval of somebody else"))
	}
	if a.Status == Cancelled { // by an earlier call, which may have failed to record it
		return a, errors.Join(fault.New(fault.Conflict, "This is already cancelled.", nil), recordCancelled(ctx, trail, a))
	}
	t, err := a.Cancel(now, reason)
	if err == nil {
		a, err = store.Transition(ctx, t)
	}
	if errors.Is(err, ErrNoTransition) || errors.Is(err, ErrStale) {
		return a, fault.New(fault.Conflict, "It is too late to cancel this: it is already decided.", err)
	}
	if err != nil {
		return a, err
	}
	return a, recordCancelled(ctx, trail, a)
}

// recordCancelled adds the entry of a cancelled approval, with a second try. An entry that is added twice is stored once.
func recordCancelled(ctx context.Context, trail audit.Recorder, a Approval) error {
	e, err := a.StateEntry()
	if err != nil {
		return err
	}
	if trail.Add(ctx, e) == nil {
		return nil
	}
	if err := trail.Add(ctx, e); err != nil {
		return fault.New(fault.Upstream, "It is cancelled, but I could not write that to your activity.", err)
	}
	return nil
}
