package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// TestReadsExplainEveryFailure lets each dependency of a read fail in each way. The person gets a sentence and no groups; when the
// dependency is back, so is the answer.
func TestReadsExplainEveryFailure(t *testing.T) {
	failures := ways[:4]
	if !testing.Short() {
		failures = append(slices.Clone(failures), faults.Fault{Delay: time.Minute})
	}
	for name, dependency := range map[string]faults.Fault{
		"Token Vault":    {Service: faults.Auth0, Match: "POST /oauth/token"},
		"Okta":           {Service: faults.Okta},
		"FGA":            {Service: faults.FGA, Match: "check"},
		"FGA token":      {Service: faults.FGA, Match: "POST /oauth/token"},
		"session row":    {Service: faults.AWS, Match: "DynamoDB_20120810.GetItem"},
		"audit":          {Service: faults.AWS, Match: "DynamoDB_20120810.PutItem"},
		"secrets":        {Service: faults.AWS, Match: "secretsmanager."},
		"fga-authorizer": {Service: faults.AWS, Match: "/functions/fga-authorizer/"},
		"agent runtime":  {Service: faults.AWS, Match: "POST /agents/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, run.Options{})
			for _, fault := range failures {
				way := fmt.Sprintf("%+v", fault)
				if name == "agent runtime" && fault.Delay > 0 {
					continue // a model may think for a minute
				}
				for _, function := range []string{fleet.OktaGroups, fleet.FGAAuthorizer} {
					f.Lambda.Kill(function) // so that nothing is remembered
				}
				alice := signIn(t, f, "alice@example.com")
				f.Org.RevokeTokens(oktatest.Alice) // nor a token kept
				f.Tenant.ExpireOktaTokens()
				fault.Service, fault.Match = dependency.Service, dependency.Match
				f.Proxy.Add(fault)
				text := failure(t, f, alice, "What are my Okta groups?", way)
				if strings.Contains(text, "Engineering") {
					t.Errorf("%s: got the groups: %q", way, text)
				}
				f.Proxy.Fail()
				recovered(t, alice, way)
			}
			for _, s := range f.Lambda.Stats() {
				if s.Crashes > 0 {
					t.Errorf("%s crashed %d times", s.Function, s.Crashes)
				}
			}
		})
	}
}

// failure is the text of an answer, or of a refused message, that must be a sentence and tell nothing from inside.
func failure(t *testing.T, f *run.Fleet, c *chatclient.Client, message, way string) string {
	t.Helper()
	a, err := c.Say(t.Context(), message)
	text := a.Text + strings.Join(a.Errors, " ")
	if err != nil {
		text += strings.ReplaceAll(err.Error(), f.ChatURL, "")
	}
	t.Logf("%s: %s (%v)", way, text, a.Took)
	if len(text) < 20 || inside.MatchString(text) {
		t.Errorf("%s: got %q, want a sentence and nothing from inside", way, text)
	}
	return text
}

// recovered asks until the answer is there again. What was under way when the dependency came back may fail once more.
func recovered(t *testing.T, v *chatclient.Client, after string) {
	t.Helper()
	var a chatclient.Answer
	for range 5 {
		if a = answer(t, v, "What are my Okta groups?"); strings.Contains(a.Text, "Engineering") {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("after %s: got %q, want the groups again", after, a.Text)
}
