package dynamo_test

import (
	"net/http/httptest"
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
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/session"
)

// row is a row as the version before wrote it: texts, and numbers where the name says so.
func row(texts map[string]string, numbers map[string]string) map[string]types.AttributeValue {
	it := map[string]types.AttributeValue{}
	for name, value := range texts {
		it[name] = &types.AttributeValueMemberS{Value: value}
	}
	for name, value := range numbers {
		it[name] = &types.AttributeValueMemberN{Value: value}
	}
	return it
}

// What the version before wrote is still read: entries, which had a stage instead of a kind; sessions and approvals, which had
// neither a front nor proofs.
func TestRowsOfTheVersionBeforeAreRead(t *testing.T) {
	srv := awstest.New(awstest.Options{NoChaos: true, Tables: []awstest.Table{
		{
			Name: "sessions", Hash: awstest.Key{Name: "session_id"}, Range: awstest.Key{Name: "item"},
			Indexes: []awstest.Index{{Name: "by-owner", Hash: awstest.Key{Name: "owner"}, Range: awstest.Key{Name: "item"}}},
		},
		{Name: "audit", Hash: awstest.Key{Name: "subject"}, Range: awstest.Key{Name: "id"}},
	}})
	web := httptest.NewServer(srv)
	t.Cleanup(web.Close)
	client := at(web.URL)
	put := func(table string, item map[string]types.AttributeValue) {
		t.Helper()
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	const millis = "1772357400000"
	moment := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

	const id = "a-session-of-the-version-before-000000000000"
	old := func(n, stage, operation, target, label, decision, outcome string) {
		put("audit", row(map[string]string{
			"subject": "sub-1", "id": "019ca8bbb5c0-" + n, "session": id, "stage": stage, "operation": operation, "target": target,
			"target_label": label, "decision": decision, "outcome": outcome, "approval_id": "a-" + n, "okta_request": "r-" + n,
		}, map[string]string{"at": millis}))
	}
	old("1", "read", "list_user_groups", "okta_user:00u1", "alice", "allowed", "ok")
	old("2", "read", "find_users", "", "Taylor", "unknown", "upstream")
	old("3", "request", "suspend", "okta_user:00u2", "dave", "denied", "denied")
	old("4", "decision", "suspend", "okta_user:00u2", "dave", "approved", "ok")
	old("5", "decision", "suspend", "okta_user:00u2", "dave", "denied", "denied")
	old("6", "execute", "create_group", "okta_group:", "Design", "done", "ok")
	old("7", "login", "sign_in", "", "", "allowed", "ok")
	want := func(n string, kind audit.Kind, operation string, object audit.Ref, permission audit.Permission, result audit.Result) audit.Entry {
		return audit.Entry{
			ID: "019ca8bbb5c0-" + n, At: moment, Kind: kind, Subject: "sub-1", Front: session.FrontChat, Session: session.ID(id).Fingerprint(), Operation: operation,
			Object: object, Permission: permission, Result: result, ApprovalID: "a-" + n, OktaRequestID: "r-" + n,
		}
	}
	dave := audit.Ref{Type: "okta_user", ID: "00u2", Label: "dave"}
	entries, err := dynamo.NewAudit(client, "audit", nil).BySubject(t.Context(), "sub-1", 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]audit.Entry{
		want("7", audit.Outcome, "sign_in", audit.Ref{}, audit.Unchecked, audit.OK),
		want("6", audit.Outcome, "create_group", audit.Ref{Type: "okta_group", Label: "Design"}, audit.Allowed, audit.Done),
		want("5", audit.Outcome, "suspend", dave, audit.Allowed, audit.Refused),
		want("4", audit.Decision, "suspend", dave, audit.Allowed, audit.Approved),
		want("3", audit.Decision, "suspend", dave, audit.Denied, "denied"),
		want("2", audit.Decision, "find_users", audit.Ref{Label: "Taylor"}, audit.Unchecked, "upstream"),
		want("1", audit.Decision, "list_user_groups", audit.Ref{Type: "okta_user", ID: "00u1", Label: "alice"}, audit.Allowed, audit.None),
	}, entries, cmpopts.IgnoreUnexported(audit.Entry{})); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}

	put("sessions", row(map[string]string{"session_id": id, "item": "session", "subject": "sub-1", "email": "alice@example.com", "okta_user_id": "00u1"}, map[string]string{"created_at": millis, "expires_at": millis}))
	s, err := dynamo.NewSessions(client, "sessions").Session(t.Context(), id)
	if err != nil || s.Front != session.FrontChat || s.Owner.Email != "alice@example.com" || s.OktaUserID != "00u1" || s.OktaLogin != "" || !s.ExpiresAt.Equal(moment) {
		t.Errorf("session: %+v, %v", s, err)
	}

	put("sessions", row(map[string]string{
		"session_id": id, "item": "approval#a-1", "owner": "sub-1", "operation": "suspend", "status": "pending", "digest": "d", "code": "K7QX", "summary": "Suspend dave",
		"target_type": "okta_user", "target_id": "00u2", "target_label": "dave",
	}, map[string]string{"created_at": millis, "changed_at": millis, "expires_at": millis, "interval_ms": "5000", "pushes": "1"}))
	a, err := dynamo.NewApprovals(client, "sessions").Approval(t.Context(), id, "a-1")
	if err != nil || a.Front != session.FrontChat || a.Status != approval.Pending || a.Target.ID != "00u2" || len(a.AskedMAC) != 0 || !a.Deadline().Equal(moment) || a.Interval != 5*time.Second {
		t.Errorf("approval: %+v, %v", a, err)
	}

	// Those in flight are carried on: the conditions of their transitions hold on rows that lack what is new.
	store := dynamo.NewApprovals(client, "sessions")
	for n, next := range map[string]struct {
		status string
		make   func(approval.Approval) (approval.Transition, error)
		want   approval.Status
	}{
		"a-1": {"pending", func(a approval.Approval) (approval.Transition, error) { return a.Expire(moment) }, approval.Expired},
		"a-2": {"pending", func(a approval.Approval) (approval.Transition, error) { return a.AcquirePoll(moment) }, approval.Pending},
		"a-3": {"approved", func(a approval.Approval) (approval.Transition, error) { return a.Claim(moment, time.Minute) }, approval.Executing},
		"a-4": {"executing", func(a approval.Approval) (approval.Transition, error) { return a.Claim(moment, time.Minute) }, approval.Executing},
	} {
		old := row(map[string]string{"session_id": id, "item": "approval#" + n, "owner": "sub-1", "status": next.status, "digest": "d", "moved_by": "x", "polled_by": "y"},
			map[string]string{"created_at": millis, "changed_at": millis, "expires_at": millis, "poll_at": millis, "interval_ms": "5000", "pushes": "1"})
		if next.status == "executing" {
			old["claimed_until"] = old["created_at"]
		}
		old["auth_req_id"], old["approved_mac"] = &types.AttributeValueMemberB{Value: []byte("sealed")}, &types.AttributeValueMemberB{Value: []byte("mark")}
		put("sessions", old)
		a, err := store.Approval(t.Context(), id, n)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := next.make(a)
		if err == nil {
			_, err = store.Transition(t.Context(), tr)
		}
		if got, _ := store.Approval(t.Context(), id, n); err != nil || got.Status != next.want {
			t.Errorf("one that was %s: %v, it is %s, want %s", next.status, err, got.Status, next.want)
		}
	}
}
