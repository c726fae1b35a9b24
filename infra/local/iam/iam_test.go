package iam_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/local/iam"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/lambdainvoke"
	"github.com/steward-iam/steward/shared/parameter"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/secretsmanager"
)

const (
	key      = "ASIATESTWORKER"
	sessions = "arn:aws:dynamodb:us-east-1:000000000000:table/sessions"
	harness  = "arn:aws:bedrock-agentcore:us-east-1:000000000000:harness/h-1"
)

func roles(permissions ...iam.Permission) *iam.Roles {
	return iam.New("us-east-1", "000000000000", slog.New(slog.DiscardHandler), iam.Role{Function: "worker", AccessKeyID: key, Permissions: permissions})
}

// TestCallsNeedTheirPermissions sends each call with exactly what it needs, and with each part of that on another resource only. Unsigned calls, and
// those with other keys, need nothing.
func TestCallsNeedTheirPermissions(t *testing.T) {
	for name, call := range map[string]struct {
		path, target, body string
		needs              []iam.Permission
		status             int // of a refusal
	}{
		"item":  {"/", "DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{}}`, []iam.Permission{{"dynamodb:PutItem", sessions}}, 400},
		"index": {"/", "DynamoDB_20120810.Query", `{"TableName":"sessions","IndexName":"by-owner"}`, []iam.Permission{{"dynamodb:Query", sessions + "/index/by-owner"}}, 400},
		"transaction": {
			"/", "DynamoDB_20120810.TransactWriteItems",
			`{"TransactItems":[{"Put":{"TableName":"sessions"}},{"ConditionCheck":{"TableName":"sessions"}},{"Update":{"TableName":"sessions"}},{"Delete":{"TableName":"sessions"}}]}`,
			[]iam.Permission{{"dynamodb:PutItem", sessions}, {"dynamodb:ConditionCheckItem", sessions}, {"dynamodb:UpdateItem", sessions}, {"dynamodb:DeleteItem", sessions}},
			400,
		},
		"transaction of nothing": {"/", "DynamoDB_20120810.TransactWriteItems", `{}`, []iam.Permission{{"dynamodb:TransactWriteItems", "arn:aws:dynamodb:us-east-1:000000000000:table/"}}, 400},
		"operation with a transaction's field": {
			"/", "DynamoDB_20120810.Scan", `{"TableName":"sessions","TransactItems":[{"Put":{"TableName":"sessions"}}]}`,
			[]iam.Permission{{"dynamodb:Scan", sessions}},
			400,
		},
		"message": {
			"/", "AmazonSQS.SendMessage", `{"QueueUrl":"http://localhost:1/000000000000/approvals","MessageBody":"{}"}`,
			[]iam.Permission{{"sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:approvals"}},
			403,
		},
		"messages": {
			"/", "AmazonSQS.DeleteMessageBatch", `{"QueueUrl":"http://localhost:1/000000000000/approvals"}`,
			[]iam.Permission{{"sqs:DeleteMessage", "arn:aws:sqs:us-east-1:000000000000:approvals"}},
			403,
		},
		"secret":           {"/", "secretsmanager.GetSecretValue", `{"SecretId":"arn:of-a-secret"}`, []iam.Permission{{"secretsmanager:GetSecretValue", "arn:of-a-secret"}}, 400},
		"parameter":        {"/", "AmazonSSM.GetParameter", `{"Name":"/app/url"}`, []iam.Permission{{"ssm:GetParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/app/url"}}, 400},
		"function":         {"/2015-03-31/functions/ciba/invocations", "", `{}`, []iam.Permission{{"lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:ciba"}}, 403},
		"function's ARN":   {"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aciba/invocations", "", `{}`, []iam.Permission{{"lambda:InvokeFunction", "arn:aws:lambda:ciba"}}, 403},
		"agent":            {"/agents/A1/agentAliases/B2/sessions/s/text", "", `{}`, []iam.Permission{{"bedrock:InvokeAgent", "arn:aws:bedrock:us-east-1:000000000000:agent-alias/A1/B2"}}, 403},
		"harness":          {"/harnesses/invoke?harnessArn=" + harness, "", `{}`, []iam.Permission{{"bedrock-agentcore:InvokeHarness", harness}, {"bedrock-agentcore:InvokeAgentRuntime", harness}}, 403},
		"session's end":    {"/runtimes/" + strings.ReplaceAll(harness, "/", "%2F") + "/stopruntimesession", "", ``, []iam.Permission{{"bedrock-agentcore:StopRuntimeSession", harness}}, 403},
		"target and path":  {"/2015-03-31/functions/ciba/invocations", "DynamoDB_20120810.Scan", `{"TableName":"sessions"}`, []iam.Permission{{"dynamodb:Scan", sessions}}, 400},
		"unknown service":  {"/", "TrentService.Decrypt", `{}`, []iam.Permission{{"TrentService.Decrypt", "*"}}, 400},
		"unknown path":     {"/2015-03-31/functions/ciba", "", ``, []iam.Permission{{"POST /2015-03-31/functions/ciba", "*"}}, 403},
		"what is not JSON": {"/", "DynamoDB_20120810.Scan", `{"TableName":"sess`, []iam.Permission{{"dynamodb:Scan", "arn:aws:dynamodb:us-east-1:000000000000:table/"}}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(r *iam.Roles, authorization string) (received string, answer *http.Response) {
				request := httptest.NewRequest(http.MethodPost, call.path, strings.NewReader(call.body))
				for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Target": call.target} {
					if value != "" {
						request.Header.Set(name, value)
					}
				}
				received, w := "nothing", httptest.NewRecorder()
				r.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					raw, _ := io.ReadAll(r.Body)
					received = string(raw)
				})).ServeHTTP(w, request)
				return received, w.Result()
			}
			signed := func(key string) string {
				return "AWS4-HMAC-SHA256 Credential=" + key + "/20261124/us-east-1/any/aws4_request, SignedHeaders=host, Signature=00"
			}

			for _, authorization := range []string{"", signed("AKIADEVELOPER")} {
				r := roles()
				if received, answer := send(r, authorization); received != call.body || answer.StatusCode != http.StatusOK || len(r.Calls()) > 0 {
					t.Errorf("signed %q: got %q, %d, calls %v, want it let through", authorization, received, answer.StatusCode, r.Calls())
				}
			}
			all := map[iam.Call]bool{}
			for _, p := range call.needs {
				all[iam.Call{Function: "worker", Permission: p}] = true
			}
			r := roles(call.needs...)
			if received, answer := send(r, signed(key)); received != call.body || answer.StatusCode != http.StatusOK {
				t.Errorf("allowed: got %q, %d, want %q", received, answer.StatusCode, call.body)
			}
			if diff := gocmp.Diff(all, r.Calls()); diff != "" {
				t.Errorf("calls, -want +got:\n%s", diff)
			}
			for i, p := range call.needs {
				less := slices.Clone(call.needs)
				less[i].Resource += "x"
				r := roles(less...)
				received, answer := send(r, signed(key))
				var body struct {
					Type    string `json:"__type"`
					Message string `json:"message"`
				}
				if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
					t.Fatal(err)
				}
				const refusal = "User: arn:aws:sts::000000000000:assumed-role/worker/worker is not authorized to perform: "
				code := cmp.Or(answer.Header.Get("X-Amzn-Errortype"), body.Type[strings.LastIndexByte(body.Type, '#')+1:])
				if received != "nothing" || answer.StatusCode != call.status || code != "AccessDeniedException" ||
					!strings.HasPrefix(body.Message, refusal+p.Action+" on resource: "+p.Resource+" ") {
					t.Errorf("without %v: received %q, answered %d %+v", p, received, answer.StatusCode, body)
				}
				if allowed, called := r.Calls()[iam.Call{Function: "worker", Permission: p}]; allowed || !called {
					t.Errorf("without %v: calls %v", p, r.Calls())
				}
			}
		})
	}
}

