package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// approvals keeps what is waiting.
type approvals interface {
	Approval(ctx context.Context, id session.ID, approvalID string) (approval.Approval, error)
	Move(ctx context.Context, a *approval.Approval, next approval.Status, now time.Time) error
	Claim(ctx context.Context, a *approval.Approval, now time.Time, lease time.Duration) error
	SaveRequest(ctx context.Context, a *approval.Approval, sealed []byte, interval time.Duration, expires time.Time) error
	CountPush(ctx context.Context, owner session.Subject, now time.Time) error
	TakeTurn(ctx context.Context, a *approval.Approval, now time.Time, interval time.Duration) error
}

// phone asks how a push stands, and sends another.
type phone interface {
	Start(ctx context.Context, r ciba.Request) (ciba.Started, error)
	Poll(ctx context.Context, authReqID secret.String, r ciba.Request, started time.Time, interval time.Duration) (ciba.Answer, error)
}

// line puts a message back for later.
type line interface {
	Send(ctx context.Context, m approval.Message, delay time.Duration) error
}

// doer carries a change out, and looks whether it has taken effect.
type doer interface {
	Do(ctx context.Context, a approval.Approval) (done string, meta okta.Meta, err error)
	Effective(ctx context.Context, a approval.Approval) (effect effect, err error)
}

type handler struct {
	desk      *access.Desk
	okta      doer
	trail     pipeline.Trail
	approvals approvals
	phone     phone
	queue     line
	sealer    func(context.Context) (*seal.Sealer, error)
	marks     pipeline.Key // of approvals
	log       *slog.Logger
	now       func() time.Time
}

func newHandler(c *pipeline.Clients, p pipeline.Phone, log *slog.Logger, now func() time.Time) *handler {
	return &handler{
		desk: c.Desk, okta: executor{c.Okta}, trail: pipeline.Trail{Recorder: c.Audit, Log: log, Now: now}, approvals: c.Approvals, phone: p.Client(c.Auth0),
		queue: queue.New(c.AWS, p.QueueURL), sealer: c.Sealer, marks: p.ApprovalKey(c), log: log, now: now,
	}
}

const (
	margin     = 1500 * time.Millisecond
	lease      = time.Minute      // longer than the function may run, so that a lease that has run out means a crash
	retryAfter = 10 * time.Second // when something we depend on did not answer
	waitForReq = 5 * time.Second  // for the push to be sent
	// grace is how long after the expiry an approval given in time may still be carried out, by a worker that was held up.
	grace = 10 * time.Minute
	// doubt is how long before our own expiry a refusal may be Auth0's expiry: it counts whole seconds, by its own clock.
	doubt     = 2 * time.Second
	minRepush = 30 * time.Second // the least time a person needs to answer a second push
	maxPushes = 3
)

// Handle takes a batch of messages, all at once, and names those to be delivered again. Errors are named, not returned:
// a returned one would bring back the whole batch.
func (h *handler) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	var (
		out events.SQSEventResponse
		mu  sync.Mutex
		wg  sync.WaitGroup
	)
	for _, record := range event.Records {
		wg.Go(func() {
			if err := h.message(ctx, record); err != nil {
				fault.Answer(ctx, h.log.With("message_id", record.MessageId), err)
				mu.Lock()
				defer mu.Unlock()
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
			}
		})
	}
	wg.Wait()
	return out, nil
}

func (h *handler) message(ctx context.Context, record events.SQSMessage) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	var m approval.Message
	if err := json.Unmarshal([]byte(record.Body), &m); err != nil {
		return fmt.Errorf("message is not one of ours: %w", err) // it ends up among the dead letters
	}
	return h.advance(ctx, m)
}

// advance takes an approval as far as it goes now. An error means that the message is to come back.
func (h *handler) advance(ctx context.Context, m approval.Message) error {
	a, err := h.approvals.Approval(ctx, m.SessionID, m.ApprovalID)
	if fault.KindOf(err) == fault.NotFound {
		h.log.WarnContext(ctx, "no such approval", "approval_id", m.ApprovalID)
		return nil
	}
	if err != nil {
		return err
	}
	if a.Status.Final() {
		return h.record(ctx, a) // whoever came to it may have crashed before
	}
	if left := a.ClaimedUntil.Sub(h.now()); a.Status == approval.Executing && left > 0 {
		return h.queue.Send(ctx, m, left+time.Second) // another worker is at it
	}
	key, err := h.marks(ctx)
	if err != nil {
		return err
	}
	if !a.Genuine(key) {
		return h.notGenuine(ctx, &a, m)
	}
	who, err := h.desk.Identify(ctx, a.SessionID)
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
		return h.signedOut(ctx, &a, m)
	case err != nil:
		return err
	case who.Session.Owner.Subject == "" || who.Session.Owner.Subject != a.Owner:
		return h.end(ctx, &a, m, approval.Failed, "It belongs to somebody else, so it was not carried out.")
	}
	switch a.Status {
	case approval.Pending:
		return h.wait(ctx, who, key, &a, m)
	case approval.Approved:
		return h.approved(ctx, who, &a, m)
	case approval.Executing:
		return h.carryOut(ctx, who, &a, m, true)
	default:
		return fmt.Errorf("no path for status %q", a.Status)
	}
}

