// Command audit verifies that no entry of the audit trail was altered, added or removed. `make audit` calls it.
//
//	audit [-local build/local.env.json | -stack steward-dev | -export FILE -key SECRET]
//
// Without a flag it reads the table of the run of `make local` that is under way. An export is DynamoDB JSON: the lines of an
// export to S3, as they are or gunzipped, or what `aws dynamodb scan` and `query` print. The key is in Secrets Manager: whoever
// verifies needs secretsmanager:GetSecretValue on the audit key and, for a table, dynamodb:Scan.
//
// The exit code is 1 at the first broken link, which it names, and 2 when nothing could be verified.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/steward-iam/steward/infra/cmd/doctor/check"
	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/seal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout)
	if err == nil {
		return
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	if _, broken := errors.AsType[*audit.Break](err); broken {
		os.Exit(1)
	}
	os.Exit(2)
}

// source is where the entries are, and the secret that holds the key of their chains.
type source struct {
	aws           aws.Config
	table, export string
	key           string // name or ARN
}

func run(ctx context.Context, args []string, env config.Lookup, out io.Writer) error {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	local := flags.String("local", "build/local.env.json", "verify the local run that wrote this file")
	stack := flags.String("stack", "", "verify the table of this CloudFormation stack, such as steward-dev")
	export := flags.String("export", "", "verify this file of DynamoDB JSON instead of a table")
	key := flags.String("key", "", "name or ARN of the secret that holds the audit key; default: that of the run or stack")
	if err := flags.Parse(args); err != nil {
		return err
	}
	vars, cfg, _, err := check.Environment(ctx, *local, *stack, "", env)
	if err != nil {
		return err
	}
	src := source{aws: cfg, table: vars["AUDIT_TABLE_NAME"], export: *export, key: cmp.Or(*key, vars["AUDIT_KEY_SECRET_ARN"])}
	text, err := plan.SecretsManager{Client: secretsmanager.NewFromConfig(src.aws)}.Value(ctx, src.key)
	if err != nil {
		return fmt.Errorf("the audit key %s cannot be read; the credentials need secretsmanager:GetSecretValue: %w", src.key, err)
	}
	sealer, err := seal.New(text)
	if err != nil {
		return fmt.Errorf("the audit key %s: %w", src.key, err)
	}
	entries, err := src.entries(ctx)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("there are no entries to verify")
	}
	report, err := audit.Verify(sealer, entries)
	if err != nil {
		return fmt.Errorf("the chain is broken at %w", err)
	}
	_, _ = fmt.Fprintf(out, "%s of %s: no link is broken.\n", count(report.Entries, "entry", "entries"), count(report.Subjects, "subject", "subjects"))
	if report.Unchained > 0 {
		_, _ = fmt.Fprintf(out, "%d of them are from before entries were chained, and prove nothing.\n", report.Unchained)
	}
	if report.Begins > 0 {
		_, _ = fmt.Fprintf(out, "The chains of %d subjects begin after an entry that is not here, as in an export of some days.\n", report.Begins)
	}
	return nil
}

func (s source) entries(ctx context.Context) ([]audit.Chained, error) {
	if s.export != "" {
		f, err := os.Open(s.export)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return read(f)
	}
	var all []audit.Chained
	table := dynamo.NewAudit(dynamodb.NewFromConfig(s.aws), s.table, nil)
	err := table.All(ctx, func(c audit.Chained) bool { all = append(all, c); return true })
	if err != nil {
		return nil, fmt.Errorf("the table %s cannot be read; the credentials need dynamodb:Scan: %w", s.table, err)
	}
	return all, nil
}

// read reads entries in DynamoDB JSON: a stream of {"Item":{…}} or {"Items":[{…},…]}, gzipped or not.
func read(from io.Reader) ([]audit.Chained, error) {
	buffered := bufio.NewReader(from)
	if head, _ := buffered.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		plain, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("read the export: %w", err)
		}
		buffered = bufio.NewReader(plain)
	}
	var all []audit.Chained
	for decoder := json.NewDecoder(buffered); ; {
		var page struct {
			Item  json.RawMessage
			Items []json.RawMessage
		}
		err := decoder.Decode(&page)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the export is no DynamoDB JSON after %d entries: %w", len(all), err)
		}
		if page.Item != nil {
			page.Items = append(page.Items, page.Item)
		}
		for _, raw := range page.Items {
			row, err := attributevalue.UnmarshalMapJSON(raw)
			if err != nil {
				return nil, fmt.Errorf("entry %d of the export is no DynamoDB JSON: %w", len(all)+1, err)
			}
			entry, err := dynamo.AuditEntry(row)
			if err != nil {
				return nil, err
			}
			all = append(all, entry)
		}
	}
}

// count returns a number with its noun: "1 entry", "2 entries".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
