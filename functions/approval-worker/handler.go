package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// approvals is the store of approvals.
type approvals interface {
	approval.Store
	CountPush(ctx context.Context, owner session.Subject, now time.Time) error
}

// phone sends a push and polls for its answer.
type phone interface {
	Start(ctx context.Context, r ciba.Request) (ciba.Started, error)
	Poll(ctx context.Context, authReqID secret.String, r ciba.Request, started time.Time, interval time.Duration) (ciba.Answer, error)
}

// messages puts a message into the queue, to be delivered after the delay.
type messages interface {
	Send(ctx context.Context, m approval.Message, delay time.Duration) error
}

// doer carries a change out, and looks whether it has taken effect.
type doer interface {
	Do(ctx context.Context, a approval.Approval) (done string, meta okta.Meta, err error)
	Verify(ctx context.Context, a approval.Approval) (shows bool, err error)
}

type handler struct {
	enforcer  *access.Enforcer
	okta      doer
	trail     pipeline.Trail
	approvals approvals
	phone     phone
	queue     messages
	sealer    func(context.Context) (*seal.Sealer, error)
	marks     pipeline.Key // of approvals
	log       *slog.Logger
	now       func() time.Time
}

func newHandler(c *pipeline.Clients, p pipeline.Phone, log *slog.Logger, now func() time.Time) *handler {
	return &handler{
		enforcer: c.Enforcer, okta: operation.Executor{Okta: c.Okta}, trail: pipeline.Trail{Recorder: c.Audit, Log: log, Now: now}, approvals: c.Approvals, phone: p.Client(c.Auth0),
		queue: queue.New(c.AWS, p.QueueURL), sealer: c.Sealer, marks: p.ApprovalKey(c), log: log, now: now,
	}
}

const (
	lease       = time.Minute      // longer than the function may run, so that a lease that is over means a crash
	retryAfter  = 10 * time.Second // when a system we depend on did not answer
	pushPending = 5 * time.Second  // for another function to send the push
	// grace is how long after the deadline a change that was approved in time may still be carried out, by a worker that was delayed.
	grace = 10 * time.Minute
	// clockSkew is how long before our own deadline Auth0 may let a request expire: it counts whole seconds, by its own clock.
	clockSkew = 2 * time.Second
	minAnswer = 30 * time.Second // the least time in which a person can answer another push
	maxPushes = 3
	maxStale  = 3 // how often an approval is read anew within one message
)

