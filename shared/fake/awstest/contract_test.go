package awstest_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

// The contract is what we rely on in DynamoDB and SQS, as a table of behaviours.
// It holds for our own server, with chaos and without, and where AWSTEST_ENDPOINT names
// another implementation (.ci/moto does) for that one too. What AWS documents
// decides: a case in which the other is known to differ says how in its field
// "elsewhere", and must indeed differ there.

// subject is an endpoint under contract.
type subject struct {
	clients
	other bool                // not ours
	pass  func(time.Duration) // lets time pass
}

// eachSubject runs a part of the contract against every endpoint there is.
func eachSubject(t *testing.T, part func(t *testing.T, s subject)) {
	for name, chaos := range map[string]bool{"without chaos": false, "with chaos": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var later atomic.Int64
			_, c := start(t, awstest.Options{
				NoChaos: !chaos, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
				Queues: []awstest.Queue{{Name: "plain"}, {Name: "live", DeadLetter: "dead", MaxReceiveCount: 2}, {Name: "dead"}},
			})
			part(t, subject{clients: c, pass: func(d time.Duration) { later.Add(int64(d)) }})
		})
	}
	if base := os.Getenv("AWSTEST_ENDPOINT"); base != "" {
		t.Run("elsewhere", func(t *testing.T) {
			t.Parallel()
			part(t, subject{clients: dial(base, &http.Transport{}), other: true, pass: time.Sleep})
		})
	}
}

// hold reports what a case found wrong; elsewhere says how another
// implementation is known to differ.
func (s subject) hold(t *testing.T, elsewhere string, wrong error) {
	t.Helper()
	switch {
	case !s.other || elsewhere == "":
		if wrong != nil {
			t.Error(wrong)
		}
	case wrong == nil:
		t.Errorf("no longer differs there: %s", elsewhere)
	default:
		t.Logf("known to differ there: %s: %v", elsewhere, wrong)
	}
}

// same is an error unless an error has the wanted code.
func same(want string, err error) error {
	switch got := code(err); {
	case got == want:
		return nil
	case err == nil:
		return fmt.Errorf("was not refused, want %q", want)
	default:
		return fmt.Errorf("got %q, want %q: %w", got, want, err)
	}
}

// equal is an error unless got is what was wanted.
func equal(want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	return nil
}

// attrs is an item in Go's own types.
type attrs = map[string]any

// wire writes a Go value as an attribute value, numbers as int or num.
type num string

func wire(v any) ddb.AttributeValue {
	switch v := v.(type) {
	case string:
		return text(v)
	case num:
		return number(string(v))
	case int:
		return number(fmt.Sprint(v))
	case []byte:
		return &ddb.AttributeValueMemberB{Value: v}
	case bool:
		return &ddb.AttributeValueMemberBOOL{Value: v}
	case nil:
		return &ddb.AttributeValueMemberNULL{Value: true}
	case []string:
		return &ddb.AttributeValueMemberSS{Value: v}
	case []any:
		l := []ddb.AttributeValue{}
		for _, e := range v {
			l = append(l, wire(e))
		}
		return &ddb.AttributeValueMemberL{Value: l}
	case attrs:
		return &ddb.AttributeValueMemberM{Value: item(v)}
	default:
		panic(fmt.Sprintf("no attribute value for %T", v))
	}
}

func item(a attrs) map[string]ddb.AttributeValue {
	if a == nil {
		return nil
	}
	m := map[string]ddb.AttributeValue{}
	for k, v := range a {
		m[k] = wire(v)
	}
	return m
}

// plain is the inverse of item. Whole numbers become int, sets are sorted.
func plain(m map[string]ddb.AttributeValue) attrs {
	if m == nil {
		return nil
	}
	a := attrs{}
	for k, v := range m {
		a[k] = plainValue(v)
	}
	return a
}

func plainValue(v ddb.AttributeValue) any {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return v.Value
	case *ddb.AttributeValueMemberN:
		var n int
		if _, err := fmt.Sscanf(v.Value, "%d", &n); err == nil && fmt.Sprint(n) == v.Value {
			return n
		}
		return num(v.Value)
	case *ddb.AttributeValueMemberB:
		return v.Value
	case *ddb.AttributeValueMemberBOOL:
		return v.Value
	case *ddb.AttributeValueMemberSS:
		return slices.Sorted(slices.Values(v.Value))
	case *ddb.AttributeValueMemberL:
		l := []any{}
		for _, e := range v.Value {
			l = append(l, plainValue(e))
		}
		return l
	case *ddb.AttributeValueMemberM:
		return plain(v.Value)
	default:
		return nil
	}
}

func texts(items []map[string]ddb.AttributeValue, name string) []string {
	var out []string
	for _, it := range items {
		out = append(out, fmt.Sprint(plainValue(it[name])))
	}
	return out
}

