package okta

import (
	"context"
	"slices"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// App is an app instance of the org.
type App struct {
	ID     AppID
	Name   string // the kind of app, as salesforce
	Label  string // the name that people see
	Status string // ACTIVE or INACTIVE; "" in a list of a person's apps
}

type appWire struct {
	ID     AppID  `json:"id"`
	Name   string `json:"name"`
	Label  string `json:"label"`
	Status string `json:"status"`
}

func (w *appWire) app() App { return App(*w) }

type appLinkWire struct {
	ID    AppID  `json:"appInstanceId"`
	Name  string `json:"appName"`
	Label string `json:"label"`
}

func (w *appLinkWire) app() App { return App{ID: w.ID, Name: w.Name, Label: w.Label} }

// UserApps lists the apps a person has, directly or through groups, each once.
func (c *Client) UserApps(ctx context.Context, id UserID) (Page[App], error) {
	list := func(ctx context.Context, _ int32) ([]appLinkWire, *sdk.APIResponse, error) {
		return decode[[]appLinkWire](ctx, c.api.UserAPI.ListAppLinks(ctx, string(id)).Execute)
	}
	p, err := pages(ctx, c, read("UserApps", id), 0, (*appLinkWire).app, list)
	seen := map[AppID]bool{}
	p.Items = slices.DeleteFunc(p.Items, func(a App) bool { // one app may have several links
		again := seen[a.ID]
		seen[a.ID] = true
		return again
	})
	return p, err
}

// searchApps lists the apps whose name or label starts with the query.
func (c *Client) searchApps(ctx context.Context, op operation, query string) (Page[App], error) {
	return pages(ctx, c, op, pageSize, (*appWire).app, func(ctx context.Context, size int32) ([]appWire, *sdk.APIResponse, error) {
		return decode[[]appWire](ctx, c.api.ApplicationAPI.ListApplications(ctx).Q(query).Limit(size).Execute)
	})
}

// AppByID reads one app.
func (c *Client) AppByID(ctx context.Context, id AppID) (App, Meta, error) {
	return one(ctx, c, read("AppByID", id), (*appWire).app, func(ctx context.Context) (*appWire, *sdk.APIResponse, error) {
		return decode[*appWire](ctx, c.api.ApplicationAPI.GetApplication(ctx, string(id)).Execute)
	})
}

// AssignUserToApp gives a person an app. KindConflict if they have it already.
func (c *Client) AssignUserToApp(ctx context.Context, app AppID, user UserID) (Meta, error) {
	scope := string(Direct)
	return c.do(ctx, change("AssignUserToApp", app, user), func(ctx context.Context) error {
		_, _, err := c.api.ApplicationUsersAPI.AssignUserToApplication(ctx, string(app)).
			AppUser(sdk.AppUserAssignRequest{Id: string(user), Scope: &scope}).Execute()
		return err
	})
}

// UnassignUserFromApp removes a person's own assignment. Assignments through
// groups stay.
func (c *Client) UnassignUserFromApp(ctx context.Context, app AppID, user UserID) (Meta, error) {
	return doTwo(ctx, c, change("UnassignUserFromApp", app, user), c.api.ApplicationUsersAPI.UnassignUserFromApplication)
}

// AssignGroupToApp gives an app to all members of a group. It succeeds too if
// they have it already.
func (c *Client) AssignGroupToApp(ctx context.Context, app AppID, group GroupID) (Meta, error) {
	return c.do(ctx, set("AssignGroupToApp", app, group), func(ctx context.Context) error {
		_, _, err := c.api.ApplicationGroupsAPI.AssignGroupToApplication(ctx, string(app), string(group)).
			ApplicationGroupAssignment(sdk.ApplicationGroupAssignment{}).Execute()
		return err
	})
}

// UnassignGroupFromApp removes an app from a group.
func (c *Client) UnassignGroupFromApp(ctx context.Context, app AppID, group GroupID) (Meta, error) {
	return doTwo(ctx, c, change("UnassignGroupFromApp", app, group), c.api.ApplicationGroupsAPI.UnassignApplicationFromGroup)
}

// UserAssignment is the way in which a person has an app.
type UserAssignment string

// The ways of having an app.
const (
	Unassigned   UserAssignment = ""
	Direct       UserAssignment = "USER"
	ThroughGroup UserAssignment = "GROUP"
)

// UserAppAssignment returns whether and how a person has an app.
func (c *Client) UserAppAssignment(ctx context.Context, app AppID, user UserID) (UserAssignment, Meta, error) {
	get := func(ctx context.Context) (*sdk.AppUser, *sdk.APIResponse, error) {
		return c.api.ApplicationUsersAPI.GetApplicationUser(ctx, string(app), string(user)).Execute()
	}
	scope := func(u *sdk.AppUser) UserAssignment { return UserAssignment(u.GetScope()) }
	a, meta, err := one(ctx, c, read("UserAppAssignment", app, user), scope, get)
	if KindOf(err) == KindNotFound {
		return Unassigned, meta, nil
	}
	return a, meta, err
}

// GroupHasApp reports whether a group has an app.
func (c *Client) GroupHasApp(ctx context.Context, app AppID, group GroupID) (bool, Meta, error) {
	meta, err := c.do(ctx, read("GroupHasApp", app, group), func(ctx context.Context) error {
		_, _, err := c.api.ApplicationGroupsAPI.GetApplicationGroupAssignment(ctx, string(app), string(group)).Execute()
		return err
	})
	if KindOf(err) == KindNotFound {
		return false, meta, nil
	}
	return err == nil, meta, err
}
