package okta_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

// handlerTransport carries requests to a handler without a network, so that the time of a synctest bubble passes while
// they wait.
type handlerTransport struct{ http.Handler }

func (d *handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		d.ServeHTTP(rec, r)
	}()
	select {
	case p := <-done:
		if p != nil {
			return nil, errors.New("the connection was closed")
		}
		return rec.Result(), nil
	case <-r.Context().Done():
		<-done
		return nil, r.Context().Err()
	}
}

// inBubble runs a test in a synctest bubble, against an org inside it. The client is made outside, because the SDK
// starts a goroutine that never ends.
func inBubble(t *testing.T, opts oktatest.Options, o okta.Options, test func(*testing.T, *fixture)) {
	t.Helper()
	const address = "https://example.okta.test"
	transport := &handlerTransport{}
	o.Transport = transport
	client := newClient(t, address, o)
	synctest.Test(t, func(t *testing.T) {
		org := oktatest.New(opts)
		transport.Handler = org
		test(t, &fixture{org, t, address, client})
	})
}

var resetPassword = one((*client).ResetPassword, oktatest.Bob)

func TestRateLimit(t *testing.T) {
	limited := func(times int, reset time.Duration) faults.Fault {
		return faults.Fault{Status: 429, Times: times, Limit: reset}
	}
	concurrency := limited(1, 3*time.Second)
	concurrency.Header = http.Header{"X-Rate-Limit-Limit": {"0"}}
	for _, c := range []struct {
		name     string
		fault    faults.Fault
		do       call
		budget   time.Duration
		kind     okta.Kind
		requests int
		took     time.Duration
	}{
		{"waits until the bucket is full again", limited(1, 7*time.Second), me, time.Minute, "", 2, 7 * time.Second},
		{"also before a change, which was not made", limited(1, 7*time.Second), resetPassword, time.Minute, "", 2, 7 * time.Second},
		{"at least a second", limited(1, -5*time.Second), me, time.Minute, "", 2, time.Second},
		{"does not wait past the deadline", limited(0, 30*time.Second), me, 20 * time.Second, okta.KindRateLimited, 1, 0},
		{"gives up", limited(0, 2*time.Second), me, time.Minute, okta.KindRateLimited, 3, 4 * time.Second},
		{"concurrency", concurrency, me, time.Minute, "", 2, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, oktatest.Options{}, okta.Options{Timeout: time.Hour}, func(t *testing.T, f *fixture) {
				f.Fail(c.fault)
				ctx, cancel := context.WithTimeout(f.as(oktatest.Frank), c.budget)
				defer cancel()
				began := time.Now()
				_, err := c.do(ctx, f.client)
				if okta.KindOf(err) != c.kind || len(f.Requests()) != c.requests || time.Since(began) != c.took {
					t.Errorf("%d requests in %v: %v; want %d in %v, kind %q", len(f.Requests()), time.Since(began), err, c.requests, c.took, c.kind)
				}
				if e, ok := errors.AsType[*okta.Error](err); ok {
					if got := time.Until(e.Reset); got < 0 || got > 30*time.Second || okta.Unknown(err) {
						t.Errorf("reset in %v, unknown %v", got, okta.Unknown(err))
					}
					if fault.KindOf(okta.Fault(err)) != fault.Upstream {
						t.Error("a rate limit is the upstream's")
					}
				}
			})
		})
	}
}

