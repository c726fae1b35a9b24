// Package storetest tests the store's contract against any DynamoDB: the emulator, moto's server, or a real table.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// Run puts the DynamoDB behind client under the test. It makes two tables of its own.
func Run(t *testing.T, client *dynamodb.Client) {
	suffix := rand.Text()[:8]
	sessionTable, auditTable := "sessions-"+suffix, "audit-"+suffix
	create(t, client, sessionTable, "session_id", "item", true)
	create(t, client, auditTable, "subject", "id", false)

	sessions := dynamo.NewSessions(client, sessionTable)
	approvals := dynamo.NewApprovals(client, sessionTable)
	trail := func() *dynamo.Audit {
		return dynamo.NewAudit(client, auditTable, func(context.Context) (audit.Marker, error) { return key, nil })
	}
	t.Run("sessions", func(t *testing.T) { testSessions(t, sessions) })
	t.Run("logins", func(t *testing.T) { testLogins(t, sessions) })
	t.Run("a login has one turn", func(t *testing.T) { testTurnOfALogin(t, sessions) })
	t.Run("a flow is used once", func(t *testing.T) { testFlows(t, sessions) })
	t.Run("approvals", func(t *testing.T) { testApprovals(t, approvals) })
	t.Run("two requests at once make one approval", func(t *testing.T) { testOneInFlight(t, approvals) })
	t.Run("of many workers one claims", func(t *testing.T) { testClaim(t, approvals) })
	t.Run("of many workers one polls", func(t *testing.T) { testPolls(t, approvals) })
	t.Run("transitions", func(t *testing.T) { testTransitions(t, approvals) })
	t.Run("pushes are counted", func(t *testing.T) { testCountPush(t, approvals) })
	t.Run("audit", func(t *testing.T) { testAudit(t, trail(), key, trail) })
	t.Run("limits", func(t *testing.T) { testLimits(t, dynamo.NewLimits(client, sessionTable)) })
}

func create(t *testing.T, client *dynamodb.Client, name, partition, sort string, byOwner bool) {
	t.Helper()
	s := types.ScalarAttributeTypeS
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &partition, AttributeType: s}, {AttributeName: &sort, AttributeType: s}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &partition, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}},
	}
	if byOwner {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("owner"), AttributeType: s})
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("by-owner"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("owner"), KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}}
	}
	if _, err := client.CreateTable(t.Context(), in); err != nil {
		t.Fatalf("create table: %v", err)
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		t.Fatalf("wait for table: %v", err)
	}
}

var start = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func aSession(owner string) session.Session {
	return session.Session{
		ID:           session.NewID(),
		Owner:        session.Person{Subject: session.Subject(owner), Email: "alice@example.com", EmailVerified: true},
		Login:        "login-key",
		CreatedAt:    start,
		ExpiresAt:    start.Add(8 * time.Hour),
		RefreshToken: []byte("sealed refresh"),
		Front:        session.FrontConsole,
	}
}

func testSessions(t *testing.T, s *dynamo.Sessions) {
	want := aSession("sub-1")
	must(t, s.PutSession(t.Context(), want))
	got, err := s.Session(t.Context(), want.ID)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("session differs (-want +got):\n%s", d)
	}
	if err := s.PutSession(t.Context(), want); err == nil {
		t.Error("an id was used twice")
	}
	must(t, s.SaveOktaToken(t.Context(), want.ID, []byte("sealed okta"), start.Add(time.Hour)))
	must(t, s.SaveOktaUser(t.Context(), want.ID, "00u1", "alice@example.com"))
	want.OktaToken, want.OktaExpires, want.OktaUserID, want.OktaLogin = []byte("sealed okta"), start.Add(time.Hour), "00u1", "alice@example.com"
	if got, _ = s.Session(t.Context(), want.ID); !cmp.Equal(want, got) {
		t.Errorf("after saving the token: %s", cmp.Diff(want, got))
	}
	must(t, s.ForgetOkta(t.Context(), want.ID))
	want.OktaToken, want.OktaExpires, want.OktaUserID, want.OktaLogin = nil, time.Time{}, "", ""
	if got, _ = s.Session(t.Context(), want.ID); !cmp.Equal(want, got) {
		t.Errorf("after forgetting the account: %s", cmp.Diff(want, got))
	}
	must(t, s.DeleteSession(t.Context(), want.ID))
	must(t, s.ForgetOkta(t.Context(), want.ID))
	wantKind(t, "a deleted session", fault.Unauthenticated, second(s.Session(t.Context(), want.ID)))
	wantKind(t, "a token for a session that ended", fault.Unauthenticated, s.SaveOktaToken(t.Context(), want.ID, []byte("x"), start))
	wantKind(t, "which must not come back through it", fault.Unauthenticated, second(s.Session(t.Context(), want.ID)))
	wantKind(t, "an unknown session", fault.Unauthenticated, second(s.Session(t.Context(), session.NewID())))
}

