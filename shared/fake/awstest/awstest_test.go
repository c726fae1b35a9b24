package awstest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

// clients are the AWS SDK's own, pointed at an endpoint.
type clients struct {
	base    string
	dynamo  *dynamodb.Client
	sqs     *sqs.Client
	secrets *secretsmanager.Client
	ssm     *ssm.Client
	lambda  *lambda.Client
}

// dial makes clients of an endpoint; transport may be nil.
func dial(base string, transport http.RoundTripper) clients {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(base),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 5 * time.Millisecond })
		},
	}
	if transport != nil {
		cfg.HTTPClient = &http.Client{Transport: transport}
	}
	return clients{
		base: base, dynamo: dynamodb.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg), ssm: ssm.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg),
	}
}

// start serves an account over HTTP.
func start(t *testing.T, opts awstest.Options) (*awstest.Server, clients) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s := awstest.New(opts)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, dial(srv.URL, nil)
}

// inProcess is a transport that calls the handler, for use in a synctest bubble.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// code is the error code of an API error, "" if there is no error.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return "no API error: " + err.Error()
	}
}

func text(s string) ddb.AttributeValue   { return &ddb.AttributeValueMemberS{Value: s} }
func number(s string) ddb.AttributeValue { return &ddb.AttributeValueMemberN{Value: s} }

// A clock that is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

var sessions = awstest.Table{
	Name: "sessions", Hash: awstest.Key{Name: "session_id"}, Range: awstest.Key{Name: "item"}, TTL: "ttl",
	Indexes: []awstest.Index{{Name: "by-user", Hash: awstest.Key{Name: "owner"}, Range: awstest.Key{Name: "created", Type: "N"}}},
}

// What no code of ours and no client under test asks for is refused and never ignored.
func TestUnsupportedRequestsAreRefused(t *testing.T) {
	_, c := start(t, awstest.Options{NoChaos: true, Tables: []awstest.Table{sessions}, Queues: []awstest.Queue{{Name: "q"}}})
	table, ctx := aws.String("sessions"), t.Context()
	key := item(attrs{"session_id": "s", "item": "i"})
	update := func(expression string, values attrs) error {
		_, err := c.dynamo.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, UpdateExpression: &expression, ExpressionAttributeValues: item(values)})
		return err
	}
	when := func(condition string, values attrs) error {
		_, err := c.dynamo.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key, ConditionExpression: &condition, ExpressionAttributeValues: item(values)})
		return err
	}
	_, backups := c.dynamo.ListBackups(ctx, &dynamodb.ListBackupsInput{})
	if got := code(backups); got != "UnknownOperationException" {
		t.Errorf("unknown operation: got %q", got)
	}
	_, segments := c.dynamo.Scan(ctx, &dynamodb.ScanInput{TableName: table, Segment: aws.Int32(0), TotalSegments: aws.Int32(2)})
	_, filter := c.dynamo.Scan(ctx, &dynamodb.ScanInput{TableName: table, FilterExpression: aws.String("a = :v"), ExpressionAttributeValues: item(attrs{":v": 1})})
	_, count := c.dynamo.Scan(ctx, &dynamodb.ScanInput{TableName: table, Select: ddb.SelectCount})
	_, numbers := c.dynamo.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: map[string]ddb.AttributeValue{"n": &ddb.AttributeValueMemberNS{Value: []string{"1"}}}})
	_, attributes := c.sqs.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(c.base + "/000000000000/q"), MessageBody: aws.String("x"), MessageAttributes: map[string]sqstypes.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String("b")}},
	})
	one := attrs{":v": 1}
	for what, err := range map[string]error{
		"parallel scan": segments, "filter": filter, "count": count, "set of numbers": numbers, "message attributes": attributes,
		"not": when("NOT a = :v", one), "between": when("a BETWEEN :v AND :v", one), "in": when("a IN (:v)", one), "size": when("size(a) = :v", one), "contains": when("contains(a, :v)", one),
		"type": when("attribute_type(a, :v)", one), "path": when("a.b = :v", one), "element": when("a[0] = :v", one), "two attributes": when("a = b", nil),
		"default": update("SET a = if_not_exists(a, :v)", one), "append": update("SET a = list_append(a, :v)", one), "minus": update("SET a = a - :v", one), "delete": update("DELETE a :v", one),
	} {
		if got := code(err); got != "NotImplementedException" {
			t.Errorf("%s: got %q", what, got)
		}
	}
}

