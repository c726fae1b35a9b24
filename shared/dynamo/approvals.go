package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
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

// approvalRow is an approval as the table keeps it. The attributes of a member begin with party.
type approvalRow struct {
	SessionID session.ID      `dynamodbav:"session_id"`
	Item      string          `dynamodbav:"item"`
	Owner     session.Subject `dynamodbav:"owner,omitempty"`
	TTL       int64           `dynamodbav:"ttl"`

	Front       session.Front     `dynamodbav:"front,omitempty"`
	Operation   string            `dynamodbav:"operation,omitempty"`
	TargetType  string            `dynamodbav:"target_type,omitempty"`
	TargetID    string            `dynamodbav:"target_id,omitempty"`
	TargetLabel string            `dynamodbav:"target_label,omitempty"`
	MemberType  string            `dynamodbav:"party_type,omitempty"`
	MemberID    string            `dynamodbav:"party_id,omitempty"`
	MemberLabel string            `dynamodbav:"party_label,omitempty"`
	Args        map[string]string `dynamodbav:"args"`
	ExpiresAt   millis            `dynamodbav:"expires_at"`
	Digest      string            `dynamodbav:"digest,omitempty"`
	AskedMAC    []byte            `dynamodbav:"asked_mac,omitempty"`
	ApprovedMAC []byte            `dynamodbav:"approved_mac,omitempty"`
	Code        string            `dynamodbav:"code,omitempty"`
	Summary     string            `dynamodbav:"summary,omitempty"`
	Reason      string            `dynamodbav:"reason,omitempty"`

	Status           approval.Status  `dynamodbav:"status,omitempty"`
	CreatedAt        millis           `dynamodbav:"created_at"`
	ChangedAt        millis           `dynamodbav:"changed_at"`
	AuthReqID        []byte           `dynamodbav:"auth_req_id,omitempty"`
	IntervalMS       int64            `dynamodbav:"interval_ms"`
	PollAt           millis           `dynamodbav:"poll_at,omitempty"`
	Pushes           int              `dynamodbav:"pushes"`
	RequestExpiresAt millis           `dynamodbav:"request_expires_at,omitempty"`
	ClaimedUntil     millis           `dynamodbav:"claimed_until,omitempty"`
	Result           string           `dynamodbav:"result,omitempty"`
	Permission       audit.Permission `dynamodbav:"permission,omitempty"`
	SignedOut        bool             `dynamodbav:"signed_out,omitempty"`
	OktaRequestID    string           `dynamodbav:"okta_request,omitempty"`
}

func encodeApproval(a approval.Approval) (item, error) {
	args := map[string]string{} // stored also where it is empty
	maps.Copy(args, a.Args)
	return attributevalue.MarshalMap(approvalRow{
		SessionID: a.SessionID, Item: approvalPrefix + a.ID, Owner: a.Owner, TTL: a.ExpiresAt.Add(keep).Unix(),
		Front: a.Front, Operation: a.Operation,
		TargetType: a.Target.Type, TargetID: a.Target.ID, TargetLabel: a.Target.Label,
		MemberType: a.Member.Type, MemberID: a.Member.ID, MemberLabel: a.Member.Label,
		Args: args, ExpiresAt: toMillis(a.ExpiresAt), Digest: a.Digest, AskedMAC: a.AskedMAC, ApprovedMAC: a.ApprovedMAC,
		Code: a.Code, Summary: a.Summary, Reason: a.Reason,
		Status: a.Status, CreatedAt: toMillis(a.CreatedAt), ChangedAt: toMillis(a.ChangedAt),
		AuthReqID: a.AuthReqID, IntervalMS: a.Interval.Milliseconds(), PollAt: toMillis(a.PollAt), Pushes: a.Pushes,
		RequestExpiresAt: toMillis(a.RequestExpiresAt), ClaimedUntil: toMillis(a.ClaimedUntil),
		Result: a.Result, Permission: a.Permission, SignedOut: a.SignedOut, OktaRequestID: a.OktaRequestID,
	})
}

