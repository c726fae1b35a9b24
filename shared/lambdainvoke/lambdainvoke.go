// Package lambdainvoke invokes a Lambda function directly and waits for its answer.
//
// It repeats a call only where the function cannot have run: AWS throttled the call before it, or no connection came
// about. Whatever breaks later is reported and left to the caller, for whom a second run may be a second effect.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
package lambdainvoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/steward-iam/steward/shared/awsconfig"
)

// A person waits for the answer, so the pauses between attempts are short.
const (
	maxAttempts = 3
	maxPause    = 400 * time.Millisecond
)

// maxAnswer is the most that a function can answer.
const maxAnswer = 6 << 20

// Invoker calls functions. It is safe for concurrent use.
type Invoker struct{ client *awsconfig.Client }

// New makes an Invoker and calls nobody.
func New(cfg aws.Config) *Invoker {
	return &Invoker{client: awsconfig.New(cfg, awsconfig.Service{ID: "Lambda", Name: "lambda"}, retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxAttempts, maxPause
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(notRun)}
	}))}
}

// Invoke runs the function synchronously. A function that fails is not an error of Invoke: functionError is then not
// empty ("Unhandled" as a rule), and the answer holds the runtime's error object.
func (i *Invoker) Invoke(ctx context.Context, functionName string, payload []byte) (answer []byte, functionError string, err error) {
	resp, err := i.client.Do(ctx, awsconfig.Call{
		Method: http.MethodPost,
		Path:   "/2015-03-31/functions/" + httpbinding.EscapePath(functionName, true) + "/invocations",
		Header: http.Header{"Content-Type": {"application/octet-stream"}, "X-Amz-Invocation-Type": {"RequestResponse"}},
		Body:   payload,
	})
	if err != nil {
		return nil, "", fmt.Errorf("invoke function %s: %w", functionName, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, "", fmt.Errorf("read the answer of function %s: %w", functionName, err)
	}
	return answer, resp.Header.Get("X-Amz-Function-Error"), nil
}

// notRun says which errors prove that the function has not been started.
func notRun(err error) aws.Ternary {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "TooManyRequestsException" {
		return aws.TrueTernary
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return aws.TrueTernary
	}
	return aws.FalseTernary
}
