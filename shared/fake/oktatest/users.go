package oktatest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Status is the state of a person in their life cycle.
type Status string

// The statuses Okta has.
const (
	Staged          Status = "STAGED"
	Provisioned     Status = "PROVISIONED"
	Active          Status = "ACTIVE"
	Recovery        Status = "RECOVERY"
	LockedOut       Status = "LOCKED_OUT"
	PasswordExpired Status = "PASSWORD_EXPIRED"
	Suspended       Status = "SUSPENDED"
	Deprovisioned   Status = "DEPROVISIONED"
)

// Role is an admin role of a person. What a token may do is its scopes and
// this, together.
type Role string

// Some of Okta's standard roles.
const (
	NoRole        Role = ""
	SuperAdmin    Role = "SUPER_ADMIN"
	OrgAdmin      Role = "ORG_ADMIN"
	AppAdmin      Role = "APP_ADMIN"
	GroupAdmin    Role = "USER_ADMIN" // Okta's name for the group administrator
	HelpDeskAdmin Role = "HELP_DESK_ADMIN"
	ReadOnlyAdmin Role = "READ_ONLY_ADMIN"
)

type permission int

const (
	readUsers permission = iota
	changeUsers
	changeCredentials
	readGroups
	changeMembers
	changeGroups
	readApps
	changeApps
	readLogs
)

var permissions = map[Role][]permission{
	SuperAdmin:    {readUsers, changeUsers, changeCredentials, readGroups, changeMembers, changeGroups, readApps, changeApps, readLogs},
	OrgAdmin:      {readUsers, changeUsers, changeCredentials, readGroups, changeMembers, changeGroups, readApps, readLogs},
	AppAdmin:      {readUsers, readGroups, readApps, changeApps},
	GroupAdmin:    {readUsers, changeUsers, changeCredentials, readGroups, changeMembers},
	HelpDeskAdmin: {readUsers, changeCredentials, readGroups},
	ReadOnlyAdmin: {readUsers, readGroups, readApps, readLogs},
}

func (r Role) may(p permission) bool { return slices.Contains(permissions[r], p) }

type user struct {
	id, login, email, first, last string
	status                        Status
	password                      bool
	created, activated            time.Time
	statusChanged, lastLogin      time.Time
	lastUpdated, passwordChanged  time.Time
	factors                       []factor
	sessions                      int
	role                          Role
}

func (u *user) name() string { return u.first + " " + u.last }

type factor struct {
	id, kind, provider, vendor string
	profile                    map[string]any
	created                    time.Time
}

func (o *Org) user(id string) *user {
	i := slices.IndexFunc(o.users, func(u *user) bool { return u.id == id })
	if i < 0 {
		return nil
	}
	return o.users[i]
}