// notGenuine ends an approval that does not prove what it says. One of the version before has no proofs at all.
func (h *handler) notGenuine(ctx context.Context, a *approval.Approval, m approval.Message) error {
	why := "It was altered after it was asked for"
	if len(a.AskedMAC) == 0 && a.Intact() {
		why = "It was asked for before Steward was updated"
		h.log.WarnContext(ctx, "approval without a mark", "approval_id", a.ID)
	} else {
		h.log.ErrorContext(ctx, "approval mark does not verify", "approval_id", a.ID, "status", string(a.Status))
	}
	a.Permission = audit.Unchecked
	if a.Status == approval.Executing {
		return h.end(ctx, a, m, approval.Unknown, why+". It had been begun; look at the object in Okta to see whether it took effect.")
	}
	return h.end(ctx, a, m, approval.Failed, why+", so it was not carried out. Please ask again.")
}

func (h *handler) signedOut(ctx context.Context, a *approval.Approval, m approval.Message) error {
	if a.Status == approval.Executing {
		return h.end(ctx, a, m, approval.Unknown, "You signed out while it was being carried out. Look at the account in Okta to see whether it took effect.")
	}
	a.Withdraw(true)
	return h.end(ctx, a, m, approval.Cancelled, a.Result)
}

// wait polls once.
func (h *handler) wait(ctx context.Context, who access.Actor, key *seal.Sealer, a *approval.Approval, m approval.Message) error {
	if a.Overdue(h.now()) {
		return h.end(ctx, a, m, approval.Expired, "") // even if approved: too late is too late
	}
	if len(a.AuthReqID) == 0 {
		return h.queue.Send(ctx, m, waitForReq) // the push is just being sent, or never was
	}
	// A crash, or the queue, may leave several messages of one approval. Polling by each of them Auth0 would call too fast.
	if left := a.PollAt.Sub(h.now()); left > 0 {
		return h.queue.Send(ctx, m, left)
	}
	switch err := h.approvals.TakeTurn(ctx, a, h.now(), a.Interval); {
	case errors.Is(err, dynamo.ErrMoved):
		return h.queue.Send(ctx, m, a.Interval)
	case err != nil:
		return err
	}
	sealer, err := h.sealer(ctx)
	if err != nil {
		return err
	}
	request, err := sealer.Open(a.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return h.end(ctx, a, m, approval.Failed, "The approval could not be read, so nothing was changed.")
	}
	answer, err := h.phone.Poll(ctx, request, pipeline.Question(*a, h.now()), a.CreatedAt, a.Interval)
	switch {
	case fault.KindOf(err) == fault.Rejected:
		h.log.ErrorContext(ctx, "approval rejected", "approval_id", a.ID, "err", err)
		return h.end(ctx, a, m, approval.Failed, "The approval did not come from you, so nothing was changed.")
	case err != nil && a.Overdue(h.now()):
		return h.end(ctx, a, m, approval.Expired, "")
	case err != nil:
		h.said(ctx, a, err)
		return h.queue.Send(ctx, m, retryAfter)
	case a.Overdue(h.now()):
		return h.end(ctx, a, m, approval.Expired, "") // it took so long
	}
	switch answer.Outcome {
	case ciba.Waiting:
		if answer.Interval > a.Interval { // for every later poll too
			if err := h.approvals.TakeTurn(ctx, a, h.now(), answer.Interval); err != nil && !errors.Is(err, dynamo.ErrMoved) {
				return err
			}
		}
		return h.queue.Send(ctx, approval.Message{SessionID: a.SessionID, ApprovalID: a.ID}, answer.Interval)
	case ciba.Refused:
		if a.Overdue(h.now().Add(doubt)) {
			return h.end(ctx, a, m, approval.Expired, "")
		}
		return h.end(ctx, a, m, approval.Denied, "")
	case ciba.Expired:
		return h.end(ctx, a, m, approval.Expired, "")
	case ciba.Lost:
		return h.askAgain(ctx, a, m)
	case ciba.Approved:
	default: // never an approval
		return fmt.Errorf("no path for outcome %q", answer.Outcome)
	}
	if err := a.Approve(key); err != nil {
		return err
	}
	if err := h.approvals.Move(ctx, a, approval.Approved, h.now()); err != nil {
		return h.moved(ctx, err, a, m)
	}
	h.log.InfoContext(ctx, "approved", "approval_id", a.ID)
	return h.approved(ctx, who, a, m)
}