func testLogins(t *testing.T, s *dynamo.Sessions) {
	first, next := session.NewID(), session.NewID()
	want := session.Login{
		Key: session.KeyOf(session.NewCookie()), Owner: session.Person{Subject: "sub-1", Name: "Alice"},
		Current: first, Sessions: []session.ID{first}, CreatedAt: start, ExpiresAt: start.Add(time.Hour),
	}
	must(t, s.PutLogin(t.Context(), want))
	must(t, s.SetCurrent(t.Context(), want.Key, next))
	got, err := s.Login(t.Context(), want.Key)
	must(t, err)
	if got.Current != next || len(got.Sessions) != 2 || got.Owner.Subject != "sub-1" || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("login = %+v", got)
	}
	must(t, s.DeleteLogin(t.Context(), want.Key))
	wantKind(t, "a deleted login", fault.Unauthenticated, second(s.Login(t.Context(), want.Key)))
	wantKind(t, "a new chat of a deleted login", fault.Unauthenticated, s.SetCurrent(t.Context(), want.Key, first))
	wantKind(t, "no cookie", fault.Unauthenticated, second(s.Login(t.Context(), session.KeyOf(session.NewCookie()))))
	wantKind(t, "an empty key", fault.Unauthenticated, second(s.Login(t.Context(), "")))
}

func anApproval(owner, operation string) approval.Approval {
	a := approval.Approval{
		Front: session.FrontConsole, AskedMAC: []byte("asked"), Reason: "because",
		ID: approval.NewID(start), SessionID: session.NewID(), Owner: session.Subject(owner), Operation: operation,
		Target: approval.Ref{Type: "okta_user", ID: "00u1", Label: "alice@example.com"}, Args: map[string]string{"a": "b"},
		ExpiresAt: start.Add(5 * time.Minute), Code: "K7QX", Summary: "Reset the password of alice@example.com",
		Status: approval.Pending, CreatedAt: start, ChangedAt: start,
	}
	a.Digest = a.Sum()
	return a
}

func add(t *testing.T, s *dynamo.Approvals, a approval.Approval) approval.Approval {
	t.Helper()
	got, fresh, err := s.Create(t.Context(), a, start)
	must(t, err)
	if !fresh {
		t.Fatal("the approval is not new")
	}
	return got
}

