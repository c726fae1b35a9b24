package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
)

type handler struct {
	enforcer *access.Enforcer
	okta     *okta.Client
	trail    pipeline.Trail
	door     pipeline.Door
	log      *slog.Logger
	now      func() time.Time
}

func newHandler(c *pipeline.Clients, log *slog.Logger, now func() time.Time) *handler {
	return &handler{enforcer: c.Enforcer, okta: c.Okta, trail: pipeline.Trail{Recorder: c.Audit, Log: log, Now: now}, door: c.Door, log: log, now: now}
}

// Handle answers one call of the agent.
func (h *handler) Handle(ctx context.Context, payload json.RawMessage) (actiongroup.Response, error) {
	return pipeline.Handle(ctx, h.log, h.door, payload, h.answer)
}

// answer is the path of every read.
func (h *handler) answer(ctx context.Context, event actiongroup.Event) (string, error) {
	// 1 decode: only what the catalogue declares
	call, err := event.Call(catalogue.GroupOkta)
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
		return h.permissions(ctx, *who)
	}
	if admission.Authorized() {
		asked = audit.Allowed
	}
	// 4 token, kept sealed in the session while it is good
	ctx, err = h.enforcer.WithOktaToken(ctx, who)
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, err)
	}
	// 3 authorize the operation on the very object, where its id had to be looked up first
	on, err := h.resolve(ctx, who, call)
	if err != nil {
		return "", h.trail.Refused(ctx, act, asked, okta.Fault(err))
	}
	act.Object = on.ref
	if err := admission.Authorize(ctx, h.checks(*who, call, on)...); err != nil {
		return "", h.trail.Refused(ctx, act, asked, err)
	}
	// 5 record the decision and 6 act, side by side; the answer needs both
	var text string
	var meta okta.Meta
	decisionID, recorded := audit.NewID(h.now()), false
	err = pipeline.Together(
		func() error {
			err := h.trail.Add(ctx, act, audit.Details{ID: decisionID, Kind: audit.Decision, Permission: audit.Allowed})
			recorded = err == nil
			return err
		},
		func() (err error) { text, meta, err = h.read(ctx, *who, call, on); return okta.Fault(err) },
	)
	// 7 record what failed, and answer
	switch {
	case err != nil && recorded:
		return "", h.trail.Failed(ctx, act, decisionID, err)
	case err != nil:
		return "", h.trail.Refused(ctx, act, audit.Allowed, err)
	}
	h.log.InfoContext(ctx, "read okta", "operation", call.Operation.ID, "target", act.Object.ID, "audit_id", decisionID, "okta_request_id", meta.RequestID)
	return text, nil
}

// target is the object of a call, once it is known.
type target struct {
	ref  audit.Ref
	self bool // it is the person who asks
}

// resolve turns what people say into exactly one id, or asks which of several is meant.
func (h *handler) resolve(ctx context.Context, who *access.Principal, call actiongroup.Call) (target, error) {
	ref := func(id, label string) audit.Ref {
		return audit.Ref{Type: string(call.Operation.Target), ID: id, Label: label}
	}
	switch call.Operation.Target {
	case catalogue.TargetUser:
		said := call.Arg("user")
		if who.IsMe(said) {
			return target{ref: ref(who.Session.OktaUserID, who.Session.OktaLogin), self: true}, nil
		}
		u, candidates, err := h.okta.ResolveUser(ctx, said)
		if err != nil {
			return target{}, err
		}
		if u.ID == "" {
			return target{}, access.WhichUser(said, candidates)
		}
		return target{ref: ref(string(u.ID), u.Login), self: string(u.ID) == who.Session.OktaUserID}, nil
	case catalogue.TargetGroup:
		said := call.Arg("group")
		g, candidates, err := h.okta.ResolveGroup(ctx, said)
		if err != nil {
			return target{}, err
		}
		if g.ID == "" {
			return target{}, access.WhichGroup(said, candidates)
		}
		return target{ref: ref(string(g.ID), g.Name)}, nil
	default:
		return target{ref: ref(string(call.Operation.Area), string(call.Operation.Area))}, nil
	}
}

// checks are what must be allowed on the object itself.
func (h *handler) checks(who access.Principal, call actiongroup.Call, on target) []fga.Check {
	switch call.Operation.Target {
	case catalogue.TargetUser:
		checks := []fga.Check{fga.ForUser(who.User, call.Operation.Relation, on.ref.ID, on.self)}
		if call.Operation.ID == "get_user" && includes(call)[withGroups] {
			checks = append(checks, fga.ForUser(who.User, "can_list_groups", on.ref.ID, on.self))
		}
		return checks
	case catalogue.TargetGroup:
		return []fga.Check{fga.ForGroup(who.User, call.Operation.Relation, on.ref.ID)}
	default:
		return []fga.Check{fga.ForArea(who.User, call.Operation.Relation, fga.TypeOkta+":"+on.ref.ID)}
	}
}
