// Package faults makes the fakes fail on demand and keeps what they received. Every fake and the laptop's proxy use the one
// [Engine] as middleware:
//
//	request ─▶ journal ─▶ fault? ─▶ the fake ─▶ status into the journal
//
// The journal holds no secret: a bearer token, a client secret or a code appears as the beginning of its SHA-256, so that one can
// see whether two requests carried the same one, and bodies are kept field by field where the fields are known.
package faults

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The services that the fakes stand for.
const (
	Auth0 = "auth0"
	Okta  = "okta"
	FGA   = "fga"
	AWS   = "aws"
)

// Services are all of them.
var Services = []string{Auth0, Okta, FGA, AWS}

// Fault makes matching requests fail. One that has neither Status, Body, Reset nor Delay lets them pass, which is of use with Times:
// the faults after it then begin later.
type Fault struct {
	Service string `json:"service"`         // one of [Services]; empty matches all that the engine stands before
	Match   string `json:"match,omitempty"` // part of "METHOD /path", of X-Amz-Target or of [Request.Name]; empty matches everything
	Nth     int    `json:"-"`               // only the request of that number since the last [Engine.Forget], counted from 1; 0 is any
	Times   int    `json:"times,omitempty"` // how many requests; 0 is until the faults are cleared

	Delay  time.Duration `json:"-"`                // waited first
	Status int           `json:"status,omitempty"` // answered instead of the real answer; 0 with a Body is 200
	Header http.Header   `json:"-"`                // of that answer
	Body   string        `json:"body,omitempty"`   // of that answer, instead of the service's own error body
	Limit  time.Duration `json:"-"`                // how long the rate limit of a 429 lasts; 0 is a second
	Reset  bool          `json:"reset,omitempty"`  // drop the connection
	After  bool          `json:"after,omitempty"`  // let the request take effect first
	Chunk  int           `json:"-"`                // of a streamed answer: fail before its nth piece, counted from 1; 0 is before the answer
}

func (f Fault) replaces() bool { return f.Status != 0 || f.Body != "" || f.Reset }

// Check says what is wrong with a fault that somebody typed.
func (f Fault) Check() error {
	switch {
	case !slices.Contains(Services, f.Service):
		return fmt.Errorf("service %q is none of %s", f.Service, strings.Join(Services, ", "))
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Delay < 0 || f.Times < 0:
		return errors.New("delay_ms and times cannot be negative")
	case !f.replaces() && f.Delay == 0:
		return errors.New("the fault does nothing: give status, body, delay_ms or reset")
	}
	return nil
}

// journalSize bounds the memory of a run that goes on for days.
const journalSize = 20000

// Engine is a journal and the faults that are armed. The zero value is ready; set its fields before the first request.
type Engine struct {
	// Secret, if set, is told every secret that passes: bearer tokens, and Auth0's client secrets, codes, verifiers and tokens.
	Secret func(value string)
	// Describe, if set, adds to the journal's entry what only the fake knows of a request.
	Describe func(entry *Request, r *http.Request, body []byte)

	mu       sync.Mutex
	seq      int
	count    int // requests since Forget
	requests []*Request
	faults   []Fault
}

// Add arms one more fault.
func (e *Engine) Add(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, f)
}

// Fail arms the faults in place of those before; none disarms them.
func (e *Engine) Fail(faults ...Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = slices.Clone(faults)
}

// Faults are those that are armed.
func (e *Engine) Faults() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.faults)
}

// Forget empties the journal.
func (e *Engine) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests, e.count = nil, 0
}

// Requests are the requests of the services, or of all for none, oldest first.
func (e *Engine) Requests(services ...string) []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []Request{}
	for _, r := range e.requests {
		if len(services) == 0 || slices.Contains(services, r.Service) {
			all = append(all, *r)
		}
	}
	return all
}

// Receive writes a request into the journal and returns the fault that it meets. The zero fault lets it pass.
func (e *Engine) Receive(r *Request) Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq++
	e.count++
	r.Seq = e.seq
	if len(e.requests) == journalSize {
		e.requests = slices.Delete(e.requests, 0, journalSize/2)
	}
	e.requests = append(e.requests, r)
	for i, f := range e.faults {
		if f.Service != "" && f.Service != r.Service || f.Nth > 0 && f.Nth != e.count || !r.matches(f.Match) {
			continue
		}
		if r.Fault = true; f.Times == 1 {
			e.faults = slices.Delete(slices.Clone(e.faults), i, i+1)
		} else if f.Times > 1 {
			e.faults[i].Times--
		}
		return f
	}
	return Fault{}
}

