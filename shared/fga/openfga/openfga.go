// Package openfga is the client of OpenFGA and Auth0 FGA, over the vendor's SDK.
//
// It is imported by the fga-authorizer function alone; everybody else asks that function through package fga. What the
// SDK (github.com/openfga/go-sdk v0.8.2) would do by itself and must not do here is taken from it:
//
//   - It waits between retries with time.Sleep, up to half an hour if a Retry-After says so, whatever the context says.
//     Its retries are off; the one retry we allow is in [authTransport], and waits with the context.
//   - Its token source is asked again on each retry, so a failing token endpoint is called sixteen times, and it keeps
//     a token that the API has refused. The machine token is fetched by [tokens] instead.
//   - Its default HTTP client never times out. Ours does.
//
// The authorization model is pinned: without a model id the newest model of the store would answer, whoever wrote it.
package openfga

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/openfga/go-sdk"
	"github.com/openfga/go-sdk/client"

	"github.com/steward-iam/steward/shared/fga"
)

// Budgets of one Ask. OpenFGA itself gives up after three seconds.
const (
	askTimeout    = 4 * time.Second        // everything: token, check, retry
	headerTimeout = 2 * time.Second        // from a request sent to its answer beginning
	dialTimeout   = time.Second            // TCP, and the same again for TLS
	retryPause    = 100 * time.Millisecond // before the one retry, unless the answer names a time
	maxRetryPause = time.Second            // an answer that asks for more is final
)

// Config says which store is asked and how.
type Config struct {
	APIURL  *url.URL
	StoreID string
	ModelID string
	// Credentials is nil for an OpenFGA without authentication.
	Credentials *Credentials
	// Transport replaces the transport to both API and token endpoint; nil is the usual one, with our time-outs.
	Transport http.RoundTripper
}

// Client asks one store about one authorization model. Make one a process; it is safe for concurrent use.
type Client struct {
	sdk     *client.OpenFgaClient
	modelID string
}

// New makes a client and calls nobody. It fails on ids that are not ULIDs and on unusable URLs.
func New(cfg Config) (*Client, error) {
	transport := cfg.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
		t.TLSHandshakeTimeout = dialTimeout
		t.ResponseHeaderTimeout = headerTimeout
		transport = t
	}
	auth := &authTransport{base: transport}
	if cfg.Credentials != nil {
		auth.tokens = newTokens(*cfg.Credentials, transport)
	}
	if cfg.StoreID == "" || cfg.ModelID == "" {
		return nil, errors.New("store id and model id are needed")
	}
	c, err := client.NewSdkClient(&client.ClientConfiguration{
		ApiUrl:               strings.TrimSuffix(cfg.APIURL.String(), "/"),
		StoreId:              cfg.StoreID,
		AuthorizationModelId: cfg.ModelID,
		HTTPClient:           &http.Client{Transport: auth, Timeout: askTimeout},
		RetryParams:          &sdk.RetryParams{MaxRetry: 0, MinWaitInMs: 1},
	})
	if err != nil {
		return nil, fmt.Errorf("configure OpenFGA client: %w", err)
	}
	return &Client{sdk: c, modelID: cfg.ModelID}, nil
}

