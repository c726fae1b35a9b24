package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// Pushes a person's phone gets in a minute at most. Auth0 refuses the sixth; we stay below it.
const (
	pushesPerWindow = 4
	pushWindow      = time.Minute
)

const approvalPrefix = "approval#"

// Approvals keeps elevated changes.
type Approvals struct{ table table }

// NewApprovals keeps them in the table of that name.
func NewApprovals(client *dynamodb.Client, name string) *Approvals {
	return &Approvals{table: table{client: client, name: name}}
}

func ownerPartition(owner session.Subject) string { return "owner#" + string(owner) }

func encodeApproval(a approval.Approval) item {
	it := key(string(a.SessionID), approvalPrefix+a.ID)
	for name, value := range map[string]string{
		ownerKey: string(a.Owner), "front": string(a.Front), "operation": a.Operation, "digest": a.Digest, "code": a.Code, "summary": a.Summary, "reason": a.Reason,
		"status": string(a.Status), "result": a.Result, "okta_request": a.OktaRequestID,
		"target_type": a.Target.Type, "target_id": a.Target.ID, "target_label": a.Target.Label,
		"party_type": a.Member.Type, "party_id": a.Member.ID, "party_label": a.Member.Label,
	} {
		put(it, name, value)
	}
	args := item{}
	for k, v := range a.Args {
		args[k] = text(v)
	}
	it["args"] = &types.AttributeValueMemberM{Value: args}
	it["created_at"], it["changed_at"], it["expires_at"] = moment(a.CreatedAt), moment(a.ChangedAt), moment(a.ExpiresAt)
	it["interval_ms"], it["pushes"] = number(a.Interval.Milliseconds()), number(int64(a.Pushes))
	it[ttlAttribute] = ttl(a.ExpiresAt.Add(keep))
	if len(a.AuthReqID) > 0 {
		it["auth_req_id"] = blob(a.AuthReqID)
	}
	if len(a.AskedMAC) > 0 {
		it["asked_mac"] = blob(a.AskedMAC)
	}
	return it
}

func decodeApproval(it item) approval.Approval {
	a := approval.Approval{
		SessionID:   session.ID(getText(it, partitionKey)),
		Owner:       session.Subject(getText(it, ownerKey)),
		Front:       front(it),
		Operation:   getText(it, "operation"),
		AskedMAC:    getBlob(it, "asked_mac"),
		ApprovedMAC: getBlob(it, "approved_mac"),
		Permission:  audit.Permission(getText(it, "permission")),
		SignedOut:   getFlag(it, "signed_out"),
		Target:      approval.Ref{Type: getText(it, "target_type"), ID: getText(it, "target_id"), Label: getText(it, "target_label")},
		Member:      approval.Ref{Type: getText(it, "party_type"), ID: getText(it, "party_id"), Label: getText(it, "party_label")},
		Args:        map[string]string{},
		ExpiresAt:   getMoment(it, "expires_at"),
		Digest:      getText(it, "digest"),
		Code:        getText(it, "code"),
		Summary:     getText(it, "summary"),
		Reason:      getText(it, "reason"),
		Status:      approval.Status(getText(it, "status")),
		CreatedAt:   getMoment(it, "created_at"),
		ChangedAt:   getMoment(it, "changed_at"),
		AuthReqID:   getBlob(it, "auth_req_id"),
		Interval:    time.Duration(getNumber(it, "interval_ms")) * time.Millisecond,
		PollAt:      getMoment(it, "poll_at"),

		RequestExpiresAt: getMoment(it, "request_expires_at"),
		Pushes:           int(getNumber(it, "pushes")),
		ClaimedUntil:     getMoment(it, "claimed_until"),
		Result:           getText(it, "result"),
		OktaRequestID:    getText(it, "okta_request"),
	}
	if id := getText(it, sortKey); len(id) > len(approvalPrefix) {
		a.ID = id[len(approvalPrefix):]
	}
	if m, ok := it["args"].(*types.AttributeValueMemberM); ok {
		for k := range m.Value {
			a.Args[k] = getText(m.Value, k)
		}
	}
	return a
}

// Create stores a new approval, unless the same change of the same person is already in flight: then it returns that
// one and false. Two requests at once make one approval.
func (s *Approvals) Create(ctx context.Context, a approval.Approval, now time.Time) (approval.Approval, bool, error) {
	lock := key(ownerPartition(a.Owner), "asked#"+a.Key())
	free := "attribute_not_exists(session_id)" // or held by an approval that has ended
	values := item{}
	for range 3 {
		err := s.insert(ctx, a, lock, free, values)
		if err == nil {
			return a, true, nil
		}
		if !errors.Is(err, errCondition) {
			return approval.Approval{}, false, err
		}
		held, err := s.table.get(ctx, ownerPartition(a.Owner), "asked#"+a.Key())
		if err != nil {
			return approval.Approval{}, false, err
		}
		if held == nil {
			continue
		}
		other, err := s.Approval(ctx, session.ID(getText(held, "by_session")), getText(held, "approval_id"))
		if err == nil && !other.Status.Final() && (other.Status != approval.Pending || !other.Overdue(now)) {
			return other, false, nil
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return approval.Approval{}, false, err
		}
		free, values = "approval_id = :old", item{":old": held["approval_id"]}
	}
	return approval.Approval{}, false, unavailable(errors.New("the same change is being asked for many times at once"))
}

