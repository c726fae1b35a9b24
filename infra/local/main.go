// Command local runs Steward on this computer: no account, no network, no Docker.
//
//	go run ./infra/local [-build]                          the run itself, until ^C; -build compiles the functions first
//	go run ./infra/local invoke FUNCTION EVENT.json        sends an event to a function of the run under way
//
// Environment: STEWARD_PORT_BASE (3000) is the first of six ports. AGENT_RUNTIME is classic or harness. STEWARD_CONNECTED=none lets
// people begin without a connected Okta account, to see that step. STEWARD_CHAOS=<number> makes the fakes throttle, page small
// and repeat themselves, the same way for the same number. CONSOLE_LINKING=true lets Bedrock console sessions be linked.
// RICH_APPROVALS=true has pushes carry the change as authorization details. FGA_USER_CLAIM is email or sub. MODEL is a Bedrock model id: with AWS credentials in the environment, that model stands behind the
// agent instead of the built-in planner. It is the only thing that ever leaves this computer, and nothing else is asked of AWS.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
	"github.com/steward-iam/steward/shared/fake/bedrocktest/converse"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "steward:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	root, err := run.Root()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 3 && args[0] == "invoke":
		return invoke(ctx, root, args[1], args[2])
	case len(args) == 0, len(args) == 1 && args[0] == "-build":
		return serve(ctx, root, len(args) == 1)
	default:
		return errors.New("usage: local [-build] | local invoke FUNCTION EVENT.json")
	}
}

func serve(ctx context.Context, root string, build bool) error {
	opts, err := options(root, os.Getenv)
	if err != nil {
		return err
	}
	if build {
		fmt.Println("Building the functions for this computer. The first time takes a minute or two.")
		if err := run.Build(ctx, opts.Bin, func(done string) { fmt.Println("  " + done) }); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "build"), 0o750); err != nil {
		return fmt.Errorf("log of the functions: %w", err)
	}
	logFile, err := os.Create(filepath.Join(root, "build", "local.log")) //nolint:gosec // our own file
	if err != nil {
		return fmt.Errorf("log of the functions: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	opts.Logs = logFile
	opts.Log = slog.New(slog.NewTextHandler(logFile, nil))

	if id := os.Getenv("MODEL"); id != "" {
		if opts.Model, err = model(ctx, id); err != nil {
			return err
		}
		opts.ChunkDelay = 0
	}
	begun := time.Now()
	fleet, err := run.Start(ctx, opts)
	if ctx.Err() != nil { // stopped before it began: nothing to report
		return nil
	}
	if err != nil {
		return err
	}
	banner(os.Stdout, fleet.State(), opts, time.Since(begun))
	<-ctx.Done()
	fmt.Println("\nStopping.")
	return fleet.Close()
}

// model is a real model, asked with the person's own AWS credentials.
func model(ctx context.Context, id string) (bedrocktest.Model, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithDefaultRegion("us-east-1"))
	if err != nil {
		return nil, fmt.Errorf("MODEL: AWS configuration: %w", err)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("MODEL is set, but there are no AWS credentials to ask it with: %w", err)
	}
	return converse.New(bedrockruntime.NewFromConfig(cfg), id), nil
}

// options reads the environment.
func options(root string, getenv func(string) string) (run.Options, error) {
	build := filepath.Join(root, "build")
	o := run.Options{
		Bin: filepath.Join(build, "local"), StateFile: filepath.Join(build, "local.json"), PortBase: 3000,
		AgentRuntime: getenv("AGENT_RUNTIME"), FGAUserClaim: getenv("FGA_USER_CLAIM"), ChunkDelay: 15 * time.Millisecond,
	}
	var faults []error
	number := func(key string, highest uint64, set func(uint64)) {
		text := getenv(key)
		if text == "" {
			return
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 || n > highest {
			faults = append(faults, fmt.Errorf("%s is %q, want a number from 1 to %d", key, text, highest))
			return
		}
		set(n)
	}
	number("STEWARD_PORT_BASE", 65530, func(n uint64) { o.PortBase = int(n) }) //nolint:gosec // at most 65530
	number("STEWARD_CHAOS", 1<<63, func(n uint64) { o.Chaos = n })
	choice := func(key, value string, set *bool) {
		if got := getenv(key); got == value {
			*set = true
		} else if got != "" {
			faults = append(faults, fmt.Errorf("%s is %q, want %q or nothing", key, got, value))
		}
	}
	choice("STEWARD_CONNECTED", "none", &o.NotConnected)
	choice("CONSOLE_LINKING", "true", &o.ConsoleLinking)
	choice("RICH_APPROVALS", "true", &o.RichApprovals)
	return o, errors.Join(faults...)
}

func banner(w io.Writer, s run.State, o run.Options, took time.Duration) {
	connected := "Everybody has connected Okta already; STEWARD_CONNECTED=none shows that step."
	if o.NotConnected {
		connected = "Nobody has connected Okta yet: choose Connect Okta first."
	}
	notes := ""
	if o.Model != nil {
		notes = "A real model stands behind the agent: " + os.Getenv("MODEL") + ".\n"
	}
	if o.Chaos != 0 {
		notes += fmt.Sprintf("Chaos: the fakes throttle, cut pages short and repeat themselves, seed %d.\n", o.Chaos)
	}
	fmt.Fprintf(w, `
Steward runs on this computer (started in %.1f s, %s agent runtime).

  Chat      %s
  Phone     %s      approve or deny what the agent wants to do
  Control   %s            pushes, requests, faults, logs (README: the laptop run)
  Behind it: Auth0 %s, Okta %s, OpenFGA %s, AWS %s

Sign in as one of these; there is no password:
  alice@example.com   reads groups         "What are my Okta groups?"
  bob@example.com     helpdesk             "Reset the password of dave@example.com", then look at the phone
  carol@example.com   owns Engineering     "Add erin@example.com to Engineering"
  dave@example.com    nothing granted      "What are my Okta groups?" is refused
  erin@example.com    reads groups, and nothing else
  frank@example.com   administrator        "Suspend dave@example.com"
%s
%s
The functions log to build/local.log. Stop with ^C.
`, took.Seconds(), cmp.Or(o.AgentRuntime, "classic"), s.Chat, s.Phone, s.Control, s.Auth0, s.Okta, s.FGA, s.AWS, connected, notes)
}

// invoke sends an event to a function of the run under way and prints its answer.
func invoke(ctx context.Context, root, function, eventFile string) error {
	event, err := os.ReadFile(eventFile) //nolint:gosec // the file the person names
	if err != nil {
		return err
	}
	if !json.Valid(event) {
		return fmt.Errorf("%s is not JSON", eventFile)
	}
	raw, err := os.ReadFile(filepath.Join(root, "build", "local.json")) //nolint:gosec // our own file
	if err != nil {
		return fmt.Errorf("nothing runs here, start it with make local: %w", err)
	}
	var state run.State
	if err := json.Unmarshal(raw, &state); err != nil {
		return fmt.Errorf("state of the run: %w", err)
	}
	target := state.AWS + "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(event)) //nolint:gosec // the address our own file names
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r) //nolint:gosec // the same
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		return err
	}
	fmt.Println()
	if kind := res.Header.Get("X-Amz-Function-Error"); kind != "" || res.StatusCode != http.StatusOK {
		return fmt.Errorf("the function failed: status %d %s", res.StatusCode, kind)
	}
	return nil
}
