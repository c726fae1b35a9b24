package bedrocktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"time"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
)

var (
	agentIDs   = regexp.MustCompile(`^[0-9a-zA-Z]{1,10}$`)
	sessionIDs = regexp.MustCompile(`^[0-9a-zA-Z._:-]{2,100}$`)
)

const (
	accountID   = "000000000000"
	region      = "us-east-1"
	modelID     = "steward.planner"
	testAlias   = "TSTALIASID"
	maxResponse = 6 << 20 // bytes a function may return
)

type agentRequest struct {
	InputText    string `json:"inputText"`
	EnableTrace  bool   `json:"enableTrace"`
	EndSession   bool   `json:"endSession"`
	MemoryID     string `json:"memoryId"`
	SessionState struct {
		SessionAttributes              map[string]string `json:"sessionAttributes"`
		PromptSessionAttributes        map[string]string `json:"promptSessionAttributes"`
		InvocationID                   string            `json:"invocationId"`
		ReturnControlInvocationResults []json.RawMessage `json:"returnControlInvocationResults"`
	} `json:"sessionState"`
	StreamingConfigurations struct {
		StreamFinalResponse    bool `json:"streamFinalResponse"`
		ApplyGuardrailInterval *int `json:"applyGuardrailInterval"`
	} `json:"streamingConfigurations"`
}

// classicTurn is one InvokeAgent call while it is being answered.
type classicTurn struct {
	s                            *Server
	out                          *stream
	sess                         *session
	agentID, aliasID, sessionID  string
	req                          agentRequest
	conversation                 []Message
	attributes, promptAttributes map[string]string
	steps                        int
}

func (s *Server) invokeAgent(w http.ResponseWriter, r *http.Request) {
	t := &classicTurn{s: s, agentID: r.PathValue("agentId"), aliasID: r.PathValue("agentAliasId"), sessionID: r.PathValue("sessionId")}
	switch {
	case !agentIDs.MatchString(t.agentID):
		refuse(w, invalid("Value at 'agentId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z]+ and have length less than or equal to 10"))
		return
	case !agentIDs.MatchString(t.aliasID):
		refuse(w, invalid("Value at 'agentAliasId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z]+ and have length less than or equal to 10"))
		return
	case !sessionIDs.MatchString(t.sessionID):
		refuse(w, invalid("Value at 'sessionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z._:-]+ and have length between 2 and 100"))
		return
	}
	if bad := body(r, &t.req); bad != nil {
		refuse(w, bad)
		return
	}
	state := t.req.SessionState
	switch {
	case s.opt.AgentID != "" && t.agentID != s.opt.AgentID, s.opt.AliasID != "" && t.aliasID != s.opt.AliasID && t.aliasID != testAlias:
		refuse(w, &Exception{Code: "ResourceNotFoundException", Message: "Failed to retrieve resource because it doesn't exist. Retry your request with a different resource identifier."})
		return
	case t.req.MemoryID != "" && !sessionIDs.MatchString(t.req.MemoryID):
		refuse(w, invalid("Value at 'memoryId' failed to satisfy constraint."))
		return
	case t.req.StreamingConfigurations.ApplyGuardrailInterval != nil && *t.req.StreamingConfigurations.ApplyGuardrailInterval < 1:
		refuse(w, invalid("Value at 'streamingConfigurations.applyGuardrailInterval' failed to satisfy constraint: Member must have value greater than or equal to 1"))
		return
	case state.InvocationID != "" || len(state.ReturnControlInvocationResults) > 0:
		refuse(w, invalid("The invocation id does not belong to a pending return of control."))
		return
	case t.req.InputText == "" && !t.req.EndSession:
		refuse(w, invalid("The input text in the request is empty. Retry your request with input text."))
		return
	}
	key := "classic\x00" + t.agentID + "\x00" + t.aliasID + "\x00" + t.sessionID
	if t.sess = s.acquire(key); t.sess == nil {
		refuse(w, invalid("Session is already in use: wait for the answer to the previous request of this session."))
		return
	}
	release := s.releaser(t.sess)
	defer release()

	w.Header().Set("x-amzn-bedrock-agent-content-type", "application/json")
	w.Header().Set("x-amz-bedrock-agent-session-id", t.sessionID)
	t.out = s.stream(w, r, release)
	if t.req.EndSession {
		s.forget(key)
		t.out.event("chunk", map[string]any{"bytes": []byte("Session is terminated as 'endSession' flag is set in request.")})
		return
	}
	t.attributes = maps.Clone(t.sess.attributes)
	if state.SessionAttributes != nil {
		t.attributes = maps.Clone(state.SessionAttributes)
	}
	t.promptAttributes = maps.Clone(state.PromptSessionAttributes)
	t.conversation = asked(t.sess.conversation, t.req.InputText)
	if bad := t.answer(r.Context()); bad != nil {
		t.out.exception(bad)
	}
	t.sess.attributes = t.attributes
	if t.out.complete() {
		t.sess.conversation = t.conversation
	}
}