// TestAbortedCallIsNotCounted cuts a call off in its middle: it is neither allowed nor refused, for nobody made it.
func TestAbortedCallIsNotCounted(t *testing.T) {
	r := roles()
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"TableName":"sess`))
	request.ContentLength += 10
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.Scan")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/20261124")
	defer func() {
		if got, _ := recover().(error); !errors.Is(got, http.ErrAbortHandler) || len(r.Calls()) > 0 {
			t.Errorf("got %v and calls %v, want the connection dropped", got, r.Calls())
		}
	}()
	r.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)
}

// TestOfficialClientsAreRefused are refused in words they understand, and what they asked for does not happen.
func TestOfficialClientsAreRefused(t *testing.T) {
	account := awstest.New(awstest.Options{
		NoChaos: true, Queues: []awstest.Queue{{Name: "approvals"}}, Secrets: map[string]string{"s": "canary"}, Parameters: map[string]string{"/p": "canary"},
		Tables: []awstest.Table{{Name: "sessions", Hash: awstest.Key{Name: "id"}, Indexes: []awstest.Index{{Name: "by-owner", Hash: awstest.Key{Name: "owner"}}}}},
		Invoke: func(context.Context, string, []byte) ([]byte, string, error) {
			t.Error("a function was invoked")
			return nil, "", nil
		},
	})
	server := httptest.NewServer(roles(iam.Permission{Action: "dynamodb:PutItem", Resource: sessions}, iam.Permission{Action: "dynamodb:Query", Resource: sessions}).Wrap(account))
	t.Cleanup(server.Close)
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "any"}, nil
		}),
	}
	db, name := dynamodb.NewFromConfig(cfg), aws.String("sessions")
	row := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}}
	owner := map[string]types.AttributeValue{":o": &types.AttributeValueMemberS{Value: "o"}}
	for operation, do := range map[string]func(ctx context.Context) error{
		"Scan": func(ctx context.Context) error {
			_, err := db.Scan(ctx, &dynamodb.ScanInput{TableName: name})
			return err
		},
		"Query of an index": func(ctx context.Context) error {
			_, err := db.Query(ctx, &dynamodb.QueryInput{
				TableName: name, IndexName: aws.String("by-owner"), KeyConditionExpression: aws.String("owner = :o"), ExpressionAttributeValues: owner,
			})
			return err
		},
		"TransactWriteItems": func(ctx context.Context) error {
			_, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				{Put: &types.Put{TableName: name, Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "2"}}}},
				{Delete: &types.Delete{TableName: name, Key: row}},
			}})
			return err
		},
		"SendMessage": func(ctx context.Context) error {
			return queue.New(cfg, account.QueueURL(server.URL, "approvals")).Send(ctx, approval.Message{}, 0)
		},
		"GetSecretValue": func(ctx context.Context) error {
			_, err := secretsmanager.New(cfg).Get(ctx, account.SecretARN("s"))
			return err
		},
		"GetParameter": func(ctx context.Context) error {
			_, err := parameter.Address(cfg, nil, "/p")(ctx)
			return err
		},
		"Invoke": func(ctx context.Context) error {
			_, _, err := lambdainvoke.New(cfg).Invoke(ctx, "ciba", nil)
			return err
		},
	} {
		var refused interface{ ErrorCode() string }
		want := "AccessDeniedException"
		if operation == "SendMessage" {
			want = "AccessDenied" // SQS keeps the codes of its old protocol
		}
		if err := do(t.Context()); !errors.As(err, &refused) || refused.ErrorCode() != want {
			t.Errorf("%s: got %v, want %s", operation, err, want)
		}
	}
	if n := len(account.Requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: name, Item: row}); err != nil {
		t.Errorf("PutItem is allowed: %v", err)
	}
}