// newTable makes a table with keys pk and sk and the index "by-user" (owner,
// created), and waits for it.
func (s subject) newTable(t *testing.T) *string {
	t.Helper()
	name := aws.String("contract-" + strings.NewReplacer("/", ".", "#", ".").Replace(t.Name()))
	attribute := func(n string, k ddb.ScalarAttributeType) ddb.AttributeDefinition {
		return ddb.AttributeDefinition{AttributeName: aws.String(n), AttributeType: k}
	}
	keys := func(hash, rng string) []ddb.KeySchemaElement {
		return []ddb.KeySchemaElement{
			{AttributeName: aws.String(hash), KeyType: ddb.KeyTypeHash},
			{AttributeName: aws.String(rng), KeyType: ddb.KeyTypeRange},
		}
	}
	_, err := s.dynamo.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: name, BillingMode: ddb.BillingModePayPerRequest, KeySchema: keys("pk", "sk"),
		AttributeDefinitions: []ddb.AttributeDefinition{attribute("pk", "S"), attribute("sk", "S"), attribute("owner", "S"), attribute("created", "N")},
		GlobalSecondaryIndexes: []ddb.GlobalSecondaryIndex{{
			IndexName: aws.String("by-user"), KeySchema: keys("owner", "created"),
			Projection: &ddb.Projection{ProjectionType: ddb.ProjectionTypeAll},
		}},
	})
	if err != nil {
		t.Fatalf("CreateTable: %v", err)
	}
	if err := dynamodb.NewTableExistsWaiter(s.dynamo).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: name}, time.Minute); err != nil {
		t.Fatalf("table does not become active: %v", err)
	}
	return name
}

func (s subject) put(t *testing.T, table *string, items ...attrs) {
	t.Helper()
	for _, a := range items {
		if _, err := s.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item(a)}); err != nil {
			t.Fatalf("PutItem %v: %v", a, err)
		}
	}
}

func (s subject) get(t *testing.T, table *string, pk, sk string) attrs {
	t.Helper()
	out, err := s.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: table, Key: item(attrs{"pk": pk, "sk": sk}), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatalf("GetItem %s %s: %v", pk, sk, err)
	}
	return plain(out.Item)
}

func TestContractConditions(t *testing.T) {
	it := attrs{
		"pk": "p", "sk": "s", "name": "Engineering", "n": 7, "big": num("12345678901234567890.5"), "flag": true, "nothing": nil,
		"tags": []string{"a", "b"}, "seq": []any{"x", 2, attrs{"deep": "y"}}, "map": attrs{"in": attrs{"leaf": 1}}, "bin": []byte("raw"),
	}
	const no, yes = "ConditionalCheckFailedException", ""
	const invalid = "ValidationException"
	cases := []struct {
		expression string
		names      map[string]string
		values     attrs
		want       string
		elsewhere  string
	}{
		{expression: "attribute_exists(pk)", want: yes},
		{expression: "attribute_not_exists(pk)", want: no},
		{expression: "attribute_not_exists(absent)", want: yes},
		{expression: "attribute_exists(nothing)", want: yes},
		{expression: "#n = :v", names: map[string]string{"#n": "name"}, values: attrs{":v": "Engineering"}, want: yes},
		{expression: "n = :v", values: attrs{":v": "7"}, want: no},
		{expression: "n = :v", values: attrs{":v": num("7.00")}, want: yes},
		{expression: "n < :v", values: attrs{":v": num("10")}, want: yes},
		{expression: "n < :v", values: attrs{":v": "9"}, want: no, elsewhere: "answers 500 when it compares types without an order"},
		{expression: "big > :v", values: attrs{":v": num("12345678901234567890.4")}, want: yes},
		{expression: "n <> :v", values: attrs{":v": "7"}, want: yes},
		{expression: "absent = :v", values: attrs{":v": 1}, want: no},
		{expression: "absent <> :v", values: attrs{":v": 1}, want: yes},
		{expression: "absent < :v", values: attrs{":v": 1}, want: no},
		{expression: "tags = :v", values: attrs{":v": []string{"b", "a"}}, want: yes},
		{expression: "#m = :v", names: map[string]string{"#m": "map"}, values: attrs{":v": attrs{"in": attrs{"leaf": 1}}}, want: yes},
		{expression: "bin = :v", values: attrs{":v": []byte("raw")}, want: yes},
		{expression: "flag = :v AND n > :n", values: attrs{":v": true, ":n": 6}, want: yes},
		{expression: "flag = :f OR flag = :t AND n > :n", values: attrs{":f": true, ":t": true, ":n": 100}, want: yes},
		{expression: "(flag = :f OR flag = :t) AND n > :n", values: attrs{":f": true, ":t": false, ":n": 100}, want: no},

		{expression: "", want: invalid, elsewhere: "takes an empty expression for none"},
		{expression: "n = ", want: invalid, elsewhere: "answers 500 to a syntax error"},
		{expression: "n == :v", values: attrs{":v": 1}, want: invalid, elsewhere: "answers 500 to a syntax error"},
		{expression: "n = 7", want: invalid, elsewhere: "takes a literal"},
		{expression: "n = :v", want: invalid, elsewhere: "answers 500 to an undefined value"},
		{expression: "#x = :v", values: attrs{":v": 1}, want: invalid, elsewhere: "answers 500 to an undefined name"},
		{expression: "name = :v", values: attrs{":v": "x"}, want: invalid},
		{expression: "n = :v", values: attrs{":v": 7, ":w": 8}, want: invalid, elsewhere: "looks for unused values in updates only"},
		{expression: "n = :v", names: map[string]string{"#x": "x"}, values: attrs{":v": 7}, want: invalid},
		{expression: "attribute_exists(:v)", values: attrs{":v": "n"}, want: invalid, elsewhere: "answers 500 to a value in place of a path"},
		{expression: "unknown(n)", want: invalid},
		{expression: "((n = :v))", values: attrs{":v": 7}, want: invalid},
		{expression: "flag < :v", values: attrs{":v": true}, want: invalid, elsewhere: "orders booleans"},
	}
	eachSubject(t, func(t *testing.T, s subject) {
		table := s.newTable(t)
		s.put(t, table, it)
		for _, c := range cases {
			t.Run(c.expression, func(t *testing.T) {
				_, err := s.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{
					TableName: table, Item: item(it), ConditionExpression: aws.String(c.expression),
					ExpressionAttributeNames: c.names, ExpressionAttributeValues: item(c.values),
				})
				s.hold(t, c.elsewhere, same(c.want, err))
			})
		}
	})
}

