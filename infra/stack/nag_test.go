package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/steward-iam/steward/infra/settings"
)

// finding is a rule that a resource breaks.
type finding struct{ rule, resource string }

var findings = map[string][]finding{}

// nag has cdk-nag's AwsSolutions pack look at a stack while it is synthesized.
func nag(s awscdk.Stack) {
	awscdk.Aspects_Of(s).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{
		Reports: jsii.Bool(true), ReportFormats: &[]cdknag.NagReportFormat{cdknag.NagReportFormat_JSON},
	}), nil)
}

// nagged reads what it found.
func nagged(dir, stackName string) (found []finding) {
	raw, err := os.ReadFile(filepath.Join(dir, "AwsSolutions-"+stackName+"-NagReport.json"))
	if err != nil {
		panic(err)
	}
	var report struct {
		Lines []struct{ RuleID, ResourceID, Compliance string }
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		panic(err)
	}
	if len(report.Lines) < 20 {
		panic("cdk-nag looked at almost nothing")
	}
	for _, l := range report.Lines {
		if l.Compliance != "Compliant" {
			found = append(found, finding{l.RuleID, strings.TrimPrefix(l.ResourceID, stackName+"/")})
		}
	}
	return found
}

// accepted are the findings that stand, each with its reason.
var accepted = []struct{ rule, resource, reason string }{
	{"AwsSolutions-IAM5", "*Role", "every star is named and explained in TestWildcardsAreExceptions; other stars fail there"},
	{"AwsSolutions-SMG4", "Auth0ClientSecret", "issued by Auth0: rotated there, then filled in with make secrets"},
	{"AwsSolutions-SMG4", "FgaClientSecret", "issued by FGA: rotated there, then filled in with make secrets"},
	{"AwsSolutions-SMG4", "TokenKey", "rotated with make rotate, which keeps the keys before it; a rotation by itself would lose them"},
	{"AwsSolutions-SMG4", "ApprovalKey", "rotated with make rotate, which keeps the keys before it; a rotation by itself would lose them"},
	{"AwsSolutions-SMG4", "AuditKey", "rotated with make rotate, which keeps the keys before it; a rotation by itself would lose them"},
}

// TestCDKNagFindings holds that cdk-nag finds nothing else, and that every accepted finding is still one.
func TestCDKNagFindings(t *testing.T) {
	used := make([]bool, len(accepted))
	each(t, func(t *testing.T, s settings.Settings, _ template) {
		for _, v := range variants {
			if !strings.HasSuffix(t.Name(), "/"+v.name) {
				continue
			}
			for _, f := range findings[v.name] {
				i := slices.IndexFunc(accepted, func(a struct{ rule, resource, reason string }) bool {
					return match(a.rule, f.rule) && match(a.resource, f.resource)
				})
				if i < 0 {
					t.Errorf("%s: %s", f.rule, f.resource)
					continue
				}
				used[i] = true
			}
		}
	})
	for i, a := range accepted {
		if !testing.Short() && !used[i] {
			t.Errorf("%s on %s is accepted, but not found any more", a.rule, a.resource)
		}
	}
}
