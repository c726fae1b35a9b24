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
	key, err := seal.New(seal.GenerateKey())
	must(t, err)
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
	t.Run("of many workers one polls", func(t *testing.T) { testTurns(t, approvals) })
	t.Run("moves", func(t *testing.T) { testMoves(t, approvals) })
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
	must(t, s.SaveRequest(t.Context(), &want, []byte("sealed"), 5*time.Second, start.Add(4*time.Minute)))
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
	must(t, s.Move(t.Context(), &held, approval.Denied, start))
	add(t, s, anApproval(owner, "unlock"))
	if _, isNew, err = s.Create(t.Context(), anApproval(owner, "unlock"), start.Add(time.Hour)); err != nil || !isNew {
		t.Errorf("after the expiry: new %v, %v", isNew, err)
	}
}

func testClaim(t *testing.T, s *dynamo.Approvals) {
	a := add(t, s, anApproval(rand.Text(), "unlock"))
	if err := s.Claim(t.Context(), &a, start, time.Minute); !errors.Is(err, dynamo.ErrMoved) {
		t.Fatalf("a pending approval was claimed: %v", err)
	}
	a.ApprovedMAC = []byte("approved")
	must(t, s.Move(t.Context(), &a, approval.Approved, start))
	claim := func(at time.Time) int32 {
		return winners(t, a, func(mine *approval.Approval) error { return s.Claim(t.Context(), mine, at, time.Minute) })
	}
	if n := claim(start); n != 1 {
		t.Errorf("%d workers claimed it, want 1", n)
	}
	if n := claim(start.Add(30 * time.Second)); n != 0 {
		t.Errorf("%d workers claimed it within the lease, want none", n)
	}
	if n := claim(start.Add(2 * time.Minute)); n != 1 {
		t.Errorf("%d workers took it over after the lease, want 1", n)
	}
}

// winners counts who of many workers that know a succeeds; the others have to be told that it was moved.
func winners(t *testing.T, a approval.Approval, take func(mine *approval.Approval) error) int32 {
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			mine := a
			switch err := take(&mine); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, dynamo.ErrMoved):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return won.Load()
}

func testTurns(t *testing.T, s *dynamo.Approvals) {
	const interval = 7 * time.Second
	a := add(t, s, anApproval(rand.Text(), "unlock"))
	for _, now := range []time.Time{start, start.Add(interval)} {
		turn := func(mine *approval.Approval) error { return s.TakeTurn(t.Context(), mine, now, interval) }
		if n := winners(t, a, turn); n != 1 {
			t.Errorf("%d workers polled at once, want 1", n)
		}
		got, err := s.Approval(t.Context(), a.SessionID, a.ID)
		must(t, err)
		if !got.PollAt.Equal(now.Add(interval)) || got.Interval != interval || got.Status != approval.Pending {
			t.Errorf("after a turn: %+v", got)
		}
		a = got
	}
	stale := a
	a.ApprovedMAC = []byte("approved")
	must(t, s.Move(t.Context(), &a, approval.Approved, start))
	if err := s.TakeTurn(t.Context(), &stale, start.Add(time.Hour), interval); !errors.Is(err, dynamo.ErrMoved) {
		t.Errorf("a turn for what is approved: %v", err)
	}
}

func testMoves(t *testing.T, s *dynamo.Approvals) {
	a := add(t, s, anApproval(rand.Text(), "unlock"))
	must(t, s.SaveRequest(t.Context(), &a, []byte("sealed"), time.Second, start.Add(time.Minute)))
	stale, tampered := a, a
	if err := s.Move(t.Context(), &a, approval.Done, start); err == nil {
		t.Error("pending went to done")
	}
	tampered.Digest = "other"
	tampered.ApprovedMAC = []byte("approved")
	if err := s.Move(t.Context(), &tampered, approval.Approved, start); !errors.Is(err, dynamo.ErrMoved) {
		t.Errorf("a move under another digest: %v", err)
	}
	a.ApprovedMAC = []byte("approved")
	must(t, s.Move(t.Context(), &a, approval.Approved, start))
	if err := s.Move(t.Context(), &stale, approval.Cancelled, start); !errors.Is(err, dynamo.ErrMoved) {
		t.Errorf("cancel after approval: %v", err)
	}
	if err := s.SaveRequest(t.Context(), &stale, []byte("x"), time.Second, start); !errors.Is(err, dynamo.ErrMoved) {
		t.Errorf("a push for what is approved: %v", err)
	}
	must(t, s.Claim(t.Context(), &a, start, time.Minute))
	a.Result, a.OktaRequestID = "Okta confirmed the change.", "req-1"
	must(t, s.Move(t.Context(), &a, approval.Done, start.Add(time.Second)))
	got, err := s.Approval(t.Context(), a.SessionID, a.ID)
	must(t, err)
	if got.Status != approval.Done || got.Result != a.Result || got.OktaRequestID != "req-1" || len(got.AuthReqID) != 0 {
		t.Errorf("in the end: %+v", got)
	}
	for _, next := range []approval.Status{approval.Failed, approval.Executing, approval.Pending} {
		if err := s.Move(t.Context(), &got, next, start); err == nil {
			t.Errorf("done went to %s", next)
		}
	}
}

func testCountPush(t *testing.T, s *dynamo.Approvals) {
	owner := session.Subject(rand.Text())
	rung := 0
	for range 10 {
		if err := s.CountPush(t.Context(), owner, start); err == nil {
			rung++
		} else {
			wantKind(t, "too many pushes", fault.Conflict, err)
		}
	}
	if rung < 1 || rung > 4 {
		t.Errorf("%d pushes within a minute, want 1 to 4: Auth0 refuses the sixth", rung)
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
		}, audit.Known{
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
