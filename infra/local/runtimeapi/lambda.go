package runtimeapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Function is a function as the service is told of it.
type Function struct {
	Name      string
	Bootstrap string            // path of the executable
	Env       map[string]string // what its configuration declares; nothing of our own environment goes in
	MemoryMB  int               // told to the process, not enforced; default 128
	Timeout   time.Duration     // default 3 s
}

// Options shape a [Lambda]. The zero value is usable.
type Options struct {
	Region, Account string            // "us-east-1", "000000000000"
	Env             map[string]string // given to every function, such as AWS_ENDPOINT_URL
	IdleAfter       time.Duration     // an instance unused for so long is ended; default 5 min
	InitTimeout     time.Duration     // from start to the first poll; default 10 s, as on AWS
	MaxInstances    int               // of one function; default 20
	NoFreeze        bool              // let processes run between invocations
	Logs            *Logs             // where the functions' output goes; a new one if nil
	Log             *slog.Logger      // our own
}

// ErrNoFunction says that there is no function of that name.
var ErrNoFunction = errors.New("no such function")

var errClosed = errors.New("the local Lambda service is closed")

// MaxPayload is the most a buffered invocation takes or gives.
const MaxPayload = 6 << 20

// Lambda is the service. It is safe for concurrent use.
type Lambda struct {
	opts  Options
	pools map[string]*pool
	dir   string        // the functions' /tmp and working directories
	over  chan struct{} // closed by Close
	once  sync.Once
	wg    sync.WaitGroup
}

// New makes a service that runs the functions given. No process starts before it is needed.
func New(opts Options, functions ...Function) (*Lambda, error) {
	opts.Region = cmp.Or(opts.Region, "us-east-1")
	opts.Account = cmp.Or(opts.Account, "000000000000")
	opts.IdleAfter = cmp.Or(opts.IdleAfter, 5*time.Minute)
	opts.InitTimeout = cmp.Or(opts.InitTimeout, 10*time.Second)
	opts.MaxInstances = cmp.Or(opts.MaxInstances, 20)
	if opts.Logs == nil {
		opts.Logs = NewLogs(nil)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lambda{opts: opts, pools: map[string]*pool{}, over: make(chan struct{})}
	for _, f := range functions {
		f.MemoryMB, f.Timeout = cmp.Or(f.MemoryMB, 128), cmp.Or(f.Timeout, 3*time.Second)
		path, err := filepath.Abs(f.Bootstrap)
		if err != nil {
			return nil, fmt.Errorf("bootstrap of %s: %w", f.Name, err)
		}
		f.Bootstrap = path
		l.pools[f.Name] = &pool{lambda: l, fn: f, all: map[*instance]bool{}}
	}
	dir, err := os.MkdirTemp("", "steward-lambda-")
	if err != nil {
		return nil, fmt.Errorf("directory for the functions: %w", err)
	}
	l.dir = dir
	l.wg.Go(l.reap)
	return l, nil
}

// Names are the functions, sorted.
func (l *Lambda) Names() []string { return slices.Sorted(maps.Keys(l.pools)) }

// Logs is where the functions' output goes.
func (l *Lambda) Logs() *Logs { return l.opts.Logs }

// FunctionError is how an invocation ended that did not give an answer. Its payload is the JSON the caller gets, beside the
// header X-Amz-Function-Error.
type FunctionError struct {
	Kind    string // Unhandled
	Payload []byte
}

func (e *FunctionError) Error() string { return "function error: " + string(e.Payload) }

// Response is the answer to a streaming invocation. The body must be closed. A function that fails half way ends the body with a
// [*FunctionError].
type Response struct {
	ContentType string
	Body        io.ReadCloser
}

// Invoke runs a function and waits for its whole answer, as the Invoke API with invocation type RequestResponse does.
// functionError is "" or "Unhandled", and then out says why. err is for what is no answer of the function at all.
func (l *Lambda) Invoke(ctx context.Context, name string, payload []byte) (out []byte, functionError string, err error) {
	var failed *FunctionError
	res, err := l.InvokeStream(ctx, name, payload)
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		done := context.AfterFunc(ctx, func() { _ = res.Body.Close() })
		defer done()
		out, err = io.ReadAll(io.LimitReader(res.Body, MaxPayload+1))
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case err == nil && len(out) > MaxPayload:
			_, _ = io.Copy(io.Discard, res.Body) // the function writes to its end
			err = failure("Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload))
		}
	}
	if errors.As(err, &failed) {
		return failed.Payload, failed.Kind, nil
	}
	if err != nil {
		return nil, "", err
	}
	return out, "", nil
}

// InvokeStream runs a function and returns as soon as its answer begins. Failure before that is a [*FunctionError].
func (l *Lambda) InvokeStream(ctx context.Context, name string, payload []byte) (*Response, error) {
	p, ok := l.pools[name]
	if !ok {
		return nil, fmt.Errorf("invoke %q: %w", name, ErrNoFunction)
	}
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("invoke %q: payload is over %d bytes", name, MaxPayload)
	}
	inv := newInvocation(payload)
	if err := p.dispatch(inv); err != nil { //nolint:contextcheck // the process outlives the caller
		return nil, fmt.Errorf("invoke %q: %w", name, err)
	}
	select {
	case <-inv.answered:
	case <-ctx.Done():
		inv.abandon()
		return nil, ctx.Err()
	}
	if inv.failed != nil {
		return nil, inv.failed
	}
	return &Response{ContentType: inv.contentType, Body: inv.body}, nil
}

// Kill ends every process of a function at once, as a crash of the machine below it would, and says how many there were.
func (l *Lambda) Kill(name string) int {
	p, ok := l.pools[name]
	if !ok {
		return 0
	}
	instances := p.instances()
	for _, i := range instances {
		i.kill()
	}
	for _, i := range instances {
		<-i.dead
	}
	return len(instances)
}

// Close ends every process and waits for them.
func (l *Lambda) Close() error {
	l.once.Do(func() { close(l.over) })
	for _, p := range l.pools {
		p.close()
	}
	for name := range l.pools {
		l.Kill(name)
	}
	l.wg.Wait()
	return os.RemoveAll(l.dir)
}

// reap ends instances that nobody needed for a while.
func (l *Lambda) reap() {
	tick := time.NewTicker(max(l.opts.IdleAfter/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-l.over:
			return
		case now := <-tick.C:
			for _, p := range l.pools {
				for _, i := range p.idleSince(now.Add(-l.opts.IdleAfter)) {
					i.kill()
				}
			}
		}
	}
}

// Stats is what happened to one function so far.
type Stats struct {
	Function    string  `json:"function"`
	Instances   int     `json:"instances"` // alive now
	ColdStarts  int     `json:"cold_starts"`
	Invocations int     `json:"invocations"`
	Errors      int     `json:"errors"` // ended in a function error
	Timeouts    int     `json:"timeouts"`
	Crashes     int     `json:"crashes"` // exits nobody asked for
	InitMS      float64 `json:"init_ms"` // start of the process to its first poll, the last time
	PeakRSS     int64   `json:"peak_rss_bytes"`
}

// Stats are the counters of every function, sorted by name.
func (l *Lambda) Stats() (all []Stats) {
	for _, name := range l.Names() {
		all = append(all, l.pools[name].report())
	}
	return all
}
