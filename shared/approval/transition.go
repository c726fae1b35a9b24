package approval

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-iam/steward/shared/audit"
)

// transitions are the states that can follow each state.
var transitions = map[Status][]Status{
	Pending:   {Approved, Denied, Expired, Failed, Cancelled},
	Approved:  {Executing, Failed, Cancelled},
	Executing: {Done, Failed, Unknown},
}

// Can reports whether the state machine has a transition from s to next.
func (s Status) Can(next Status) bool { return slices.Contains(transitions[s], next) }

// Final reports whether nothing can follow s.
func (s Status) Final() bool { return len(transitions[s]) == 0 }

var (
	// ErrNoTransition says that the approval is in a state, or the time is one, in which the transition cannot be made.
	ErrNoTransition = errors.New("approval: there is no such transition")
	// ErrStale says that another process made a transition first: the stored approval is not the one that was read.
	ErrStale = errors.New("approval: it has changed since it was read")
)

// Transition is one step in the life of an approval: what was read, and what is to be stored in its place. The methods of
// [Approval] make transitions, each after checking its guard; a store writes one on condition that the stored approval is still
// the one that was read, and answers [ErrStale] otherwise.
type Transition struct{ before, after Approval }

// Before is the approval as it was read.
func (t Transition) Before() Approval { return t.before }

// After is the approval as it is once the transition is stored.
func (t Transition) After() Approval { return t.after }

// to begins a transition to another state. ChangedAt is now, or the millisecond after the last transition where the clock has not
// moved on since, so that the audit entries of two states sort in their order.
func (a Approval) to(next Status, now time.Time) (Transition, error) {
	if !a.Status.Can(next) {
		return Transition{}, fmt.Errorf("%w: %s to %s", ErrNoTransition, a.Status, next)
	}
	return a.changed(next, now), nil
}

func (a Approval) changed(next Status, now time.Time) Transition {
	t := Transition{before: a, after: a}
	t.after.Status, t.after.ChangedAt = next, now.Truncate(time.Millisecond)
	if earliest := a.ChangedAt.Truncate(time.Millisecond).Add(time.Millisecond); t.after.ChangedAt.Before(earliest) {
		t.after.ChangedAt = earliest
	}
	if next != Executing {
		t.after.AuthReqID = nil // used up: nothing is kept that could be asked again
	}
	return t
}

// Approve is the transition after the person approved on the phone, with the keyed hash that proves it. An approval that comes
// after the deadline is refused.
func (a Approval) Approve(now time.Time, key Marker) (Transition, error) {
	t, err := a.to(Approved, now)
	if err != nil {
		return t, err
	}
	if a.Overdue(now) {
		return Transition{}, fmt.Errorf("%w: approved after the deadline", ErrNoTransition)
	}
	if t.after.ApprovedMAC, err = key.Mark(markApproved, a.Digest); err != nil {
		return Transition{}, fmt.Errorf("mark approval: %w", err)
	}
	return t, nil
}

// Deny is the transition after the person said no on the phone.
func (a Approval) Deny(now time.Time) (Transition, error) { return a.to(Denied, now) }

// Expire is the transition when nobody answered in time, by our clock or by Auth0's.
func (a Approval) Expire(now time.Time) (Transition, error) { return a.to(Expired, now) }

// Reason says why an approval is cancelled.
type Reason string

// The reasons.
const (
	ByHand    Reason = "You cancelled it. Ignore the request on your phone."
	SignedOut Reason = "You signed out before I began. Nothing has changed."
)

// Cancel takes an approval back that nobody has begun to carry out.
func (a Approval) Cancel(now time.Time, reason Reason) (Transition, error) {
	t, err := a.to(Cancelled, now)
	t.after.Result, t.after.SignedOut = string(reason), reason == SignedOut
	return t, err
}

// Outcome is what is stored about the end of an approval.
type Outcome struct {
	Result        string           // one sentence for the person
	Permission    audit.Permission // where the end is that it was not allowed, or could not be checked; else ""
	OktaRequestID string           // of Okta's answer, where there was one
}

func (t Transition) with(o Outcome) Transition {
	t.after.Result, t.after.Permission, t.after.OktaRequestID = o.Result, o.Permission, o.OktaRequestID
	return t
}

// Fail ends an approval of which nothing was begun.
func (a Approval) Fail(now time.Time, o Outcome) (Transition, error) {
	if a.Status == Executing {
		return Transition{}, fmt.Errorf("%w: it was begun, so its end is one of Finish", ErrNoTransition)
	}
	t, err := a.to(Failed, now)
	return t.with(o), err
}

// Claim takes an approved change for execution, until the lease is over. It also takes over a change whose lease is over, which
// means that the worker that held it crashed. Without the keyed hash that proves the approval there is no claim.
func (a Approval) Claim(now time.Time, lease time.Duration) (Transition, error) {
	switch {
	case len(a.ApprovedMAC) == 0:
		return Transition{}, fmt.Errorf("%w: nothing proves that it was approved", ErrNoTransition)
	case a.Status == Executing && now.Before(a.ClaimedUntil):
		return Transition{}, fmt.Errorf("%w: another worker holds it", ErrNoTransition)
	case a.Status != Approved && a.Status != Executing:
		return Transition{}, fmt.Errorf("%w: %s to %s", ErrNoTransition, a.Status, Executing)
	}
	t := a.changed(Executing, now)
	t.after.ClaimedUntil = now.Add(lease)
	return t, nil
}

// Finish ends a change that was begun: as [Done], [Failed] or [Unknown].
func (a Approval) Finish(now time.Time, status Status, o Outcome) (Transition, error) {
	if a.Status != Executing {
		return Transition{}, fmt.Errorf("%w: %s to %s", ErrNoTransition, a.Status, status)
	}
	t, err := a.to(status, now)
	return t.with(o), err
}

// SaveRequest keeps what Auth0 answered to a push: the sealed auth_req_id, the interval between polls, and when the request expires
// at Auth0, which may be before the approval does. The state stays [Pending].
func (a Approval) SaveRequest(sealed []byte, interval time.Duration, expires time.Time) (Transition, error) {
	if a.Status != Pending {
		return Transition{}, fmt.Errorf("%w: a push for what is %s", ErrNoTransition, a.Status)
	}
	t := Transition{before: a, after: a}
	t.after.AuthReqID, t.after.Interval, t.after.RequestExpiresAt = sealed, interval, expires
	t.after.Pushes++
	return t, nil
}

// AcquirePoll reserves the next poll for one worker, and lets no other poll until the interval is over. The state stays [Pending].
func (a Approval) AcquirePoll(now time.Time) (Transition, error) {
	if now.Before(a.PollAt) {
		return Transition{}, fmt.Errorf("%w: polled before the interval is over", ErrNoTransition)
	}
	return a.SlowDown(now, a.Interval)
}

// SlowDown sets the interval for this and every later poll, as Auth0 asked the worker that has just polled (CIBA Core, section 11).
func (a Approval) SlowDown(now time.Time, interval time.Duration) (Transition, error) {
	if a.Status != Pending || len(a.AuthReqID) == 0 {
		return Transition{}, fmt.Errorf("%w: a poll of what is %s, or was not sent", ErrNoTransition, a.Status)
	}
	t := Transition{before: a, after: a}
	t.after.PollAt, t.after.Interval = now.Add(interval), interval
	return t, nil
}
