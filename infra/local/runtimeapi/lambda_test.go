package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/local/runtimeapi"
)

var probe string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	probe = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-o", probe, "./testdata/probe")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	code := 1
	if build.Run() == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, opts runtimeapi.Options, change func(*runtimeapi.Function)) *runtimeapi.Lambda {
	t.Helper()
	fn := runtimeapi.Function{Name: "probe", Bootstrap: probe, MemoryMB: 256, Timeout: 5 * time.Second, Env: map[string]string{}}
	if change != nil {
		change(&fn)
	}
	l, err := runtimeapi.New(opts, fn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

type answer struct {
	PID       int    `json:"pid"`
	Calls     int    `json:"calls"`
	Ticks     int    `json:"ticks"`
	ARN       string `json:"arn"`
	RequestID string `json:"request_id"`
	LeftMS    int    `json:"left_ms"`
	Trace     string `json:"trace"`

	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`

	Env   []string `json:"env"`
	Value string   `json:"value"`
}

func call(t *testing.T, l *runtimeapi.Lambda, event string) (a answer, functionError string) {
	t.Helper()
	out, functionError, err := l.Invoke(t.Context(), "probe", []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("answer %.200q: %v", out, err)
	}
	return a, functionError
}

func TestColdStartThenReuse(t *testing.T) {
	l := start(t, runtimeapi.Options{}, nil)
	if s := l.Stats()[0]; s.ColdStarts != 0 {
		t.Errorf("before any call: got %d cold starts, want 0", s.ColdStarts)
	}
	first, _ := call(t, l, `{}`)
	second, _ := call(t, l, `{}`)
	if first.PID != second.PID || second.Calls != 2 {
		t.Errorf("got %+v after %+v, want the same process", second, first)
	}
	if want := "arn:aws:lambda:us-east-1:000000000000:function:probe"; first.ARN != want {
		t.Errorf("got ARN %q, want %q", first.ARN, want)
	}
	if first.LeftMS < 4000 || first.LeftMS > 5000 {
		t.Errorf("got %d ms left, want a little under 5000", first.LeftMS)
	}
	if first.RequestID == "" || first.RequestID == second.RequestID || !strings.HasPrefix(first.Trace, "Root=1-") {
		t.Errorf("got request ids %q, %q and trace %q", first.RequestID, second.RequestID, first.Trace)
	}
	s := l.Stats()[0]
	if s.ColdStarts != 1 || s.Invocations != 2 || s.InitMS <= 0 || s.Errors != 0 {
		t.Errorf("got %+v, want one cold start and two invocations", s)
	}
}

func TestConcurrentCallsHaveProcessesOfTheirOwn(t *testing.T) {
	l := start(t, runtimeapi.Options{MaxInstances: 3}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	pids := map[int]bool{}
	for range 9 {
		wg.Go(func() {
			out, _, err := l.Invoke(t.Context(), "probe", []byte(`{"do":"sleep","ms":50}`))
			var a answer
			if err = errors.Join(err, json.Unmarshal(out, &a)); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			pids[a.PID] = true
		})
	}
	wg.Wait()
	if s := l.Stats()[0]; len(pids) != 3 || s.ColdStarts != 3 || s.Invocations != 9 {
		t.Errorf("got %d processes and %+v, want 3 and the rest to wait", len(pids), s)
	}
}

func TestOnlyDeclaredEnvironment(t *testing.T) {
	t.Setenv("STEWARD_CANARY", "leak")
	l := start(t, runtimeapi.Options{Env: map[string]string{"AWS_ENDPOINT_URL": "http://localhost:1"}}, func(f *runtimeapi.Function) { f.Env["COLOUR"] = "blue" })
	a, _ := call(t, l, `{"do":"env","env":"COLOUR"}`)
	if a.Value != "blue" {
		t.Errorf("got COLOUR=%q, want what the function declares", a.Value)
	}
	all := strings.Join(a.Env, "\n")
	for _, want := range []string{"AWS_REGION=us-east-1", "AWS_LAMBDA_FUNCTION_NAME=probe", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "_HANDLER=bootstrap", "AWS_ENDPOINT_URL=http://localhost:1"} {
		if !strings.Contains(all, want) {
			t.Errorf("environment has no %s:\n%s", want, all)
		}
	}
	for _, unwanted := range []string{"STEWARD_CANARY", "HOME=", "GOPATH"} {
		if strings.Contains(all, unwanted) {
			t.Errorf("%s came from our own environment", unwanted)
		}
	}
}

func TestFunctionsFail(t *testing.T) {
	l := start(t, runtimeapi.Options{}, func(f *runtimeapi.Function) { f.Timeout = 2 * time.Second })
	for _, tt := range []struct {
		name, event, kind, message string
		survives                   bool
	}{
		{"error", `{"do":"error","text":"sorry"}`, "errorString", "sorry", true},
		{"panic", `{"do":"panic","text":"ouch"}`, "string", "ouch", false},
		{"exit", `{"do":"exit"}`, "Runtime.ExitError", "Runtime exited with error: exit status 3", false},
		{"time out", `{"do":"sleep","ms":9000}`, "Sandbox.Timedout", "Task timed out after 2.00 seconds", false},
		{"too big", `{"do":"big"}`, "Function.ResponseSizeTooLarge", "exceeded", true},
		{"event of the wrong type", `[]`, "UnmarshalTypeError", "cannot unmarshal", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := call(t, l, `{}`)
			a, functionError := call(t, l, tt.event)
			if functionError != "Unhandled" || a.Type != tt.kind || !strings.Contains(a.Message, tt.message) {
				t.Errorf("got %s %+v, want %s: %s", functionError, a, tt.kind, tt.message)
			}
			after, functionError := call(t, l, `{}`)
			if functionError != "" || (before.PID == after.PID) != tt.survives {
				t.Errorf("next call: got %s process %d after %d, survives %v", functionError, after.PID, before.PID, tt.survives)
			}
		})
	}
	if s := l.Stats()[0]; s.Timeouts != 1 || s.Crashes != 2 || s.PeakRSS == 0 {
		t.Errorf("got %+v, want one time-out, two crashes and some memory", s)
	}
}

func TestInitFails(t *testing.T) {
	for _, tt := range []struct{ start, kind, message string }{
		{"exit", "Runtime.ExitError", "Runtime exited with error: exit status 1"},
		{"hang", "Sandbox.Timedout", "Status: timeout"},
	} {
		t.Run(tt.start, func(t *testing.T) {
			l := start(t, runtimeapi.Options{InitTimeout: 300 * time.Millisecond}, func(f *runtimeapi.Function) { f.Env["PROBE_START"] = tt.start })
			a, functionError := call(t, l, `{}`)
			if functionError != "Unhandled" || a.Type != tt.kind || !strings.Contains(a.Message, tt.message) {
				t.Errorf("got %s %+v, want %s: %s", functionError, a, tt.kind, tt.message)
			}
		})
	}
	t.Run("no bootstrap", func(t *testing.T) {
		l := start(t, runtimeapi.Options{}, func(f *runtimeapi.Function) { f.Bootstrap = filepath.Join(t.TempDir(), "bootstrap") })
		if a, functionError := call(t, l, `{}`); functionError != "Unhandled" || a.Type != "Runtime.InvalidEntrypoint" {
			t.Errorf("got %s %+v, want Runtime.InvalidEntrypoint", functionError, a)
		}
	})
	t.Run("no function", func(t *testing.T) {
		l := start(t, runtimeapi.Options{}, nil)
		if _, _, err := l.Invoke(t.Context(), "other", nil); !errors.Is(err, runtimeapi.ErrNoFunction) {
			t.Errorf("got %v, want ErrNoFunction", err)
		}
	})
}

func TestKillThenStartAfresh(t *testing.T) {
	l := start(t, runtimeapi.Options{}, nil)
	before, _ := call(t, l, `{}`)
	type result struct {
		out           []byte
		functionError string
		err           error
	}
	done := make(chan result)
	go func() {
		out, functionError, err := l.Invoke(context.Background(), "probe", []byte(`{"do":"sleep","ms":4000}`))
		done <- result{out, functionError, err}
	}()
	for l.Stats()[0].Invocations < 2 {
		time.Sleep(time.Millisecond)
	}
	if n := l.Kill("probe"); n != 1 {
		t.Errorf("killed %d processes, want 1", n)
	}
	if r := <-done; r.err != nil || r.functionError != "Unhandled" || !strings.Contains(string(r.out), "signal: killed") {
		t.Errorf("got %s %s %v, want a Runtime.ExitError", r.functionError, r.out, r.err)
	}
	if after, _ := call(t, l, `{}`); after.PID == before.PID {
		t.Error("the killed process answered")
	}
}

// The answer does not wait until the process asks for more work, and work given to a process that never does is not lost.
func TestEndAfterAnswer(t *testing.T) {
	l := start(t, runtimeapi.Options{}, func(f *runtimeapi.Function) { f.Env["PROBE_START"] = "once" })
	pids := map[int]bool{}
	for range 20 {
		a, functionError := call(t, l, `{}`)
		if functionError != "" {
			t.Fatalf("got %s %+v", functionError, a)
		}
		pids[a.PID] = true
	}
	if s := l.Stats()[0]; len(pids) != 20 || s.Errors != 0 || s.Invocations != 20 {
		t.Errorf("got %d processes and %+v, want a process a call", len(pids), s)
	}
}

// The function goes on only when its first chunk has been read.
func TestStreamsAsItComes(t *testing.T) {
	l := start(t, runtimeapi.Options{}, nil)
	read := make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-read }))
	t.Cleanup(gate.Close)
	res, err := l.InvokeStream(t.Context(), "probe", fmt.Appendf(nil, `{"do":"stream","text":%q}`, gate.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 100)
	n, err := res.Body.Read(buf)
	close(read)
	if err != nil || string(buf[:n]) != "chunk 0;" {
		t.Errorf("got %q, %v, want the first chunk", buf[:n], err)
	}
	rest, err := io.ReadAll(res.Body)
	if err != nil || string(rest) != "chunk 1;chunk 2;" || res.ContentType != "application/octet-stream" {
		t.Errorf("got %q as %s, %v", rest, res.ContentType, err)
	}
}

func TestStreamFailsHalfWay(t *testing.T) {
	l := start(t, runtimeapi.Options{}, nil)
	for do, want := range map[string]string{"stream-error": "out of paper", "stream-exit": "exit status 4"} {
		res, err := l.InvokeStream(t.Context(), "probe", fmt.Appendf(nil, `{"do":%q,"text":"out of paper"}`, do))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		var failed *runtimeapi.FunctionError
		if string(got) != "half" || !errors.As(err, &failed) || !strings.Contains(string(failed.Payload), want) {
			t.Errorf("%s: got %q, %v, want half an answer and %q", do, got, err, want)
		}
		_ = res.Body.Close()
	}
}

func TestCallerGoesAwayFunctionGoesOn(t *testing.T) {
	l := start(t, runtimeapi.Options{MaxInstances: 1}, nil) // the third call waits for the process
	call(t, l, `{}`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := l.Invoke(ctx, "probe", []byte(`{"do":"sleep","ms":100}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the caller's own deadline", err)
	}
	if a, _ := call(t, l, `{}`); a.Calls != 3 || l.Stats()[0].Crashes != 0 {
		t.Errorf("got call %d of the process, want the third of the same one", a.Calls)
	}
}

func TestFrozenBetweenInvocations(t *testing.T) {
	for _, free := range []bool{false, true} {
		l := start(t, runtimeapi.Options{NoFreeze: free}, nil)
		call(t, l, `{"do":"tick"}`)
		before, _ := call(t, l, `{}`)
		time.Sleep(200 * time.Millisecond)
		after, _ := call(t, l, `{}`)
		if ran := after.Ticks-before.Ticks > 50; ran != free {
			t.Errorf("NoFreeze %v: %d ticks between two invocations", free, after.Ticks-before.Ticks)
		}
	}
}

func TestIdleInstancesEnd(t *testing.T) {
	l := start(t, runtimeapi.Options{IdleAfter: 50 * time.Millisecond}, nil)
	before, _ := call(t, l, `{}`)
	deadline := time.Now().Add(5 * time.Second)
	for l.Stats()[0].Instances > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	after, functionError := call(t, l, `{}`)
	if functionError != "" || before.PID == after.PID || l.Stats()[0].Crashes != 0 {
		t.Errorf("got %s process %d after %d and %+v, want a new process and no crash", functionError, after.PID, before.PID, l.Stats()[0])
	}
}

func TestLogs(t *testing.T) {
	var copied bytes.Buffer
	logs := runtimeapi.NewLogs(&copied)
	l := start(t, runtimeapi.Options{Logs: logs}, nil)
	call(t, l, `{"do":"log","text":"hello log"}`)
	l.Kill("probe")
	if got := logs.String(); !strings.Contains(got, "hello log\n") || !strings.Contains(got, "no newline\n") {
		t.Errorf("got log %q", got)
	}
	if lines := logs.Lines("probe"); len(lines) != 2 || len(logs.Lines("other")) != 0 {
		t.Errorf("got %+v, want two lines of probe", lines)
	}
	if !strings.Contains(copied.String(), "probe           hello log") {
		t.Errorf("got copy %q", copied.String())
	}
}
