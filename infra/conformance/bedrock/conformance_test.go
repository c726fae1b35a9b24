// Package bedrock_test runs the AWS SDK for JavaScript against shared/fake/bedrocktest, to show that the fake behaves
// as that SDK expects.
//
// It needs node, npm and, the first time, the npm registry. Without them it is skipped, except where CI=true.
package bedrock_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
)

const (
	harnessARN = "arn:aws:bedrock-agentcore:eu-central-1:111122223333:harness/steward_dev-abcdefghij"
	answer     = "Größe ist relativ, sagt “Engineering” — 日本語."
)

func TestAWSSDKForJavaScript(t *testing.T) {
	if testing.Short() {
		t.Skip("runs npm")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, tool+" is not installed")
		}
	}
	if _, err := os.Stat("node_modules/@aws-sdk/client-bedrock-agentcore/package.json"); err != nil {
		if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			unavailable(t, "npm ci: "+err.Error()+"\n"+string(out))
		}
	}
	server := httptest.NewUnstartedServer(bedrocktest.New(bedrocktest.Options{
		AgentID: "AB12CD34EF", AliasID: "PRODALIAS1", HarnessARN: harnessARN, ChunkBytes: 5, Invoke: invoke,
	}))
	server.Config.Protocols = bedrocktest.Protocols()
	server.Start()
	defer server.Close()
	node := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "bedrock.test.mjs")
	node.Env = append(os.Environ(), "ENDPOINT="+server.URL, "HARNESS_ARN="+harnessARN, "ANSWER="+answer)
	out, err := node.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// invoke plays the functions: reads answer, changes fail.
func invoke(_ context.Context, function string, payload []byte) ([]byte, string, error) {
	if function == catalogue.GroupCIBA {
		return []byte(`{"errorMessage":"exit status 1","errorType":"Runtime.ExitError"}`), "Unhandled", nil
	}
	event, err := actiongroup.Decode(payload)
	if err != nil {
		return nil, "", err
	}
	raw, err := json.Marshal(event.Answer(answer))
	return raw, "", err
}

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
