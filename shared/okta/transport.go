package okta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxBody    = 4 << 20
	maxTries   = 3
	shortPause = 150 * time.Millisecond // before the first repeat of a failed try
)

type exchangeKey struct{}

// exchange is one call as the transport saw it: what came back, or why nothing
// did.
type exchange struct {
	op        operation
	url       *url.URL
	status    int
	header    http.Header
	body      []byte
	requestID string
	sent      bool // some try may have reached Okta
	err       *Error
}

func (x *exchange) meta() Meta { return Meta{RequestID: x.requestID} }

// fail records and returns why the exchange came to nothing.
func (x *exchange) fail(kind Kind, cause error) error {
	x.err = &Error{Op: x.op.name, Kind: kind, Status: x.status, RequestID: x.requestID, Err: cause}
	switch kind {
	case KindTimeout, KindUnreachable, KindUnavailable:
		x.err.unknown = x.op.change && x.sent
	default: // a success that cannot be read is one all the same
		x.err.unknown = x.op.change && x.status >= 200 && x.status <= 299
	}
	return x.err
}

func (x *exchange) decode(v any) error {
	if err := json.Unmarshal(x.body, v); err != nil {
		return x.fail(KindGarbled, errors.New("the answer is not the JSON it should be"))
	}
	return nil
}

// next returns the query of the next page; "" at the end of the list. Okta
// names its own host there, which behind a custom domain is not the one we
// called: it is neither followed nor sent a token.
func (x *exchange) next() (string, error) {
	target := linkTo(x.header.Values("Link"), "next")
	if target == "" {
		return "", nil
	}
	u, err := url.Parse(target)
	if err != nil || !strings.HasSuffix(x.url.Path, u.Path) || !strings.HasPrefix(u.Path, "/api/") || u.RawQuery == "" {
		return "", x.fail(KindGarbled, errors.New("the next page belongs to something else"))
	}
	return u.RawQuery, nil
}

// errSettled is all the SDK learns about a failure. It must match neither
// io.EOF nor any status, for the SDK would try again.
var errSettled = errors.New("okta: the exchange failed")

// transport owns the wire. The SDK sees a 2xx answer without its body, or
// errSettled; the exchange in the request's context has everything.
type transport struct {
	next   http.RoundTripper
	traces bool // next is known to tell when it has a connection
	try    time.Duration
}

// RoundTrip carries out one call, with the waits and repeats it deserves.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("okta: a request outside of a call")
	}
	x.url = req.URL
	token, ok := tokenOf(ctx)
	if !ok {
		_ = x.fail(KindToken, errors.New("no access token in the context"))
		return nil, errSettled
	}
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close() // a buffer
		if err != nil {
			_ = x.fail(KindInvalid, err)
			return nil, errSettled
		}
	}
	header := req.Header.Clone()
	header.Set("Authorization", "Bearer "+token.Reveal()) // the only one, whatever the SDK added
	header.Set("Accept", "application/json")

	for tries := 1; ; tries++ {
		t.once(ctx, x, req, header, body)
		if x.err == nil {
			break
		}
		pause, again := x.pause(tries)
		if !again || tries == maxTries || !sleep(ctx, pause) {
			return nil, errSettled
		}
	}
	return &http.Response{
		Status: http.StatusText(x.status), StatusCode: x.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody, Request: req,
	}, nil
}

// once makes one try and leaves its result in x.
func (t *transport) once(ctx context.Context, x *exchange, req *http.Request, header http.Header, body []byte) {
	ctx, cancel := context.WithTimeout(ctx, t.try)
	defer cancel()
	x.status, x.header, x.body, x.requestID, x.err = 0, nil, nil, "", nil
	if ctx.Err() != nil {
		_ = x.fail(KindTimeout, ctx.Err())
		return
	}
	var connected atomic.Bool
	r := req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	r.Header = header.Clone()
	if r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0; len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	res, err := t.next.RoundTrip(r)
	// Without a connection nothing was sent, says a transport that traces.
	x.sent = x.sent || connected.Load() || err == nil || !t.traces
	if err != nil {
		x.lost(ctx, err)
		return
	}
	defer res.Body.Close()
	x.status, x.header, x.requestID = res.StatusCode, res.Header, res.Header.Get("X-Okta-Request-Id")
	x.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		x.lost(ctx, err)
	case len(x.body) > maxBody:
		_ = x.fail(KindGarbled, errors.New("the answer is too large"))
	case res.StatusCode < 200 || res.StatusCode > 299:
		x.refused()
	case x.op.change && x.requestID == "": // Okta names every request; this is a proxy's page, or worse
		_ = x.fail(KindGarbled, errors.New("a success that does not come from Okta"))
	}
}

// lost records that no (whole) answer came.
func (x *exchange) lost(ctx context.Context, err error) {
	if ctx.Err() != nil {
		_ = x.fail(KindTimeout, ctx.Err())
		return
	}
	_ = x.fail(KindUnreachable, err)
}

// refused turns an answer other than success into an error.
func (x *exchange) refused() {
	var body struct {
		Code string `json:"errorCode"`
	}
	_ = json.Unmarshal(x.body, &body) // a proxy's page has no code, and is refused all the same
	if !isErrorCode(body.Code) {
		body.Code = ""
	}
	kind := classify(x.op, x.status, body.Code, x.header)
	_ = x.fail(kind, nil)
	x.err.Code = body.Code
	x.body = nil
	if kind == KindRateLimited {
		if reset, _, ok := rateLimit(x.header); ok {
			x.err.Reset = reset
		}
	}
}

// pause says whether a failed try deserves another, and after how long.
func (x *exchange) pause(tries int) (time.Duration, bool) {
	switch x.err.Kind {
	case KindRateLimited: // refused before anything was done, so any call may come again
		_, wait, ok := rateLimit(x.header)
		return wait, ok
	case KindUnavailable:
		return shortPause << tries, x.op.repeatable
	case KindUnreachable, KindTimeout:
		return shortPause << (tries - 1), x.op.repeatable || !x.sent
	default:
		return 0, false
	}
}

// rateLimit reads when a bucket is full again, and how far off that is by
// Okta's own clock.
func rateLimit(h http.Header) (reset time.Time, wait time.Duration, ok bool) {
	seconds, err := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil {
		return reset, 0, false
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return reset, 0, false
	}
	reset = time.Unix(seconds, 0)
	return reset, max(reset.Sub(date), time.Second), true
}

// sleep waits if there is time for it, and says whether it did.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// linkTo finds the target of a relation in Link headers (RFC 8288). Several
// links may share one header, and commas may be part of a target.
func linkTo(values []string, rel string) string {
	for _, v := range values {
		for v != "" {
			open := strings.IndexByte(v, '<')
			if open < 0 {
				break
			}
			v = v[open+1:]
			target, rest, ok := strings.Cut(v, ">")
			if !ok {
				break
			}
			params, after := splitParams(rest)
			if hasRel(params, rel) {
				return target
			}
			v = after
		}
	}
	return ""
}

// splitParams returns the parameters up to the comma that ends a link value.
func splitParams(s string) (params, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func hasRel(params, rel string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(p, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for word := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(word, rel) {
				return true
			}
		}
	}
	return false
}
