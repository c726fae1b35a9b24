// Package faultproxy stands in front of the fakes: it keeps a journal of the requests they received, and makes chosen
// requests fail.
//
// What it keeps holds no secret: a bearer token, a client secret or a code appears as the beginning of its SHA-256, so that one can
// see whether two requests carried the same one, and bodies are kept field by field where the fields are known.
package faultproxy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The services a tap can stand in front of.
const (
	Auth0 = "auth0"
	Okta  = "okta"
	FGA   = "fga"
	AWS   = "aws"
)

// Services are all of them.
var Services = []string{Auth0, Okta, FGA, AWS}

// Request is one request as it was received.
type Request struct {
	Seq         int               `json:"seq"` // counts over all services
	At          time.Time         `json:"at"`
	Service     string            `json:"service"`
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Query       map[string]string `json:"query,omitempty"`
	Target      string            `json:"target,omitempty"`   // X-Amz-Target
	Resource    string            `json:"resource,omitempty"` // the table, queue, secret or parameter of an AWS call
	TokenSHA256 string            `json:"token_sha256,omitempty"`
	Form        map[string]string `json:"form,omitempty"` // of Auth0
	Body        json.RawMessage   `json:"body,omitempty"` // of Okta
	Status      int               `json:"status"`         // 0 while it is answered, and when the connection was dropped
	DurationMS  float64           `json:"duration_ms"`
	Fault       bool              `json:"fault,omitempty"` // a fault hit it
}

// Fault makes matching requests go wrong.
type Fault struct {
	Service string `json:"service"`          // auth0, okta, fga or aws
	Match   string `json:"match,omitempty"`  // part of "METHOD /path" or of X-Amz-Target; empty matches everything
	Status  int    `json:"status,omitempty"` // answered instead of the real answer; 0 with neither Body nor Reset only delays
	Body    string `json:"body,omitempty"`   // instead of the service's own error body; with status 0 it is answered with 200
	DelayMS int    `json:"delay_ms,omitempty"`
	Times   int    `json:"times,omitempty"` // how many requests; 0 is until the faults are cleared
	Reset   bool   `json:"reset,omitempty"` // drop the connection
	After   bool   `json:"after,omitempty"` // let the request take effect first
}

func (f Fault) check() error {
	switch {
	case !slices.Contains(Services, f.Service):
		return fmt.Errorf("service %q is none of %s", f.Service, strings.Join(Services, ", "))
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.DelayMS < 0 || f.Times < 0:
		return fmt.Errorf("delay_ms and times cannot be negative")
	case f.Status == 0 && f.Body == "" && f.DelayMS == 0 && !f.Reset:
		return fmt.Errorf("the fault does nothing: give status, body, delay_ms or reset")
	}
	return nil
}

// kept bounds the memory of a run that goes on for days.
const kept = 20000

// Tap is what all services' requests pass. The zero value is ready.
type Tap struct {
	// Latency is how long after a request its answer begins. An invocation and an agent, whose own time is spent elsewhere, begin
	// their work so late instead. Set it before the first request.
	Latency time.Duration
	// Secret, if set, is told every secret that passes: bearer tokens, and Auth0's client secrets, codes, verifiers and tokens. A
	// test that must not find them elsewhere sets it before the first request.
	Secret func(value string)

	mu       sync.Mutex
	seq      int
	requests []*Request
	faults   []*Fault
	watch    func(Request, bool)
	record   func(Exchange)
}

// Exchange is what went over the wire, whole and with all secrets. It is kept nowhere.
type Exchange struct {
	Service, Method, Path, Target string
	Request, Response             []byte
}

// Record has keep told of every exchange from now on, once it is over. nil ends it.
func (t *Tap) Record(keep func(Exchange)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record = keep
}

// recording tees r and w, if somebody wants the exchange, and returns what to call when it is over.
func (t *Tap) recording(service string, w *statusWriter, r *http.Request) (over func()) {
	t.mu.Lock()
	keep := t.record
	t.mu.Unlock()
	if keep == nil {
		return func() {}
	}
	sent := &bytes.Buffer{}
	w.copy = &bytes.Buffer{}
	if r.Body != nil {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, sent), r.Body}
	}
	e := Exchange{Service: service, Method: r.Method, Path: r.URL.Path, Target: r.Header.Get("X-Amz-Target")}
	return func() {
		e.Request, e.Response = sent.Bytes(), w.copy.Bytes()
		keep(e)
	}
}

