package awstest

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// mood decides when the account is unpleasant. Every answer comes from one
// seeded source, so a run of requests in the same order is unpleasant in the
// same places.
type mood struct {
	seed     uint64
	pleasant bool

	mu  sync.Mutex
	rng *rand.Rand
}

func newMood(seed uint64, pleasant bool) *mood {
	if seed == 0 {
		var b [8]byte
		_, _ = crand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:]) | 1
	}
	return &mood{seed: seed, pleasant: pleasant, rng: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // wanted: it can be replayed
}

// oneIn is true once in n times, and never in a pleasant mood.
func (m *mood) oneIn(n int) bool {
	if m.pleasant {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n) == 0
}

// upTo is a number from 1 to n.
func (m *mood) upTo(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 1 + m.rng.IntN(n)
}

// id is a fresh identifier in the shape of a UUID.
func (m *mood) id() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, b := m.rng.Uint64(), m.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// throttled says whether to refuse a client's first attempt. Its retries pass,
// so a client that retries at all gets through.
func (m *mood) throttled() bool { return m.oneIn(12) }

// pageSize is how many items a page may hold at most, 0 for no such limit.
func (m *mood) pageSize() int {
	if !m.oneIn(2) {
		return 0
	}
	return m.upTo(3)
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
