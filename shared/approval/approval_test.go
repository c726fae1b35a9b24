package approval_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/approval"
)

var (
	all = []approval.Status{
		approval.Pending, approval.Approved, approval.Executing, approval.Done, approval.Failed, approval.Unknown,
		approval.Denied, approval.Expired, approval.Cancelled,
	}
	at = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
)

func sample() approval.Approval {
	return approval.Approval{
		ID: "id-1", SessionID: "session-1", Owner: "oidc|okta-corp|00u1", Operation: "add_to_group",
		Target: approval.Ref{Type: "okta_group", ID: "00g1", Label: "Engineering"}, Member: approval.Ref{Type: "okta_user", ID: "00u2", Label: "dave"},
		Args: map[string]string{"description": "d"}, ExpiresAt: at.Add(5 * time.Minute), Status: approval.Pending, CreatedAt: at,
	}
}

// key marks approvals in these tests.
type key struct{}

func (key) Mark(names ...string) ([]byte, error) { return []byte(strings.Join(names, "|")), nil }

func (key) Verify(mark []byte, names ...string) bool      { return string(mark) == strings.Join(names, "|") }
func (key) approve(a approval.Approval) approval.Approval { return after(a.Approve(at, key{})) }

func after(t approval.Transition, err error) approval.Approval {
	if err != nil {
		panic(err)
	}
	return t.After()
}

// transitions are all that there are, each with the arguments that lead to next.
var transitions = map[string]func(a approval.Approval, now time.Time) (approval.Transition, error){
	"Approve": func(a approval.Approval, now time.Time) (approval.Transition, error) { return a.Approve(now, key{}) },
	"Deny":    approval.Approval.Deny,
	"Expire":  approval.Approval.Expire,
	"Cancel": func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.Cancel(now, approval.ByHand)
	},
	"Fail": func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.Fail(now, approval.Outcome{})
	},
	"Claim": func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.Claim(now, time.Minute)
	},
	"Finish done":    finish(approval.Done),
	"Finish failed":  finish(approval.Failed),
	"Finish unknown": finish(approval.Unknown),
	"Finish pending": finish(approval.Pending),
	"SaveRequest": func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.SaveRequest([]byte("sealed"), time.Second, now.Add(time.Hour))
	},
	"AcquirePoll": approval.Approval.AcquirePoll,
	"SlowDown": func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.SlowDown(now, time.Second)
	},
}

func finish(s approval.Status) func(approval.Approval, time.Time) (approval.Transition, error) {
	return func(a approval.Approval, now time.Time) (approval.Transition, error) {
		return a.Finish(now, s, approval.Outcome{})
	}
}

func TestEachTransitionStartsInItsStatesAlone(t *testing.T) {
	allowed := map[approval.Status]map[string]approval.Status{
		approval.Pending: {
			"Approve": approval.Approved, "Deny": approval.Denied, "Expire": approval.Expired, "Cancel": approval.Cancelled, "Fail": approval.Failed,
			"SaveRequest": approval.Pending, "AcquirePoll": approval.Pending, "SlowDown": approval.Pending,
		},
		approval.Approved:  {"Claim": approval.Executing, "Cancel": approval.Cancelled, "Fail": approval.Failed},
		approval.Executing: {"Claim": approval.Executing, "Finish done": approval.Done, "Finish failed": approval.Failed, "Finish unknown": approval.Unknown},
	}
	for _, from := range all {
		a := sample()
		a.Status, a.AuthReqID, a.ApprovedMAC = from, []byte("sealed"), []byte("mark")
		for name, transition := range transitions {
			tr, err := transition(a, at)
			if want, ok := allowed[from][name]; ok != (err == nil) || tr.After().Status != want || err != nil && !errors.Is(err, approval.ErrNoTransition) {
				t.Errorf("%s from %s: to %q, %v, want to %q", name, from, tr.After().Status, err, want)
			}
		}
		if from.Final() != (len(allowed[from]) == 0) {
			t.Errorf("%s final: %t", from, from.Final())
		}
	}
}

