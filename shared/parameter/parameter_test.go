package parameter_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/parameter"
)

// client calls a handler without a network, so that the pauses between attempts are those of a faked clock.
type client struct{ http.Handler }

func (c client) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result(), nil
}

func config(h http.Handler) aws.Config {
	return aws.Config{Region: "us-east-1", HTTPClient: client{h}, Credentials: credentials.NewStaticCredentialsProvider("AKID", "canary-secret", "token")}
}

func TestAddress(t *testing.T) {
	answers := []string{`{"__type":"ParameterNotFound"}`, `{"Parameter":{"Value":"http://elsewhere.example"}}`, `{"Parameter":{"Value":"https://chat.example/"}}`}
	calls := 0
	cfg := config(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls == 0 {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(answers[min(calls, len(answers)-1)]))
		calls++
	}))
	if parameter.Address(cfg, nil, "") != nil {
		t.Error("an address out of nothing")
	}
	fixed := &url.URL{Scheme: "https", Host: "fixed.example"}
	if got, err := parameter.Address(cfg, fixed, "/unread")(t.Context()); got != fixed || err != nil || calls != 0 {
		t.Errorf("fixed: got %v, %v after %d calls", got, err, calls)
	}
	address := parameter.Address(cfg, nil, "/steward/base-url")
	for try, want := range []string{"", "", "https://chat.example/", "https://chat.example/"} { // not there, plain http, there, remembered
		got, err := address(t.Context())
		if (want == "") != (err != nil) || (err == nil && got.String() != want) {
			t.Errorf("try %d: got %v, %v, want %q", try+1, got, err, want)
		}
	}
	if calls != 3 {
		t.Errorf("read %d times, want 3: once it is known it is not read again", calls)
	}
}

func TestAddressFromAnAccountThatThrottlesNowAndThen(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config(awstest.New(awstest.Options{Chaos: seed, Parameters: map[string]string{"/steward/base-url": "https://steward.example"}}))
			if got, err := parameter.Address(cfg, nil, "/steward/base-url")(t.Context()); err != nil || got.String() != "https://steward.example" {
				t.Errorf("seed %d: got %v, %v", seed, got, err)
			}
			if got, err := parameter.Address(cfg, nil, "/steward/other")(t.Context()); err == nil || !strings.Contains(err.Error(), "ParameterNotFound") {
				t.Errorf("seed %d: got %v, %v", seed, got, err)
			}
		})
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
		"nothing":   {200, `{}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				cfg := config(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					calls++
					w.WriteHeader(test.status)
					_, _ = w.Write([]byte(test.body))
				}))
				got, err := parameter.Address(cfg, nil, "p")(t.Context())
				if err == nil || got != nil || calls != test.calls || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v, %v after %d calls, want %d", got, err, calls, test.calls)
				}
			})
		})
	}
}
