package bedrocktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
)

// A conversation with the planner, through the SDK, with one function behind it.
func Example() {
	fake := bedrocktest.New(bedrocktest.Options{
		Invoke: func(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
			event, err := actiongroup.Decode(payload)
			if err != nil {
				return nil, "", err
			}
			answer, err := json.Marshal(event.Answer("Engineering has 2 members: alice, bob."))
			return answer, "", err
		},
	})
	server := httptest.NewServer(fake)
	defer server.Close()

	runtime := agent.NewClassic(bedrockagentruntime.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
	}), "AB12CD34EF", "PRODALIAS1")

	for _, message := range []string{"Who is in the group?", "Engineering"} {
		for event, err := range runtime.Run(context.Background(), agent.Turn{SessionID: "0123456789-0123456789-0123456789-0123456789", Message: message}) {
			if err != nil {
				fmt.Println(err)
			}
			switch e := event.(type) {
			case agent.Text:
				fmt.Print(e.Text)
			case agent.Trace:
				if e.Step == agent.StepCall {
					fmt.Println("→", e.Function, e.Parameters)
				}
			}
		}
		fmt.Println()
	}
	// Output:
	// Which group?
	// → list_group_members [{group Engineering}]
	// Engineering has 2 members: alice, bob.
}
