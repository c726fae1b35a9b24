package pipelinetest

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault makes calls go wrong on their way to a system, or on the way back.
type Fault struct {
	Match  string // part of a call's name, see [Door.Calls]; "" is every call
	Times  int    // how many calls are hit; 0 is all of them
	Nth    int    // only the call of that number since the last Forget, counted from 1; 0 is any
	Delay  time.Duration
	Status int // answered instead of the real answer; 0 only delays
	Header http.Header
	Body   string
	Reset  bool // breaks the connection
	After  bool // the system takes the call; only its answer is lost
}

// Door stands before one system: it counts the calls and makes some go wrong.
type Door struct {
	next  http.Handler
	power *power
	keep  func(field, value string) // told of every text field of a JSON answer; may be nil

	mu     sync.Mutex
	calls  []string
	faults []Fault
}

// Calls are the calls since the last Forget, as "dynamodb GetItem", "lambda Invoke", "GET /api/v1/users/me".
func (d *Door) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.calls...)
}

// Count is how many calls have match in their name.
func (d *Door) Count(match string) (n int) {
	for _, c := range d.Calls() {
		if strings.Contains(c, match) {
			n++
		}
	}
	return n
}

// Forget forgets the calls.
func (d *Door) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = nil
}

// Fail sets the faults in place of those before; none ends them.
func (d *Door) Fail(faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append([]Fault(nil), faults...)
}

func (d *Door) received(name string) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, name)
	for i := range d.faults {
		f := &d.faults[i]
		if !strings.Contains(name, f.Match) || f.Times < 0 || f.Nth > 0 && f.Nth != len(d.calls) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				f.Times = -1 // spent
			}
		}
		return *f
	}
	return Fault{}
}

// ServeHTTP lets a call through, or not.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // whole, for only then does the server notice a caller that hangs up
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := nameOf(r)
	f := d.received(name)
	died, after := d.power.use(name)
	if died && !after {
		panic(http.ErrAbortHandler)
	}
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return
		}
	}
	if (f.Reset || f.Status != 0) && !f.After {
		d.refuse(w, f)
		return
	}
	answer := httptest.NewRecorder()
	d.next.ServeHTTP(answer, r)
	switch {
	case died:
		d.power.cut()
		panic(http.ErrAbortHandler)
	case f.Reset || f.Status != 0:
		d.refuse(w, f)
		return
	}
	d.remember(answer.Body.Bytes())
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (d *Door) refuse(w http.ResponseWriter, f Fault) {
	if f.Reset {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(f.Body))), 10)) // DynamoDB's
	for k, v := range f.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body))
}

func (d *Door) remember(body []byte) {
	var fields map[string]any
	if d.keep == nil || json.Unmarshal(body, &fields) != nil {
		return
	}
	for k, v := range fields {
		if text, ok := v.(string); ok {
			d.keep(k, text)
		}
	}
}

// nameOf is the operation of an AWS call, or method and path.
func nameOf(r *http.Request) string {
	if service, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		service, _, _ = strings.Cut(strings.ToLower(service), "_")
		return strings.TrimPrefix(service, "amazon") + " " + operation
	}
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		return "lambda Invoke"
	}
	return r.Method + " " + r.URL.Path
}

// power is that of the process under test: once it is cut nothing gets out any more, which is all that the world sees
// of a process that was killed.
type power struct {
	mu     sync.Mutex
	off    bool
	used   []string
	at     int // the call at which the power is cut, counted from 1; 0 is never
	after  bool
	cancel func()
}

func (p *power) use(name string) (died, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return true, false
	}
	p.used = append(p.used, name)
	if p.at == 0 || len(p.used) != p.at {
		return false, false
	}
	if !p.after {
		p.off = true
		p.cancel()
	}
	return true, p.after
}

func (p *power) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
	p.cancel()
}
