package awstest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// oneInThrottled says how often a client's first attempt is refused. Its retries pass, so a client that retries at all gets through.
const oneInThrottled = 12

// pageSize is how many items a page may hold at most, 0 for no such limit.
func pageSize(c *faults.Chaos) int {
	if !c.OneIn(2) {
		return 0
	}
	return c.UpTo(3)
}

// newID is a fresh identifier in the shape of a UUID.
func newID(c *faults.Chaos) string {
	a, b := c.Uint64(), c.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// staleness is how long an eventually consistent read may still see the past.
const staleness = time.Second

// throttle is how each service says "slow down". SDKs retry all of these.
func throttle(service string) error {
	switch service {
	case "dynamodb":
		return &apiError{
			status: http.StatusBadRequest, namespace: dynamodbErrors, code: "ProvisionedThroughputExceededException",
			message: "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
		}
	case "sqs":
		return &apiError{
			status: http.StatusForbidden, namespace: sqsErrors, code: "RequestThrottled",
			message: "The request was denied due to request throttling.",
		}
	case "lambda":
		return &apiError{
			status: http.StatusTooManyRequests, code: "TooManyRequestsException", message: "Rate Exceeded.",
			header: map[string]string{"Retry-After": "1"},
		}
	default:
		return &apiError{status: http.StatusBadRequest, code: "ThrottlingException", message: "Rate exceeded"}
	}
}
