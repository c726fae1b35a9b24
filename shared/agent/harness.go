package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
)

// ToolRunner runs one call: it invokes the function of the event's action group with the event, as Classic would.
type ToolRunner interface {
	Run(ctx context.Context, call actiongroup.Event) (actiongroup.Response, error)
}

// Harness is an AgentCore harness whose tools are inline functions.
//
//	message ──► InvokeHarness ──► text…, tool call ──► ToolRunner ──► InvokeHarness(result) ──► text…, end
//	                                   ▲                                      │
//	                                   └──────── at most maxTurnCalls ────────┘
type Harness struct {
	wire  harnessWire
	tools ToolRunner
}

const (
	maxAnswerCalls = 4        // tool calls that are run of those one answer of the harness asks for
	maxTurnCalls   = 12       // tool calls that are run in one turn
	maxToolInput   = 64 << 10 // bytes of the arguments of all calls of one answer
	maxSettle      = 3        // answers that a turn which was stopped waits for
	settleLimit    = 10 * time.Second
)

// What the model reads about calls that are not run.
const (
	tooManyAtOnce = "Not run: too many calls at once."
	tooManyInAll  = "Not run: too many calls for one message."
	personLeft    = "Not run: the person has left."
)

// NewHarness makes a Harness. An HTTP client in the configuration must have no overall time limit (the SDK's has none).
func NewHarness(cfg aws.Config, harnessARN string, tools ToolRunner) *Harness {
	return &Harness{wire: newHarnessWire(cfg, harnessARN), tools: tools}
}

// Run invokes the harness, runs the tools it asks for, and hands it their results until it has answered. Every call gets
// a result, those beyond the bounds one that says so; each round but the last runs at least one call, so there are at
// most maxTurnCalls and one more.
func (h *Harness) Run(ctx context.Context, t Turn) iter.Seq2[Event, error] {
	return turn(ctx, t, func(ctx context.Context, emit func(Event) bool) error {
		prompt := t.prompt()
		content := []block{{Text: &prompt}}
		said := false
		for left := maxTurnCalls; ; {
			calls, err := h.invoke(ctx, t.SessionID, content, &said, emit)
			if err != nil || len(calls) == 0 {
				return err
			}
			if left == 0 {
				h.settle(ctx, t.SessionID, refuse(calls, tooManyInAll))
				return fault.New(fault.Upstream, "The assistant took too many steps and was stopped. Please ask for less at once.", errors.New("tool calls of the turn exhausted"))
			}
			run := calls[:min(len(calls), maxAnswerCalls, left)]
			left -= len(run)
			content = nil
			for i, call := range run {
				result, listening := h.call(ctx, t, call, emit)
				content = append(content, result)
				if !listening || ctx.Err() != nil {
					h.settle(ctx, t.SessionID, append(content, refuse(calls[i+1:], personLeft)...))
					return asFault(ctx, "run a tool", ctx.Err())
				}
			}
			content = append(content, refuse(calls[len(run):], tooManyAtOnce)...)
		}
	})
}

// End stops the session's runtime; the conversation ends with it.
func (h *Harness) End(ctx context.Context, sessionID string) error {
	err := h.wire.stop(ctx, sessionID)
	if code(err) == "ResourceNotFoundException" {
		return nil
	}
	return asFault(ctx, "stop the harness session", err)
}

// settle answers the open calls of a turn that ends here, so that the session can take the next message. Further calls are
// refused; a model that does not stop asking loses the session, and the next message begins a new conversation.
func (h *Harness) settle(ctx context.Context, sessionID string, results []block) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	said := false
	for range maxSettle {
		calls, err := h.invoke(ctx, sessionID, results, &said, func(Event) bool { return true }) // nobody is left to tell
		if err != nil || len(calls) == 0 {
			return
		}
		results = refuse(calls, tooManyInAll)
	}
	_ = h.wire.stop(ctx, sessionID)
}

// toolUse is a call as the stream tells it: the name first, the arguments in pieces of JSON.
type toolUse struct {
	id, name string
	input    bytes.Buffer
	long     bool // the arguments were longer than allowed, and input lacks some
}

