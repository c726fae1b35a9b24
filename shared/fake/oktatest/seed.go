package oktatest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The people of the demo org. Their logins are name@example.com.
const (
	Alice = "00ualice000000000001"
	Bob   = "00ubob00000000000002"
	Carol = "00ucarol00000000003x"
	Dave  = "00udave000000000004x"
	Erin  = "00uerin000000000005x"
	Frank = "00ufrank00000000006x"
)

// Two people of one name, and one person in each less usual state.
const (
	SamTaylor       = "00usamtaylor0000001x" // sam.taylor@example.com
	OtherSamTaylor  = "00usamtaylor0000002x" // sam.taylor2@example.com
	LockedPerson    = "00ulockedout0000003x" // lena.lock@example.com
	SuspendedPerson = "00ususpended0000004x" // sid.pend@example.com
	StagedPerson    = "00ustaged0000000005x" // stella.stage@example.com
	DepartedPerson  = "00udeparted00000006x" // dora.gone@example.com, DEPROVISIONED
)

// The groups and apps of the demo org.
const (
	Everyone    = "00geveryone000000000" // BUILT_IN
	Engineering = "00gengineering000000"
	Support     = "00gsupport0000000000"
	Finance     = "00gfinance0000000000"
	Contractors = "00gcontractors000000"
	HRDirectory = "00ghrdirectory000000" // APP_GROUP

	Salesforce = "0oasalesforce0000000"
	Jira       = "0oajira0000000000000"
	Figma      = "0oafigma000000000000"
)

// Extras is how many generated people the org has beside the named ones.
const Extras = 250

var (
	firstNames = strings.Fields("Ada Ben Chloe Dan Eva Finn Grace Hugo Iris Jack Kira Leo Mia Noah Olga Paul Quinn Rosa Seth Tess Uma Vic Wanda Xavier Yara Zoe")
	lastNames  = strings.Fields("Archer Baker Carter Dawson Ellis Foster Grant Hughes Irving Jensen Keller Lopez Mason Norton Owens Porter Reyes Stone Turner Underhill Vance Walsh Young Zimmer O'Neill Müller")
)

func (o *Org) seed() {
	now := o.opts.Now()
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }

	person := func(id, first, last, login string, status Status) *user {
		u := &user{
			id: id, first: first, last: last, login: login, email: login, status: status, password: true,
			created: day(400), activated: day(399), statusChanged: day(399), lastUpdated: day(30), passwordChanged: day(90),
		}
		if status == Staged || status == Provisioned {
			u.password, u.passwordChanged = false, time.Time{}
		}
		if status == Staged {
			u.activated = time.Time{}
		}
		u.role = o.opts.Roles[id]
		o.users = append(o.users, u)
		return u
	}
	for i, p := range []struct{ id, first, last string }{
		{Alice, "Alice", "Adams"},
		{Bob, "Bob", "Brown"},
		{Carol, "Carol", "Clark"},
		{Dave, "Dave", "Davis"},
		{Erin, "Erin", "Evans"},
		{Frank, "Frank", "Foster"},
	} {
		u := person(p.id, p.first, p.last, strings.ToLower(p.first)+"@example.com", Active)
		u.lastLogin, u.sessions = now.Add(-time.Duration(i+1)*time.Hour), 1
		if r, ok := o.opts.Roles[p.id]; ok {
			u.role = r
		} else {
			u.role = SuperAdmin
		}
		u.factors = []factor{
			{"opf" + p.id[3:], "push", "OKTA", "OKTA", map[string]any{"credentialId": u.login, "deviceType": "SmartPhone_IPhone", "name": u.first + "'s phone", "platform": "IOS", "version": "18.1"}, day(300)},
			{"ost" + p.id[3:], "token:software:totp", "OKTA", "OKTA", map[string]any{"credentialId": u.login}, day(300)},
			{"emf" + p.id[3:], "email", "OKTA", "OKTA", map[string]any{"email": u.email}, day(300)},
		}
	}
	person(SamTaylor, "Sam", "Taylor", "sam.taylor@example.com", Active)
	person(OtherSamTaylor, "Sam", "Taylor", "sam.taylor2@example.com", Active)
	person(LockedPerson, "Lena", "Lock", "lena.lock@example.com", LockedOut)
	person(SuspendedPerson, "Sid", "Pend", "sid.pend@example.com", Suspended)
	person(StagedPerson, "Stella", "Stage", "stella.stage@example.com", Staged)
	person(DepartedPerson, "Dora", "Gone", "dora.gone@example.com", Deprovisioned)
	for i := range Extras {
		first, last := firstNames[i%len(firstNames)], lastNames[(i/len(firstNames)+i)%len(lastNames)]
		login := fmt.Sprintf("%s.%s%d@example.com", strings.ToLower(first), strings.ToLower(asciiOnly(last)), i+1)
		status := Active
		switch i % 50 {
		case 17:
			status = Provisioned
		case 31:
			status = PasswordExpired
		case 43:
			status = Recovery
		}
		person("00u"+o.randomString(17), first, last, login, status)
	}

	text := func(s string) *string { return &s }
	team := func(id, name string, description *string, kind GroupType, members ...string) {
		o.groups = append(o.groups, &group{
			id: id, name: name, description: description, kind: kind, members: members,
			created: day(400), lastUpdated: day(100), lastMember: day(10),
		})
	}
	team(Everyone, "Everyone", text("All users in your organization"), BuiltIn)
	team(Engineering, "Engineering", text("People who build the product"), OktaGroup, Alice, Carol)
	team(Support, "Support", nil, OktaGroup, Alice, Bob)
	team(Finance, "Finance", nil, OktaGroup)
	team(Contractors, "Contractors", text("External staff, reviewed every quarter"), OktaGroup)
	team(HRDirectory, "HR Directory", nil, AppGroup)
	o.group(HRDirectory).source = "0oahrsystem000000000"
	for i, u := range o.users[12:] {
		id := []string{Engineering, Support, Finance, Contractors, HRDirectory}[i%5]
		o.group(id).members.add(u.id)
	}

	program := func(id, name, label, mode string, users, groups []string) {
		o.apps = append(o.apps, &app{
			id: id, name: name, label: label, mode: mode, status: "ACTIVE", created: day(380), lastUpdated: day(20),
			users: users, groups: groups,
		})
	}
	program(Salesforce, "salesforce", "Salesforce", "SAML_2_0", []string{Alice}, []string{Support})
	program(Jira, "jira_onprem", "Jira", "SAML_2_0", []string{Carol}, []string{Engineering})
	program(Figma, "figma", "Figma", "SAML_2_0", nil, nil)

	for i := range 6 {
		u := o.users[i]
		o.events = append(o.events, &event{
			uuid: o.uuid(), kind: "user.session.start", message: "User login to Okta", published: u.lastLogin,
			actor: u.target(), targets: []target{u.target()}, agent: "Mozilla/5.0", ip: "192.0.2.10", transaction: o.randomHex(32),
		})
	}
	slices.SortStableFunc(o.events, func(a, b *event) int { return a.published.Compare(b.published) })
}

func asciiOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 'ü' {
			return 'u'
		}
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, s)
}

// The methods below set up and look at the org's state from a test, without a
// request.

// AddUser adds a person without an admin role and returns their id.
func (o *Org) AddUser(first, last, login string, status Status) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	u := &user{
		id: "00u" + o.randomString(17), first: first, last: last, login: login, email: login, status: status,
		password: status != Staged && status != Provisioned, created: now, lastUpdated: now, statusChanged: now,
	}
	o.users = append(o.users, u)
	return u.id
}

// AddGroup adds a group and returns its id; an empty description is null.
func (o *Org) AddGroup(name, description string, kind GroupType, members ...string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	g := &group{
		id: "00g" + o.randomString(17), name: name, kind: kind, members: members,
		profile: map[string]any{}, created: now, lastUpdated: now, lastMember: now,
	}
	if description != "" {
		g.description = &description
	}
	o.groups = append(o.groups, g)
	return g.id
}

// SetGroupProfile adds one custom property to a group's profile.
func (o *Org) SetGroupProfile(groupID, name string, value any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.group(groupID); g != nil {
		if g.profile == nil {
			g.profile = map[string]any{}
		}
		g.profile[name] = value
	}
}

// SetStatus puts a person into a state.
func (o *Org) SetStatus(userID string, s Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u := o.user(userID); u != nil {
		u.status = s
	}
}

// SetRole gives a person an admin role.
func (o *Org) SetRole(userID string, r Role) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u := o.user(userID); u != nil {
		u.role = r
	}
}

// AddFactor enrols a factor of any type, also one no client knows.
func (o *Org) AddFactor(userID, factorType, provider string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u := o.user(userID); u != nil {
		u.factors = append(u.factors, factor{
			"fct" + o.randomString(17), factorType, provider, provider, map[string]any{}, o.opts.Now(),
		})
	}
}

// UserState is what a test may want to know about a person.
type UserState struct {
	Status   Status
	Factors  int
	Sessions int
	Groups   []string // ids
	Apps     []string // ids, direct and through groups
}

// UserState returns the state of a person; the zero value for an unknown id.
func (o *Org) UserState(userID string) UserState {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.user(userID)
	if u == nil {
		return UserState{}
	}
	s := UserState{Status: u.status, Factors: len(u.factors), Sessions: u.sessions}
	for _, g := range o.groups {
		if g.has(userID) {
			s.Groups = append(s.Groups, g.id)
		}
	}
	for _, a := range o.apps {
		if o.assigned(a, userID) {
			s.Apps = append(s.Apps, a.id)
		}
	}
	return s
}

// IsMember says whether a person is in a group.
func (o *Org) IsMember(groupID, userID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.group(groupID)
	return g != nil && g.has(userID)
}

// GroupName returns the name of a group; "" if there is none.
func (o *Org) GroupName(groupID string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.group(groupID); g != nil {
		return g.name
	}
	return ""
}

// FindGroup returns the id of the group of a name; "" if there is none.
func (o *Org) FindGroup(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range o.groups {
		if g.name == name {
			return g.id
		}
	}
	return ""
}

// GroupIsAssigned says whether a group is assigned to an app.
func (o *Org) GroupIsAssigned(appID, groupID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.app(appID)
	return a != nil && a.groups.has(groupID)
}

// Event is one entry of the System Log.
type Event struct {
	Time    time.Time
	Type    string
	Actor   string   // user id
	Targets []string // ids
}

// Events returns the System Log, oldest first.
func (o *Org) Events() []Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Event, 0, len(o.events))
	for _, e := range o.events {
		ids := make([]string, 0, len(e.targets))
		for _, t := range e.targets {
			ids = append(ids, t.id)
		}
		out = append(out, Event{e.published, e.kind, e.actor.id, ids})
	}
	slices.SortStableFunc(out, func(a, b Event) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return out
}