// pathUser finds who {user} in a path is: an id, a login, an unambiguous short
// login, or me. It answers the 404 itself.
func (c *call) pathUser() *user {
	name := c.r.PathValue("user")
	if name == "me" {
		return c.actor
	}
	if u := c.user(name); u != nil {
		return u
	}
	var found []*user
	for _, u := range c.users {
		if strings.EqualFold(u.login, name) {
			return u
		}
		if short, _, ok := strings.Cut(u.login, "@"); ok && strings.EqualFold(short, name) {
			found = append(found, u)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	c.notFound(name, "User")
	return nil
}

// pathUserID is pathUser for the paths that are documented with an id only.
func (c *call) pathUserID() *user {
	u := c.user(c.r.PathValue("user"))
	if u == nil {
		c.notFound(c.r.PathValue("user"), "User")
	}
	return u
}

// values gives every value an attribute has.
type values func(attr string) []string

// stale is what the search index still believes about one object.
type stale struct {
	values values // nil: it does not exist yet
	until  time.Time
}

// touch tells the search index, in good time, that an object is about to
// change; before is nil for one that is about to exist.
func (o *Org) touch(id string, before values) {
	now := o.opts.Now()
	if s, ok := o.stale[id]; ok && now.Before(s.until) {
		before = s.values
	}
	o.stale[id] = stale{before, now.Add(o.opts.SearchLag)}
}

// indexed is how the search index sees an object.
func (o *Org) indexed(id string, current values) values {
	if s, ok := o.stale[id]; ok && o.opts.Now().Before(s.until) {
		return s.values
	}
	return current
}

const userType = "otyuser00000000000x1"

// values is a snapshot when called on a copy.
func (u *user) values(attr string) []string {
	switch attr {
	case "status":
		return []string{string(u.status)}
	case "profile.login":
		return []string{u.login}
	case "profile.email":
		return []string{u.email}
	case "profile.firstName":
		return []string{u.first}
	case "profile.lastName":
		return []string{u.last}
	}
	return nil
}

var userSearch = grammar{
	fold: true, attributes: []string{"status", "profile.firstName", "profile.lastName", "profile.login", "profile.email"}, operators: []string{"eq", "sw", "co", "pr"},
}

func (c *call) userJSON(u *user, single bool) map[string]any {
	href := func(path string) map[string]any {
		return map[string]any{"href": c.base + "/api/v1/users/" + u.id + path}
	}
	post := func(path string) map[string]any { h := href(path); h["method"] = "POST"; return h }
	links := map[string]any{"self": href("")}
	if single {
		links["schema"] = map[string]any{"href": c.base + "/api/v1/meta/schemas/user/oscuser00000000000x1"}
		links["type"] = map[string]any{"href": c.base + "/api/v1/meta/types/user/" + userType}
		if u.status != Deprovisioned {
			links["deactivate"] = post("/lifecycle/deactivate")
			links["resetFactors"] = post("/lifecycle/reset_factors")
		}
		switch u.status {
		case Active:
			links["suspend"], links["resetPassword"] = post("/lifecycle/suspend"), post("/lifecycle/reset_password")
			links["expirePassword"], links["changePassword"] = post("/lifecycle/expire_password"), post("/credentials/change_password")
			links["forgotPassword"], links["changeRecoveryQuestion"] = post("/credentials/forgot_password"), post("/credentials/change_recovery_question")
		case Recovery, PasswordExpired:
			links["resetPassword"] = post("/lifecycle/reset_password")
		case LockedOut:
			links["unlock"], links["resetPassword"] = post("/lifecycle/unlock"), post("/lifecycle/reset_password")
		case Suspended:
			links["unsuspend"] = post("/lifecycle/unsuspend")
		case Staged, Deprovisioned:
			links["activate"] = post("/lifecycle/activate")
		case Provisioned:
			links["reactivate"] = post("/lifecycle/reactivate")
		}
	}
	credentials := map[string]any{
		"emails":   []any{map[string]any{"value": u.email, "status": "VERIFIED", "type": "PRIMARY"}},
		"provider": map[string]any{"type": "OKTA", "name": "OKTA"},
	}
	if u.password {
		credentials["password"] = map[string]any{}
	}
	return map[string]any{
		"id": u.id, "status": u.status, "created": stamp(u.created), "activated": stamp(u.activated),
		"statusChanged": stamp(u.statusChanged), "lastLogin": stamp(u.lastLogin), "lastUpdated": stamp(u.lastUpdated),
		"passwordChanged": stamp(u.passwordChanged), "type": map[string]any{"id": userType},
		"profile": map[string]any{
			"login": u.login, "email": u.email, "firstName": u.first, "lastName": u.last,
			"mobilePhone": nil, "secondEmail": nil,
		},
		"credentials": credentials, "_links": links,
	}
}

func (o *Org) userRoutes(handle handleFunc) {
	const read, manage = "okta.users.read", "okta.users.manage"
	o.mux.HandleFunc("GET /api/v1/users", func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.r = r
		if c.onlySelf() {
			c.ok([]any{c.userJSON(c.actor, false)})
			return
		}
		if c.may(read, readUsers) {
			c.listUsers()
		}
	})
	o.mux.HandleFunc("GET /api/v1/users/{user}", func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.r = r
		// One's own profile needs no admin role.
		self := r.PathValue("user") == "me" || r.PathValue("user") == c.actor.id
		if self && (c.onlySelf() || c.hasScope(read)) || c.may(read, readUsers) {
			c.getUser()
		}
	})
	handle("GET /api/v1/users/{user}/groups", read, readUsers, (*call).listUserGroups)
	handle("GET /api/v1/users/{user}/appLinks", read, readUsers, (*call).listAppLinks)
	handle("GET /api/v1/users/{user}/factors", read, readUsers, (*call).listFactors)
	handle("DELETE /api/v1/users/{user}/sessions", manage, changeCredentials, (*call).clearSessions)
	const life = "POST /api/v1/users/{user}/lifecycle/"
	handle(life+"activate", manage, changeUsers, (*call).activate)
	handle(life+"reactivate", manage, changeUsers, (*call).reactivate)
	handle(life+"deactivate", manage, changeUsers, (*call).deactivate)
	handle(life+"suspend", manage, changeUsers, (*call).suspend)
	handle(life+"unsuspend", manage, changeUsers, (*call).unsuspend)
	handle(life+"unlock", manage, changeCredentials, (*call).unlock)
	handle(life+"reset_password", manage, changeCredentials, (*call).resetPassword)
	handle(life+"expire_password", manage, changeCredentials, (*call).expirePassword)
	handle(life+"reset_factors", manage, changeCredentials, (*call).resetFactors)
}

