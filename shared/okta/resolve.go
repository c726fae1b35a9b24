package okta

import (
	"context"
	"strings"
)

// maxCandidates is how many possible meanings a Resolve method returns.
const maxCandidates = 5

// ResolveUser finds the one person that text means: an id, a login or e-mail, a
// short login (before the @), a full name, or a first or last name that only
// one person has. Upper and lower case do not matter.
//
// Exactly one is returned as the user. Otherwise the user is zero and the
// candidates are the people it may mean, at most five: those that match
// exactly, or else those whose name starts with it. A single person whose name
// only starts with it is a candidate too, because choosing them would be a
// guess. If nobody matches, both are empty and there is no error.
func (c *Client) ResolveUser(ctx context.Context, text string) (User, []User, error) {
	op := read("ResolveUser")
	text, err := cleanText(op.name, text)
	if err != nil {
		return User{}, nil, err
	}
	if id := UserID(text); id.Valid() {
		return ifFound(c.User(ctx, id))
	}
	exactly := anyOf(compare("profile.login", "eq", text), compare("profile.email", "eq", text))
	if !strings.Contains(text, "@") {
		exactly = anyOf(append(fullName("eq", text),
			compare("profile.login", "sw", text+"@"), compare("profile.login", "eq", text),
			compare("profile.firstName", "eq", text), compare("profile.lastName", "eq", text))...)
	}
	p, err := c.searchUsers(ctx, op, exactly, 50)
	if err != nil {
		return User{}, nil, err
	}
	// A login is more specific than a short login or full name, and that more than a first or last name.
	users, rank := best(p.Items,
		func(u User) bool { return strings.EqualFold(u.Login, text) },
		func(u User) bool { return strings.EqualFold(u.Email, text) },
		func(u User) bool {
			short, _, _ := strings.Cut(u.Login, "@")
			return strings.EqualFold(short, text) || strings.EqualFold(u.Name(), strings.Join(strings.Fields(text), " "))
		},
		func(u User) bool { return strings.EqualFold(u.FirstName, text) || strings.EqualFold(u.LastName, text) })
	if len(users) == 1 && rank >= 0 && (rank == 0 || !p.More) {
		return users[0], nil, nil
	}
	if len(users) == 0 {
		p, err = c.searchUsers(ctx, op, startingWith(text), maxCandidates)
		users = p.Items
	}
	return User{}, firstFew(users), err
}

// ResolveGroup finds the one group that text means, an id or a name, in the
// manner of [Client.ResolveUser]. Candidates are groups whose name contains it.
func (c *Client) ResolveGroup(ctx context.Context, text string) (Group, []Group, error) {
	op := read("ResolveGroup")
	text, err := cleanText(op.name, text)
	if err != nil {
		return Group{}, nil, err
	}
	if id := GroupID(text); id.Valid() {
		return ifFound(c.GroupByID(ctx, id))
	}
	p, err := c.searchGroups(ctx, op, compare("profile.name", "eq", text), maxCandidates)
	if err != nil {
		return Group{}, nil, err
	}
	if len(p.Items) == 1 && !p.More && strings.EqualFold(p.Items[0].Name, text) {
		return p.Items[0], nil, nil
	}
	if len(p.Items) == 0 {
		p, err = c.searchGroups(ctx, op, compare("profile.name", "co", text), maxCandidates)
	}
	return Group{}, p.Items, err
}

// ResolveApp finds the one app that text means, an id, a label or a name, in
// the manner of [Client.ResolveUser].
func (c *Client) ResolveApp(ctx context.Context, text string) (App, []App, error) {
	op := read("ResolveApp")
	text, err := cleanText(op.name, text)
	if err != nil {
		return App{}, nil, err
	}
	if id := AppID(text); id.Valid() {
		return ifFound(c.AppByID(ctx, id))
	}
	p, err := c.searchApps(ctx, op, text)
	if err != nil {
		return App{}, nil, err
	}
	apps, rank := best(p.Items,
		func(a App) bool { return strings.EqualFold(a.Label, text) },
		func(a App) bool { return strings.EqualFold(a.Name, text) })
	if len(apps) == 1 && rank >= 0 && !p.More {
		return apps[0], nil, nil
	}
	return App{}, firstFew(apps), nil
}

// ifFound is the result of a Resolve method for an id: the object, or nothing
// if there is none with that id.
func ifFound[T any](found T, _ Meta, err error) (T, []T, error) {
	if KindOf(err) == KindNotFound {
		err = nil
	}
	return found, nil, err
}

// best returns the items that match the first test that any item matches, and
// the index of that test. If no item matches any test it returns all, because
// Okta's index matched them for a reason unknown here, and -1.
func best[T any](items []T, tests ...func(T) bool) ([]T, int) {
	for rank, matches := range tests {
		var found []T
		for _, item := range items {
			if matches(item) {
				found = append(found, item)
			}
		}
		if len(found) > 0 {
			return found, rank
		}
	}
	return items, -1
}

func firstFew[T any](items []T) []T { return items[:min(len(items), maxCandidates)] }
