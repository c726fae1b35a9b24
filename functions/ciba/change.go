package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
)

// change is an elevated change with everything it names resolved to one id each.
type change struct {
	target approval.Ref
	party  approval.Ref
	args   map[string]string
	self   bool // the target is the person who asks
	// useless is why the change cannot work, as things stand in Okta. It is told only to those who may make the change.
	useless error
}

// person is somebody that a call names.
type person struct {
	ref    approval.Ref
	status okta.Status // "" where it was not read
}

// object is the id that the operation's relation is asked on.
func (c change) object(op catalogue.Operation) string {
	if op.Target == catalogue.TargetArea {
		return string(op.Area)
	}
	return c.target.ID
}

// summary is the sentence that chat and phone show, and that the person approves.
func (c change) summary(op catalogue.Operation) string {
	return approval.Sentence(op.ID, c.target, c.party, c.args)
}

// resolve finds the one id of everything a call names, and refuses what cannot be changed before anybody is asked.
func (h *handler) resolve(ctx context.Context, who *access.Principal, call actiongroup.Call) (change, error) {
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

func (h *handler) onUser(ctx context.Context, who *access.Principal, call actiongroup.Call) (change, error) {
	p, err := h.user(ctx, who, call.Arg("user"))
	if err != nil {
		return change{}, err
	}
	c := change{target: p.ref, self: p.ref.Self}
	if op := call.Operation.ID; c.self && (op == "suspend" || op == "deactivate") {
		return change{}, fault.New(fault.Conflict, "That would lock you out of your own account. Ask another administrator to do it.", nil)
	}
	c.useless, err = h.account(ctx, call.Operation.ID, p)
	return c, err
}

func (h *handler) onMembership(ctx context.Context, who *access.Principal, call actiongroup.Call) (change, error) {
	var group okta.Group
	var user person
	if err := pipeline.Together(
		func() (err error) { group, err = h.group(ctx, call.Arg("group")); return err },
		func() (err error) { user, err = h.user(ctx, who, call.Arg("user")); return err },
	); err != nil {
		return change{}, err
	}
	c := change{target: groupRef(group, call.Arg("group")), party: user.ref}
	var err error
	c.useless, err = h.membership(ctx, call.Operation.ID, c.target, c.party)
	return c, err
}

func (h *handler) onGroup(ctx context.Context, call actiongroup.Call) (change, error) {
	switch call.Operation.ID {
	case "create_group":
		return h.onNewGroup(ctx, call)
	case "rename_group":
		return h.onRename(ctx, call)
	}
	group, err := h.group(ctx, call.Arg("group"))
	return change{target: groupRef(group, call.Arg("group"))}, err
}

func (h *handler) onNewGroup(ctx context.Context, call actiongroup.Call) (change, error) {
	name := call.Arg("group")
	args, err := texts(call, approval.ArgName, name)
	if err != nil {
		return change{}, err
	}
	taken, err := h.taken(ctx, name, "")
	return change{target: approval.Ref{Type: string(catalogue.TargetGroup), Label: name}, args: args, useless: taken}, err
}

func (h *handler) onRename(ctx context.Context, call actiongroup.Call) (change, error) {
	name := call.Arg("new_name")
	if name == "" {
		return change{}, fault.New(fault.Invalid, "The parameter new_name is missing. Please ask the person for the new name.", nil)
	}
	args, err := texts(call, approval.ArgNewName, name)
	if err != nil {
		return change{}, err
	}
	group, err := h.group(ctx, call.Arg("group"))
	if err != nil {
		return change{}, err
	}
	c := change{target: groupRef(group, call.Arg("group")), args: args}
	if description, ok := args[approval.ArgDescription]; group.Name == name && (!ok || group.Description == description) {
		c.useless = useless("%s is called that already.", c.target.Quoted())
		return c, nil
	}
	c.useless, err = h.taken(ctx, name, group.ID)
	return c, err
}

// texts are the arguments of a group to be written: its name, under key, and its description.
func texts(call actiongroup.Call, key, name string) (map[string]string, error) {
	if _, changed := label.Clean(name); changed {
		return nil, fault.New(fault.Invalid, "A name may not hold invisible characters, or other blanks than single ordinary ones: it could pass for another. Please ask the person to type it anew.", nil)
	}
	args := map[string]string{key: name}
	if description, _ := label.Clean(call.Arg("description")); description != "" {
		args[approval.ArgDescription] = description
	}
	for _, text := range args {
		if !okta.Fits(text) {
			return nil, fault.New(fault.Invalid, "Okta does not take emoji and other rare characters in names and descriptions. Please ask the person for other words.", nil)
		}
	}
	return args, nil
}

// taken returns the refusal of a name that another group than self has already, nil if none has.
func (h *handler) taken(ctx context.Context, name string, self okta.GroupID) (refusal, err error) {
	g, candidates, err := h.okta.ResolveGroup(ctx, name)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(append(candidates, g), func(g okta.Group) bool {
		return g.ID != "" && g.ID != self && strings.EqualFold(g.Name, name)
	}) {
		return useless("There is an Okta group of that name already."), nil
	}
	return nil, nil
}

func (h *handler) onApp(ctx context.Context, who *access.Principal, call actiongroup.Call) (change, error) {
	user, group := call.Arg("user"), call.Arg("group")
	if (user == "") == (group == "") {
		return change{}, fault.New(fault.Invalid, "Name either the user or the group that the app is for, one of the two. Please ask the person.", nil)
	}
	var c change
	var p person
	if err := pipeline.Together(
		func() (err error) { c.target, err = h.app(ctx, call.Arg("app")); return err },
		func() (err error) {
			if user != "" {
				p, err = h.user(ctx, who, user)
				c.party = p.ref
				return err
			}
			g, candidates, err := h.okta.ResolveGroup(ctx, group)
			if err == nil && g.ID == "" {
				err = access.WhichGroup(group, candidates)
			}
			c.party = groupRef(g, group)
			return err
		},
	); err != nil {
		return change{}, err
	}
	var err error
	if user != "" {
		c.useless, err = h.userAssignment(ctx, call.Operation.ID, c.target, p)
	} else {
		c.useless, err = h.groupAssignment(ctx, call.Operation.ID, c.target, c.party)
	}
	return c, err
}

// user is whoever is meant: the actor, or somebody.
func (h *handler) user(ctx context.Context, who *access.Principal, said string) (person, error) {
	if who.IsMe(said) {
		id, err := who.OktaUserID()
		ref := approval.NewRef(catalogue.TargetUser, string(id), who.Session.OktaLogin)
		ref.Self = true
		return person{ref, okta.Active}, err // as who signs in is; what that forbids is looked at once more
	}
	u, candidates, err := h.okta.ResolveUser(ctx, said)
	if err != nil {
		return person{}, err
	}
	if u.ID == "" {
		return person{}, access.WhichUser(said, candidates)
	}
	ref := approval.NewRef(catalogue.TargetUser, string(u.ID), u.Login)
	ref.Self = ref.ID == who.Session.OktaUserID // people may name themselves by any of their names
	return person{ref, u.Status}, nil
}

// group is the one group that a name means, if it can be changed.
func (h *handler) group(ctx context.Context, said string) (okta.Group, error) {
	g, candidates, err := h.okta.ResolveGroup(ctx, said)
	switch {
	case err != nil:
		return okta.Group{}, err
	case g.ID == "":
		return okta.Group{}, access.WhichGroup(said, candidates)
	case g.Type == okta.BuiltIn:
		return okta.Group{}, fault.New(fault.Conflict, "This group is built into Okta and cannot be changed.", nil)
	case !g.Changeable():
		return okta.Group{}, fault.New(fault.Conflict, "This group comes from an app or a directory and can only be changed there.", nil)
	}
	return g, nil
}

func (h *handler) app(ctx context.Context, said string) (approval.Ref, error) {
	a, candidates, err := h.okta.ResolveApp(ctx, said)
	if err != nil {
		return approval.Ref{}, err
	}
	if a.ID == "" {
		return approval.Ref{}, access.WhichApp(said, candidates)
	}
	ref := approval.NewRef(catalogue.TargetApp, string(a.ID), a.Label)
	if said == ref.ID {
		ref = ref.Marked()
	}
	return ref, nil
}

// groupRef is a group by its name, which is its own unless the group had to be named by its id.
func groupRef(g okta.Group, said string) approval.Ref {
	ref := approval.NewRef(catalogue.TargetGroup, string(g.ID), g.Name)
	if said == ref.ID {
		ref = ref.Marked()
	}
	return ref
}
