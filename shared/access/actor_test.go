package access_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// desk is a Desk with everything around it played.
type desk struct {
	access.Desk
	t        *testing.T
	mu       sync.Mutex
	sessions map[session.ID]session.Session
	asked    []string // checks, as relation and object
	higher   bool
	allow    func(fga.Check) fga.Decision
	short    bool     // the authorizer gives one decision too few
	tokens   []string // whose tokens were given out
	forged   bool     // the row is not as it was sealed
}

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func begin(t *testing.T) *desk {
	d := &desk{t: t, sessions: map[session.ID]session.Session{}, allow: func(fga.Check) fga.Decision { return fga.Allowed }}
	d.Desk = access.Desk{Sessions: d, Vault: d, Authorizer: d, Claim: fga.ClaimEmail, Now: func() time.Time { return now }}
	return d
}

func (d *desk) signIn(name, oktaUserID string) session.ID {
	id := session.NewID()
	d.sessions[id] = session.Session{
		ID: id, ExpiresAt: now.Add(time.Hour), OktaUserID: oktaUserID,
		Owner: session.Person{Subject: session.Subject("sub-" + name), Email: name + "@example.com", EmailVerified: true},
	}
	return id
}

func (d *desk) Session(_ context.Context, id session.ID) (session.Session, error) {
	s, ok := d.sessions[id]
	if !ok {
		return session.Session{}, session.NotSignedIn(nil)
	}
	return s, nil
}

func (d *desk) Verify(context.Context, session.Session) error {
	if d.forged {
		return fault.New(fault.Internal, "The stored sign-in cannot be read.", nil)
	}
	return nil
}

func (d *desk) Token(_ context.Context, s *session.Session) (secret.String, error) {
	d.tokens = append(d.tokens, string(s.Owner.Subject))
	s.OktaUserID, s.OktaLogin = "00ualice000000000001", "alice@example.com"
	return secret.New("token"), nil
}

func (d *desk) Renew(_ context.Context, s *session.Session) (secret.String, error) {
	d.tokens = append(d.tokens, "new "+string(s.Owner.Subject))
	return secret.New("token"), nil
}

func (d *desk) Ask(_ context.Context, r fga.Request) (decisions []fga.Decision, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.higher = r.Higher
	for _, c := range r.Checks {
		d.asked = append(d.asked, c.Relation+" "+c.Object)
		decisions = append(decisions, d.allow(c))
		if decisions[len(decisions)-1] == fga.Unknown {
			err = errors.New("FGA is down")
		}
	}
	if d.short {
		return decisions[1:], nil
	}
	return decisions, err
}

func (d *desk) enter(id session.ID, function string, args ...string) (access.Actor, bool, error) {
	d.t.Helper()
	e := actiongroup.Event{SessionID: string(id), Function: function}
	f, _ := catalogue.Lookup(function)
	e.ActionGroup = f.Group
	for i := 0; i+1 < len(args); i += 2 {
		e.Parameters = append(e.Parameters, actiongroup.Parameter{Name: args[i], Value: args[i+1]})
	}
	call, err := e.Call(f.Group)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.asked = nil
	d.mu.Unlock()
	return d.Enter(d.t.Context(), call)
}

// What is asked before Okta is touched, and whether anything is left to ask.
func TestTheGate(t *testing.T) {
	const own = "okta_user:00ualice000000000001"
	for name, tc := range map[string]struct {
		oktaUserID string
		function   string
		args       []string
		asked      []string
		exact      bool
		higher     bool
	}{
		"nothing but one's own": {"", "list_my_permissions", nil, nil, true, false},
		"an area":               {"", "find_users", []string{"query", "a"}, []string{"read_okta okta:users"}, true, false},
		"me, known":             {"00ualice000000000001", "list_user_groups", nil, []string{"can_list_groups " + own}, true, false},
		"me, not known yet":     {"", "list_user_groups", []string{"user", "me"}, []string{"self_service okta:main", "read_okta okta:groups"}, false, false},
		"me by my address":      {"00ualice000000000001", "get_user", []string{"user", "Alice@Example.com"}, []string{"can_read " + own}, true, false},
		"somebody":              {"00ualice000000000001", "list_user_groups", []string{"user", "bob"}, []string{"read_okta okta:users"}, false, false},
		"a group":               {"", "list_group_members", []string{"group", "Engineering"}, []string{"read_okta okta:groups"}, false, false},
		"a change to oneself":   {"00ualice000000000001", "manage_user", []string{"action", "unlock"}, []string{"can_unlock " + own}, true, true},
		"a change to somebody":  {"", "manage_user", []string{"action", "unlock", "user", "bob"}, []string{"read_okta okta:users"}, false, true},
		"somebody into a group": {"", "change_group_membership", []string{"action", "add", "user", "bob", "group", "A"}, []string{"read_okta okta:groups", "read_okta okta:users"}, false, true},
		"oneself into a group":  {"", "change_group_membership", []string{"action", "add", "user", "me", "group", "A"}, []string{"read_okta okta:groups"}, false, true},
		"a new group":           {"", "manage_group", []string{"action", "create", "group", "A"}, []string{"can_create_group okta:groups"}, true, true},
		"an app for a group":    {"", "change_app_assignment", []string{"action", "assign", "app", "A", "group", "B"}, []string{"read_okta okta:apps", "read_okta okta:groups"}, false, true},
		"an app for somebody":   {"", "change_app_assignment", []string{"action", "assign", "app", "A", "user", "bob"}, []string{"read_okta okta:apps", "read_okta okta:users"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t)
			id := d.signIn("alice", tc.oktaUserID)
			for _, warm := range []bool{false, true} {
				a, exact, err := d.enter(id, tc.function, tc.args...)
				if err != nil || a.User != "user:alice@example.com" || exact != tc.exact {
					t.Fatalf("warm %t: %+v, exact %t, %v", warm, a.User, exact, err)
				}
				if diff := cmp.Diff(tc.asked, d.asked); diff != "" || len(tc.asked) > 0 && d.higher != tc.higher {
					t.Errorf("warm %t, higher %t (-want +got):\n%s", warm, d.higher, diff)
				}
			}
		})
	}
}

