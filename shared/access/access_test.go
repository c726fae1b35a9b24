package access_test

import (
	stdcmp "cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
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
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// enforcer is an Enforcer whose surroundings are played.
type enforcer struct {
	access.Enforcer
	t        *testing.T
	mu       sync.Mutex
	sessions map[session.ID]session.Session
	asked    []string // checks, as relation and object
	higher   bool
	allow    func(fga.Check) fga.Decision
	short    bool     // the authorizer gives one decision too few
	tokens   []string // whose tokens were given out
	forged   bool     // the row is not as it was sealed

	renewal   error  // of Renew
	renewedID string // the Okta id that Renew finds, if another
}

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func begin(t *testing.T) *enforcer {
	e := &enforcer{t: t, sessions: map[session.ID]session.Session{}, allow: func(fga.Check) fga.Decision { return fga.Allowed }}
	e.Enforcer = access.Enforcer{Sessions: e, Vault: e, Authorizer: e, Claim: fga.ClaimEmail, Now: func() time.Time { return now }}
	return e
}

func (e *enforcer) signIn(name, oktaUserID string) session.ID {
	id := session.NewID()
	e.sessions[id] = session.Session{
		ID: id, ExpiresAt: now.Add(time.Hour), OktaUserID: oktaUserID,
		Owner: session.Person{Subject: session.Subject("sub-" + name), Email: name + "@example.com", EmailVerified: true},
	}
	return id
}

func (e *enforcer) Session(_ context.Context, id session.ID) (session.Session, error) {
	s, ok := e.sessions[id]
	if !ok {
		return session.Session{}, session.NotSignedIn(nil)
	}
	return s, nil
}

func (e *enforcer) Verify(context.Context, session.Session) error {
	if e.forged {
		return fault.New(fault.Internal, "I cannot read your stored sign-in.", nil)
	}
	return nil
}

func (e *enforcer) Token(_ context.Context, s *session.Session) (secret.String, error) {
	e.tokens = append(e.tokens, string(s.Owner.Subject))
	s.OktaUserID, s.OktaLogin = "00ualice000000000001", "alice@example.com"
	return secret.New("first"), nil
}

func (e *enforcer) Renew(_ context.Context, s *session.Session) (secret.String, error) {
	e.tokens = append(e.tokens, "new "+string(s.Owner.Subject))
	s.OktaUserID = stdcmp.Or(e.renewedID, s.OktaUserID)
	return secret.New("second"), e.renewal
}

func (e *enforcer) Ask(_ context.Context, r fga.Request) (decisions []fga.Decision, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.higher = r.Higher
	for _, c := range r.Checks {
		e.asked = append(e.asked, c.Relation+" "+c.Object)
		decisions = append(decisions, e.allow(c))
		if decisions[len(decisions)-1] == fga.Unknown {
			err = errors.New("FGA is down")
		}
	}
	if e.short {
		return decisions[1:], nil
	}
	return decisions, err
}

func (e *enforcer) admit(id session.ID, function string, args ...string) (*access.Admission, error) {
	e.t.Helper()
	event := actiongroup.Event{SessionID: string(id), Function: function}
	f, _ := catalogue.Lookup(function)
	event.ActionGroup = f.Group
	for i := 0; i+1 < len(args); i += 2 {
		event.Parameters = append(event.Parameters, actiongroup.Parameter{Name: args[i], Value: args[i+1]})
	}
	call, err := event.Call(f.Group)
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	e.asked = nil
	e.mu.Unlock()
	return e.Admit(e.t.Context(), call)
}

// What is asked before Okta is touched, and whether anything is left to ask.
func TestRequirementOfEachCall(t *testing.T) {
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
			e := begin(t)
			id := e.signIn("alice", tc.oktaUserID)
			for _, warm := range []bool{false, true} {
				a, err := e.admit(id, tc.function, tc.args...)
				if err != nil || a.Principal.User != "user:alice@example.com" || a.Authorized() != tc.exact {
					t.Fatalf("warm %t: %+v, authorized %t, %v", warm, a.Principal.User, a.Authorized(), err)
				}
				if diff := cmp.Diff(tc.asked, e.asked); diff != "" || len(tc.asked) > 0 && e.higher != tc.higher {
					t.Errorf("warm %t, higher %t (-want +got):\n%s", warm, e.higher, diff)
				}
			}
		})
	}
}

