package reach_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/secret"
)

// TestRateLimitsAreWaitedOut: a 429 is sent again, body and all, after the time it names; too long a time is somebody else's turn.
func TestRateLimitsAreWaitedOut(t *testing.T) {
	now := time.Unix(1000, 0)
	var refusals []http.Header
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(raw))
		if len(refusals) > 0 {
			for k, v := range refusals[0] {
				w.Header()[k] = v
			}
			refusals = refusals[1:]
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer s.Close()
	var waits []time.Duration
	p := &reach.Transport{Now: func() time.Time { return now }, Sleep: func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}}
	post := func() int {
		t.Helper()
		resp, err := p.Client().Post(s.URL, "text/plain", strings.NewReader("body")) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}

	refusals = []http.Header{{"Retry-After": {"7"}}, {"X-Ratelimit-Reset": {"1004"}}, {}}
	if got := post(); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 4 * time.Second, 3 * time.Second}, waits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"body", "body", "body", "body"}, bodies); diff != "" {
		t.Error(diff)
	}
	refusals, waits = []http.Header{{"Retry-After": {"3600"}}}, nil
	if got := post(); got != http.StatusTooManyRequests || waits != nil {
		t.Errorf("status %d after %v", got, waits)
	}
}

// TestCancelEndsTheWait: a person who stops the command does not wait.
func TestCancelEndsTheWait(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	p := &reach.Transport{OnWait: func(string, time.Duration) { cancel() }}
	_, _, err := reach.Machine(ctx, p.Client(), s.URL, "id", secret.New("canary"), "aud")
	if say, ok := reach.Explain(err); !ok || say != "you stopped it" {
		t.Errorf("%v, %q", err, say)
	}
}

// TestExplain puts the network's errors into words, and leaves everything else alone.
func TestExplain(t *testing.T) {
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}))
	defer broken.Close()
	for address, want := range map[string]string{
		"http://127.0.0.1:1/":          "127.0.0.1:1 cannot be reached",
		"http://no-such-host.invalid/": "no-such-host.invalid",
		tls.URL:                        "certificate",
		broken.URL:                     "broke off",
	} {
		_, _, err := reach.Machine(t.Context(), (&reach.Transport{}).Client(), address, "id", secret.New("canary"), "aud")
		if say, ok := reach.Explain(err); !ok || !strings.Contains(say, want) || strings.Contains(say, "canary") {
			t.Errorf("%s: %q (%v), want %q", address, say, err, want)
		}
	}
	if say, ok := reach.Explain(errors.New("something else")); ok {
		t.Errorf("explained: %q", say)
	}
}

// TestOnlyLoopbackIsPlain: only loopback addresses may be spoken to over http.
func TestOnlyLoopbackIsPlain(t *testing.T) {
	asked := ""
	p := &reach.Transport{Plain: map[string]bool{"acme.auth0.com": true, "localhost:1": true}, Base: transport(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
	})}
	for address, want := range map[string]string{"https://acme.auth0.com/x": "https://acme.auth0.com/x", "https://localhost:1/x": "http://localhost:1/x"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.RoundTrip(req)
		if err != nil || asked != want {
			t.Errorf("%s: asked %s, %v", address, asked, err)
		}
		_ = resp.Body.Close()
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
