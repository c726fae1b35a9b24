package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
)

// Changes are the rows of all elevated operations.
func Changes() []Row {
	rows := []Row{
		membership("add_to_group", true, (*okta.Client).AddToGroup),
		membership("remove_from_group", false, (*okta.Client).RemoveFromGroup),
		createGroup, renameGroup, deleteGroup,
		assignment("assign_app", true, (*okta.Client).AssignUserToApp, (*okta.Client).AssignGroupToApp),
		assignment("unassign_app", false, (*okta.Client).UnassignUserFromApp, (*okta.Client).UnassignGroupFromApp),
	}
	for _, c := range accounts {
		rows = append(rows, c.row())
	}
	return rows
}

const confirmed = "Okta confirmed the change."

func lookAtObject(approval.Approval) string { return "Look at the object in Okta" }

func lookForMail(a approval.Approval) string {
	return "See whether " + a.Target.Quoted() + " got an e-mail from Okta, or look at the account there"
}

// impossible is the refusal of a change that would leave things as they are, or that Okta would refuse.
func impossible(sentence string, names ...any) error {
	sentence = fmt.Sprintf(sentence, names...)
	if rest, ok := strings.CutPrefix(sentence, "the "); ok {
		sentence = "The " + rest
	}
	return fault.New(fault.Conflict, sentence, nil)
}

// membership is the row of adding people to a group, or of removing them. member is whether they are one afterwards.
func membership(id string, member bool, do func(*okta.Client, context.Context, okta.GroupID, okta.UserID) (okta.Meta, error)) Row {
	return Row{
		ID: id, Resolve: byName, Done: confirmed, Explain: lookAtObject,
		Possible: func(ctx context.Context, client *okta.Client, in Input) error {
			if err := changeable(in.Object.Group); err != nil {
				return err
			}
			now, _, err := client.IsMember(ctx, okta.GroupID(in.Object.ID), okta.UserID(in.Member.ID))
			switch {
			case okta.KindOf(err) == okta.KindGarbled: // in too many groups to say
				return nil
			case err != nil:
				return err
			case now && member:
				return impossible("%s is in %s already.", in.Member.Quoted(), in.Object.Quoted())
			case !now && !member:
				return impossible("%s is not in %s.", in.Member.Quoted(), in.Object.Quoted())
			}
			return nil
		},
		Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
			return do(client, ctx, okta.GroupID(a.Target.ID), okta.UserID(a.Member.ID))
		},
		Verify: func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
			now, _, err := client.IsMember(ctx, okta.GroupID(a.Target.ID), okta.UserID(a.Member.ID))
			return err == nil && now == member, err
		},
	}
}

// changeable returns why a group cannot be changed, nil if it can.
func changeable(g okta.Group) error {
	switch {
	case g.Type == okta.BuiltIn:
		return impossible("This group is built into Okta and cannot be changed.")
	case !g.Changeable():
		return impossible("This group comes from an app or a directory and can only be changed there.")
	}
	return nil
}

var createGroup = Row{
	ID: "create_group", Done: confirmed, Explain: lookAtObject,
	Resolve: func(_ context.Context, _ *okta.Client, _ access.Principal, call actiongroup.Call) (Input, error) {
		name := call.Arg("group")
		args, err := groupArgs(call, approval.ArgName, name)
		return Input{Object: Object{Ref: approval.Ref{Type: string(catalogue.TargetGroup), Label: name}}, Args: args}, err
	},
	Possible: func(ctx context.Context, client *okta.Client, in Input) error {
		return nameIsFree(ctx, client, in.Args[approval.ArgName], "")
	},
	Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
		_, meta, err := client.CreateGroup(ctx, a.Args[approval.ArgName], a.Args[approval.ArgDescription])
		return meta, err
	},
	Verify: func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
		g, _, err := client.ResolveGroup(ctx, a.Args[approval.ArgName])
		return err == nil && g.ID != "", err
	},
}

var renameGroup = Row{
	ID: "rename_group", Done: confirmed, Explain: lookAtObject,
	Resolve: func(ctx context.Context, client *okta.Client, p access.Principal, call actiongroup.Call) (Input, error) {
		name := call.Arg("new_name")
		if name == "" {
			return Input{}, fault.New(fault.Invalid, "The parameter new_name is missing. Please ask the person for the new name.", nil)
		}
		args, err := groupArgs(call, approval.ArgNewName, name)
		if err != nil {
			return Input{}, err
		}
		in, err := byName(ctx, client, p, call)
		in.Args = args
		return in, err
	},
	Possible: func(ctx context.Context, client *okta.Client, in Input) error {
		group, name := in.Object.Group, in.Args[approval.ArgNewName]
		if err := changeable(group); err != nil {
			return err
		}
		if description, ok := in.Args[approval.ArgDescription]; group.Name == name && (!ok || group.Description == description) {
			return impossible("%s is called that already.", in.Object.Quoted())
		}
		return nameIsFree(ctx, client, name, group.ID)
	},
	Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
		var description *string
		if d, ok := a.Args[approval.ArgDescription]; ok {
			description = &d
		}
		_, meta, err := client.RenameGroup(ctx, okta.GroupID(a.Target.ID), a.Args[approval.ArgNewName], description)
		return meta, err
	},
	Verify: func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
		g, _, err := client.GroupByID(ctx, okta.GroupID(a.Target.ID))
		return err == nil && g.Name == a.Args[approval.ArgNewName], err
	},
}