// answer is the orchestration loop.
func (t *classicTurn) answer(ctx context.Context) *Exception {
	for range maxRounds {
		started := t.s.opt.Now()
		t.trace("modelInvocationInput", map[string]any{
			"type": "ORCHESTRATION", "text": t.prompt(), "foundationModel": modelID,
			"inferenceConfiguration": map[string]any{"temperature": 0, "topP": 1, "topK": 1, "maximumLength": 2048, "stopSequences": []string{}},
		})
		reply, err := t.s.opt.Model.Next(ctx, t.conversation)
		if err != nil {
			return modelFailed(err)
		}
		ended := t.s.opt.Now()
		t.trace("modelInvocationOutput", map[string]any{
			"rawResponse": map[string]any{"content": string(encode(reply))},
			"metadata":    metadata(started, ended, map[string]any{"inputTokens": reply.InputTokens, "outputTokens": reply.OutputTokens}),
		})
		if reply.Rationale != "" {
			t.trace("rationale", map[string]any{"text": reply.Rationale})
		}
		t.conversation = append(t.conversation, Message{Role: Assistant, Text: reply.Text, Calls: reply.Calls, Native: reply.Native})
		if len(reply.Calls) == 0 {
			t.trace("observation", map[string]any{"type": "FINISH", "finalResponse": map[string]any{"text": reply.Text, "metadata": metadata(started, ended, nil)}})
			t.emitText(ctx, reply.Text)
			return nil
		}
		var results []Result
		for _, call := range reply.Calls {
			result, bad := t.call(ctx, call)
			if bad != nil {
				return bad
			}
			results = append(results, result)
		}
		t.conversation = append(t.conversation, Message{Role: User, Results: results})
	}
	t.emitText(ctx, "Sorry, I am unable to assist you with this request.")
	return nil
}

// emitText streams the final answer, or sends it as the one chunk it is without streamFinalResponse.
func (t *classicTurn) emitText(ctx context.Context, text string) {
	if !t.req.StreamingConfigurations.StreamFinalResponse {
		t.out.text(ctx, "chunk", map[string]any{"bytes": []byte(text)})
		return
	}
	for _, piece := range pieces(text, t.s.opt.ChunkBytes) {
		t.out.text(ctx, "chunk", map[string]any{"bytes": []byte(piece)})
	}
}

// call runs one action-group function.
func (t *classicTurn) call(ctx context.Context, call Call) (Result, *Exception) {
	f, ok := catalogue.Lookup(call.Function)
	if !ok { // what the service does with a function the model made up: the parser asks it to try again
		text := "The function name is not one of the agent's functions."
		t.trace("observation", map[string]any{"type": "REPROMPT", "repromptResponse": map[string]any{"source": "PARSER", "text": text}})
		return Result{CallID: call.ID, Text: text, Refused: true}, nil
	}
	params := []map[string]any{}
	event := actiongroup.Event{
		MessageVersion: "1.0",
		Agent:          actiongroup.Agent{Name: t.s.opt.AgentName, ID: t.agentID, Alias: t.aliasID, Version: "1"},
		InputText:      t.req.InputText,
		SessionID:      t.sessionID,
		ActionGroup:    f.Group,
		Function:       f.Name,
	}
	if t.aliasID == testAlias {
		event.Agent.Version = "DRAFT"
	}
	for _, a := range call.Args {
		p, _ := f.Param(a.Name)
		kind := p.Type
		if kind == "" {
			kind = catalogue.TypeString
		}
		event.Parameters = append(event.Parameters, actiongroup.Parameter{Name: a.Name, Type: string(kind), Value: a.Value})
		params = append(params, map[string]any{"name": a.Name, "type": string(kind), "value": a.Value})
	}
	t.trace("invocationInput", map[string]any{"invocationType": "ACTION_GROUP", "actionGroupInvocationInput": map[string]any{
		"actionGroupName": f.Group, "function": f.Name, "parameters": params, "executionType": "LAMBDA",
	}})
	started := t.s.opt.Now()
	text, state, bad := t.invoke(ctx, event)
	if bad != nil {
		t.failure(bad)
		return Result{}, bad
	}
	if state == "REPROMPT" {
		t.trace("observation", map[string]any{"type": "REPROMPT", "repromptResponse": map[string]any{"source": "ACTION_GROUP", "text": text}})
	} else {
		t.trace("observation", map[string]any{"type": "ACTION_GROUP", "actionGroupInvocationOutput": map[string]any{
			"text": text, "metadata": metadata(started, t.s.opt.Now(), nil),
		}})
	}
	return Result{CallID: call.ID, Text: text, Refused: state == "REPROMPT"}, nil
}

