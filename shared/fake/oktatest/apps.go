package oktatest

import (
	"net/http"
	"strings"
	"time"
)

type app struct {
	id, name, label, mode string
	status                string
	created, lastUpdated  time.Time
	users, groups         set // assigned directly
}

func (c *call) appJSON(a *app) any {
	self := c.base + "/api/v1/apps/" + a.id
	return map[string]any{
		"id": a.id, "name": a.name, "label": a.label, "status": a.status, "signOnMode": a.mode,
		"created": stamp(a.created), "lastUpdated": stamp(a.lastUpdated), "features": []any{},
		"accessibility": map[string]any{"selfService": false, "errorRedirectUrl": nil},
		"visibility": map[string]any{
			"autoSubmitToolbar": false, "hide": map[string]any{"iOS": false, "web": false},
			"appLinks": map[string]any{a.name + "_link": true},
		},
		"_links": map[string]any{
			"users":  map[string]any{"href": self + "/users"},
			"groups": map[string]any{"href": self + "/groups"},
		},
	}
}

func (o *Org) appRoutes(handle handleFunc) {
	const read, manage = "okta.apps.read", "okta.apps.manage"
	handle("GET /api/v1/apps", read, readApps, (*call).listApps)
	handle("GET /api/v1/apps/{app}", read, readApps, (*call).getApp)
	handle("POST /api/v1/apps/{app}/users", manage, changeApps, (*call).assignUser)
	handle("GET /api/v1/apps/{app}/users/{user}", read, readApps, (*call).getAppUser)
	handle("DELETE /api/v1/apps/{app}/users/{user}", manage, changeApps, (*call).unassignUser)
	handle("GET /api/v1/apps/{app}/groups/{group}", read, readApps, (*call).getAppGroup)
	handle("PUT /api/v1/apps/{app}/groups/{group}", manage, changeApps, (*call).assignGroup)
	handle("DELETE /api/v1/apps/{app}/groups/{group}", manage, changeApps, (*call).unassignGroup)
}

// pathApp finds {app}, or answers the 404.
func (c *call) pathApp() *app {
	a := c.app(c.r.PathValue("app"))
	if a == nil {
		c.notFound(c.r.PathValue("app"), "AppInstance")
	}
	return a
}

func (c *call) listApps() {
	if !c.only("q") {
		return
	}
	want := strings.ToLower(c.r.URL.Query().Get("q"))
	var found []*app
	for _, a := range c.apps {
		if strings.HasPrefix(strings.ToLower(a.label), want) || strings.HasPrefix(strings.ToLower(a.name), want) {
			found = append(found, a)
		}
	}
	page(c, found, func(a *app) string { return a.id }, 20, 200, c.appJSON)
}

func (c *call) getApp() {
	if a := c.pathApp(); a != nil {
		c.ok(c.appJSON(a))
	}
}

// through is the first group that brings a user into an app.
func (o *Org) through(a *app, userID string) *group {
	for _, id := range a.groups {
		if g := o.group(id); g != nil && g.has(userID) {
			return g
		}
	}
	return nil
}

func (o *Org) assigned(a *app, userID string) bool {
	return a.users.has(userID) || o.through(a, userID) != nil
}

func (c *call) appUserJSON(a *app, u *user) any {
	scope := "GROUP"
	if a.users.has(u.id) {
		scope = "USER"
	}
	return map[string]any{
		"id": u.id, "externalId": nil, "created": stamp(a.created), "lastUpdated": stamp(a.lastUpdated),
		"scope": scope, "status": "ACTIVE", "statusChanged": stamp(a.created), "passwordChanged": nil, "syncState": "DISABLED",
		"credentials": map[string]any{"userName": u.login}, "profile": map[string]any{},
		"_links": map[string]any{
			"app":  map[string]any{"href": c.base + "/api/v1/apps/" + a.id},
			"user": map[string]any{"href": c.base + "/api/v1/users/" + u.id},
		},
	}
}

