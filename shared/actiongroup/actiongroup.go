// Package actiongroup decodes and encodes what a Bedrock agent and an action group's function send each other.
//
// The event and the answer are those of Amazon Bedrock Agents for action groups defined with function details
// ("Configure Lambda functions to send information that an Amazon Bedrock agent elicits from the user"). The chat
// function sends the same event when the agent runs on an AgentCore harness, so a function serves both.
//
// Nothing in the event is signed: [Event.SessionID] says which stored session to read, and the stored session says who
// is asking. Session attributes are carried back unread.
package actiongroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
)

const (
	messageVersion = "1.0"
	// MaxEventBytes bounds what is decoded at all; a prompt of 100 KB still gets a clear answer.
	MaxEventBytes = 256 << 10
	// MaxAnswerBytes bounds an answer: it becomes part of the model's context.
	MaxAnswerBytes = 20 << 10
)

// Event is what the agent sends: one function, called once.
type Event struct {
	MessageVersion          string            `json:"messageVersion"`
	Agent                   Agent             `json:"agent"`
	InputText               string            `json:"inputText"`
	SessionID               string            `json:"sessionId"`
	ActionGroup             string            `json:"actionGroup"`
	Function                string            `json:"function"`
	Parameters              []Parameter       `json:"parameters,omitempty"`
	SessionAttributes       map[string]string `json:"sessionAttributes,omitempty"`
	PromptSessionAttributes map[string]string `json:"promptSessionAttributes,omitempty"`
}

// Agent names the calling agent. Alias TSTALIASID is the console's test window.
type Agent struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

// Parameter is one named value. Value is text whatever Type says.
type Parameter struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Response is what the agent expects back, for failures too.
type Response struct {
	MessageVersion          string            `json:"messageVersion"`
	Response                ResponseBody      `json:"response"`
	SessionAttributes       map[string]string `json:"sessionAttributes,omitempty"`
	PromptSessionAttributes map[string]string `json:"promptSessionAttributes,omitempty"`
}

// ResponseBody echoes the call and carries the answer.
type ResponseBody struct {
	ActionGroup      string           `json:"actionGroup"`
	Function         string           `json:"function"`
	FunctionResponse FunctionResponse `json:"functionResponse"`
}

// FunctionResponse holds the text and, for a call the agent should correct or explain, the state REPROMPT.
type FunctionResponse struct {
	ResponseState string              `json:"responseState,omitempty"`
	ResponseBody  map[string]TextBody `json:"responseBody"`
}

// TextBody is the one content type functions answer with.
type TextBody struct {
	Body string `json:"body"`
}

// attributeAction is the prompt session attribute that holds what mends a refusal. Prompt session attributes are part of the answer's
// wire format and last for one turn; the model does not see them, as the instruction has no place for them.
const attributeAction = "steward_action"

// WithAction returns the answer with what a person can do in the page to mend it.
func (r Response) WithAction(action fault.Action) Response {
	if action == fault.NoAction {
		return r
	}
	attributes := map[string]string{attributeAction: string(action)}
	maps.Copy(attributes, r.PromptSessionAttributes)
	r.PromptSessionAttributes = attributes
	return r
}

// Action is what a person can do in the page to mend a refusal.
func (r Response) Action() fault.Action {
	return fault.Action(r.PromptSessionAttributes[attributeAction])
}

// Text is the answer's text.
func (r Response) Text() string { return r.Response.FunctionResponse.ResponseBody["TEXT"].Body }

// Call is an event that has been checked against the catalogue.
type Call struct {
	SessionID string
	Function  catalogue.Function
	Operation catalogue.Operation
	Args      map[string]string // by name; only declared ones, trimmed, never empty
}

// Arg is the value of a parameter, "" where it was not given.
func (c Call) Arg(name string) string { return c.Args[name] }

// Limit is the parameter "limit", or fallback.
func (c Call) Limit(fallback int) int {
	if n, err := strconv.Atoi(c.Args["limit"]); err == nil {
		return n
	}
	return fallback
}