func TestContractUpdates(t *testing.T) {
	before := attrs{
		"pk": "p", "sk": "s", "n": 7, "s1": "old", "tags": []string{"a", "b"}, "map": attrs{"x": 1},
	}
	const invalid = "ValidationException"
	cases := []struct {
		expression string
		values     attrs
		names      map[string]string
		want       attrs  // what changes; a key with the value gone is removed
		refused    string // the error instead
		elsewhere  string
	}{
		{expression: "SET s1 = :v", values: attrs{":v": "new"}, want: attrs{"s1": "new"}},
		{expression: "set s1 = :v remove n add tags :t", values: attrs{":v": "new", ":t": []string{"b", "c"}}, want: attrs{"s1": "new", "n": gone{}, "tags": []string{"a", "b", "c"}}},
		{expression: "REMOVE s1 SET n = :v", values: attrs{":v": 8}, want: attrs{"s1": gone{}, "n": 8}},
		{expression: "SET n = n + :v", values: attrs{":v": 3}, want: attrs{"n": 10}},
		{expression: "SET n = n + :v", values: attrs{":v": num("0.1")}, want: attrs{"n": num("7.1")}},
		{expression: "SET s1 = s2", refused: invalid},
		{expression: "SET a = n, n = :v", values: attrs{":v": 1}, want: attrs{"a": 7, "n": 1}},
		{expression: "REMOVE absent", want: attrs{}},
		{expression: "ADD n :v", values: attrs{":v": 3}, want: attrs{"n": 10}},
		{expression: "ADD fresh :v", values: attrs{":v": 3}, want: attrs{"fresh": 3}},
		{expression: "ADD tags :v", values: attrs{":v": []string{"b", "c"}}, want: attrs{"tags": []string{"a", "b", "c"}}},
		{expression: "ADD s1 :v", values: attrs{":v": 3}, refused: invalid},
		{expression: "ADD n :v", values: attrs{":v": "x"}, refused: invalid},
		{expression: "SET n = s1 + :v", values: attrs{":v": 1}, refused: invalid},
		{expression: "SET pk = :v", values: attrs{":v": "x"}, refused: invalid},
		{expression: "SET n = :v, n = :w", values: attrs{":v": 1, ":w": 2}, refused: invalid},
		{expression: "SET n = :v SET s1 = :v", values: attrs{":v": 1}, refused: invalid},
		{expression: "SET n :v", values: attrs{":v": 1}, refused: invalid},
		{expression: "SET n = :v,", values: attrs{":v": 1}, refused: invalid},
		{expression: "CHANGE n = :v", values: attrs{":v": 1}, refused: invalid},
		{expression: "SET status = :v", values: attrs{":v": 1}, refused: invalid},
		{expression: "SET owner = :v", values: attrs{":v": "x"}, refused: invalid},
		{expression: "SET #o = :v", names: map[string]string{"#o": "owner"}, values: attrs{":v": "x"}, want: attrs{"owner": "x"}},
		{expression: "SET #o = :v", names: map[string]string{"#o": "owner"}, values: attrs{":v": ""}, refused: invalid, elsewhere: "checks index keys in PutItem only"},
		{expression: "SET #o = :v", names: map[string]string{"#o": "owner"}, values: attrs{":v": 7}, refused: invalid, elsewhere: "checks index keys in PutItem only"},
		{expression: "SET n = :v", values: attrs{":v": 1, ":unused": 1}, refused: invalid},
		{expression: "SET n = :v", values: attrs{":v": num("1E126")}, refused: invalid, elsewhere: "stores any number"},
		{expression: "SET n = :v", values: attrs{":v": num("123456789012345678901234567890123456789")}, refused: invalid, elsewhere: "stores any number"},
		{expression: "SET n = :v", values: attrs{":v": num("1.50")}, want: attrs{"n": num("1.5")}, elsewhere: "stores numbers as they are written"},
		{expression: "SET n = :v", values: attrs{":v": num("1E3")}, want: attrs{"n": 1000}, elsewhere: "stores numbers as they are written"},
		{expression: "SET e = :v", values: attrs{":v": ""}, want: attrs{"e": ""}},
		{expression: "SET e = :v", values: attrs{":v": []string{}}, refused: invalid, elsewhere: "takes an empty set in updates"},
	}
	eachSubject(t, func(t *testing.T, s subject) {
		table := s.newTable(t)
		for _, c := range cases {
			t.Run(c.expression, func(t *testing.T) {
				s.put(t, table, before)
				_, err := s.dynamo.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: table, Key: item(attrs{"pk": "p", "sk": "s"}), UpdateExpression: aws.String(c.expression),
					ExpressionAttributeNames: c.names, ExpressionAttributeValues: item(c.values),
				})
				want := maps.Clone(before)
				for k, v := range c.want {
					want[k] = v
					if v == any(gone{}) {
						delete(want, k)
					}
				}
				wrong := errors.Join(same(c.refused, err), equal(want, s.get(t, table, "p", "s")))
				s.hold(t, c.elsewhere, wrong)
			})
		}
	})
}