// invoke is one InvokeHarness call. It returns the calls that are ours to run; none means that the turn has ended.
//
// One answer can hold several messages: the harness runs tools of its own in between. The end is the end of the stream,
// and a call that was answered within the stream is none of ours.
func (h *Harness) invoke(ctx context.Context, sessionID string, content []block, said *bool, emit func(Event) bool) ([]*toolUse, error) {
	stream, err := h.wire.invoke(ctx, sessionID, content)
	if err != nil {
		return nil, asFault(ctx, "invoke harness", err)
	}
	defer stream.close()

	var (
		calls []*toolUse
		open  = map[int]*toolUse{}
		stop  string
		room  = maxToolInput
		gap   = *said // what another message says starts on a line of its own
	)
	for {
		kind, e, err := stream.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, asFault(ctx, "read the harness's answer", err)
		}
		switch kind {
		case "messageStart":
			gap = *said
			clear(open)
		case "contentBlockStart":
			if start := e.Start.ToolUse; start != nil {
				use := &toolUse{id: start.ToolUseID, name: start.Name}
				if start.Type == "" || start.Type == typeOurs {
					calls = append(calls, use)
				}
				open[e.ContentBlockIndex] = use
			}
			if answered := e.Start.ToolResult; answered != nil {
				calls = slices.DeleteFunc(calls, func(u *toolUse) bool { return u.id == answered.ToolUseID })
			}
		case "contentBlockDelta":
			if text := e.Delta.Text; text != "" {
				if gap {
					text, gap = "\n\n"+text, false
				}
				*said = true
				if !emit(Text{text}) {
					return nil, nil
				}
			}
			if use := open[e.ContentBlockIndex]; use != nil && e.Delta.ToolUse != nil {
				if room -= len(e.Delta.ToolUse.Input); room < 0 {
					use.long = true
					continue
				}
				use.input.WriteString(e.Delta.ToolUse.Input)
			}
		case "messageStop":
			stop = e.StopReason
		case "metadata":
			if !emit(Trace{
				Step: StepModel, InputTokens: e.Usage.InputTokens, OutputTokens: e.Usage.OutputTokens,
				Duration: time.Duration(e.Metrics.LatencyMs) * time.Millisecond,
			}) {
				return nil, nil
			}
		}
	}
	if stop == "" { // a connection that broke off between two frames looks like an end
		return nil, asFault(ctx, "read the harness's answer", io.ErrUnexpectedEOF)
	}
	if stop != stopForTools { // every other reason, unknown ones too, is an end
		return nil, nil
	}
	return calls, nil
}

// call runs one tool and returns its result for the harness. Whatever goes wrong is a result too: a call without one
// would leave the session unusable.
func (h *Harness) call(ctx context.Context, t Turn, use *toolUse, emit func(Event) bool) (result block, listening bool) {
	f, ok := catalogue.Lookup(use.name)
	if !ok {
		return use.failed("There is no such tool."), true
	}
	if use.long {
		return use.failed("Not run: the arguments are too long."), true
	}
	params, err := parameters(f, use.input.Bytes())
	if err != nil {
		return use.failed("The arguments are not a JSON object."), true
	}
	step := Trace{Step: StepCall, ActionGroup: f.Group, Function: f.Name}
	for _, p := range params {
		step.Parameters = append(step.Parameters, Parameter{Name: clip(p.Name, maxTraceArg), Value: clip(p.Value, maxTraceArg)})
	}
	if !emit(step) {
		return use.failed(personLeft), false
	}
	since := time.Now()
	response, err := h.tools.Run(ctx, actiongroup.Event{
		MessageVersion: "1.0",
		Agent:          actiongroup.Agent{Name: "steward", ID: harnessID(h.wire.arn), Alias: "DEFAULT", Version: "1"},
		InputText:      t.Message,
		SessionID:      t.SessionID,
		ActionGroup:    f.Group,
		Function:       f.Name,
		Parameters:     params,
	})
	done := Trace{Step: StepResult, ActionGroup: f.Group, Function: f.Name, Duration: time.Since(since)}
	state := response.Response.FunctionResponse.ResponseState
	switch {
	case err != nil || state == "FAILURE":
		done.Step = StepFailure
		result = use.failed("The tool failed. Whether it had an effect is not known; say so, and do not try again.")
	case state == "REPROMPT":
		done.Step, done.Text, done.Action = StepReprompt, clip(response.Text(), maxTraceText), response.Action()
		result = use.failed(response.Text())
	default:
		done.Text = clip(response.Text(), maxTraceText)
		result = use.answered(statusSuccess, response.Text())
	}
	return result, emit(done)
}

func (u *toolUse) answered(status, text string) block {
	return block{ToolResult: &toolResult{ToolUseID: u.id, Status: status, Content: []block{{Text: &text}}}}
}

func (u *toolUse) failed(text string) block { return u.answered(statusError, text) }

// refuse is the results of calls that are not run, all with the same text.
func refuse(calls []*toolUse, why string) (results []block) {
	for _, call := range calls {
		results = append(results, call.failed(why))
	}
	return results
}

// parameters turns a JSON object into the texts Classic would send: declared ones in the catalogue's order, then the
// rest by name, for the function to refuse. null is as good as absent.
func parameters(f catalogue.Function, input []byte) ([]actiongroup.Parameter, error) {
	if len(bytes.TrimSpace(input)) == 0 {
		return nil, nil
	}
	var args map[string]json.RawMessage
	if err := json.Unmarshal(input, &args); err != nil {
		return nil, fmt.Errorf("arguments of %s: %w", f.Name, err)
	}
	var names []string
	for name := range args {
		names = append(names, name)
	}
	rank := func(name string) int {
		if i := slices.IndexFunc(f.Params, func(p catalogue.Param) bool { return p.Name == name }); i >= 0 {
			return i
		}
		return len(f.Params)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var params []actiongroup.Parameter
	for _, name := range names {
		raw := args[name]
		if string(raw) == "null" {
			continue
		}
		value := string(raw)
		var text string
		if json.Unmarshal(raw, &text) == nil {
			value = text
		}
		kind := "string"
		if p, ok := f.Param(name); ok {
			kind = string(p.Type)
		}
		params = append(params, actiongroup.Parameter{Name: name, Type: kind, Value: value})
	}
	return params, nil
}

func harnessID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
