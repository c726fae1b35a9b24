// Package check tries each link of an installation as the functions do, and names the setting that is wrong.
//
// [Run] works through a list of checks. One that needs another which failed is not tried: it would only repeat the fault in other
// words. So one wrong setting gives one finding, with the exact place to change it. Nothing is changed anywhere; the one check that
// sends a push is left out unless asked for.
package check

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/auth0/go-auth0/management"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/secret"
)

// Status is the result of one check.
type Status string

// The results.
const (
	OK      Status = "ok"
	Wrong   Status = "wrong"
	Blocked Status = "waits"   // something it needs is wrong
	Skipped Status = "skipped" // cannot be seen from here; the finding says why
)

// Finding is one check and its result.
type Finding struct {
	Check   string `json:"check"`
	What    string `json:"what"`
	Status  Status `json:"status"`
	Wrong   string `json:"wrong,omitempty"`   // what is wrong
	Setting string `json:"setting,omitempty"` // the exact setting to change
	Reason  string `json:"reason,omitempty"`  // why it waits or was skipped
}

// Report is all findings, in the order of the links.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Wrong are the findings that something is wrong.
func (r Report) Wrong() (wrong []Finding) {
	for _, f := range r.Findings {
		if f.Status == Wrong {
			wrong = append(wrong, f)
		}
	}
	return wrong
}

// Print shows the report as a table: check, result, what is wrong and the setting to change. What was skipped for one reason stands
// together at the end.
func (r Report) Print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	counts := map[Status]int{}
	skipped := map[string][]string{}
	var reasons []string
	for _, f := range r.Findings {
		counts[f.Status]++
		if f.Status == Skipped {
			if skipped[f.Reason] == nil {
				reasons = append(reasons, f.Reason)
			}
			skipped[f.Reason] = append(skipped[f.Reason], f.Check)
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Check, f.Status, cmp.Or(f.Wrong, f.Reason, f.What))
		if f.Setting != "" {
			_, _ = fmt.Fprintf(w, "\t\t-> %s\n", f.Setting)
		}
	}
	_ = w.Flush()
	for _, reason := range reasons {
		_, _ = fmt.Fprintf(out, "\nskipped: %s:\n  %s\n", reason, strings.Join(skipped[reason], " "))
	}
	_, _ = fmt.Fprintf(out, "\n%d ok, %d wrong, %d waiting for those, %d skipped.\n", counts[OK], counts[Wrong], counts[Blocked], counts[Skipped])
}