func (s *Approvals) insert(ctx context.Context, a approval.Approval, lock item, free string, values item) error {
	claim := item{
		"approval_id": text(a.ID), "by_session": text(string(a.SessionID)),
		ttlAttribute: ttl(a.ExpiresAt.Add(keep)),
	}
	for k, v := range lock {
		claim[k] = v
	}
	if len(values) == 0 {
		values = nil
	}
	_, err := s.table.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &s.table.name, Item: encodeApproval(a), ConditionExpression: aws.String("attribute_not_exists(session_id)")}},
		{Put: &types.Put{TableName: &s.table.name, Item: claim, ConditionExpression: &free, ExpressionAttributeValues: values}},
	}})
	return classify(err, "create approval")
}

// Approval reads one approval consistently; kind NotFound without it.
func (s *Approvals) Approval(ctx context.Context, id session.ID, approvalID string) (approval.Approval, error) {
	it, err := s.table.get(ctx, string(id), approvalPrefix+approvalID)
	if err != nil {
		return approval.Approval{}, err
	}
	if it == nil {
		return approval.Approval{}, fault.New(fault.NotFound, "There is no such approval.", nil)
	}
	return decodeApproval(it), nil
}

// ByOwner reads a person's latest approvals, newest first, whatever session they were asked in.
func (s *Approvals) ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error) {
	rows, err := s.table.query(ctx, ownerIndex, ownerKey, string(owner), sortKey, approvalPrefix, limit)
	if err != nil {
		return nil, err
	}
	all := make([]approval.Approval, len(rows))
	for i, it := range rows {
		all[i] = decodeApproval(it)
	}
	return all, nil
}

// ErrMoved says that the approval is not where the caller saw it: somebody else moved it first. A move carries a mark of
// its own, so that a write that is sent again because its answer was lost finds itself and not somebody else.
var ErrMoved = errors.New("the approval has moved on")

// after returns now, or the moment after the last transition where the clock has not moved on since: the entries of two states
// then sort in their order.
func after(a *approval.Approval, now time.Time) time.Time {
	if next := a.ChangedAt.Truncate(time.Millisecond).Add(time.Millisecond); now.Before(next) {
		return next
	}
	return now
}

// Move takes a from the state it was read in to next, with what a says of result, permission, Okta's request and, on the way to
// approved, of the keyed hash that proves it. a is updated.
func (s *Approvals) Move(ctx context.Context, a *approval.Approval, next approval.Status, now time.Time) error {
	if !a.Status.Can(next) {
		return fmt.Errorf("approval: no move from %s to %s", a.Status, next)
	}
	if next == approval.Approved && len(a.ApprovedMAC) == 0 {
		return errors.New("approval: nothing proves that it was approved")
	}
	now = after(a, now)
	c := change{
		partition: string(a.SessionID), sort: approvalPrefix + a.ID,
		update:    "SET #status = :next, changed_at = :now, moved_by = :me",
		condition: "digest = :digest AND (#status = :was OR moved_by = :me)",
		names:     map[string]string{"#status": "status"},
		values:    item{":next": text(string(next)), ":was": text(string(a.Status)), ":now": moment(now), ":digest": text(a.Digest), ":me": text(rand.Text())},
	}
	if a.Result != "" {
		c.update += ", #result = :result"
		c.names["#result"], c.values[":result"] = "result", text(a.Result)
	}
	if a.OktaRequestID != "" {
		c.update += ", okta_request = :request"
		c.values[":request"] = text(a.OktaRequestID)
	}
	if a.Permission != "" {
		c.update += ", #permission = :permission"
		c.names["#permission"], c.values[":permission"] = "permission", text(string(a.Permission))
	}
	if a.SignedOut {
		c.update += ", signed_out = :out"
		c.values[":out"] = flag(true)
	}
	if next == approval.Approved {
		c.update += ", approved_mac = :mac"
		c.values[":mac"] = blob(a.ApprovedMAC)
	}
	if next.Final() || next == approval.Approved {
		c.update += " REMOVE auth_req_id" // used up: nothing is kept that could be asked again
	}
	if err := s.moved(s.table.update(ctx, c)); err != nil {
		return err
	}
	a.Status, a.ChangedAt = next, now
	return nil
}

func (s *Approvals) moved(err error) error {
	if errors.Is(err, errCondition) {
		return ErrMoved
	}
	return err
}