// approved records the decision, perhaps once more, and goes on: what is not recorded is not carried out.
func (h *handler) approved(ctx context.Context, who access.Actor, a *approval.Approval, m approval.Message) error {
	if err := h.record(ctx, *a); err != nil {
		return err
	}
	return h.carryOut(ctx, who, a, m, false)
}

// askAgain handles an approval whose answer was lost, as when a worker crashed just after it had polled. What it was
// cannot be known, so it counts for nothing; the person is asked once more, if there is time. Before that another worker
// that may hold the answer is given the time to write it down.
func (h *handler) askAgain(ctx context.Context, a *approval.Approval, m approval.Message) error {
	if m.Lost == 0 {
		m.Lost++
		return h.queue.Send(ctx, m, retryAfter)
	}
	left := a.Deadline().Sub(h.now())
	if left < minRepush || a.Pushes >= maxPushes {
		return h.end(ctx, a, m, approval.Failed, "The answer from your phone was lost, so nothing was changed. Please ask again.")
	}
	err := h.approvals.CountPush(ctx, a.Owner, h.now()) // a repeated push counts as well
	var started ciba.Started
	if err == nil {
		started, err = h.phone.Start(ctx, pipeline.Question(*a, h.now()))
	}
	if err != nil {
		h.said(ctx, a, err)
		return h.queue.Send(ctx, m, retryAfter)
	}
	sealer, err := h.sealer(ctx)
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(started.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return fmt.Errorf("seal auth_req_id: %w", err)
	}
	if err := h.approvals.SaveRequest(ctx, a, sealed, started.Interval, h.now().Add(started.Expiry)); err != nil {
		return h.moved(ctx, err, a, m)
	}
	return h.queue.Send(ctx, approval.Message{SessionID: a.SessionID, ApprovalID: a.ID}, started.Interval)
}

// carryOut does what was approved. again says that a worker before crashed on it, so that the state is read first.
func (h *handler) carryOut(ctx context.Context, who access.Actor, a *approval.Approval, m approval.Message, again bool) error {
	op, ok := catalogue.OperationByID(a.Operation)
	if !ok {
		return h.end(ctx, a, m, approval.Failed, "There is no such operation any more, so nothing was changed.")
	}
	if h.late(*a) && !again {
		return h.end(ctx, a, m, approval.Failed, "It was approved, but could not be carried out in time; nothing was changed. Please ask again.")
	}
	// 1 the person's own token, exchanged now and compared with who signed in; before the claim, since without one nothing can have
	// happened
	token, err := h.desk.Fresh(ctx, &who)
	if err != nil {
		kind := fault.KindOf(err)
		if kind == fault.Upstream || again {
			return h.later(ctx, err, a, m, retryAfter)
		}
		h.trail.WrongAccount(ctx, audit.Act{Subject: who.Session.Owner.Subject, Front: who.Session.Front, Session: who.Session.ID}, "", err)
		return h.end(ctx, a, m, approval.Failed, h.said(ctx, a, err)+" Nothing was changed.")
	}
	// 2 may they still: the permission may have gone since it was asked for. Whether the account is their own is known from the token.
	if err := h.authorize(ctx, who, op, *a); err != nil {
		if fault.KindOf(err) != fault.Denied {
			return h.later(ctx, err, a, m, retryAfter)
		}
		a.Permission = audit.Denied
		if again {
			return h.end(ctx, a, m, approval.Unknown, "You are not allowed to do this any more. It had been begun before; look at the object in Okta to see whether it took effect.")
		}
		return h.end(ctx, a, m, approval.Failed, "You are not allowed to do this any more, so nothing was changed.")
	}
	ctx = okta.WithToken(ctx, token)
	// 3 claim: of two workers one goes on
	if err := h.approvals.Claim(ctx, a, h.now(), lease); err != nil {
		if errors.Is(err, dynamo.ErrMoved) {
			return h.queue.Send(ctx, m, lease) // looked at once more, should its holder crash
		}
		return err
	}
	// 4 act
	if again {
		return h.finish(ctx, op, a, m)
	}
	said, meta, err := h.okta.Do(ctx, *a)
	return h.outcome(ctx, op, a, m, said, meta, err)
}

