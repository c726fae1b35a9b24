// Command bench measures cold starts and latency of the shipped functions, compares them with the bars, and writes
// build/bench.json. It prints a table; what is above its bar is marked.
//
//nolint:forbidigo // a command: the terminal is its output
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/run"
)

// latency is that of every outside system.
const latency = 20 * time.Millisecond

const (
	starts = 30  // cold starts of each function
	warm   = 200 // repeated reads
	fresh  = 10  // first answers of a fresh process
)

// The bars: how slow each may be.
const (
	coldStartBar   = 3.0                   // times the start of a bare function
	webStartBar    = 4.5                   // the same, for functions at a function URL
	warmBar        = 3 * time.Millisecond  // above the chain and two bare functions
	firstAnswerBar = 15 * time.Millisecond // above the chain, which includes the starts
	firstTextBar   = 10 * time.Millisecond // from the agent's first chunk to the browser
)

// Report is build/bench.json.
type Report struct {
	ColdStart   map[string]Start  `json:"cold_start"`
	FirstAnswer map[string]Timing `json:"first_answer"`
	Warm        map[string]Timing `json:"warm"`
	Asked       map[string]Timing `json:"asked"` // a change, until ciba answers that the push is sent
	Calls       map[string]int    `json:"calls_per_read"`
	ZipBytes    map[string]int64  `json:"zip_bytes"`
	PeakRSSMB   map[string]int64  `json:"peak_rss_mb"`
	FirstText   Timing            `json:"first_text"`
}

// Start is exec to the first poll of the Runtime API, the median.
type Start struct {
	MS    float64 `json:"ms"`
	Ratio float64 `json:"ratio,omitempty"` // to bare
	Bar   float64 `json:"bar,omitempty"`   // how high the ratio may be
}

// Timing compares a duration with the longest chain of calls it needs.
type Timing struct {
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Chain  float64 `json:"chain_ms"`
	Excess float64 `json:"excess_ms"`           // of the median
	Laptop float64 `json:"laptop_ms,omitempty"` // of the excess, what two bare functions take in the same run
	Bar    float64 `json:"bar_ms,omitempty"`    // how high the median may be
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context) error {
	root, err := run.Root()
	if err != nil {
		return err
	}
	bin := filepath.Join(root, "build", "local")
	if err := run.Build(ctx, bin, func(s string) { fmt.Println(s) }); err != nil {
		return err
	}
	r := Report{FirstAnswer: map[string]Timing{}, Warm: map[string]Timing{}, ZipBytes: map[string]int64{}, PeakRSSMB: map[string]int64{}}
	if r.ColdStart, err = coldStarts(ctx, root, bin); err != nil {
		return err
	}
	if err := answers(ctx, &r); err != nil {
		return err
	}
	for _, fn := range fleet.Steward().Functions {
		if info, err := os.Stat(filepath.Join(root, "build", fn.Name+".zip")); err == nil {
			r.ZipBytes[fn.Name] = info.Size()
		}
	}
	print(r)
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "build", "bench.json"), append(encoded, '\n'), 0o644) //nolint:gosec // figures
}

// coldStarts measures exec to first poll, the functions in turn so that what else the machine does reaches all alike.
func coldStarts(ctx context.Context, root, bin string) (map[string]Start, error) {
	bare := filepath.Join(bin, "bare", "bootstrap")
	build := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, run.Flags(), []string{"-o", bare, "./bench/bare"})...) //nolint:gosec // our own paths
	build.Dir = filepath.Join(root, "infra", "local")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build bare: %w\n%s", err, out)
	}
	names := []string{"bare"}
	env := map[string][]string{}
	for _, fn := range fleet.Steward().Functions {
		names = append(names, fn.Name)
		for _, e := range fn.Keys("classic") {
			if !e.Optional || e.Key == "APP_BASE_URL" {
				env[fn.Name] = append(env[fn.Name], e.Key+"="+sample(e.Key))
			}
		}
	}
	taken := map[string][]time.Duration{}
	for range starts {
		for _, name := range names {
			d, err := coldStart(ctx, filepath.Join(bin, name, "bootstrap"), env[name])
			if err != nil {
				return nil, fmt.Errorf("start %s: %w", name, err)
			}
			taken[name] = append(taken[name], d)
		}
	}
	out := map[string]Start{}
	base := ms(quantile(taken["bare"], 0.5))
	out["bare"] = Start{MS: base}
	for _, fn := range fleet.Steward().Functions {
		s := Start{MS: ms(quantile(taken[fn.Name], 0.5)), Bar: coldStartBar}
		if fn.Web {
			s.Bar = webStartBar
		}
		s.Ratio = s.MS / base
		out[fn.Name] = s
	}
	return out, nil
}