// onlySelf says whether the token reads nothing but its own user.
func (c *call) onlySelf() bool {
	return slices.Contains(c.token.scopes, "okta.users.read.self") && !c.hasScope("okta.users.read")
}

func (c *call) listUsers() {
	if !c.only("search") {
		return
	}
	keep := func(u *user) bool { return u.status != Deprovisioned }
	if c.r.URL.Query().Has("search") {
		e, ok := c.query("search", userSearch)
		if !ok {
			return
		}
		keep = func(u *user) bool {
			v := c.indexed(u.id, u.values)
			return v != nil && e.eval(v)
		}
	}
	var found []*user
	for _, u := range c.users {
		if keep(u) {
			found = append(found, u)
		}
	}
	page(c, found, func(u *user) string { return u.id }, 200, 200, func(u *user) any { return c.userJSON(u, false) })
}

func (c *call) getUser() {
	u := c.pathUser()
	if u == nil {
		return
	}
	c.out.header.Set("ETag", `W/"`+u.id+u.lastUpdated.Format("150405.000")+`"`)
	c.ok(c.userJSON(u, true))
}

func (c *call) listUserGroups() {
	u := c.pathUser()
	if u == nil {
		return
	}
	var found []*group
	for _, g := range c.groups {
		if g.has(u.id) {
			found = append(found, g)
		}
	}
	page(c, found, func(g *group) string { return g.id }, 200, 200, c.groupJSON)
}

func (c *call) factorJSON(u *user, f factor) map[string]any {
	return map[string]any{
		"id": f.id, "factorType": f.kind, "provider": f.provider, "vendorName": f.vendor, "status": "ACTIVE",
		"created": stamp(f.created), "lastUpdated": stamp(f.created), "profile": f.profile,
		"_links": map[string]any{"self": map[string]any{"href": c.base + "/api/v1/users/" + u.id + "/factors/" + f.id}},
	}
}

func (c *call) listFactors() {
	u := c.pathUserID()
	if u == nil {
		return
	}
	out := make([]any, 0, len(u.factors))
	for _, f := range u.factors {
		out = append(out, c.factorJSON(u, f))
	}
	c.ok(out)
}

func (c *call) clearSessions() {
	u := c.pathUserID()
	if u == nil {
		return
	}
	u.sessions = 0
	if c.flag("oauthTokens", false) {
		c.revokeTokens(u.id)
	}
	c.log("user.session.clear", "Clear user session", u.target())
	c.noContent()
}

// flag reads a boolean query parameter.
func (c *call) flag(name string, standard bool) bool {
	if v := c.r.URL.Query().Get(name); v != "" {
		return v == "true"
	}
	return standard
}

// wrongState is Okta's refusal of most transitions.
func (c *call) wrongState() {
	c.fail(http.StatusForbidden, "E0000038", "This operation is not allowed in the user's current status.")
}

func (c *call) setStatus(u *user, s Status) {
	before := *u
	c.touch(u.id, before.values)
	u.status, u.statusChanged, u.lastUpdated = s, c.now, c.now
}