// finish settles a change that may have been done by a worker that crashed.
func (h *handler) finish(ctx context.Context, op catalogue.Operation, a *approval.Approval, m approval.Message) error {
	got, err := h.okta.Effective(ctx, *a)
	switch {
	case err != nil:
		return h.later(ctx, okta.Fault(err), a, m, lease+time.Second)
	case got == effectYes:
		return h.end(ctx, a, m, approval.Done, "Okta shows that it took effect.")
	case op.Idempotent:
		said, meta, err := h.okta.Do(ctx, *a)
		return h.outcome(ctx, op, a, m, said, meta, err)
	}
	return h.end(ctx, a, m, approval.Unknown, unknownHow(*a))
}

// outcome writes down what Okta answered, and only that.
func (h *handler) outcome(ctx context.Context, op catalogue.Operation, a *approval.Approval, m approval.Message, said string, meta okta.Meta, err error) error {
	a.OktaRequestID = meta.RequestID
	if err == nil {
		return h.end(ctx, a, m, approval.Done, said)
	}
	if e, ok := errors.AsType[*okta.Error](err); ok && a.OktaRequestID == "" {
		a.OktaRequestID = e.RequestID
	}
	say := h.said(ctx, a, okta.Fault(err))
	if okta.Unknown(err) {
		if got, err := h.okta.Effective(ctx, *a); err == nil && got == effectYes {
			return h.end(ctx, a, m, approval.Done, "Okta shows that it took effect.")
		}
		if op.Idempotent && !h.late(*a) {
			return h.queue.Send(ctx, m, lease+time.Second) // taken up again when the lease has run out
		}
		return h.end(ctx, a, m, approval.Unknown, unknownHow(*a))
	}
	return h.end(ctx, a, m, approval.Failed, say+" Nothing was changed.")
}

// said logs err and gives the sentence for it.
func (h *handler) said(ctx context.Context, a *approval.Approval, err error) string {
	say, _ := fault.Answer(ctx, pipeline.About(h.log, err).With("approval_id", a.ID), err)
	return say
}

func (h *handler) late(a approval.Approval) bool { return h.now().After(a.ExpiresAt.Add(grace)) }

// later puts off what cannot be gone on with because of err; but not for ever.
func (h *handler) later(ctx context.Context, err error, a *approval.Approval, m approval.Message, delay time.Duration) error {
	h.said(ctx, a, err)
	if a.Status == approval.Executing && h.late(*a) {
		return h.end(ctx, a, m, approval.Unknown, unknownHow(*a))
	}
	return h.queue.Send(ctx, m, delay)
}

func (h *handler) authorize(ctx context.Context, who access.Actor, op catalogue.Operation, a approval.Approval) error {
	id := a.Target.ID
	if op.Target == catalogue.TargetArea {
		id = string(op.Area)
	}
	check, err := fga.For(who.User, op.Relation, string(op.Target), id, a.Target.ID != "" && a.Target.ID == who.Session.OktaUserID)
	if err != nil {
		return err
	}
	return h.desk.Authorize(ctx, true, check)
}

// end moves a to a final state and records it.
func (h *handler) end(ctx context.Context, a *approval.Approval, m approval.Message, status approval.Status, result string) error {
	a.Result = result
	if err := h.approvals.Move(ctx, a, status, h.now()); err != nil {
		return h.moved(ctx, err, a, m)
	}
	h.log.InfoContext(ctx, "approval ended", "approval_id", a.ID, "operation", a.Operation, "status", string(status), "okta_request_id", a.OktaRequestID)
	return h.record(ctx, *a)
}

// moved looks again at an approval that was not where it was believed to be. Whoever moved it goes on with it; its end is recorded
// here too, as whoever moved it may have crashed before.
func (h *handler) moved(ctx context.Context, err error, a *approval.Approval, m approval.Message) error {
	if !errors.Is(err, dynamo.ErrMoved) {
		return err
	}
	now, err := h.approvals.Approval(ctx, a.SessionID, a.ID)
	switch {
	case err != nil:
		return err
	case now.Status.Final():
		return h.record(ctx, now)
	case now.Status == a.Status:
		h.log.ErrorContext(ctx, "an approval cannot be moved", "approval_id", a.ID, "status", string(a.Status))
		return nil
	}
	return h.queue.Send(ctx, m, retryAfter)
}

// record adds the audit entry of the state that a is in.
func (h *handler) record(ctx context.Context, a approval.Approval) error {
	e, err := a.Settled()
	if err != nil {
		return err
	}
	return h.trail.Recorder.Add(ctx, e)
}
