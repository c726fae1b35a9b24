package main

import (
	"context"
	"fmt"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/okta"
)

// executor carries approved changes out at Okta, each by the ids that were approved.
type executor struct{ okta *okta.Client }

// effect is whether a change shows in Okta.
type effect int

const (
	effectUnseen effect = iota // it does not show; that is no proof that it was not made
	effectYes
)

// Do carries a out and says so in one sentence, from Okta's answer alone.
func (e executor) Do(ctx context.Context, a approval.Approval) (string, okta.Meta, error) {
	user, group, app := okta.UserID(a.Target.ID), okta.GroupID(a.Target.ID), okta.AppID(a.Target.ID)
	var meta okta.Meta
	var err error
	said := "Okta confirmed the change."
	switch a.Operation {
	case "reset_password":
		meta, err = e.okta.ResetPassword(ctx, user)
		said = "Okta accepted the reset and mails the instructions."
	case "expire_password":
		meta, err = e.okta.ExpirePassword(ctx, user)
	case "unlock":
		meta, err = e.okta.Unlock(ctx, user)
	case "suspend":
		meta, err = e.okta.Suspend(ctx, user)
	case "unsuspend":
		meta, err = e.okta.Unsuspend(ctx, user)
	case "activate":
		meta, err = e.okta.Activate(ctx, user)
		said = "Okta accepted the activation and mails the link."
	case "deactivate":
		meta, err = e.okta.Deactivate(ctx, user)
	case "clear_sessions":
		meta, err = e.okta.ClearSessions(ctx, user)
	case "reset_factors":
		meta, err = e.okta.ResetFactors(ctx, user)
	case "add_to_group":
		meta, err = e.okta.AddToGroup(ctx, group, okta.UserID(a.Member.ID))
	case "remove_from_group":
		meta, err = e.okta.RemoveFromGroup(ctx, group, okta.UserID(a.Member.ID))
	case "create_group":
		_, meta, err = e.okta.CreateGroup(ctx, a.Args["name"], a.Args["description"])
	case "rename_group":
		var description *string
		if d, ok := a.Args["description"]; ok {
			description = &d
		}
		_, meta, err = e.okta.RenameGroup(ctx, group, a.Args["new_name"], description)
	case "delete_group":
		meta, err = e.okta.DeleteGroup(ctx, group)
	case "assign_app":
		if toGroup(a) {
			meta, err = e.okta.AssignGroupToApp(ctx, app, okta.GroupID(a.Member.ID))
		} else {
			meta, err = e.okta.AssignUserToApp(ctx, app, okta.UserID(a.Member.ID))
		}
	case "unassign_app":
		if toGroup(a) {
			meta, err = e.okta.UnassignGroupFromApp(ctx, app, okta.GroupID(a.Member.ID))
		} else {
			meta, err = e.okta.UnassignUserFromApp(ctx, app, okta.UserID(a.Member.ID))
		}
	default:
		return "", meta, fmt.Errorf("no code for operation %q", a.Operation)
	}
	return said, meta, err
}

func toGroup(a approval.Approval) bool { return a.Member.Type == string(catalogue.TargetGroup) }

// Effective looks whether a shows in Okta. What leaves no state behind, such as sessions that were ended, is unseen.
func (e executor) Effective(ctx context.Context, a approval.Approval) (effect, error) {
	seen := func(yes bool, err error) (effect, error) {
		if err == nil && yes {
			return effectYes, nil
		}
		return effectUnseen, err
	}
	switch a.Operation {
	case "add_to_group", "remove_from_group":
		in, _, err := e.okta.IsMember(ctx, okta.GroupID(a.Target.ID), okta.UserID(a.Member.ID))
		return seen(in == (a.Operation == "add_to_group"), err)
	case "create_group":
		g, _, err := e.okta.ResolveGroup(ctx, a.Args["name"])
		return seen(g.ID != "", err)
	case "rename_group":
		g, _, err := e.okta.GroupByID(ctx, okta.GroupID(a.Target.ID))
		return seen(g.Name == a.Args["new_name"], err)
	case "delete_group":
		_, _, err := e.okta.GroupByID(ctx, okta.GroupID(a.Target.ID))
		if okta.KindOf(err) == okta.KindNotFound {
			return effectYes, nil
		}
		return effectUnseen, err
	case "assign_app", "unassign_app":
		assigned, err := e.assigned(ctx, a)
		return seen(assigned == (a.Operation == "assign_app"), err)
	case "clear_sessions":
		return effectUnseen, nil
	case "reset_factors":
		p, err := e.okta.UserFactors(ctx, okta.UserID(a.Target.ID))
		return seen(len(p.Items) == 0, err)
	case "reset_password":
		return e.resetSeen(ctx, a)
	}
	u, _, err := e.okta.User(ctx, okta.UserID(a.Target.ID))
	switch a.Operation {
	case "expire_password":
		return seen(u.Status == okta.PasswordExpired, err)
	case "unlock":
		return seen(u.Status != okta.LockedOut, err)
	case "suspend":
		return seen(u.Status == okta.Suspended, err)
	case "unsuspend":
		return seen(u.Status != okta.Suspended, err)
	case "activate":
		return seen(u.Status != okta.Staged && u.Status != okta.Deprovisioned, err)
	case "deactivate":
		return seen(u.Status == okta.Deprovisioned, err)
	}
	return effectUnseen, err
}

func (e executor) assigned(ctx context.Context, a approval.Approval) (bool, error) {
	if toGroup(a) {
		has, _, err := e.okta.GroupHasApp(ctx, okta.AppID(a.Target.ID), okta.GroupID(a.Member.ID))
		return has, err
	}
	got, _, err := e.okta.UserAppAssignment(ctx, okta.AppID(a.Target.ID), okta.UserID(a.Member.ID))
	return got == okta.Direct, err
}

// resetSeen looks for the reset in the System Log: the status RECOVERY alone may be from an earlier one.
func (e executor) resetSeen(ctx context.Context, a approval.Approval) (effect, error) {
	p, err := e.okta.UserActivity(ctx, okta.UserID(a.Target.ID), 20)
	if err != nil {
		return effectUnseen, err
	}
	for _, event := range p.Items {
		if event.Type == "user.account.reset_password" && event.Outcome == "SUCCESS" && event.Time.After(a.CreatedAt) {
			return effectYes, nil
		}
	}
	return effectUnseen, nil
}

// unknownHow says how a person finds out what became of a change that nobody can tell about.
func unknownHow(a approval.Approval) string {
	where := "Look at the object in Okta"
	switch a.Operation {
	case "reset_password", "activate":
		where = "See whether " + a.Target.Quoted() + " got an e-mail from Okta, or look at the account there"
	}
	return "It was begun, but whether it took effect is not known. " + where + " before asking again."
}