// Wrap puts the engine in front of a service.
func (e *Engine) Wrap(service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := e.entry(service, r)
		f := e.Receive(entry)
		out := &statusWriter{ResponseWriter: w}
		defer func() { // also when the connection is dropped
			e.mu.Lock()
			defer e.mu.Unlock()
			entry.Status, entry.DurationMS = out.status, float64(time.Since(entry.At).Microseconds())/1000
			entry.RequestID = cmp.Or(w.Header().Get("X-Okta-Request-Id"), w.Header().Get("X-Amzn-Requestid"))
		}()
		if Wait(r.Context(), f.Delay) != nil {
			return
		}
		switch {
		case f.Chunk > 0:
			next.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), inStream{}, f)))
			return
		case !f.replaces():
			next.ServeHTTP(out, r)
			return
		case f.After:
			next.ServeHTTP(&discard{header: http.Header{}}, r)
		}
		f.answer(out, service, r)
	})
}

type inStream struct{}

// InStream is the fault that a streamed answer meets on its way, if any.
func InStream(ctx context.Context) (Fault, bool) {
	f, ok := ctx.Value(inStream{}).(Fault)
	return f, ok
}

// Wait waits, unless the context ends first.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// entry is what the journal keeps of a request, whose body is read and put back.
func (e *Engine) entry(service string, r *http.Request) *Request {
	entry := &Request{
		At: time.Now(), Service: service, Method: r.Method, Path: r.URL.Path, Query: fields(r.URL.Query()), Target: r.Header.Get("X-Amz-Target"),
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && service != AWS {
		entry.TokenSHA256 = digest(token)
		e.tell(token)
	}
	var body []byte
	if r.Body != nil { // read whole, for only then the server notices a caller that hangs up
		body, _ = io.ReadAll(io.LimitReader(r.Body, maxLook))
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	}
	if len(body) < maxLook {
		e.read(entry, r, body)
	}
	if e.Describe != nil {
		e.Describe(entry, r, body)
	}
	return entry
}

// answer fails as the fault says.
func (f Fault) answer(w http.ResponseWriter, service string, r *http.Request) {
	if f.Reset {
		Drop(w)
	}
	status := cmp.Or(f.Status, http.StatusOK)
	body := cmp.Or(f.Body, ownBody(service, status))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	switch service {
	case Okta:
		h.Set("X-Okta-Request-Id", rand.Text())
		h.Set("Cache-Control", "no-cache, no-store")
		if status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm="`+r.Host+`", error="invalid_token", error_description="The access token is invalid or has expired."`)
		}
	case AWS:
		h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10))
	}
	limit, left := cmp.Or(f.Limit, time.Second), "49"
	if status == http.StatusTooManyRequests {
		left = "0"
		h.Set("Retry-After", strconv.Itoa(max(0, int(limit.Seconds()))))
	}
	if left == "0" || service == Okta {
		h.Set("X-Rate-Limit-Limit", "50")
		h.Set("X-Rate-Limit-Remaining", left)
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Add(limit).Unix(), 10))
	}
	for k, v := range f.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) //nolint:gosec // garbage is what it is for
}

// ownBody is an error body as the service would write it.
func ownBody(service string, status int) string {
	type words struct{ limited, unauthorized, failed, refused string }
	all := map[string]words{
		Auth0: {
			limited: `{"error":"too_many_requests","error_description":"Rate limit exceeded."}`,
			failed:  `{"error":"server_error","error_description":"Internal Server Error"}`,
		},
		Okta: {
			limited:      `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorLink":"","errorId":"oaefault","errorCauses":[]}`,
			unauthorized: `{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorLink":"","errorId":"oaefault","errorCauses":[]}`,
			failed:       `{"errorCode":"E0000009","errorSummary":"Internal Server Error","errorLink":"","errorId":"oaefault","errorCauses":[]}`,
			refused:      `{"errorCode":"E0000001","errorSummary":"Api validation failed: request","errorLink":"","errorId":"oaefault","errorCauses":[]}`,
		},
		FGA: {
			limited: `{"code":"rate_limit_exceeded","message":"Rate Limit exceeded"}`,
			failed:  `{"code":"internal_error","message":"Internal Server Error"}`,
		},
		AWS: {
			limited: `{"__type":"ThrottlingException","message":"Rate exceeded"}`,
			failed:  `{"__type":"InternalServerError","message":"Internal server error"}`,
		},
	}
	of := all[service]
	switch {
	case status < 300:
		return ""
	case status == http.StatusTooManyRequests:
		return of.limited
	case status == http.StatusUnauthorized:
		return cmp.Or(of.unauthorized, of.failed)
	case status >= 500:
		return of.failed
	default:
		return cmp.Or(of.refused, of.failed)
	}
}

// Drop ends the connection with a TCP reset. It does not return.
func Drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 and recorders: the next best
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	panic(http.ErrAbortHandler)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets the response controller reach Flush and Hijack.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
