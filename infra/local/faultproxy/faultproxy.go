// Package faultproxy stands in front of the services of the laptop run. Beside what [faults.Engine] does it can answer late, show
// every request to an observer, and record whole exchanges.
package faultproxy

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Proxy is what all services' requests pass. The zero value is ready.
type Proxy struct {
	faults.Engine

	// Latency is how long after a request its answer begins. An invocation and an agent, whose own time is spent elsewhere, begin
	// their work so late instead. Set it before the first request.
	Latency time.Duration

	mu     sync.Mutex
	watch  func(service string, after bool)
	record func(Exchange)
}

// Exchange is what went over the wire, whole and with all secrets. It is kept nowhere.
type Exchange struct {
	Service, Method, Path, Target string
	Request, Response             []byte
}

// Record hands every exchange from now on to keep, once it is over. nil ends it.
func (p *Proxy) Record(keep func(Exchange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = keep
}

// Watch calls see twice for every request that meets no fault: before it takes effect and, with after set, when it has but its
// answer is not out yet. The request waits for see. nil ends it.
func (p *Proxy) Watch(see func(service string, after bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = see
}

func (p *Proxy) hooks() (watch func(string, bool), record func(Exchange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watch, p.record
}

// Wrap puts the proxy in front of a service. Pages for people (/phone, /assets) pass it by.
func (p *Proxy) Wrap(service string, next http.Handler) http.Handler {
	inner := p.Engine.Wrap(service, p.watched(service, next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if service == faults.Auth0 && (strings.HasPrefix(r.URL.Path, "/phone") || strings.HasPrefix(r.URL.Path, "/assets/")) {
			next.ServeHTTP(w, r)
			return
		}
		out := &lateWriter{ResponseWriter: w}
		if _, record := p.hooks(); record != nil {
			sent := &bytes.Buffer{}
			out.copy = &bytes.Buffer{}
			if r.Body != nil {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.TeeReader(r.Body, sent), r.Body}
			}
			e := Exchange{Service: service, Method: r.Method, Path: r.URL.Path, Target: r.Header.Get("X-Amz-Target")}
			defer func() {
				e.Request, e.Response = sent.Bytes(), out.copy.Bytes()
				record(e)
			}()
		}
		if due := time.Now().Add(p.Latency); service == faults.AWS && r.Header.Get("X-Amz-Target") == "" {
			sleepUntil(due)
		} else {
			out.due = due
			defer out.hold() // an answer without a word
		}
		inner.ServeHTTP(out, r)
	})
}

func (p *Proxy) watched(service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watch, _ := p.hooks()
		if watch == nil {
			next.ServeHTTP(w, r)
			return
		}
		watch(service, false)
		next.ServeHTTP(w, r)
		watch(service, true)
	})
}

// sleepUntil is as exact as the clock: a sleep alone ends up to a millisecond late.
func sleepUntil(due time.Time) {
	time.Sleep(time.Until(due.Add(-time.Millisecond)))
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

type lateWriter struct {
	http.ResponseWriter
	begun bool
	due   time.Time     // when it may begin
	copy  *bytes.Buffer // nil unless recorded
}

func (w *lateWriter) hold() {
	if !w.begun {
		w.begun = true
		sleepUntil(w.due)
	}
}

func (w *lateWriter) WriteHeader(status int) {
	w.hold()
	w.ResponseWriter.WriteHeader(status)
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.hold()
	if w.copy != nil {
		w.copy.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets the response controller reach Flush and Hijack.
func (w *lateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
