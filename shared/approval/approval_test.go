package approval_test

import (
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

func TestMoves(t *testing.T) {
	allowed := map[approval.Status]string{
		approval.Pending:   "approved denied expired failed cancelled",
		approval.Approved:  "executing failed cancelled",
		approval.Executing: "done failed unknown",
	}
	for _, from := range all {
		for _, to := range all {
			want := slices.Contains(strings.Fields(allowed[from]), string(to))
			if got := from.Can(to); got != want {
				t.Errorf("%s to %s: %t, want %t", from, to, got, want)
			}
		}
		if from.Final() != (allowed[from] == "") {
			t.Errorf("%s final: %t", from, from.Final())
		}
		if from.Can("") || approval.Status("").Can(from) {
			t.Errorf("a state that is none is next to %s", from)
		}
	}
}

// Whatever order events come in: what ends stays ended, nothing executes that was not approved, and nothing is done
// that was not executing.
func TestAnyOrderOfEvents(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
	for range 2000 {
		path := []approval.Status{approval.Pending}
		for range 30 {
			now, next := path[len(path)-1], all[r.IntN(len(all))]
			if now.Can(next) {
				path = append(path, next)
			}
		}
		before := func(first, second approval.Status) bool {
			i, j := slices.Index(path, first), slices.Index(path, second)
			return j < 0 || i >= 0 && i < j
		}
		for i, s := range path {
			if slices.Index(path, s) != i {
				t.Fatalf("%v: %s came twice", path, s)
			}
			if s.Final() && i != len(path)-1 {
				t.Fatalf("%v: it went on after %s", path, s)
			}
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
