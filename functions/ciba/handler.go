package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/ciba"
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
	approval.Store
	CountPush(ctx context.Context, owner session.Subject, now time.Time) error
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
	enforcer  *access.Enforcer
	okta      *okta.Client
	trail     pipeline.Trail
	approvals approvals
	phone     phone
	queue     line
	sealer    func(context.Context) (*seal.Sealer, error)
	marks     pipeline.Key // of approvals
	door      pipeline.Door
	log       *slog.Logger
	now       func() time.Time
}

func newHandler(c *pipeline.Clients, p pipeline.Phone, log *slog.Logger, now func() time.Time) *handler {
	return &handler{
		enforcer: c.Enforcer, okta: c.Okta, trail: pipeline.Trail{Recorder: c.Audit, Log: log, Now: now}, approvals: c.Approvals, phone: p.Client(c.Auth0),
		queue: queue.New(c.AWS, p.QueueURL), sealer: c.Sealer, marks: p.ApprovalKey(c), door: c.Door, log: log, now: now,
	}
}

// firstPoll is CIBA's five seconds, counted from the push, which is sent a moment later.
const firstPoll = 6 * time.Second

// Handle answers one call of the agent.
func (h *handler) Handle(ctx context.Context, payload json.RawMessage) (actiongroup.Response, error) {
	return pipeline.Handle(ctx, h.log, h.door, payload, h.answer)
}

// answer is the path of every elevated change.
func (h *handler) answer(ctx context.Context, event actiongroup.Event) (string, error) {
	// 1 decode: only what the catalogue declares
	call, err := event.Call(catalogue.GroupCIBA)
	if err != nil {
		return "", err
	}
	// 2 identify and 3 authorize, as far as that goes before Okta is touched
	admission, err := h.enforcer.Admit(ctx, call)
	who := &admission.Principal
	act, asked := pipeline.ActOf(*who, call), audit.Unchecked
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, err)
	}
	if call.Operation.Target == catalogue.TargetNone {
		return h.check(ctx, *who, call)
	}
	if admission.Authorized() {
		asked = audit.Allowed
	}
	// 2 resolve to ids, and 3 authorize the operation on the very object
	ctx, err = h.enforcer.WithOktaToken(ctx, who)
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, err)
	}
	wanted, err := h.resolve(ctx, who, call)
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, okta.Fault(err))
	}
	act.Object, act.Member, act.Args = wanted.target.Recorded(), wanted.party.Recorded(), wanted.args
	check, err := fga.For(who.User, call.Operation.Relation, string(call.Operation.Target), wanted.object(call.Operation), wanted.self)
	if err == nil {
		err = admission.Authorize(ctx, check)
	}
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, err)
	}
	if wanted.useless != nil {
		return "", h.trail.Refused(ctx, act, audit.Allowed, wanted.useless)
	}
	// 4 ask the person
	return h.ask(ctx, *who, call, wanted)
}

// ask stores the approval, puts it in line, and sends the push, in this order: whatever breaks in between leaves an
// approval that the worker lets expire, never a push that nobody waits for.
func (h *handler) ask(ctx context.Context, who access.Principal, call actiongroup.Call, wanted change) (string, error) {
	now := h.now().UTC().Truncate(time.Millisecond) // as the table keeps it
	a := approval.Approval{
		ID:        approval.NewID(now),
		SessionID: who.Session.ID,
		Owner:     who.Session.Owner.Subject,
		Front:     who.Session.Front,
		Operation: call.Operation.ID,
		Target:    wanted.target,
		Member:    wanted.party,
		Args:      wanted.args,
		Reason:    call.Arg(catalogue.ParamReason),
		ExpiresAt: now.Add(ciba.Expiry).Truncate(time.Second),
		Code:      approval.NewCode(),
		Summary:   wanted.summary(call.Operation),
		Status:    approval.Pending,
		CreatedAt: now,
		ChangedAt: now,
	}
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
		return fmt.Sprintf("%s is already waiting for approval on the phone, code %s. Nothing new was sent.", a.Summary, a.Code), nil
	}
	if err := h.send(ctx, a); err != nil {
		return "", h.abandon(ctx, a, err)
	}
	h.log.InfoContext(ctx, "approval asked", "approval_id", a.ID, "operation", a.Operation, "target", a.Target.ID)
	return fmt.Sprintf("Sent to the phone for approval, code %s: %s. It is carried out by itself once approved, within %d minutes; it has not been done yet. The outcome shows in the chat.",
		a.Code, a.Summary, int(ciba.Expiry/time.Minute)), nil
}

// send records, queues and counts side by side, then rings.
func (h *handler) send(ctx context.Context, a approval.Approval) error {
	err := pipeline.Together(
		func() error { return h.record(ctx, a.Asked) },
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
func (h *handler) abandon(ctx context.Context, a approval.Approval, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pipeline.Margin/2)
	defer cancel()
	failed, err := a.Fail(h.now(), approval.Outcome{Result: "It could not be sent to the phone; nothing was changed."})
	if err == nil {
		a, err = h.approvals.Transition(ctx, failed)
	}
	if err == nil {
		err = errors.Join(h.record(ctx, a.Asked), h.record(ctx, a.Settled)) // the first may be what failed
	}
	if err != nil {
		h.log.ErrorContext(ctx, "an approval that was not sent stays pending until it expires", "approval_id", a.ID, "err", err)
	}
	return cause
}

func (h *handler) record(ctx context.Context, entry func() (audit.Entry, error)) error {
	e, err := entry()
	if err != nil {
		return err
	}
	return h.trail.Recorder.Add(ctx, e)
}