func decodeApproval(it item) (approval.Approval, error) {
	r := approvalRow{Args: map[string]string{}, Front: session.FrontChat} // a row of the version before names neither
	if err := decode(it, &r); err != nil {
		return approval.Approval{}, err
	}
	return approval.Approval{
		ID: strings.TrimPrefix(r.Item, approvalPrefix), SessionID: r.SessionID, Owner: r.Owner, Front: r.Front, Operation: r.Operation,
		Target: approval.Ref{Type: r.TargetType, ID: r.TargetID, Label: r.TargetLabel},
		Member: approval.Ref{Type: r.MemberType, ID: r.MemberID, Label: r.MemberLabel},
		Args:   r.Args, ExpiresAt: r.ExpiresAt.time(), Digest: r.Digest, AskedMAC: r.AskedMAC, ApprovedMAC: r.ApprovedMAC,
		Code: r.Code, Summary: r.Summary, Reason: r.Reason,
		Status: r.Status, CreatedAt: r.CreatedAt.time(), ChangedAt: r.ChangedAt.time(),
		AuthReqID: r.AuthReqID, Interval: time.Duration(r.IntervalMS) * time.Millisecond, PollAt: r.PollAt.time(), Pushes: r.Pushes,
		RequestExpiresAt: r.RequestExpiresAt.time(), ClaimedUntil: r.ClaimedUntil.time(),
		Result: r.Result, Permission: r.Permission, SignedOut: r.SignedOut, OktaRequestID: r.OktaRequestID,
	}, nil
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
		TTLAttribute: ttl(a.ExpiresAt.Add(keep)),
	}
	maps.Copy(claim, lock)
	if len(values) == 0 {
		values = nil
	}
	row, err := encodeApproval(a)
	if err != nil {
		return err
	}
	_, err = s.table.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &s.table.name, Item: row, ConditionExpression: aws.String("attribute_not_exists(session_id)")}},
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
	return decodeApproval(it)
}

// ByOwner reads a person's latest approvals, newest first, whatever session they were asked in.
func (s *Approvals) ByOwner(ctx context.Context, owner session.Subject, limit int) ([]approval.Approval, error) {
	rows, err := s.table.query(ctx, OwnerIndex, OwnerKey, string(owner), SortKey, approvalPrefix, limit)
	if err != nil {
		return nil, err
	}
	all := make([]approval.Approval, len(rows))
	for i, it := range rows {
		if all[i], err = decodeApproval(it); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Transition stores t and returns the approval after it. The error is [approval.ErrStale] where the stored approval is not as t read
// it. Each transition stores a random token, so that an SDK retry of a write that succeeded is recognised as such.
func (s *Approvals) Transition(ctx context.Context, t approval.Transition) (approval.Approval, error) {
	before, err := encodeApproval(t.Before())
	if err != nil {
		return approval.Approval{}, err
	}
	after, err := encodeApproval(t.After())
	if err != nil {
		return approval.Approval{}, err
	}
	c := change{partition: string(t.Before().SessionID), sort: approvalPrefix + t.Before().ID, names: map[string]string{}, values: item{}}
	asRead := func(name string) string {
		c.names["#"+name] = name
		if before[name] == nil {
			return "attribute_not_exists(#" + name + ")"
		}
		c.values[":was_"+name] = before[name]
		return "#" + name + " = :was_" + name
	}
	guard, token := asRead("status"), "moved_by"
	if t.Before().Status == approval.Executing {
		guard += " AND " + asRead("claimed_until") // a worker whose lease another has taken over writes nothing
	}
	if !t.After().PollAt.Equal(t.Before().PollAt) {
		guard += " AND " + asRead("poll_at")
		token = "polled_by"
	}
	c.condition = fmt.Sprintf("%s AND ((%s) OR #%s = :%s)", asRead("digest"), guard, token, token)
	after[token] = text(rand.Text())
	var set []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !reflect.DeepEqual(before[name], after[name]) {
			c.names["#"+name], c.values[":"+name] = name, after[name]
			set = append(set, "#"+name+" = :"+name)
		}
	}
	c.update = "SET " + strings.Join(set, ", ")
	if after["auth_req_id"] == nil {
		c.update += " REMOVE auth_req_id" // also one that was saved since the approval was read
	}
	err = s.table.update(ctx, c)
	if errors.Is(err, errCondition) {
		return approval.Approval{}, approval.ErrStale
	}
	return t.After(), err
}

// CountPush counts a push to the owner's phone; fault.Conflict where it got too many within a minute. Each write stores a random
// token, so that an SDK retry of one that succeeded is recognised as such and not counted twice.
func (s *Approvals) CountPush(ctx context.Context, owner session.Subject, now time.Time) error {
	token := rand.Text()
	// Most pushes are the first in a while, and begin to count anew.
	c := change{
		partition: ownerPartition(owner), sort: "pushes",
		update:    "SET #count = :one, since = :now, #ttl = :ttl, write_token = :token",
		condition: "attribute_not_exists(since) OR since <= :start OR write_token = :token",
		names:     map[string]string{"#count": "count", "#ttl": TTLAttribute},
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
		return fault.New(fault.Conflict, "Your phone got several requests within a minute. Please ask again in a minute.", nil)
	}
	return err
}