// Ask puts the checks of a valid request: one alone as a Check, several as one BatchCheck. The response is always
// complete, one decision for each check. The error is what the log should know when any of them is unknown.
func (c *Client) Ask(ctx context.Context, r fga.Request) (fga.Response, error) {
	res := fga.Response{Decisions: make([]fga.Decision, len(r.Checks)), ModelID: c.modelID}
	for i := range res.Decisions {
		res.Decisions[i] = fga.Unknown
	}
	if err := r.Validate(); err != nil {
		res.Reason = fga.ReasonInvalid
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	consistency := sdk.CONSISTENCYPREFERENCE_MINIMIZE_LATENCY
	if r.Higher {
		consistency = sdk.CONSISTENCYPREFERENCE_HIGHER_CONSISTENCY
	}
	var err error
	if len(r.Checks) == 1 {
		err = c.check(ctx, r.Checks[0], consistency, res.Decisions)
	} else {
		err = c.batch(ctx, r.Checks, consistency, res.Decisions)
	}
	if err != nil {
		res.Reason, err = explain(ctx, err)
	}
	return res, err
}

func (c *Client) check(ctx context.Context, check fga.Check, consistency sdk.ConsistencyPreference, decisions []fga.Decision) error {
	answer, err := c.sdk.Check(ctx).
		Body(client.ClientCheckRequest{
			User: check.User, Relation: check.Relation, Object: check.Object,
			ContextualTuples: contextual(check),
		}).
		Options(client.ClientCheckOptions{Consistency: &consistency}).
		Execute()
	if err != nil {
		return err
	}
	allowed, ok := answer.GetAllowedOk()
	if !ok {
		return errNoAnswer
	}
	decisions[0] = decide(*allowed)
	return nil
}

func (c *Client) batch(ctx context.Context, checks []fga.Check, consistency sdk.ConsistencyPreference, decisions []fga.Decision) error {
	body := client.ClientBatchCheckRequest{Checks: make([]client.ClientBatchCheckItem, len(checks))}
	for i, check := range checks {
		body.Checks[i] = client.ClientBatchCheckItem{
			User: check.User, Relation: check.Relation, Object: check.Object,
			ContextualTuples: contextual(check),
			CorrelationId:    strconv.Itoa(i),
		}
	}
	answer, err := c.sdk.BatchCheck(ctx).Body(body).Options(client.BatchCheckOptions{Consistency: &consistency}).Execute()
	if err != nil {
		return err
	}
	results := answer.GetResult()
	var first error
	for i := range decisions {
		// An id that is missing, or that we did not send, is not an answer to anything.
		result, ok := results[strconv.Itoa(i)]
		switch allowed, has := result.GetAllowedOk(); {
		case ok && result.Error != nil:
			err = itemError{*result.Error}
		case !ok || !has:
			err = errNoAnswer
		default:
			decisions[i] = decide(*allowed)
			continue
		}
		if first == nil {
			first = fmt.Errorf("check %d of %d: %w", i, len(checks), err)
		}
	}
	return first
}

func contextual(check fga.Check) []client.ClientContextualTupleKey {
	keys := make([]client.ClientContextualTupleKey, len(check.Contextual))
	for i, t := range check.Contextual {
		keys[i] = client.ClientContextualTupleKey{User: t.User, Relation: t.Relation, Object: t.Object}
	}
	return keys
}

func decide(allowed bool) fga.Decision {
	if allowed {
		return fga.Allowed
	}
	return fga.Denied
}

var errNoAnswer = errors.New("the answer does not say whether it is allowed")

// itemError is the error of one check of a batch.
type itemError struct{ sdk.CheckError }

func (e itemError) Error() string {
	if e.InputError != nil {
		return "input error " + string(*e.InputError)
	}
	if e.InternalError != nil {
		return "internal error " + string(*e.InternalError)
	}
	return "error without a code"
}

// explain gives the reason for an unknown decision, and an error made of status, code and request id. The SDK's own
// error text is dropped: it quotes the answer, which quotes the person.
func explain(ctx context.Context, err error) (fga.Reason, error) {
	if e, ok := errors.AsType[*tokenError](err); ok {
		return e.reason(), e
	}
	if e, ok := errors.AsType[itemError](err); ok {
		if e.InputError != nil {
			return fga.ReasonRefused, err
		}
		return fga.ReasonUpstream, err
	}
	if errors.Is(err, errNoAnswer) {
		return fga.ReasonUpstream, err
	}
	if e, ok := errors.AsType[apiError](err); ok {
		return byStatus(e.ResponseStatusCode()), fmt.Errorf("OpenFGA answered %d %s (request %s)", e.ResponseStatusCode(), code(err), e.RequestId())
	}
	if n, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && n.Timeout() {
		return fga.ReasonTimeout, fmt.Errorf("no answer from OpenFGA in time: %w", cause(err))
	}
	return fga.ReasonUpstream, fmt.Errorf("call OpenFGA: %w", cause(err))
}

// apiError is what the SDK's error values have in common.
type apiError interface {
	error
	ResponseStatusCode() int
	RequestId() string
}

func byStatus(status int) fga.Reason {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fga.ReasonCredentials
	case http.StatusTooManyRequests:
		return fga.ReasonThrottled
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return fga.ReasonRefused
	}
	return fga.ReasonUpstream
}

func code(err error) string {
	if e, ok := errors.AsType[sdk.FgaApiValidationError](err); ok {
		return string(e.ResponseCode())
	}
	if e, ok := errors.AsType[sdk.FgaApiInternalError](err); ok {
		return string(e.ResponseCode())
	}
	if e, ok := errors.AsType[interface {
		error
		ResponseCode() string
	}](err); ok {
		return e.ResponseCode()
	}
	return ""
}

// cause unwraps what net/http adds; the URL holds the store id, nothing secret, but says nothing new either.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