func TestTransitionsCheckTheirGuards(t *testing.T) {
	a := sample()
	a.AuthReqID = []byte("sealed")
	approved := key{}.approve(a)
	claimed := after(approved.Claim(at, time.Minute))
	polled := after(a.AcquirePoll(at))
	for name, try := range map[string]func() (approval.Transition, error){
		"an approval at the deadline":            func() (approval.Transition, error) { return a.Approve(a.ExpiresAt, key{}) },
		"an approval after Auth0's own deadline": func() (approval.Transition, error) { b := a; b.RequestExpiresAt = at; return b.Approve(at, key{}) },
		"a claim without the mark of the approval": func() (approval.Transition, error) {
			b := approved
			b.ApprovedMAC = nil
			return b.Claim(at, time.Minute)
		},
		"a claim while another worker's lease runs": func() (approval.Transition, error) { return claimed.Claim(at.Add(time.Minute-1), time.Minute) },
		"a poll before the interval is over":        func() (approval.Transition, error) { return polled.AcquirePoll(at.Add(-1)) },
		"a poll of what was never sent":             func() (approval.Transition, error) { return sample().AcquirePoll(at) },
		"a failure of what was begun":               func() (approval.Transition, error) { return claimed.Fail(at, approval.Outcome{}) },
	} {
		if _, err := try(); !errors.Is(err, approval.ErrNoTransition) {
			t.Errorf("%s: got %v, want ErrNoTransition", name, err)
		}
	}
	if got := after(claimed.Claim(at.Add(time.Minute), time.Minute)); !got.ClaimedUntil.Equal(at.Add(2 * time.Minute)) {
		t.Errorf("taken over until %s", got.ClaimedUntil)
	}
	if len(approved.ApprovedMAC) == 0 || len(approved.AuthReqID) != 0 {
		t.Errorf("approved: %+v", approved)
	}
	if !claimed.ChangedAt.After(approved.ChangedAt) {
		t.Error("two states that were reached in one millisecond do not sort")
	}
}

// Whatever order events come in: what ends stays ended, nothing executes that was not approved, and nothing is done that was not
// executing.
func TestNoOrderOfEventsLeavesTheStateMachine(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
	names := slices.Sorted(maps.Keys(transitions))
	for range 2000 {
		a, now := sample(), at
		path := []approval.Status{a.Status}
		for range 30 {
			now = now.Add(time.Duration(r.IntN(40)) * time.Second)
			tr, err := transitions[names[r.IntN(len(names))]](a, now)
			if err != nil {
				continue
			}
			if a.Status.Final() {
				t.Fatalf("%v: it went on after %s", path, a.Status)
			}
			if a = tr.After(); a.Status != path[len(path)-1] {
				path = append(path, a.Status)
			}
		}
		before := func(first, second approval.Status) bool {
			i, j := slices.Index(path, first), slices.Index(path, second)
			return j < 0 || i >= 0 && i < j
		}
		if !before(approval.Approved, approval.Executing) || !before(approval.Executing, approval.Done) || !before(approval.Executing, approval.Unknown) {
			t.Fatalf("%v", path)
		}
	}
}