func TestOneOfSeveralMayDoOrNone(t *testing.T) {
	may := func(relations ...string) func(fga.Check) fga.Decision {
		return func(c fga.Check) fga.Decision {
			for _, r := range relations {
				if name, ok := strings.CutPrefix(r, "?"); ok && name == c.Relation {
					return fga.Unknown
				}
				if r == c.Relation {
					return fga.Allowed
				}
			}
			return fga.Denied
		}
	}
	for name, tc := range map[string]struct {
		allow func(fga.Check) fga.Decision
		kind  fault.Kind
	}{
		"the first":              {may("self_service"), ""},
		"the second":             {may("read_okta"), ""},
		"neither":                {may(), fault.Denied},
		"one unknown":            {may("?self_service"), fault.Upstream},
		"one unknown, one allow": {may("?self_service", "read_okta"), ""},
		"a decision of no kind":  {func(fga.Check) fga.Decision { return "yes" }, fault.Upstream},
		"no decision":            {func(fga.Check) fga.Decision { return "" }, fault.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t)
			d.allow = tc.allow
			a, _, err := d.enter(d.signIn("alice", ""), "list_user_groups")
			if fault.KindOf(err) != tc.kind {
				t.Errorf("got %v", err)
			}
			if a.User == "" {
				t.Error("the refusal does not say whose it is")
			}
			f, _ := errors.AsType[*fault.Error](err)
			if tc.kind == fault.Upstream && !strings.Contains(f.Say, "could not be checked") || tc.kind == fault.Denied && !strings.Contains(f.Say, "not allowed") {
				t.Errorf("it says %q", f.Say)
			}
		})
	}
	d := begin(t)
	d.short = true
	if _, _, err := d.enter(d.signIn("alice", ""), "list_user_groups"); fault.KindOf(err) != fault.Upstream {
		t.Errorf("with a decision missing: %v", err)
	}
	d = begin(t)
	d.allow = func(c fga.Check) fga.Decision {
		return map[bool]fga.Decision{true: fga.Allowed, false: fga.Denied}[c.Object == fga.Groups]
	}
	if _, _, err := d.enter(d.signIn("alice", ""), "change_group_membership", "action", "add", "user", "bob", "group", "A"); fault.KindOf(err) != fault.Denied {
		t.Errorf("the group may be looked up, the person not: %v", err)
	}
}

func TestTheRowDecidesWhoItIs(t *testing.T) {
	d := begin(t)
	alice, bob := d.signIn("alice", ""), d.signIn("bob", "")
	for id, want := range map[session.ID]string{alice: "user:alice@example.com", bob: "user:bob@example.com"} {
		for range 2 {
			if a, _, err := d.enter(id, "list_user_groups"); err != nil || a.User != want {
				t.Errorf("%s, %v, want %s", a.User, err, want)
			}
		}
	}
	// A row that is somebody else's all at once is believed, the memory of it is not.
	s := d.sessions[alice]
	s.Owner = d.sessions[bob].Owner
	d.sessions[alice] = s
	if a, _, err := d.enter(alice, "list_user_groups"); err != nil || a.User != "user:bob@example.com" {
		t.Errorf("%s, %v", a.User, err)
	}
	for name, change := range map[string]func(*session.Session){
		"expired":  func(s *session.Session) { s.ExpiresAt = now },
		"nobody's": func(s *session.Session) { s.Owner.Subject = "" },
	} {
		s := d.sessions[bob]
		change(&s)
		d.sessions[bob] = s
		if a, _, err := d.enter(bob, "list_user_groups"); fault.KindOf(err) != fault.Unauthenticated || a.User != "" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	unverified := d.signIn("mallory", "")
	s = d.sessions[unverified]
	s.Owner.EmailVerified = false
	d.sessions[unverified] = s
	if _, _, err := d.enter(unverified, "list_user_groups"); err == nil {
		t.Error("an address nobody has verified made a user")
	}
	delete(d.sessions, alice)
	if _, _, err := d.enter(alice, "list_user_groups"); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("signed out: %v", err)
	}
}

