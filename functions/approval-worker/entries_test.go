package main

import (
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// entry is what the trail is to say of a state that an approval reached.
func entry(a approval.Approval, result audit.Result) audit.Entry {
	e := audit.Entry{
		Kind: audit.Outcome, Permission: audit.Allowed, Result: result, Operation: a.Operation, Object: a.Target.Recorded(), Member: a.Member.Recorded(),
		Args: a.Args, ApprovalID: a.ID, DecisionID: a.DecisionID(), OktaRequestID: a.OktaRequestID,
	}
	if result == audit.Approved {
		e.Kind, e.OktaRequestID = audit.Decision, ""
	}
	return e
}

// Every operation, in everything that can become of it after it was asked for, leaves whole entries. Crashes and lost answers are in
// TestAKilledWorkerMakesOneChange and TestALostAnswerOfAWSChangesNothing.
func TestEveryEndOfAChangeIsRecorded(t *testing.T) {
	for _, c := range changes() {
		for name, tc := range map[string]struct {
			decide    string
			meanwhile func(*world, approval.Approval)
			status    approval.Status
			want      func(a approval.Approval) []audit.Entry
		}{
			"refused on the phone": {"deny", nil, approval.Denied, func(a approval.Approval) []audit.Entry { return []audit.Entry{entry(a, audit.Refused)} }},
			"expired":              {"", nil, approval.Expired, func(a approval.Approval) []audit.Entry { return []audit.Entry{entry(a, audit.Expired)} }},
			"no longer allowed": {"approve", func(w *world, _ approval.Approval) { w.Revoke("frank", "admin", "okta:main") }, approval.Failed, func(a approval.Approval) []audit.Entry {
				failed := entry(a, audit.Failed)
				failed.Permission = audit.Denied
				return []audit.Entry{entry(a, audit.Approved), failed}
			}},
			"Okta refuses": {"approve", func(w *world, _ approval.Approval) { w.Okta.SetRole(oktatest.Frank, oktatest.NoRole) }, approval.Failed, func(a approval.Approval) []audit.Entry {
				return []audit.Entry{entry(a, audit.Approved), entry(a, audit.Failed)}
			}},
			"signed out": {"", func(w *world, a approval.Approval) { w.SignOut(a.SessionID) }, approval.Cancelled, func(a approval.Approval) []audit.Entry {
				return []audit.Entry{entry(a, audit.SignedOut)}
			}},
			"done": {"approve", nil, approval.Done, func(a approval.Approval) []audit.Entry {
				return []audit.Entry{entry(a, audit.Approved), entry(a, audit.Done)}
			}},
		} {
			t.Run(c.name()+", "+name, func(t *testing.T) {
				w := start(t)
				a := c.asked(w)
				if tc.meanwhile != nil {
					tc.meanwhile(w, a)
				}
				if tc.decide != "" {
					w.Decide("frank", tc.decide)
				}
				a = w.ends(a, tc.status, "")
				w.Drain(w.Handle)
				if done := a.Status == approval.Done; done != c.shows(w) && (done || c.Operation != "unassign_app") || done && a.OktaRequestID == "" {
					t.Errorf("it ended as %s under request %q, and Okta shows it: %t", a.Status, a.OktaRequestID, c.shows(w))
				}
				pipelinetest.WantTrail(t, w.Trail("frank"), tc.want(a)...)
			})
		}
	}
}
