package stack

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
)

// deployed is what CloudFormation would make of the references in an environment.
var deployed = map[string]string{
	"${SessionTable}": "steward-dev-SessionTable-1A2B", "${AuditTable}": "steward-dev-AuditTable-1A2B",
	"${Auth0ClientSecret}":     "arn:aws:secretsmanager:eu-central-1:111122223333:secret:Auth0ClientSecret-1A2B-AbCdEf",
	"${FgaClientSecret}":       "arn:aws:secretsmanager:eu-central-1:111122223333:secret:FgaClientSecret-1A2B-AbCdEf",
	"${TokenKey}":              "arn:aws:secretsmanager:eu-central-1:111122223333:secret:TokenKey-1A2B-AbCdEf",
	"${ApprovalKey}":           "arn:aws:secretsmanager:eu-central-1:111122223333:secret:ApprovalKey-1A2B-AbCdEf",
	"${AuditKey}":              "arn:aws:secretsmanager:eu-central-1:111122223333:secret:AuditKey-1A2B-AbCdEf",
	"${ApprovalQueue}":         "https://sqs.eu-central-1.amazonaws.com/111122223333/steward-dev-ApprovalQueue-1A2B",
	"${FgaAuthorizerFunction}": "steward-dev-FgaAuthorizerFunction-1A2B", "${OktaGroupsFunction}": "steward-dev-OktaGroupsFunction-1A2B",
	"${CibaFunction}": "steward-dev-CibaFunction-1A2B", "${Agent}": "AB12CD34EF", "${AgentAlias.AgentAliasId}": "ZY98XW76VU",
	"${Harness.Arn}": "arn:aws:bedrock-agentcore:eu-central-1:111122223333:harness/steward_dev-AbCdEf1234",
}

// TestFunctionsStart runs each function's own binary with exactly the environment of the template: it starts and asks
// for work. Without any one of the keys it must stop and name it, so no key is set that is not read.
func TestFunctionsStart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the functions")
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", bin+"/")
	for _, fn := range fleet.Steward().Functions {
		build.Args = append(build.Args, "./"+fn.Name)
	}
	build.Dir, build.Env = "../../functions", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build functions: %v\n%s", err, out)
	}

	for _, v := range variants {
		tpl := synthesized(t, v.name)
		for _, fn := range fleet.Steward().Functions {
			environment := map[string]string{}
			p := tpl.Resources[functionID(fn.Name)].Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
			for key, value := range p {
				text := plain(value)
				if strings.HasPrefix(text, "${") {
					if text = deployed[text]; text == "" {
						t.Fatalf("%s: nobody knows what %v becomes", fn.Name, value)
					}
				}
				environment[key] = text
			}
			t.Run(v.name+"/"+fn.Name, func(t *testing.T) {
				if log, asked := start(t, filepath.Join(bin, fn.Name), environment, ""); !asked {
					t.Fatalf("does not start with the template's environment:\n%s", log)
				}
				if !v.golden {
					return // the same keys but for optional ones
				}
				for key := range environment {
					if slices.ContainsFunc(fn.Env, func(e fleet.Env) bool { return e.Key == key && e.Optional }) {
						continue
					}
					if log, asked := start(t, filepath.Join(bin, fn.Name), environment, key); asked || !strings.Contains(log, key) {
						t.Errorf("without %s it logs (and starts: %v):\n%s", key, asked, log)
					}
				}
			})
		}
	}
}

// start runs a function until it asks the Runtime API for work or ends. It returns what it logged.
func start(t *testing.T, binary string, environment map[string]string, without string) (log string, asked bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	polled := make(chan struct{}, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/runtime/invocation/next") {
			polled <- struct{}{}
			cancel() // it has started, and that is all we wanted to know
		}
		<-ctx.Done()
	}))
	defer api.Close()

	c := exec.CommandContext(ctx, binary)
	c.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "AWS_REGION=eu-central-1", "AWS_LAMBDA_FUNCTION_NAME=test"}
	for key, value := range environment {
		if key != without {
			c.Env = append(c.Env, key+"="+value)
		}
	}
	slices.Sort(c.Env)
	out, err := c.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended && !errors.Is(err, context.Canceled) {
		t.Fatalf("run %s: %v", binary, err)
	}
	select {
	case <-polled:
		return string(out), true
	default:
		return string(out), false
	}
}
