package parameter_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/parameter"
)

func TestAddress(t *testing.T) {
	answers := []string{`{"__type":"ParameterNotFound"}`, `{"Parameter":{"Value":"http://elsewhere.example"}}`, `{"Parameter":{"Value":"https://chat.example/"}}`}
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls == 0 {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(answers[min(calls, len(answers)-1)]))
		calls++
	}))
	defer s.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "canary-secret", "")}

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
