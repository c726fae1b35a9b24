package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/iam"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// tables is the two tables, with every function of the fleet held to what it may write there.
type tables struct {
	t     *testing.T
	url   string
	roles *iam.Roles
	trail *seal.Sealer
}

const auditTable = "audit"

func newTables(t *testing.T) *tables {
	t.Helper()
	names := map[fleet.Resource]string{fleet.ResourceSessions: "table/sessions", fleet.ResourceSessionsIndex: "table/sessions/index/by-owner", fleet.ResourceAudit: "table/" + auditTable}
	var all []iam.Role
	for _, fn := range fleet.Steward().Functions {
		role := iam.Role{Function: fn.Name, AccessKeyID: fn.Name, Attributes: map[iam.Permission][]string{}}
		for _, a := range fn.Access {
			if names[a.Resource] == "" {
				continue
			}
			for _, action := range a.Actions {
				p := iam.Permission{Action: action, Resource: "arn:aws:dynamodb:us-east-1:000000000000:" + names[a.Resource]}
				role.Permissions = append(role.Permissions, p)
				if a.Attributes != nil {
					role.Attributes[p] = a.Attributes
				}
			}
		}
		all = append(all, role)
	}
	w := &tables{t: t, roles: iam.New("us-east-1", "000000000000", slog.New(slog.DiscardHandler), all...)}
	server := httptest.NewServer(w.roles.Wrap(awstest.New(awstest.Options{NoChaos: true, Tables: run.Tables("sessions", auditTable)})))
	t.Cleanup(server.Close)
	w.url = server.URL
	sealer, err := seal.New(seal.GenerateKey())
	w.must(err)
	w.trail = sealer
	return w
}

func (w *tables) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// as is DynamoDB with the credentials of a function; those of "nobody" are nobody's and may do everything.
func (w *tables) as(function string) *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider(function, "any", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	})
}

// store is what a function keeps in the tables.
type store struct {
	sessions  *dynamo.Sessions
	approvals *dynamo.Approvals
	limits    *dynamo.Limits
	audit     *dynamo.Audit
}

func (w *tables) store(function string) store {
	db := w.as(function)
	return store{
		dynamo.NewSessions(db, "sessions"), dynamo.NewApprovals(db, "sessions"), dynamo.NewLimits(db, "sessions"),
		dynamo.NewAudit(db, auditTable, func(context.Context) (audit.Marker, error) { return w.trail, nil }),
	}
}