// Decode reads an event. Unknown fields are ignored, as the service may add some at any time.
func Decode(payload []byte) (Event, error) {
	if len(payload) > MaxEventBytes {
		return Event{}, fault.New(fault.Invalid, "The message is too long. Please ask in fewer words.", fmt.Errorf("event of %d bytes", len(payload)))
	}
	var e Event
	if err := json.Unmarshal(payload, &e); err != nil {
		return Event{}, fault.New(fault.Invalid, "I cannot read this call.", fmt.Errorf("decode event: %w", err))
	}
	if e.MessageVersion != messageVersion {
		return e, fault.New(fault.Invalid, "This call is of a version I do not know.", fmt.Errorf("message version %.20q", e.MessageVersion))
	}
	return e, nil
}

// Call checks the event against the part of the catalogue that group serves. The error is of kind Invalid and says
// what to correct, in words the model can act on.
func (e Event) Call(group string) (Call, error) {
	f, ok := catalogue.Lookup(e.Function)
	if !ok || f.Group != group || e.ActionGroup != group {
		return Call{}, invalid(fmt.Errorf("function %.60q in action group %.60q", e.Function, e.ActionGroup),
			"There is no such function here.")
	}
	c := Call{SessionID: e.SessionID, Function: f, Args: map[string]string{}}
	seen := map[string]bool{}
	for _, given := range e.Parameters {
		p, ok := f.Param(given.Name)
		if !ok {
			return Call{}, invalid(fmt.Errorf("undeclared parameter %.60q", given.Name),
				"%s takes no such parameter; it takes %s.", f.Name, paramNames(f))
		}
		if seen[p.Name] {
			return Call{}, invalid(errors.New("duplicate parameter"), "The parameter %s was given twice; give it once.", p.Name)
		}
		seen[p.Name] = true
		value, err := p.Parse(given.Value)
		if err != nil {
			return Call{}, err
		}
		if value != "" {
			c.Args[p.Name] = value
		}
	}
	for _, p := range f.Params {
		if p.Required && c.Args[p.Name] == "" {
			return Call{}, invalid(errors.New("missing parameter"), "The parameter %s is missing: %s Please ask the person for it.", p.Name, p.Description)
		}
	}
	op, ok := f.Operation(c.Args["action"])
	if !ok {
		return Call{}, invalid(errors.New("no operation for the action"), "%s does not know this action.", f.Name)
	}
	c.Operation = op
	return c, nil
}

func paramNames(f catalogue.Function) string {
	if len(f.Params) == 0 {
		return "none"
	}
	names := make([]string, len(f.Params))
	for i, p := range f.Params {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}

func invalid(cause error, say string, args ...any) error {
	return fault.New(fault.Invalid, fmt.Sprintf(say, args...), cause)
}

// Answer is a plain answer to the event.
func (e Event) Answer(text string) Response { return e.respond("", text) }

// Reprompt is an answer that the agent should act on: correct the call, ask the person, or tell them why not.
// It is the right state for refusals; FAILURE would end the person's turn without a word.
func (e Event) Reprompt(text string) Response { return e.respond("REPROMPT", text) }

func (e Event) respond(state, text string) Response {
	attributes := maps.Clone(e.PromptSessionAttributes)
	delete(attributes, attributeAction) // of an earlier call in the same turn
	return Response{
		MessageVersion: messageVersion,
		Response: ResponseBody{
			ActionGroup: e.ActionGroup,
			Function:    e.Function,
			FunctionResponse: FunctionResponse{
				ResponseState: state,
				ResponseBody:  map[string]TextBody{"TEXT": {Body: clip(text, MaxAnswerBytes)}},
			},
		},
		// Returned as they came: whether the service keeps what is left out is not documented.
		SessionAttributes:       maps.Clone(e.SessionAttributes),
		PromptSessionAttributes: attributes,
	}
}

const clipped = "\n[cut: the answer was longer than fits here]"

// clip shortens text to at most limit bytes, on a character's boundary, and says so.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= limit {
		return text
	}
	cut := limit - len(clipped)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + clipped
}
