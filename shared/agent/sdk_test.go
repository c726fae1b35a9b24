package agent_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/agent"
)

// recorder keeps what a request says of itself, without what differs from call to call.
type recorder struct {
	header []string
	got    chan map[string]any // the SDK sends from a goroutine of its own
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	got := map[string]any{"method": req.Method, "path": req.URL.EscapedPath(), "query": req.URL.RawQuery, "host": req.URL.Host}
	for _, name := range r.header {
		got[name] = req.Header.Get(name)
	}
	_, scope, _ := strings.Cut(req.Header.Get("Authorization"), "/eu-central-1/")
	got["scope"], _, _ = strings.Cut(scope, ",")
	raw, _ := io.ReadAll(req.Body)
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	delete(body, "clientToken") // random
	got["body"] = body
	r.got <- got
	return &http.Response{StatusCode: 404, Header: http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException"}}, Body: http.NoBody, Request: req}, nil
}

// TestHarnessSpeaksAsTheSDK: what is sent is what the generated client sends.
func TestHarnessSpeaksAsTheSDK(t *testing.T) {
	record := func(call func(cfg aws.Config)) map[string]any {
		r := &recorder{header: []string{"Content-Type", "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"}, got: make(chan map[string]any, 8)}
		cfg := awsConfig("", &http.Client{Transport: r})
		cfg.BaseEndpoint = nil
		call(cfg)
		return <-r.got
	}
	for name, tc := range map[string]struct{ ours, theirs func(aws.Config) }{
		"InvokeHarness": {
			func(cfg aws.Config) { listen(t.Context(), agent.NewHarness(cfg, harnessARN, nil), ask("hello")) },
			func(cfg aws.Config) {
				_, _ = bedrockagentcore.NewFromConfig(cfg).InvokeHarness(t.Context(), &bedrockagentcore.InvokeHarnessInput{
					HarnessArn: aws.String(harnessARN), RuntimeSessionId: aws.String(sessionID),
					Messages: []types.HarnessMessage{{Role: types.HarnessConversationRoleUser, Content: []types.HarnessContentBlock{&types.HarnessContentBlockMemberText{Value: "hello"}}}},
				})
			},
		},
		"StopRuntimeSession": {
			func(cfg aws.Config) { _ = agent.NewHarness(cfg, harnessARN, nil).End(t.Context(), sessionID) },
			func(cfg aws.Config) {
				_, _ = bedrockagentcore.NewFromConfig(cfg).StopRuntimeSession(t.Context(), &bedrockagentcore.StopRuntimeSessionInput{
					AgentRuntimeArn: aws.String(harnessARN), RuntimeSessionId: aws.String(sessionID),
				})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, ours := record(tc.theirs), record(tc.ours)
			if len(theirs) == 0 || !cmp.Equal(theirs, ours) {
				t.Errorf("(-SDK +ours):\n%s", cmp.Diff(theirs, ours))
			}
		})
	}
}