// Every field of which the documentation says that it is bound changes the digest, and no other does.
func TestTheDigestBindsWhatIsApproved(t *testing.T) {
	bound := map[string]func(*approval.Approval){
		"ID":          func(a *approval.Approval) { a.ID = "id-2" },
		"SessionID":   func(a *approval.Approval) { a.SessionID = "session-2" },
		"Owner":       func(a *approval.Approval) { a.Owner = "other" },
		"Operation":   func(a *approval.Approval) { a.Operation = "remove_from_group" },
		"Target.Type": func(a *approval.Approval) { a.Target.Type = "okta_user" },
		"Target.ID":   func(a *approval.Approval) { a.Target.ID = "00g2" },
		"Member.Type": func(a *approval.Approval) { a.Member.Type = "okta_group" },
		"Member.ID":   func(a *approval.Approval) { a.Member.ID = "00u3" },
		"Args.value":  func(a *approval.Approval) { a.Args = map[string]string{"description": "e"} },
		"Args.key":    func(a *approval.Approval) { a.Args = map[string]string{"new_name": "d"} },
		"Args.more":   func(a *approval.Approval) { a.Args = map[string]string{"description": "d", "x": ""} },
		"ExpiresAt":   func(a *approval.Approval) { a.ExpiresAt = a.ExpiresAt.Add(time.Second) },
		"moved between fields": func(a *approval.Approval) {
			a.Target.ID, a.Member.Type = a.Target.ID+"okta", strings.TrimPrefix(a.Member.Type, "okta")
		},
	}
	a := sample()
	a.Digest = a.Sum()
	if !a.Intact() {
		t.Fatal("a fresh one is not intact")
	}
	for name, change := range bound {
		b := a
		b.Args = maps.Clone(a.Args)
		change(&b)
		if b.Intact() {
			t.Errorf("%s may be altered", name)
		}
	}
	free := []string{"Front", "Reason", "AskedMAC", "ApprovedMAC", "RequestExpiresAt", "Permission", "SignedOut", "Digest", "Code", "Summary", "Status", "CreatedAt", "ChangedAt", "AuthReqID", "Interval", "PollAt", "Pushes", "ClaimedUntil", "Result", "OktaRequestID"}
	for f := range reflect.TypeFor[approval.Approval]().Fields() {
		isBound := slices.ContainsFunc(slices.Collect(maps.Keys(bound)), func(name string) bool { return strings.HasPrefix(name, f.Name) })
		if isBound == slices.Contains(free, f.Name) {
			t.Errorf("field %s: say here whether the digest binds it", f.Name)
		}
	}
	a.Digest = ""
	if a.Intact() {
		t.Error("one without a digest is intact")
	}
	a.Digest, a.ExpiresAt = sample().Sum(), a.ExpiresAt.In(time.FixedZone("x", 3600))
	if !a.Intact() {
		t.Error("the same moment in another zone is another")
	}
}

func TestKeyNamesTheChange(t *testing.T) {
	a := sample()
	same := a
	same.ID, same.SessionID, same.ExpiresAt, same.Target.Label = "id-2", "session-2", at, "engineering"
	if a.Key() != same.Key() {
		t.Error("the same change, asked for again, has another key")
	}
	for name, change := range map[string]func(*approval.Approval){
		"owner":     func(a *approval.Approval) { a.Owner = "other" },
		"operation": func(a *approval.Approval) { a.Operation = "remove_from_group" },
		"target":    func(a *approval.Approval) { a.Target.ID = "00g2" },
		"member":    func(a *approval.Approval) { a.Member.ID = "00u3" },
		"args":      func(a *approval.Approval) { a.Args = nil },
	} {
		b := a
		if change(&b); a.Key() == b.Key() {
			t.Errorf("another %s has the same key", name)
		}
	}
	create := approval.Approval{Owner: "o", Operation: "create_group", Target: approval.Ref{Type: "okta_group", Label: "A"}}
	other := create
	other.Target.Label = "B"
	if create.Key() == other.Key() || create.Args != nil {
		t.Error("two groups that are yet to be made have one key, or the key changed its approval")
	}
}

func TestTimeToAnswer(t *testing.T) {
	a := sample()
	for _, tc := range []struct {
		status approval.Status
		after  time.Duration
		want   approval.Status
	}{
		{approval.Pending, 5*time.Minute - 1, approval.Pending},
		{approval.Pending, 5 * time.Minute, approval.Expired},
		{approval.Executing, time.Hour, approval.Executing},
		{approval.Done, time.Hour, approval.Done},
	} {
		a.Status = tc.status
		if got := a.Shown(at.Add(tc.after)); got != tc.want {
			t.Errorf("%s after %s shows as %s, want %s", tc.status, tc.after, got, tc.want)
		}
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		c := approval.NewCode()
		if len(c) != 4 || strings.Trim(c, "ACDEFGHJKMNPQRTUVWXY34679") != "" {
			t.Fatalf("code %q", c)
		}
		seen[c] = true
	}
	if len(seen) < 1900 {
		t.Errorf("of 2000 codes %d differ", len(seen))
	}
}

func ExampleApproval_Sum() {
	a := approval.Approval{ID: "1", Owner: "oidc|okta-corp|00u1", Operation: "suspend", Target: approval.Ref{Type: "okta_user", ID: "00u2"}}
	a.Digest = a.Sum()
	fmt.Println(a.Intact())
	a.Target.ID = "00u3"
	fmt.Println(a.Intact())
	// Output:
	// true
	// false
}
