package oktatest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// GroupType says who manages a group.
type GroupType string

// The group types Okta has.
const (
	OktaGroup GroupType = "OKTA_GROUP"
	AppGroup  GroupType = "APP_GROUP"
	BuiltIn   GroupType = "BUILT_IN"
)

type group struct {
	id, name    string
	description *string
	kind        GroupType
	source      string // app id of an APP_GROUP
	profile     map[string]any
	created     time.Time
	lastUpdated time.Time
	lastMember  time.Time
	members     set
}

// set is an ordered set of ids.
type set []string

func (s set) has(id string) bool { return slices.Contains(s, id) }

func (s *set) add(id string) {
	if !s.has(id) {
		*s = append(*s, id)
	}
}

func (s *set) remove(id string) { *s = slices.DeleteFunc(*s, func(v string) bool { return v == id }) }

// has says whether a user is a member; everyone is one of Everyone.
func (g *group) has(userID string) bool { return g.kind == BuiltIn || g.members.has(userID) }
func (g *group) remove(userID string)   { g.members.remove(userID) }
func (o *Org) group(id string) *group {
	return find(o.groups, id, func(g *group) string { return g.id })
}
func (o *Org) app(id string) *app { return find(o.apps, id, func(a *app) string { return a.id }) }
func (o *Org) members(g *group) (m []*user) {
	for _, u := range o.users {
		if g.has(u.id) {
			m = append(m, u)
		}
	}
	return m
}

func find[T any](all []*T, id string, of func(*T) string) *T {
	if i := slices.IndexFunc(all, func(v *T) bool { return of(v) == id }); i >= 0 {
		return all[i]
	}
	return nil
}

// values is a snapshot when called on a copy.
func (g *group) values(attr string) []string {
	switch attr {
	case "profile.name":
		return []string{g.name}
	case "profile.description":
		if g.description != nil {
			return []string{*g.description}
		}
	}
	return nil
}

var groupSearch = grammar{fold: true, attributes: []string{"profile.name", "profile.description"}, operators: []string{"eq", "sw", "co"}}

func (c *call) groupJSON(g *group) any {
	class := "okta:user_group"
	if g.kind == AppGroup {
		class = "okta:windows_security_principal"
	}
	profile := map[string]any{"name": g.name, "description": g.description}
	for k, v := range g.profile {
		profile[k] = v
	}
	self := c.base + "/api/v1/groups/" + g.id
	links := map[string]any{
		"logo": []any{map[string]any{
			"name": "medium", "href": c.base + "/assets/img/logos/groups/okta-medium.png", "type": "image/png",
		}},
		"users": map[string]any{"href": self + "/users"},
		"apps":  map[string]any{"href": self + "/apps"},
	}
	m := map[string]any{
		"id": g.id, "created": stamp(g.created), "lastUpdated": stamp(g.lastUpdated), "lastMembershipUpdated": stamp(g.lastMember),
		"objectClass": []string{class}, "type": g.kind, "profile": profile, "_links": links,
	}
	if g.source != "" {
		m["source"] = map[string]any{"id": g.source}
		links["source"] = map[string]any{"href": c.base + "/api/v1/apps/" + g.source}
	}
	return m
}

func (o *Org) groupRoutes(handle handleFunc) {
	const read, manage = "okta.groups.read", "okta.groups.manage"
	handle("GET /api/v1/groups", read, readGroups, (*call).listGroups)
	handle("POST /api/v1/groups", manage, changeGroups, (*call).createGroup)
	handle("GET /api/v1/groups/{group}", read, readGroups, (*call).getGroup)
	handle("PUT /api/v1/groups/{group}", manage, changeGroups, (*call).replaceGroup)
	handle("DELETE /api/v1/groups/{group}", manage, changeGroups, (*call).deleteGroup)
	handle("GET /api/v1/groups/{group}/users", read, readGroups, (*call).listMembers)
	handle("PUT /api/v1/groups/{group}/users/{user}", manage, changeMembers, (*call).addMember)
	handle("DELETE /api/v1/groups/{group}/users/{user}", manage, changeMembers, (*call).removeMember)
}

// pathGroup finds {group}, or answers the 404.
func (c *call) pathGroup() *group {
	g := c.group(c.r.PathValue("group"))
	if g == nil {
		c.notFound(c.r.PathValue("group"), "UserGroup")
	}
	return g
}

func (c *call) listGroups() {
	if !c.only("search") {
		return
	}
	keep := func(*group) bool { return true }
	if c.r.URL.Query().Has("search") {
		e, ok := c.query("search", groupSearch)
		if !ok {
			return
		}
		keep = func(g *group) bool {
			v := c.indexed(g.id, g.values)
			return v != nil && e.eval(v)
		}
	}
	var found []*group
	for _, g := range c.groups {
		if keep(g) && (g.kind != BuiltIn || c.actor.role != GroupAdmin) {
			found = append(found, g)
		}
	}
	page(c, found, func(g *group) string { return g.id }, 10000, 10000, c.groupJSON)
}