// sample is a value that parses: nothing is asked of anybody before the first poll.
func sample(key string) string {
	switch {
	case strings.HasSuffix(key, "_URL"):
		return "http://localhost:9/"
	case key == "AGENT_RUNTIME":
		return "classic"
	case key == "APPROVALS_MESSAGE":
		return "sentence"
	case key == "FGA_USER_CLAIM":
		return "email"
	case key == "FGA_STORE_ID", key == "FGA_MODEL_ID":
		return "01HXXXXXXXXXXXXXXXXXXXXXXX"
	}
	return "sample"
}

func coldStart(ctx context.Context, bootstrap string, env []string) (time.Duration, error) {
	polled := make(chan time.Time, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		return 0, err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case polled <- time.Now():
		default:
		}
		<-r.Context().Done()
	})}
	go func() { _ = srv.Serve(ln) }()
	defer func() { _ = srv.Close() }()
	cmd := exec.CommandContext(ctx, bootstrap)
	cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + ln.Addr().String(), "AWS_REGION=us-east-1", "AWS_LAMBDA_FUNCTION_NAME=bench",
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "HOME=/nonexistent",
	}, env...)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	select {
	case at := <-polled:
		return at.Sub(begun), nil
	case <-time.After(10 * time.Second):
		return 0, errors.New("no poll of the Runtime API within 10 s")
	}
}

func quantile(d []time.Duration, q float64) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func print(r Report) {
	fmt.Printf("\n%-18s %9s %9s %9s %9s %9s\n", "cold start", "ms", "× bare", "bar", "zip KB", "peak MB")
	fmt.Printf("%-18s %9.1f\n", "bare", r.ColdStart["bare"].MS)
	for _, fn := range fleet.Steward().Functions {
		s := r.ColdStart[fn.Name]
		fmt.Printf("%-18s %9.1f %9.2f %9.1f %9d %9d%s\n", fn.Name, s.MS, s.Ratio, s.Bar, r.ZipBytes[fn.Name]/1024, r.PeakRSSMB[fn.Name], above(s.Ratio, s.Bar))
	}
	fmt.Printf("\n%-34s %9s %9s %9s %9s %9s %9s\n", "every outside system at 20 ms, in ms", "p50", "bar", "p99", "chain", "excess", "2 × bare")
	row := func(name string, t Timing) {
		fmt.Printf("%-34s %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f%s\n", name, t.P50, t.Bar, t.P99, t.Chain, t.Excess, t.Laptop, above(t.P50, t.Bar))
	}
	for _, part := range []struct {
		title   string
		timings map[string]Timing
	}{{"first answer of ", r.FirstAnswer}, {"warm ", r.Warm}, {"push sent for ", r.Asked}} {
		for name, t := range part.timings {
			row(part.title+name, t)
		}
	}
	row("first text to the browser", r.FirstText)
	fmt.Printf("\ncalls of a repeated read: %v\n", r.Calls)
}

// above marks a figure that is above its bar; a bar of 0 is none.
func above(figure, bar float64) string {
	if bar > 0 && figure > bar {
		return "  ABOVE ITS BAR"
	}
	return ""
}
