package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/session"
)

// Names of the keys of the audit table.
const (
	AuditPartitionKey = "subject"
	AuditSortKey      = "id"
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
	row, err := encodeEntry(e, link)
	if err != nil {
		return err
	}
	_, err = a.table.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &a.table.name, Item: row, ConditionExpression: aws.String("attribute_not_exists(id)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	err = classify(err, "add audit entry")
	if exists, ok := errors.AsType[*conditionError](err); ok {
		there, err := AuditEntry(exists.row)
		if err != nil {
			return err
		}
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
		ExpressionAttributeNames:  map[string]string{"#p": AuditPartitionKey},
		ExpressionAttributeValues: item{":p": text(string(subject))},
		ScanIndexForward:          aws.Bool(false),
		ConsistentRead:            aws.Bool(true),
		Limit:                     aws.Int32(1),
	})
	if err != nil {
		return unavailable(fmt.Errorf("newest audit entry: %w", err))
	}
	if len(out.Items) > 0 {
		var newest entryRow
		if err := decode(out.Items[0], &newest); err != nil {
			return err
		}
		h.id, h.mac = newest.ID, newest.MAC
	}
	h.known = true
	return nil
}

// BySubject reads a person's latest entries, newest first.
func (a *Audit) BySubject(ctx context.Context, subject session.Subject, limit int) ([]audit.Entry, error) {
	rows, err := a.table.query(ctx, "", AuditPartitionKey, string(subject), "", "", limit)
	if err != nil {
		return nil, err
	}
	entries := make([]audit.Entry, len(rows))
	for i, it := range rows {
		c, err := AuditEntry(it)
		if err != nil {
			return nil, err
		}
		entries[i] = c.Entry
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
			c, err := AuditEntry(it)
			if err != nil {
				return err
			}
			if !yield(c) {
				return nil
			}
		}
	}
	return nil
}

// entryRow is an entry and its link as the table keeps them.
type entryRow struct {
	Subject       session.Subject   `dynamodbav:"subject"`
	ID            string            `dynamodbav:"id"`
	At            millis            `dynamodbav:"at"`
	Kind          audit.Kind        `dynamodbav:"kind"`
	Front         session.Front     `dynamodbav:"front,omitempty"`
	Session       string            `dynamodbav:"session,omitempty"`
	Operation     string            `dynamodbav:"operation,omitempty"`
	ObjectType    string            `dynamodbav:"object_type,omitempty"`
	ObjectID      string            `dynamodbav:"object_id,omitempty"`
	ObjectLabel   string            `dynamodbav:"object_label,omitempty"`
	MemberType    string            `dynamodbav:"member_type,omitempty"`
	MemberID      string            `dynamodbav:"member_id,omitempty"`
	MemberLabel   string            `dynamodbav:"member_label,omitempty"`
	Args          map[string]string `dynamodbav:"args,omitempty"`
	Reason        string            `dynamodbav:"reason,omitempty"`
	Permission    audit.Permission  `dynamodbav:"decision,omitempty"`
	Result        audit.Result      `dynamodbav:"outcome,omitempty"`
	DecisionID    string            `dynamodbav:"decision_id,omitempty"`
	ApprovalID    string            `dynamodbav:"approval_id,omitempty"`
	Requester     session.Subject   `dynamodbav:"requester,omitempty"`
	Approver      session.Subject   `dynamodbav:"approver,omitempty"`
	Step          int               `dynamodbav:"step,omitempty"`
	OktaRequestID string            `dynamodbav:"okta_request,omitempty"`
	Reference     string            `dynamodbav:"reference,omitempty"`
	Previous      string            `dynamodbav:"previous,omitempty"`
	PreviousMAC   []byte            `dynamodbav:"previous_mac,omitempty"`
	MAC           []byte            `dynamodbav:"mac"`

	// Stage, Target and TargetLabel are those of the version before, see recordEntry.
	Stage       string `dynamodbav:"stage,omitempty"`
	Target      string `dynamodbav:"target,omitempty"`
	TargetLabel string `dynamodbav:"target_label,omitempty"`
}

