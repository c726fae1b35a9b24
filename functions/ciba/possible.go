package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

// lifecycle is from which statuses of an account Okta carries an operation out, and what to say otherwise. What is not
// listed works from any. Source: Okta's reference of the user lifecycle operations.
var lifecycle = map[string]struct {
	from      []okta.Status
	otherwise string
}{
	"reset_password": {
		[]okta.Status{okta.Active, okta.Recovery, okta.PasswordExpired, okta.LockedOut, okta.Provisioned},
		"the password cannot be reset",
	},
	"expire_password": {[]okta.Status{okta.Active}, "the password cannot be expired"},
	"unlock":          {[]okta.Status{okta.LockedOut}, "there is nothing to unlock"},
	"suspend":         {[]okta.Status{okta.Active}, "the account cannot be suspended"},
	"unsuspend":       {[]okta.Status{okta.Suspended}, "there is no suspension to lift"},
	"activate":        {[]okta.Status{okta.Staged, okta.Deprovisioned}, "there is nothing to activate"},
	"deactivate":      {allBut(okta.Deprovisioned), "there is nothing to deactivate"},
	"reset_factors":   {allBut(okta.Deprovisioned), "there are no factors to reset"},
	"assign_app":      {allBut(okta.Deprovisioned, okta.Staged), "no app can be assigned"},
}

// statuses say what an account in a status is.
var statuses = map[okta.Status]string{
	okta.Staged:          "is not activated yet",
	okta.Provisioned:     "has not chosen a password yet",
	okta.Active:          "is active",
	okta.Recovery:        "is in the middle of a password reset",
	okta.LockedOut:       "is locked out",
	okta.PasswordExpired: "has to choose a new password",
	okta.Suspended:       "is suspended",
	okta.Deprovisioned:   "is deactivated",
}

func allBut(excluded ...okta.Status) []okta.Status {
	var rest []okta.Status
	for s := range statuses {
		if !slices.Contains(excluded, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// works says whether Okta carries an operation out on an account in a status. A status that is not known works.
func works(operation string, status okta.Status) bool {
	rule, ok := lifecycle[operation]
	return !ok || statuses[status] == "" || slices.Contains(rule.from, status)
}

// useless is the refusal of a change that would leave things as they are, or that Okta would refuse.
func useless(sentence string, names ...any) error {
	sentence = fmt.Sprintf(sentence, names...)
	if rest, ok := strings.CutPrefix(sentence, "the "); ok {
		sentence = "The " + rest
	}
	return fault.New(fault.Conflict, sentence, nil)
}

// account returns why an operation on a person's account cannot work, nil if it can. The status that a search returned may
// be a moment old, so a refusal rests on a read of the account itself.
func (h *handler) account(ctx context.Context, operation string, p person) (refusal, err error) {
	if lifecycle[operation].from == nil || p.status != "" && works(operation, p.status) {
		return nil, nil
	}
	var u okta.User
	if p.ref.Self {
		u, _, err = h.okta.Me(ctx)
	} else {
		u, _, err = h.okta.User(ctx, okta.UserID(p.ref.ID))
	}
	if err != nil || works(operation, u.Status) {
		return nil, err
	}
	return useless("%s %s, so %s.", p.ref.Quoted(), statuses[u.Status], lifecycle[operation].otherwise), nil
}

// membership returns why a person cannot be added to a group or removed from it, nil if they can.
func (h *handler) membership(ctx context.Context, operation string, group, user approval.Ref) (refusal, err error) {
	in, _, err := h.okta.IsMember(ctx, okta.GroupID(group.ID), okta.UserID(user.ID))
	switch {
	case okta.KindOf(err) == okta.KindGarbled: // in too many groups to say
		return nil, nil
	case err != nil:
		return nil, err
	case in && operation == "add_to_group":
		return useless("%s is in %s already.", user.Quoted(), group.Quoted()), nil
	case !in && operation == "remove_from_group":
		return useless("%s is not in %s.", user.Quoted(), group.Quoted()), nil
	}
	return nil, nil
}

// userAssignment returns why an app cannot be assigned to a person or taken away, nil if it can.
func (h *handler) userAssignment(ctx context.Context, operation string, app approval.Ref, p person) (refusal, err error) {
	var inactive error
	var has okta.UserAssignment
	err = pipeline.Together(
		func() (err error) { inactive, err = h.account(ctx, operation, p); return err },
		func() (err error) {
			has, _, err = h.okta.UserAppAssignment(ctx, okta.AppID(app.ID), okta.UserID(p.ref.ID))
			return err
		},
	)
	switch {
	case err != nil || inactive != nil:
		return inactive, err
	case operation == "assign_app" && has == okta.Direct:
		return useless("%s has %s already.", p.ref.Quoted(), app.Quoted()), nil
	case operation == "unassign_app" && has == okta.Unassigned:
		return useless("%s does not have %s.", p.ref.Quoted(), app.Quoted()), nil
	case operation == "unassign_app" && has == okta.ThroughGroup:
		return useless("%s has %s through a group: take it from the group, or the person out of the group.", p.ref.Quoted(), app.Quoted()), nil
	}
	return nil, nil
}

// groupAssignment returns why an app cannot be assigned to a group or taken away, nil if it can.
func (h *handler) groupAssignment(ctx context.Context, operation string, app, group approval.Ref) (refusal, err error) {
	has, _, err := h.okta.GroupHasApp(ctx, okta.AppID(app.ID), okta.GroupID(group.ID))
	switch {
	case err != nil:
		return nil, err
	case has && operation == "assign_app":
		return useless("%s has %s already.", group.Quoted(), app.Quoted()), nil
	case !has && operation == "unassign_app":
		return useless("%s does not have %s.", group.Quoted(), app.Quoted()), nil
	}
	return nil, nil
}
