package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/acting"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/actor"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
)

type handler struct {
	desk  *actor.Desk
	okta  *okta.Client
	audit audit.Recorder
	door  acting.Door
	log   *slog.Logger
	now   func() time.Time
}

func newHandler(c *acting.Clients, log *slog.Logger, now func() time.Time) *handler {
	return &handler{desk: c.Desk, okta: c.Okta, audit: c.Audit, door: c.Door, log: log, now: now}
}

// Handle answers one call of the agent.
func (h *handler) Handle(ctx context.Context, payload json.RawMessage) (actiongroup.Response, error) {
	return acting.Handle(ctx, h.log, h.door, payload, h.answer)
}

// answer is the path of every read.
func (h *handler) answer(ctx context.Context, event actiongroup.Event) (string, error) {
	// 1 decode: only what the catalogue declares
	call, err := event.Call(actiongroup.GroupOkta)
	if err != nil {
		return "", err
	}
	// 2 identify and 3 authorize, as far as that goes before Okta is touched
	who, exact, err := h.desk.Enter(ctx, call)
	if err != nil {
		return "", h.refused(ctx, who, call, err)
	}
	if call.Operation.Target == actiongroup.TargetNone {
		return h.permissions(ctx, who)
	}
	var text string
	id, recorded := audit.NewID(h.now()), false
	// 4 token, kept sealed in the session while it is good
	err = h.desk.AtOkta(ctx, who, func(ctx context.Context) error {
		// 3 authorize the operation on the very object, where its id had to be looked up first
		on, err := h.resolve(ctx, &who, call)
		if err != nil {
			return err
		}
		if checks := h.checks(who, call, on); !exact || len(checks) > 1 {
			if err := h.desk.Authorize(ctx, false, checks...); err != nil {
				return err
			}
		}
		// 5 act and 6 record, side by side; the answer needs both
		var meta okta.Meta
		err = acting.Together(
			func() error {
				if recorded { // Okta refused the first token
					return nil
				}
				return h.record(ctx, id, who, call, on, fga.Allowed, "ok", "")
			},
			func() (err error) { text, meta, err = h.read(ctx, who, call, on); return err },
		)
		recorded = true
		h.log.InfoContext(ctx, "read okta", "operation", call.Operation.ID, "target", on.object, "audit_id", id, "okta_request_id", meta.RequestID)
		return err
	})
	if err != nil {
		return "", h.refused(ctx, who, call, err)
	}
	return text, nil // 7 answer
}

// target is the object of a call, once it is known.
type target struct {
	object string // for FGA and audit: "okta_user:00u…"
	label  string // what people call it
	user   okta.UserID
	group  okta.GroupID
	self   bool
}

// resolve turns what people say into exactly one id, or asks which of several is meant.
func (h *handler) resolve(ctx context.Context, who *actor.Actor, call actiongroup.Call) (target, error) {
	switch call.Operation.Target {
	case actiongroup.TargetUser:
		if said := call.Arg("user"); !who.IsMe(said) {
			u, candidates, err := h.okta.ResolveUser(ctx, said)
			if err != nil {
				return target{}, err
			}
			if u.ID == "" {
				return target{}, actor.WhichUser(said, candidates)
			}
			return target{object: fga.UserObject(string(u.ID)), label: u.Login, user: u.ID, self: string(u.ID) == who.Session.OktaUserID}, nil
		}
		id, err := h.desk.Own(ctx, who)
		if err != nil {
			return target{}, err
		}
		return target{object: fga.UserObject(string(id)), label: who.Session.Owner.Email, user: id, self: true}, nil
	case actiongroup.TargetGroup:
		said := call.Arg("group")
		g, candidates, err := h.okta.ResolveGroup(ctx, said)
		if err != nil {
			return target{}, err
		}
		if g.ID == "" {
			return target{}, actor.WhichGroup(said, candidates)
		}
		return target{object: fga.GroupObject(string(g.ID)), label: g.Name, group: g.ID}, nil
	default:
		area := string(call.Operation.Area)
		return target{object: fga.TypeOkta + ":" + area, label: area}, nil
	}
}

// checks are what must be allowed on the object itself.
func (h *handler) checks(who actor.Actor, call actiongroup.Call, on target) []fga.Check {
	switch call.Operation.Target {
	case actiongroup.TargetUser:
		checks := []fga.Check{fga.ForUser(who.User, call.Operation.Relation, string(on.user), on.self)}
		if call.Operation.ID == "get_user" && includes(call)[withGroups] {
			checks = append(checks, fga.ForUser(who.User, "can_list_groups", string(on.user), on.self))
		}
		return checks
	case actiongroup.TargetGroup:
		return []fga.Check{fga.ForGroup(who.User, call.Operation.Relation, string(on.group))}
	default:
		return []fga.Check{fga.ForArea(who.User, call.Operation.Relation, on.object)}
	}
}

// refused records a refusal of somebody we know. What cannot be recorded is still a refusal.
func (h *handler) refused(ctx context.Context, who actor.Actor, call actiongroup.Call, cause error) error {
	if who.Session.ID == "" {
		return cause
	}
	decision, kind := fga.Unknown, fault.KindOf(cause)
	switch {
	case okta.KindOf(cause) != "": // it was allowed, but Okta did not do it
		decision = fga.Allowed
	case kind == fault.Denied:
		decision = fga.Denied
	case kind != fault.Upstream && kind != fault.Internal:
		return cause // a question that leads to no decision
	}
	on := target{label: firstOf(call.Arg("user"), call.Arg("group"), call.Arg("query"))}
	if err := h.record(ctx, audit.NewID(h.now()), who, call, on, decision, string(kind), ""); err != nil {
		h.log.ErrorContext(ctx, "a refusal was not recorded", "err", err)
	}
	return cause
}

func (h *handler) record(ctx context.Context, id string, who actor.Actor, call actiongroup.Call, on target, decision fga.Decision, outcome, request string) error {
	return h.audit.Add(ctx, audit.Record{
		ID: id, At: h.now(), Subject: string(who.Session.Owner.Subject), SessionID: string(who.Session.ID), Stage: audit.Read,
		Operation: call.Operation.ID, Target: on.object, TargetLabel: on.label,
		Decision: string(decision), Outcome: outcome, OktaRequest: request,
	})
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