// Watch has see told of every request twice: before it takes effect, and, with after set, when it has but its answer is not out
// yet. The request waits for see, which may so choose what goes wrong in between. nil ends it.
func (t *Tap) Watch(see func(r Request, after bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watch = see
}

func (t *Tap) watched(r *Request, after bool) {
	t.mu.Lock()
	see, now := t.watch, *r
	t.mu.Unlock()
	if see != nil {
		see(now, after)
	}
}

// Add arms a fault.
func (t *Tap) Add(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, &f)
	return nil
}

// Faults are those that are armed.
func (t *Tap) Faults() []Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []Fault{}
	for _, f := range t.faults {
		all = append(all, *f)
	}
	return all
}

// Clear disarms every fault.
func (t *Tap) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

// Reset disarms every fault and forgets every request.
func (t *Tap) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults, t.requests = nil, nil
}

// Requests are the requests of one service, or of all for "", oldest first.
func (t *Tap) Requests(service string) []Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []Request{}
	for _, r := range t.requests {
		if service == "" || r.Service == service {
			all = append(all, *r)
		}
	}
	return all
}

// Wrap puts the tap in front of a service. Pages for people (/phone, /assets) pass unseen.
func (t *Tap) Wrap(service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if service == Auth0 && (strings.HasPrefix(r.URL.Path, "/phone") || strings.HasPrefix(r.URL.Path, "/assets/")) {
			next.ServeHTTP(w, r)
			return
		}
		begun := time.Now()
		out := &statusWriter{ResponseWriter: w}
		defer t.recording(service, out, r)()
		rec, fault := t.receive(service, r)
		defer func() { // also when the handler panics to drop the connection
			t.mu.Lock()
			defer t.mu.Unlock()
			rec.Status, rec.DurationMS = out.status, float64(time.Since(begun).Microseconds())/1000
		}()
		if due := begun.Add(t.Latency); service == AWS && rec.Target == "" {
			sleepUntil(due)
		} else {
			out.due = due
			defer out.hold() // an answer without a word
		}
		t.watched(rec, false)
		if fault == nil {
			next.ServeHTTP(out, r)
			t.watched(rec, true)
			return
		}
		fault.strike(out, r, next)
	})
}

