package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/steward-iam/steward/shared/awsconfig"
)

// The part of bedrock-agentcore's wire that is used, without the generated client: see package awsconfig.
//
// https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeHarness.html
// https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_StopRuntimeSession.html

const (
	sessionHeader = "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id"

	typeOurs      = "tool_use" // the type of a call that is ours to run, and the reason to stop for it
	stopForTools  = "tool_use"
	statusSuccess = "success"
	statusError   = "error"
)

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is a piece of a message, one of the two.
type block struct {
	Text       *string     `json:"text,omitempty"`
	ToolResult *toolResult `json:"toolResult,omitempty"`
}

type toolResult struct {
	ToolUseID string  `json:"toolUseId"`
	Status    string  `json:"status"`
	Content   []block `json:"content"`
}

// harnessEvent is the payload of any event of the stream.
type harnessEvent struct {
	ContentBlockIndex int `json:"contentBlockIndex"`
	Start             struct {
		ToolUse *struct {
			ToolUseID string `json:"toolUseId"`
			Name      string `json:"name"`
			Type      string `json:"type"`
		} `json:"toolUse"`
		ToolResult *struct {
			ToolUseID string `json:"toolUseId"`
		} `json:"toolResult"`
	} `json:"start"`
	Delta struct {
		Text    string `json:"text"`
		ToolUse *struct {
			Input string `json:"input"`
		} `json:"toolUse"`
	} `json:"delta"`
	StopReason string `json:"stopReason"`
	Usage      struct {
		InputTokens  int `json:"inputTokens"`
		OutputTokens int `json:"outputTokens"`
	} `json:"usage"`
	Metrics struct {
		LatencyMs int64 `json:"latencyMs"`
	} `json:"metrics"`
}

type harnessWire struct {
	client *awsconfig.Client
	arn    string
}

func newHarnessWire(cfg aws.Config, arn string) harnessWire {
	service := awsconfig.Service{ID: "Bedrock AgentCore", Name: "bedrock-agentcore"}
	return harnessWire{client: awsconfig.New(cfg, service, newRetryer()), arn: arn}
}

func (w harnessWire) call(ctx context.Context, path, sessionID string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return w.client.Do(ctx, awsconfig.Call{Method: http.MethodPost, Path: path, Body: body, Header: http.Header{
		"Accept": {"application/vnd.amazon.eventstream, application/json"}, "Content-Type": {"application/json"}, sessionHeader: {sessionID},
	}})
}

// invoke is InvokeHarness with one message of the person.
func (w harnessWire) invoke(ctx context.Context, sessionID string, content []block) (*harnessStream, error) {
	path := "/harnesses/invoke?" + url.Values{"harnessArn": {w.arn}}.Encode()
	resp, err := w.call(ctx, path, sessionID, map[string]any{"messages": []message{{Role: "user", Content: content}}}) //nolint:bodyclose // harnessStream.close does
	if err != nil {
		return nil, err
	}
	return &harnessStream{body: resp.Body, frames: eventstream.NewDecoder()}, nil
}

// stop is StopRuntimeSession.
func (w harnessWire) stop(ctx context.Context, sessionID string) error {
	path := "/runtimes/" + httpbinding.EscapePath(w.arn, true) + "/stopruntimesession"
	resp, err := w.call(ctx, path, sessionID, map[string]string{"clientToken": rand.Text() + rand.Text()})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// harnessStream is the event stream that InvokeHarness answers.
type harnessStream struct {
	body   io.ReadCloser
	frames *eventstream.Decoder
	buffer []byte
}

func (s *harnessStream) close() { _ = s.body.Close() }

// next is the next event and its kind; io.EOF at the end. An exception within the stream is an error as a call's is.
func (s *harnessStream) next() (kind string, e harnessEvent, err error) {
	frame, err := s.frames.Decode(s.body, s.buffer)
	if err != nil {
		return "", e, err
	}
	s.buffer = frame.Payload[:0]
	header := func(name string) string {
		if v := frame.Headers.Get(name); v != nil {
			return v.String()
		}
		return ""
	}
	switch header(":message-type") {
	case "event":
		kind = header(":event-type")
		switch kind {
		case "contentBlockStart", "contentBlockDelta", "messageStop", "metadata":
			if json.Unmarshal(frame.Payload, &e) != nil { // its error may quote what was said
				err = fmt.Errorf("event %s is not the JSON of one", kind)
			}
		}
		return kind, e, err
	case "exception":
		var said struct{ Message string }
		_ = json.Unmarshal(frame.Payload, &said) // the type says enough
		name := header(":exception-type")        // a member's name: validationException
		if name != "" {
			name = strings.ToUpper(name[:1]) + name[1:]
		}
		return "", e, &smithy.GenericAPIError{Code: name, Message: said.Message}
	case "error":
		return "", e, &smithy.GenericAPIError{Code: header(":error-code"), Message: header(":error-message")}
	}
	return "", e, nil // of a kind to come
}