func testApprovals(t *testing.T, s *dynamo.Approvals) {
	owner := rand.Text()
	want := add(t, s, anApproval(owner, "reset_password"))
	want = stored(t, s)(want.SaveRequest([]byte("sealed"), 5*time.Second, start.Add(4*time.Minute)))
	got, err := s.Approval(t.Context(), want.SessionID, want.ID)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("approval differs (-want +got):\n%s", d)
	}
	if !got.Intact() {
		t.Error("what was stored does not fit its digest")
	}
	later := anApproval(owner, "unlock")
	later.ID = approval.NewID(start.Add(time.Minute))
	later.Digest = later.Sum()
	add(t, s, later)
	add(t, s, anApproval(rand.Text(), "unlock")) // another person's
	var all []approval.Approval
	for range 50 { // the index may lag
		if all, err = s.ByOwner(t.Context(), session.Subject(owner), 10); err != nil || len(all) == 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	must(t, err)
	if len(all) != 2 || all[0].ID != later.ID || all[1].ID != want.ID {
		t.Errorf("ByOwner: got %d approvals, want the two of this person, newest first", len(all))
	}
	wantKind(t, "an unknown approval", fault.NotFound, second(s.Approval(t.Context(), want.SessionID, "nope")))
	wantKind(t, "an approval under another session", fault.NotFound, second(s.Approval(t.Context(), session.NewID(), want.ID)))
}

func testOneInFlight(t *testing.T, s *dynamo.Approvals) {
	owner := rand.Text()
	var fresh atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, isNew, err := s.Create(t.Context(), anApproval(owner, "unlock"), start)
			if err != nil {
				t.Errorf("Create: %v", err)
			}
			if isNew {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 1 {
		t.Errorf("%d approvals were made, want 1", fresh.Load())
	}
	// Once it has ended, or its time has passed, the same change can be asked for again.
	held, isNew, err := s.Create(t.Context(), anApproval(owner, "unlock"), start)
	if err != nil || isNew {
		t.Fatalf("Create = new %v, %v", isNew, err)
	}
	stored(t, s)(held.Deny(start))
	add(t, s, anApproval(owner, "unlock"))
	if _, isNew, err = s.Create(t.Context(), anApproval(owner, "unlock"), start.Add(time.Hour)); err != nil || !isNew {
		t.Errorf("after the expiry: new %v, %v", isNew, err)
	}
}

// stored stores a transition and returns the approval after it.
func stored(t *testing.T, s *dynamo.Approvals) func(approval.Transition, error) approval.Approval {
	return func(tr approval.Transition, err error) approval.Approval {
		t.Helper()
		must(t, err)
		a, err := s.Transition(t.Context(), tr)
		must(t, err)
		return a
	}
}

// read reads a anew.
func read(t *testing.T, s *dynamo.Approvals, a approval.Approval) approval.Approval {
	t.Helper()
	got, err := s.Approval(t.Context(), a.SessionID, a.ID)
	must(t, err)
	return got
}

// wantStale holds that a transition from what was read too long ago is refused.
func wantStale(t *testing.T, s *dynamo.Approvals, what string) func(approval.Transition, error) {
	return func(tr approval.Transition, err error) {
		t.Helper()
		must(t, err)
		if _, err := s.Transition(t.Context(), tr); !errors.Is(err, approval.ErrStale) {
			t.Errorf("%s: got %v, want ErrStale", what, err)
		}
	}
}

// key makes the marks of approvals here.
var key = func() *seal.Sealer {
	k, err := seal.New(seal.GenerateKey())
	if err != nil {
		panic(err)
	}
	return k
}()

func testClaim(t *testing.T, s *dynamo.Approvals) {
	a := stored(t, s)(add(t, s, anApproval(rand.Text(), "unlock")).Approve(start, key))
	claim := func(at time.Time) int32 {
		return winners(t, s, func() (approval.Transition, error) { return a.Claim(at, time.Minute) })
	}
	if n := claim(start); n != 1 {
		t.Errorf("%d workers claimed it, want 1", n)
	}
	if n := claim(start.Add(2 * time.Minute)); n != 0 {
		t.Errorf("%d workers claimed what another had claimed since they read it, want none", n)
	}
	first := read(t, s, a)
	a = first
	if n := claim(start.Add(2 * time.Minute)); n != 1 {
		t.Errorf("%d workers took it over after the lease, want 1", n)
	}
	wantStale(t, s, "the result of a worker whose lease was taken over")(first.Finish(start.Add(2*time.Minute), approval.Done, approval.Outcome{}))
}

// winners counts how many of six workers that make the same transition at once succeed; for the others it must be stale.
func winners(t *testing.T, s *dynamo.Approvals, make func() (approval.Transition, error)) int32 {
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			tr, err := make()
			if err == nil {
				_, err = s.Transition(t.Context(), tr)
			}
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, approval.ErrStale):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return won.Load()
}

