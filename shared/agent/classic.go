package agent

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime/types"

	"github.com/steward-iam/steward/shared/awsconfig"
)

// ClassicClient is the one call of *bedrockagentruntime.Client in use.
type ClassicClient interface {
	InvokeAgent(context.Context, *bedrockagentruntime.InvokeAgentInput, ...func(*bedrockagentruntime.Options)) (*bedrockagentruntime.InvokeAgentOutput, error)
}

// Classic is an alias of an agent of Amazon Bedrock Agents Classic.
type Classic struct {
	client  ClassicClient
	agentID string
	aliasID string
	options func(*bedrockagentruntime.Options)
}

// NewClassic makes a Classic. The client's HTTP client must have no overall time limit (the SDK's default has none).
func NewClassic(client ClassicClient, agentID, aliasID string) *Classic {
	retryer := newRetryer()
	return &Classic{
		client: client, agentID: agentID, aliasID: aliasID,
		options: func(o *bedrockagentruntime.Options) {
			o.Retryer, o.HTTPClient = retryer, awsconfig.Streaming(o.HTTPClient)
		},
	}
}

// Run is one InvokeAgent call.
func (c *Classic) Run(ctx context.Context, t Turn) iter.Seq2[Event, error] {
	return turn(ctx, t, func(ctx context.Context, emit func(Event) bool) error {
		in := c.input(t.SessionID)
		in.InputText = aws.String(t.prompt())
		in.EnableTrace = aws.Bool(true)
		in.StreamingConfigurations = &types.StreamingConfigurations{StreamFinalResponse: true}
		if facts := t.facts(); facts != "" { // for functions and for prompt templates that hold the placeholder
			in.SessionState = &types.SessionState{PromptSessionAttributes: map[string]string{"verified_facts": facts}}
		}
		out, err := c.client.InvokeAgent(ctx, in, c.options)
		if err != nil {
			return asFault(ctx, "invoke agent", err)
		}
		stream := out.GetStream()
		defer stream.Close()

		var text runes
		var steps classicSteps
		for event := range stream.Events() {
			switch e := event.(type) {
			case *types.ResponseStreamMemberChunk:
				if s := text.whole(e.Value.Bytes); s != "" && !emit(Text{s}) {
					return nil
				}
			case *types.ResponseStreamMemberTrace:
				if step, ok := steps.filter(e.Value.Trace); ok && !emit(step) {
					return nil
				}
			}
		}
		if s := text.end(); s != "" {
			emit(Text{s})
		}
		return asFault(ctx, "read the agent's answer", stream.Err()) // an exception within the stream shows only here
	})
}

// End is an InvokeAgent call with endSession.
func (c *Classic) End(ctx context.Context, sessionID string) error {
	in := c.input(sessionID)
	in.EndSession = aws.Bool(true)
	in.InputText = aws.String("bye") // not looked at
	out, err := c.client.InvokeAgent(ctx, in, c.options)
	if err != nil {
		return asFault(ctx, "end the agent session", err)
	}
	stream := out.GetStream()
	defer stream.Close()
	for range stream.Events() { // read to the end: the session has ended when the answer has
	}
	return asFault(ctx, "end the agent session", stream.Err())
}

func (c *Classic) input(sessionID string) *bedrockagentruntime.InvokeAgentInput {
	return &bedrockagentruntime.InvokeAgentInput{AgentId: &c.agentID, AgentAliasId: &c.aliasID, SessionId: &sessionID}
}

// classicSteps reduces the service's trace. It remembers the call, as the result does not name it.
type classicSteps struct {
	call  Trace
	since time.Time
}

func (s *classicSteps) filter(trace types.Trace) (Trace, bool) {
	switch t := trace.(type) {
	case *types.TraceMemberOrchestrationTrace:
		return s.orchestration(t.Value)
	case *types.TraceMemberPreProcessingTrace:
		if out, ok := t.Value.(*types.PreProcessingTraceMemberModelInvocationOutput); ok {
			return modelStep(out.Value.Metadata)
		}
	case *types.TraceMemberPostProcessingTrace:
		if out, ok := t.Value.(*types.PostProcessingTraceMemberModelInvocationOutput); ok {
			return modelStep(out.Value.Metadata)
		}
	case *types.TraceMemberGuardrailTrace:
		return Trace{Step: StepGuardrail, Text: string(t.Value.Action)}, true
	case *types.TraceMemberFailureTrace:
		return Trace{Step: StepFailure}, true
	}
	return Trace{}, false
}

func (s *classicSteps) orchestration(trace types.OrchestrationTrace) (Trace, bool) {
	switch t := trace.(type) {
	case *types.OrchestrationTraceMemberModelInvocationOutput:
		return modelStep(t.Value.Metadata)
	case *types.OrchestrationTraceMemberRationale:
		text := aws.ToString(t.Value.Text)
		return Trace{Step: StepRationale, Text: clip(text, maxTraceText)}, text != ""
	case *types.OrchestrationTraceMemberInvocationInput:
		in := t.Value.ActionGroupInvocationInput
		if in == nil {
			return Trace{}, false
		}
		s.call = Trace{Step: StepCall, ActionGroup: aws.ToString(in.ActionGroupName), Function: aws.ToString(in.Function)}
		for _, p := range in.Parameters {
			s.call.Parameters = append(s.call.Parameters, Parameter{Name: aws.ToString(p.Name), Value: clip(aws.ToString(p.Value), maxTraceArg)})
		}
		s.since = time.Now()
		return s.call, true
	case *types.OrchestrationTraceMemberObservation:
		switch o := t.Value; {
		case o.ActionGroupInvocationOutput != nil:
			return s.result(StepResult, o.ActionGroupInvocationOutput.Text), true
		case o.RepromptResponse != nil:
			return s.result(StepReprompt, o.RepromptResponse.Text), true
		}
	}
	return Trace{}, false
}

func (s *classicSteps) result(step Step, text *string) Trace {
	r := Trace{Step: step, ActionGroup: s.call.ActionGroup, Function: s.call.Function, Text: clip(aws.ToString(text), maxTraceText)}
	if !s.since.IsZero() {
		r.Duration = time.Since(s.since)
	}
	return r
}

func modelStep(m *types.Metadata) (Trace, bool) {
	if m == nil {
		return Trace{}, false
	}
	step := Trace{Step: StepModel, Duration: time.Duration(aws.ToInt64(m.TotalTimeMs)) * time.Millisecond}
	if m.Usage != nil {
		step.InputTokens, step.OutputTokens = int(aws.ToInt32(m.Usage.InputTokens)), int(aws.ToInt32(m.Usage.OutputTokens))
	}
	return step, true
}
