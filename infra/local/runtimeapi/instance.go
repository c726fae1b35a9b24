package runtimeapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// instance is one process of a function and the Runtime API it polls.
type instance struct {
	pool   *pool
	id     string
	dir    string
	cmd    *exec.Cmd
	server *http.Server
	out    *lineWriter
	work   chan *invocation // room for one
	dead   chan struct{}    // closed when the process has ended and the pool knows

	started  time.Time
	limit    *time.Timer // of the initialization
	polled   atomic.Bool // initialization is over
	expected atomic.Bool // we end it, so its end is no crash
	late     atomic.Bool // we end it because it is out of time

	idleSince time.Time // guarded by pool.mu

	mu      sync.Mutex
	current *invocation
	begun   time.Time
	timer   *time.Timer
	initErr *FunctionError
}

// start runs the bootstrap with its first work waiting for it.
func start(p *pool, inv *invocation) (*instance, error) {
	i := &instance{pool: p, id: uuid(), started: time.Now(), work: make(chan *invocation, 1), dead: make(chan struct{})}
	i.dir = filepath.Join(p.lambda.dir, i.id)
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of an instance: %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	i.server = &http.Server{Handler: i.routes(), ReadHeaderTimeout: time.Minute}
	i.out = &lineWriter{logs: p.lambda.opts.Logs, function: p.fn.Name, instance: i.id}
	i.cmd = &exec.Cmd{
		Path: p.fn.Bootstrap, Args: []string{p.fn.Bootstrap}, Dir: i.dir, Env: i.env(ln.Addr().String()),
		Stdout: i.out, Stderr: i.out, WaitDelay: time.Second, SysProcAttr: ownGroup(),
	}

	i.work <- inv
	i.started = time.Now()
	if err := i.cmd.Start(); err != nil {
		_ = ln.Close()
		return nil, failure("Runtime.InvalidEntrypoint", fmt.Sprintf("RequestId: %s Error: Couldn't find valid bootstrap(s): [%s]", inv.id, p.fn.Bootstrap))
	}
	i.limit = time.AfterFunc(p.lambda.opts.InitTimeout, i.initOverrun)
	go func() { _ = i.server.Serve(ln) }() // ends with Close; what the process asked meanwhile waits in the listener
	p.lambda.wg.Go(i.wait)
	return i, nil
}

// AccessKeyID is the id of the access key of a function's role. Lambda gives each process temporary credentials of it.
func AccessKeyID(function string) string {
	return "ASIALOCALRUN" + strings.ToUpper(strings.ReplaceAll(function, "-", ""))
}

// env is the environment of the process: what Lambda sets, what the service's options add, what the function declares.
func (i *instance) env(api string) []string {
	o, f := i.pool.lambda.opts, i.pool.fn
	all := map[string]string{
		"AWS_ACCESS_KEY_ID":               AccessKeyID(f.Name),
		"AWS_DEFAULT_REGION":              o.Region,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      i.started.UTC().Format("2006/01/02/[$LATEST]") + strings.ReplaceAll(i.id, "-", ""),
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_REGION":                      o.Region,
		"AWS_SECRET_ACCESS_KEY":           "local-only-not-a-secret",
		"AWS_SESSION_TOKEN":               "local-only-not-a-token",
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.Bootstrap),
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"TMPDIR":                          i.dir, // on AWS every instance has a /tmp of its own
		"TZ":                              ":UTC",
		"_HANDLER":                        "bootstrap",
	}
	for k, v := range o.Env {
		all[k] = v
	}
	for k, v := range f.Env {
		all[k] = v
	}
	env := make([]string, 0, len(all))
	for k, v := range all {
		env = append(env, k+"="+v)
	}
	return env
}

func (i *instance) arn() string {
	o := i.pool.lambda.opts
	return "arn:aws:lambda:" + o.Region + ":" + o.Account + ":function:" + i.pool.fn.Name
}

// wait sees the process to its end and tells whoever was waiting for it.
func (i *instance) wait() {
	err := i.cmd.Wait()
	i.limit.Stop()
	i.out.flush()
	_ = i.server.Close()

	rss := maxRSS(i.cmd.ProcessState)
	i.pool.count(func(s *Stats) {
		s.PeakRSS = max(s.PeakRSS, rss)
		if !i.expected.Load() {
			s.Crashes++
		}
	})
	inv := i.take()
	i.pool.remove(i)
	_ = os.RemoveAll(i.dir)
	close(i.dead)
	switch {
	case inv == nil:
	case i.late.Load():
		i.finish(inv, failure("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id, i.pool.fn.Timeout.Seconds())))
	default:
		i.finish(inv, exitError(inv, err))
	}
}

func exitError(inv *invocation, err error) *FunctionError {
	why := "Runtime exited without providing a reason"
	if err != nil {
		why = "Runtime exited with error: " + err.Error()
	}
	return failure("Runtime.ExitError", "RequestId: "+inv.id+" Error: "+why)
}

// initFailure is what the invocation is told that waited for an initialization that failed.
func (i *instance) initFailure(inv *invocation) *FunctionError {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pool.stats.Errors++ // the caller holds pool.mu
	if i.initErr != nil {
		return i.initErr
	}
	var exit error
	if !i.cmd.ProcessState.Success() {
		exit = errors.New(i.cmd.ProcessState.String())
	}
	return exitError(inv, exit)
}

func (i *instance) initOverrun() {
	i.mu.Lock()
	if i.initErr == nil {
		i.initErr = failure("Sandbox.Timedout", fmt.Sprintf("INIT_REPORT Init Duration: %d.00 ms Phase: init Status: timeout", i.pool.lambda.opts.InitTimeout.Milliseconds()))
	}
	i.mu.Unlock()
	i.kill()
}

// kill ends the process; wait does the rest.
func (i *instance) kill() { _ = syscall.Kill(-i.cmd.Process.Pid, syscall.SIGKILL) }

func (i *instance) freeze() {
	if !i.pool.lambda.opts.NoFreeze {
		_ = syscall.Kill(-i.cmd.Process.Pid, syscall.SIGSTOP)
	}
}

func (i *instance) thaw() {
	if !i.pool.lambda.opts.NoFreeze {
		_ = syscall.Kill(-i.cmd.Process.Pid, syscall.SIGCONT)
	}
}

// routes is the Runtime API.
func (i *instance) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.next)
	m.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", i.respond)
	m.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", i.respondError)
	m.HandleFunc("POST /2018-06-01/runtime/init/error", i.initError)
	return m
}

