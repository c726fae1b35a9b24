package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/session"
)

const (
	auditPartitionKey = "subject"
	auditSortKey      = "id"
)

// Audit keeps the audit trail. Entries are only ever added.
type Audit struct {
	table table
	key   func(context.Context) (audit.Marker, error)

	mu    sync.Mutex
	heads map[session.Subject]*head
}

// head is the newest link of a subject's chain that this process knows.
type head struct {
	mu    sync.Mutex // held while a link is added
	known bool
	id    string
	mac   []byte
}

// maxHeads bounds the memory; a process that has written for more subjects forgets them all and reads anew.
const maxHeads = 1000

// NewAudit keeps the trail in the table of that name. Key makes the keyed hashes of the chain; a reader needs none.
func NewAudit(client *dynamodb.Client, name string, key func(context.Context) (audit.Marker, error)) *Audit {
	return &Audit{table: table{client: client, name: name}, key: key, heads: map[session.Subject]*head{}}
}

// Prepare fetches what the first entry of a subject needs, the key and the newest link, so that it is there when the entry
// comes. What could not be fetched is fetched by Add.
func (a *Audit) Prepare(ctx context.Context, subject session.Subject) {
	h := a.head(subject)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = a.key(ctx)
	_ = a.find(ctx, subject, h)
}

// Add adds an entry. One that is there already under the same id, because the answer to an earlier try was lost or because
// another process recorded the same thing, is left as it is and is no error; a different one under its id is.
func (a *Audit) Add(ctx context.Context, e audit.Entry) error {
	if !e.Made() {
		return audit.ErrNotMade
	}
	key, err := a.key(ctx)
	if err != nil {
		return err
	}
	h := a.head(e.Subject)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := a.find(ctx, e.Subject, h); err != nil {
		return err
	}
	link, err := audit.Link(key, e, h.id, h.mac)
	if err != nil {
		return err
	}
	_, err = a.table.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &a.table.name, Item: encodeEntry(e, link), ConditionExpression: aws.String("attribute_not_exists(id)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	err = classify(err, "add audit entry")
	if exists, ok := errors.AsType[*conditionError](err); ok {
		there := decodeEntry(exists.row)
		if !there.Entry.Same(e) {
			return unavailable(fmt.Errorf("add audit entry: another entry has the id %s", e.ID))
		}
		h.id, h.mac = e.ID, there.Chain.MAC
		return nil
	}
	if err != nil {
		return err
	}
	h.id, h.mac = e.ID, link.MAC
	return nil
}

func (a *Audit) head(subject session.Subject) *head {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heads[subject] == nil {
		if len(a.heads) >= maxHeads {
			clear(a.heads)
		}
		a.heads[subject] = &head{}
	}
	return a.heads[subject]
}

// find reads the newest link of the subject, once a process: nothing of the entry but its id and its keyed hash.
func (a *Audit) find(ctx context.Context, subject session.Subject, h *head) error {
	if h.known {
		return nil
	}
	out, err := a.table.client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &a.table.name,
		KeyConditionExpression:    aws.String("#p = :p"),
		ProjectionExpression:      aws.String("id, mac"),
		Select:                    types.SelectSpecificAttributes,
		ExpressionAttributeNames:  map[string]string{"#p": auditPartitionKey},
		ExpressionAttributeValues: item{":p": text(string(subject))},
		ScanIndexForward:          aws.Bool(false),
		ConsistentRead:            aws.Bool(true),
		Limit:                     aws.Int32(1),
	})
	if err != nil {
		return unavailable(fmt.Errorf("newest audit entry: %w", err))
	}
	if len(out.Items) > 0 {
		h.id, h.mac = getText(out.Items[0], auditSortKey), getBlob(out.Items[0], "mac")
	}
	h.known = true
	return nil
}

// BySubject reads a person's latest entries, newest first.
func (a *Audit) BySubject(ctx context.Context, subject session.Subject, limit int) ([]audit.Entry, error) {
	rows, err := a.table.query(ctx, "", auditPartitionKey, string(subject), "", "", limit)
	if err != nil {
		return nil, err
	}
	entries := make([]audit.Entry, len(rows))
	for i, it := range rows {
		entries[i] = decodeEntry(it).Entry
	}
	return entries, nil
}

// All reads the whole table, for verification, and gives every entry to yield until that returns false.
func (a *Audit) All(ctx context.Context, yield func(audit.Chained) bool) error {
	pages := dynamodb.NewScanPaginator(a.table.client, &dynamodb.ScanInput{TableName: &a.table.name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return unavailable(fmt.Errorf("scan: %w", err))
		}
		for _, it := range page.Items {
			if !yield(decodeEntry(it)) {
				return nil
			}
		}
	}
	return nil
}

// AuditEntry reads one row of the audit table, such as a line of an export to S3 in DynamoDB JSON holds.
func AuditEntry(row map[string]types.AttributeValue) audit.Chained { return decodeEntry(row) }

