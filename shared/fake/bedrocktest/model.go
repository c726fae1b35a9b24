package bedrocktest

import (
	"context"
	"strings"
)

// Model is what stands in place of the language model: it reads a conversation and says what comes next.
type Model interface {
	Next(ctx context.Context, conversation []Message) (Reply, error)
}

// Message is one entry of a conversation. A person's has text; the agent's has text, calls or both; results follow calls.
type Message struct {
	Role    Role
	Text    string
	Calls   []Call
	Results []Result // role user
	Native  any      `json:"-"` // Reply.Native
}

// Role is who speaks.
type Role string

// The roles.
const (
	User      Role = "user"
	Assistant Role = "assistant"
)

// Call is a tool call.
type Call struct {
	ID       string
	Function string
	Args     []Arg
}

// Arg is one argument of a call. Whether it is written as a number follows from the catalogue.
type Arg struct{ Name, Value string }

// Arg is an argument's value, "" if it is not given.
func (c Call) Arg(name string) string {
	for _, a := range c.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Result is what a tool answered. Refused says that the call was not carried out: the tool wants it corrected or said why not.
type Result struct {
	CallID  string
	Text    string
	Refused bool
}

// Reply is what the model says: calls, or else the answer.
type Reply struct {
	Rationale    string // why, where a model tells
	Text         string
	Calls        []Call
	InputTokens  int
	OutputTokens int
	Native       any `json:"-"` // the reply in the model's own form, for it to read again
}

// maxRounds bounds the calls of one turn.
const maxRounds = 8

// asked is the conversation with the next message of the person.
func asked(conversation []Message, text string) []Message {
	return append(conversation, Message{Role: User, Text: text})
}

// pieces cuts text into pieces of about n bytes, at spaces or anywhere.
func pieces(text string, n int) []string {
	var out []string
	for len(text) > n {
		out, text = append(out, text[:n]), text[n:]
	}
	if text != "" {
		out = append(out, text)
	}
	return out
}

// wholePieces is pieces at the borders of characters, for a wire of JSON strings.
func wholePieces(text string, n int) []string {
	var out []string
	var piece strings.Builder
	for _, r := range text {
		piece.WriteRune(r)
		if piece.Len() >= n {
			out = append(out, piece.String())
			piece.Reset()
		}
	}
	if piece.Len() > 0 {
		out = append(out, piece.String())
	}
	return out
}