// SaveRequest keeps what CIBA answered to the push, while the approval is still pending: the sealed auth_req_id, the interval
// between polls and when the request expires at Auth0, which may be before the approval does.
func (s *Approvals) SaveRequest(ctx context.Context, a *approval.Approval, sealed []byte, interval time.Duration, expires time.Time) error {
	err := s.table.update(ctx, change{
		partition: string(a.SessionID), sort: approvalPrefix + a.ID,
		update:    "SET auth_req_id = :request, interval_ms = :interval, pushes = :pushes, request_expires_at = :expires",
		condition: "#status = :pending AND digest = :digest",
		names:     map[string]string{"#status": "status"},
		values: item{
			":request": blob(sealed), ":interval": number(interval.Milliseconds()), ":pushes": number(int64(a.Pushes + 1)), ":expires": moment(expires),
			":pending": text(string(approval.Pending)), ":digest": text(a.Digest),
		},
	})
	if err := s.moved(err); err != nil {
		return err
	}
	a.AuthReqID, a.Interval, a.Pushes = sealed, interval, a.Pushes+1
	a.RequestExpiresAt = expires
	return nil
}

// TakeTurn lets one worker poll, and nobody else until the interval is over; the interval is kept. ErrMoved if another has
// taken the turn, or the approval is no longer pending.
func (s *Approvals) TakeTurn(ctx context.Context, a *approval.Approval, now time.Time, interval time.Duration) error {
	next := now.Add(interval)
	c := change{
		partition: string(a.SessionID), sort: approvalPrefix + a.ID,
		update:    "SET poll_at = :next, interval_ms = :interval, polled_by = :me",
		condition: "#status = :pending AND digest = :digest AND (attribute_not_exists(poll_at) OR polled_by = :me)",
		names:     map[string]string{"#status": "status"},
		values: item{
			":next": moment(next), ":interval": number(interval.Milliseconds()), ":me": text(rand.Text()),
			":pending": text(string(approval.Pending)), ":digest": text(a.Digest),
		},
	}
	if !a.PollAt.IsZero() {
		c.condition = "#status = :pending AND digest = :digest AND (poll_at = :was OR polled_by = :me)"
		c.values[":was"] = moment(a.PollAt)
	}
	if err := s.moved(s.table.update(ctx, c)); err != nil {
		return err
	}
	a.PollAt, a.Interval = next, interval
	return nil
}

// Claim takes an approved change for execution until lease ends; or takes it over where a lease has run out, which
// means that its holder crashed. ErrMoved if another holds it.
func (s *Approvals) Claim(ctx context.Context, a *approval.Approval, now time.Time, lease time.Duration) error {
	until, changed := now.Add(lease), after(a, now)
	c := change{
		partition: string(a.SessionID), sort: approvalPrefix + a.ID,
		update:    "SET #status = :executing, claimed_until = :until, changed_at = :changed, moved_by = :me",
		condition: "digest = :digest AND (#status = :approved OR (#status = :executing AND claimed_until <= :now) OR moved_by = :me)",
		names:     map[string]string{"#status": "status"},
		values: item{
			":executing": text(string(approval.Executing)), ":approved": text(string(approval.Approved)),
			":until": moment(until), ":now": moment(now), ":changed": moment(changed), ":digest": text(a.Digest), ":me": text(rand.Text()),
		},
	}
	if err := s.moved(s.table.update(ctx, c)); err != nil {
		return err
	}
	a.Status, a.ClaimedUntil, a.ChangedAt = approval.Executing, until, changed
	return nil
}

// CountPush counts a push to the owner's phone; kind Conflict where it has rung too often within a minute. Each write stores a random
// token, so that an SDK retry of one that succeeded is recognised as such and not counted twice.
func (s *Approvals) CountPush(ctx context.Context, owner session.Subject, now time.Time) error {
	token := rand.Text()
	// Most pushes are the first in a while, and begin to count anew.
	c := change{
		partition: ownerPartition(owner), sort: "pushes",
		update:    "SET #count = :one, since = :now, #ttl = :ttl, write_token = :token",
		condition: "attribute_not_exists(since) OR since <= :start OR write_token = :token",
		names:     map[string]string{"#count": "count", "#ttl": ttlAttribute},
		values:    item{":one": number(1), ":now": moment(now), ":start": moment(now.Add(-pushWindow)), ":ttl": ttl(now.Add(keep)), ":token": text(token)},
	}
	err := s.table.update(ctx, c)
	if !errors.Is(err, errCondition) {
		return err
	}
	err = s.table.update(ctx, change{
		partition: c.partition, sort: c.sort,
		update:    "SET #count = #count + :one, write_token = :token",
		condition: "since > :start AND #count < :most AND write_token <> :token",
		names:     map[string]string{"#count": "count"},
		values:    item{":one": number(1), ":start": moment(now.Add(-pushWindow)), ":most": number(pushesPerWindow), ":token": text(token)},
		token:     token,
	})
	if errors.Is(err, errCondition) {
		return fault.New(fault.Conflict, "Your phone was asked several times within the last minute. Please wait a minute, then ask again.", nil)
	}
	return err
}
