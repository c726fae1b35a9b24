package approval

import (
	"errors"

	"github.com/steward-iam/steward/shared/audit"
)

// act returns the part that all audit entries of a share.
func (a Approval) act() audit.Act {
	return audit.Act{
		Subject: a.Owner, Front: a.Front, Session: a.SessionID, Operation: a.Operation, Object: a.Target.Recorded(), Member: a.Member.Recorded(), Args: a.Args,
		ApprovalID: a.ID, Reason: a.Reason,
	}
}

// DecisionID returns the id of the entry that [Approval.RequestEntry] makes.
func (a Approval) DecisionID() string { return audit.IDOf(a.CreatedAt, a.ID+"#asked") }

// RequestEntry returns the decision entry of a change that was allowed and requested. It is written before the phone is asked.
func (a Approval) RequestEntry() (audit.Entry, error) {
	return audit.New(a.CreatedAt, a.act(), audit.Details{ID: a.DecisionID(), Kind: audit.Decision, Permission: audit.Allowed})
}

// results are the recorded states and the result of each.
var results = map[Status]audit.Result{
	Approved: audit.Approved, Done: audit.Done, Failed: audit.Failed, Unknown: audit.Unknown,
	Denied: audit.Refused, Expired: audit.Expired, Cancelled: audit.Cancelled,
}

// ErrNotRecorded means that a state has no entry.
var ErrNotRecorded = errors.New("approval: there is no entry of this state")

// StateEntry returns the entry of the state of a: approved, or one of the final states. It depends on the stored approval alone,
// including id and time, so that a state that is recorded several times has one entry.
func (a Approval) StateEntry() (audit.Entry, error) {
	result, ok := results[a.Status]
	if !ok {
		return audit.Entry{}, ErrNotRecorded
	}
	details := audit.Details{
		ID: audit.IDOf(a.ChangedAt, a.ID+"#"+string(a.Status)), Kind: audit.Outcome, Permission: audit.Allowed, Result: result,
		DecisionID: a.DecisionID(), OktaRequestID: a.OktaRequestID,
	}
	if a.Status == Approved {
		details.Kind = audit.Decision
	}
	if a.Status == Cancelled && a.SignedOut {
		details.Result = audit.SignedOut
	}
	if a.Permission != "" {
		details.Permission = a.Permission
	}
	return audit.New(a.ChangedAt, a.act(), details)
}
