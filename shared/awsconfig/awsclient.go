// Package awsconfig loads the AWS configuration of the functions, with a transport that is safe for long answers.
//
// The generated client of a service builds a description of all its operations before main, up to 3 ms of every cold
// start. Client sends one request as such a client would: to the endpoint that the configuration names, signed with
// Signature Version 4, repeated as its retryer says, with the SDK's own error types.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
package awsconfig

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Load is the SDK's default configuration: region, credentials and endpoints from where every AWS tool takes them.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	cfg.HTTPClient = Plain(cfg.HTTPClient)
	return cfg, nil
}

const maxPause = 400 * time.Millisecond

// Service is what a Client must know of the service it calls.
type Service struct {
	ID   string // as in the SDK; AWS_ENDPOINT_URL_… is named after it
	Name string // in the endpoint's host name and in signatures
	JSON string // version of the AWS JSON protocol it speaks; "" is 1.1
}

// Client calls one service. It is safe for concurrent use.
type Client struct {
	cfg     aws.Config
	service Service
	retryer aws.Retryer
	signer  *v4.Signer
	http    aws.HTTPClient
}

// New makes a Client and calls nobody. A nil retryer repeats what the SDK's standard one does, for calls without effect,
// but with short pauses: a person waits.
func New(cfg aws.Config, service Service, retryer aws.Retryer) *Client {
	if retryer == nil {
		retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff = maxPause
			if cfg.RetryMaxAttempts > 0 {
				o.MaxAttempts = cfg.RetryMaxAttempts
			}
		})
	}
	return &Client{cfg: cfg, service: service, retryer: retryer, signer: v4.NewSigner(), http: Plain(cfg.HTTPClient)}
}

// Call is one request. Path is escaped, and may end in a query.
type Call struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// Do makes the call and returns its answer, of status 2xx, for the caller to read and close. Any other answer is an error
// that holds a smithy.APIError and an *awshttp.ResponseError.
func (c *Client) Do(ctx context.Context, call Call) (*http.Response, error) {
	endpoint, err := c.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		resp, err := c.try(ctx, endpoint, call)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil || attempt >= c.retryer.MaxAttempts() || !c.retryer.IsErrorRetryable(err) {
			return nil, err
		}
		pause, delayErr := c.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

func (c *Client) try(ctx context.Context, endpoint string, call Call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, call.Method, endpoint+call.Path, bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range call.Header {
		req.Header[name] = values
	}
	if trace, ok := ctx.Value("x-amzn-trace-id").(string); ok { // the Lambda runtime's, so that X-Ray sees one trace
		req.Header.Set("X-Amzn-Trace-Id", trace)
	}
	if c.cfg.Credentials == nil {
		return nil, errors.New("no AWS credentials")
	}
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	sum := sha256.Sum256(call.Body)
	if err := c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), c.service.Name, c.cfg.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if resp.StatusCode/100 != 2 {
		return nil, refusal(resp)
	}
	return resp, nil
}

const maxRefusal = 64 << 10

// refusal reads an error as the JSON protocols write it: its code in a header or in the body.
func refusal(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what cannot be read is an error without a code
	var wire struct {
		Type    string `json:"__type"`
		Code    string
		Message string
	}
	_ = json.Unmarshal(raw, &wire)
	code := resp.Header.Get("X-Amzn-Errortype")
	if code == "" {
		code = wire.Type
	}
	if code == "" {
		code = wire.Code
	}
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	if code == "" {
		code = "UnknownError"
	}
	who := smithy.FaultClient
	if resp.StatusCode >= 500 {
		who = smithy.FaultServer
	}
	return &awshttp.ResponseError{
		RequestID: resp.Header.Get("X-Amzn-Requestid"),
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: resp},
			Err:      &smithy.GenericAPIError{Code: code, Message: wire.Message, Fault: who},
		},
	}
}

const maxAnswer = 1 << 20

// JSON calls an operation of a service that speaks AWS JSON.
//
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html and …-1_1-protocol.html
func (c *Client) JSON(ctx context.Context, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the input of %s: %w", target, err)
	}
	resp, err := c.Do(ctx, Call{Method: http.MethodPost, Path: "/", Body: body, Header: http.Header{
		"Content-Type": {"application/x-amz-json-" + cmp.Or(c.service.JSON, "1.1")}, "X-Amz-Target": {target},
	}})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", target, err)
	}
	if json.Unmarshal(raw, out) != nil { // its error may quote the answer, which may be a secret
		return fmt.Errorf("the answer to %s is not the JSON of one", target)
	}
	return nil
}

// endpoint is where the SDK would send the call: a configured address, the service's own first, or the region's.
func (c *Client) endpoint(ctx context.Context) (string, error) {
	for _, source := range c.cfg.ConfigSources {
		if p, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		}); ok {
			if to, found, err := p.GetServiceBaseEndpoint(ctx, c.service.ID); err != nil || found {
				return strings.TrimSuffix(to, "/"), err
			}
		}
	}
	switch {
	case c.cfg.BaseEndpoint != nil:
		return strings.TrimSuffix(*c.cfg.BaseEndpoint, "/"), nil
	case c.cfg.Region == "":
		return "", errors.New("no AWS region")
	case strings.HasPrefix(c.cfg.Region, "cn-"):
		return "https://" + c.service.Name + "." + c.cfg.Region + ".amazonaws.com.cn", nil
	}
	return "https://" + c.service.Name + "." + c.cfg.Region + ".amazonaws.com", nil
}