func (c *call) getAppUser() {
	a := c.pathApp()
	if a == nil {
		return
	}
	u := c.user(c.r.PathValue("user"))
	if u == nil || !c.assigned(a, u.id) {
		c.notFound(c.r.PathValue("user"), "AppUser")
		return
	}
	c.ok(c.appUserJSON(a, u))
}

func (c *call) assignUser() {
	a := c.pathApp()
	if a == nil {
		return
	}
	var in struct {
		ID string `json:"id"`
	}
	if !c.decode(&in) {
		return
	}
	if in.ID == "" {
		c.invalid("id", "id: The field cannot be left blank")
		return
	}
	u := c.user(in.ID)
	switch {
	case u == nil:
		c.notFound(in.ID, "User")
		return
	case u.status == Deprovisioned || u.status == Staged:
		c.fail(http.StatusForbidden, "E0000117", "Cannot assign an inactive user to an app.")
		return
	case a.users.has(u.id):
		c.fail(http.StatusConflict, "E0000062", "The given app user is already assigned to the app.")
		return
	}
	a.users.add(u.id)
	c.log("application.user_membership.add", "Add user to application membership", u.target(), a.target())
	c.ok(c.appUserJSON(a, u))
}

func (c *call) unassignUser() {
	a := c.pathApp()
	if a == nil {
		return
	}
	u := c.user(c.r.PathValue("user"))
	if u == nil || !a.users.has(u.id) {
		c.notFound(c.r.PathValue("user"), "AppUser")
		return
	}
	a.users.remove(u.id)
	c.log("application.user_membership.remove", "Remove user's application membership", u.target(), a.target())
	c.noContent()
}

func (c *call) appGroupJSON(a *app, g *group) any {
	return map[string]any{
		"id": g.id, "lastUpdated": stamp(a.lastUpdated), "priority": 0, "profile": map[string]any{},
		"_links": map[string]any{
			"app":   map[string]any{"href": c.base + "/api/v1/apps/" + a.id},
			"group": map[string]any{"href": c.base + "/api/v1/groups/" + g.id},
			"self":  map[string]any{"href": c.base + "/api/v1/apps/" + a.id + "/groups/" + g.id},
		},
	}
}

// pathAssignment finds the app and the group of an assignment, or answers the 404.
func (c *call) pathAssignment() (*app, *group) {
	a := c.pathApp()
	if a == nil {
		return nil, nil
	}
	g := c.pathGroup()
	if g == nil {
		return nil, nil
	}
	return a, g
}

func (c *call) getAppGroup() {
	a, g := c.pathAssignment()
	if a == nil {
		return
	}
	if !a.groups.has(g.id) {
		c.notFound(g.id, "ApplicationGroupAssignment")
		return
	}
	c.ok(c.appGroupJSON(a, g))
}

func (c *call) assignGroup() {
	a, g := c.pathAssignment()
	if a == nil {
		return
	}
	if !a.groups.has(g.id) {
		a.groups.add(g.id)
		c.log("group.application_assignment.add", "Add application assignment to group", g.target(), a.target())
	}
	c.ok(c.appGroupJSON(a, g))
}

func (c *call) unassignGroup() {
	a, g := c.pathAssignment()
	if a == nil {
		return
	}
	if !a.groups.has(g.id) {
		c.notFound(g.id, "ApplicationGroupAssignment")
		return
	}
	a.groups.remove(g.id)
	c.log("group.application_assignment.remove", "Remove application assignment from group", g.target(), a.target())
	c.noContent()
}

func (c *call) listAppLinks() {
	u := c.pathUser()
	if u == nil {
		return
	}
	out := []any{}
	for i, a := range c.apps {
		if !c.assigned(a, u.id) {
			continue
		}
		out = append(out, map[string]any{
			"id": "0ua" + u.id[3:10] + a.id[3:13], "label": a.label, "linkUrl": c.base + "/home/" + a.name + "/" + a.id,
			"logoUrl": c.base + "/assets/img/logos/" + a.name + ".png", "appName": a.name, "appInstanceId": a.id,
			"appAssignmentId": "0ua" + u.id[3:10] + a.id[3:13], "credentialsSetup": false, "hidden": false, "sortOrder": i,
		})
	}
	c.ok(out)
}
