package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// Trail is where a function records what it decides and does.
type Trail struct {
	Recorder audit.Recorder
	Log      *slog.Logger
	Now      func() time.Time
}

// record is the audit trail of one call.
type record struct {
	Trail

	act        audit.Act
	admission  *access.Admission
	changes    bool
	decisionID string // "" before the decision entry is written
}

// begin starts the record of a call, with its objects and members as people said them. Ids take their place once they are known.
func (t Trail) begin(a *access.Admission, call actiongroup.Call) *record {
	return &record{Trail: t, act: actOf(a.Principal, call), admission: a, changes: call.Function.Elevated}
}

// actOf is what a call asks for, by the names that people used.
func actOf(p access.Principal, call actiongroup.Call) audit.Act {
	op := call.Operation
	act := audit.Act{
		Subject: p.Session.Owner.Subject, Front: p.Session.Front, Session: p.Session.ID, Operation: op.ID, Args: maps.Clone(call.Args),
		Reason: call.Arg(catalogue.ParamReason),
	}
	delete(act.Args, catalogue.ParamReason)
	delete(act.Args, "action") // the operation says it
	named := func(param string) audit.Ref {
		kind, text := catalogue.TargetOf(param), call.Arg(param)
		delete(act.Args, param)
		if kind == catalogue.TargetUser && p.IsMe(text) {
			return audit.Ref{Type: string(kind), ID: p.Session.OktaUserID, Label: cmp.Or(p.Session.OktaLogin, p.Session.Owner.Email, access.Me)}
		}
		return audit.Ref{Type: string(kind), Label: text}
	}
	switch {
	case op.Object != "":
		act.Object = named(op.Object)
	case op.Target == catalogue.TargetArea:
		act.Object = audit.Ref{Type: string(op.Target), ID: string(op.Area), Label: string(op.Area)}
	}
	for _, param := range op.Members {
		if call.Arg(param) != "" {
			act.Member = named(param)
			break
		}
	}
	return act
}

// resolved puts ids in the place of names. What else decides the effect of a change is known now, too.
func (r *record) resolved(in operation.Input) {
	r.act.Object, r.act.Member = in.Object.Recorded(), in.Member.Recorded()
	if r.changes {
		r.act.Args = in.Args
	}
}

// decided adds the decision entry of a call that is allowed. Where it returns an error, the act must not be answered.
func (r *record) decided(ctx context.Context) error {
	id := audit.NewID(r.Now())
	err := r.add(ctx, r.act, audit.Details{ID: id, Kind: audit.Decision, Permission: audit.Allowed})
	if err == nil {
		r.decisionID = id
	}
	return err
}

// failed adds the entry of a call that led to nothing, and why: after its decision entry an outcome, else a decision that says so
// itself. It returns the cause as an error for people, with the reference that the entry names. What cannot be recorded has
// failed all the same. Nothing is recorded of people we do not know.
func (r *record) failed(ctx context.Context, cause error) error {
	ref, cause := fault.Refer(okta.Fault(cause))
	if r.act.Subject == "" {
		return cause
	}
	kind := fault.KindOf(cause)
	details := audit.Details{ID: audit.NewID(r.Now()), Kind: audit.Decision, Permission: audit.Unchecked, Result: audit.Result(kind), Reference: ref}
	switch {
	case r.decisionID != "":
		details.ID, details.Kind, details.DecisionID = audit.NewIDAfter(r.Now(), r.decisionID), audit.Outcome, r.decisionID
		details.Permission, details.OktaRequestID = audit.Allowed, okta.RequestID(cause)
	case r.admission.Authorized():
		details.Permission = audit.Allowed
	case kind == fault.Denied && okta.KindOf(cause) == "":
		details.Permission = audit.Denied
	}
	if err := r.add(ctx, r.act, details); err != nil {
		r.Log.ErrorContext(ctx, "a failure was not recorded", "err", err)
	}
	r.WrongAccount(ctx, r.act, details.ID, cause)
	return cause
}

// WrongAccount records, after the entry of that id, whose account was connected where cause says that it was another person's; else
// it does nothing.
func (t Trail) WrongAccount(ctx context.Context, act audit.Act, id string, cause error) {
	wrong, ok := errors.AsType[*tokenvault.WrongAccount](cause)
	if !ok {
		return
	}
	act = audit.Act{
		Subject: act.Subject, Front: act.Front, Session: act.Session, Operation: audit.DisconnectOkta,
		Object: audit.Ref{Type: string(catalogue.TargetUser), ID: string(wrong.Account.ID), Label: wrong.Account.Login},
	}
	details := audit.Details{ID: audit.NewIDAfter(t.Now(), id), Kind: audit.Outcome, Permission: audit.Unchecked, Result: audit.OK}
	if !wrong.Disconnected {
		details.Result = audit.Failed
	}
	if err := t.add(ctx, act, details); err != nil {
		t.Log.ErrorContext(ctx, "a wrong account was not recorded", "err", err)
	}
}

func (t Trail) add(ctx context.Context, act audit.Act, details audit.Details) error {
	e, err := audit.New(t.Now(), act, details)
	if err != nil {
		return err
	}
	return t.Recorder.Add(ctx, e)
}
