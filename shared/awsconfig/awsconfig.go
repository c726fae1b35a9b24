// Package awsconfig loads the configuration of the official AWS clients, with limits for programs that a person waits for.
package awsconfig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Load returns the SDK's default configuration: region, credentials and endpoints from where every AWS tool takes them.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	cfg.HTTPClient = Streaming(cfg.HTTPClient)
	return cfg, nil
}

// tryTimeout bounds one attempt of a call that is answered at once or not at all.
const tryTimeout = 3 * time.Second

// Brief returns cfg for services that answer in milliseconds, such as tables and queues: an attempt that hangs is given up
// after three seconds and made again, rather than taking the whole time a function has.
func Brief(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.HTTPClient = Streaming(awshttp.NewBuildableClient().WithTimeout(tryTimeout))
	return cfg
}

// maxPause bounds the pause between two attempts. The SDK's own limit is 20 s.
const maxPause = 400 * time.Millisecond

// Retryer returns the SDK's standard retryer, with its three attempts and its quota, but with pauses of at most 400 ms. More
// options may follow.
func Retryer(options ...func(*retry.StandardOptions)) aws.Retryer {
	short := func(o *retry.StandardOptions) { o.MaxBackoff = maxPause }
	return retry.NewStandard(append([]func(*retry.StandardOptions){short}, options...)...)
}

// Streaming returns a client like next for answers that go on while the SDK has done with the request; nil is the SDK's own
// client, which has no overall time limit.
//
// smithy-go closes the request's body as soon as an answer has begun, and a closed one answers WriteTo with io.EOF
// instead of nil. If net/http is just then looking whether there is more of the body, it takes that for a failed write
// and closes the connection: the answer breaks off, or the request is sent a second time without anybody's knowledge.
// Over Read, io.EOF is what it should be: the end.
func Streaming(next aws.HTTPClient) aws.HTTPClient {
	switch c := next.(type) {
	case nil:
		return streaming{awshttp.NewBuildableClient()}
	case streaming:
		return c
	}
	return streaming{next}
}

type streaming struct{ next aws.HTTPClient }

func (c streaming) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
