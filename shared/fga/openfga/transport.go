package openfga

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// authTransport stands between the SDK and the network: it adds the machine token, and makes the one retry. Every call the SDK
// makes for us is a question, so asking twice does no harm.
type authTransport struct {
	base   http.RoundTripper
	tokens *tokens // nil without authentication
}

// RoundTrip sends req, and once more after a 401 (with a fresh token), a 429, a 5xx or a broken connection.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	first, refused, err := t.try(req, req.Body)
	pause, again := retry(first, err)
	if again && req.GetBody == nil {
		again = false
	}
	if refused && first.StatusCode == http.StatusUnauthorized {
		pause = 0
	}
	if deadline, ok := req.Context().Deadline(); !again || ok && time.Until(deadline) < pause {
		return first, err
	}
	if first != nil {
		_, _ = io.CopyN(io.Discard, first.Body, 4096) // so that the connection can be used again
		_ = first.Body.Close()
	}
	if err := wait(req.Context(), pause); err != nil {
		return nil, err
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	second, _, err := t.try(req, body)
	return second, err
}

// wait returns after d, or with the context's error when ctx ends first. No wait makes no timer: several calls that receive
// from timers which are due already crash Go's race runtime in a synctest bubble (see queues.receive in package awstest).
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// try sends req once. Refused says that a token went along and is now dropped.
func (t *authTransport) try(req *http.Request, body io.ReadCloser) (res *http.Response, refused bool, err error) {
	out := req.Clone(req.Context())
	out.Body = body
	if t.tokens == nil {
		res, err = t.base.RoundTrip(out)
		return res, false, err
	}
	token, err := t.tokens.get(req.Context())
	if err != nil {
		_ = body.Close()
		return nil, false, err
	}
	out.Header.Set("Authorization", "Bearer "+token.Reveal())
	res, err = t.base.RoundTrip(out)
	if err == nil && res.StatusCode == http.StatusUnauthorized {
		t.tokens.drop(token)
		return res, true, nil
	}
	return res, false, err
}

// retry says whether the outcome is worth a second try, and after what pause.
func retry(res *http.Response, err error) (time.Duration, bool) {
	pause := retryPause/2 + rand.N(retryPause) //nolint:gosec // spreads retries, guards nothing
	if err != nil {
		_, token := errors.AsType[*tokenError](err)
		return pause, !token
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return pause, true
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		if asked, ok := retryAfter(res.Header); ok {
			pause = asked
		}
		return pause, pause <= maxRetryPause
	}
	return 0, false
}

// retryAfter reads the seconds form of Retry-After; the date form is taken for a wait that is too long.
func retryAfter(h http.Header) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	seconds, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return maxRetryPause + 1, true
	}
	return time.Duration(seconds) * time.Second, true //nolint:gosec // 16 bits
}
