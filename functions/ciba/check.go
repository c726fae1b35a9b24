package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/parallel"
)

const (
	maxSearched = 50 // approvals that are searched for a code, the latest
	maxListed   = 5  // approvals that are listed when no code is given
)

// check tells how a person's own approvals stand, or cancels one that is still pending.
func (h *approver) check(ctx context.Context, p access.Principal, call actiongroup.Call) (string, error) {
	all, err := h.approvals.ByOwner(ctx, p.Session.Owner.Subject, maxSearched)
	if err != nil {
		return "", err
	}
	code := strings.TrimPrefix(strings.ToUpper(call.Arg("approval")), "#")
	if code != "" {
		all = named(all, code)
		if len(all) == 0 {
			return "", fault.New(fault.NotFound, "You have no approval with that code. Leave out the code to see the latest ones.", nil)
		}
	}
	if call.Arg("action") == "cancel" {
		return h.cancel(ctx, all, code != "")
	}
	if len(all) == 0 {
		return "You have not asked for any change that needs approval.", nil
	}
	all = all[:min(maxListed, len(all))]
	var steps []func() error
	for i, a := range all {
		steps = append(steps, func() error {
			// The list may lag a moment behind; what decides an answer is read as it is now.
			if now, err := h.approvals.Approval(ctx, a.SessionID, a.ID); err == nil {
				all[i] = now
			}
			return nil
		})
	}
	if err := parallel.Do(steps...); err != nil {
		return "", err
	}
	var lines []string
	for _, a := range all {
		lines = append(lines, h.describe(a))
	}
	return strings.Join(lines, "\n"), nil
}

// named finds approvals by code, the newest first, or by id.
func named(all []approval.Approval, code string) (found []approval.Approval) {
	for _, a := range all {
		if a.Code == code || strings.EqualFold(a.ID, code) {
			found = append(found, a)
		}
	}
	return found
}

func (h *approver) describe(a approval.Approval) string {
	status := map[approval.Status]string{
		approval.Pending:   "waiting for your approval on the phone; not done yet",
		approval.Approved:  "approved; I'm about to do it",
		approval.Executing: "approved; I'm doing it now",
		approval.Done:      "done",
		approval.Failed:    "failed",
		approval.Unknown:   "outcome unknown",
		approval.Denied:    "denied on your phone; nothing has changed",
		approval.Expired:   "expired without an answer; nothing has changed",
		approval.Cancelled: "cancelled; nothing has changed",
	}[a.Shown(h.now())]
	text := fmt.Sprintf("- %s, code %s: %s.", a.Brief(), a.Code, status)
	if a.Result != "" {
		text += " " + a.Result
	}
	return text
}

func (h *approver) cancel(ctx context.Context, all []approval.Approval, byName bool) (string, error) {
	var waiting []approval.Approval
	for _, a := range all {
		if a.Shown(h.now()) == approval.Pending {
			waiting = append(waiting, a)
		}
	}
	switch {
	case len(waiting) == 0 && byName:
		return "", fault.New(fault.Conflict, "It is too late to cancel this: it does not wait for approval any more.", nil)
	case len(waiting) == 0:
		return "", fault.New(fault.NotFound, "Nothing waits for your approval, so there is nothing to cancel.", nil)
	case len(waiting) > 1 && !byName:
		return "", fault.New(fault.Conflict, "Several changes wait for your approval. Please say the code of the one to cancel.", nil)
	}
	a, err := approval.Cancel(ctx, h.approvals, h.recorder, waiting[0], approval.ByHand, h.now())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Cancelled: %s. Approving it on your phone has no effect any more.", a.Brief()), nil
}
