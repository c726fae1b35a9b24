package awsconfig_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/steward-iam/steward/shared/awsconfig"
)

// writerTo is a body as smithy-go's: closed, its WriteTo answers io.EOF.
type writerTo struct{ io.Reader }

func (writerTo) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (writerTo) Close() error                     { return nil }

// TestTheRequestBodyIsRead holds that net/http never gets to see that a body could write itself out, whoever made the client.
func TestTheRequestBodyIsRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CA_BUNDLE", "")
	cfg, err := awsconfig.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, writerTo{strings.NewReader("whole")})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := cfg.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "whole" {
		t.Errorf("got %q, %v", got, err)
	}
	if awsconfig.Streaming(cfg.HTTPClient) != cfg.HTTPClient {
		t.Error("wrapped twice")
	}
}

// TestBriefGivesUpAnAttemptThatHangs holds that a table that hangs costs one attempt, not the function's whole time.
func TestBriefGivesUpAnAttemptThatHangs(t *testing.T) {
	var tries atomic.Int32
	hung := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			<-hung
			return
		}
		_, _ = w.Write([]byte("ok"))
	}))
	defer srv.Close()
	defer close(hung)
	client := awsconfig.Brief(aws.Config{}).HTTPClient
	for try := range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if (err == nil) != (try == 1) {
			t.Errorf("try %d: %v", try+1, err)
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestRetries holds that a throttled call is made three times within a second, and that a service that is down is left in
// peace once the quota of retries is used up.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		client := ssm.New(ssm.Options{
			Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), Retryer: awsconfig.Retryer(),
			HTTPClient: transport(func(*http.Request) (*http.Response, error) {
				attempts++
				body := io.NopCloser(strings.NewReader(`{"__type":"ThrottlingException"}`))
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: body}, nil
			}),
		})
		call := func() { _, _ = client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("p")}) }
		began := time.Now()
		call()
		if took := time.Since(began); attempts != 3 || took > time.Second {
			t.Errorf("%d attempts in %s, want 3 within a second", attempts, took)
		}
		for range 100 {
			call()
		}
		attempts = 0
		if call(); attempts != 1 {
			t.Errorf("%d attempts of a service that has been down for a hundred calls, want 1", attempts)
		}
	})
}