// gone marks an attribute an update removes.
type gone struct{}

func TestContractKeysAndItems(t *testing.T) {
	const invalid = "ValidationException"
	large := strings.Repeat("x", 400<<10)
	eachSubject(t, func(t *testing.T, s subject) {
		table := s.newTable(t)
		for _, c := range []struct {
			name      string
			item      attrs
			want      string
			elsewhere string
		}{
			{name: "whole", item: attrs{"pk": "p", "sk": "s"}},
			{name: "no range key", item: attrs{"pk": "p"}, want: invalid},
			{name: "empty hash key", item: attrs{"pk": "", "sk": "s"}, want: invalid},
			{name: "empty range key", item: attrs{"pk": "p", "sk": ""}, want: invalid},
			{name: "key of another type", item: attrs{"pk": 1, "sk": "s"}, want: invalid},
			{name: "empty index key", item: attrs{"pk": "p", "sk": "s", "owner": ""}, want: invalid},
			{name: "index key of another type", item: attrs{"pk": "p", "sk": "s", "owner": 1}, want: invalid, elsewhere: "checks index keys for emptiness only"},
			{name: "empty value", item: attrs{"pk": "p", "sk": "s", "v": ""}},
			{name: "empty set", item: attrs{"pk": "p", "sk": "s", "v": []string{}}, want: invalid},
			{name: "set with duplicates", item: attrs{"pk": "p", "sk": "s", "v": []string{"a", "a"}}, want: invalid, elsewhere: "takes duplicates"},
			{name: "over 400 KB", item: attrs{"pk": "p", "sk": "s", "v": large}, want: invalid},
			{name: "just under 400 KB", item: attrs{"pk": "p", "sk": "s", "v": large[:len(large)-10]}, elsewhere: "its limit is 405000 bytes"},
			{name: "not a number", item: attrs{"pk": "p", "sk": "s", "v": num("seven")}, want: invalid},
		} {
			t.Run("put "+c.name, func(t *testing.T) {
				_, err := s.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item(c.item)})
				s.hold(t, c.elsewhere, same(c.want, err))
			})
		}
		for _, c := range []struct {
			name      string
			key       attrs
			elsewhere string
		}{
			{name: "no range key", key: attrs{"pk": "p"}},
			{name: "another attribute", key: attrs{"pk": "p", "sk": "s", "x": "y"}},
			{name: "another type", key: attrs{"pk": "p", "sk": 1}, elsewhere: "does not check the types of a key"},
			{name: "empty", key: attrs{"pk": "p", "sk": ""}},
		} {
			t.Run("get "+c.name, func(t *testing.T) {
				_, err := s.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: item(c.key)})
				s.hold(t, c.elsewhere, same(invalid, err))
			})
		}
		t.Run("get nothing", func(t *testing.T) {
			if got := s.get(t, table, "p", "none"); got != nil {
				t.Errorf("got %v", got)
			}
		})
		t.Run("get from no table", func(t *testing.T) {
			_, err := s.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("none-at-all"), Key: item(attrs{"pk": "p", "sk": "s"})})
			if got := code(err); got != "ResourceNotFoundException" {
				t.Errorf("got %q (%v)", got, err)
			}
		})
	})
}

