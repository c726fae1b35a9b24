package approval

import (
	"errors"

	"github.com/steward-iam/steward/shared/audit"
)

// act is what all audit entries of a share.
func (a Approval) act() audit.Act {
	return audit.Act{
		Subject: a.Owner, Front: a.Front, Session: a.SessionID, Operation: a.Operation, Object: a.Target.Recorded(), Member: a.Member.Recorded(), Args: a.Args,
		ApprovalID: a.ID, Reason: a.Reason,
	}
}

// DecisionID is the id of the audit entry which says that the change was allowed and asked for.
func (a Approval) DecisionID() string { return audit.IDOf(a.CreatedAt, a.ID+"#asked") }

// Asked is the decision entry of a change that was allowed, written before the phone is asked.
func (a Approval) Asked() (audit.Entry, error) {
	return audit.New(a.CreatedAt, a.act(), audit.Details{ID: a.DecisionID(), Kind: audit.Decision, Permission: audit.Allowed})
}

// results are the states that are recorded, and what an entry says of each.
var results = map[Status]audit.Result{
	Approved: audit.Approved, Done: audit.Done, Failed: audit.Failed, Unknown: audit.Unknown,
	Denied: audit.Refused, Expired: audit.Expired, Cancelled: audit.Cancelled,
}

// ErrNotRecorded says that a state has no entry of its own.
var ErrNotRecorded = errors.New("approval: there is no entry of this state")

// Settled is the entry of the state that a is in: approved, or one of the ends. It follows from the stored approval alone, id and
// time included: whoever records the state, and however often, there is one entry of it.
func (a Approval) Settled() (audit.Entry, error) {
	result, ok := results[a.Status]
	if !ok {
		return audit.Entry{}, ErrNotRecorded
	}
	known := audit.Details{
		ID: audit.IDOf(a.ChangedAt, a.ID+"#"+string(a.Status)), Kind: audit.Outcome, Permission: audit.Allowed, Result: result,
		DecisionID: a.DecisionID(), OktaRequestID: a.OktaRequestID,
	}
	if a.Status == Approved {
		known.Kind = audit.Decision
	}
	if a.Status == Cancelled && a.SignedOut {
		known.Result = audit.SignedOut
	}
	if a.Permission != "" {
		known.Permission = a.Permission
	}
	return audit.New(a.ChangedAt, a.act(), known)
}
