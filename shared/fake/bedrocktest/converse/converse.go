// Package converse connects a real Bedrock model to the fake runtimes, through the Converse API. What it is given is
// what the fake gives any model: the conversation.
//
// Wire: API reference of Converse (bedrock-runtime 2023-09-30); user guide, "Call a tool with the Converse API".
package converse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
)

// Client is the one call of *bedrockruntime.Client in use.
type Client interface {
	Converse(context.Context, *bedrockruntime.ConverseInput, ...func(*bedrockruntime.Options)) (*bedrockruntime.ConverseOutput, error)
}

// Model is a [bedrocktest.Model].
type Model struct {
	client  Client
	modelID string
	tools   *types.ToolConfiguration
}

const maxTokens = 2048

// New makes a Model of a model id, inference profile id or ARN.
func New(client Client, modelID string) *Model {
	config := &types.ToolConfiguration{}
	for _, tool := range catalogue.Tools() {
		config.Tools = append(config.Tools, &types.ToolMemberToolSpec{Value: types.ToolSpecification{
			Name: &tool.Name, Description: &tool.Description,
			InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(tool.InputSchema)},
		}})
	}
	return &Model{client: client, modelID: modelID, tools: config}
}

// Next asks the model.
func (m *Model) Next(ctx context.Context, conversation []bedrocktest.Message) (bedrocktest.Reply, error) {
	out, err := m.client.Converse(ctx, &bedrockruntime.ConverseInput{
		ModelId:         &m.modelID,
		System:          []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: catalogue.Instruction}},
		Messages:        messages(conversation),
		ToolConfig:      m.tools,
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(maxTokens)},
	})
	if err != nil {
		return bedrocktest.Reply{}, exception(err)
	}
	said, ok := out.Output.(*types.ConverseOutputMemberMessage)
	if !ok {
		return bedrocktest.Reply{}, exception(errors.New("no message"))
	}
	reply := bedrocktest.Reply{Native: said.Value}
	for _, block := range said.Value.Content {
		switch b := block.(type) {
		case *types.ContentBlockMemberText:
			reply.Text += b.Value
		case *types.ContentBlockMemberToolUse:
			args, err := arguments(b.Value.Input)
			if err != nil {
				return bedrocktest.Reply{}, exception(err)
			}
			reply.Calls = append(reply.Calls, bedrocktest.Call{ID: aws.ToString(b.Value.ToolUseId), Function: aws.ToString(b.Value.Name), Args: args})
		}
	}
	if len(reply.Calls) > 0 {
		reply.Rationale = reply.Text
	} else if strings.TrimSpace(reply.Text) == "" {
		return bedrocktest.Reply{}, exception(fmt.Errorf("empty answer, stop reason %s", out.StopReason))
	}
	if out.Usage != nil {
		reply.InputTokens, reply.OutputTokens = int(aws.ToInt32(out.Usage.InputTokens)), int(aws.ToInt32(out.Usage.OutputTokens))
	}
	return reply, nil
}

// messages is the conversation on the wire. What the model said goes back as it was, with any reasoning in it.
func messages(conversation []bedrocktest.Message) (out []types.Message) {
	for _, m := range conversation {
		if native, ok := m.Native.(types.Message); ok {
			out = append(out, native)
			continue
		}
		msg := types.Message{Role: types.ConversationRole(m.Role)}
		if m.Text != "" {
			msg.Content = append(msg.Content, &types.ContentBlockMemberText{Value: m.Text})
		}
		for _, r := range m.Results {
			status := types.ToolResultStatusSuccess
			if r.Refused {
				status = types.ToolResultStatusError
			}
			msg.Content = append(msg.Content, &types.ContentBlockMemberToolResult{Value: types.ToolResultBlock{
				ToolUseId: &r.CallID, Status: status,
				Content: []types.ToolResultContentBlock{&types.ToolResultContentBlockMemberText{Value: r.Text}},
			}})
		}
		out = append(out, msg)
	}
	return out
}

// arguments is the input of a tool call as texts, by name. null is as good as absent.
func arguments(input document.Interface) (args []bedrocktest.Arg, err error) {
	if input == nil {
		return nil, nil
	}
	raw, err := input.MarshalSmithyDocument()
	if err != nil {
		return nil, fmt.Errorf("tool input: %w", err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, fmt.Errorf("tool input: %w", err)
	}
	for name, value := range values {
		text := string(value)
		if text == "null" {
			continue
		}
		var s string
		if json.Unmarshal(value, &s) == nil {
			text = s
		}
		args = append(args, bedrocktest.Arg{Name: name, Value: text})
	}
	slices.SortFunc(args, func(a, b bedrocktest.Arg) int { return strings.Compare(a.Name, b.Name) })
	return args, nil
}

// exception is how the runtime would report the model's error.
func exception(err error) error {
	code := "InternalServerException"
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "ThrottlingException", "AccessDeniedException", "ModelNotReadyException", "ServiceQuotaExceededException":
			code = api.ErrorCode()
		}
	}
	return &bedrocktest.Exception{Code: code, Message: "The model could not be invoked: " + err.Error()}
}
