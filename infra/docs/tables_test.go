package docs_test

import (
	"errors"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/shared/catalogue"
)

// catalogueTable is what the agent can do.
func catalogueTable(*testing.T) string {
	var b strings.Builder
	b.WriteString("| Say | The agent calls | Parameters | Permission, and on what | Phone |\n|---|---|---|---|---|\n")
	for _, f := range catalogue.Functions() {
		var params []string
		for _, p := range f.Params {
			name := "`" + p.Name + "`"
			if len(p.Enum) > 0 {
				name += " (" + strings.Join(p.Enum, ", ") + ")"
			}
			if !p.Required {
				name += "?"
			}
			params = append(params, name)
		}
		phone := ""
		if f.Elevated {
			phone = "yes"
		}
		fmt.Fprintf(&b, "| “%s” | `%s` | %s | %s | %s |\n", cell(f.Examples[0]), f.Name, strings.Join(params, ", "), permissions(f.Operations), phone)
	}
	return b.String()
}

// permissions are what is asked of FGA; one line for many that are named after their action.
func permissions(operations []catalogue.Operation) string {
	var all []string
	for _, op := range operations {
		relation := op.Relation
		if len(operations) > 3 && relation == "can_"+op.Action {
			relation = "can_<action>"
		}
		var permission string
		switch op.Target {
		case catalogue.TargetNone:
			permission = "being signed in"
		case catalogue.TargetArea:
			permission = fmt.Sprintf("`%s` on `okta:%s`", relation, op.Area)
		default:
			permission = fmt.Sprintf("`%s` on the `%s`", relation, op.Target)
		}
		if !slices.Contains(all, permission) {
			all = append(all, permission)
		}
	}
	return strings.Join(all, ", ")
}

// meaning of each key of cdk.json, with its default.
var meaning = map[string]string{
	"stage":               "`dev` or `prod`; also the name of the object in cdk.json that holds the keys below. `make … STAGE=` sets it",
	"agent":               "`classic` (Bedrock Agents Classic) or `harness` (Bedrock AgentCore harness); default `classic`. `make … AGENT=` sets it",
	"name":                "name of the installation; with the stage it names the stack and all that is in it; default `steward`",
	"auth0IssuerUrl":      "issuer of the Auth0 tenant, with the slash at its end; with a custom domain, that domain",
	"auth0ClientId":       "client id of the Auth0 application",
	"auth0Connection":     "name of the Okta OIDC connection in Auth0",
	"oktaOrgUrl":          "the Okta org, not its admin address",
	"fgaApiUrl":           "API of Auth0 FGA or OpenFGA",
	"fgaStoreId":          "the store; `make setup` prints it",
	"fgaModelId":          "the authorization model; pinned, so that a new model takes effect only when it is deployed",
	"fgaTokenIssuerUrl":   "where the FGA client gets its token; for Auth0 FGA https://auth.fga.dev/",
	"fgaAudience":         "audience of that token; for Auth0 FGA the API URL with a slash at its end",
	"fgaClientId":         "FGA client that may ask, and nothing else",
	"fgaUserClaim":        "what names a person in FGA: `email` (verified, in lower case) or `sub`; default `email`",
	"model":               "Bedrock model id or inference profile the agent thinks with; default `global.anthropic.claude-sonnet-4-6`",
	"modelRegions":        "regions a geographic inference profile may use, where Steward does not know them or knows others",
	"guardrailId":         "a Bedrock guardrail of yours; Classic only",
	"approvalsApi":        "identifier of the Auth0 API for rich authorization requests: pushes then carry the change as authorization details",
	"approvalsMessage":    "how a push is written: `sentence` (default), or `token` for a tenant that refuses blanks in binding messages",
	"approvalsDetailType": "the type of those details, which the API registers; goes with `approvalsApi`",
	"guardrailVersion":    "its version; goes with `guardrailId`. A number in prod",
	"harnessMemory":       "`managed` or `disabled`: what a harness keeps beyond the running session; default `managed`",
	"baseUrl":             "address of the app behind a custom domain; by default the function URL's own",
	"sessionTableName":    "a fixed name for the session table, where something outside has to know it; by default CloudFormation's",
	"consoleLinking":      "`true` lets a signed-in person bind a session of the Bedrock console to themselves; refused in prod",
	"reservedConcurrency": "object: function name → reserved concurrency, what is kept for it and the most it may use; default `{\"chat\": 50}` in prod, `{}` in dev, as a new account has ten in all. An account must keep 100 unreserved",
	"queueConcurrency":    "how many workers the approval queue calls at once, 2 to 1000, or 0 for no maximum; default 10 in prod, 0 in dev",
	"alarmEmail":          "address that alarms are mailed to; it must confirm a mail from SNS",
	"logRetentionDays":    "days logs are kept; default 30 in dev, 365 in prod",
}

