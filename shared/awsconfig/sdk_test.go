package awsconfig_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/lambdainvoke"
	"github.com/steward-iam/steward/shared/parameter"
	"github.com/steward-iam/steward/shared/queue"
	ours "github.com/steward-iam/steward/shared/secretsmanager"
)

// TestTheSDKSendsTheSame: each call of ours is, on the wire, that of the generated client.
func TestTheSDKSendsTheSame(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:steward-AbCdEf"
	const approvals = "https://sqs.eu-central-1.amazonaws.com/111122223333/approvals"
	const function = "arn:aws:lambda:eu-central-1:111122223333:function:fga-authorizer:live"
	sent := func(call func(aws.Config)) (got []string) {
		call(config(transport(func(r *http.Request) (*http.Response, error) {
			if got == nil {
				body, _ := io.ReadAll(r.Body)
				_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "/eu-central-1/")
				scope, _, _ = strings.Cut(scope, ",")
				got = []string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("X-Amz-Target"), r.Header.Get("X-Amz-Invocation-Type"), scope, string(body)}
			}
			return answer(400, http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException"}}, "{}"), nil
		})))
		return got
	}
	for name, tc := range map[string]struct{ ours, theirs func(aws.Config) }{
		"Invoke": {
			func(cfg aws.Config) {
				_, _, _ = lambdainvoke.New(cfg).Invoke(t.Context(), function, []byte(`{"a":1}`))
			},
			func(cfg aws.Config) {
				_, _ = lambda.NewFromConfig(cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(function), Payload: []byte(`{"a":1}`), InvocationType: "RequestResponse"})
			},
		},
		"GetSecretValue": {
			func(cfg aws.Config) { _, _ = ours.New(cfg).Get(t.Context(), arn) },
			func(cfg aws.Config) {
				_, _ = secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(arn)})
			},
		},
		"SendMessage": {
			func(cfg aws.Config) {
				_ = queue.New(cfg, approvals).Send(t.Context(), approval.Message{SessionID: "s", ApprovalID: "a"}, 6*time.Second)
			},
			func(cfg aws.Config) {
				_, _ = sqs.NewFromConfig(cfg).SendMessage(t.Context(), &sqs.SendMessageInput{
					QueueUrl: aws.String(approvals), MessageBody: aws.String(`{"session_id":"s","approval_id":"a"}`), DelaySeconds: 6,
				})
			},
		},
		"GetParameter": {
			func(cfg aws.Config) { _, _ = parameter.New(cfg).Get(t.Context(), "/steward/base-url") },
			func(cfg aws.Config) {
				_, _ = ssm.NewFromConfig(cfg).GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/steward/base-url")})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := sent(tc.theirs), sent(tc.ours)
			if len(want) == 0 || !cmp.Equal(want, got) {
				t.Errorf("(-SDK +ours):\n%s", cmp.Diff(want, got))
			}
		})
	}
}
