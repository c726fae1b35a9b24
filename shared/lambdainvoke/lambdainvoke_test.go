package lambdainvoke_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/lambdainvoke"
)

func invoker(endpoint string) *lambdainvoke.Invoker {
	return lambdainvoke.New(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
	})
}

func TestInvoke(t *testing.T) {
	problem := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", code)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"Type":"User","Message":"m"}`)
		}
	}
	for name, tc := range map[string]struct {
		answer        http.HandlerFunc
		want          string
		functionError string
		fails         bool
		calls         int32
	}{
		"answers": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }, `{"ok":true}`, "", false, 1},
		"fails": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `{"errorMessage":"boom"}`)
		}, `{"errorMessage":"boom"}`, "Unhandled", false, 1},
		"throttled: it has not run, so it is asked again": {problem(429, "TooManyRequestsException"), "", "", true, 3},
		"500: it may have run, so it is not":              {problem(500, "ServiceException"), "", "", true, 1},
		"502: it may have run, so it is not":              {problem(502, "EC2UnexpectedException"), "", "", true, 1},
		"no such function":                                {problem(404, "ResourceNotFoundException"), "", "", true, 1},
		"not allowed":                                     {problem(403, "AccessDeniedException"), "", "", true, 1},
		"the connection breaks": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}, "", "", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				body, _ := io.ReadAll(r.Body)
				if r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/fga-authorizer/invocations" || string(body) != `{"in":1}` {
					t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
				}
				if kind := r.Header.Get("X-Amz-Invocation-Type"); kind != "RequestResponse" {
					t.Errorf("invocation type %q", kind)
				}
				tc.answer(w, r)
			}))
			defer server.Close()
			got, functionError, err := invoker(server.URL).Invoke(t.Context(), "fga-authorizer", []byte(`{"in":1}`))
			if string(got) != tc.want || functionError != tc.functionError || (err != nil) != tc.fails {
				t.Errorf("Invoke() = %s, %q, %v", got, functionError, err)
			}
			if calls.Load() != tc.calls {
				t.Errorf("%d calls, want %d", calls.Load(), tc.calls)
			}
		})
	}
}

// TestNobodyThere: a refused connection ends as an error, not in waiting.
func TestNobodyThere(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	if _, _, err := invoker("http://"+address).Invoke(t.Context(), "f", nil); err == nil {
		t.Error("Invoke() of nobody succeeds")
	}
}

func TestInvokeStopsWithTheContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := invoker(server.URL).Invoke(ctx, "f", []byte(`{}`)); err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("Invoke() = %v after %s", err, time.Since(began))
	}
}