func TestContractRefusedWritesReturnTheItem(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		table, ctx := s.newTable(t), t.Context()
		s.put(t, table, attrs{"pk": "p", "sk": "s", "n": 2})
		key, condition, values := item(attrs{"pk": "p", "sk": "s"}), aws.String("n = :v"), item(attrs{":v": 99})
		const old = ddb.ReturnValuesOnConditionCheckFailureAllOld
		_, put := s.dynamo.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key, ConditionExpression: condition, ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old})
		_, update := s.dynamo.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: table, Key: key, UpdateExpression: aws.String("REMOVE n"), ConditionExpression: condition, ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old,
		})
		_, del := s.dynamo.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key, ConditionExpression: condition, ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old})
		for name, err := range map[string]error{"put": put, "update": update, "delete": del} {
			var failed *ddb.ConditionalCheckFailedException
			if !errors.As(err, &failed) || plain(failed.Item)["n"] != 2 {
				t.Errorf("%s: got %v, want the item with it", name, err)
			}
		}
		for range 2 { // the second deletes nothing
			if _, err := s.dynamo.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key}); err != nil || s.get(t, table, "p", "s") != nil {
				t.Errorf("delete: %v", err)
			}
		}
	})
}

func TestContractQuery(t *testing.T) {
	const invalid = "ValidationException"
	cases := []struct {
		name      string
		in        dynamodb.QueryInput
		values    attrs
		want      []string // sk of the items
		refused   string
		elsewhere string
	}{
		{name: "partition", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p")}, values: attrs{":p": "p"}, want: []string{"approval#1", "approval#2", "approval#3", "session"}},
		{name: "backward", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ScanIndexForward: aws.Bool(false)}, values: attrs{":p": "p"}, want: []string{"session", "approval#3", "approval#2", "approval#1"}},
		{name: "prefix", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p AND begins_with(sk, :s)")}, values: attrs{":p": "p", ":s": "approval#"}, want: []string{"approval#1", "approval#2", "approval#3"}},
		{name: "range first", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("sk > :s AND pk = :p")}, values: attrs{":p": "p", ":s": "approval#2"}, want: []string{"approval#3", "session"}},
		{name: "parentheses", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("(pk = :p) AND (sk <= :s)")}, values: attrs{":p": "p", ":s": "approval#2"}, want: []string{"approval#1", "approval#2"}},
		{name: "nothing", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p")}, values: attrs{":p": "none"}},
		{name: "index", in: dynamodb.QueryInput{IndexName: aws.String("by-user"), KeyConditionExpression: aws.String("#o = :o"), ExpressionAttributeNames: map[string]string{"#o": "owner"}}, values: attrs{":o": "alice"}, want: []string{"approval#1", "approval#2", "other"}},
		{name: "index, numbers in order", in: dynamodb.QueryInput{IndexName: aws.String("by-user"), KeyConditionExpression: aws.String("#o = :o AND created >= :c"), ExpressionAttributeNames: map[string]string{"#o": "owner"}}, values: attrs{":o": "alice", ":c": 2}, want: []string{"approval#2", "other"}},
		{name: "index, backward", in: dynamodb.QueryInput{IndexName: aws.String("by-user"), KeyConditionExpression: aws.String("#o = :o"), ExpressionAttributeNames: map[string]string{"#o": "owner"}, ScanIndexForward: aws.Bool(false)}, values: attrs{":o": "alice"}, want: []string{"other", "approval#2", "approval#1"}},

		{name: "consistent read of the index", in: dynamodb.QueryInput{IndexName: aws.String("by-user"), KeyConditionExpression: aws.String("#o = :o"), ExpressionAttributeNames: map[string]string{"#o": "owner"}, ConsistentRead: aws.Bool(true)}, values: attrs{":o": "alice"}, refused: invalid},
		{name: "no such index", in: dynamodb.QueryInput{IndexName: aws.String("by-none"), KeyConditionExpression: aws.String("#o = :o"), ExpressionAttributeNames: map[string]string{"#o": "owner"}}, values: attrs{":o": "alice"}, refused: invalid, elsewhere: "answers ResourceNotFoundException"},
		{name: "no condition", in: dynamodb.QueryInput{}, refused: invalid},
		{name: "no hash key", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("sk = :s")}, values: attrs{":s": "s"}, refused: invalid},
		{name: "hash key not equal", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk > :p")}, values: attrs{":p": "p"}, refused: invalid},
		{name: "another attribute", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p AND created = :c")}, values: attrs{":p": "p", ":c": 1}, refused: invalid},
		{name: "or", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p OR sk = :s")}, values: attrs{":p": "p", ":s": "s"}, refused: invalid, elsewhere: "answers 500"},
		{name: "not equal", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p AND sk <> :s")}, values: attrs{":p": "p", ":s": "s"}, refused: invalid, elsewhere: "answers 500"},
		{name: "key of another type", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p")}, values: attrs{":p": 1}, refused: invalid, elsewhere: "does not check the types of a key"},
		{name: "unused value", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p")}, values: attrs{":p": "p", ":q": "q"}, refused: invalid, elsewhere: "looks for unused values in updates only"},
		{name: "starting elsewhere", in: dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExclusiveStartKey: item(attrs{"pk": "q", "sk": "s"})}, values: attrs{":p": "p"}, refused: invalid, elsewhere: "starts anywhere"},
	}
	eachSubject(t, func(t *testing.T, s subject) {
		table := s.newTable(t)
		s.put(t, table,
			attrs{"pk": "p", "sk": "session"},
			attrs{"pk": "p", "sk": "approval#1", "owner": "alice", "created": 1},
			attrs{"pk": "p", "sk": "approval#2", "owner": "alice", "created": 2},
			attrs{"pk": "p", "sk": "approval#3", "owner": "bob", "created": 3},
			attrs{"pk": "q", "sk": "other", "owner": "alice", "created": 10},
			attrs{"pk": "q", "sk": "left out of the index", "owner": "alice"})
		s.pass(1100 * time.Millisecond) // an index may lag behind for a second
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				in := c.in
				in.TableName, in.ExpressionAttributeValues = table, item(c.values)
				var (
					got []string
					err error
				)
				for pages := dynamodb.NewQueryPaginator(s.dynamo, &in); err == nil && pages.HasMorePages(); {
					var page *dynamodb.QueryOutput
					if page, err = pages.NextPage(t.Context()); err == nil {
						got = append(got, texts(page.Items, "sk")...)
					}
				}
				wrong := same(c.refused, err)
				if c.refused == "" {
					wrong = errors.Join(wrong, equal(c.want, got))
				}
				s.hold(t, c.elsewhere, wrong)
			})
		}
	})
}

func TestContractPaging(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		table := s.newTable(t)
		var all []string
		for i := range 7 {
			sk := fmt.Sprintf("item#%d", i)
			s.put(t, table, attrs{"pk": "p", "sk": sk, "odd": i % 2, "owner": "alice", "created": 1})
			all = append(all, sk)
		}
		s.pass(1100 * time.Millisecond)
		walk := func(in dynamodb.QueryInput) (got []string) {
			t.Helper()
			in.TableName, in.Limit = table, aws.Int32(2)
			for pages := dynamodb.NewQueryPaginator(s.dynamo, &in); pages.HasMorePages(); {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if page.ScannedCount > 2 || int(page.Count) != len(page.Items) {
					t.Errorf("page of %d scanned, %d counted, %d items; limit is 2", page.ScannedCount, page.Count, len(page.Items))
				}
				got = append(got, texts(page.Items, "sk")...)
			}
			return got
		}
		if diff := cmp.Diff(all, walk(dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item(attrs{":p": "p"})})); diff != "" {
			t.Errorf("table (-want +got):\n%s", diff)
		}
		// Equal index keys: in any order, but each once.
		index := walk(dynamodb.QueryInput{
			IndexName: aws.String("by-user"), KeyConditionExpression: aws.String("#o = :o"),
			ExpressionAttributeNames: map[string]string{"#o": "owner"}, ExpressionAttributeValues: item(attrs{":o": "alice"}),
		})
		if diff := cmp.Diff(all, slices.Sorted(slices.Values(index))); diff != "" {
			t.Errorf("index (-want +got):\n%s", diff)
		}
		var scanned []string
		for pages := dynamodb.NewScanPaginator(s.dynamo, &dynamodb.ScanInput{TableName: table, Limit: aws.Int32(3)}); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			scanned = append(scanned, texts(page.Items, "sk")...)
		}
		if diff := cmp.Diff(all, slices.Sorted(slices.Values(scanned))); diff != "" {
			t.Errorf("scan (-want +got):\n%s", diff)
		}
		last, err := s.dynamo.Query(t.Context(), &dynamodb.QueryInput{
			TableName: table, KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item(attrs{":p": "p"}), ScanIndexForward: aws.Bool(false),
			Select: ddb.SelectSpecificAttributes, ProjectionExpression: aws.String("odd, absent"), Limit: aws.Int32(1), ConsistentRead: aws.Bool(true),
		})
		if err != nil || len(last.Items) != 1 || cmp.Diff(attrs{"odd": 0}, plain(last.Items[0])) != "" || len(last.LastEvaluatedKey) != 2 {
			t.Errorf("projection of the last: got %+v, %v", last, err)
		}
	})
}

