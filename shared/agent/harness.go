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
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/awsconfig"
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
	client *bedrockagentcore.Client
	arn    string
	tools  ToolRunner
}

const (
	maxAnswerCalls = 4        // tool calls that are run of those one answer of the harness asks for
	maxTurnCalls   = 12       // tool calls that are run in one turn
	maxToolInput   = 64 << 10 // bytes of the arguments of all calls of one answer
	maxSettle      = 3        // answers that a turn which was stopped waits for
	settleLimit    = 10 * time.Second
)

// Answers to the model for calls that are not run.
const (
	tooManyAtOnce = "Not run: too many calls at once."
	tooManyInAll  = "Not run: too many calls for one message."
	personLeft    = "Not run: the person has left."
)

// NewHarness makes a Harness. An HTTP client in the configuration must have no overall time limit (the SDK's has none).
func NewHarness(cfg aws.Config, harnessARN string, tools ToolRunner) *Harness {
	retryer := newRetryer()
	client := bedrockagentcore.NewFromConfig(cfg, func(o *bedrockagentcore.Options) {
		o.Retryer, o.HTTPClient = retryer, awsconfig.Streaming(o.HTTPClient)
	})
	return &Harness{client: client, arn: harnessARN, tools: tools}
}

// Run invokes the harness, runs the tools it calls, and returns their results to it until it has answered. Every call gets a
// result, also one beyond the limits. Each round but the last runs at least one call, so there are at most maxTurnCalls + 1
// rounds.
func (h *Harness) Run(ctx context.Context, t Turn) iter.Seq2[Event, error] {
	return turn(ctx, t, func(ctx context.Context, emit func(Event) bool) error {
		content := []types.HarnessContentBlock{&types.HarnessContentBlockMemberText{Value: t.prompt()}}
		hasText := false
		for left := maxTurnCalls; ; {
			calls, err := h.invoke(ctx, t.SessionID, content, &hasText, emit)
			if err != nil || len(calls) == 0 {
				return err
			}
			if left == 0 {
				h.settle(ctx, t.SessionID, refuse(calls, tooManyInAll))
				return fault.New(fault.Upstream, "The assistant took too many steps, so I stopped it. Please ask for less at once.", errors.New("tool calls of the turn exhausted"))
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
	_, err := h.client.StopRuntimeSession(ctx, &bedrockagentcore.StopRuntimeSessionInput{AgentRuntimeArn: &h.arn, RuntimeSessionId: &sessionID})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return nil
	}
	return asFault(ctx, "stop the harness session", err)
}

// settle answers the open calls of a turn that ends early, so that the session can take the next message. Further calls are
// refused; if the model does not stop calling, the session is stopped, and the next message begins a new conversation.
func (h *Harness) settle(ctx context.Context, sessionID string, results []types.HarnessContentBlock) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	hasText := false
	for range maxSettle {
		calls, err := h.invoke(ctx, sessionID, results, &hasText, func(Event) bool { return true }) // the person has left
		if err != nil || len(calls) == 0 {
			return
		}
		results = refuse(calls, tooManyInAll)
	}
	_ = h.End(ctx, sessionID)
}

// toolUse is a tool call of the stream: first its name, then its arguments in pieces of JSON.
type toolUse struct {
	id, name string
	input    bytes.Buffer
	long     bool // the arguments were longer than allowed, so input is incomplete
}

// invoke makes one InvokeHarness call and returns the tool calls to run; none means that the turn has ended.
//
// One answer can have several messages, as the harness runs its own tools in between. It ends with the stream; a call that was
// answered within the stream was run by the harness.
func (h *Harness) invoke(ctx context.Context, sessionID string, content []types.HarnessContentBlock, hasText *bool, emit func(Event) bool) ([]*toolUse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes the connection of an answer that is not read to its end
	stream, err := h.stream(ctx, &bedrockagentcore.InvokeHarnessInput{
		HarnessArn: &h.arn, RuntimeSessionId: &sessionID,
		Messages: []types.HarnessMessage{{Role: types.HarnessConversationRoleUser, Content: content}},
	})
	if err != nil {
		return nil, asFault(ctx, "invoke harness", err)
	}
	defer stream.Close()

	var (
		calls []*toolUse
		open  = map[int32]*toolUse{}
		stop  types.HarnessStopReason
		room  = maxToolInput
		gap   = *hasText // the next message starts on a new line
	)
	for event := range stream.Events() {
		switch e := event.(type) {
		case *types.InvokeHarnessStreamOutputMemberMessageStart:
			gap = *hasText
			clear(open)
		case *types.InvokeHarnessStreamOutputMemberContentBlockStart:
			switch start := e.Value.Start.(type) {
			case *types.HarnessContentBlockStartMemberToolUse:
				use := &toolUse{id: aws.ToString(start.Value.ToolUseId), name: aws.ToString(start.Value.Name)}
				if start.Value.Type == "" || start.Value.Type == types.HarnessToolUseTypeToolUse { // other types are run by the harness
					calls = append(calls, use)
				}
				open[aws.ToInt32(e.Value.ContentBlockIndex)] = use
			case *types.HarnessContentBlockStartMemberToolResult:
				calls = slices.DeleteFunc(calls, func(u *toolUse) bool { return u.id == aws.ToString(start.Value.ToolUseId) })
			}
		case *types.InvokeHarnessStreamOutputMemberContentBlockDelta:
			switch delta := e.Value.Delta.(type) {
			case *types.HarnessContentBlockDeltaMemberText:
				text := delta.Value
				if text == "" {
					continue
				}
				if gap {
					text, gap = "\n\n"+text, false
				}
				*hasText = true
				if !emit(Text{text}) {
					return nil, nil
				}
			case *types.HarnessContentBlockDeltaMemberToolUse:
				use, input := open[aws.ToInt32(e.Value.ContentBlockIndex)], aws.ToString(delta.Value.Input)
				if use == nil {
					continue
				}
				if room -= len(input); room < 0 {
					use.long = true
					continue
				}
				use.input.WriteString(input)
			}
		case *types.InvokeHarnessStreamOutputMemberMessageStop:
			stop = e.Value.StopReason
		case *types.InvokeHarnessStreamOutputMemberMetadata:
			if !emit(metadata(e.Value)) {
				return nil, nil
			}
		}
	}
	if err := stream.Err(); err != nil { // an exception within the stream shows only here
		return nil, asFault(ctx, "read the harness's answer", err)
	}
	if stop == "" { // a connection that broke off between two frames looks like an end
		return nil, asFault(ctx, "read the harness's answer", io.ErrUnexpectedEOF)
	}
	if stop != types.HarnessStopReasonToolUse { // every other reason, unknown ones too, is an end
		return nil, nil
	}
	return calls, nil
}

func metadata(e types.HarnessMetadataEvent) Trace {
	step := Trace{Step: StepModel}
	if e.Usage != nil {
		step.InputTokens, step.OutputTokens = int(aws.ToInt32(e.Usage.InputTokens)), int(aws.ToInt32(e.Usage.OutputTokens))
	}
	if e.Metrics != nil {
		step.Duration = time.Duration(aws.ToInt64(e.Metrics.LatencyMs)) * time.Millisecond
	}
	return step
}

// call runs one tool and returns its result for the harness. An error is a result, too, because a call without a result would
// make the session unusable.
func (h *Harness) call(ctx context.Context, t Turn, use *toolUse, emit func(Event) bool) (result types.HarnessContentBlock, listening bool) {
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
		Agent:          actiongroup.Agent{Name: "steward", ID: harnessID(h.arn), Alias: "DEFAULT", Version: "1"},
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
		result = use.answered(types.HarnessToolUseStatusSuccess, response.Text())
	}
	return result, emit(done)
}

func (u *toolUse) answered(status types.HarnessToolUseStatus, text string) types.HarnessContentBlock {
	return &types.HarnessContentBlockMemberToolResult{Value: types.HarnessToolResultBlock{
		ToolUseId: &u.id, Status: status, Content: []types.HarnessToolResultContentBlock{&types.HarnessToolResultContentBlockMemberText{Value: text}},
	}}
}

func (u *toolUse) failed(text string) types.HarnessContentBlock {
	return u.answered(types.HarnessToolUseStatusError, text)
}

// refuse is the results of calls that are not run, all with the same text.
func refuse(calls []*toolUse, why string) (results []types.HarnessContentBlock) {
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
