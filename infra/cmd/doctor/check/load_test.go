package check_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/steward-iam/steward/infra/cmd/doctor/check"
)

// TestDeployedReadsEveryFunction reads the functions of a stack, whatever CloudFormation named them, and the address of the chat.
func TestDeployedReadsEveryFunction(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/"):
			env := map[string]string{"SESSION_TABLE_NAME": "sessions", "APP_BASE_URL_PARAMETER": "/steward-dev/app-base-url"}
			if strings.Contains(r.URL.Path, "Fga") {
				env = map[string]string{"FGA_STORE_ID": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"Environment": map[string]any{"Variables": env}})
		case r.Header.Get("X-Amz-Target") == "AmazonSSM.GetParameter":
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = fmt.Fprint(w, `{"Parameter":{"Name":"/steward-dev/app-base-url","Value":"https://chat.example.com"}}`)
		case r.PostFormValue("StackName") != "steward-dev":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `<ErrorResponse><Error><Code>ValidationError</Code><Message>no stack</Message></Error></ErrorResponse>`)
		default:
			_, _ = fmt.Fprint(w, `<DescribeStackResourcesResponse><DescribeStackResourcesResult><StackResources>
<member><LogicalResourceId>Chat</LogicalResourceId><PhysicalResourceId>steward-dev-Chat-1</PhysicalResourceId><ResourceType>AWS::Lambda::Function</ResourceType></member>
<member><LogicalResourceId>FgaAuthorizer</LogicalResourceId><PhysicalResourceId>steward-dev-Fga-1</PhysicalResourceId><ResourceType>AWS::Lambda::Function</ResourceType></member>
<member><LogicalResourceId>Sessions</LogicalResourceId><PhysicalResourceId>x</PhysicalResourceId><ResourceType>AWS::DynamoDB::Table</ResourceType></member>
</StackResources></DescribeStackResourcesResult></DescribeStackResourcesResponse>`)
		}
	}))
	defer s.Close()
	cfg := aws.Config{Region: "eu-central-1", BaseEndpoint: &s.URL, Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1}
	env, err := check.Deployed(t.Context(), cfg, "steward-dev")
	if err != nil || env["SESSION_TABLE_NAME"] != "sessions" || env["FGA_STORE_ID"] == "" || env["APP_BASE_URL"] != "https://chat.example.com" {
		t.Errorf("%v, %v", env, err)
	}
	if _, err := check.Deployed(t.Context(), cfg, "other"); err == nil || !strings.Contains(err.Error(), "no stack other in eu-central-1") {
		t.Errorf("%v", err)
	}
}

// TestWithoutConfigurationTheRestWaits: without a configuration the first checks say so, and everything else waits or says why it cannot be seen.
func TestWithoutConfigurationTheRestWaits(t *testing.T) {
	report := check.Run(t.Context(), &check.Installation{Env: map[string]string{}})
	wrong := map[string]bool{}
	for _, f := range report.Wrong() {
		wrong[f.Check] = true
		if f.Setting == "" {
			t.Errorf("%s names no setting", f.Check)
		}
	}
	if len(report.Findings) != len(check.IDs()) || len(wrong) != 4 || !wrong["config.auth0"] || !wrong["config.okta"] || !wrong["config.fga"] || !wrong["config.app"] {
		t.Errorf("wrong: %v", wrong)
	}
}

// TestLocalNeedsTheFileOfARun wants a run's file, and says where it looked.
func TestLocalNeedsTheFileOfARun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.env.json")
	if _, err := check.Local(path); err == nil || !strings.Contains(err.Error(), "no local run") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := check.Local(path); err == nil {
		t.Error("half a file passes")
	}
}
