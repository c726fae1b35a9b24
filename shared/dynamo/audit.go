package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/session"
)

// Audit keeps the audit trail.
type Audit struct{ table table }

// NewAudit keeps it in the table of that name.
func NewAudit(client *dynamodb.Client, name string) *Audit {
	return &Audit{table: table{client: client, name: name}}
}

// Add adds a record. One that is there already is never overwritten: audit.ErrRecorded.
func (a *Audit) Add(ctx context.Context, r audit.Record) error {
	it := item{"subject": text(r.Subject), "id": text(r.ID), "at": moment(r.At)}
	for name, value := range map[string]string{
		"session":      r.SessionID,
		"stage":        string(r.Stage),
		"operation":    r.Operation,
		"target":       r.Target,
		"target_label": r.TargetLabel,
		"decision":     r.Decision,
		"outcome":      r.Outcome,
		"approval_id":  r.ApprovalID,
		"okta_request": r.OktaRequest,
		"reference":    r.Reference,
	} {
		put(it, name, value)
	}
	_, err := a.table.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &a.table.name, Item: it, ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	if err = classify(err, "add audit record"); errors.Is(err, errCondition) {
		return audit.ErrRecorded
	}
	return err
}

// BySubject reads a person's latest records, newest first.
func (a *Audit) BySubject(ctx context.Context, subject session.Subject, limit int) ([]audit.Record, error) {
	rows, err := a.table.query(ctx, "", "subject", string(subject), "", "", limit)
	if err != nil {
		return nil, err
	}
	records := make([]audit.Record, len(rows))
	for i, it := range rows {
		records[i] = audit.Record{
			ID:          getText(it, "id"),
			At:          getMoment(it, "at"),
			Subject:     getText(it, "subject"),
			SessionID:   getText(it, "session"),
			Stage:       audit.Stage(getText(it, "stage")),
			Operation:   getText(it, "operation"),
			Target:      getText(it, "target"),
			TargetLabel: getText(it, "target_label"),
			Decision:    getText(it, "decision"),
			Outcome:     getText(it, "outcome"),
			ApprovalID:  getText(it, "approval_id"),
			OktaRequest: getText(it, "okta_request"),
			Reference:   getText(it, "reference"),
		}
	}
	return records, nil
}