// receive keeps the request and finds the fault that hits it.
func (t *Tap) receive(service string, r *http.Request) (*Request, *Fault) {
	rec := &Request{
		At: time.Now(), Service: service, Method: r.Method, Path: r.URL.Path, Query: fields(r.URL.Query()), Target: r.Header.Get("X-Amz-Target"),
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && service != AWS {
		rec.TokenSHA256 = digest(token)
		t.tell(token)
	}
	t.look(rec, r)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	rec.Seq = t.seq
	if len(t.requests) == kept {
		t.requests = append(t.requests[:0], t.requests[kept/2:]...)
	}
	t.requests = append(t.requests, rec)
	for i, f := range t.faults {
		if f.Service != service || !strings.Contains(r.Method+" "+r.URL.Path, f.Match) && (rec.Target == "" || !strings.Contains(rec.Target, f.Match)) {
			continue
		}
		if rec.Fault = true; f.Times > 0 {
			if f.Times--; f.Times == 0 {
				t.faults = slices.Delete(t.faults, i, i+1)
			}
		}
		hit := *f
		return rec, &hit
	}
	return rec, nil
}

const maxLook = 1 << 20

func (t *Tap) tell(value string) {
	if t.Secret != nil && value != "" {
		t.Secret(value)
	}
}

// secrets are the fields that must never be seen elsewhere.
var secrets = []string{"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "subject_token", "token", "auth_req_id"}

// look reads what is worth knowing of the body and puts it back.
func (t *Tap) look(rec *Request, r *http.Request) {
	if r.Body == nil || r.Method == http.MethodGet || rec.Service == FGA {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLook))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if err != nil || len(body) == 0 || len(body) == maxLook {
		return
	}
	switch rec.Service {
	case Auth0:
		values := form(r.Header.Get("Content-Type"), body)
		for _, k := range secrets {
			t.tell(values.Get(k))
		}
		rec.Form = fields(values)
	case Okta:
		if json.Valid(body) {
			rec.Body = body
		}
	case AWS:
		if rec.Target != "" {
			var in struct{ TableName, QueueUrl, SecretId, Name string } //nolint:revive // as AWS spells them
			_ = json.Unmarshal(body, &in)                               // the service says what is wrong with it
			rec.Resource = cmp.Or(in.TableName, in.QueueUrl, in.SecretId, in.Name)
		}
	}
}

// form reads a form, or a flat JSON object.
func form(contentType string, body []byte) url.Values {
	values := url.Values{}
	if strings.HasPrefix(contentType, "application/json") {
		var object map[string]any
		if json.Unmarshal(body, &object) != nil {
			return nil
		}
		for k, v := range object {
			if s, ok := v.(string); ok {
				values.Set(k, s)
			} else {
				raw, _ := json.Marshal(v) // was JSON a moment ago
				values.Set(k, string(raw))
			}
		}
	} else {
		values, _ = url.ParseQuery(string(body))
	}
	return values
}

// open are the fields whose values are no secret. Every other value is shown as its digest.
var open = []string{
	"grant_type", "client_id", "redirect_uri", "response_type", "response_mode", "scope", "audience", "connection", "prompt",
	"subject_token_type", "requested_token_type", "code_challenge_method", "login_hint", "binding_message", "requested_expiry",
	"authorization_details", "returnTo", "token_type_hint", "scopes", "authorization_params",
	"after", "limit", "q", "search", "filter", "sortBy", "sortOrder", "sendEmail", "expand", "since", "until", "tempPassword",
	"harnessArn", "qualifier", "person", "decision",
}

func fields(values url.Values) map[string]string {
	if len(values) == 0 {
		return nil
	}
	all := map[string]string{}
	for k, v := range values {
		if all[k] = strings.Join(v, ","); !slices.Contains(open, k) && all[k] != "" {
			all[k] = "sha256:" + digest(all[k])
		}
	}
	return all
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

// strike does what the fault says.
func (f *Fault) strike(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Status == 0 && f.Body == "" && !f.Reset {
		next.ServeHTTP(w, r)
		return
	}
	if f.After {
		next.ServeHTTP(&discard{header: http.Header{}}, r)
	}
	if f.Reset {
		drop(w)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if f.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
		h.Set("X-Rate-Limit-Limit", "50")
		h.Set("X-Rate-Limit-Remaining", "0")
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Unix()+1, 10))
	}
	status := cmp.Or(f.Status, http.StatusOK)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, cmp.Or(f.Body, f.ownBody(status))) //nolint:gosec // garbage is what it is for
}

// ownBody is an error body as the service would write it.
func (f *Fault) ownBody(status int) string {
	limited := status == http.StatusTooManyRequests
	switch {
	case status < 300:
		return ""
	case f.Service == Auth0 && limited:
		return `{"error":"too_many_requests","error_description":"Rate limit exceeded."}`
	case f.Service == Auth0:
		return `{"error":"server_error","error_description":"Internal Server Error"}`
	case f.Service == Okta && limited:
		return `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorCauses":[]}`
	case f.Service == Okta:
		return `{"errorCode":"E0000009","errorSummary":"Internal Server Error","errorCauses":[]}`
	case f.Service == FGA && limited:
		return `{"code":"rate_limit_exceeded","message":"Rate Limit exceeded"}`
	case f.Service == FGA:
		return `{"code":"internal_error","message":"Internal Server Error"}`
	case limited:
		return `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	default:
		return `{"__type":"InternalServerError","message":"Internal server error"}`
	}
}

// drop ends the connection with a TCP reset.
func drop(w http.ResponseWriter) {
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

// sleepUntil is as exact as the clock: a sleep alone ends up to a millisecond late.
func sleepUntil(due time.Time) {
	time.Sleep(time.Until(due.Add(-time.Millisecond)))
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
	due    time.Time     // when it may begin
	copy   *bytes.Buffer // nil unless recorded
}

func (w *statusWriter) hold() {
	if w.status == 0 {
		sleepUntil(w.due)
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.hold()
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.hold()
	w.status = cmp.Or(w.status, http.StatusOK)
	if w.copy != nil {
		w.copy.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets the response controller reach Flush and Hijack.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