func testPolls(t *testing.T, s *dynamo.Approvals) {
	const interval = 7 * time.Second
	a := stored(t, s)(add(t, s, anApproval(rand.Text(), "unlock")).SaveRequest([]byte("sealed"), interval, start.Add(time.Minute)))
	for _, now := range []time.Time{start, start.Add(interval)} {
		if n := winners(t, s, func() (approval.Transition, error) { return a.AcquirePoll(now) }); n != 1 {
			t.Errorf("%d workers polled at once, want 1", n)
		}
		a = read(t, s, a)
		if !a.PollAt.Equal(now.Add(interval)) || a.Interval != interval || a.Status != approval.Pending {
			t.Errorf("after a poll: %+v", a)
		}
	}
	if slower := stored(t, s)(a.SlowDown(start.Add(interval), 2*interval)); read(t, s, a).Interval != 2*interval || slower.Interval != 2*interval {
		t.Errorf("after slow_down the interval is %s, want %s", read(t, s, a).Interval, 2*interval)
	}
	before := read(t, s, a)
	stored(t, s)(before.Approve(start, key))
	wantStale(t, s, "a poll of what is approved")(before.AcquirePoll(start.Add(time.Hour)))
}

func testTransitions(t *testing.T, s *dynamo.Approvals) {
	a := stored(t, s)(add(t, s, anApproval(rand.Text(), "unlock")).SaveRequest([]byte("sealed"), time.Second, start.Add(time.Minute)))
	pending, altered := a, a
	altered.Digest = "other"
	wantStale(t, s, "a transition under another digest")(altered.Approve(start, key))

	a = stored(t, s)(a.Approve(start, key))
	wantStale(t, s, "cancel after approval")(pending.Cancel(start, approval.ByHand))
	wantStale(t, s, "a push for what is approved")(pending.SaveRequest([]byte("x"), time.Second, start))

	a = stored(t, s)(a.Claim(start, time.Minute))
	a = stored(t, s)(a.Finish(start.Add(time.Second), approval.Done, approval.Outcome{Result: "Okta confirmed the change.", OktaRequestID: "req-1"}))
	got := read(t, s, a)
	if d := cmp.Diff(a, got); d != "" {
		t.Errorf("the approval that Transition returned is not the one it stored (-want +got):\n%s", d)
	}
	if got.Status != approval.Done || got.Result != "Okta confirmed the change." || got.OktaRequestID != "req-1" {
		t.Errorf("in the end: %+v", got)
	}
	unsent := add(t, s, anApproval(rand.Text(), "unlock"))
	stored(t, s)(unsent.SaveRequest([]byte("sealed"), time.Second, start.Add(time.Minute)))
	stored(t, s)(unsent.Cancel(start, approval.SignedOut))
	if got := read(t, s, unsent); got.Status != approval.Cancelled || !got.SignedOut || len(got.AuthReqID) != 0 {
		t.Errorf("cancelled as it was read before the push: %+v", got)
	}
}

func testCountPush(t *testing.T, s *dynamo.Approvals) {
	owner := session.Subject(rand.Text())
	counted := 0
	for range 10 {
		if err := s.CountPush(t.Context(), owner, start); err == nil {
			counted++
		} else {
			wantKind(t, "too many pushes", fault.Conflict, err)
		}
	}
	if counted < 1 || counted > 4 {
		t.Errorf("%d pushes within a minute, want 1 to 4: Auth0 refuses the sixth", counted)
	}
	must(t, s.CountPush(t.Context(), owner, start.Add(61*time.Second)))
	must(t, s.CountPush(t.Context(), session.Subject(rand.Text()), start)) // another person's phone
}