// settingsTable is every key of cdk.json.
func settingsTable(t *testing.T) string {
	t.Helper()
	keys := settings.Keys()
	for key := range maps.Keys(meaning) {
		if !slices.Contains(keys, key) {
			t.Errorf("%s has a meaning and is no setting", key)
		}
	}
	needed := needed()
	var b strings.Builder
	b.WriteString("| Key | Needed | Meaning |\n|---|---|---|\n")
	for _, key := range keys {
		if meaning[key] == "" {
			t.Errorf("the setting %s has no meaning in tables_test.go", key)
		}
		must := ""
		if needed[key] {
			must = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, must, cell(meaning[key]))
	}
	return b.String()
}

// needed are the settings without which an empty cdk.json is refused.
func needed() map[string]bool {
	missing := map[string]bool{}
	_, err := settings.Parse(func(string) any { return nil })
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		for _, e := range all.Unwrap() {
			key, _, _ := strings.Cut(e.Error(), ":")
			missing[key] = true
		}
	}
	return missing
}

// functionsTable is one line for each function.
func functionsTable(*testing.T) string {
	var b strings.Builder
	b.WriteString("| Function | What it does | Called by | Memory | Time-out |\n|---|---|---|---|---|\n")
	for _, fn := range fleet.Steward().Functions {
		by := "okta-groups, ciba and approval-worker"
		switch {
		case fn.ActionGroup:
			by = "the agent (classic), the chat on its behalf (harness)"
		case fn.Web:
			by = "browsers, at its function URL"
		case fn.Queue:
			by = fmt.Sprintf("the approval queue, %d messages at a time", fn.BatchSize)
		}
		fmt.Fprintf(&b, "| [`%s`](functions/%s) | %s | %s | %d MB | %d s |\n", fn.Name, fn.Name, sentence(fn.Description), by, fn.MemoryMB, int(fn.Timeout.Seconds()))
	}
	return b.String()
}

// sentence is a function's description as a cell of a table.
func sentence(description string) string {
	text := strings.TrimSuffix(strings.TrimPrefix(description, "Action group: "), ".")
	return strings.ToUpper(text[:1]) + text[1:]
}

// environment is every function's environment, and what its role may do.
func environment(*testing.T) string {
	var b strings.Builder
	only := func(runtime string) string {
		if runtime == "" {
			return ""
		}
		return " (" + runtime + ")"
	}
	for i, fn := range fleet.Steward().Functions {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s\n\n| Key | Value |\n|---|---|\n", fn.Name)
		for _, e := range fn.Env {
			optional := ""
			if e.Optional {
				optional = ", optional"
			}
			fmt.Fprintf(&b, "| `%s`%s | %s%s |\n", e.Key, only(e.Only), e.Value, optional)
		}
		b.WriteString("\nIts role may, besides writing its own log and traces:\n\n")
		for _, a := range fn.Access {
			fmt.Fprintf(&b, "- %s%s: `%s`", a.Resource, only(a.Only), strings.Join(a.Actions, "`, `"))
			if a.Attributes != nil {
				fmt.Fprintf(&b, " of %s", strings.Join(a.Attributes, ", "))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// TestLaptopEnvironmentIsDocumented holds that the page speaks of every variable the laptop run reads.
func TestLaptopEnvironmentIsDocumented(t *testing.T) {
	page := read(t, "shared/docs/configuration.md")
	for _, m := range regexp.MustCompile(`(?:getenv|Getenv|number|choice)\("([A-Z_]+)"`).FindAllStringSubmatch(read(t, "infra/local/main.go"), -1) {
		if !strings.Contains(page, "`"+m[1]+"`") && !strings.Contains(page, "`"+m[1]+"=") {
			t.Errorf("configuration.md does not speak of %s", m[1])
		}
	}
}

// packages is the map of the packages: the folder of each, and the first sentence of its package comment.
func packages(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| Folder | Package |\n|---|---|\n")
	for _, module := range []string{"functions", "shared", "infra"} {
		comments := map[string]string{}
		err := filepath.WalkDir(filepath.Join(root, module), func(name string, d os.DirEntry, err error) error {
			if d != nil && d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			if err != nil || filepath.Ext(name) != ".go" {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			dir, _ := filepath.Rel(root, filepath.Dir(name))
			dir = filepath.ToSlash(dir)
			text := new(doc.Package).Synopsis(file.Doc.Text())
			if text == "" && comments[dir] == "" {
				comments[dir] = ""
			} else if text != "" && comments[dir] != "" {
				t.Errorf("%s has two package comments: %q and %q", dir, comments[dir], text)
			} else if text != "" {
				comments[dir] = text
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range slices.Sorted(maps.Keys(comments)) {
			if m := packageComment.FindStringSubmatch(comments[dir]); m != nil && len(m[2]) < 160 && strings.TrimSuffix(m[1], "_test") == path.Base(dir) {
				fmt.Fprintf(&b, "| `%s` | %s%s |\n", dir, strings.ToUpper(m[2][:1]), cell(m[2][1:]))
			} else {
				t.Errorf("%s: the package comment begins %q, want the folder's name and one sentence, such as `Package seal encrypts …`", dir, comments[dir])
			}
		}
	}
	return b.String()
}

var packageComment = regexp.MustCompile(`^(?:Package|Command|The function) (\S+) (?:is )?(.+)\.$`)
