package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/session"
)

// approvals is the store of approvals.
type approvals interface {
	Create(ctx context.Context, a approval.Approval, now time.Time) (approval.Approval, bool, error)
	ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error)
	approval.Store
	CountPush(ctx context.Context, owner session.Subject, now time.Time) error
}

// phone sends the push.
type phone interface {
	Start(ctx context.Context, r ciba.Request) (ciba.Started, error)
}

// messages hands an approval to the worker.
type messages interface {
	Send(ctx context.Context, m approval.Message, delay time.Duration) error
}

// approver asks people's phones to approve changes, and says how their approvals stand.
type approver struct {
	approvals approvals
	phone     phone
	queue     messages
	recorder  audit.Recorder
	sealer    pipeline.Key
	marks     pipeline.Key // of approvals
	log       *slog.Logger
	now       func() time.Time
}

func newApprover(c *pipeline.Clients, p pipeline.Phone, log *slog.Logger, now func() time.Time) *approver {
	return &approver{
		approvals: c.Approvals, phone: p.Client(c.Auth0), queue: queue.New(c.AWS, p.QueueURL), recorder: c.Audit,
		sealer: c.Sealer, marks: p.ApprovalKey(c), log: log, now: now,
	}
}

// newPipeline is the path of every change, and of what is asked about changes.
func newPipeline(c *pipeline.Clients, a *approver, log *slog.Logger, now func() time.Time) (*pipeline.Pipeline, error) {
	return pipeline.New(c, catalogue.GroupCIBA, a, log, now, append(operation.Changes(), operation.Row{ID: "check_approval", Own: a.check})...)
}

// firstPoll is CIBA's five seconds, counted from the push, which is sent a moment later.
const firstPoll = 6 * time.Second

// Ask stores the approval, queues it, and sends the push, in this order: whatever breaks in between leaves an approval that the
// worker lets expire, never a push that nobody waits for. It returns what to tell the person. Errors: fault.Conflict for too many
// pushes, fault.Upstream where Auth0 or AWS cannot be asked.
func (h *approver) Ask(ctx context.Context, p access.Principal, in operation.Input) (string, error) {
	now := h.now().UTC().Truncate(time.Millisecond) // as the table keeps it
	a := approval.Approval{
		ID:        approval.NewID(now),
		SessionID: p.Session.ID,
		Owner:     p.Session.Owner.Subject,
		Front:     p.Session.Front,
		Operation: in.Call.Operation.ID,
		Target:    in.Object.Ref,
		Member:    in.Member.Ref,
		Args:      in.Args,
		Reason:    in.Call.Arg(catalogue.ParamReason),
		ExpiresAt: now.Add(ciba.Expiry).Truncate(time.Second),
		Code:      approval.NewCode(),
		Status:    approval.Pending,
		CreatedAt: now,
		ChangedAt: now,
	}
	a.Summary = approval.Sentence(a.Operation, a.Target, a.Member, a.Args)
	key, err := h.marks(ctx)
	if err != nil {
		return "", err
	}
	if err := a.Ask(key); err != nil {
		return "", err
	}
	a, fresh, err := h.approvals.Create(ctx, a, now)
	if err != nil {
		return "", err
	}
	if !fresh {
		return fmt.Sprintf("%s already waits for your approval, code %s. I sent nothing new to your phone.", a.Summary, a.Code), nil
	}
	if err := h.send(ctx, a); err != nil {
		return "", h.abandon(ctx, a, err)
	}
	h.log.InfoContext(ctx, "approval asked", "approval_id", a.ID, "operation", a.Operation, "target", a.Target.ID)
	return fmt.Sprintf("Please approve it on your phone, code %s: %s. I'll do it as soon as you approve, within %d minutes. It is not done yet; the chat shows the outcome.",
		a.Code, a.Summary, int(ciba.Expiry/time.Minute)), nil
}

// send records, queues and counts side by side, then sends the push.
func (h *approver) send(ctx context.Context, a approval.Approval) error {
	err := parallel.Do(
		func() error { return h.record(ctx, a.RequestEntry) },
		func() error {
			return h.queue.Send(ctx, approval.Message{SessionID: a.SessionID, ApprovalID: a.ID}, firstPoll)
		},
		func() error { return h.approvals.CountPush(ctx, a.Owner, h.now()) },
	)
	if err != nil {
		return err
	}
	started, err := h.phone.Start(ctx, pipeline.Question(a, h.now()))
	if err != nil {
		return err
	}
	sealer, err := h.sealer(ctx)
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(started.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return fmt.Errorf("seal auth_req_id: %w", err)
	}
	saved, err := a.SaveRequest(sealed, started.Interval, h.now().Add(started.Expiry))
	if err == nil {
		_, err = h.approvals.Transition(ctx, saved)
	}
	return err
}

// abandon ends an approval that could not be sent, and records that. The cause is what the person reads.
func (h *approver) abandon(ctx context.Context, a approval.Approval, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pipeline.Margin/2)
	defer cancel()
	failed, err := a.Fail(h.now(), approval.Outcome{Result: "I could not send it to your phone. Nothing has changed."})
	if err == nil {
		a, err = h.approvals.Transition(ctx, failed)
	}
	if err == nil {
		err = errors.Join(h.record(ctx, a.RequestEntry), h.record(ctx, a.StateEntry)) // the first may be what failed
	}
	if err != nil {
		h.log.ErrorContext(ctx, "an approval that was not sent stays pending until it expires", "approval_id", a.ID, "err", err)
	}
	return cause
}

// record adds the entry of the state that an approval is in.
func (h *approver) record(ctx context.Context, entry func() (audit.Entry, error)) error {
	e, err := entry()
	if err != nil {
		return err
	}
	return h.recorder.Add(ctx, e)
}