// invoke sends the event, with the attributes as objects even when they are empty, and reads the answer as strictly as
// the service does.
func (t *classicTurn) invoke(ctx context.Context, event actiongroup.Event) (text, state string, bad *Exception) {
	payload := encode(struct {
		actiongroup.Event
		SessionAttributes       map[string]string `json:"sessionAttributes"`
		PromptSessionAttributes map[string]string `json:"promptSessionAttributes"`
	}{event, orEmpty(t.attributes), orEmpty(t.promptAttributes)})
	arn := "arn:aws:lambda:" + region + ":" + accountID + ":function:" + event.ActionGroup
	failed := func(format string, args ...any) *Exception {
		return &Exception{Code: "DependencyFailedException", ResourceName: arn, Message: fmt.Sprintf(format, args...)}
	}
	if t.s.opt.Invoke == nil {
		return "", "", failed("The Lambda function could not be invoked.")
	}
	raw, functionError, err := t.s.opt.Invoke(ctx, event.ActionGroup, payload)
	switch {
	case err != nil:
		return "", "", failed("Access denied or failure while invoking the Lambda function: %v", err)
	case functionError != "":
		return "", "", failed("The Lambda function encountered a problem while processing the request: %s", functionError)
	case len(raw) > maxResponse:
		return "", "", failed("The response of the Lambda function is too large.")
	}
	var answer struct {
		MessageVersion string `json:"messageVersion"`
		Response       struct {
			ActionGroup      string `json:"actionGroup"`
			Function         string `json:"function"`
			FunctionResponse *struct {
				ResponseState *string `json:"responseState"`
				ResponseBody  map[string]struct {
					Body *string `json:"body"`
				} `json:"responseBody"`
			} `json:"functionResponse"`
		} `json:"response"`
		SessionAttributes       map[string]string `json:"sessionAttributes"`
		PromptSessionAttributes map[string]string `json:"promptSessionAttributes"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", "", failed("The server encountered an error processing the Lambda response. Check the Lambda response and retry the request.")
	}
	fr := answer.Response.FunctionResponse
	if answer.MessageVersion != "1.0" || answer.Response.ActionGroup != event.ActionGroup || answer.Response.Function != event.Function || fr == nil || len(fr.ResponseBody) != 1 || fr.ResponseBody["TEXT"].Body == nil {
		return "", "", failed("The server encountered an error processing the Lambda response. Check the Lambda response and retry the request.")
	}
	if fr.ResponseState != nil {
		state = *fr.ResponseState
		if state == "FAILURE" {
			return "", "", failed("The Lambda function reported a failure.")
		}
		if state != "REPROMPT" {
			return "", "", failed("The server encountered an error processing the Lambda response: unknown response state.")
		}
	}
	if answer.SessionAttributes != nil {
		t.attributes = answer.SessionAttributes
	}
	if answer.PromptSessionAttributes != nil {
		t.promptAttributes = answer.PromptSessionAttributes
	}
	return *fr.ResponseBody["TEXT"].Body, state, nil
}

// trace writes one step of the orchestration, if the call asked for it.
func (t *classicTurn) trace(member string, value map[string]any) {
	t.steps++
	value["traceId"] = fmt.Sprintf("%s-%d", t.sessionID, t.steps)
	t.part(map[string]any{"orchestrationTrace": map[string]any{member: value}})
}

func (t *classicTurn) failure(e *Exception) {
	t.steps++
	t.part(map[string]any{"failureTrace": map[string]any{
		"traceId": fmt.Sprintf("%s-%d", t.sessionID, t.steps), "failureCode": statuses[e.Code], "failureReason": e.Message,
	}})
}

func (t *classicTurn) part(trace map[string]any) {
	if !t.req.EnableTrace {
		return
	}
	t.out.event("trace", map[string]any{
		"agentId": t.agentID, "agentAliasId": t.aliasID, "agentVersion": "1", "sessionId": t.sessionID,
		"callerChain": []any{map[string]any{"agentAliasArn": "arn:aws:bedrock:" + region + ":" + accountID + ":agent-alias/" + t.agentID + "/" + t.aliasID}},
		"eventTime":   stamp(t.s.opt.Now()),
		"trace":       trace,
	})
}

// prompt is the conversation as a full prompt would hold it: words and results, no attribute.
func (t *classicTurn) prompt() string {
	return string(encode(map[string]any{"messages": t.conversation}))
}

func metadata(started, ended time.Time, usage map[string]any) map[string]any {
	m := map[string]any{
		"startTime": stamp(started), "endTime": stamp(ended), "totalTimeMs": ended.Sub(started).Milliseconds(),
		"clientRequestId": "00000000-0000-4000-8000-000000000000",
	}
	if usage != nil {
		m["usage"] = usage
	}
	return m
}

// stamp is a time on this wire: ISO 8601 with a fraction.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// modelFailed is how a model's error ends a stream.
func modelFailed(err error) *Exception {
	if e, ok := errors.AsType[*Exception](err); ok {
		return e
	}
	return &Exception{Code: "InternalServerException", Message: "The model could not be invoked."}
}

// Error lets a [Model] fail with an exception of its choice.
func (e *Exception) Error() string { return e.Code + ": " + e.Message }
