package awsconfig_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/awsconfig"
)

var service = awsconfig.Service{ID: "Secrets Manager", Name: "secretsmanager"}

type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

func config(client aws.HTTPClient) aws.Config {
	return aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "canary-secret", "token"), HTTPClient: client}
}

func answer(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func TestTheCallIsSigned(t *testing.T) {
	cfg := config(transport(func(r *http.Request) (*http.Response, error) {
		if got := r.URL.String(); got != "https://secretsmanager.eu-central-1.amazonaws.com/a%3Ab?q=1" {
			t.Errorf("url %s", got)
		}
		got := r.Header.Get("Authorization")
		for _, want := range []string{"AWS4-HMAC-SHA256 Credential=AKID/", "/eu-central-1/secretsmanager/aws4_request", "x-amz-security-token", "x-extra"} {
			if !strings.Contains(got, want) {
				t.Errorf("authorization %q lacks %q", got, want)
			}
		}
		if got := r.Header.Get("X-Amzn-Trace-Id"); got != "Root=1-2-3" {
			t.Errorf("trace %q", got)
		}
		if body, _ := io.ReadAll(r.Body); string(body) != "body" || r.ContentLength != 4 {
			t.Errorf("body %q of %d", body, r.ContentLength)
		}
		return answer(200, nil, "ok"), nil
	}))
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root=1-2-3") //nolint:revive,staticcheck // the key that aws-lambda-go uses
	resp, err := awsconfig.New(cfg, service, nil).Do(ctx, awsconfig.Call{Method: "PUT", Path: "/a%3Ab?q=1", Header: http.Header{"X-Extra": {"1"}}, Body: []byte("body")})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// TestRefusals: the SDK's own error types, the code from wherever the service puts it, repeated where that may help.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		code   string
		calls  int
	}{
		"code in the header":        {404, http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException:http://internal/"}}, `{"Message":"m"}`, "ResourceNotFoundException", 1},
		"code in the body":          {400, nil, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"m"}`, "AccessDeniedException", 1},
		"code under its plain name": {400, nil, `{"code":"ValidationException","message":"m"}`, "ValidationException", 1},
		"throttled":                 {400, nil, `{"__type":"ThrottlingException","message":"m"}`, "ThrottlingException", 3},
		"down":                      {503, nil, `<html>`, "UnknownError", 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				cfg := config(transport(func(*http.Request) (*http.Response, error) {
					calls++
					h := tc.header.Clone()
					if h == nil {
						h = http.Header{}
					}
					h.Set("X-Amzn-Requestid", "request-1")
					return answer(tc.status, h, tc.body), nil
				}))
				err := awsconfig.New(cfg, service, nil).JSON(t.Context(), "x.Y", struct{}{}, &struct{}{})
				api, ok := errors.AsType[smithy.APIError](err)
				if !ok || api.ErrorCode() != tc.code {
					t.Errorf("error %v, want code %s", err, tc.code)
				}
				if resp, ok := errors.AsType[*awshttp.ResponseError](err); !ok || resp.HTTPStatusCode() != tc.status || resp.ServiceRequestID() != "request-1" {
					t.Errorf("response error %v", err)
				}
				if calls != tc.calls {
					t.Errorf("%d calls, want %d", calls, tc.calls)
				}
			})
		})
	}
}

func TestAnAnswerThatIsNoJSONIsNotQuoted(t *testing.T) {
	cfg := config(transport(func(*http.Request) (*http.Response, error) { return answer(200, nil, "canary-value"), nil }))
	err := awsconfig.New(cfg, service, nil).JSON(t.Context(), "x.Y", struct{}{}, &struct{}{})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// TestEndpoint: the addresses of the SDK's own configuration are used, the service's before the common one.
func TestEndpoint(t *testing.T) {
	place := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"At":"`+name+`"}`) }))
		t.Cleanup(s.Close)
		return s.URL + "/"
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CA_BUNDLE", "")
	t.Setenv("AWS_ENDPOINT_URL", place("common"))
	get := func() string {
		cfg, err := awsconfig.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out struct{ At string }
		if err := awsconfig.New(cfg, service, nil).JSON(t.Context(), "x.Y", struct{}{}, &out); err != nil {
			t.Fatal(err)
		}
		return out.At
	}
	if got := get(); got != "common" {
		t.Errorf("got %q", got)
	}
	t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", place("own"))
	if got := get(); got != "own" {
		t.Errorf("got %q", got)
	}
}

func TestWithoutRegionOrCredentials(t *testing.T) {
	never := transport(func(*http.Request) (*http.Response, error) { t.Error("called"); return nil, net.ErrClosed })
	for _, cfg := range []aws.Config{
		{HTTPClient: never, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")},
		{HTTPClient: never, Region: "eu-central-1"},
	} {
		if err := awsconfig.New(cfg, service, nil).JSON(t.Context(), "x.Y", struct{}{}, &struct{}{}); err == nil {
			t.Error("no error")
		}
	}
}

// writerTo is a body as smithy-go's: closed, its WriteTo answers io.EOF.
type writerTo struct{ io.Reader }

func (writerTo) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (writerTo) Close() error                     { return nil }

// TestABodyIsRead: net/http never gets to see that a body could write itself out, whoever made the client.
func TestABodyIsRead(t *testing.T) {
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
	if awsconfig.Plain(cfg.HTTPClient) != cfg.HTTPClient {
		t.Error("wrapped twice")
	}
}

// A table that hangs costs one try, not the function's whole time.
func TestBriefGivesUpOnATryThatHangs(t *testing.T) {
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
