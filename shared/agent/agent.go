// Package agent sends one signed-in person's messages to the Bedrock agent and streams its answers.
//
// One interface, [Runtime], has two implementations over the two services an agent can run on:
//
//   - [Classic]: Amazon Bedrock Agents Classic. The service runs the loop and calls the action-group functions itself.
//   - [Harness]: an Amazon Bedrock AgentCore harness with inline functions. The service hands every tool call back, and
//     [ToolRunner] runs it: the same function with the same event as Classic would send.
//
// Both stream: a piece of text is handed on as soon as it has arrived. What the model is given is the person's message
// and, before it, facts that we have verified; never a session attribute, a token or who the person is. Both answer every
// failure as a *fault.Error.
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

// Runtime is where the agent runs.
type Runtime interface {
	// Run says one message and yields what the agent does about it, as it happens. An error is yielded once, as the last
	// thing, and is a *fault.Error. The turn ends when the loop over it ends; one session has one turn at a time.
	Run(ctx context.Context, turn Turn) iter.Seq2[Event, error]
	// End forgets the conversation. A session the runtime does not know any more is no error.
	End(ctx context.Context, sessionID string) error
}

// Turn is one message of the person.
type Turn struct {
	SessionID string
	Message   string
	Facts     []string // verified outcomes since the last turn, such as those of approvals, in words the model may repeat
}

// Event is something the agent did: [Text] or [Trace].
type Event interface{ event() }

// Text is the next piece of the answer, whole characters.
type Text struct{ Text string }

// Trace is a step on the way to the answer, reduced to what a browser may show: no prompt, no raw model output, no
// session attribute, no reason of a failure.
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

// fits says whether a session id suits both services: 2 to 100 of [0-9a-zA-Z._:-] there, 33 to 100 of [a-zA-Z0-9-_] here,
// a hyphen never first. Ours have 43.
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

// marker opens the line of verified facts. The agent's instruction says what it means, and only at the very beginning.
const marker = "[Verified by Steward"

// prompt is what the model reads: the facts on a line of their own, then the message, which cannot pass for facts.
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

// opening is a message from the first visible character: blanks, invisible characters and accents that would sit on
// nothing are left out before it.
func opening(message string) string {
	message = strings.TrimFunc(strings.ToValidUTF8(message, "�"), label.Blank)
	return strings.TrimLeftFunc(message, unseen)
}

func unseen(r rune) bool { return label.Blank(r) || label.Invisible(r) || unicode.Is(unicode.M, r) }

// bracket says whether a reader may take r for a square bracket that opens: every opening bracket but the round one, and
// the pieces of tall ones.
func bracket(r rune) bool {
	return unicode.Is(unicode.Ps, r) && r != '(' || strings.ContainsRune("⎡⎢⎣", r)
}

// facts is the verified facts on one line without brackets, so that none can end the line or forge another.
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

// turn makes the sequence of one turn out of run, which emits events until emit says that nobody listens any more.
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

// runes hands on whole characters: a stream may cut its bytes anywhere.
type runes struct{ rest []byte }

// whole returns the characters completed by b and keeps what is left of an unfinished one.
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

// end is what is left when the stream is over: "" unless it broke off within a character.
func (r *runes) end() string {
	if len(r.rest) == 0 {
		return ""
	}
	r.rest = nil
	return "�"
}