func TestIsMe(t *testing.T) {
	a := access.Actor{Session: session.Session{OktaUserID: "00uAlice000000000001", Owner: session.Person{Email: "Alice@example.com", EmailVerified: true}}}
	for text, want := range map[string]bool{
		"": true, " me ": true, "Me": true, "myself": true, "alice@example.com": true, "00uAlice000000000001": true, "alice": false, "bob@example.com": false, "me too": false,
	} {
		if got := a.IsMe(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	a.Session.Owner.EmailVerified = false
	if a.IsMe("alice@example.com") {
		t.Error("an address nobody has verified is me")
	}
}

func TestATokenThatOktaRefusesIsRenewedOnce(t *testing.T) {
	refused := &okta.Error{Op: "Me", Kind: okta.KindToken, Status: 401}
	for name, tc := range map[string]struct {
		errs  []error // of each try
		kind  fault.Kind
		given int
	}{
		"good":             {[]error{nil}, "", 1},
		"refused once":     {[]error{refused, nil}, "", 2},
		"refused for good": {[]error{refused, refused}, fault.Unauthenticated, 2},
		"another failure":  {[]error{&okta.Error{Kind: okta.KindUnavailable}}, fault.Upstream, 1},
		"a denial of ours": {[]error{fault.New(fault.Denied, "no", nil)}, fault.Denied, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t)
			a, err := d.Identify(t.Context(), d.signIn("alice", ""))
			if err != nil {
				t.Fatal(err)
			}
			tries := 0
			err = d.AtOkta(t.Context(), &a, func(context.Context) error { tries++; return tc.errs[tries-1] })
			if fault.KindOf(err) != tc.kind || tries != len(tc.errs) || len(d.tokens) != tc.given {
				t.Errorf("%v after %d tries with %v", err, tries, d.tokens)
			}
			for _, whose := range d.tokens {
				if !strings.HasSuffix(whose, "sub-alice") {
					t.Errorf("the token of %s", whose)
				}
			}
		})
	}
}

// The person's own Okta id is known once there was a token, and then the gate asks for the very object.
func TestTheOwnOktaIDComesWithTheToken(t *testing.T) {
	d := begin(t)
	a, err := d.Identify(t.Context(), d.signIn("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Own(t.Context(), &a); err == nil {
		t.Error("the own id is known before there was a token")
	}
	if err := d.AtOkta(t.Context(), &a, func(ctx context.Context) error {
		id, err := d.Own(ctx, &a)
		if id != "00ualice000000000001" || a.Session.OktaLogin != "alice@example.com" {
			t.Errorf("got %s, %s", id, a.Session.OktaLogin)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestARowThatIsNotAsItWasSealedIsRefused(t *testing.T) {
	d := begin(t)
	d.forged = true
	for _, function := range []string{"list_my_permissions", "list_user_groups"} {
		if a, _, err := d.enter(d.signIn("alice", ""), function); fault.KindOf(err) != fault.Internal || a.User != "" {
			t.Errorf("%s: got %+v, %v", function, a, err)
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	d := begin(t)
	var counted []session.ID
	var mu sync.Mutex
	d.Count = func(_ context.Context, id session.ID) error {
		mu.Lock()
		defer mu.Unlock()
		if counted = append(counted, id); len(counted) > 2 {
			return fault.New(fault.Conflict, "That was a lot.", nil)
		}
		return nil
	}
	id := d.signIn("alice", "")
	for i, want := range []fault.Kind{"", "", fault.Conflict} {
		a, _, err := d.enter(id, "find_groups", "query", "A")
		if fault.KindOf(err) != want || a.User == "" {
			t.Errorf("call %d: got %q, %v", i+1, a.User, err)
		}
	}
}

func TestWhich(t *testing.T) {
	for want, err := range map[string]error{
		`There is no Okta user "Bo". Please check the name.`: access.WhichUser("Bo", nil),
		`"Sam" does not name one Okta user. Which one is meant? "Sam Taylor" ("sam@example.com"); "Sam 'x'" ("s@example.com")`: access.WhichUser("Sam", []okta.User{
			{FirstName: "Sam", LastName: "Taylor", Login: "sam@example.com"}, {FirstName: "Sam", LastName: "\"x\"", Login: "s@example.com"},
		}),
		`"Eng" does not name one Okta group. Which one is meant? "Engineering"`: access.WhichGroup("Eng", []okta.Group{{Name: "Engineering"}}),
		`There is no Okta app "a b". Please check the name.`:                    access.WhichApp("a\nb", nil),
	} {
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Say != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// What the first person needs later is fetched beside the row, once a process, and nobody waits for it.
func TestTheFirstToEnterPrepares(t *testing.T) {
	d := begin(t)
	id := d.signIn("alice", "00ualice000000000001")
	started, done := make(chan struct{}, 2), make(chan struct{})
	d.Prepare = func(context.Context) { started <- struct{}{}; <-done }
	for range 2 {
		if _, _, err := d.enter(id, "find_groups", "query", "Engineering"); err != nil {
			t.Fatal(err)
		}
	}
	<-started
	close(done)
	select {
	case <-started:
		t.Error("prepared twice")
	default:
	}
}
