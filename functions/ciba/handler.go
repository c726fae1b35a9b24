package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/acting"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/actor"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// approvals keeps what is waiting.
type approvals interface {
	Create(ctx context.Context, a approval.Approval, now time.Time) (approval.Approval, bool, error)
	ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error)
	Approval(ctx context.Context, id session.ID, approvalID string) (approval.Approval, error)
	Move(ctx context.Context, a *approval.Approval, next approval.Status, now time.Time) error
	SaveRequest(ctx context.Context, a *approval.Approval, sealed []byte, interval time.Duration) error
	Ring(ctx context.Context, owner session.Subject, now time.Time) error
}

// phone sends the push.
type phone interface {
	Start(ctx context.Context, r ciba.Request) (ciba.Started, error)
}

// line hands an approval to the worker.
type line interface {
	Send(ctx context.Context, m approval.Message, delay time.Duration) error
}

type handler struct {
	desk      *actor.Desk
	okta      *okta.Client
	audit     audit.Recorder
	approvals approvals
	phone     phone
	queue     line
	box       func(context.Context) (*seal.Box, error)
	marks     acting.Key // of approvals
	door      acting.Door
	log       *slog.Logger
	now       func() time.Time
}

func newHandler(c *acting.Clients, p acting.Phone, log *slog.Logger, now func() time.Time) *handler {
	return &handler{
		desk: c.Desk, okta: c.Okta, audit: c.Audit, approvals: c.Approvals, phone: p.Client(c.Auth0),
		queue: queue.New(c.AWS, p.QueueURL), box: c.Box, marks: p.ApprovalKey(c), door: c.Door, log: log, now: now,
	}
}

// firstPoll is CIBA's five seconds, counted from the push, which is sent a moment later.
const firstPoll = 6 * time.Second

// Handle answers one call of the agent.
func (h *handler) Handle(ctx context.Context, payload json.RawMessage) (actiongroup.Response, error) {
	return acting.Handle(ctx, h.log, h.door, payload, h.answer)
}

// answer is the path of every elevated change.
func (h *handler) answer(ctx context.Context, event actiongroup.Event) (string, error) {
	// 1 decode: only what the catalogue declares
	call, err := event.Call(actiongroup.GroupCIBA)
	if err != nil {
		return "", err
	}
	// 2 identify and 3 authorize, as far as that goes before Okta is touched
	who, exact, err := h.desk.Enter(ctx, call)
	if err != nil {
		return "", h.refused(ctx, who, call, err)
	}
	if call.Operation.Target == actiongroup.TargetNone {
		return h.check(ctx, who, call)
	}
	// 2 resolve to ids, and 3 authorize the operation on the very object
	var asked change
	if err := h.desk.AtOkta(ctx, who, func(ctx context.Context) error {
		asked, err = h.resolve(ctx, &who, call)
		return err
	}); err != nil {
		return "", h.refused(ctx, who, call, err)
	}
	if !exact {
		check, err := fga.For(who.User, call.Operation.Relation, string(call.Operation.Target), asked.object(call.Operation), asked.self)
		if err != nil {
			return "", err
		}
		if err := h.desk.Authorize(ctx, true, check); err != nil {
			return "", h.refused(ctx, who, call, err)
		}
	}
	// 4 ask the person
	return h.ask(ctx, who, call, asked)
}

