package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
)

const (
	defaultLimit = 20
	shown        = 50   // entries of a list in an answer
	counted      = 1000 // entries that are still counted: "n more" beyond is "many more"
	latest       = 10   // entries of recent activity
)

// Reads are the rows of all operations that read Okta.
func Reads() []Row {
	return []Row{
		{ID: "list_user_groups", Resolve: byName, Read: userGroups},
		{ID: "find_groups", Resolve: byName, Read: findGroups},
		{ID: "list_group_members", Resolve: byName, Read: groupMembers},
		{ID: "find_users", Resolve: byName, Read: findUsers},
		{ID: "get_user", Resolve: withParts, Also: partRelations, Read: userWithParts},
	}
}

func quote(s string) string { return label.Quote(s, 80) }

func userGroups(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error) {
	p, err := client.UserGroups(ctx, okta.UserID(in.Object.ID), counted)
	title := "Your Okta groups"
	if !in.Object.Self {
		title = "Okta groups of " + quote(in.Object.Label)
	} else if in.Object.Label != "" {
		title += " (" + quote(in.Object.Label) + ")"
	}
	return groupList(title, p), p.Meta, err
}

func findGroups(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error) {
	query := in.Call.Arg("query")
	p, err := client.FindGroups(ctx, query, in.Call.Limit(defaultLimit))
	return groupList("Groups found for "+quote(query), p), p.Meta, err
}

func groupMembers(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error) {
	p, err := client.GroupMembers(ctx, okta.GroupID(in.Object.ID), in.Call.Limit(defaultLimit))
	return userList("People in the group "+quote(in.Object.Label), p), p.Meta, err
}

func findUsers(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error) {
	query := in.Call.Arg("query")
	p, err := client.FindUsers(ctx, query, in.Call.Limit(defaultLimit))
	return userList("Users found for "+quote(query), p), p.Meta, err
}

func groupList(title string, p okta.Page[okta.Group]) string {
	return list(title, p, func(g okta.Group) string {
		line := quote(g.Name)
		if g.Description != "" {
			line += ": " + quote(g.Description)
		}
		return line
	})
}

func userList(title string, p okta.Page[okta.User]) string {
	return list(title, p, func(u okta.User) string {
		return fmt.Sprintf("%s, login %s, status %s", quote(u.Name()), quote(u.Login), u.Status)
	})
}

// list writes a title with the count, and a line for each entry; what does not fit is counted.
func list[T any](title string, p okta.Page[T], line func(T) string) string {
	var b strings.Builder
	total := fmt.Sprint(len(p.Items))
	if p.More {
		total = "more than " + total
	}
	fmt.Fprintf(&b, "%s: %s", title, total)
	for i, v := range p.Items {
		if i == shown {
			break
		}
		b.WriteString("\n- " + line(v))
	}
	switch rest := len(p.Items) - shown; {
	case p.More:
		b.WriteString("\nThere are more than these. Ask for a narrower search to see the others.")
	case rest > 0:
		fmt.Fprintf(&b, "\nand %d more", rest)
	}
	return b.String()
}

// part is something that get_user shows of a person.
type part struct {
	name     string // in the parameter include
	relation string // that the person must have beside the operation's own; "" for none
	read     func(context.Context, *okta.Client, okta.UserID) (string, okta.Meta, error)
}

var parts = []part{
	{name: "groups", relation: "can_list_groups", read: func(ctx context.Context, client *okta.Client, id okta.UserID) (string, okta.Meta, error) {
		p, err := client.UserGroups(ctx, id, counted)
		return groupList("Groups", p), p.Meta, err
	}},
	{name: "apps", read: func(ctx context.Context, client *okta.Client, id okta.UserID) (string, okta.Meta, error) {
		p, err := client.UserApps(ctx, id)
		return list("Apps", p, func(a okta.App) string { return quote(a.Label) }), p.Meta, err
	}},
	{name: "factors", read: func(ctx context.Context, client *okta.Client, id okta.UserID) (string, okta.Meta, error) {
		p, err := client.UserFactors(ctx, id)
		return list("MFA factors", p, func(f okta.Factor) string {
			return fmt.Sprintf("%s by %s, %s", quote(f.Type), quote(f.Provider), f.Status)
		}), p.Meta, err
	}},
	{name: "activity", read: func(ctx context.Context, client *okta.Client, id okta.UserID) (string, okta.Meta, error) {
		p, err := client.UserActivity(ctx, id, latest)
		p.More = false // the latest were asked for
		return list("Latest activity", p, func(e okta.LogEvent) string {
			return fmt.Sprintf("%s %s, %s", e.Time.Format("2006-01-02 15:04"), quote(e.Message), e.Outcome)
		}), p.Meta, err
	}},
}

// included are the parts that a call asks for, in a fixed order, and the names that no part has.
func included(call actiongroup.Call) (wanted []part, unknown []string) {
	for name := range strings.SplitSeq(strings.ToLower(call.Arg("include")), ",") {
		if name = strings.TrimSpace(name); name != "" {
			unknown = append(unknown, name)
		}
	}
	for _, p := range parts {
		if slices.Contains(unknown, p.name) {
			wanted = append(wanted, p)
			unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == p.name })
		}
	}
	return wanted, unknown
}

// withParts is byName for a call that may name parts.
func withParts(ctx context.Context, client *okta.Client, p access.Principal, call actiongroup.Call) (Input, error) {
	if _, unknown := included(call); len(unknown) > 0 {
		return Input{}, fault.New(fault.Invalid, "The parameter include accepts groups, apps, factors and activity.", nil)
	}
	return byName(ctx, client, p, call)
}

func partRelations(in Input) (relations []string) {
	wanted, _ := included(in.Call)
	for _, p := range wanted {
		if p.relation != "" {
			relations = append(relations, p.relation)
		}
	}
	return relations
}

// userWithParts shows one person, with what was asked for beside it. The parts are read side by side; Okta's request is that of
// the profile.
func userWithParts(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error) {
	wanted, _ := included(in.Call)
	wanted = append([]part{{read: profile}}, wanted...)
	texts, metas, steps := make([]string, len(wanted)), make([]okta.Meta, len(wanted)), make([]func() error, len(wanted))
	for i, p := range wanted {
		steps[i] = func() (err error) {
			texts[i], metas[i], err = p.read(ctx, client, okta.UserID(in.Object.ID))
			return err
		}
	}
	err := parallel.Do(steps...)
	return strings.Join(texts, "\n"), metas[0], err
}

func profile(ctx context.Context, client *okta.Client, id okta.UserID) (string, okta.Meta, error) {
	u, meta, err := client.User(ctx, id)
	lines := []string{
		"User " + quote(u.Name()),
		"- login: " + quote(u.Login),
		"- e-mail: " + quote(u.Email),
		"- status: " + string(u.Status),
	}
	if !u.LastLogin.IsZero() {
		lines = append(lines, "- last sign-in: "+u.LastLogin.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if !u.PasswordChanged.IsZero() {
		lines = append(lines, "- password changed: "+u.PasswordChanged.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return strings.Join(lines, "\n"), meta, err
}