func TestContractTransactions(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		table, ctx := s.newTable(t), t.Context()
		put := func(sk string, n int, condition *string) ddb.TransactWriteItem {
			return ddb.TransactWriteItem{Put: &ddb.Put{
				TableName: table, Item: item(attrs{"pk": "p", "sk": sk, "n": n}), ConditionExpression: condition,
				ReturnValuesOnConditionCheckFailure: ddb.ReturnValuesOnConditionCheckFailureAllOld,
			}}
		}
		do := func(token *string, writes ...ddb.TransactWriteItem) error {
			_, err := s.dynamo.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes, ClientRequestToken: token})
			return err
		}
		absent := aws.String("attribute_not_exists(pk)")
		if err := do(nil, put("a", 1, absent), put("b", 1, absent)); err != nil {
			t.Fatal(err)
		}
		err := do(nil, put("c", 1, nil), put("a", 2, absent))
		var cancelled *ddb.TransactionCanceledException
		if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 {
			t.Fatalf("got %v, want a cancellation with two reasons", err)
		}
		none, failed := cancelled.CancellationReasons[0], cancelled.CancellationReasons[1]
		if aws.ToString(none.Code) != "None" || aws.ToString(failed.Code) != "ConditionalCheckFailed" || plain(failed.Item)["n"] != 1 {
			t.Errorf("reasons: got %+v", cancelled.CancellationReasons)
		}
		if got := s.get(t, table, "p", "c"); got != nil {
			t.Errorf("a cancelled transaction wrote %v", got)
		}
		if got := code(do(nil, put("a", 2, nil), put("a", 3, nil))); got != "ValidationException" {
			t.Errorf("the same item twice: got %q", got)
		}

		key := func(sk string) map[string]ddb.AttributeValue { return item(attrs{"pk": "p", "sk": sk}) }
		err = do(nil,
			ddb.TransactWriteItem{Update: &ddb.Update{TableName: table, Key: key("a"), UpdateExpression: aws.String("SET n = n + :v"), ExpressionAttributeValues: item(attrs{":v": 5})}},
			ddb.TransactWriteItem{Delete: &ddb.Delete{TableName: table, Key: key("b"), ConditionExpression: aws.String("n = :v"), ExpressionAttributeValues: item(attrs{":v": 1})}},
			ddb.TransactWriteItem{ConditionCheck: &ddb.ConditionCheck{TableName: table, Key: key("z"), ConditionExpression: absent}})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := s.get(t, table, "p", "a"), s.get(t, table, "p", "b"); a["n"] != 6 || b != nil {
			t.Errorf("got a %v, b %v", a, b)
		}

		t.Run("a client request token is good once", func(t *testing.T) {
			once := ddb.TransactWriteItem{Update: &ddb.Update{TableName: table, Key: key("a"), UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: item(attrs{":v": 1})}}
			token := aws.String("token-1")
			s.hold(t, "does not keep tokens", errors.Join(
				same("", do(token, once)), same("", do(token, once)), equal(7, s.get(t, table, "p", "a")["n"]),
				same("IdempotentParameterMismatchException", do(token, put("a", 0, nil))),
			))
		})
	})
}