var deleteGroup = Row{
	ID: "delete_group", Resolve: byName, Done: confirmed, Explain: lookAtObject,
	Possible: func(_ context.Context, _ *okta.Client, in Input) error { return changeable(in.Object.Group) },
	Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
		return client.DeleteGroup(ctx, okta.GroupID(a.Target.ID))
	},
	Verify: func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
		_, _, err := client.GroupByID(ctx, okta.GroupID(a.Target.ID))
		if okta.KindOf(err) == okta.KindNotFound {
			return true, nil
		}
		return false, err
	},
}

// groupArgs are the arguments of a group to be written: its name, under key, and its description.
func groupArgs(call actiongroup.Call, key, name string) (map[string]string, error) {
	if _, changed := label.Clean(name); changed {
		return nil, fault.New(fault.Invalid, "A name must not contain invisible characters or special blanks, as it could look like another name. Please ask the person to type it again.", nil)
	}
	args := map[string]string{key: name}
	if description, _ := label.Clean(call.Arg("description")); description != "" {
		args[approval.ArgDescription] = description
	}
	for _, text := range args {
		if !okta.Fits(text) {
			return nil, fault.New(fault.Invalid, "Okta does not accept emoji and other rare characters in names and descriptions. Please ask the person for other words.", nil)
		}
	}
	return args, nil
}

// nameIsFree refuses a name that another group than self has already.
func nameIsFree(ctx context.Context, client *okta.Client, name string, self okta.GroupID) error {
	g, candidates, err := client.ResolveGroup(ctx, name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(append(candidates, g), func(g okta.Group) bool {
		return g.ID != "" && g.ID != self && strings.EqualFold(g.Name, name)
	}) {
		return impossible("An Okta group with that name exists already.")
	}
	return nil
}

// assignment is the row of assigning an app to a person or to a group, or of taking it away. assigned is whether they have it
// afterwards.
func assignment(
	id string, assigned bool,
	user func(*okta.Client, context.Context, okta.AppID, okta.UserID) (okta.Meta, error),
	group func(*okta.Client, context.Context, okta.AppID, okta.GroupID) (okta.Meta, error),
) Row {
	isGroup := func(r approval.Ref) bool { return r.Type == string(catalogue.TargetGroup) }
	return Row{
		ID: id, Resolve: byName, Done: confirmed, Explain: lookAtObject,
		Possible: func(ctx context.Context, client *okta.Client, in Input) error {
			if isGroup(in.Member.Ref) {
				return groupAssignable(ctx, client, in, assigned)
			}
			return userAssignable(ctx, client, in, assigned)
		},
		Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
			if isGroup(a.Member) {
				return group(client, ctx, okta.AppID(a.Target.ID), okta.GroupID(a.Member.ID))
			}
			return user(client, ctx, okta.AppID(a.Target.ID), okta.UserID(a.Member.ID))
		},
		Verify: func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
			if isGroup(a.Member) {
				has, _, err := client.GroupHasApp(ctx, okta.AppID(a.Target.ID), okta.GroupID(a.Member.ID))
				return err == nil && has == assigned, err
			}
			got, _, err := client.UserAppAssignment(ctx, okta.AppID(a.Target.ID), okta.UserID(a.Member.ID))
			return err == nil && (got == okta.Direct) == assigned, err
		},
	}
}

func userAssignable(ctx context.Context, client *okta.Client, in Input, assigned bool) error {
	var from []okta.Status
	if assigned {
		from = allBut(okta.Deprovisioned, okta.Staged)
	}
	var now okta.UserAssignment
	err := parallel.Do(
		func() error { return allows(ctx, client, in.Member, from, "no app can be assigned") },
		func() (err error) {
			now, _, err = client.UserAppAssignment(ctx, okta.AppID(in.Object.ID), okta.UserID(in.Member.ID))
			return err
		},
	)
	switch {
	case err != nil:
		return err
	case assigned && now == okta.Direct:
		return impossible("%s has %s already.", in.Member.Quoted(), in.Object.Quoted())
	case !assigned && now == okta.Unassigned:
		return impossible("%s does not have %s.", in.Member.Quoted(), in.Object.Quoted())
	case !assigned && now == okta.ThroughGroup:
		return impossible("%s has %s through a group: take it from the group, or the person out of the group.", in.Member.Quoted(), in.Object.Quoted())
	}
	return nil
}

func groupAssignable(ctx context.Context, client *okta.Client, in Input, assigned bool) error {
	now, _, err := client.GroupHasApp(ctx, okta.AppID(in.Object.ID), okta.GroupID(in.Member.ID))
	switch {
	case err != nil:
		return err
	case now && assigned:
		return impossible("%s has %s already.", in.Member.Quoted(), in.Object.Quoted())
	case !now && !assigned:
		return impossible("%s does not have %s.", in.Member.Quoted(), in.Object.Quoted())
	}
	return nil
}
