package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	agenttypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime/types"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/fault"
)

// newRetryer retries only calls that certainly had no effect: throttled, the model not ready, or no connection. Other calls are
// not repeated, as a turn can send a request to the person's phone.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 2 * time.Second // a person is waiting
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if api, ok := errors.AsType[smithy.APIError](err); ok {
				switch api.ErrorCode() {
				case "ThrottlingException", "ThrottledException", "TooManyRequestsException", "ModelNotReadyException":
					return aws.TrueTernary
				}
			}
			if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
				return aws.TrueTernary
			}
			return aws.FalseTernary
		})}
	})
}

// asFault returns the fault for an error of either service. Its cause has the code and the request id. The service's text may
// contain the person's message, so it is not logged, except when it names a missing permission.
func asFault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	cause := &serviceError{doing: doing, err: err}
	switch {
	case errors.Is(context.Cause(ctx), errTooLong):
		return fault.New(fault.Upstream, "The assistant took too long, so I stopped it. You can still approve requests that your phone shows.", cause)
	case ctx.Err() != nil:
		return fault.New(fault.Upstream, "The answer was interrupted. Please ask again.", cause)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fault.New(fault.Upstream, "The connection to the assistant broke. You can still approve requests that your phone shows.", cause)
	}
	switch api.ErrorCode() {
	case "ThrottlingException", "ThrottledException", "TooManyRequestsException", "ServiceQuotaExceededException", "ModelNotReadyException":
		return fault.New(fault.Upstream, "The assistant is busy. Please try again in a moment.", cause)
	case "AccessDeniedException", "UnauthorizedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return fault.New(fault.Internal, "The agent service refuses this application. Please tell your administrator.", cause)
	case "ResourceNotFoundException":
		return fault.New(fault.Internal, "The configured agent does not exist. Please tell your administrator.", cause)
	case "DependencyFailedException", "BadGatewayException", "RuntimeClientError":
		return fault.New(fault.Upstream, "A tool of the assistant failed. I do not know whether it had an effect; please check before you try again.", cause)
	case "ConflictException", "RetryableConflictException":
		return fault.New(fault.Conflict, "The assistant is still busy with your last message. Please wait for its answer.", cause)
	case "ValidationException":
		return fault.New(fault.Invalid, "The assistant refused this message. If it is still answering, please wait; otherwise start a new chat.", cause)
	default:
		return fault.New(fault.Upstream, "The assistant gave an invalid answer. Please try again.", cause)
	}
}

// serviceError prints what an operator needs and unwraps to the original error. It does not print the URL of the call, as the
// path of InvokeAgent contains the session id, which is a bearer token for a caller who may invoke a function.
type serviceError struct {
	doing string
	err   error
}

func (e *serviceError) Unwrap() error { return e.err }

func (e *serviceError) Error() string {
	text := e.doing
	api, ok := errors.AsType[smithy.APIError](e.err)
	if !ok {
		if call, ok := errors.AsType[*url.Error](e.err); ok {
			return fmt.Sprintf("%s: %s: %v", text, call.Op, call.Err)
		}
		return fmt.Sprintf("%s: %v", text, e.err)
	}
	text += ": " + api.ErrorCode()
	if api.ErrorCode() == "AccessDeniedException" {
		text += ": " + clip(api.ErrorMessage(), 300)
	}
	if dep, ok := errors.AsType[*agenttypes.DependencyFailedException](e.err); ok && dep.ResourceName != nil {
		text += " (" + *dep.ResourceName + ")"
	}
	if resp, ok := errors.AsType[*awshttp.ResponseError](e.err); ok {
		text += fmt.Sprintf(" (HTTP %d, request %s)", resp.HTTPStatusCode(), resp.ServiceRequestID())
	}
	return text
}