func TestOneCheckOfAGroupMustBeAllowed(t *testing.T) {
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
			e := begin(t)
			e.allow = tc.allow
			a, err := e.admit(e.signIn("alice", ""), "list_user_groups")
			if fault.KindOf(err) != tc.kind {
				t.Errorf("got %v", err)
			}
			if a.Principal.User == "" {
				t.Error("the refusal does not say whose it is")
			}
			f, _ := errors.AsType[*fault.Error](err)
			if tc.kind == fault.Upstream && !strings.Contains(f.Say, "could not check") || tc.kind == fault.Denied && !strings.Contains(f.Say, "not allowed") {
				t.Errorf("it says %q", f.Say)
			}
		})
	}
	e := begin(t)
	e.short = true
	if _, err := e.admit(e.signIn("alice", ""), "list_user_groups"); fault.KindOf(err) != fault.Upstream {
		t.Errorf("with a decision missing: %v", err)
	}
	e = begin(t)
	e.allow = func(c fga.Check) fga.Decision {
		return map[bool]fga.Decision{true: fga.Allowed, false: fga.Denied}[c.Object == fga.Groups]
	}
	if _, err := e.admit(e.signIn("alice", ""), "change_group_membership", "action", "add", "user", "bob", "group", "A"); fault.KindOf(err) != fault.Denied {
		t.Errorf("the group may be looked up, the person not: %v", err)
	}
}

func TestThePrincipalIsReadFromTheSession(t *testing.T) {
	e := begin(t)
	alice, bob := e.signIn("alice", ""), e.signIn("bob", "")
	for id, want := range map[session.ID]string{alice: "user:alice@example.com", bob: "user:bob@example.com"} {
		for range 2 {
			if a, err := e.admit(id, "list_user_groups"); err != nil || a.Principal.User != want {
				t.Errorf("%s, %v, want %s", a.Principal.User, err, want)
			}
		}
	}
	// A row that is somebody else's all at once is believed, the memory of it is not.
	s := e.sessions[alice]
	s.Owner = e.sessions[bob].Owner
	e.sessions[alice] = s
	if a, err := e.admit(alice, "list_user_groups"); err != nil || a.Principal.User != "user:bob@example.com" {
		t.Errorf("%s, %v", a.Principal.User, err)
	}
	for name, change := range map[string]func(*session.Session){
		"expired":  func(s *session.Session) { s.ExpiresAt = now },
		"nobody's": func(s *session.Session) { s.Owner.Subject = "" },
	} {
		s := e.sessions[bob]
		change(&s)
		e.sessions[bob] = s
		if a, err := e.admit(bob, "list_user_groups"); fault.KindOf(err) != fault.Unauthenticated || a.Principal.User != "" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	unverified := e.signIn("mallory", "")
	s = e.sessions[unverified]
	s.Owner.EmailVerified = false
	e.sessions[unverified] = s
	if _, err := e.admit(unverified, "list_user_groups"); err == nil {
		t.Error("an address nobody has verified made a user")
	}
	delete(e.sessions, alice)
	if _, err := e.admit(alice, "list_user_groups"); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("signed out: %v", err)
	}
}