func (c *call) mail(u *user, kind MailKind) {
	c.mails = append(c.mails, Mail{Time: c.now, UserID: u.id, To: u.email, Kind: kind})
}

// invite either mails a one-time token or hands it to the caller.
func (c *call) invite(u *user, sendEmail bool) {
	if sendEmail {
		c.mail(u, MailActivation)
		c.empty()
		return
	}
	t := c.randomString(20)
	c.ok(map[string]any{"activationUrl": c.base + "/tokens/" + t + "/verify", "activationToken": t})
}

func (c *call) activate() {
	u := c.pathUser()
	if u == nil {
		return
	}
	switch u.status {
	case Staged, Deprovisioned:
	case Active:
		c.fail(http.StatusForbidden, "E0000016", "Activation failed because the user is already active")
		return
	default:
		c.wrongState()
		return
	}
	c.setStatus(u, Provisioned)
	if u.password {
		c.setStatus(u, Active)
	}
	u.activated = c.now
	c.log("user.lifecycle.activate", "Activate Okta user", u.target())
	c.invite(u, c.flag("sendEmail", true))
}

func (c *call) reactivate() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status != Provisioned && u.status != Recovery {
		c.wrongState()
		return
	}
	c.setStatus(u, Provisioned)
	c.log("user.lifecycle.reactivate", "Reactivate Okta user", u.target())
	c.invite(u, c.flag("sendEmail", false))
}

func (c *call) deprovision(u *user) {
	c.setStatus(u, Deprovisioned)
	u.sessions = 0
	for _, a := range c.apps {
		a.users.remove(u.id)
	}
	c.log("user.lifecycle.deactivate", "Deactivate Okta user", u.target())
}

func (c *call) deactivate() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status == Deprovisioned {
		c.notFound(u.id, "User") // although GET still finds them
		return
	}
	c.deprovision(u)
	c.empty()
}

func (c *call) suspend() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status != Active {
		c.invalid(u.id, "Cannot suspend a user that is not active")
		return
	}
	c.setStatus(u, Suspended)
	u.sessions = 0
	c.log("user.lifecycle.suspend", "Suspend Okta user", u.target())
	c.empty()
}

func (c *call) unsuspend() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status != Suspended {
		c.invalid(u.id, "Cannot unsuspend a user that is not suspended")
		return
	}
	c.setStatus(u, Active)
	c.log("user.lifecycle.unsuspend", "Unsuspend Okta user", u.target())
	c.empty()
}

func (c *call) unlock() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status != LockedOut {
		c.fail(http.StatusForbidden, "E0000032", "Unlock is not allowed for this user.", "The user is not locked out.")
		return
	}
	c.setStatus(u, Active)
	c.log("user.account.unlock_by_admin", "Unlock user account for user", u.target())
	c.empty()
}

func (c *call) resetPassword() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if !c.r.URL.Query().Has("sendEmail") {
		c.fail(http.StatusBadRequest, "E0000028", "The request is missing a required parameter.")
		return
	}
	switch u.status {
	case Active, Recovery, PasswordExpired, LockedOut, Provisioned:
	case Suspended:
		c.wrongState()
		return
	default:
		c.fail(http.StatusForbidden, "E0000017", "Password reset failed")
		return
	}
	c.setStatus(u, Recovery)
	if c.flag("revokeSessions", false) {
		u.sessions = 0
	}
	c.log("user.account.reset_password", "Reset password for user by admin", u.target())
	if c.flag("sendEmail", true) {
		c.mail(u, MailResetPassword)
		c.empty()
		return
	}
	c.ok(map[string]any{"resetPasswordUrl": c.base + "/reset_password/" + c.randomString(20)})
}

func (c *call) expirePassword() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status != Active {
		c.wrongState()
		return
	}
	c.setStatus(u, PasswordExpired)
	c.log("user.account.expire_password", "Expire password for user by admin", u.target())
	c.ok(c.userJSON(u, true))
}

func (c *call) resetFactors() {
	u := c.pathUser()
	if u == nil {
		return
	}
	if u.status == Deprovisioned {
		c.wrongState()
		return
	}
	u.factors = nil
	c.log("user.mfa.factor.reset_all", "Reset all factors for user", u.target())
	c.empty()
}
