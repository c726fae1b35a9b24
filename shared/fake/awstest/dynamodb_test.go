package awstest_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

func TestEventualReadsAreStaleForAWhile(t *testing.T) {
	now := &clock{time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)}
	_, c := start(t, awstest.Options{Chaos: 7, Now: now.now, Tables: []awstest.Table{sessions}})
	sub, table := subject{clients: c}, aws.String("sessions")
	read := func(consistent bool) (seen map[any]bool) {
		t.Helper()
		seen = map[any]bool{}
		for range 20 {
			out, err := c.dynamo.GetItem(t.Context(), &dynamodb.GetItemInput{
				TableName: table, Key: item(attrs{"session_id": "s", "item": "i"}), ConsistentRead: aws.Bool(consistent),
			})
			if err != nil {
				t.Fatal(err)
			}
			seen[plain(out.Item)["n"]] = true
		}
		return seen
	}
	sub.put(t, table, attrs{"session_id": "s", "item": "i", "n": 1})
	now.at = now.at.Add(time.Minute)
	sub.put(t, table, attrs{"session_id": "s", "item": "i", "n": 2})
	if got := read(true); len(got) != 1 || !got[2] {
		t.Errorf("consistent: saw %v, want 2 alone", got)
	}
	if got := read(false); !got[1] || !got[2] {
		t.Errorf("eventual, at once: saw %v, want 1 and 2", got)
	}
	now.at = now.at.Add(time.Minute)
	if got := read(false); len(got) != 1 || !got[2] {
		t.Errorf("eventual, later: saw %v, want 2 alone", got)
	}
}

func TestPagesAreSmallAndCompleteInChaos(t *testing.T) {
	_, c := start(t, awstest.Options{Chaos: 3, Tables: []awstest.Table{sessions}})
	sub, table := subject{clients: c}, aws.String("sessions")
	for i := range 20 {
		sub.put(t, table, attrs{"session_id": "s", "item": fmt.Sprintf("%02d", i)})
	}
	pages, items := 0, 0
	for p := dynamodb.NewQueryPaginator(c.dynamo, &dynamodb.QueryInput{
		TableName: table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("session_id = :s"),
		ExpressionAttributeValues: map[string]ddb.AttributeValue{":s": text("s")},
	}); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		items += len(out.Items)
	}
	if pages < 2 || items != 20 {
		t.Errorf("got %d items on %d pages, want 20 on several", items, pages)
	}
}

// The SDK checks X-Amz-Crc32 only when it closes the body, so it is looked at here.
func TestAnswersOnTheWire(t *testing.T) {
	_, c := start(t, awstest.Options{NoChaos: true, Tables: []awstest.Table{sessions}})
	for body, want := range map[string]struct {
		status int
		body   string
	}{
		`{"TableName":"sessions","Key":{"session_id":{"S":"s"},"item":{"S":"i"}}}`: {200, `{}`},
		`{"TableName":"sessions","Key":{"session_id":{"S":"s"}}}`: {
			400,
			`{"__type":"com.amazon.coral.validate#ValidationException","message":"The provided key element does not match the schema"}`,
		},
		`{"TableName":"none","Key":{"session_id":{"S":"s"}}}`: {
			400,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`,
		},
		`{"TableName":`: {400, `{"__type":"com.amazon.coral.service#SerializationException","message":"unexpected EOF"}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || string(got) != want.body {
			t.Errorf("%s: got %d %s, %v, want %d %s", body, resp.StatusCode, got, err, want.status, want.body)
		}
		if sum := fmt.Sprint(crc32.ChecksumIEEE(got)); resp.Header.Get("X-Amz-Crc32") != sum || resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: headers %v, want checksum %s and a request id", body, resp.Header, sum)
		}
	}
}