// next ends the invocation under way, if any, and waits for another one.
func (i *instance) next(w http.ResponseWriter, r *http.Request) {
	i.limit.Stop()
	first := i.polled.CompareAndSwap(false, true)
	if first {
		ms := float64(time.Since(i.started).Microseconds()) / 1000
		i.pool.count(func(s *Stats) { s.InitMS = ms })
	}
	if inv := i.take(); inv != nil {
		i.finish(inv, failure("Runtime.NoResponse", "RequestId: "+inv.id+" Error: Runtime asked for the next event without answering this one"))
	}
	i.pool.rest(i)
	select {
	case inv := <-i.work:
		deadline := i.begin(inv)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", i.arn())
		h.Set("Lambda-Runtime-Trace-Id", inv.trace)
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		_, _ = w.Write(inv.payload) // a process that went away is noticed by wait
	case <-r.Context().Done():
	}
}

// begin makes inv the current invocation and starts its clock.
func (i *instance) begin(inv *invocation) (deadline time.Time) {
	timeout := i.pool.fn.Timeout
	i.pool.count(func(s *Stats) { s.Invocations++ })
	i.mu.Lock()
	defer i.mu.Unlock()
	i.current, i.begun = inv, time.Now()
	i.timer = time.AfterFunc(timeout, func() { i.overrun(inv) })
	return i.begun.Add(timeout)
}

// take ends the current invocation's clock and returns it; nil if there is none.
func (i *instance) take() *invocation {
	i.mu.Lock()
	defer i.mu.Unlock()
	inv := i.current
	if inv != nil {
		i.timer.Stop()
		i.current = nil
		i.pool.lambda.opts.Log.Debug("invocation", "function", i.pool.fn.Name, "request_id", inv.id, "duration", time.Since(i.begun))
	}
	return inv
}

// finish books the outcome, nil for success, and tells the caller, who finds the instance free. What comes first stands.
func (i *instance) finish(inv *invocation, outcome *FunctionError) {
	if !inv.settle(outcome) {
		return
	}
	if outcome != nil {
		i.pool.count(func(s *Stats) { s.Errors++ })
	}
	i.pool.release(i)
	inv.tell()
}

// overrun kills a process that is out of time; wait says so.
func (i *instance) overrun(inv *invocation) {
	i.mu.Lock()
	mine := i.current == inv
	i.mu.Unlock()
	if !mine {
		return
	}
	i.pool.count(func(s *Stats) { s.Timeouts++ })
	i.expected.Store(true)
	i.late.Store(true)
	i.kill()
}

func (i *instance) invocation(w http.ResponseWriter, r *http.Request) *invocation {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current == nil || i.current.id != r.PathValue("id") {
		reply(w, http.StatusBadRequest, `{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}`)
		return nil
	}
	return i.current
}

// respond takes an answer and passes it on chunk by chunk, whatever response mode the runtime announces: a buffered caller
// simply reads to the end.
func (i *instance) respond(w http.ResponseWriter, r *http.Request) {
	inv := i.invocation(w, r)
	if inv == nil {
		return
	}
	if !inv.begin(r.Header.Get("Content-Type")) {
		reply(w, http.StatusBadRequest, `{"errorType":"InvalidStateTransition","errorMessage":"State transition from Ready to Ready failed"}`)
		return
	}
	if err := inv.copy(r.Body); err != nil {
		return // the connection broke: the process ends, or its time does
	}
	var why *FunctionError
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		body, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if why = (&FunctionError{Kind: "Unhandled", Payload: body}); err != nil || len(body) == 0 {
			why = failure(kind, "")
		}
	}
	i.finish(inv, why)
	reply(w, http.StatusAccepted, `{"status":"OK"}`)
}

func (i *instance) respondError(w http.ResponseWriter, r *http.Request) {
	inv := i.invocation(w, r)
	if inv == nil {
		return
	}
	i.finish(inv, readFailure(r))
	reply(w, http.StatusAccepted, `{"status":"OK"}`)
}

func (i *instance) initError(w http.ResponseWriter, r *http.Request) {
	if i.polled.Load() {
		reply(w, http.StatusForbidden, `{"errorType":"InvalidStateTransition","errorMessage":"Initialization is over"}`)
		return
	}
	why := readFailure(r)
	i.mu.Lock()
	i.initErr = why
	i.mu.Unlock()
	reply(w, http.StatusAccepted, `{"status":"OK"}`)
}

func readFailure(r *http.Request) *FunctionError {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload))
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return failure(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "")
	}
	return &FunctionError{Kind: "Unhandled", Payload: body}
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// peakRSS is the most memory the live process held so far; 0 where the system does not say.
func (i *instance) peakRSS() int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(i.cmd.Process.Pid) + "/status") //nolint:gosec // a number
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// maxRSS is the same of a process that has ended.
func maxRSS(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}