var (
	at    = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	owner = session.Person{Subject: "oidc|okta-corp|00u1", Email: "alice@example.com", EmailVerified: true, Name: "Alice", Picture: "https://example.com/a.png"}
	login = session.Login{Key: "key", Owner: owner, Current: "session-1", Sessions: []session.ID{"session-1"}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	asked = approval.Approval{
		ID: "a-1", SessionID: "session-1", Owner: owner.Subject, Front: session.FrontChat, Operation: "add_to_group",
		Target: approval.Ref{Type: "okta_group", ID: "00g1", Label: "Finance"}, Member: approval.Ref{Type: "okta_user", ID: "00u2", Label: "erin"},
		Args: map[string]string{"description": "d"}, ExpiresAt: at.Add(time.Hour), Digest: "d", AskedMAC: []byte("m"), Code: "K7Q2", Summary: "s", Reason: "r", Status: approval.Pending,
		CreatedAt: at, ChangedAt: at, Interval: 5 * time.Second,
	}
)

// TestAttributesAreThoseOfTheStore makes every write that a function makes, with every value that it can have, as that function:
// what is named then is what the fleet lets it name, no more and no less.
func TestAttributesAreThoseOfTheStore(t *testing.T) {
	w := newTables(t)
	ctx := t.Context()
	oktaAccount := func(s store) { // of whoever asks Okta
		w.must(s.sessions.SaveOktaToken(ctx, "session-1", []byte("sealed"), at))
		w.must(s.sessions.SaveOktaUser(ctx, "session-1", "00u1", "alice@example.com"))
		w.must(s.sessions.ForgetOkta(ctx, "session-1"))
	}
	record := func(s store) {
		e, err := audit.New(at, audit.Act{
			Subject: owner.Subject, Front: session.FrontChat, Session: "session-1", Operation: "add_to_group",
			Object: audit.Ref{Type: "okta_group", ID: "00g1", Label: "Finance"}, Member: audit.Ref{Type: "okta_user", ID: "00u2", Label: "erin"},
			Args: map[string]string{"description": "d"}, Reason: "r", ApprovalID: "a-1", Requester: "r", Approver: "a", Step: 1,
		}, audit.Details{ID: audit.NewID(at), Kind: audit.Outcome, Permission: audit.Allowed, Result: audit.OK, DecisionID: "d", OktaRequestID: "q", Reference: "f"})
		w.must(err)
		w.must(s.audit.Add(ctx, e))
	}
	counted := func(s store) {
		_, err := s.limits.OfSession(ctx, "session-1", dynamo.Limit{Name: "calls", Most: 9, Window: time.Minute}, at)
		w.must(err)
	}
	create := func(s store, id string) approval.Approval {
		a := asked
		a.ID, a.Operation = id, id
		a, fresh, err := s.approvals.Create(ctx, a, at)
		w.must(err)
		if !fresh {
			t.Fatalf("%s is in flight already", id)
		}
		return a
	}
	stored := func(s store, t approval.Transition, err error) approval.Approval {
		w.must(err)
		a, err := s.approvals.Transition(ctx, t)
		w.must(err)
		return a
	}
	saveRequest := func(s store, a approval.Approval) approval.Approval {
		t, err := a.SaveRequest([]byte("sealed"), a.Interval+time.Second, at.Add(time.Minute*time.Duration(a.Pushes+1)))
		return stored(s, t, err)
	}

	chat, groups, ciba, worker := w.store(fleet.Chat), w.store(fleet.OktaGroups), w.store(fleet.CIBA), w.store(fleet.ApprovalWorker)

	w.must(chat.sessions.PutLogin(ctx, login))
	w.must(chat.sessions.PutSession(ctx, session.Session{ID: "session-1", Owner: owner, Front: session.FrontChat, Login: "key", CreatedAt: at, ExpiresAt: login.ExpiresAt, RefreshToken: []byte("sealed")}))
	w.must(chat.sessions.SetCurrent(ctx, "key", "session-1"))
	w.must(chat.sessions.AddSession(ctx, "key", "session-2"))
	turn, err := chat.sessions.ReserveTurn(ctx, "key", at, at.Add(time.Minute))
	w.must(err)
	w.must(chat.sessions.EndTurn(ctx, "key", turn))
	w.must(chat.sessions.UseFlow(ctx, "flow", at))
	oktaAccount(chat)
	counted(chat)
	record(chat)
	record(chat) // on the one before

	oktaAccount(groups)
	counted(groups)
	record(groups)

	oktaAccount(ciba)
	counted(ciba)
	record(ciba)
	done, cancelled, stopped, failed := create(ciba, "done"), create(ciba, "cancelled"), create(ciba, "stopped"), create(ciba, "failed")
	w.must(ciba.approvals.CountPush(ctx, owner.Subject, at))
	w.must(ciba.approvals.CountPush(ctx, owner.Subject, at))
	done = saveRequest(ciba, done)
	end, err := failed.Fail(at, approval.Outcome{Result: "It could not be sent."})
	stored(ciba, end, err)

	end, err = cancelled.Cancel(at, approval.SignedOut)
	stored(chat, end, err)

	oktaAccount(worker)
	record(worker)
	w.must(worker.approvals.CountPush(ctx, owner.Subject, at))
	done = saveRequest(worker, done)
	next, err := done.AcquirePoll(at)
	done = stored(worker, next, err)
	next, err = done.Approve(at, w.trail)
	done = stored(worker, next, err)
	next, err = done.Claim(at, time.Minute)
	done = stored(worker, next, err)
	next, err = done.Finish(at, approval.Done, approval.Outcome{Result: "Done.", OktaRequestID: "q", Permission: audit.Allowed})
	stored(worker, next, err)
	next, err = stopped.Cancel(at, approval.SignedOut)
	stored(worker, next, err)

	w.must(chat.sessions.DeleteSession(ctx, "session-1"))
	w.must(chat.sessions.DeleteLogin(ctx, "key"))

	named := w.roles.Attributes()
	for _, fn := range fleet.Steward().Functions {
		for _, a := range fn.Access {
			for _, action := range a.Actions {
				if a.Attributes == nil {
					continue
				}
				table := map[fleet.Resource]string{fleet.ResourceSessions: "sessions", fleet.ResourceAudit: auditTable}[a.Resource]
				used := named[iam.Call{Function: fn.Name, Permission: iam.Permission{Action: action, Resource: "arn:aws:dynamodb:us-east-1:000000000000:table/" + table}}]
				for _, name := range a.Attributes {
					if !slices.Contains(used, name) {
						t.Errorf("infra/fleet/attributes.go lets %s name %s in %s of %s, and it never does", fn.Name, name, action, table)
					}
				}
			}
		}
	}
	if t.Failed() {
		t.Logf("named: %v", named)
	}
}

// TestRolesCannotRewriteRows makes, with a function's own credentials, the writes of somebody who has taken it over: to say that a
// change was approved, and to become somebody else.
func TestRolesCannotRewriteRows(t *testing.T) {
	w := newTables(t)
	ctx := t.Context()
	w.must(w.store("nobody").sessions.PutSession(ctx, session.Session{ID: "session-1", Owner: owner, Login: "key", CreatedAt: at, ExpiresAt: login.ExpiresAt, RefreshToken: []byte("sealed")}))
	a, _, err := w.store("nobody").approvals.Create(ctx, asked, at)
	w.must(err)
	row := func(item string) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{dynamo.PartitionKey: text("session-1"), dynamo.SortKey: text(item)}
	}
	session, pending := row("session"), row("approval#"+a.ID)
	update := func(key map[string]types.AttributeValue, change func(*dynamodb.UpdateItemInput)) func(*dynamodb.Client) error {
		return func(db *dynamodb.Client) error {
			in := &dynamodb.UpdateItemInput{TableName: aws.String("sessions"), Key: key, ExpressionAttributeValues: map[string]types.AttributeValue{":x": text("frank@example.com")}}
			change(in)
			_, err := db.UpdateItem(ctx, in)
			return err
		}
	}
	set := func(expression string) func(*dynamodb.UpdateItemInput) {
		return func(in *dynamodb.UpdateItemInput) { in.UpdateExpression = &expression }
	}
	named := func(expression, name string) func(*dynamodb.UpdateItemInput) {
		return func(in *dynamodb.UpdateItemInput) {
			in.UpdateExpression, in.ExpressionAttributeNames = &expression, map[string]string{"#n": name}
		}
	}
	put := func(name string, more ...string) func(*dynamodb.Client) error {
		return func(db *dynamodb.Client) error {
			item := row("session")
			if name == auditTable {
				item = map[string]types.AttributeValue{dynamo.AuditPartitionKey: text("s"), dynamo.AuditSortKey: text("1")}
			}
			for _, attribute := range more {
				item[attribute] = text("frank@example.com")
			}
			_, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &name, Item: item})
			return err
		}
	}
	query := func(change func(*dynamodb.QueryInput)) func(*dynamodb.Client) error {
		return func(db *dynamodb.Client) error {
			in := &dynamodb.QueryInput{
				TableName: aws.String(auditTable), KeyConditionExpression: aws.String("subject = :s"), ExpressionAttributeValues: map[string]types.AttributeValue{":s": text("s")},
			}
			change(in)
			_, err := db.Query(ctx, in)
			return err
		}
	}
	approved := func(in *dynamodb.UpdateItemInput) {
		named("SET #n = :x", "status")(in)
		in.ExpressionAttributeValues[":x"] = text("approved")
	}
	for name, tc := range map[string]struct {
		functions []string
		do        func(*dynamodb.Client) error
	}{
		"status = approved":          {[]string{fleet.OktaGroups}, update(pending, approved)},
		"the mark of an approval":    {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat}, update(pending, set("SET approved_mac = :x"))},
		"the mark of what was asked": {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, update(pending, set("SET asked_mac = :x"))},
		"another target":             {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, update(pending, set("SET target_id = :x"))},
		"another e-mail address":     {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, update(session, set("SET email = :x"))},
		"it, by a placeholder":       {[]string{fleet.OktaGroups, fleet.CIBA, fleet.ApprovalWorker}, update(session, named("SET #n = :x", "email"))},
		"it, beside what is allowed": {[]string{fleet.OktaGroups}, update(session, set("SET okta_login = :x, email = :x"))},
		"another owner":              {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, update(session, set("SET subject = :x"))},
		"a longer life":              {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, update(session, set("SET expires_at = :x"))},
		"a session of one's own":     {[]string{fleet.CIBA}, put("sessions", "subject", "email")},
		"any row":                    {[]string{fleet.OktaGroups, fleet.ApprovalWorker}, put("sessions")},
		"an approval from the chat":  {[]string{fleet.Chat}, put("sessions", "status", "approved_mac")},
		"an older parameter": {[]string{fleet.OktaGroups}, update(session, func(in *dynamodb.UpdateItemInput) {
			in.ExpressionAttributeValues = nil
			in.AttributeUpdates = map[string]types.AttributeValueUpdate{"email": {Value: text("frank@example.com")}}
		})},
		"the item that it changes": {[]string{fleet.OktaGroups}, update(session, func(in *dynamodb.UpdateItemInput) {
			set("SET okta_login = :x")(in)
			in.ReturnValues = types.ReturnValueAllOld
		})},
		"an entry with other fields": {[]string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}, put(auditTable, "note")},
		"the record, read":           {[]string{fleet.OktaGroups, fleet.CIBA, fleet.ApprovalWorker}, query(func(*dynamodb.QueryInput) {})},
		"one field of the record":    {[]string{fleet.OktaGroups}, query(func(in *dynamodb.QueryInput) { in.ProjectionExpression = aws.String("id, object_label") })},
		"the record, asked by a field": {[]string{fleet.OktaGroups}, query(func(in *dynamodb.QueryInput) {
			in.ProjectionExpression, in.FilterExpression = aws.String("id"), aws.String("object_label = :s")
		})},
		"a part of a transaction": {[]string{fleet.CIBA}, func(db *dynamodb.Client) error {
			_, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Update: &types.Update{
				TableName: aws.String("sessions"), Key: session, UpdateExpression: aws.String("SET email = :x"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":x": text("frank@example.com")},
			}}}})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var refused, reached interface{ ErrorCode() string }
			for _, function := range tc.functions {
				if err := tc.do(w.as(function)); !errors.As(err, &refused) || refused.ErrorCode() != "AccessDeniedException" {
					t.Errorf("%s: got %v, want AccessDeniedException", function, err)
				}
			}
			err := tc.do(w.as("nobody")) // what awstest does not play got past the roles all the same
			if notPlayed := errors.As(err, &reached) && reached.ErrorCode() == "NotImplementedException"; err != nil && !notPlayed {
				t.Errorf("without a role the call is a good one: %v", err)
			}
		})
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
