package bedrocktest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
)

var (
	harnessARNs       = regexp.MustCompile(`^arn:([^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:harness/[a-zA-Z][a-zA-Z0-9_]{0,39}-[a-zA-Z0-9]{10}$`)
	harnessSessionIDs = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-_]{32,99}$`)
	qualifiers        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,47}$`)
)

const sessionHeader = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

type harnessRequest struct {
	Messages []struct {
		Role    string         `json:"role"`
		Content []harnessBlock `json:"content"`
	} `json:"messages"`
}

type harnessBlock struct {
	Text    *string `json:"text"`
	ToolUse *struct {
		ToolUseID string `json:"toolUseId"`
	} `json:"toolUse"`
	ToolResult *struct {
		ToolUseID string `json:"toolUseId"`
		Status    string `json:"status"`
		Content   []struct {
			Text *string         `json:"text"`
			JSON json.RawMessage `json:"json"`
		} `json:"content"`
	} `json:"toolResult"`
}

func (s *Server) invokeHarness(w http.ResponseWriter, r *http.Request) {
	arn, sessionID := r.URL.Query().Get("harnessArn"), r.Header.Get(sessionHeader)
	qualifier := r.URL.Query().Get("qualifier")
	switch {
	case !harnessARNs.MatchString(arn):
		refuse(w, invalid("Value at 'harnessArn' failed to satisfy constraint: Member must satisfy regular expression pattern."))
		return
	case !harnessSessionIDs.MatchString(sessionID):
		refuse(w, invalid("Value at 'runtimeSessionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9-_]* and have length between 33 and 100"))
		return
	case qualifier != "" && !qualifiers.MatchString(qualifier):
		refuse(w, invalid("Value at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern."))
		return
	}
	var req harnessRequest
	if bad := body(r, &req); bad != nil {
		refuse(w, bad)
		return
	}
	text, results, bad := req.last()
	switch {
	case s.opt.HarnessARN != "" && arn != s.opt.HarnessARN:
		refuse(w, &Exception{Code: "ResourceNotFoundException", Message: "Harness not found."})
		return
	case bad != nil:
		refuse(w, bad)
		return
	}
	sess := s.acquire(harnessKey(arn, sessionID))
	if sess == nil {
		refuse(w, invalid("The session is processing another request."))
		return
	}
	release := s.releaser(sess)
	defer release()

	next := *sess // what the session becomes if all of the answer is delivered
	if bad := next.take(text, results); bad != nil {
		refuse(w, bad)
		return
	}
	w.Header().Set(sessionHeader, sessionID)
	t := &harnessTurn{s: s, out: s.stream(w, r, release), sess: &next}
	if bad := t.answer(r.Context()); bad != nil {
		t.out.exception(bad)
	}
	if t.out.complete() {
		sess.conversation, sess.open, sess.queue, sess.results = next.conversation, next.open, next.queue, next.results
	}
}

func harnessKey(arn, sessionID string) string { return "harness\x00" + arn + "\x00" + sessionID }

