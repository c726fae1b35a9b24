package pipelinetest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Fault makes calls go wrong on their way to a system, or on the way back.
type Fault = faults.Fault

// Door stands before one system: it counts the calls and makes some go wrong.
type Door struct {
	faults.Engine

	service string
	next    http.Handler
	power   *power
	keep    func(field, value string) // told of every text field of a JSON answer; may be nil
}

// Calls are the calls since the last Forget, as "dynamodb GetItem", "lambda Invoke", "GET /api/v1/users/me".
func (d *Door) Calls() (names []string) {
	for _, r := range d.Requests() {
		names = append(names, r.Name())
	}
	return names
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

// ServeHTTP lets a call through, or not.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	died, after := d.power.use(faults.NameOf(r))
	if died && !after {
		panic(http.ErrAbortHandler)
	}
	d.Wrap(d.service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		d.next.ServeHTTP(answer, r)
		if died {
			d.power.cut()
			panic(http.ErrAbortHandler)
		}
		d.remember(answer.Body.Bytes())
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})).ServeHTTP(w, r)
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