func TestContractTables(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		table, ctx := s.newTable(t), t.Context()
		d, err := s.dynamo.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table})
		if err != nil || d.Table.TableStatus != ddb.TableStatusActive || len(d.Table.KeySchema) != 2 || *d.Table.GlobalSecondaryIndexes[0].IndexName != "by-user" {
			t.Errorf("describe: got %+v, %v", d, err)
		}
		_, err = s.dynamo.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: table, BillingMode: ddb.BillingModePayPerRequest,
			KeySchema:            []ddb.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddb.KeyTypeHash}},
			AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
		})
		if got := code(err); got != "ResourceInUseException" {
			t.Errorf("create again: got %q", got)
		}
		live, err := s.dynamo.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: table})
		if err != nil || live.TimeToLiveDescription.TimeToLiveStatus != ddb.TimeToLiveStatusDisabled {
			t.Errorf("time to live: got %+v, %v", live, err)
		}
	})
}

// queue is the URL of a queue: ours has them, elsewhere they are made.
func (s subject) queue(t *testing.T, name string, attributes map[string]string) *string {
	t.Helper()
	if !s.other {
		return aws.String(s.base + "/000000000000/" + name)
	}
	name = strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + "-" + name
	made, err := s.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatalf("CreateQueue: %v", err)
	}
	return made.QueueUrl
}

func (s subject) send(t *testing.T, url *string, body string, delay int32) {
	t.Helper()
	if _, err := s.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body, DelaySeconds: delay}); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
}

func (s subject) receive(t *testing.T, url *string, visibility, wait int32) []sqstypes.Message {
	t.Helper()
	out, err := s.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: 10, VisibilityTimeout: visibility, WaitTimeSeconds: wait,
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
	})
	if err != nil {
		t.Fatalf("ReceiveMessage: %v", err)
	}
	return out.Messages
}

func bodies(messages []sqstypes.Message) (out []string) {
	for _, m := range messages {
		out = append(out, *m.Body)
	}
	return out
}