func encodeEntry(e audit.Entry, link audit.Chain) (item, error) {
	row := entryRow{
		Subject: e.Subject, ID: e.ID, At: toMillis(e.At), Kind: e.Kind, Front: e.Front, Session: e.Session, Operation: e.Operation,
		ObjectType: e.Object.Type, ObjectID: e.Object.ID, ObjectLabel: e.Object.Label,
		MemberType: e.Member.Type, MemberID: e.Member.ID, MemberLabel: e.Member.Label,
		Reason: e.Reason, Permission: e.Permission, Result: e.Result, DecisionID: e.DecisionID, ApprovalID: e.ApprovalID,
		Requester: e.Requester, Approver: e.Approver, Step: e.Step, OktaRequestID: e.OktaRequestID, Reference: e.Reference,
		Previous: link.Previous, PreviousMAC: link.PreviousMAC, MAC: link.MAC,
	}
	if len(e.Args) > 0 {
		row.Args = e.Args
	}
	return attributevalue.MarshalMap(row)
}

// AuditEntry reads one row of the audit table, such as a line of an export to S3 in DynamoDB JSON holds. The error names an entry
// that cannot be read, as when somebody wrote a number where a text belongs.
func AuditEntry(row map[string]types.AttributeValue) (audit.Chained, error) {
	var r entryRow
	if err := decode(row, &r); err != nil {
		return audit.Chained{}, fmt.Errorf("entry %s of %s: %w", getText(row, AuditSortKey), getText(row, AuditPartitionKey), err)
	}
	if r.Kind == "" {
		return audit.Chained{Entry: r.recordEntry()}, nil
	}
	e := audit.Entry{
		ID: r.ID, At: r.At.time(), Kind: r.Kind, Subject: r.Subject, Front: r.Front, Session: r.Session, Operation: r.Operation,
		Object: audit.Ref{Type: r.ObjectType, ID: r.ObjectID, Label: r.ObjectLabel},
		Member: audit.Ref{Type: r.MemberType, ID: r.MemberID, Label: r.MemberLabel},
		Args:   r.Args, Reason: r.Reason, Permission: r.Permission, Result: r.Result, DecisionID: r.DecisionID, ApprovalID: r.ApprovalID,
		Requester: r.Requester, Approver: r.Approver, Step: r.Step, OktaRequestID: r.OktaRequestID, Reference: r.Reference,
	}
	return audit.Chained{Entry: e, Chain: audit.Chain{Previous: r.Previous, PreviousMAC: r.PreviousMAC, MAC: r.MAC}}, nil
}

// recordEntry is an entry of the version before, which had a stage instead of a kind, and spoke of permissions, approvals and
// executions in one field. The session's id in it is not passed on.
func (r entryRow) recordEntry() audit.Entry {
	typ, id, _ := strings.Cut(r.Target, ":")
	e := audit.Entry{
		ID: r.ID, At: r.At.time(), Kind: audit.Decision, Subject: r.Subject, Front: session.FrontChat,
		Session: session.ID(r.Session).Fingerprint(), Operation: r.Operation, Object: audit.Ref{Type: typ, ID: id, Label: r.TargetLabel},
		Permission: audit.Unchecked, ApprovalID: r.ApprovalID, OktaRequestID: r.OktaRequestID,
	}
	switch r.Stage {
	case "decision", "execute":
		e.Permission = audit.Allowed
		if e.Result = audit.Result(r.Permission); e.Result == "denied" {
			e.Result = audit.Refused
		}
		if e.Result != audit.Approved {
			e.Kind = audit.Outcome
		}
	case "login":
		e.Kind, e.Result = audit.Outcome, r.Result
	default: // read, request
		if r.Permission == audit.Allowed || r.Permission == audit.Denied {
			e.Permission = r.Permission
		}
		if r.Result != audit.OK {
			e.Result = r.Result
		}
	}
	return e
}
