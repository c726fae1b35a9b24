package okta

import (
	"context"
	"strings"
)

// maxCandidates is how many possible meanings are offered.
const maxCandidates = 5

// ResolveUser finds the one person that text means: an id, a login or e-mail, a
// short login (before the @), a full name, or a first or last name that only
// one person has. Upper and lower case do not matter.
//
// Exactly one is returned as the user. Otherwise the user is zero and the
// candidates are the people it may mean, at most five: those that match
// exactly, or else those that start like it. A single person who merely starts
// like it is a candidate too, for that would be a guess. Nobody at all is no
// error.
func (c *Client) ResolveUser(ctx context.Context, said string) (User, []User, error) {
	op := read("ResolveUser")
	said, err := text(op.name, said)
	if err != nil {
		return User{}, nil, err
	}
	if id := UserID(said); id.Valid() {
		u, _, err := c.User(ctx, id)
		if KindOf(err) == KindNotFound {
			err = nil
		}
		return u, nil, err
	}
	exactly := either(compare("profile.login", "eq", said), compare("profile.email", "eq", said))
	if !strings.Contains(said, "@") {
		exactly = either(append([]condition{
			compare("profile.login", "sw", said+"@"), compare("profile.login", "eq", said),
			compare("profile.firstName", "eq", said), compare("profile.lastName", "eq", said),
		}, fullName("eq", said)...)...)
	}
	p, err := c.searchUsers(ctx, op, exactly, 50)
	if err != nil {
		return User{}, nil, err
	}
	// The more telling name wins: a login over a short login or full name
	// over a mere first name.
	for _, matches := range []func(User) bool{
		func(u User) bool { return strings.EqualFold(u.Login, said) },
		func(u User) bool { return strings.EqualFold(u.Email, said) },
		func(u User) bool {
			short, _, _ := strings.Cut(u.Login, "@")
			return strings.EqualFold(short, said) || strings.EqualFold(u.Name(), strings.Join(strings.Fields(said), " "))
		},
		func(u User) bool { return strings.EqualFold(u.FirstName, said) || strings.EqualFold(u.LastName, said) },
	} {
		var found []User
		for _, u := range p.Items {
			if matches(u) {
				found = append(found, u)
			}
		}
		if len(found) == 1 && (!p.More || strings.EqualFold(found[0].Login, said)) {
			return found[0], nil, nil
		}
		if len(found) > 0 {
			return User{}, found[:min(len(found), maxCandidates)], nil
		}
	}
	if len(p.Items) > 0 { // the index matches what we do not: say so rather than choose
		return User{}, p.Items[:min(len(p.Items), maxCandidates)], nil
	}
	near, err := c.searchUsers(ctx, op, startingWith(said), maxCandidates)
	return User{}, near.Items, err
}

// ResolveGroup finds the one group that text means, an id or a name, in the
// manner of [Client.ResolveUser]. Candidates are groups whose name contains it.
func (c *Client) ResolveGroup(ctx context.Context, said string) (Group, []Group, error) {
	op := read("ResolveGroup")
	said, err := text(op.name, said)
	if err != nil {
		return Group{}, nil, err
	}
	if id := GroupID(said); id.Valid() {
		g, _, err := c.GroupByID(ctx, id)
		if KindOf(err) == KindNotFound {
			err = nil
		}
		return g, nil, err
	}
	p, err := c.searchGroups(ctx, op, compare("profile.name", "eq", said), maxCandidates)
	if err != nil {
		return Group{}, nil, err
	}
	if len(p.Items) == 1 && !p.More && strings.EqualFold(p.Items[0].Name, said) {
		return p.Items[0], nil, nil
	}
	if len(p.Items) > 0 {
		return Group{}, p.Items, nil
	}
	near, err := c.searchGroups(ctx, op, compare("profile.name", "co", said), maxCandidates)
	return Group{}, near.Items, err
}

// ResolveApp finds the one app that text means, an id, a label or a name, in
// the manner of [Client.ResolveUser].
func (c *Client) ResolveApp(ctx context.Context, said string) (App, []App, error) {
	op := read("ResolveApp")
	said, err := text(op.name, said)
	if err != nil {
		return App{}, nil, err
	}
	if id := AppID(said); id.Valid() {
		a, _, err := c.AppByID(ctx, id)
		if KindOf(err) == KindNotFound {
			err = nil
		}
		return a, nil, err
	}
	p, err := c.FindApps(ctx, said, 200)
	if err != nil {
		return App{}, nil, err
	}
	for _, matches := range []func(App) bool{
		func(a App) bool { return strings.EqualFold(a.Label, said) },
		func(a App) bool { return strings.EqualFold(a.Name, said) },
	} {
		var found []App
		for _, a := range p.Items {
			if matches(a) {
				found = append(found, a)
			}
		}
		if len(found) == 1 && !p.More {
			return found[0], nil, nil
		}
		if len(found) > 0 {
			return App{}, found[:min(len(found), maxCandidates)], nil
		}
	}
	return App{}, p.Items[:min(len(p.Items), maxCandidates)], nil
}