// Handle works on the messages of a batch side by side, and names those to be delivered again. Errors are named, not returned:
// a returned one would bring back the whole batch.
func (h *handler) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-pipeline.Margin))
		defer cancel()
	}
	var (
		out events.SQSEventResponse
		mu  sync.Mutex
		wg  sync.WaitGroup
	)
	for _, record := range event.Records {
		wg.Go(func() {
			if err := parallel.Recover(func() error { return h.message(ctx, record.Body) }); err != nil {
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

// message reads the approval that a message names and works on it. An error means that the message is to be delivered again.
func (h *handler) message(ctx context.Context, body string) error {
	var m approval.Message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return fmt.Errorf("message is not one of ours: %w", err) // it ends up among the dead letters
	}
	for range maxStale {
		a, err := h.approvals.Approval(ctx, m.SessionID, m.ApprovalID)
		if fault.KindOf(err) == fault.NotFound {
			h.log.WarnContext(ctx, "no such approval", "approval_id", m.ApprovalID)
			return nil
		}
		if err == nil {
			err = h.work(ctx, &job{message: m, approval: a})
		}
		if !errors.Is(err, approval.ErrStale) {
			return err
		}
	}
	return h.queue.Send(ctx, m, retryAfter)
}

// job is a message that is being worked on: the approval as it is now, and what this worker has found out and reserved.
type job struct {
	message   approval.Message
	approval  approval.Approval
	principal access.Principal

	key      *seal.Sealer  // of the marks; nil until identify has accepted the approval
	polling  bool          // this worker has reserved the poll
	claimed  bool          // this worker has claimed the change
	takeover bool          // another worker had claimed it before, and crashed
	token    secret.String // the person's own, for Okta; set with claimed
}

// next is what a step decides: a transition to make, a delay after which to look again, or the one and then the other. Its zero
// value means neither.
type next struct {
	transition *approval.Transition
	delay      time.Duration
}

func transition(t approval.Transition, err error) (next, error) { return next{transition: &t}, err }

func lookAgain(delay time.Duration) (next, error) { return next{delay: delay}, nil }

// work takes an approval from state to state until it is final, or has to wait for something. The end is recorded by whoever finds
// it, since the worker that came to it may have crashed before.
func (h *handler) work(ctx context.Context, j *job) error {
	for !j.approval.Status.Final() {
		n, err := h.step(ctx, j)
		if err != nil {
			return err
		}
		if n.transition != nil {
			if j.approval, err = h.approvals.Transition(ctx, *n.transition); err != nil {
				return err
			}
		}
		if n.transition == nil || n.delay > 0 {
			return h.queue.Send(ctx, j.message, n.delay)
		}
		if a := j.approval; a.Status.Final() {
			h.log.InfoContext(ctx, "approval ended", "approval_id", a.ID, "operation", a.Operation, "status", string(a.Status), "okta_request_id", a.OktaRequestID)
		}
	}
	return h.record(ctx, j.approval)
}

// step decides what comes next for an approval in its state.
func (h *handler) step(ctx context.Context, j *job) (next, error) {
	if j.key == nil {
		if n, err := h.identify(ctx, j); err != nil || n != (next{}) {
			return n, err
		}
	}
	switch j.approval.Status {
	case approval.Pending:
		return h.pending(ctx, j)
	case approval.Approved:
		return h.approved(ctx, j)
	case approval.Executing:
		return h.executing(ctx, j)
	default:
		return next{}, fmt.Errorf("no step for status %q", j.approval.Status)
	}
}

// identify accepts an approval that is what was asked for, by its digest and marks, and whose owner is still signed in. Otherwise it
// ends the approval.
func (h *handler) identify(ctx context.Context, j *job) (next, error) {
	a := j.approval
	if left := a.ClaimedUntil.Sub(h.now()); a.Status == approval.Executing && left > 0 {
		return lookAgain(left + time.Second) // another worker is at it
	}
	key, err := h.marks(ctx)
	if err != nil {
		return next{}, err
	}
	switch {
	case a.Genuine(key):
	case len(a.AskedMAC) == 0 && a.Intact():
		h.log.WarnContext(ctx, "approval without a mark", "approval_id", a.ID)
		return h.stop(a, "You asked for this before Steward was updated.", audit.Unchecked)
	default:
		h.log.ErrorContext(ctx, "approval mark does not verify", "approval_id", a.ID, "status", string(a.Status))
		return h.stop(a, "This request was altered after you made it.", audit.Unchecked)
	}
	j.principal, err = h.enforcer.Identify(ctx, a.SessionID)
	switch owner := j.principal.Session.Owner.Subject; {
	case fault.KindOf(err) == fault.Unauthenticated && a.Status == approval.Executing:
		return h.stop(a, "You signed out while I was doing it.", "")
	case fault.KindOf(err) == fault.Unauthenticated:
		return transition(a.Cancel(h.now(), approval.SignedOut))
	case err != nil:
		return next{}, err
	case owner == "" || owner != a.Owner:
		return h.stop(a, "This request belongs to somebody else.", "")
	}
	j.key = key
	return next{}, nil
}

// pending reserves the next poll as soon as one is due. A crash, or the queue, may leave several messages of one approval: if each
// of them polled, Auth0 would be asked too often.
func (h *handler) pending(ctx context.Context, j *job) (next, error) {
	a, now := j.approval, h.now()
	switch left := a.PollAt.Sub(now); {
	case a.Overdue(now):
		return transition(a.Expire(now)) // even if it was approved: too late is too late
	case len(a.AuthReqID) == 0:
		return lookAgain(pushPending)
	case j.polling:
		return h.poll(ctx, j)
	case left > 0:
		return lookAgain(left)
	}
	j.polling = true
	return transition(a.AcquirePoll(now))
}

// poll asks Auth0 once whether the person has answered.
func (h *handler) poll(ctx context.Context, j *job) (next, error) {
	a := j.approval
	sealer, err := h.sealer(ctx)
	if err != nil {
		return next{}, err
	}
	request, err := sealer.Open(a.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return h.stop(a, "I could not read your approval.", "")
	}
	answer, err := h.phone.Poll(ctx, request, pipeline.Question(a, h.now()), a.CreatedAt, a.Interval)
	now := h.now()
	switch {
	case fault.KindOf(err) == fault.Rejected:
		h.log.ErrorContext(ctx, "approval rejected", "approval_id", a.ID, "err", err)
		return h.stop(a, "The approval did not come from you.", "")
	case a.Overdue(now):
		return transition(a.Expire(now))
	case err != nil:
		h.report(ctx, a, err)
		return lookAgain(retryAfter)
	}
	switch answer.Outcome {
	case ciba.Waiting:
		j.message.Lost = 0
		if answer.Interval <= a.Interval {
			return lookAgain(answer.Interval)
		}
		n, err := transition(a.SlowDown(now, answer.Interval))
		n.delay = answer.Interval
		return n, err
	case ciba.Refused:
		if a.Overdue(now.Add(clockSkew)) { // Auth0 answers the same when a request has expired
			return transition(a.Expire(now))
		}
		return transition(a.Deny(now))
	case ciba.Expired:
		return transition(a.Expire(now))
	case ciba.Lost:
		return h.pushAgain(ctx, j)
	case ciba.Approved:
		return transition(a.Approve(now, j.key))
	default: // never an approval
		return next{}, fmt.Errorf("no step for outcome %q", answer.Outcome)
	}
}

// pushAgain deals with an answer that was lost, as when a worker crashed just after it had polled. What the answer was cannot be
// known, so it counts for nothing, and the person is asked once more if there is time. Before that, another worker that may hold
// the answer is given time to store it.
func (h *handler) pushAgain(ctx context.Context, j *job) (next, error) {
	a := j.approval
	if j.message.Lost == 0 {
		j.message.Lost++
		return lookAgain(retryAfter)
	}
	if a.Deadline().Sub(h.now()) < minAnswer || a.Pushes >= maxPushes {
		return h.stop(a, "The answer from your phone was lost; please ask again.", "")
	}
	sealer, err := h.sealer(ctx)
	if err != nil {
		return next{}, err
	}
	var started ciba.Started
	err = h.approvals.CountPush(ctx, a.Owner, h.now()) // this one counts as the first did
	if err == nil {
		started, err = h.phone.Start(ctx, pipeline.Question(a, h.now()))
	}
	if err != nil {
		h.report(ctx, a, err)
		return lookAgain(retryAfter)
	}
	sealed, err := sealer.Seal(started.AuthReqID, a.SealPurpose()...)
	if err != nil {
		return next{}, fmt.Errorf("seal auth_req_id: %w", err)
	}
	j.message.Lost = 0
	n, err := transition(a.SaveRequest(sealed, started.Interval, h.now().Add(started.Expiry)))
	n.delay = started.Interval
	return n, err
}

// approved records the decision, perhaps once more, before the change is claimed: what is not recorded is not carried out.
func (h *handler) approved(ctx context.Context, j *job) (next, error) {
	if err := h.record(ctx, j.approval); err != nil {
		return next{}, err
	}
	if h.pastGrace(j.approval) {
		return h.stop(j.approval, "You approved it, but I could not do it in time; please ask again.", "")
	}
	return h.claim(ctx, j)
}

// claim reserves the change for this worker, with a token of the person that is exchanged now and compared with who signed in, and
// with a permission that is checked now.
func (h *handler) claim(ctx context.Context, j *job) (next, error) {
	a := j.approval
	j.takeover = a.Status == approval.Executing
	op, ok := catalogue.OperationByID(a.Operation)
	if !ok {
		return h.stop(a, "There is no such operation any more.", "")
	}
	var err error
	switch j.token, err = h.enforcer.NewOktaToken(ctx, &j.principal); {
	case err == nil:
	case j.takeover || fault.KindOf(err) == fault.Upstream:
		return h.postpone(ctx, a, err, retryAfter)
	default:
		s := j.principal.Session
		h.trail.WrongAccount(ctx, audit.Act{Subject: s.Owner.Subject, Front: s.Front, Session: s.ID}, "", err)
		return h.stop(a, h.report(ctx, a, err), "")
	}
	switch err := h.authorize(ctx, j.principal, op, a); {
	case fault.KindOf(err) == fault.Denied:
		return h.stop(a, "You are not allowed to do this any more.", audit.Denied)
	case err != nil:
		return h.postpone(ctx, a, err, retryAfter)
	}
	j.claimed = true
	return transition(a.Claim(h.now(), lease))
}

// executing carries out a change that this worker has claimed. Where a worker crashed before, Okta is asked first whether the change
// has taken effect.
func (h *handler) executing(ctx context.Context, j *job) (next, error) {
	if !j.claimed {
		return h.claim(ctx, j)
	}
	a := j.approval
	op, _ := catalogue.OperationByID(a.Operation)
	ctx = okta.WithToken(ctx, j.token)
	if j.takeover {
		shows, err := h.okta.Verify(ctx, a)
		switch {
		case err != nil:
			return h.postpone(ctx, a, okta.Fault(err), lease+time.Second)
		case shows:
			return h.finish(a, approval.Done, shownByOkta, "")
		case !op.Idempotent:
			return h.finish(a, approval.Unknown, operation.Unknown(a), "")
		}
	}
	result, meta, err := h.okta.Do(ctx, a)
	if err == nil {
		return h.finish(a, approval.Done, result, meta.RequestID)
	}
	return h.failed(ctx, a, op, cmp.Or(meta.RequestID, okta.RequestID(err)), err)
}

// failed decides what follows from an error of Okta's. An answer that was lost is an error too, and may hide a success.
func (h *handler) failed(ctx context.Context, a approval.Approval, op catalogue.Operation, requestID string, err error) (next, error) {
	say := h.report(ctx, a, okta.Fault(err))
	if !okta.Unknown(err) {
		return h.finish(a, approval.Failed, say+" Nothing has changed.", requestID)
	}
	if shows, err := h.okta.Verify(ctx, a); err == nil && shows {
		return h.finish(a, approval.Done, shownByOkta, requestID)
	}
	if op.Idempotent && !h.pastGrace(a) {
		return lookAgain(lease + time.Second) // the next worker takes it over
	}
	return h.finish(a, approval.Unknown, operation.Unknown(a), requestID)
}

const shownByOkta = "Okta shows that it took effect."

func (h *handler) finish(a approval.Approval, status approval.Status, result, requestID string) (next, error) {
	return transition(a.Finish(h.now(), status, approval.Outcome{Result: result, OktaRequestID: requestID}))
}

// stop ends an approval that must not be carried out, and says why. If a worker had begun before, it may have taken effect.
func (h *handler) stop(a approval.Approval, why string, permission audit.Permission) (next, error) {
	if a.Status == approval.Executing {
		return transition(a.Finish(h.now(), approval.Unknown, approval.Outcome{Result: why + " " + operation.Unknown(a), Permission: permission}))
	}
	return transition(a.Fail(h.now(), approval.Outcome{Result: why + " Nothing has changed.", Permission: permission}))
}

// postpone looks again after a delay, because err may pass; but not for ever at a change that was begun.
func (h *handler) postpone(ctx context.Context, a approval.Approval, err error, delay time.Duration) (next, error) {
	h.report(ctx, a, err)
	if a.Status == approval.Executing && h.pastGrace(a) {
		return h.finish(a, approval.Unknown, operation.Unknown(a), "")
	}
	return lookAgain(delay)
}

// report logs err and returns the sentence for the person.
func (h *handler) report(ctx context.Context, a approval.Approval, err error) string {
	say, _ := fault.Answer(ctx, pipeline.About(h.log, err).With("approval_id", a.ID), err)
	return say
}

func (h *handler) pastGrace(a approval.Approval) bool { return h.now().After(a.ExpiresAt.Add(grace)) }

// authorize asks whether the person may still do this. Whether the account is their own is known from the token.
func (h *handler) authorize(ctx context.Context, p access.Principal, op catalogue.Operation, a approval.Approval) error {
	id := a.Target.ID
	if op.Target == catalogue.TargetArea {
		id = string(op.Area)
	}
	check, err := fga.For(p.User, op.Relation, string(op.Target), id, a.Target.ID != "" && a.Target.ID == p.Session.OktaUserID)
	if err != nil {
		return err
	}
	return h.enforcer.Authorize(ctx, true, check)
}

// record adds the audit entry of the state that a is in.
func (h *handler) record(ctx context.Context, a approval.Approval) error {
	e, err := a.StateEntry()
	if err != nil {
		return err
	}
	return h.trail.Recorder.Add(ctx, e)
}
