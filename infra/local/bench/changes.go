package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
)

// asks is how often each change is asked for: enough for a 99th percentile.
const asks = 200

// What asking for a change needs, one call after another. Beside them go the session row, the audit record and the queue.
const (
	chainOwn   = 6 * latency          // invoke authorizer, OpenFGA, approval, count of pushes, push, its id
	chainOther = chainOwn + 3*latency // and: whom it is about, invoke authorizer, OpenFGA
)

// changes measures how long the function ciba takes to answer that a push was sent. What a request leaves behind is cleared away
// before the next one: where the same change waits already, or the phone has rung often enough, the answer would come sooner.
func changes(ctx context.Context, f *run.Fleet, t sessions, r *Report) error {
	r.Asked = map[string]Timing{}
	for _, c := range []struct {
		person, operation string
		args              map[string]string
		chain             time.Duration
	}{
		{person, "reset_password", nil, chainOwn},
		{"frank@example.com", "suspend", map[string]string{"user": "dave@example.com"}, chainOther},
	} {
		_, id, err := t.signIn(ctx, f, c.person)
		if err != nil {
			return err
		}
		args := map[string]string{"action": c.operation}
		maps.Copy(args, c.args)
		call, err := event(id, catalogue.GroupCIBA, "manage_user", args)
		if err != nil {
			return err
		}
		var taken []time.Duration
		for i := range asks + 1 {
			d, err := timed(ctx, f, fleet.CIBA, call, "Please approve it on your phone")
			if err != nil {
				return err
			}
			if i > 0 { // the first fills the caches
				taken = append(taken, d)
			}
			if err := t.forgetAsking(ctx); err != nil {
				return err
			}
		}
		r.Asked[c.operation] = timing(taken, c.chain, 0)
	}
	return nil
}

// sessions is the table of sessions, their approvals and what is counted for their owners.
type sessions struct{ *dynamodb.Client }

func tableOf(f *run.Fleet) sessions {
	return sessions{dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: aws.String(f.AWSURL), Credentials: aws.AnonymousCredentials{}})}
}

// signIn signs a person in and returns the id of their session.
func (t sessions) signIn(ctx context.Context, f *run.Fleet, email string) (*chatclient.Client, string, error) {
	v, err := chatclient.SignIn(ctx, f.ChatURL, email)
	if err != nil {
		return nil, "", err
	}
	items, err := t.items(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, it := range items {
		if textOf(it, dynamo.SortKey) == "session" && textOf(it, "email") == email {
			return v, textOf(it, dynamo.PartitionKey), nil
		}
	}
	return nil, "", fmt.Errorf("no session of %s in the table", email)
}

// forgetAsking deletes the approvals, the locks that keep the same change from being asked for twice, and what is counted of pushes,
// questions and calls: a bench asks for more in a minute than a person may.
func (t sessions) forgetAsking(ctx context.Context) error {
	items, err := t.items(ctx)
	if err != nil {
		return err
	}
	for _, it := range items {
		switch kind, _, _ := strings.Cut(textOf(it, dynamo.SortKey), "#"); kind {
		case "approval", "asked", "pushes", "count":
			if _, err := t.DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: aws.String(run.SessionTable), Key: map[string]types.AttributeValue{dynamo.PartitionKey: it[dynamo.PartitionKey], dynamo.SortKey: it[dynamo.SortKey]},
			}); err != nil {
				return fmt.Errorf("forget %s: %w", kind, err)
			}
		}
	}
	return nil
}

func (t sessions) items(ctx context.Context) ([]map[string]types.AttributeValue, error) {
	out, err := t.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(run.SessionTable)})
	if err != nil {
		return nil, fmt.Errorf("read the table of sessions: %w", err)
	}
	return out.Items, nil
}

func textOf(item map[string]types.AttributeValue, name string) string {
	if s, ok := item[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}
