package lambdainvoke_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/lambdainvoke"
)

// client answers calls without a network, so that the pauses between attempts are those of a faked clock.
type client func(*http.Request) (*http.Response, error)

func (c client) Do(r *http.Request) (*http.Response, error) { return c(r) }

func invoker(c client) *lambdainvoke.Invoker {
	return lambdainvoke.New(aws.Config{
		Region: "eu-central-1", HTTPClient: c, Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
	})
}

// TestInvoke holds that a call is repeated only where the function cannot have run.
func TestInvoke(t *testing.T) {
	answer := func(h http.HandlerFunc) client {
		return func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			h(w, r)
			return w.Result(), nil
		}
	}
	problem := func(status int, code string) client {
		return answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", code)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"Type":"User","Message":"m"}`)
		})
	}
	broken := func(op string) client {
		return func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: op, Net: "tcp", Err: errors.New("connection refused or reset")}
		}
	}
	for name, tc := range map[string]struct {
		lambda        client
		want          string
		functionError string
		fails         bool
		calls         int
	}{
		"answers": {answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }), `{"ok":true}`, "", false, 1},
		"fails": {answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `{"errorMessage":"boom"}`)
		}), `{"errorMessage":"boom"}`, "Unhandled", false, 1},
		"throttled: it has not run, so it is asked again":     {problem(429, "TooManyRequestsException"), "", "", true, 3},
		"no connection: it has not run, so it is asked again": {broken("dial"), "", "", true, 3},
		"500: it may have run, so it is not":                  {problem(500, "ServiceException"), "", "", true, 1},
		"502: it may have run, so it is not":                  {problem(502, "EC2UnexpectedException"), "", "", true, 1},
		"the connection breaks: it may have run":              {broken("read"), "", "", true, 1},
		"no such function":                                    {problem(404, "ResourceNotFoundException"), "", "", true, 1},
		"not allowed":                                         {problem(403, "AccessDeniedException"), "", "", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				began := time.Now()
				got, functionError, err := invoker(func(r *http.Request) (*http.Response, error) {
					calls++
					body, _ := io.ReadAll(r.Body)
					if r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/fga-authorizer/invocations" || string(body) != `{"in":1}` {
						t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
					}
					if kind := r.Header.Get("X-Amz-Invocation-Type"); kind != "RequestResponse" {
						t.Errorf("invocation type %q", kind)
					}
					return tc.lambda(r)
				}).Invoke(t.Context(), "fga-authorizer", []byte(`{"in":1}`))
				if string(got) != tc.want || functionError != tc.functionError || (err != nil) != tc.fails {
					t.Errorf("Invoke() = %s, %q, %v", got, functionError, err)
				}
				if took := time.Since(began); calls != tc.calls || took > time.Second {
					t.Errorf("%d calls in %s, want %d within a second", calls, took, tc.calls)
				}
			})
		})
	}
}

func TestInvokeStopsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := invoker(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}).Invoke(ctx, "f", []byte(`{}`))
		if took := time.Since(began); err == nil || took != time.Second {
			t.Errorf("Invoke() = %v after %s", err, took)
		}
	})
}