func (c *call) getGroup() {
	if g := c.pathGroup(); g != nil {
		c.ok(c.groupJSON(g))
	}
}

// profile decodes and checks the body of a create or replace.
func (c *call) profile(self *group) (map[string]any, bool) {
	var in struct {
		Profile map[string]any `json:"profile"`
	}
	if !c.decode(&in) {
		return nil, false
	}
	name, _ := in.Profile["name"].(string)
	description, _ := in.Profile["description"].(string)
	switch {
	case strings.TrimSpace(name) == "":
		c.invalid("name", "name: The field cannot be left blank")
	case len([]rune(name)) > 255:
		c.invalid("name", "name: The field is too long")
	case len([]rune(description)) > 1024:
		c.invalid("description", "description: The field is too long")
	case strings.ContainsFunc(name+description, func(r rune) bool { return r > 0xFFFF }):
		c.invalid("profile", "profile: Unsupported characters")
	case slices.ContainsFunc(c.groups, func(g *group) bool { return g != self && strings.EqualFold(g.name, name) }):
		c.invalid("name", "name: An object with this field already exists in the current organization")
	default:
		return in.Profile, true
	}
	return nil, false
}

func (g *group) setProfile(p map[string]any) {
	g.name, _ = p["name"].(string)
	g.description = nil
	if d, ok := p["description"].(string); ok {
		g.description = &d
	}
	g.profile = map[string]any{}
	for k, v := range p {
		if k != "name" && k != "description" {
			g.profile[k] = v
		}
	}
}

func (c *call) createGroup() {
	p, ok := c.profile(nil)
	if !ok {
		return
	}
	g := &group{id: "00g" + c.randomString(17), kind: OktaGroup, created: c.now, lastUpdated: c.now, lastMember: c.now}
	g.setProfile(p)
	c.touch(g.id, nil)
	c.groups = append(c.groups, g)
	c.log("group.lifecycle.create", "Create Okta group", g.target())
	c.ok(c.groupJSON(g))
}

func (c *call) replaceGroup() {
	g := c.pathGroup()
	if g == nil {
		return
	}
	if g.kind != OktaGroup {
		c.forbidden()
		return
	}
	p, ok := c.profile(g)
	if !ok {
		return
	}
	before := *g
	c.touch(g.id, before.values)
	g.setProfile(p)
	g.lastUpdated = c.now
	c.log("group.profile.update", "Update Okta group", g.target())
	c.ok(c.groupJSON(g))
}

func (c *call) deleteGroup() {
	g := c.pathGroup()
	if g == nil {
		return
	}
	if g.kind == BuiltIn {
		c.forbidden()
		return
	}
	c.groups = slices.DeleteFunc(c.groups, func(v *group) bool { return v == g })
	for _, a := range c.apps {
		a.groups.remove(g.id)
	}
	c.log("group.lifecycle.delete", "Delete Okta group", g.target())
	c.noContent()
}

func (c *call) listMembers() {
	if g := c.pathGroup(); g != nil {
		page(c, c.members(g), func(u *user) string { return u.id }, 1000, 1000, func(u *user) any { return c.userJSON(u, false) })
	}
}

// pathMembership finds the group and the user of a membership, or answers the 404.
func (c *call) pathMembership() (*group, *user) {
	g := c.pathGroup()
	if g == nil {
		return nil, nil
	}
	u := c.pathUserID()
	if u == nil {
		return nil, nil
	}
	return g, u
}

func (c *call) addMember() {
	g, u := c.pathMembership()
	if g == nil {
		return
	}
	switch g.kind {
	case BuiltIn:
		c.fail(http.StatusNotImplemented, "E0000060", "Unsupported operation.")
		return
	case AppGroup:
		c.forbidden()
		return
	case OktaGroup:
	}
	if !g.has(u.id) {
		g.members.add(u.id)
		g.lastMember = c.now
		c.log("group.user_membership.add", "Add user to group membership", u.target(), g.target())
	}
	c.noContent()
}

func (c *call) removeMember() {
	g, u := c.pathMembership()
	if g == nil {
		return
	}
	if g.kind != OktaGroup {
		c.forbidden() // even for a super administrator
		return
	}
	if g.has(u.id) {
		g.remove(u.id)
		g.lastMember = c.now
		c.log("group.user_membership.remove", "Remove user from group membership", u.target(), g.target())
	}
	c.noContent()
}