// With the org's own rate limit the client waits for the rest of the minute.
func TestRateLimitOfTheOrg(t *testing.T) {
	inBubble(t, oktatest.Options{RateLimit: 0.01}, okta.Options{Timeout: 2 * time.Minute}, func(t *testing.T, f *fixture) {
		ctx, began := f.as(oktatest.Frank), time.Now()
		for range 7 { // one more than the bucket holds
			if _, err := f.client.FindUsers(ctx, "sam", 5); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(began); got != time.Minute {
			t.Errorf("took %v, want the rest of the window", got)
		}
	})
}

func TestServerErrorsAndSlowAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		fault    faults.Fault
		do       call
		kind     okta.Kind
		unknown  bool
		requests int
	}{
		{"a read is repeated", faults.Fault{Status: 503, Times: 2}, me, "", false, 3},
		{"but not for ever", faults.Fault{Status: 500}, me, okta.KindUnavailable, false, 3},
		{"a change is not", faults.Fault{Status: 503}, resetPassword, okta.KindUnavailable, true, 1},
		{"a slow read is repeated", faults.Fault{Delay: time.Minute, Times: 1}, me, "", false, 2},
		{"a slow change is not", faults.Fault{Delay: time.Minute}, resetPassword, okta.KindTimeout, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, oktatest.Options{}, okta.Options{}, func(t *testing.T, f *fixture) {
				f.Fail(c.fault)
				began := time.Now()
				_, err := c.do(f.as(oktatest.Frank), f.client)
				if okta.KindOf(err) != c.kind || okta.Unknown(err) != c.unknown || len(f.Requests()) != c.requests {
					t.Errorf("%d requests, unknown %v, %v", len(f.Requests()), okta.Unknown(err), err)
				}
				if took := time.Since(began); took > 25*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A call ends at the client's own time-out, even if the caller's context has no deadline.
func TestCallEndsAtItsTimeout(t *testing.T) {
	inBubble(t, oktatest.Options{}, okta.Options{}, func(t *testing.T, f *fixture) {
		f.Fail(faults.Fault{Delay: time.Hour})
		began := time.Now()
		if _, err := me(f.as(oktatest.Frank), f.client); okta.KindOf(err) != okta.KindTimeout {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCancelledCallIsNotSent(t *testing.T) {
	f := start(t, oktatest.Options{})
	ctx, cancel := context.WithCancel(f.as(oktatest.Frank))
	cancel()
	if _, err := resetPassword(ctx, f.client); okta.KindOf(err) != okta.KindTimeout || okta.Unknown(err) {
		t.Errorf("unknown %v, %v", okta.Unknown(err), err)
	}
	if n := len(f.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func sayOf(err error) string {
	if f, ok := errors.AsType[*fault.Error](okta.Fault(err)); ok {
		return f.Say
	}
	return ""
}

// Each kind has a sentence of its own for people, which quotes nothing of the cause, and keeps the cause for the log.
func TestEveryKindHasItsOwnSentence(t *testing.T) {
	seen := map[string]okta.Kind{}
	for kind, want := range map[okta.Kind]fault.Kind{
		okta.KindToken: fault.Unauthenticated, okta.KindScope: fault.Denied, okta.KindRole: fault.Denied, okta.KindInvalid: fault.Invalid,
		okta.KindNotFound: fault.NotFound, okta.KindState: fault.Conflict, okta.KindConflict: fault.Conflict, okta.KindUnsupported: fault.Invalid,
		okta.KindRateLimited: fault.Upstream, okta.KindUnavailable: fault.Upstream, okta.KindTimeout: fault.Upstream,
		okta.KindUnreachable: fault.Upstream, okta.KindGarbled: fault.Upstream,
	} {
		err := &okta.Error{Kind: kind, Code: "E0000007", Err: errors.New("canary")}
		say := sayOf(err)
		if other, ok := seen[say]; ok || say == "" || strings.Contains(say, "canary") {
			t.Errorf("%s says %q, as %q does", kind, say, other)
		}
		seen[say] = kind
		if got := okta.Fault(err); fault.KindOf(got) != want || !errors.Is(got, err) {
			t.Errorf("%s is %v, want %s with its cause", kind, got, want)
		}
	}
	if err := errors.New("foreign"); okta.Fault(err) != err { //nolint:errorlint // the very same
		t.Error("a foreign error was changed")
	}
	if okta.Fault(nil) != nil {
		t.Error("nil became a fault")
	}
}
