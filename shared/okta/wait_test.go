package okta_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

// direct carries requests to a handler without a network, so that time in a
// bubble can pass while they wait.
type direct struct{ http.Handler }

func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
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

// bubble runs a test in a bubble of its own time, against an org inside it. The
// client is made outside, for the SDK starts a goroutine that never ends.
func bubble(t *testing.T, opts oktatest.Options, o okta.Options, f func(*testing.T, *world)) {
	t.Helper()
	carrier := &direct{}
	o.Transport = carrier
	client := newClient(t, "https://example.okta.test", o)
	synctest.Test(t, func(t *testing.T) {
		org := oktatest.New(opts)
		carrier.Handler = org
		f(t, &world{org, t, "https://example.okta.test", client})
	})
}

func me(ctx context.Context, c *okta.Client) error { _, _, err := c.Me(ctx); return err }

func resetPassword(ctx context.Context, c *okta.Client) error {
	_, err := c.ResetPassword(ctx, oktatest.Bob)
	return err
}

func TestRateLimit(t *testing.T) {
	limited := func(times int, reset time.Duration) faults.Fault {
		return faults.Fault{Status: 429, Times: times, Limit: reset}
	}
	for _, c := range []struct {
		name     string
		fault    faults.Fault
		do       func(context.Context, *okta.Client) error
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
		{"concurrency", faults.Fault{Status: 429, Header: http.Header{"X-Rate-Limit-Limit": {"0"}}, Times: 1, Limit: 3 * time.Second}, me, time.Minute, "", 2, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, oktatest.Options{}, okta.Options{Timeout: time.Hour}, func(t *testing.T, w *world) {
				w.Fail(c.fault)
				ctx, cancel := context.WithTimeout(w.as(oktatest.Frank), c.budget)
				defer cancel()
				began := time.Now()
				err := c.do(ctx, w.client)
				if okta.KindOf(err) != c.kind || len(w.Requests()) != c.requests || time.Since(began) != c.took {
					t.Errorf("%d requests in %v: %v; want %d in %v, kind %q", len(w.Requests()), time.Since(began), err, c.requests, c.took, c.kind)
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

// The org's own buckets work as published: six hundred searches a minute, then
// a wait until the window is over.
func TestRateLimitOfTheOrg(t *testing.T) {
	bubble(t, oktatest.Options{RateLimit: 0.01}, okta.Options{Timeout: 2 * time.Minute}, func(t *testing.T, w *world) {
		ctx, began := w.as(oktatest.Frank), time.Now()
		for range 7 { // one more than the bucket holds
			if _, err := w.client.FindUsers(ctx, "sam", 5); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(began); got != time.Minute {
			t.Errorf("took %v, want the rest of the window", got)
		}
	})
}

func TestTroubleAtOkta(t *testing.T) {
	for _, c := range []struct {
		name     string
		fault    faults.Fault
		do       func(context.Context, *okta.Client) error
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
			bubble(t, oktatest.Options{}, okta.Options{}, func(t *testing.T, w *world) {
				w.Fail(c.fault)
				began := time.Now()
				err := c.do(w.as(oktatest.Frank), w.client)
				if okta.KindOf(err) != c.kind || okta.Unknown(err) != c.unknown || len(w.Requests()) != c.requests {
					t.Errorf("%d requests, unknown %v, %v", len(w.Requests()), okta.Unknown(err), err)
				}
				if took := time.Since(began); took > 25*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Every call ends, whatever the caller's context allows.
func TestACallEndsByItself(t *testing.T) {
	bubble(t, oktatest.Options{}, okta.Options{}, func(t *testing.T, w *world) {
		w.Fail(faults.Fault{Delay: time.Hour})
		began := time.Now()
		if err := me(w.as(oktatest.Frank), w.client); okta.KindOf(err) != okta.KindTimeout {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestACancelledCallIsNotSent(t *testing.T) {
	w := start(t, oktatest.Options{})
	ctx, cancel := context.WithCancel(w.as(oktatest.Frank))
	cancel()
	if err := resetPassword(ctx, w.client); okta.KindOf(err) != okta.KindTimeout || okta.Unknown(err) {
		t.Errorf("unknown %v, %v", okta.Unknown(err), err)
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func sayOf(err error) string {
	if f, ok := errors.AsType[*fault.Error](okta.Fault(err)); ok {
		return f.Say
	}
	return ""
}

// There is a sentence for every kind, and none repeats what Okta wrote.
func TestFaultHasWords(t *testing.T) {
	seen := map[string]okta.Kind{}
	for _, k := range []okta.Kind{
		okta.KindToken, okta.KindScope, okta.KindRole, okta.KindInvalid, okta.KindNotFound, okta.KindState, okta.KindConflict,
		okta.KindUnsupported, okta.KindRateLimited, okta.KindUnavailable, okta.KindTimeout, okta.KindUnreachable, okta.KindGarbled,
	} {
		say := sayOf(&okta.Error{Kind: k, Code: "E0000007", Err: errors.New("canary")})
		if other, ok := seen[say]; ok || say == "" {
			t.Errorf("%s says %q, as %s does", k, say, other)
		}
		seen[say] = k
	}
	if err := errors.New("foreign"); okta.Fault(err) != err { //nolint:errorlint // the very same
		t.Error("a foreign error was changed")
	}
	if okta.Fault(nil) != nil {
		t.Error("nil became a fault")
	}
}
