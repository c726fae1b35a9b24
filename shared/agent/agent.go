// Package agent sends one signed-in person's messages to the Bedrock agent and streams its answers.
//
// One interface, [Runtime], has two implementations over the two services an agent can run on:
//
//   - [Classic]: Amazon Bedrock Agents Classic. The service runs the loop and calls the action-group functions itself.
//   - [Harness]: an Amazon Bedrock AgentCore harness with inline functions. The service hands every tool call back, and
//     [ToolRunner] runs it: the same function with the same event as Classic would send.
//
// Both stream: each piece of text is passed on when it arrives. The model gets the person's message and, before it, facts that
// Steward has verified; never a session attribute, a token or the person's identity. Every error of both is a *fault.Error.
//
// Wire: API reference of InvokeAgent (bedrock-agent-runtime 2023-07-26) and InvokeHarness (bedrock-agentcore 2024-02-28).
package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
)

// Runtime runs the agent.
type Runtime interface {
	// Run sends one message and yields the events of the turn as they happen. An error is a *fault.Error and is yielded last. The
	// turn ends when the loop over it ends. A session has one turn at a time.
	Run(ctx context.Context, turn Turn) iter.Seq2[Event, error]
	// End ends the session. A session that the runtime does not know is no error.
	End(ctx context.Context, sessionID string) error
}

// Turn is one message of the person.
type Turn struct {
	SessionID string
	Message   string
	Facts     []string // verified outcomes since the last turn, such as those of approvals, in sentences that the model may repeat
}

// Event is an event of a turn: [Text] or [Trace].
type Event interface{ event() }

// Text is the next piece of the answer. It has whole characters.
type Text struct{ Text string }

// Trace is a step of the turn, reduced to what the page may show: no prompt, no raw model output, no session attribute, no reason
// of a failure.
type Trace struct {
	Step         Step
	Text         string // rationale or what the tool answered, at most maxTraceText characters
	ActionGroup  string
	Function     string
	Parameters   []Parameter
	InputTokens  int
	OutputTokens int
	Duration     time.Duration // of the model's or the tool's work, where known
	Action       fault.Action  // of StepReprompt: what mends the refusal. Classic does not pass it on
}

// Parameter is one argument of a tool call, in the order the agent gave it.
type Parameter struct{ Name, Value string }

// Step is the kind of a trace step.
type Step string

// The steps.
const (
	StepModel     Step = "model"     // the model was asked; tokens and duration
	StepRationale Step = "rationale" // why it does what comes next, in its words
	StepCall      Step = "call"      // a tool is called
	StepResult    Step = "result"    // the tool answered
	StepReprompt  Step = "reprompt"  // the tool refused or asks for a better call
	StepGuardrail Step = "guardrail" // a guardrail looked at the text
	StepFailure   Step = "failure"   // a step failed; the turn ends with the error
)

func (Text) event()  {}
func (Trace) event() {}

const (
	// turnLimit bounds one turn; the services state no bound of their own.
	turnLimit    = 5 * time.Minute
	maxMessage   = 16 << 10 // bytes
	maxFact      = 600      // characters of one fact
	maxFacts     = 10
	maxTraceText = 2000 // characters
	maxTraceArg  = 200  // characters
)

// fits reports whether a session id is valid for both services: 2 to 100 of [0-9a-zA-Z._:-] there, 33 to 100 of [a-zA-Z0-9-_]
// here, a hyphen never first. Ours have 43.
func fits(sessionID string) bool {
	return len(sessionID) >= 33 && len(sessionID) <= 100 && sessionID[0] != '-' && strings.IndexFunc(sessionID, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
	}) < 0
}

func (t Turn) validate() error {
	switch {
	case !fits(t.SessionID):
		return fault.New(fault.Internal, "", fmt.Errorf("session id of %d characters fits no agent runtime", len(t.SessionID)))
	case opening(t.Message) == "":
		return fault.New(fault.Invalid, "Please type a message.", nil)
	case len(t.Message) > maxMessage:
		return fault.New(fault.Invalid, "The message is too long. Please ask in fewer words.", fmt.Errorf("message of %d bytes", len(t.Message)))
	}
	return nil
}

// marker begins the line of verified facts. The agent's instruction explains it; it counts only at the beginning of a message.
const marker = "[Verified by Steward"

// prompt returns the text for the model: the facts on one line, then the message, which cannot look like facts.
func (t Turn) prompt() string {
	message := opening(t.Message)
	if inside := strings.TrimLeftFunc(message, func(r rune) bool { return bracket(r) || unseen(r) }); inside != message {
		message = "(" + inside
	}
	if facts := t.facts(); facts != "" {
		return marker + ": " + facts + "]\n\n" + message
	}
	return message
}

// opening returns a message from its first visible character on, without blanks, invisible characters and combining marks before
// it.
func opening(message string) string {
	message = strings.TrimFunc(strings.ToValidUTF8(message, "�"), label.Blank)
	return strings.TrimLeftFunc(message, unseen)
}

func unseen(r rune) bool { return label.Blank(r) || label.Invisible(r) || unicode.Is(unicode.M, r) }

// bracket reports whether r may look like an opening square bracket: every opening bracket except the round one, and the parts of
// tall ones.
func bracket(r rune) bool {
	return unicode.Is(unicode.Ps, r) && r != '(' || strings.ContainsRune("⎡⎢⎣", r)
}

// facts returns the verified facts on one line, without brackets, so that no fact can end the line or add another.
func (t Turn) facts() string {
	var facts []string
	for _, fact := range t.Facts {
		fact, _ = label.Clean(strings.Map(func(r rune) rune {
			if bracket(r) || unicode.Is(unicode.Pe, r) && r != ')' {
				return ' '
			}
			return r
		}, fact))
		if fact != "" {
			facts = append(facts, clip(fact, maxFact))
		}
	}
	if len(facts) > maxFacts {
		facts = facts[len(facts)-maxFacts:] // the newest
	}
	return strings.Join(facts, " · ")
}

func clip(text string, runes int) string {
	if utf8.RuneCountInString(text) <= runes {
		return text
	}
	return string([]rune(text)[:runes-1]) + "…"
}

var errTooLong = errors.New("turn limit reached")

// turn returns the events of one turn. run emits them until emit returns false, which means that the loop has ended.
func turn(ctx context.Context, t Turn, run func(ctx context.Context, emit func(Event) bool) error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := t.validate(); err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, errTooLong)
		defer cancel()
		listening, hasText := true, false
		err := run(ctx, func(e Event) bool {
			if _, ok := e.(Text); ok {
				hasText = true
			}
			listening = listening && yield(e, nil)
			return listening
		})
		if err == nil && !hasText {
			err = fault.New(fault.Upstream, "The assistant gave no answer. Please ask again.", errors.New("turn ended without text"))
		}
		if err != nil && listening {
			yield(nil, err)
		}
	}
}

// runes assembles whole characters, as a stream may split the bytes of a character.
type runes struct{ rest []byte }

// whole returns the characters that b completes, and keeps the bytes of an incomplete one.
func (r *runes) whole(b []byte) string {
	b = append(r.rest, b...)
	cut := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				cut -= i
			}
			break
		}
	}
	r.rest = append([]byte(nil), b[cut:]...)
	return strings.ToValidUTF8(string(b[:cut]), "�")
}

// end returns the replacement character if the stream ended within a character, else "".
func (r *runes) end() string {
	if len(r.rest) == 0 {
		return ""
	}
	r.rest = nil
	return "�"
}
