// Package cost computes what the stack costs at rest and per question, and writes shared/docs/cost.md. Memory and
// functions come from infra/fleet, what stands around comes from the golden template, durations from the bench; only
// prices and the shape of a question are written down here.
package cost

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/shared/catalogue"
)

// price is a list price in US dollars.
type price struct {
	what string
	unit string
	usd  float64
}

// The prices, of us-east-1, on-demand, without free tiers. Other regions differ by up to a quarter.
var (
	lambdaGBs    = price{"Lambda, arm64", "GB-second", 0.0000133334}
	lambdaCall   = price{"Lambda", "call", 0.20 / 1e6}
	dynamoWrite  = price{"DynamoDB, on-demand", "write unit (1 KB)", 0.625 / 1e6}
	dynamoRead   = price{"DynamoDB, on-demand", "read unit (4 KB, consistent)", 0.125 / 1e6}
	sqsCall      = price{"SQS", "request", 0.40 / 1e6}
	logsGB       = price{"CloudWatch Logs", "GB taken in", 0.50}
	xrayTrace    = price{"X-Ray", "trace", 5.0 / 1e6}
	kmsCall      = price{"KMS", "request", 0.03 / 1e4}
	keyMonth     = price{"KMS", "key and month", 1.00}
	secretMonth  = price{"Secrets Manager", "secret and month", 0.40}
	alarmMonth   = price{"CloudWatch", "alarm and month", 0.10}
	metricMonth  = price{"CloudWatch", "own metric and month", 0.30}
	boardMonth   = price{"CloudWatch", "dashboard and month (three are free)", 3.00}
	tokenIn      = price{"Claude Sonnet 4.6", "input token", 3.0 / 1e6}
	tokenOut     = price{"Claude Sonnet 4.6", "output token", 15.0 / 1e6}
	runtimeCPU   = price{"AgentCore Runtime (harness)", "vCPU-hour", 0.0895}
	runtimeGB    = price{"AgentCore Runtime (harness)", "GB-hour", 0.00945}
	memoryEvent  = price{"AgentCore Memory (harness)", "event", 0.25 / 1e3}
	pricesByName = []price{
		lambdaGBs, lambdaCall, dynamoWrite, dynamoRead, sqsCall, logsGB, xrayTrace, kmsCall,
		keyMonth, secretMonth, alarmMonth, metricMonth, boardMonth, tokenIn, tokenOut, runtimeCPU, runtimeGB, memoryEvent,
	}
)

// use is what one question, or one approval, makes a function do.
type use struct {
	function string
	calls    float64
	// seconds billed for a call: the bench's warm read with every outside system at 20 ms, rounded up; the chat streams
	// for as long as the model thinks.
	seconds float64
	why     string
}

const (
	turnSeconds     = 6.0 // a turn with one tool: two answers of the model, streamed
	modelCalls      = 2   // one that picks the tool, one that answers
	historyTokens   = 800 // what was said before, on average
	resultTokens    = 250 // a tool's answer
	spokenTokens    = 220 // written by the model in a turn: the call and the answer
	charsPerToken   = 4
	logBytes        = 2500 // a question, over all functions
	harnessCPU      = 0.5  // vCPUs busy while a session thinks; idle time costs memory only
	harnessGB       = 1.0
	harnessSeconds  = 60.0 // of memory a question keeps, its share of the idle time
	approvalPolls   = 6.0  // at five seconds each: half a minute until the phone answers
	approvalSeconds = 0.3
)

var question = []use{
	{fleet.Chat, 1, turnSeconds, "streams the turn"},
	{fleet.OktaGroups, 1, 0.1, "one read"},
	{fleet.FGAAuthorizer, 1, 0.05, "one check"},
}

var approval = []use{
	{fleet.CIBA, 1, 0.3, "resolves, checks, pushes"},
	{fleet.FGAAuthorizer, 2, 0.05, "before the push, and before the change"},
	{fleet.ApprovalWorker, approvalPolls, approvalSeconds, "polls, then carries it out"},
}

// compute is the Lambda cost of some uses.
func compute(uses []use) (usd float64) {
	for _, u := range uses {
		fn, ok := fleet.Steward().Function(u.function)
		if !ok {
			panic("cost: no function " + u.function)
		}
		usd += u.calls * (lambdaCall.usd + u.seconds*float64(fn.MemoryMB)/1024*lambdaGBs.usd)
	}
	return usd
}

// promptTokens is what the model reads in each call: instruction, tools and what was said.
func promptTokens() int {
	tools, err := json.Marshal(catalogue.Tools())
	if err != nil {
		panic(err) // texts
	}
	return (len(catalogue.Instruction)+len(tools))/charsPerToken + historyTokens
}

