package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// world is a local run as far as the command sees it: its file, and AWS with the table and the key.
type world struct {
	t    *testing.T
	db   *dynamodb.Client
	file string
	ids  []string // of the entries, oldest first, alternately of alice and bob
}

func begin(t *testing.T) *world {
	t.Helper()
	key := seal.GenerateKey()
	server := awstest.New(awstest.Options{
		NoChaos: true, Secrets: map[string]string{"steward/audit-key": key.Reveal()},
		Tables: []awstest.Table{{Name: "steward-audit", Hash: awstest.Key{Name: "subject"}, Range: awstest.Key{Name: "id"}}},
	})
	endpoint := httptest.NewServer(server)
	t.Cleanup(endpoint.Close)
	w := &world{t: t, file: filepath.Join(t.TempDir(), "local.env.json")}
	if err := os.WriteFile(w.file, fmt.Appendf(nil, `{"AWS_ENDPOINT_URL":%q,"AUDIT_TABLE_NAME":"steward-audit","AUDIT_KEY_SECRET_ARN":"steward/audit-key"}`, endpoint.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	w.db = dynamodb.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")})
	sealer, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	trail := dynamo.NewAudit(w.db, "steward-audit", func(context.Context) (audit.Marker, error) { return sealer, nil })
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	for i := range 8 {
		at = at.Add(time.Minute)
		e, err := audit.New(at, audit.Act{Subject: []session.Subject{"alice", "bob"}[i%2], Operation: "sign_in"},
			audit.Details{ID: audit.NewID(at), Kind: audit.Outcome, Permission: audit.Unchecked, Result: audit.OK})
		if err != nil {
			t.Fatal(err)
		}
		if err := trail.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.ids = append(w.ids, e.ID)
	}
	return w
}

func (w *world) row(i int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"subject": &types.AttributeValueMemberS{Value: []string{"alice", "bob"}[i%2]}, "id": &types.AttributeValueMemberS{Value: w.ids[i]},
	}
}

func (w *world) verify(args ...string) (string, error) {
	var out bytes.Buffer
	err := run(w.t.Context(), append([]string{"-local", w.file}, args...), func(string) (string, bool) { return "", false }, &out)
	return out.String(), err
}

func (w *world) broken(where string, args ...string) {
	w.t.Helper()
	_, err := w.verify(args...)
	if _, ok := errors.AsType[*audit.Break](err); !ok || !strings.Contains(err.Error(), where) {
		w.t.Errorf("got %v, want the break at %s", err, where)
	}
}

func TestUnalteredTableVerifies(t *testing.T) {
	out, err := begin(t).verify()
	if err != nil || out != "8 entries of 2 subjects: no link is broken.\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAlteredEntryIsNamed(t *testing.T) {
	t.Run("an entry altered", func(t *testing.T) {
		w := begin(t)
		if _, err := w.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("steward-audit"), Key: w.row(3), UpdateExpression: aws.String("SET operation = :o"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":o": &types.AttributeValueMemberS{Value: "sign_out"}},
		}); err != nil {
			t.Fatal(err)
		}
		w.broken(w.ids[3])
	})
	t.Run("an entry altered and cut off from the one before", func(t *testing.T) {
		w := begin(t)
		if _, err := w.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("steward-audit"), Key: w.row(3), UpdateExpression: aws.String("SET operation = :o, previous = :p"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":o": &types.AttributeValueMemberS{Value: "sign_out"}, ":p": &types.AttributeValueMemberS{Value: "0"}},
		}); err != nil {
			t.Fatal(err)
		}
		w.broken(w.ids[3])
	})
	t.Run("an entry taken out", func(t *testing.T) {
		w := begin(t)
		if _, err := w.db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("steward-audit"), Key: w.row(2)}); err != nil {
			t.Fatal(err)
		}
		w.broken(w.ids[4] + " of alice: the entry before it, " + w.ids[2])
	})
	t.Run("an entry put in without the key", func(t *testing.T) {
		w := begin(t)
		row := w.row(2)
		row["id"] = &types.AttributeValueMemberS{Value: w.ids[2] + "X"}
		row["kind"], row["mac"] = &types.AttributeValueMemberS{Value: "outcome"}, &types.AttributeValueMemberB{Value: make([]byte, 32)}
		row["previous"] = &types.AttributeValueMemberS{Value: w.ids[2]}
		if _, err := w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("steward-audit"), Item: row}); err != nil {
			t.Fatal(err)
		}
		w.broken(w.ids[2] + "X")
	})
	t.Run("an entry in the form of the version before", func(t *testing.T) {
		w := begin(t)
		row := w.row(2)
		row["stage"] = &types.AttributeValueMemberS{Value: "read"}
		if _, err := w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("steward-audit"), Item: row}); err != nil {
			t.Fatal(err)
		}
		w.broken(w.ids[2] + " of alice: it has no keyed hash")
	})
}

// An export holds the same rows, and is verified like the table; one of the last days begins after an entry that is not in it.
func TestExportsAreVerified(t *testing.T) {
	w := begin(t)
	all, err := w.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("steward-audit")})
	if err != nil {
		t.Fatal(err)
	}
	var lines, some bytes.Buffer
	var items []json.RawMessage
	for _, item := range all.Items {
		raw, err := attributevalue.MarshalMapJSON(item)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, raw)
		_, _ = fmt.Fprintf(&lines, "{\"Item\":%s}\n", raw)
		if item["id"].(*types.AttributeValueMemberS).Value >= w.ids[4] {
			_, _ = fmt.Fprintf(&some, "{\"Item\":%s}\n", raw)
		}
	}
	scan, err := json.MarshalIndent(map[string]any{"Items": items, "Count": len(items)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(lines.Bytes())
	_ = z.Close()
	write := func(name string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, data := range map[string][]byte{"lines": lines.Bytes(), "gzipped lines": zipped.Bytes(), "a scan": scan} {
		if out, err := w.verify("-export", write("export", data)); err != nil || out != "8 entries of 2 subjects: no link is broken.\n" {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
	out, err := w.verify("-export", write("export", some.Bytes()))
	if err != nil || !strings.Contains(out, "The chains of 2 subjects begin after an entry that is not here") {
		t.Errorf("some days: got %q, %v", out, err)
	}
	altered := bytes.Replace(lines.Bytes(), []byte("sign_in"), []byte("sign_it"), 1)
	w.broken("was altered", "-export", write("export", altered))
	for name, data := range map[string]string{"nothing": "", "no JSON": "entries", "other JSON": `{"Item":{"id":7}}`} {
		if _, err := w.verify("-export", write("export", []byte(data))); err == nil {
			t.Errorf("%s: verified", name)
		} else if _, ok := errors.AsType[*audit.Break](err); ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
