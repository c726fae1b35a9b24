package main

import (
	"context"
	"fmt"

	"github.com/steward-iam/steward/functions/internal/acting"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/actor"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

// change is an elevated change with everything it names resolved to one id each.
type change struct {
	target approval.Ref
	party  approval.Ref
	args   map[string]string
	self   bool // the target is the person who asks
}

// object is the id that the operation's relation is asked on.
func (c change) object(op actiongroup.Operation) string {
	if op.Target == actiongroup.TargetArea {
		return string(op.Area)
	}
	return c.target.ID
}

// summary is the sentence that chat and phone show, and that the person approves.
func (c change) summary(op actiongroup.Operation) string {
	return approval.Sentence(op.ID, c.target, c.party, c.args)
}

// resolve finds the one id of everything a call names, and refuses what cannot be changed before anybody is asked.
func (h *handler) resolve(ctx context.Context, who *actor.Actor, call actiongroup.Call) (change, error) {
	switch call.Function.Name {
	case "manage_user":
		return h.onUser(ctx, who, call)
	case "change_group_membership":
		return h.onMembership(ctx, who, call)
	case "manage_group":
		return h.onGroup(ctx, call)
	case "change_app_assignment":
		return h.onApp(ctx, who, call)
	}
	return change{}, fmt.Errorf("no code for function %q", call.Function.Name)
}

func (h *handler) onUser(ctx context.Context, who *actor.Actor, call actiongroup.Call) (change, error) {
	var ref approval.Ref
	said := call.Arg("user")
	steps := []func() error{func() (err error) { ref, err = h.user(ctx, who, said); return err }}
	if !who.IsMe(said) {
		steps = []func() error{
			func() (err error) { ref, err = h.someone(ctx, said); return err },
			// People may name themselves by any of their names, so their own id has to be known.
			func() error { _, err := h.desk.Own(ctx, who); return err },
		}
	}
	if err := acting.Together(steps...); err != nil {
		return change{}, err
	}
	ref.Self = ref.ID == who.Session.OktaUserID
	c := change{target: ref, self: ref.Self}
	if op := call.Operation.ID; c.self && (op == "suspend" || op == "deactivate") {
		return change{}, fault.New(fault.Conflict, "That would lock you out of your own account. Ask another administrator to do it.", nil)
	}
	return c, nil
}

func (h *handler) onMembership(ctx context.Context, who *actor.Actor, call actiongroup.Call) (change, error) {
	var group, user approval.Ref
	err := acting.Together(
		func() (err error) { group, err = h.group(ctx, call.Arg("group")); return err },
		func() (err error) { user, err = h.user(ctx, who, call.Arg("user")); return err },
	)
	return change{target: group, party: user}, err
}

func (h *handler) onGroup(ctx context.Context, call actiongroup.Call) (change, error) {
	name, description := call.Arg("group"), call.Arg("description")
	args := map[string]string{}
	if description != "" {
		args["description"] = description
	}
	switch call.Operation.ID {
	case "create_group":
		g, _, err := h.okta.ResolveGroup(ctx, name)
		if err != nil {
			return change{}, err
		}
		if g.ID != "" {
			return change{}, fault.New(fault.Conflict, "There is an Okta group of that name already.", nil)
		}
		args["name"] = name
		return change{target: approval.Ref{Type: string(actiongroup.TargetGroup), Label: name}, args: args}, nil
	case "rename_group":
		newName := call.Arg("new_name")
		if newName == "" {
			return change{}, fault.New(fault.Invalid, "The parameter new_name is missing. Please ask the person for the new name.", nil)
		}
		args["new_name"] = newName
	}
	group, err := h.group(ctx, name)
	return change{target: group, args: args}, err
}

func (h *handler) onApp(ctx context.Context, who *actor.Actor, call actiongroup.Call) (change, error) {
	user, group := call.Arg("user"), call.Arg("group")
	if (user == "") == (group == "") {
		return change{}, fault.New(fault.Invalid, "Name either the user or the group that the app is for, one of the two. Please ask the person.", nil)
	}
	var app, party approval.Ref
	err := acting.Together(
		func() (err error) { app, err = h.app(ctx, call.Arg("app")); return err },
		func() (err error) {
			if user != "" {
				party, err = h.user(ctx, who, user)
				return err
			}
			g, candidates, err := h.okta.ResolveGroup(ctx, group)
			if err == nil && g.ID == "" {
				err = actor.WhichGroup(group, candidates)
			}
			party = groupRef(g, group)
			return err
		},
	)
	return change{target: app, party: party}, err
}

// user is whoever is meant: the actor, or somebody.
func (h *handler) user(ctx context.Context, who *actor.Actor, said string) (approval.Ref, error) {
	if who.IsMe(said) {
		id, err := h.desk.Own(ctx, who)
		ref := approval.NewRef(actiongroup.TargetUser, string(id), who.Session.Owner.Email)
		ref.Self = true
		return ref, err
	}
	return h.someone(ctx, said)
}

// someone is the one person that a name means.
func (h *handler) someone(ctx context.Context, said string) (approval.Ref, error) {
	u, candidates, err := h.okta.ResolveUser(ctx, said)
	if err != nil {
		return approval.Ref{}, err
	}
	if u.ID == "" {
		return approval.Ref{}, actor.WhichUser(said, candidates)
	}
	return approval.NewRef(actiongroup.TargetUser, string(u.ID), u.Login), nil
}

func (h *handler) group(ctx context.Context, said string) (approval.Ref, error) {
	g, candidates, err := h.okta.ResolveGroup(ctx, said)
	switch {
	case err != nil:
		return approval.Ref{}, err
	case g.ID == "":
		return approval.Ref{}, actor.WhichGroup(said, candidates)
	case g.Type == okta.BuiltIn:
		return approval.Ref{}, fault.New(fault.Conflict, "This group is built into Okta and cannot be changed.", nil)
	case !g.Changeable():
		return approval.Ref{}, fault.New(fault.Conflict, "This group comes from an app or a directory and can only be changed there.", nil)
	}
	return groupRef(g, said), nil
}

func (h *handler) app(ctx context.Context, said string) (approval.Ref, error) {
	a, candidates, err := h.okta.ResolveApp(ctx, said)
	if err != nil {
		return approval.Ref{}, err
	}
	if a.ID == "" {
		return approval.Ref{}, actor.WhichApp(said, candidates)
	}
	ref := approval.NewRef(actiongroup.TargetApp, string(a.ID), a.Label)
	if said == ref.ID {
		ref = ref.Marked()
	}
	return ref, nil
}

// groupRef is a group by its name, which is its own unless the group had to be named by its id.
func groupRef(g okta.Group, said string) approval.Ref {
	ref := approval.NewRef(actiongroup.TargetGroup, string(g.ID), g.Name)
	if said == ref.ID {
		ref = ref.Marked()
	}
	return ref
}