func TestFallbackAnswersTheRest(t *testing.T) {
	s := awstest.New(awstest.Options{NoChaos: true, Fallback: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/agents/A/agentAliases/B/sessions/C/text", nil))
	if w.Code != http.StatusTeapot {
		t.Errorf("got %d, want the fallback's answer", w.Code)
	}
}

func TestThrottledOnlyAtFirst(t *testing.T) {
	s, c := start(t, awstest.Options{Chaos: 1, Tables: []awstest.Table{sessions}})
	for range 60 {
		if _, err := c.dynamo.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("sessions")}); err != nil {
			t.Fatalf("with the SDK's retries: %v", err)
		}
	}
	throttled := 0
	for _, r := range s.Requests() {
		if r.Status == http.StatusBadRequest {
			throttled++
		}
	}
	if throttled == 0 {
		t.Errorf("60 calls of seed %d were never throttled", s.Seed())
	}
}

func TestSecrets(t *testing.T) {
	s, c := start(t, awstest.Options{NoChaos: true, Secrets: map[string]string{"auth0": "one", "unset": ""}})
	ctx := t.Context()
	get := func(id string) (string, error) {
		out, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.SecretString), nil
	}
	arn := s.SecretARN("auth0")
	for _, id := range []string{"auth0", arn, arn[:len(arn)-7]} {
		if got, err := get(id); err != nil || got != "one" {
			t.Errorf("get %q: got %q, %v", id, got, err)
		}
	}
	for id, want := range map[string]string{
		"unset": "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
		"none":  "Secrets Manager can't find the specified secret.",
	} {
		_, err := get(id)
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "ResourceNotFoundException" || api.ErrorMessage() != want {
			t.Errorf("get %q: got %v, want %q", id, err, want)
		}
	}
	put, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("auth0"), SecretString: aws.String("two")})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := get("auth0"); got != "two" {
		t.Errorf("after put: got %q", got)
	}
	again := &secretsmanager.PutSecretValueInput{SecretId: aws.String(arn), SecretString: aws.String("two"), ClientRequestToken: put.VersionId}
	if _, err := c.secrets.PutSecretValue(ctx, again); err != nil {
		t.Errorf("the same request again: %v", err)
	}
	again.SecretString = aws.String("three")
	if _, err := c.secrets.PutSecretValue(ctx, again); code(err) != "ResourceExistsException" {
		t.Errorf("another value with the same token: %v", err)
	}
	if d, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(arn)}); err != nil || *d.Name != "auth0" {
		t.Errorf("describe: got %+v, %v", d, err)
	}
}

func TestParameters(t *testing.T) {
	_, c := start(t, awstest.Options{NoChaos: true, Parameters: map[string]string{"/steward/alias": "TSTALIASID"}})
	out, err := c.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/steward/alias")})
	if err != nil || aws.ToString(out.Parameter.Value) != "TSTALIASID" {
		t.Errorf("got %v, %v", out, err)
	}
	_, err = c.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/steward/none")})
	if got := code(err); got != "ParameterNotFound" {
		t.Errorf("no parameter: got %q", got)
	}
}

func TestInvoke(t *testing.T) {
	s, c := start(t, awstest.Options{
		NoChaos: true, Functions: []string{"echo", "broken", "gone"},
		Invoke: func(_ context.Context, name string, payload []byte) ([]byte, string, error) {
			switch name {
			case "echo":
				return payload, "", nil
			case "broken":
				return []byte(`{"errorMessage":"no","errorType":"E"}`), "Unhandled", nil
			default:
				return nil, "", errors.New("runtime is gone")
			}
		},
	})
	ctx := t.Context()
	for _, name := range []string{"echo", "echo:live", "arn:aws:lambda:us-east-1:000000000000:function:echo"} {
		out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(`{"a":1}`)})
		if err != nil || string(out.Payload) != `{"a":1}` || out.FunctionError != nil || out.StatusCode != 200 {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
	}
	_, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: "Event"})
	if got := code(err); got != "NotImplementedException" {
		t.Errorf("event: got %q", got)
	}
	out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("broken")})
	if err != nil || aws.ToString(out.FunctionError) != "Unhandled" {
		t.Errorf("function error: got %+v, %v", out, err)
	}
	for name, want := range map[string]string{"none": "ResourceNotFoundException", "gone": "ServiceException"} {
		_, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name)}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
		if got := code(err); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	_, err = c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte(`{`)})
	if got := code(err); got != "InvalidRequestContentException" {
		t.Errorf("no JSON: got %q", got)
	}
	if r := s.Requests()[0]; r.Name() != "lambda Invoke" || r.Status != http.StatusOK {
		t.Errorf("recorded %+v", r)
	}
}
