package okta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/steward-iam/steward/shared/secret"
)

const (
	maxBody    = 4 << 20
	maxTries   = 3
	shortPause = 150 * time.Millisecond // before the first repeat of a failed try
)

type exchangeKey struct{}

// exchange is one request as the transport carried it out: the answer, or why there is none.
type exchange struct {
	op       operation
	query    string // replaces the query of the SDK's request if not empty
	hideBody bool   // the SDK sees a success without its body

	path      string
	status    int
	header    http.Header
	body      []byte
	requestID string
	sent      bool // the last try may have reached Okta
	uncertain bool // some try may have been carried out: it was sent, and its answer was lost
	err       *Error
}

// exchangeOf returns the exchange of the call that ctx belongs to, or nil.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func (x *exchange) meta() Meta { return Meta{RequestID: x.requestID} }

// fail records and returns the failure of the exchange.
func (x *exchange) fail(kind Kind, cause error) error {
	if kind == KindTimeout || kind == KindUnreachable || kind == KindUnavailable {
		x.uncertain = x.uncertain || x.sent
	}
	succeeded := x.status >= 200 && x.status <= 299 // although its answer cannot be read
	x.err = &Error{
		Op: x.op.name, Kind: kind, Status: x.status, RequestID: x.requestID, Err: cause,
		unknown: x.op.change && (x.uncertain || succeeded),
	}
	return x.err
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
	if err != nil || !strings.HasSuffix(x.path, u.Path) || !strings.HasPrefix(u.Path, "/api/") || u.RawQuery == "" {
		return "", x.fail(KindGarbled, errors.New("the next page belongs to something else"))
	}
	return u.RawQuery, nil
}

// errRecorded is the only error the SDK gets. It must match neither io.EOF nor any status, or the SDK would try again.
var errRecorded = errors.New("okta: the exchange failed")

// transport carries out the SDK's requests. It returns a success, or errRecorded with the failure in the exchange of
// the request's context.
type transport struct {
	next   http.RoundTripper
	traces bool // next reports to httptrace when it has a connection
	try    time.Duration
}

// RoundTrip sends one request, repeated and after the waits that its failures call for.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	x := exchangeOf(ctx)
	if x == nil {
		return nil, errors.New("okta: a request outside of a call")
	}
	x.path = req.URL.Path
	source, token, ok := sourceOf(ctx)
	if !ok {
		_ = x.fail(KindToken, errors.New("no access token in the context"))
		return nil, errRecorded
	}
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close() // a buffer
		if err != nil {
			_ = x.fail(KindInvalid, err)
			return nil, errRecorded
		}
	}
	header := req.Header.Clone()
	header.Set("Accept", "application/json")

	for tries, renewed := 1, false; ; tries++ {
		header.Set("Authorization", "Bearer "+token.Reveal()) // the only one, whatever the SDK added
		t.once(ctx, x, req, header, body)
		if x.err == nil {
			break
		}
		if x.err.Kind == KindToken && !renewed && tries < maxTries {
			renewed = true
			if token, ok = x.renew(ctx, source, token); !ok {
				return nil, errRecorded
			}
			continue
		}
		pause, again := x.pause(tries)
		if !again || tries == maxTries || !sleep(ctx, pause) {
			return nil, errRecorded
		}
	}
	visible := x.body
	if x.hideBody {
		visible = nil
	}
	return &http.Response{
		StatusCode: x.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(visible)), Request: req,
	}, nil
}

// renew returns the token to repeat a call with, and whether there is one.
func (x *exchange) renew(ctx context.Context, source TokenSource, refused secret.String) (secret.String, bool) {
	token, err := source.Renew(ctx, refused)
	if err != nil && !errors.Is(err, errNotRenewable) {
		_ = x.fail(KindToken, &renewalError{err})
	}
	return token, err == nil && sendable(token)
}

// once makes one try and leaves its result in x.
func (t *transport) once(ctx context.Context, x *exchange, req *http.Request, header http.Header, body []byte) {
	ctx, cancel := context.WithTimeout(ctx, t.try)
	defer cancel()
	*x = exchange{op: x.op, query: x.query, hideBody: x.hideBody, path: x.path, uncertain: x.uncertain}
	if ctx.Err() != nil {
		_ = x.fail(KindTimeout, ctx.Err())
		return
	}
	var connected atomic.Bool
	r := req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	r.Header = header.Clone()
	r.URL.RawQuery = cmp.Or(x.query, r.URL.RawQuery)
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.GetBody = nil
	r.ContentLength = int64(len(body))
	res, err := t.next.RoundTrip(r)
	// A transport that traces and got no connection has sent nothing.
	x.sent = connected.Load() || err == nil || !t.traces
	if err != nil {
		x.failTransport(ctx, err)
		return
	}
	defer res.Body.Close()
	x.status, x.header, x.requestID = res.StatusCode, res.Header, res.Header.Get("X-Okta-Request-Id")
	x.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		x.failTransport(ctx, err)
	case len(x.body) > maxBody:
		_ = x.fail(KindGarbled, errors.New("the answer is too large"))
	case res.StatusCode < 200 || res.StatusCode > 299:
		x.failStatus()
	case x.op.change && x.requestID == "": // Okta numbers every request: this answer is not from Okta
		_ = x.fail(KindGarbled, errors.New("a success without X-Okta-Request-Id"))
	}
}

// failTransport records that no complete answer came.
func (x *exchange) failTransport(ctx context.Context, err error) {
	if ctx.Err() != nil {
		_ = x.fail(KindTimeout, ctx.Err())
		return
	}
	_ = x.fail(KindUnreachable, err)
}

// failStatus records an answer other than success.
func (x *exchange) failStatus() {
	var body struct {
		Code string `json:"errorCode"`
	}
	_ = json.Unmarshal(x.body, &body) // the answer of a proxy has no code and is a failure too
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

// pause returns whether a failed try may be repeated, and after how long.
func (x *exchange) pause(tries int) (time.Duration, bool) {
	switch x.err.Kind {
	case KindRateLimited: // refused before anything was done, so any call may be repeated
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

// rateLimit returns when Okta's rate limit is reset, and how long that is from now by Okta's own clock, at least a
// second. ok is false if the headers do not say.
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

// sleep waits for d and returns true, or returns false if the context ends before that.
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

// A link of a Link header (RFC 8288) is a target and parameters, whose values may be quoted and may hold commas.
const linkParam = `\s*;\s*([^\s=;,"]*)\s*(?:=\s*("(?:\\.|[^"\\])*"|[^",;]*))?`

var (
	linkValues = regexp.MustCompile(`<([^>]*)>((?:` + linkParam + `)*)`)
	linkParams = regexp.MustCompile(linkParam)
)

// linkTo returns the target of the first link with a relation, or "". Several links may share one header.
func linkTo(values []string, rel string) string {
	for _, value := range values {
		for _, link := range linkValues.FindAllStringSubmatch(value, -1) {
			for _, param := range linkParams.FindAllStringSubmatch(link[2], -1) {
				rels := strings.Fields(strings.ToLower(strings.Trim(param[2], `"`)))
				if strings.EqualFold(param[1], "rel") && slices.Contains(rels, rel) {
					return link[1]
				}
			}
		}
	}
	return ""
}