// JSON writes the report for machines.
func (r Report) JSON(out io.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Installation is what is examined, and from where.
type Installation struct {
	Env       map[string]string // the environment of all functions, by key
	AWS       *aws.Config       // nil where there is no account at hand
	File      *tenant.File      // nil without steward.yaml
	Secrets   tenant.Secrets
	Transport *reach.Transport
	CIBA      bool // send a push to the tester's phone

	// What one check finds for those after it.
	http         *http.Client
	app          *auth0.Client
	auth0Secret  secret.String
	fgaSecret    secret.String
	management   *management.Management
	client       *management.Client
	connection   *plan.Connection
	rotationSeen string
	fgaToken     secret.String
	tester       *management.User
	oktaToken    auth0.Federated
}

// verdict is the result of a check. The zero value means that it passed.
type verdict struct{ wrong, setting, skipped string }

var passed verdict

func wrong(setting, format string, args ...any) verdict {
	return verdict{wrong: fmt.Sprintf(format, args...), setting: setting}
}

// expect passes if ok is true.
func expect(ok bool, setting, format string, args ...any) verdict {
	if ok {
		return passed
	}
	return wrong(setting, format, args...)
}

func skip(format string, args ...any) verdict { return verdict{skipped: fmt.Sprintf(format, args...)} }

type check struct {
	id, what string
	needs    []string    // ids of checks before it
	requires []condition // the first that gives a reason skips the check
	run      func(context.Context, *Installation) verdict
}

// condition returns why something cannot be examined, or "".
type condition func(*Installation) string

func when(ok func(*Installation) bool, reason string) condition {
	return func(s *Installation) string {
		if ok(s) {
			return ""
		}
		return reason
	}
}

var (
	hasAWS         = when(func(s *Installation) bool { return s.AWS != nil }, noAWS)
	hasAuth0Secret = when(func(s *Installation) bool { return !s.auth0Secret.IsZero() }, noAWS)
	hasManagement  = when(func(s *Installation) bool { return s.management != nil }, noManagement)
	hasClient      = when(func(s *Installation) bool { return s.client != nil }, noManagement)
	hasConnection  = when(func(s *Installation) bool { return s.connection != nil }, noManagement)
	hasTester      = when(func(s *Installation) bool { return s.tester != nil }, noTester)
)

func (c check) examine(ctx context.Context, s *Installation) verdict {
	for _, condition := range c.requires {
		if reason := condition(s); reason != "" {
			return skip("%s", reason)
		}
	}
	return c.run(ctx, s)
}

// Run examines everything.
func Run(ctx context.Context, s *Installation) Report {
	s.Transport = cmp.Or(s.Transport, &reach.Transport{})
	s.http = s.Transport.Client()
	s.http.Timeout = 20 * time.Second
	var r Report
	status := map[string]Status{}
	for _, c := range checks() {
		f := Finding{Check: c.id, What: c.what, Status: OK}
		var waits []string
		for _, need := range c.needs {
			if got, known := status[need]; got == Wrong || got == Blocked {
				waits = append(waits, need)
			} else if !known {
				panic("check " + c.id + " needs " + need + ", which is not before it")
			}
		}
		if len(waits) > 0 {
			f.Status, f.Reason = Blocked, "waits for "+strings.Join(waits, ", ")
		} else {
			switch v := c.examine(ctx, s); {
			case v.wrong != "":
				f.Status, f.Wrong, f.Setting = Wrong, v.wrong, v.setting
			case v.skipped != "":
				f.Status, f.Reason = Skipped, v.skipped
			}
		}
		status[c.id] = f.Status
		r.Findings = append(r.Findings, f)
	}
	return r
}

// IDs are all checks, in order.
func IDs() (ids []string) {
	for _, c := range checks() {
		ids = append(ids, c.id)
	}
	return ids
}

func checks() []check {
	return slices.Concat(configChecks(), awsChecks(), auth0Checks(), connectionChecks(), fgaChecks(), oktaChecks(), testerChecks())
}

// cdkKeys are where the environment's values are set.
var cdkKeys = map[string]string{ //nolint:gosec // names of keys, no values
	"AUTH0_ISSUER_URL": "auth0IssuerUrl", "AUTH0_CLIENT_ID": "auth0ClientId", "AUTH0_CONNECTION_NAME": "auth0Connection",
	"OKTA_ORG_URL": "oktaOrgUrl", "FGA_API_URL": "fgaApiUrl", "FGA_STORE_ID": "fgaStoreId", "FGA_MODEL_ID": "fgaModelId",
	"FGA_TOKEN_ISSUER_URL": "fgaTokenIssuerUrl", "FGA_AUDIENCE": "fgaAudience", "FGA_CLIENT_ID": "fgaClientId", "FGA_USER_CLAIM": "fgaUserClaim",
	"APP_BASE_URL": "baseUrl", "APPROVALS_API": "approvalsApi", "APPROVALS_MESSAGE": "approvalsMessage", "APPROVALS_DETAIL_TYPE": "approvalsDetailType",
}

// in names the place of an environment key.
func in(key string) string {
	if cdk := cdkKeys[key]; cdk != "" {
		return fmt.Sprintf("%s in cdk.json (%s)", cdk, key)
	}
	return key + " (set by the stack: run `make deploy`)"
}

// text is an error for the person at the terminal.
func text(err error) string {
	if say, ok := reach.Explain(err); ok {
		return say
	}
	return strings.TrimSuffix(err.Error(), ".")
}
