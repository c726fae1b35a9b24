package operation

import (
	"context"
	"slices"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/okta"
)

// account is a change to one person's account.
type account struct {
	id string
	do func(*okta.Client, context.Context, okta.UserID) (okta.Meta, error)
	// from are the statuses from which Okta carries it out; nil means any. Source: Okta's reference of the user lifecycle operations.
	from []okta.Status
	// otherwise says why it cannot be done from another status, behind "Bob is suspended, so ".
	otherwise string
	// shows says whether a status shows that it took effect; verify takes its place where the status alone does not say.
	shows  func(okta.Status) bool
	verify func(context.Context, *okta.Client, approval.Approval) (bool, error)
	// done and explain are where Okta sends an e-mail.
	done    string
	explain func(approval.Approval) string
	// locksOut says that nobody could undo it for oneself.
	locksOut bool
}

// accounts are the changes to accounts.
var accounts = []account{
	{
		id: "reset_password", do: (*okta.Client).ResetPassword,
		from:      []okta.Status{okta.Active, okta.Recovery, okta.PasswordExpired, okta.LockedOut, okta.Provisioned},
		otherwise: "the password cannot be reset",
		verify:    logged("user.account.reset_password"),
		done:      "Okta accepted the reset and mails the instructions.", explain: lookForMail,
	},
	{
		id: "expire_password", do: (*okta.Client).ExpirePassword,
		from: []okta.Status{okta.Active}, otherwise: "the password cannot be expired", shows: is(okta.PasswordExpired),
	},
	{
		id: "unlock", do: (*okta.Client).Unlock,
		from: []okta.Status{okta.LockedOut}, otherwise: "there is nothing to unlock", shows: isNot(okta.LockedOut),
	},
	{
		id: "suspend", do: (*okta.Client).Suspend, locksOut: true,
		from: []okta.Status{okta.Active}, otherwise: "the account cannot be suspended", shows: is(okta.Suspended),
	},
	{
		id: "unsuspend", do: (*okta.Client).Unsuspend,
		from: []okta.Status{okta.Suspended}, otherwise: "there is no suspension to lift", shows: isNot(okta.Suspended),
	},
	{
		id: "activate", do: (*okta.Client).Activate,
		from: []okta.Status{okta.Staged, okta.Deprovisioned}, otherwise: "there is nothing to activate", shows: isNot(okta.Staged, okta.Deprovisioned),
		done: "Okta accepted the activation and mails the link.", explain: lookForMail,
	},
	{
		id: "reactivate", do: (*okta.Client).Reactivate,
		from: []okta.Status{okta.Provisioned, okta.Recovery}, otherwise: "there is no activation to send again", verify: logged("user.lifecycle.reactivate"),
		done: "Okta accepted the request and mails the link again.", explain: lookForMail,
	},
	{
		id: "deactivate", do: (*okta.Client).Deactivate, locksOut: true,
		from: allBut(okta.Deprovisioned), otherwise: "there is nothing to deactivate", shows: is(okta.Deprovisioned),
	},
	{id: "clear_sessions", do: (*okta.Client).ClearSessions, verify: leavesNoTrace},
	{
		id: "reset_factors", do: (*okta.Client).ResetFactors,
		from: allBut(okta.Deprovisioned), otherwise: "there are no factors to reset", verify: noFactors,
	},
}

// row is the row of a change to an account.
func (c account) row() Row {
	r := Row{
		ID: c.id, Resolve: byName, Possible: c.possible, Done: confirmed, Verify: c.verify, Explain: lookAtObject,
		Do: func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error) {
			return c.do(client, ctx, okta.UserID(a.Target.ID))
		},
	}
	if r.Verify == nil {
		r.Verify = func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
			u, _, err := client.User(ctx, okta.UserID(a.Target.ID))
			return err == nil && c.shows(u.Status), err
		}
	}
	if c.explain != nil {
		r.Done, r.Explain = c.done, c.explain
	}
	return r
}

func (c account) possible(ctx context.Context, client *okta.Client, in Input) error {
	if c.locksOut && in.Object.Self {
		return impossible("That would lock you out of your own account. Ask another administrator to do it.")
	}
	return allows(ctx, client, in.Object, c.from, c.otherwise)
}

// allows returns why an account in its present status does not allow something, nil if it does. The status that a search returned
// may be a moment old, so a refusal rests on a read of the account itself. A status that this code does not know allows everything.
func allows(ctx context.Context, client *okta.Client, person Object, from []okta.Status, otherwise string) error {
	works := func(s okta.Status) bool { return statuses[s] == "" || slices.Contains(from, s) }
	if from == nil || person.Status != "" && works(person.Status) {
		return nil
	}
	var u okta.User
	var err error
	if person.Self {
		u, _, err = client.Me(ctx)
	} else {
		u, _, err = client.User(ctx, okta.UserID(person.ID))
	}
	if err != nil || works(u.Status) {
		return err
	}
	return impossible("%s %s, so %s.", person.Quoted(), statuses[u.Status], otherwise)
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

func is(s okta.Status) func(okta.Status) bool { return func(got okta.Status) bool { return got == s } }

func isNot(statuses ...okta.Status) func(okta.Status) bool {
	return func(got okta.Status) bool { return !slices.Contains(statuses, got) }
}

// leavesNoTrace is of what cannot be seen in Okta afterwards, such as sessions that were ended.
func leavesNoTrace(context.Context, *okta.Client, approval.Approval) (bool, error) { return false, nil }

func noFactors(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
	p, err := client.UserFactors(ctx, okta.UserID(a.Target.ID))
	return err == nil && len(p.Items) == 0, err
}

// logged looks for an event since the change was asked for in the System Log: the status alone may be from an earlier one.
func logged(event string) func(context.Context, *okta.Client, approval.Approval) (bool, error) {
	return func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error) {
		p, err := client.UserActivity(ctx, okta.UserID(a.Target.ID), 20)
		return err == nil && slices.ContainsFunc(p.Items, func(e okta.LogEvent) bool {
			return e.Type == event && e.Outcome == "SUCCESS" && e.Time.After(a.CreatedAt)
		}), err
	}
}
