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

// Fault is [faults.Fault], the one there is.
type Fault = faults.Fault

// Interceptor stands in front of one system: it keeps the calls and makes some fail.
type Interceptor struct {
	faults.Engine

	service string
	next    http.Handler
	power   *power
	keep    func(field, value string) // told of every text field of a JSON answer; may be nil
}

// Calls are the calls since the last Forget, as "dynamodb GetItem", "lambda Invoke", "GET /api/v1/users/me".
func (i *Interceptor) Calls() (names []string) {
	for _, r := range i.Requests() {
		names = append(names, r.Name())
	}
	return names
}

// Count is how many calls have match in their name.
func (i *Interceptor) Count(match string) (n int) {
	for _, c := range i.Calls() {
		if strings.Contains(c, match) {
			n++
		}
	}
	return n
}

// ServeHTTP passes a call on, unless the process is killed at it or a fault replaces the answer.
func (i *Interceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	died, after := i.power.use(faults.NameOf(r))
	if died && !after {
		panic(http.ErrAbortHandler)
	}
	i.Wrap(i.service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		i.next.ServeHTTP(answer, r)
		if died {
			i.power.cut()
			panic(http.ErrAbortHandler)
		}
		i.remember(answer.Body.Bytes())
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})).ServeHTTP(w, r)
}

func (i *Interceptor) remember(body []byte) {
	var fields map[string]any
	if i.keep == nil || json.Unmarshal(body, &fields) != nil {
		return
	}
	for k, v := range fields {
		if text, ok := v.(string); ok {
			i.keep(k, text)
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