func testLimits(t *testing.T, l *dynamo.Limits) {
	limit := dynamo.Limit{Name: "questions", Most: 3, Window: time.Minute}
	owner, id := session.Subject(rand.Text()), session.NewID()
	at := start.Add(20 * time.Second)
	for name, take := range map[string]func(time.Time) (time.Duration, error){
		"a person":  func(at time.Time) (time.Duration, error) { return l.OfOwner(t.Context(), owner, limit, at) },
		"a session": func(at time.Time) (time.Duration, error) { return l.OfSession(t.Context(), id, limit, at) },
	} {
		for i := range 5 {
			wait, err := take(at)
			must(t, err)
			if want := map[bool]time.Duration{false: 0, true: 40 * time.Second}[i >= limit.Most]; wait != want {
				t.Errorf("%s, number %d: wait %s, want %s", name, i+1, wait, want)
			}
		}
		if wait, err := take(at.Add(40 * time.Second)); wait != 0 || err != nil {
			t.Errorf("%s, in the next minute: wait %s, %v", name, wait, err)
		}
	}
	if wait, err := l.OfOwner(t.Context(), session.Subject(rand.Text()), limit, at); wait != 0 || err != nil {
		t.Errorf("another person: wait %s, %v", wait, err)
	}
}

func testAudit(t *testing.T, trail *dynamo.Audit, key *seal.Sealer, another func() *dynamo.Audit) {
	var want []audit.Entry
	add := func(trail *dynamo.Audit, i int, subject session.Subject) audit.Entry {
		at := start.Add(time.Duration(i) * time.Minute)
		e, err := audit.New(at, audit.Act{
			Subject: subject, Front: session.FrontConsole, Session: "console-1", Operation: "add_to_group",
			Object: audit.Ref{Type: "okta_group", ID: "00g1", Label: "Engineering"}, Member: audit.Ref{Type: "okta_user", ID: "00u1", Label: "erin"},
			Args: map[string]string{"description": "d"}, Reason: "because", ApprovalID: "a", Requester: "r", Approver: "b", Step: 2,
		}, audit.Details{
			ID: audit.NewID(at), Kind: audit.Outcome, Permission: audit.Allowed, Result: audit.Done, OktaRequestID: fmt.Sprint("req-", i), Reference: "ref",
		})
		must(t, err)
		must(t, trail.Add(t.Context(), e))
		must(t, trail.Add(t.Context(), e)) // the answer to the first was lost
		return e
	}
	other := another() // as another process
	for i := range 6 {
		writer := trail
		if i%3 == 2 {
			writer = other
		}
		want = append([]audit.Entry{add(writer, i, "sub-1")}, want...)
	}
	add(trail, 1, "sub-2")
	got, err := trail.BySubject(t.Context(), "sub-1", 10)
	must(t, err)
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(audit.Entry{})); d != "" {
		t.Errorf("entries differ (-want +got):\n%s", d)
	}
	if got, err = trail.BySubject(t.Context(), "sub-1", 2); err != nil || len(got) != 2 {
		t.Errorf("limit 2: %d entries, %v", len(got), err)
	}
	again := want[0]
	again.Permission = audit.Denied
	if err := trail.Add(t.Context(), again); err == nil {
		t.Error("an entry was written over")
	}
	if err := trail.Add(t.Context(), audit.Entry{ID: audit.NewID(start), Subject: "sub-1"}); !errors.Is(err, audit.ErrNotMade) {
		t.Errorf("an entry made by hand: %v", err)
	}
	var all []audit.Chained
	must(t, trail.All(t.Context(), func(c audit.Chained) bool { all = append(all, c); return true }))
	report, err := audit.Verify(key, all)
	if err != nil || report != (audit.Report{Subjects: 2, Entries: 7}) {
		t.Errorf("the chains: %+v, %v", report, err)
	}
}

func second[T any](_ T, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, want fault.Kind, err error) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: got kind %q (%v), want %q", what, got, err, want)
	}
}