// ask stores the approval, puts it in line, and sends the push, in this order: whatever breaks in between leaves an
// approval that the worker lets expire, never a push that nobody waits for.
func (h *handler) ask(ctx context.Context, who actor.Actor, call actiongroup.Call, asked change) (string, error) {
	now := h.now()
	a := approval.Approval{
		ID:        approval.NewID(now),
		SessionID: who.Session.ID,
		Owner:     who.Session.Owner.Subject,
		Operation: call.Operation.ID,
		Target:    asked.target,
		Party:     asked.party,
		Args:      asked.args,
		ExpiresAt: now.Add(ciba.Expiry).UTC().Truncate(time.Second),
		Code:      approval.NewCode(),
		Summary:   asked.summary(call.Operation),
		Status:    approval.Pending,
		CreatedAt: now,
		ChangedAt: now,
	}
	a.Digest = a.Sum()
	a, fresh, err := h.approvals.Create(ctx, a, now)
	if err != nil {
		return "", err
	}
	if !fresh {
		return fmt.Sprintf("%s is already waiting for approval on the phone, code %s. Nothing new was sent.", a.Summary, a.Code), nil
	}
	if err := h.send(ctx, &a); err != nil {
		return "", h.abandon(ctx, a, err)
	}
	h.log.InfoContext(ctx, "approval asked", "approval_id", a.ID, "operation", a.Operation, "target", a.Target.ID)
	return fmt.Sprintf("Sent to the phone for approval, code %s: %s. It is carried out by itself once approved, within %d minutes; it has not been done yet. The outcome shows in the chat.",
		a.Code, a.Summary, int(ciba.Expiry/time.Minute)), nil
}

// send records, queues and counts side by side, then rings.
func (h *handler) send(ctx context.Context, a *approval.Approval) error {
	err := acting.Together(
		func() error { return h.record(ctx, *a, audit.Request, string(fga.Allowed), "ok") },
		func() error {
			return h.queue.Send(ctx, approval.Message{SessionID: a.SessionID, ApprovalID: a.ID}, firstPoll)
		},
		func() error { return h.approvals.Ring(ctx, a.Owner, h.now()) },
	)
	if err != nil {
		return err
	}
	started, err := h.phone.Start(ctx, acting.Question(*a, h.now()))
	if err != nil {
		return err
	}
	box, err := h.box(ctx)
	if err != nil {
		return err
	}
	sealed, err := box.Seal(started.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return fmt.Errorf("seal auth_req_id: %w", err)
	}
	return h.approvals.SaveRequest(ctx, a, sealed, started.Interval)
}

// abandon ends an approval that could not be sent. The cause is what the person reads.
func (h *handler) abandon(ctx context.Context, a approval.Approval, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), acting.Margin/2)
	defer cancel()
	a.Result = "It could not be sent to the phone; nothing was changed."
	if err := h.approvals.Move(ctx, &a, approval.Failed, h.now()); err != nil {
		h.log.ErrorContext(ctx, "an approval that was not sent stays pending until it expires", "approval_id", a.ID, "err", err)
	}
	return cause
}

// refused records a refusal of somebody we know. What cannot be recorded is still a refusal.
func (h *handler) refused(ctx context.Context, who actor.Actor, call actiongroup.Call, cause error) error {
	decision, kind := fga.Unknown, fault.KindOf(cause)
	switch {
	case who.Session.ID == "":
		return cause
	case okta.KindOf(cause) != "": // it was allowed, but Okta did not do it
		decision = fga.Allowed
	case kind == fault.Denied:
		decision = fga.Denied
	case kind != fault.Upstream && kind != fault.Internal:
		return cause // a question that leads to no decision
	}
	a := approval.Approval{SessionID: who.Session.ID, Owner: who.Session.Owner.Subject, Operation: call.Operation.ID}
	a.Target.Label = call.Arg("user")
	if call.Operation.Target != actiongroup.TargetUser {
		a.Target.Label = call.Arg("group") + call.Arg("app")
	}
	if err := h.record(ctx, a, audit.Request, string(decision), string(kind)); err != nil {
		h.log.ErrorContext(ctx, "a refusal was not recorded", "err", err)
	}
	return cause
}

func (h *handler) record(ctx context.Context, a approval.Approval, stage audit.Stage, decision, outcome string) error {
	now := h.now()
	r := audit.Record{
		ID: audit.NewID(now), At: now, Subject: string(a.Owner), SessionID: string(a.SessionID), Stage: stage,
		Operation: a.Operation, TargetLabel: a.Target.Label, Decision: decision, Outcome: outcome, ApprovalID: a.ID,
	}
	if a.Target.ID != "" {
		r.Target = a.Target.Type + ":" + a.Target.ID
	}
	return h.audit.Add(ctx, r)
}
