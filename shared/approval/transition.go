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
	// ErrNoTransition means that the state or the time does not allow the transition.
	ErrNoTransition = errors.New("approval: there is no such transition")
	// ErrStale means that another process stored a transition first.
	ErrStale = errors.New("approval: it has changed since it was read")
)

// Transition is one change of state: the approval that was read, and the one that replaces it. The methods of [Approval] make
// transitions, each after checking its guard. A store writes a transition only if the stored approval is still the one that was
// read, and otherwise returns [ErrStale].
type Transition struct{ before, after Approval }

// Before returns the approval that was read.
func (t Transition) Before() Approval { return t.before }

// After returns the approval that is stored.
func (t Transition) After() Approval { return t.after }

// to makes a transition to another state. ChangedAt is now, or at least a millisecond after the last transition, so that the
// audit entries of two states are sorted in their order.
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
		t.after.AuthReqID = nil // not needed any more
	}
	return t
}

// Approve is the transition after the person approved on the phone, with the keyed hash that proves it. After the deadline it is
// ErrNoTransition.
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

// Deny is the transition after the person denied on the phone.
func (a Approval) Deny(now time.Time) (Transition, error) { return a.to(Denied, now) }

// Expire is the transition after the time to answer, by our clock or by Auth0's.
func (a Approval) Expire(now time.Time) (Transition, error) { return a.to(Expired, now) }

// Reason is the reason of a cancellation, as a sentence for the person.
type Reason string

// The reasons.
const (
	ByHand    Reason = "You cancelled it. Ignore the request on your phone."
	SignedOut Reason = "You signed out before I began. Nothing has changed."
)

// Cancel is the transition for a change that has not started.
func (a Approval) Cancel(now time.Time, reason Reason) (Transition, error) {
	t, err := a.to(Cancelled, now)
	t.after.Result, t.after.SignedOut = string(reason), reason == SignedOut
	return t, err
}

// Outcome is stored with the final state of an approval.
type Outcome struct {
	Result        string           // one sentence for the person
	Permission    audit.Permission // set if the change was not allowed, or that could not be checked
	OktaRequestID string           // of Okta's answer, "" if there was none
}

func (t Transition) with(o Outcome) Transition {
	t.after.Result, t.after.Permission, t.after.OktaRequestID = o.Result, o.Permission, o.OktaRequestID
	return t
}

// Fail is the transition to Failed of a change that has not started.
func (a Approval) Fail(now time.Time, o Outcome) (Transition, error) {
	if a.Status == Executing {
		return Transition{}, fmt.Errorf("%w: it was begun, so its end is one of Finish", ErrNoTransition)
	}
	t, err := a.to(Failed, now)
	return t.with(o), err
}

// Claim reserves an approved change for one worker, until the lease is over. It also takes over a change whose lease is over, as
// its worker has crashed. Without the keyed hash that proves the approval it is ErrNoTransition.
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

// Finish is the transition of a started change to [Done], [Failed] or [Unknown].
func (a Approval) Finish(now time.Time, status Status, o Outcome) (Transition, error) {
	if a.Status != Executing {
		return Transition{}, fmt.Errorf("%w: %s to %s", ErrNoTransition, a.Status, status)
	}
	t, err := a.to(status, now)
	return t.with(o), err
}

// SaveRequest stores Auth0's answer to a push: the sealed auth_req_id, the interval between polls, and when the request expires
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

// AcquirePoll reserves the next poll for one worker until the interval is over. The state stays [Pending].
func (a Approval) AcquirePoll(now time.Time) (Transition, error) {
	if now.Before(a.PollAt) {
		return Transition{}, fmt.Errorf("%w: polled before the interval is over", ErrNoTransition)
	}
	return a.SlowDown(now, a.Interval)
}

// SlowDown sets the interval for the next polls, after Auth0 answered slow_down (CIBA Core, section 11).
func (a Approval) SlowDown(now time.Time, interval time.Duration) (Transition, error) {
	if a.Status != Pending || len(a.AuthReqID) == 0 {
		return Transition{}, fmt.Errorf("%w: a poll of what is %s, or was not sent", ErrNoTransition, a.Status)
	}
	t := Transition{before: a, after: a}
	t.after.PollAt, t.after.Interval = now.Add(interval), interval
	return t, nil
}