func TestContractQueues(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		ctx := t.Context()
		url := s.queue(t, "plain", nil)
		sent, err := s.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("hello")})
		if err != nil || *sent.MD5OfMessageBody != "5d41402abc4b2a76b9719d911017c592" {
			t.Fatalf("send: got %+v, %v", sent, err)
		}
		got := s.receive(t, url, 30, 1)
		if len(got) != 1 || *got[0].Body != "hello" || *got[0].MessageId != *sent.MessageId || *got[0].MD5OfBody != *sent.MD5OfMessageBody {
			t.Fatalf("receive: got %+v", got)
		}
		m := got[0]
		if m.Attributes["ApproximateReceiveCount"] != "1" || m.Attributes["SentTimestamp"] == "" || m.Attributes["ApproximateFirstReceiveTimestamp"] == "" {
			t.Errorf("attributes: got %v", m.Attributes)
		}
		for range 2 { // deleting is idempotent
			if _, err := s.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
	})
}

func TestContractQueueRefusals(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		ctx := t.Context()
		url := s.queue(t, "plain", nil)
		nowhere := aws.String(*url + "-none")
		send := func(in sqs.SendMessageInput) error { _, err := s.sqs.SendMessage(ctx, &in); return err }
		receive := func(in sqs.ReceiveMessageInput) error { _, err := s.sqs.ReceiveMessage(ctx, &in); return err }
		remove := func(handle string) error {
			_, err := s.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: &handle})
			return err
		}
		for _, c := range []struct {
			name      string
			err       error
			want      string
			elsewhere string
		}{
			{name: "delay over 15 minutes", err: send(sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x"), DelaySeconds: 901}), want: "InvalidParameterValue"},
			{name: "empty body", err: send(sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("")}), want: "MissingParameter", elsewhere: "takes an empty body"},
			{name: "control character", err: send(sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("\x01")}), want: "InvalidMessageContents", elsewhere: "takes any character"},
			{name: "no such queue", err: send(sqs.SendMessageInput{QueueUrl: nowhere, MessageBody: aws.String("x")}), want: "AWS.SimpleQueueService.NonExistentQueue"},
			{name: "eleven messages", err: receive(sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11}), want: "InvalidParameterValue"},
			{name: "waiting over 20 seconds", err: receive(sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 21}), want: "InvalidParameterValue"},
			{name: "visibility over 12 hours", err: receive(sqs.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: 43201}), want: "InvalidParameterValue"},
			{name: "no receipt handle", err: remove("nonsense"), want: "ReceiptHandleIsInvalid"},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.hold(t, c.elsewhere, same(c.want, c.err))
			})
		}
	})
}

func TestContractVisibility(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		url := s.queue(t, "plain", nil)
		s.send(t, url, "a", 0)
		first := s.receive(t, url, 1, 2)
		if len(first) != 1 {
			t.Fatalf("got %d messages, want 1", len(first))
		}
		s.pass(1100 * time.Millisecond)
		second := s.receive(t, url, 30, 2) // perhaps twice
		if len(second) == 0 || *second[0].MessageId != *first[0].MessageId || *second[0].ReceiptHandle == *first[0].ReceiptHandle {
			t.Fatalf("visible again: got %+v, want the same message with another receipt handle", second)
		}
		if _, err := s.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: second[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}

		s.send(t, url, "later", 1)
		if got := s.receive(t, url, 30, 0); slices.Contains(bodies(got), "later") {
			t.Errorf("a delayed message was received at once: %v", bodies(got))
		}
		s.pass(1100 * time.Millisecond)
		var late []string
		for range 20 { // a receive may see a part of the messages
			if late = append(late, bodies(s.receive(t, url, 30, 0))...); slices.Contains(late, "later") {
				return
			}
		}
		t.Errorf("a delayed message did not come; got %v", late)
	})
}

func TestContractDeadLetters(t *testing.T) {
	eachSubject(t, func(t *testing.T, s subject) {
		deadLetters := s.queue(t, "dead", nil)
		arn := "arn:aws:sqs:us-east-1:123456789012:" + (*deadLetters)[strings.LastIndexByte(*deadLetters, '/')+1:]
		url := s.queue(t, "live", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":"2"}`})
		s.send(t, url, "poison", 0)
		counts := map[string]bool{}
		var dead []sqstypes.Message
		for range 20 { // a short poll may see nothing
			for _, m := range s.receive(t, url, 1, 0) {
				counts[m.Attributes["ApproximateReceiveCount"]] = true
			}
			s.pass(1100 * time.Millisecond)
			if dead = s.receive(t, deadLetters, 30, 0); len(dead) > 0 {
				break
			}
		}
		if len(dead) == 0 || *dead[0].Body != "poison" {
			t.Fatalf("nothing in the dead-letter queue; received %v", counts)
		}
		if !maps.Equal(counts, map[string]bool{"1": true, "2": true}) {
			t.Errorf("received with counts %v, want 1 and 2", counts)
		}
	})
}