// last is what the call brings: the person's text or the results of tool calls. Earlier messages of the same call, such
// as the repeated tool use a result belongs to, are known already.
func (r harnessRequest) last() (text string, results []Result, bad *Exception) {
	if len(r.Messages) == 0 {
		return "", nil, invalid("Value at 'messages' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	m := r.Messages[len(r.Messages)-1]
	if m.Role != string(User) {
		return "", nil, invalid("The last message must be of role user.")
	}
	for _, b := range m.Content {
		switch {
		case b.ToolUse != nil:
			return "", nil, invalid("The last message must not hold a toolUse.")
		case b.ToolResult != nil:
			result := Result{CallID: b.ToolResult.ToolUseID, Refused: b.ToolResult.Status == "error"}
			for _, c := range b.ToolResult.Content {
				if c.Text != nil {
					result.Text += *c.Text
				} else {
					result.Text += string(c.JSON)
				}
			}
			results = append(results, result)
		case b.Text != nil:
			text += *b.Text
		}
	}
	switch {
	case strings.TrimSpace(text) == "" && len(results) == 0:
		return "", nil, invalid("The message has no content.")
	case text != "" && len(results) > 0:
		return "", nil, invalid("A message with tool results holds nothing else.")
	}
	return text, results, nil
}

// take puts what the call brings into the session, if it fits.
func (sess *session) take(text string, results []Result) *Exception {
	switch {
	case sess.open == nil && len(results) > 0:
		return invalid("There is no toolUse that the toolResult belongs to.")
	case sess.open == nil:
		sess.conversation = asked(sess.conversation[:len(sess.conversation):len(sess.conversation)], text)
		return nil
	case len(results) != 1 || results[0].CallID != sess.open.ID:
		return invalid("Expected the toolResult of %s.", sess.open.ID)
	}
	sess.results = append(sess.results[:len(sess.results):len(sess.results)], results[0])
	sess.open = nil
	if len(sess.queue) == 0 {
		sess.conversation = append(sess.conversation[:len(sess.conversation):len(sess.conversation)], Message{Role: User, Results: sess.results})
		sess.results = nil
	}
	return nil
}

// harnessTurn is one InvokeHarness call while it is being answered.
type harnessTurn struct {
	s    *Server
	out  *stream
	sess *session
}

func (t *harnessTurn) answer(ctx context.Context) *Exception {
	if len(t.sess.queue) > 0 {
		t.emitCall(ctx, "")
		return nil
	}
	started := t.s.opt.Now()
	reply, err := t.s.opt.Model.Next(ctx, t.sess.conversation)
	if err != nil {
		return modelFailed(err)
	}
	for i := range reply.Calls {
		if reply.Calls[i].ID == "" {
			reply.Calls[i].ID = "tooluse_" + rand.Text()
		}
	}
	t.sess.conversation = append(t.sess.conversation, Message{Role: Assistant, Text: reply.Text, Calls: reply.Calls, Native: reply.Native})
	t.sess.queue = reply.Calls
	if len(reply.Calls) > 0 {
		t.emitCall(ctx, reply.Text)
	} else {
		t.out.event("messageStart", map[string]any{"role": "assistant"})
		t.emitText(ctx, 0, reply.Text)
		t.out.event("messageStop", map[string]any{"stopReason": "end_turn"})
	}
	t.out.event("metadata", map[string]any{
		"usage":   map[string]any{"inputTokens": reply.InputTokens, "outputTokens": reply.OutputTokens, "totalTokens": reply.InputTokens + reply.OutputTokens},
		"metrics": map[string]any{"latencyMs": t.s.opt.Now().Sub(started).Milliseconds()},
	})
	return nil
}

// emitCall gives out the next call of the reply.
func (t *harnessTurn) emitCall(ctx context.Context, text string) {
	call := t.sess.queue[0]
	t.sess.queue, t.sess.open = t.sess.queue[1:], &call
	t.out.event("messageStart", map[string]any{"role": "assistant"})
	block := 0
	if text != "" {
		t.emitText(ctx, block, text)
		block++
	}
	t.out.event("contentBlockStart", map[string]any{"contentBlockIndex": block, "start": map[string]any{
		"toolUse": map[string]any{"toolUseId": call.ID, "name": call.Function, "type": "tool_use"},
	}})
	for _, piece := range wholePieces(call.input(), 7) {
		t.out.event("contentBlockDelta", map[string]any{"contentBlockIndex": block, "delta": map[string]any{"toolUse": map[string]any{"input": piece}}})
	}
	t.out.event("contentBlockStop", map[string]any{"contentBlockIndex": block})
	t.out.event("messageStop", map[string]any{"stopReason": "tool_use"})
}

func (t *harnessTurn) emitText(ctx context.Context, block int, text string) {
	for _, piece := range wholePieces(text, t.s.opt.ChunkBytes) {
		t.out.text(ctx, "contentBlockDelta", map[string]any{"contentBlockIndex": block, "delta": map[string]any{"text": piece}})
	}
	t.out.event("contentBlockStop", map[string]any{"contentBlockIndex": block})
}

// input is the arguments as JSON, typed as the tool's schema says where the value allows it.
func (c Call) input() string {
	f, _ := catalogue.Lookup(c.Function)
	args := map[string]any{}
	for _, a := range c.Args {
		args[a.Name] = a.Value
		if p, ok := f.Param(a.Name); ok && p.Type == catalogue.TypeInteger {
			if n, err := strconv.Atoi(a.Value); err == nil {
				args[a.Name] = n
			}
		}
	}
	return string(encode(args))
}

func (s *Server) stopSession(w http.ResponseWriter, r *http.Request) {
	arn, sessionID := r.PathValue("arn"), r.Header.Get(sessionHeader)
	switch {
	case !harnessARNs.MatchString(arn):
		refuse(w, invalid("Value at 'agentRuntimeArn' failed to satisfy constraint."))
		return
	case len(sessionID) < 33 || len(sessionID) > 256:
		refuse(w, invalid("Value at 'runtimeSessionId' failed to satisfy constraint: Member must have length between 33 and 256"))
		return
	}
	if !s.forget(harnessKey(arn, sessionID)) {
		refuse(w, &Exception{Code: "ResourceNotFoundException", Message: fmt.Sprintf("Session %s not found.", sessionID)})
		return
	}
	w.Header().Set(sessionHeader, sessionID)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{}`)) // the client may have gone away
}
