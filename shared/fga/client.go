package fga

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/steward-iam/steward/shared/fault"
)

// Invoker calls a function and waits for its answer. functionError is not empty when the function itself failed; then
// payload holds its error text, not an answer.
type Invoker interface {
	Invoke(ctx context.Context, functionName string, payload []byte) (answer []byte, functionError string, err error)
}

// Client puts checks to the fga-authorizer function.
type Client struct {
	invoker  Invoker
	function string
	timeout  time.Duration
}

// askTimeout is longer than the authorizer takes to give up by itself, so that its answer, with the reason, arrives.
const askTimeout = 6 * time.Second

// NewClient asks the named function through invoker.
func NewClient(invoker Invoker, functionName string) *Client {
	return &Client{invoker: invoker, function: functionName, timeout: askTimeout}
}

// Ask puts all checks at once. The decisions are always as many as the checks and in their order. The error is nil when
// each of them is [Allowed] or [Denied]; if any is [Unknown] it is a fault of kind Upstream (Invalid if the request
// could never be asked), and the decisions that are known stand beside it.
func (c *Client) Ask(ctx context.Context, r Request) ([]Decision, error) {
	unknown := slices.Repeat([]Decision{Unknown}, len(r.Checks))
	if err := r.Validate(); err != nil {
		return unknown, fault.New(fault.Invalid, "I cannot check this against your permissions, so I did nothing.", fmt.Errorf("fga request: %w", err))
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return unknown, couldNotCheck(fmt.Errorf("encode fga request: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, functionError, err := c.invoker.Invoke(ctx, c.function, payload)
	if err != nil {
		return unknown, couldNotCheck(fmt.Errorf("invoke %s: %w", c.function, err))
	}
	if functionError != "" {
		return unknown, couldNotCheck(fmt.Errorf("%s ended with function error %q", c.function, functionError))
	}
	var response Response
	if err := json.Unmarshal(answer, &response); err != nil {
		return unknown, couldNotCheck(fmt.Errorf("decode answer of %s: %w", c.function, err))
	}
	if got, want := len(response.Decisions), len(r.Checks); got != want {
		return unknown, couldNotCheck(fmt.Errorf("%s answered %d decisions to %d checks, reason %q", c.function, got, want, response.Reason))
	}
	if slices.Contains(response.Decisions, Unknown) {
		return response.Decisions, couldNotCheck(fmt.Errorf("%s could not ask, reason %q", c.function, response.Reason))
	}
	return response.Decisions, nil
}

func couldNotCheck(cause error) error {
	return fault.New(fault.Upstream, "I could not check your permissions, so I did nothing. Please try again in a moment.", cause)
}
