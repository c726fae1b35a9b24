package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
)

const (
	defaultLimit = 20
	shown        = 50   // entries of a list in an answer
	counted      = 1000 // entries that are still counted: "n more" beyond is "many more"
	latest       = 10   // entries of recent activity
)

// What get_user may add.
const (
	withGroups   = "groups"
	withApps     = "apps"
	withFactors  = "factors"
	withActivity = "activity"
)

func includes(call actiongroup.Call) map[string]bool {
	in := map[string]bool{}
	for part := range strings.SplitSeq(strings.ToLower(call.Arg("include")), ",") {
		if part = strings.TrimSpace(part); part != "" {
			in[part] = true
		}
	}
	return in
}

// read does what the operation says.
func (h *handler) read(ctx context.Context, who access.Principal, call actiongroup.Call, on target) (string, okta.Meta, error) {
	switch call.Operation.ID {
	case "list_user_groups":
		return h.userGroups(ctx, who, on)
	case "find_groups":
		p, err := h.okta.FindGroups(ctx, call.Arg("query"), call.Limit(defaultLimit))
		return groupList(fmt.Sprintf("Groups found for %s", quote(call.Arg("query"))), p), p.Meta, err
	case "list_group_members":
		p, err := h.okta.GroupMembers(ctx, okta.GroupID(on.ref.ID), call.Limit(defaultLimit))
		return userList(fmt.Sprintf("People in the group %s", quote(on.ref.Label)), p), p.Meta, err
	case "find_users":
		p, err := h.okta.FindUsers(ctx, call.Arg("query"), call.Limit(defaultLimit))
		return userList(fmt.Sprintf("Users found for %s", quote(call.Arg("query"))), p), p.Meta, err
	case "get_user":
		return h.user(ctx, on, includes(call))
	}
	return "", okta.Meta{}, fmt.Errorf("no code for operation %q", call.Operation.ID)
}

func quote(s string) string { return label.Quote(s, 80) }

func (h *handler) userGroups(ctx context.Context, who access.Principal, on target) (string, okta.Meta, error) {
	p, err := h.okta.UserGroups(ctx, okta.UserID(on.ref.ID), counted)
	title := "Your Okta groups"
	if !on.self {
		title = "Okta groups of " + quote(on.ref.Label)
	} else if on.ref.Label != "" {
		title += " (" + quote(on.ref.Label) + ")"
	}
	return groupList(title, p), p.Meta, err
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

func userList(title string, p okta.Page[okta.User]) string { return list(title, p, userLine) }

func userLine(u okta.User) string {
	return fmt.Sprintf("%s, login %s, status %s", quote(u.Name()), quote(u.Login), u.Status)
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

// user shows one person, with what was asked for beside it; the parts are read side by side.
func (h *handler) user(ctx context.Context, on target, with map[string]bool) (string, okta.Meta, error) {
	for part := range with {
		switch part {
		case withGroups, withApps, withFactors, withActivity:
		default:
			return "", okta.Meta{}, fault.New(fault.Invalid, "The parameter include takes groups, apps, factors and activity.", nil)
		}
	}
	user := okta.UserID(on.ref.ID)
	parts := []func(context.Context) (string, okta.Meta, error){func(ctx context.Context) (string, okta.Meta, error) {
		u, meta, err := h.okta.User(ctx, user)
		return profile(u), meta, err
	}}
	if with[withGroups] {
		parts = append(parts, func(ctx context.Context) (string, okta.Meta, error) {
			p, err := h.okta.UserGroups(ctx, okta.UserID(on.ref.ID), counted)
			return groupList("Groups", p), p.Meta, err
		})
	}
	if with[withApps] {
		parts = append(parts, func(ctx context.Context) (string, okta.Meta, error) {
			p, err := h.okta.UserApps(ctx, user)
			return list("Apps", p, func(a okta.App) string { return quote(a.Label) }), p.Meta, err
		})
	}
	if with[withFactors] {
		parts = append(parts, func(ctx context.Context) (string, okta.Meta, error) {
			p, err := h.okta.UserFactors(ctx, user)
			return list("MFA factors", p, func(f okta.Factor) string {
				return fmt.Sprintf("%s by %s, %s", quote(f.Type), quote(f.Provider), f.Status)
			}), p.Meta, err
		})
	}
	if with[withActivity] {
		parts = append(parts, func(ctx context.Context) (string, okta.Meta, error) {
			p, err := h.okta.UserActivity(ctx, user, latest)
			p.More = false // the latest were asked for
			return list("Latest activity", p, func(e okta.LogEvent) string {
				return fmt.Sprintf("%s %s, %s", e.Time.Format("2006-01-02 15:04"), quote(e.Message), e.Outcome)
			}), p.Meta, err
		})
	}
	return together(ctx, parts)
}

// together runs every part at once and joins their texts in order. Okta's request is that of the first.
func together(ctx context.Context, parts []func(context.Context) (string, okta.Meta, error)) (string, okta.Meta, error) {
	texts, metas, steps := make([]string, len(parts)), make([]okta.Meta, len(parts)), make([]func() error, len(parts))
	for i, part := range parts {
		steps[i] = func() (err error) { texts[i], metas[i], err = part(ctx); return err }
	}
	err := pipeline.Together(steps...)
	return strings.Join(texts, "\n"), metas[0], err
}

func profile(u okta.User) string {
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
	return strings.Join(lines, "\n")
}

// anyone stands for some object of a type, to ask what holds for all of them. No Okta id looks like it.
const anyone = "anyone"

// permissions tells what the person may do, from the catalogue and FGA alone; Okta is not asked.
func (h *handler) permissions(ctx context.Context, who access.Principal) (string, error) {
	type line struct {
		text string
		own  bool
	}
	var lines []line
	var checks []fga.Check
	add := func(text string, own bool, c fga.Check) {
		lines, checks = append(lines, line{text, own}), append(checks, c)
	}
	self := cmp.Or(who.Session.OktaUserID, access.Me)
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			name := strings.ReplaceAll(op.ID, "_", " ")
			switch op.Target {
			case catalogue.TargetNone:
			case catalogue.TargetArea:
				add(name, false, fga.ForArea(who.User, op.Relation, fga.TypeOkta+":"+string(op.Area)))
			case catalogue.TargetUser:
				add(name, true, fga.ForUser(who.User, op.Relation, self, true))
				add(name, false, fga.ForUser(who.User, op.Relation, anyone, false))
			case catalogue.TargetGroup:
				add(name, false, fga.ForGroup(who.User, op.Relation, anyone))
			case catalogue.TargetApp:
				add(name, false, fga.ForApp(who.User, op.Relation, anyone))
			}
		}
	}
	decisions, err := h.enforcer.Decide(ctx, checks)
	if err != nil {
		return "", err
	}
	var everyone, own []string
	for i, got := range decisions {
		switch {
		case got != fga.Allowed:
		case lines[i].own:
			own = append(own, lines[i].text)
		default:
			everyone = append(everyone, lines[i].text)
		}
	}
	var b strings.Builder
	write := func(title string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", title, strings.Join(names, ", "))
		}
	}
	write("You may, for everybody and everything", everyone)
	write("You may, for your own account", own)
	if b.Len() == 0 {
		return "You have no permissions here yet. Ask your administrator. Permissions on single groups are not listed.", nil
	}
	b.WriteString("Protected people and groups are excepted. Permissions on single groups, such as a group you own, come on top. Changes are approved on your phone.")
	return b.String(), nil
}
