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
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/awsconfig"
)

// Invoker calls functions. It is safe for concurrent use.
type Invoker struct{ client *lambda.Client }

// New makes an Invoker and calls nobody.
func New(cfg aws.Config) *Invoker {
	return &Invoker{client: lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		o.Retryer = awsconfig.Retryer(func(o *retry.StandardOptions) {
			o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(notRun)}
		})
	})}
}

// Invoke runs the function synchronously. A function that fails is not an error of Invoke: functionError is then not
// empty ("Unhandled" as a rule), and the answer holds the runtime's error object.
func (i *Invoker) Invoke(ctx context.Context, functionName string, payload []byte) (answer []byte, functionError string, err error) {
	out, err := i.client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &functionName, InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	})
	if err != nil {
		return nil, "", fmt.Errorf("invoke function %s: %w", functionName, err)
	}
	return out.Payload, aws.ToString(out.FunctionError), nil
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
