package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// Trail records what a function decides and does.
type Trail struct {
	Recorder audit.Recorder
	Log      *slog.Logger
	Now      func() time.Time
}

// ActOf is what a call asks for, as the person said it: objects and members by the names they used. Ids take their place once
// they are known.
func ActOf(p access.Principal, call actiongroup.Call) audit.Act {
	op := call.Operation
	act := audit.Act{
		Subject: p.Session.Owner.Subject, Front: p.Session.Front, Session: p.Session.ID, Operation: op.ID, Args: maps.Clone(call.Args),
		Reason: call.Arg(catalogue.ParamReason),
	}
	delete(act.Args, catalogue.ParamReason)
	named := func(typ catalogue.Target, parameter string) audit.Ref {
		said := call.Arg(parameter)
		if said == "" && (parameter != "user" || op.Target != catalogue.TargetUser) {
			return audit.Ref{}
		}
		delete(act.Args, parameter)
		if typ == catalogue.TargetUser && p.IsMe(said) {
			return audit.Ref{Type: string(typ), ID: p.Session.OktaUserID, Label: cmp.Or(p.Session.OktaLogin, p.Session.Owner.Email, access.Me)}
		}
		return audit.Ref{Type: string(typ), Label: said}
	}
	delete(act.Args, "action") // the operation says it
	switch op.Target {
	case catalogue.TargetUser:
		act.Object = named(catalogue.TargetUser, "user")
	case catalogue.TargetGroup:
		act.Object, act.Member = named(catalogue.TargetGroup, "group"), named(catalogue.TargetUser, "user")
	case catalogue.TargetApp:
		act.Object = named(catalogue.TargetApp, "app")
		if act.Member = named(catalogue.TargetGroup, "group"); act.Member == (audit.Ref{}) {
			act.Member = named(catalogue.TargetUser, "user")
		}
	case catalogue.TargetArea:
		act.Object = audit.Ref{Type: string(catalogue.TargetArea), ID: string(op.Area), Label: string(op.Area)}
		if group := named(catalogue.TargetGroup, "group"); group != (audit.Ref{}) { // one that is yet to be created
			act.Object = group
		}
	case catalogue.TargetNone:
	}
	return act
}

// Add records one entry.
func (t Trail) Add(ctx context.Context, act audit.Act, known audit.Details) error {
	e, err := audit.New(t.Now(), act, known)
	if err != nil {
		return err
	}
	return t.Recorder.Add(ctx, e)
}

// Refused records that a request of somebody we know led to nothing, and why. Asked is what FGA had said of the operation on its
// object before that. What cannot be recorded is still refused. The error it returns carries the reference that the entry names.
func (t Trail) Refused(ctx context.Context, act audit.Act, asked audit.Permission, cause error) error {
	ref, cause := fault.Refer(cause)
	if act.Subject == "" {
		return cause
	}
	kind := fault.KindOf(cause)
	if kind == fault.Denied && okta.KindOf(cause) == "" {
		asked = audit.Denied
	}
	id := audit.NewID(t.Now())
	err := t.Add(ctx, act, audit.Details{ID: id, Kind: audit.Decision, Permission: asked, Result: audit.Result(kind), Reference: ref})
	if err != nil {
		t.Log.ErrorContext(ctx, "a refusal was not recorded", "err", err)
	}
	t.WrongAccount(ctx, act, id, cause)
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
	known := audit.Details{ID: audit.NewIDAfter(t.Now(), id), Kind: audit.Outcome, Permission: audit.Unchecked, Result: audit.OK}
	if !wrong.Disconnected {
		known.Result = audit.Failed
	}
	if err := t.Add(ctx, act, known); err != nil {
		t.Log.ErrorContext(ctx, "a wrong account was not recorded", "err", err)
	}
}

// Failed records that an act which was allowed under that decision entry failed, and why.
func (t Trail) Failed(ctx context.Context, act audit.Act, decisionID string, cause error) error {
	ref, cause := fault.Refer(cause)
	known := audit.Details{
		ID: audit.NewIDAfter(t.Now(), decisionID), Kind: audit.Outcome, Permission: audit.Allowed, Result: audit.Result(fault.KindOf(cause)), DecisionID: decisionID,
		Reference: ref, OktaRequestID: okta.RequestID(cause),
	}
	if err := t.Add(ctx, act, known); err != nil {
		t.Log.ErrorContext(ctx, "a failure was not recorded", "err", err)
	}
	return cause
}
