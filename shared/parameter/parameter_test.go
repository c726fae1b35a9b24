package parameter_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/parameter"
)

func store(t *testing.T, h http.Handler) *parameter.Store {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return parameter.New(aws.Config{Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "canary-secret", "token")})
}

func TestGet(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4} { // throttled now and then
		account := awstest.New(awstest.Options{Seed: seed, Parameters: map[string]string{"/steward/base-url": "https://steward.example"}})
		s := store(t, account)
		got, err := s.Get(t.Context(), "/steward/base-url")
		if err != nil || got != "https://steward.example" {
			t.Errorf("seed %d: got %q, %v", seed, got, err)
		}
		if got, err := s.Get(t.Context(), "/steward/other"); err == nil || !strings.Contains(err.Error(), "ParameterNotFound") {
			t.Errorf("seed %d: got %q, %v", seed, got, err)
		}
	}
}

func TestTheCallIsSigned(t *testing.T) {
	s := store(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=AKID/") || !strings.Contains(got, "/us-east-1/ssm/aws4_request") || !strings.Contains(got, "x-amz-target") {
			t.Errorf("authorization %q", got)
		}
		if r.Header.Get("X-Amz-Security-Token") != "token" {
			t.Error("no session token")
		}
		_, _ = w.Write([]byte(`{"Parameter":{"Value":"x"}}`))
	}))
	if got, err := s.Get(t.Context(), "p"); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		calls  int
	}{
		"denied":    {400, `{"__type":"com.amazon.coral.service#AccessDeniedException"}`, 1},
		"throttled": {400, `{"__type":"ThrottlingException"}`, 3},
		"broken":    {503, "<html>", 3},
		"garbage":   {200, "<html>", 1},
		"empty":     {200, `{"Parameter":{"Value":""}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := store(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			got, err := s.Get(t.Context(), "p")
			if err == nil || got != "" || calls != test.calls || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %q, %v after %d calls, want %d", got, err, calls, test.calls)
			}
		})
	}
}

// TestEndpoint: the addresses of the SDK's own configuration are used, of the service before the common one.
func TestEndpoint(t *testing.T) {
	answer := func(value string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"Parameter":{"Value":"` + value + `"}}`))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_ENDPOINT_URL", answer("common"))
	get := func() string {
		cfg, err := config.LoadDefaultConfig(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got, err := parameter.New(cfg).Get(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := get(); got != "common" {
		t.Errorf("got %q", got)
	}
	t.Setenv("AWS_ENDPOINT_URL_SSM", answer("own"))
	if got := get(); got != "own" {
		t.Errorf("got %q", got)
	}
}
