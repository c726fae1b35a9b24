package okta

import (
	"context"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// App is an app instance of the org.
type App struct {
	ID     AppID
	Name   string // the kind of app, as salesforce
	Label  string // what people call it
	Status string // ACTIVE or INACTIVE; "" where Okta does not say
}

type appWire struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Label  string `json:"label"`
	Status string `json:"status"`
}

func (w appWire) app() App { return App{AppID(w.ID), w.Name, w.Label, w.Status} }

type appLinkWire struct {
	ID    string `json:"appInstanceId"`
	Name  string `json:"appName"`
	Label string `json:"label"`
}

func (w appLinkWire) app() App { return App{ID: AppID(w.ID), Name: w.Name, Label: w.Label} }

// UserApps lists the apps a person has, directly or through groups, each once.
func (c *Client) UserApps(ctx context.Context, id UserID) (Page[App], error) {
	op := read("UserApps")
	if err := checked(op.name, id); err != nil {
		return Page[App]{}, err
	}
	p, err := pages(ctx, c, op, 0, appLinkWire.app, func(ctx context.Context, _ int32) error {
		_, _, err := c.api.UserAPI.ListAppLinks(ctx, string(id)).Execute()
		return err
	})
	seen, apps := map[AppID]bool{}, []App{}
	for _, a := range p.Items { // one app may have several links
		if !seen[a.ID] {
			seen[a.ID] = true
			apps = append(apps, a)
		}
	}
	p.Items = apps
	return p, err
}

// FindApps finds apps whose name or label starts with the query. An empty
// query lists all.
func (c *Client) FindApps(ctx context.Context, query string, limit int) (Page[App], error) {
	op := read("FindApps")
	if query != "" {
		var err error
		if query, err = text(op.name, query); err != nil {
			return Page[App]{}, err
		}
	}
	return pages(ctx, c, op, limit, appWire.app, func(ctx context.Context, size int32) error {
		r := c.api.ApplicationAPI.ListApplications(ctx).Limit(size)
		if query != "" {
			r = r.Q(query)
		}
		_, _, err := r.Execute()
		return err
	})
}

// AppByID reads one app.
func (c *Client) AppByID(ctx context.Context, id AppID) (App, Meta, error) {
	op := read("AppByID")
	if err := checked(op.name, id); err != nil {
		return App{}, Meta{}, err
	}
	return one(ctx, c, op, appWire.app, func(ctx context.Context) error {
		_, _, err := c.api.ApplicationAPI.GetApplication(ctx, string(id)).Execute()
		return err
	})
}

// AssignUserToApp gives a person an app. KindConflict if they have it already.
func (c *Client) AssignUserToApp(ctx context.Context, app AppID, user UserID) (Meta, error) {
	op := change("AssignUserToApp")
	if err := checked(op.name, app, user); err != nil {
		return Meta{}, err
	}
	scope := "USER"
	return c.do(ctx, op, func(ctx context.Context) error {
		_, _, err := c.api.ApplicationUsersAPI.AssignUserToApplication(ctx, string(app)).
			AppUser(sdk.AppUserAssignRequest{Id: string(user), Scope: &scope}).Execute()
		return err
	})
}

// UnassignUserFromApp takes a person's own assignment away.
func (c *Client) UnassignUserFromApp(ctx context.Context, app AppID, user UserID) (Meta, error) {
	op := change("UnassignUserFromApp")
	if err := checked(op.name, app, user); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := c.api.ApplicationUsersAPI.UnassignUserFromApplication(ctx, string(app), string(user)).Execute()
		return err
	})
}

// AssignGroupToApp gives an app to all of a group. Doing it again changes
// nothing.
func (c *Client) AssignGroupToApp(ctx context.Context, app AppID, group GroupID) (Meta, error) {
	op := set("AssignGroupToApp")
	if err := checked(op.name, app, group); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, func(ctx context.Context) error {
		_, _, err := c.api.ApplicationGroupsAPI.AssignGroupToApplication(ctx, string(app), string(group)).
			ApplicationGroupAssignment(sdk.ApplicationGroupAssignment{}).Execute()
		return err
	})
}

// UnassignGroupFromApp takes an app from a group.
func (c *Client) UnassignGroupFromApp(ctx context.Context, app AppID, group GroupID) (Meta, error) {
	op := change("UnassignGroupFromApp")
	if err := checked(op.name, app, group); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := c.api.ApplicationGroupsAPI.UnassignApplicationFromGroup(ctx, string(app), string(group)).Execute()
		return err
	})
}

// UserAssignment says how a person has an app.
type UserAssignment string

// The ways of having an app.
const (
	Unassigned   UserAssignment = ""
	Direct       UserAssignment = "USER"
	ThroughGroup UserAssignment = "GROUP"
)

// UserAppAssignment says whether and how a person has an app.
func (c *Client) UserAppAssignment(ctx context.Context, app AppID, user UserID) (UserAssignment, Meta, error) {
	op := read("UserAppAssignment")
	if err := checked(op.name, app, user); err != nil {
		return Unassigned, Meta{}, err
	}
	type wire struct {
		Scope string `json:"scope"`
	}
	a, meta, err := one(ctx, c, op, func(w wire) UserAssignment { return UserAssignment(w.Scope) }, func(ctx context.Context) error {
		_, _, err := c.api.ApplicationUsersAPI.GetApplicationUser(ctx, string(app), string(user)).Execute()
		return err
	})
	if KindOf(err) == KindNotFound {
		return Unassigned, meta, nil
	}
	return a, meta, err
}

// GroupHasApp says whether a group has an app.
func (c *Client) GroupHasApp(ctx context.Context, app AppID, group GroupID) (bool, Meta, error) {
	op := read("GroupHasApp")
	if err := checked(op.name, app, group); err != nil {
		return false, Meta{}, err
	}
	meta, err := c.do(ctx, op, func(ctx context.Context) error {
		_, _, err := c.api.ApplicationGroupsAPI.GetApplicationGroupAssignment(ctx, string(app), string(group)).Execute()
		return err
	})
	if KindOf(err) == KindNotFound {
		return false, meta, nil
	}
	return err == nil, meta, err
}