// standing counts what costs something every month, from a template.
func standing(template string) (map[string]int, error) {
	raw, err := os.ReadFile(template) //nolint:gosec // a golden file of ours
	if err != nil {
		return nil, err
	}
	var t struct {
		Resources map[string]struct{ Type string }
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("read %s: %w", template, err)
	}
	count := map[string]int{}
	for _, r := range t.Resources {
		count[r.Type]++
	}
	return count, nil
}

// Page is the page.
func Page(template string) (string, error) {
	have, err := standing(template)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	say("# What it costs")
	say("")
	say("Written by `infra/cost` from the fleet, the template and the prices below; `make golden` rewrites it. US dollars, list prices of")
	say("us-east-1 without free tiers, as of autumn 2026: compare them with the price pages before you budget.")
	say("")
	say("## At rest, a month")
	say("")
	say("| | How many | Each | |")
	say("|---|--:|--:|--:|")
	rest := 0.0
	row := func(name string, n int, p price) {
		rest += float64(n) * p.usd
		say("| %s | %d | %.2f | %.2f |", name, n, p.usd, float64(n)*p.usd)
	}
	row("Key", have["AWS::KMS::Key"], keyMonth)
	row("Secrets", have["AWS::SecretsManager::Secret"], secretMonth)
	row("Alarms", have["AWS::CloudWatch::Alarm"], alarmMonth)
	row("Own metrics (one a signal)", len(fleet.Steward().Signals), metricMonth)
	row("Dashboard", have["AWS::CloudWatch::Dashboard"], boardMonth)
	say("| **Sum** | | | **%.2f** |", rest)
	say("")
	say("Functions, tables, queue and agent cost nothing while nobody asks, what is reserved for the chat included. Storage (0.25 a GB and month, the same again for recovery) stays far below a dollar.")
	say("")

	model := float64(modelCalls*promptTokens()+resultTokens)*tokenIn.usd + spokenTokens*tokenOut.usd
	lambda := compute(question)
	tables := 2*dynamoRead.usd + 2*dynamoWrite.usd
	watching := logBytes/1e9*logsGB.usd + xrayTrace.usd + 4*kmsCall.usd
	harness := turnSeconds/3600*harnessCPU*runtimeCPU.usd + harnessSeconds/3600*harnessGB*runtimeGB.usd + 4*memoryEvent.usd
	extra := compute(approval) + approvalPolls*3*sqsCall.usd + 8*dynamoWrite.usd + 8*dynamoRead.usd

	say("## Per 1,000 questions")
	say("")
	say("A question is one turn that calls one tool.")
	say("")
	say("| | classic | harness |")
	say("|---|--:|--:|")
	say("| Model | %.2f | %.2f |", 1000*model, 1000*model)
	say("| Lambda | %.2f | %.2f |", 1000*lambda, 1000*lambda)
	say("| Tables | %.3f | %.3f |", 1000*tables, 1000*tables)
	say("| Logs, traces, key | %.3f | %.3f |", 1000*watching, 1000*watching)
	say("| Agent runtime and its memory | 0.00 | %.2f |", 1000*harness)
	say("| **Sum** | **%.2f** | **%.2f** |", 1000*(model+lambda+tables+watching), 1000*(model+lambda+tables+watching+harness))
	say("| 1,000 approvals more | %.3f | %.3f |", 1000*extra, 1000*extra)
	say("")
	say("The model is nearly all of it: a smaller one (`\"model\"` in cdk.json) is the lever.")
	say("")
	say("## The formula")
	say("")
	say("    question = (model calls × prompt + tool's answer) × input + spoken × output         model")
	say("             + Σ over functions: calls × (call + seconds × memory/1024 × GB-second)   Lambda")
	say("             + reads × read unit + writes × write unit + bytes × log + trace + key requests")
	say("")
	say("with %d model calls of %d tokens (instruction and tools %d, history %d), a tool's answer of %d tokens and %d tokens spoken;", modelCalls, promptTokens(), promptTokens()-historyTokens, historyTokens, resultTokens, spokenTokens)
	say("2 reads, 2 writes (session row, audit record), %d bytes of log; and", logBytes)
	say("")
	say("| Function | Memory | | Calls | Seconds | |")
	say("|---|--:|---|--:|--:|---|")
	for _, part := range []struct {
		name string
		uses []use
	}{{"question", question}, {"approval", approval}} {
		for _, u := range part.uses {
			fn, _ := fleet.Steward().Function(u.function)
			say("| %s | %d MB | %s | %.0f | %.2f | %s |", u.function, fn.MemoryMB, part.name, u.calls, u.seconds, u.why)
		}
	}
	say("")
	say("Seconds are the warm durations of `make bench`, rounded up; the chat is billed while the answer streams.")
	say("")
	say("| Price | Per | USD |")
	say("|---|---|--:|")
	for _, p := range pricesByName {
		if p.usd < 0.01 {
			say("| %s | million of: %s | %.4g |", p.what, p.unit, p.usd*1e6)
			continue
		}
		say("| %s | %s | %.4g |", p.what, p.unit, p.usd)
	}
	return b.String(), nil
}
