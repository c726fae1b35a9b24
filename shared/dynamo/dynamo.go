// Package dynamo stores sessions, logins, approvals and the audit trail in DynamoDB.
//
//	sessions   session_id (partition) + item (sort), index by-owner (owner + item), time-to-live ttl
//	           <session id>      session            the signed-in person, sealed tokens
//	           <session id>      approval#<id>      an elevated change
//	           login#<key>       login              a signed-in browser
//	           flow#<hash>       flow               a visit to Auth0 that has been used
//	           owner#<sub>       pushes             how many pushes the phone got within a minute
//	           owner#<sub>       asked#<key>        the approval that is in flight for one change
//	audit      subject (partition) + id (sort)      records, only ever added
//
// Reads that decide are consistent. The time-to-live only tidies up: every reader compares expiry with the clock.
package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/fault"
)

// Names of the keys, the index and the time-to-live attribute of the table of sessions. The stack and the laptop make tables of them.
const (
	PartitionKey = "session_id"
	SortKey      = "item"
	OwnerIndex   = "by-owner"
	OwnerKey     = "owner"
	TTLAttribute = "ttl"

	tokenAttribute = "write_token" //nolint:gosec // a name
)

// keep is how long a row stays after it has expired, so that its outcome can still be shown.
const keep = 7 * 24 * time.Hour

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func blob(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// moment keeps milliseconds.
func moment(t time.Time) types.AttributeValue { return number(t.UnixMilli()) }

// millis is a time in milliseconds since the epoch, zero for none.
type millis int64

func toMillis(t time.Time) millis {
	if t.IsZero() {
		return 0
	}
	return millis(t.UnixMilli())
}

func (m millis) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// decode reads a row into the struct that out points to.
func decode(it item, out any) error {
	if err := attributevalue.UnmarshalMap(it, out); err != nil {
		return fmt.Errorf("decode row: %w", err)
	}
	return nil
}

// ttl keeps whole seconds, as the service wants them.
func ttl(t time.Time) types.AttributeValue { return number(t.Unix()) }

func getText(it item, name string) string {
	if v, ok := it[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func key(partition, sort string) item {
	return item{PartitionKey: text(partition), SortKey: text(sort)}
}

// table is one table and the calls we make on it.
type table struct {
	client *dynamodb.Client
	name   string
}

// get reads one row consistently; nil if there is none.
func (t table) get(ctx context.Context, partition, sort string) (item, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: key(partition, sort), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, unavailable(fmt.Errorf("get %s: %w", sort, err))
	}
	return out.Item, nil
}

// insert puts a new row; errCondition if there is one of that key already. Each insert stores a random token, so that an SDK
// retry of a put that succeeded is recognised as such.
func (t table) insert(ctx context.Context, it item) error {
	token := text(rand.Text())
	it[tokenAttribute] = token
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.name, Item: it,
		ConditionExpression:       aws.String("attribute_not_exists(session_id) OR write_token = :token"),
		ExpressionAttributeValues: item{":token": token},
	})
	return classify(err, "put")
}

// change is an update of one row under a condition.
type change struct {
	partition, sort string
	update          string
	condition       string
	names           map[string]string
	values          item
	// token is the random token that c stores as :token, if it stores one. The condition may then forbid the same token, so that
	// an SDK retry of a write that succeeded changes nothing: update takes that for the success it is.
	token string
}

// update applies c; errCondition if the condition does not hold.
func (t table) update(ctx context.Context, c change) error {
	in := &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: key(c.partition, c.sort), UpdateExpression: &c.update,
		ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
	}
	if c.token != "" {
		in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	if c.condition != "" {
		in.ConditionExpression = &c.condition
	}
	_, err := t.client.UpdateItem(ctx, in)
	if err = classify(err, "update "+c.sort); c.token != "" && wroteToken(err, c.token) {
		return nil
	}
	return err
}

func (t table) delete(ctx context.Context, partition, sort string) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: key(partition, sort)})
	return classify(err, "delete "+sort)
}

// query reads every page of an index's rows whose sort key starts with prefix, newest first, until limit.
func (t table) query(ctx context.Context, index, partitionName, partition, sortName, prefix string, limit int) ([]item, error) {
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    aws.String("#p = :p"),
		ExpressionAttributeNames:  map[string]string{"#p": partitionName},
		ExpressionAttributeValues: item{":p": text(partition)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(limit)), //nolint:gosec // a small constant of ours
	}
	if index != "" {
		in.IndexName = &index // an index knows eventually consistent reads alone
	} else {
		in.ConsistentRead = aws.Bool(true)
	}
	if prefix != "" {
		in.KeyConditionExpression = aws.String("#p = :p AND begins_with(#s, :s)")
		in.ExpressionAttributeNames["#s"] = sortName
		in.ExpressionAttributeValues[":s"] = text(prefix)
	}
	var rows []item
	for {
		out, err := t.client.Query(ctx, in)
		if err != nil {
			return nil, unavailable(fmt.Errorf("query: %w", err))
		}
		rows = append(rows, out.Items...)
		if len(out.LastEvaluatedKey) == 0 || len(rows) >= limit {
			return rows[:min(len(rows), limit)], nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// errCondition says that a conditional write lost.
var errCondition = errors.New("the condition does not hold")

// conditionError is errCondition with the row that was in the way, where it was asked for.
type conditionError struct{ row item }

func (*conditionError) Error() string        { return errCondition.Error() }
func (*conditionError) Is(target error) bool { return target == errCondition }

// wroteToken says whether a conditional write lost against itself: the row in its way holds the token that it stores.
func wroteToken(err error, token string) bool {
	e, ok := errors.AsType[*conditionError](err)
	return ok && getText(e.row, tokenAttribute) == token
}

func classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return &conditionError{row: e.Item}
	}
	if e, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for _, r := range e.CancellationReasons {
			if aws.ToString(r.Code) == "ConditionalCheckFailed" {
				return errCondition
			}
		}
	}
	return unavailable(fmt.Errorf("%s: %w", doing, err))
}

func unavailable(err error) error {
	return fault.New(fault.Upstream, "Steward's database did not answer. Please try again in a minute.", err)
}