func TestIsMe(t *testing.T) {
	a := access.Principal{Session: session.Session{OktaUserID: "00uAlice000000000001", Owner: session.Person{Email: "Alice@example.com", EmailVerified: true}}}
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

// Whatever a call must be allowed is asked once, however often it is required.
func TestNoCheckIsAskedTwiceInACall(t *testing.T) {
	const own = "00ualice000000000001"
	e := begin(t)
	a, err := e.admit(e.signIn("alice", own), "get_user", "include", "groups")
	if err != nil || !a.Authorized() {
		t.Fatalf("authorized %t, %v", a.Authorized(), err)
	}
	read, groups := fga.ForUser(a.Principal.User, "can_read", own, true), fga.ForUser(a.Principal.User, "can_list_groups", own, true)
	for range 2 {
		if err := a.Authorize(t.Context(), read, groups); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"can_read okta_user:" + own, "can_list_groups okta_user:" + own}, e.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if err := a.Authorize(t.Context(), fga.ForUser(a.Principal.User, "can_read", own, false)); err != nil || len(e.asked) != 3 {
		t.Errorf("a check with other facts beside it passed for one that was asked: %v, %v", e.asked, err)
	}
	e.allow = func(fga.Check) fga.Decision { return fga.Denied }
	if err := a.Authorize(t.Context(), read, fga.ForGroup(a.Principal.User, "can_rename", "00g")); fault.KindOf(err) != fault.Denied || a.Authorized() {
		t.Errorf("authorized %t, %v", a.Authorized(), err)
	}
	if err := a.Authorize(t.Context()); err == nil {
		t.Error("no check at all was enough")
	}
	if a, err := e.admit(e.signIn("alice", own), "list_user_groups"); err == nil || a.Authorize(t.Context(), read) == nil {
		t.Errorf("a refused call was authorized: %v", err)
	}
}

// refusing is an Okta that refuses the first tokens, and counts what it is sent.
func refusing(t *testing.T, refused ...string) (*okta.Client, func() []string) {
	var mu sync.Mutex
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		sent = append(sent, token)
		w.Header().Set("X-Okta-Request-Id", "r1")
		if slices.Contains(refused, token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"id":"00ualice000000000001","profile":{}}`))
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := okta.New(okta.Options{OrgURL: u})
	if err != nil {
		t.Fatal(err)
	}
	return client, func() []string { mu.Lock(); defer mu.Unlock(); return sent }
}

func TestATokenThatOktaRefusesIsRenewedOnce(t *testing.T) {
	const first, second = "first", "second"
	for name, tc := range map[string]struct {
		refused []string
		change  func(*enforcer)
		sent    []string
		kind    fault.Kind
		given   int
	}{
		"good":              {nil, nil, []string{first}, "", 1},
		"refused once":      {[]string{first}, nil, []string{first, second}, "", 2},
		"refused for good":  {[]string{first, second}, nil, []string{first, second}, fault.Unauthenticated, 2},
		"no other token":    {[]string{first}, func(e *enforcer) { e.renewal = fault.New(fault.Conflict, "Not connected.", nil) }, []string{first}, fault.Conflict, 2},
		"another Okta user": {[]string{first}, func(e *enforcer) { e.renewedID = "00umallory0000000001" }, []string{first}, fault.Conflict, 2},
	} {
		t.Run(name, func(t *testing.T) {
			e := begin(t)
			if tc.change != nil {
				tc.change(e)
			}
			client, sent := refusing(t, tc.refused...)
			p, err := e.Identify(t.Context(), e.signIn("alice", ""))
			if err != nil {
				t.Fatal(err)
			}
			ctx, err := e.WithOktaToken(t.Context(), &p)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = client.Me(ctx)
			if err = okta.Fault(err); fault.KindOf(err) != tc.kind || !slices.Equal(sent(), tc.sent) || len(e.tokens) != tc.given {
				t.Errorf("%v after %q with %v", err, sent(), e.tokens)
			}
			for _, whose := range e.tokens {
				if !strings.HasSuffix(whose, "sub-alice") {
					t.Errorf("the token of %s", whose)
				}
			}
		})
	}
}

// Of calls side by side whose token is refused, one renews it for all.
func TestCallsSideBySideRenewATokenOnce(t *testing.T) {
	e := begin(t)
	client, sent := refusing(t, "first")
	p, err := e.Identify(t.Context(), e.signIn("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := e.WithOktaToken(t.Context(), &p)
	if err != nil {
		t.Fatal(err)
	}
	call := func() error { _, _, err := client.Me(ctx); return err }
	if err := parallel.Do(call, call, call, call); err != nil {
		t.Error(err)
	}
	if len(e.tokens) != 2 {
		t.Errorf("tokens given out: %v, sent: %q", e.tokens, sent())
	}
}

// The principal's own Okta id is known once there was a token.
func TestTheOwnOktaIDComesWithTheToken(t *testing.T) {
	e := begin(t)
	p, err := e.Identify(t.Context(), e.signIn("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.OktaUserID(); err == nil {
		t.Error("the own id is known before there was a token")
	}
	if _, err := e.WithOktaToken(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	if id, err := p.OktaUserID(); err != nil || id != "00ualice000000000001" || p.Session.OktaLogin != "alice@example.com" {
		t.Errorf("got %s, %s, %v", id, p.Session.OktaLogin, err)
	}
}

func TestARowThatIsNotAsItWasSealedIsRefused(t *testing.T) {
	e := begin(t)
	e.forged = true
	for _, function := range []string{"list_my_permissions", "list_user_groups"} {
		if a, err := e.admit(e.signIn("alice", ""), function); fault.KindOf(err) != fault.Internal || a.Principal.User != "" {
			t.Errorf("%s: got %+v, %v", function, a, err)
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	e := begin(t)
	var counted []session.ID
	var mu sync.Mutex
	e.Count = func(_ context.Context, id session.ID) error {
		mu.Lock()
		defer mu.Unlock()
		if counted = append(counted, id); len(counted) > 2 {
			return fault.New(fault.Conflict, "That was a lot.", nil)
		}
		return nil
	}
	id := e.signIn("alice", "")
	for i, want := range []fault.Kind{"", "", fault.Conflict} {
		a, err := e.admit(id, "find_groups", "query", "A")
		if fault.KindOf(err) != want || a.Principal.User == "" {
			t.Errorf("call %d: got %q, %v", i+1, a.Principal.User, err)
		}
	}
}

// What the first call needs later is fetched beside the row, once a process, and nobody waits for it.
func TestTheFirstCallPrepares(t *testing.T) {
	e := begin(t)
	id := e.signIn("alice", "00ualice000000000001")
	started, done := make(chan struct{}, 2), make(chan struct{})
	e.Prepare = func(context.Context) { started <- struct{}{}; <-done }
	for range 2 {
		if _, err := e.admit(id, "find_groups", "query", "Engineering"); err != nil {
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
