package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/infra/local/runtimeapi"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
	"github.com/steward-iam/steward/shared/fake/faults"
)

const person = "alice@example.com"

// unbounded is how much may be asked in a row without meeting a limit.
const unbounded = 10

// answers measures the functions in a whole fleet whose outside systems take 20 ms each.
func answers(ctx context.Context, r *Report) error {
	watch := &stopwatch{}
	f, err := run.Start(ctx, run.Options{Latency: latency, Model: watch, PushLimit: -1})
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	t := tableOf(f)
	browser, id, err := t.signIn(ctx, f, person)
	if err != nil {
		return err
	}
	if err := reads(ctx, f, t, id, r); err != nil {
		return err
	}
	if err := firstText(ctx, t, browser, watch, r); err != nil {
		return err
	}
	if err := changes(ctx, f, t, r); err != nil {
		return err
	}
	for _, s := range f.Lambda.Stats() {
		r.PeakRSSMB[s.Function] = s.PeakRSS >> 20
	}
	return nil
}

// The chains, in calls of 20 ms one after another. The check is the invocation of fga-authorizer, which asks OpenFGA; the session
// row is read beside it; then Okta is called, and the audit record written beside that.
const (
	chainWarm = 3 * latency // invoke authorizer, OpenFGA, Okta
	// In fresh processes of okta-groups and fga-authorizer the owner of the session is not remembered, so the row comes first, and
	// fga-authorizer needs its client secret and a machine token before it can ask.
	chainFirst = 6 * latency // session row, invoke, client secret, machine token, OpenFGA, Okta
)

func reads(ctx context.Context, f *run.Fleet, t sessions, id string, r *Report) error {
	call, err := event(id, catalogue.GroupOkta, "list_user_groups", nil)
	if err != nil {
		return err
	}
	read := func() (time.Duration, error) { return timed(ctx, f, fleet.OktaGroups, call, "Your Okta groups") }
	if _, err := read(); err != nil { // fills the token cache and learns the person's Okta id
		return err
	}
	var first []time.Duration
	for range fresh {
		f.Lambda.Kill(fleet.OktaGroups)
		f.Lambda.Kill(fleet.FGAAuthorizer)
		time.Sleep(100 * time.Millisecond)
		d, err := read()
		if err != nil {
			return err
		}
		first = append(first, d)
	}
	// What starting the processes costs is measured by itself.
	start := time.Duration((r.ColdStart[fleet.OktaGroups].MS + r.ColdStart[fleet.FGAAuthorizer].MS) * float64(time.Millisecond))
	r.FirstAnswer["list_user_groups"] = timing(first, chainFirst+start, firstAnswerBar)

	var repeated []time.Duration
	for i := range warm {
		if i%unbounded == 0 {
			if err := t.forgetAsking(ctx); err != nil {
				return err
			}
		}
		f.Proxy.Forget()
		d, err := read()
		if err != nil {
			return err
		}
		repeated = append(repeated, d)
	}
	last := timing(repeated, chainWarm, warmBar)
	if last.Laptop, err = laptop(ctx); err != nil {
		return err
	}
	last.Bar += last.Laptop
	r.Warm["list_user_groups"] = last
	r.Calls = map[string]int{}
	for _, service := range faults.Services {
		for _, got := range f.Proxy.Requests(service) {
			r.Calls[name(got)]++
		}
	}
	return nil
}

// event is what the agent sends a function.
func event(id, group, function string, args map[string]string) ([]byte, error) {
	e := actiongroup.Event{
		MessageVersion: "1.0", Agent: actiongroup.Agent{Name: "bench", ID: "BENCH", Alias: "BENCH", Version: "1"},
		InputText: "bench", SessionID: id, ActionGroup: group, Function: function,
	}
	for name, value := range args {
		e.Parameters = append(e.Parameters, actiongroup.Parameter{Name: name, Type: "string", Value: value})
	}
	return json.Marshal(e)
}

// timed calls a function, which must answer with that text.
func timed(ctx context.Context, f *run.Fleet, function string, event []byte, text string) (time.Duration, error) {
	begun := time.Now()
	out, failed, err := f.Lambda.Invoke(ctx, function, event)
	taken := time.Since(begun)
	if err == nil && (failed != "" || !bytes.Contains(out, []byte(text))) {
		err = fmt.Errorf("%s answered: %s", function, out)
	}
	return taken, err
}

// laptop is what this computer adds to a read, in milliseconds: two round trips through the Runtime API, as a bare function makes them.
func laptop(ctx context.Context) (float64, error) {
	root, err := run.Root()
	if err != nil {
		return 0, err
	}
	l, err := runtimeapi.New(runtimeapi.Options{}, runtimeapi.Function{Name: "bare", Bootstrap: filepath.Join(root, "build", "local", "bare", "bootstrap")})
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	var trips []time.Duration
	for range 30 {
		begun := time.Now()
		if _, failed, err := l.Invoke(ctx, "bare", []byte("{}")); err != nil || failed != "" {
			return 0, fmt.Errorf("invoke bare: %w %s", err, failed)
		}
		trips = append(trips, time.Since(begun))
		time.Sleep(chainWarm) // as frozen as between two reads
	}
	return 2 * ms(quantile(trips, 0.5)), nil
}

func name(r faults.Request) string {
	switch {
	case r.Target != "":
		_, operation, _ := strings.Cut(r.Target, ".")
		return operation
	case r.Service == faults.AWS:
		return "Invoke"
	}
	return r.Service
}

// timing compares durations with their chain; most is how far the median may be above it, 0 if there is no bar.
func timing(d []time.Duration, chain, most time.Duration) Timing {
	t := Timing{P50: ms(quantile(d, 0.5)), P99: ms(quantile(d, 0.99)), Chain: ms(chain)}
	t.Excess = t.P50 - t.Chain
	if most > 0 {
		t.Bar = ms(chain + most)
	}
	return t
}

// stopwatch is a model that says one word and remembers when.
type stopwatch struct {
	mu sync.Mutex
	at time.Time
}

func (s *stopwatch) Next(context.Context, []bedrocktest.Message) (bedrocktest.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Now()
	return bedrocktest.Reply{Text: "Hello."}, nil
}

func (s *stopwatch) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// firstText is from the agent's first chunk to the browser's first text event.
func firstText(ctx context.Context, t sessions, browser *chatclient.Client, watch *stopwatch, r *Report) error {
	var taken []time.Duration
	for i := range 30 {
		if i%unbounded == 0 {
			if err := t.forgetAsking(ctx); err != nil {
				return err
			}
		}
		begun := time.Now()
		a, err := browser.Say(ctx, "hello")
		if err != nil {
			return err
		}
		if a.First == 0 {
			return errors.New("no text reached the browser")
		}
		taken = append(taken, begun.Add(a.First).Sub(watch.last()))
	}
	r.FirstText = timing(taken, 0, firstTextBar)
	return nil
}