func encodeEntry(e audit.Entry, link audit.Chain) item {
	it := item{
		auditPartitionKey: text(string(e.Subject)), auditSortKey: text(e.ID), "at": moment(e.At), "kind": text(string(e.Kind)),
		"mac": blob(link.MAC),
	}
	for name, value := range map[string]string{
		"front":        string(e.Front),
		"session":      e.Session,
		"operation":    e.Operation,
		"object_type":  e.Object.Type,
		"object_id":    e.Object.ID,
		"object_label": e.Object.Label,
		"member_type":  e.Member.Type,
		"member_id":    e.Member.ID,
		"member_label": e.Member.Label,
		"reason":       e.Reason,
		"decision":     string(e.Permission),
		"outcome":      string(e.Result),
		"decision_id":  e.DecisionID,
		"approval_id":  e.ApprovalID,
		"requester":    string(e.Requester),
		"approver":     string(e.Approver),
		"okta_request": e.OktaRequestID,
		"reference":    e.Reference,
		"previous":     link.Previous,
	} {
		put(it, name, value)
	}
	if len(link.PreviousMAC) > 0 {
		it["previous_mac"] = blob(link.PreviousMAC)
	}
	if len(e.Args) > 0 {
		args := item{}
		for k, v := range e.Args {
			args[k] = text(v)
		}
		it["args"] = &types.AttributeValueMemberM{Value: args}
	}
	if e.Step > 0 {
		it["step"] = number(int64(e.Step))
	}
	return it
}

func decodeEntry(it item) audit.Chained {
	if getText(it, "kind") == "" {
		return audit.Chained{Entry: decodeRecord(it)}
	}
	e := audit.Entry{
		ID:            getText(it, auditSortKey),
		At:            getMoment(it, "at"),
		Kind:          audit.Kind(getText(it, "kind")),
		Subject:       session.Subject(getText(it, auditPartitionKey)),
		Front:         session.Front(getText(it, "front")),
		Session:       getText(it, "session"),
		Operation:     getText(it, "operation"),
		Object:        audit.Ref{Type: getText(it, "object_type"), ID: getText(it, "object_id"), Label: getText(it, "object_label")},
		Member:        audit.Ref{Type: getText(it, "member_type"), ID: getText(it, "member_id"), Label: getText(it, "member_label")},
		Reason:        getText(it, "reason"),
		Permission:    audit.Permission(getText(it, "decision")),
		Result:        audit.Result(getText(it, "outcome")),
		DecisionID:    getText(it, "decision_id"),
		ApprovalID:    getText(it, "approval_id"),
		Requester:     session.Subject(getText(it, "requester")),
		Approver:      session.Subject(getText(it, "approver")),
		Step:          int(getNumber(it, "step")),
		OktaRequestID: getText(it, "okta_request"),
		Reference:     getText(it, "reference"),
	}
	if m, ok := it["args"].(*types.AttributeValueMemberM); ok && len(m.Value) > 0 {
		e.Args = map[string]string{}
		for k := range m.Value {
			e.Args[k] = getText(m.Value, k)
		}
	}
	return audit.Chained{Entry: e, Chain: audit.Chain{Previous: getText(it, "previous"), PreviousMAC: getBlob(it, "previous_mac"), MAC: getBlob(it, "mac")}}
}

// decodeRecord reads an entry of the version before, which had a stage instead of a kind, and spoke of permissions, approvals and
// executions in one field. The session's id in it is not passed on.
func decodeRecord(it item) audit.Entry {
	typ, id, _ := strings.Cut(getText(it, "target"), ":")
	e := audit.Entry{
		ID:            getText(it, auditSortKey),
		At:            getMoment(it, "at"),
		Kind:          audit.Decision,
		Subject:       session.Subject(getText(it, auditPartitionKey)),
		Front:         session.FrontChat,
		Session:       session.ID(getText(it, "session")).Fingerprint(),
		Operation:     getText(it, "operation"),
		Object:        audit.Ref{Type: typ, ID: id, Label: getText(it, "target_label")},
		Permission:    audit.Unchecked,
		ApprovalID:    getText(it, "approval_id"),
		OktaRequestID: getText(it, "okta_request"),
	}
	decision, outcome := getText(it, "decision"), audit.Result(getText(it, "outcome"))
	switch stage := getText(it, "stage"); stage {
	case "decision", "execute":
		e.Permission = audit.Allowed
		if e.Result = audit.Result(decision); e.Result == "denied" {
			e.Result = audit.Refused
		}
		if e.Result != audit.Approved {
			e.Kind = audit.Outcome
		}
	case "login":
		e.Kind, e.Result = audit.Outcome, outcome
	default: // read, request
		if decision == string(audit.Allowed) || decision == string(audit.Denied) {
			e.Permission = audit.Permission(decision)
		}
		if outcome != audit.OK {
			e.Result = outcome
		}
	}
	return e
}
