package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/shared/agentdef"
	"github.com/steward-iam/steward/shared/catalogue"
)

// TestAliasFollowsAgent holds that the alias changes with each part of the agent's definition, and only then.
func TestAliasFollowsAgent(t *testing.T) {
	lookup, err := settings.File("../../cdk.json", map[string]string{"agent": "classic", "stage": "dev"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Parse(lookup)
	if err != nil {
		t.Fatal(err)
	}
	before := (&builder{Settings: s}).definition()

	changes := map[string]func(d *definition){
		"instruction":           func(d *definition) { d.Instruction += " Be brief." },
		"model":                 func(d *definition) { d.Model = "eu.anthropic.claude-sonnet-5" },
		"idle time":             func(d *definition) { d.IdleSeconds++ },
		"guardrail":             func(d *definition) { d.Guardrail = settings.Guardrail{ID: "gr", Version: "1"} },
		"guardrail version":     func(d *definition) { d.Guardrail.Version = "2" },
		"function called":       func(d *definition) { d.Functions[0] = "OtherFunction" },
		"function description":  func(d *definition) { d.ActionGroups[0].Functions[0].Description += "!" },
		"function name":         func(d *definition) { d.ActionGroups[1].Functions[0].Name += "s" },
		"parameter required":    func(d *definition) { d.ActionGroups[0].Functions[0].Parameters[0].Required = true },
		"parameter description": func(d *definition) { d.ActionGroups[0].Functions[0].Parameters[0].Description += "!" },
		"function removed":      func(d *definition) { d.ActionGroups[0].Functions = d.ActionGroups[0].Functions[1:] },
	}
	digests := map[string]string{before.digest(): "nothing"}
	for name, change := range changes {
		d := (&builder{Settings: s}).definition() // a copy of its own: definitions are built anew
		change(&d)
		if other, ok := digests[d.digest()]; ok {
			t.Errorf("a change of the %s and of %s give the same digest", name, other)
		}
		digests[d.digest()] = name
	}

	// What is not the agent's leaves the alias where it is.
	s.AlarmEmail, s.LogRetentionDays, s.SessionTableName, s.ConsoleLinking = "a@example.com", 7, "other", true
	s.ReservedConcurrency = map[string]int{"chat": 3}
	s.Auth0ClientID, s.FGAStore, s.Stage = "other", "other", settings.Prod
	if got := (&builder{Settings: s}).definition().digest(); got != before.digest() {
		t.Error("the digest moves with what does not make the agent")
	}

	for _, v := range []string{"classic-dev", "classic-prod"} {
		alias := synthesized(t, v).Resources[agentAlias].Properties
		if got, want := alias["Description"], "definition "+before.digest(); got != want {
			t.Errorf("%s: alias says %v, want %s", v, got, want)
		}
		if alias["RoutingConfiguration"] != nil {
			t.Errorf("%s: a routing configuration pins the alias to a version", v)
		}
	}
}

// TestDefinitionHoldsTheWholeAgent holds the other half: what the template gives the agent is in its definition, so nothing
// can change unseen.
func TestDefinitionHoldsTheWholeAgent(t *testing.T) {
	p := maps.Clone(synthesized(t, "classic-options").Resources[agent].Properties)
	want := map[string]any{ // neither cuts a version of itself, nor ever changes
		"AgentName": "other-dev", "AutoPrepare": true, "SkipResourceInUseCheckOnDelete": true,
		"AgentResourceRoleArn": map[string]any{"Fn::GetAtt": []any{"AgentRole", "Arn"}},
		"Description":          "Okta identity and access work for the person who is signed in.",
		"Tags":                 map[string]any{"application": "other", "stage": "dev"},
	}
	for _, inDefinition := range []string{"Instruction", "FoundationModel", "IdleSessionTTLInSeconds", "GuardrailConfiguration", "ActionGroups"} {
		if p[inDefinition] == nil {
			t.Errorf("%s is missing", inDefinition)
		}
		delete(p, inDefinition)
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("agent, -want +got:\n%s", diff)
	}
}

// Limits published for the resources: "Quotas for Amazon Bedrock", the Amazon Bedrock and AgentCore API references.
var (
	bedrockName = regexp.MustCompile(`^([0-9a-zA-Z][_-]?){1,100}$`)
	harnessName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,39}$`)
	toolName    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
)

const (
	maxFunctions, maxParameters                              = 11, 5
	minInstruction, maxInstruction                           = 40, 4000
	maxDescription, maxFunctionWords, maxParameterWords      = 200, 1200, 500
	minIdle, maxIdle                                         = 60, 5400
	minMemoryDays, maxMemoryDays, maxTools, maxTurnInSeconds = 3, 365, 64, 3600
)

// TestAgentSchema holds the Classic agent to its published schema and quotas, and the schema to the catalogue.
func TestAgentSchema(t *testing.T) {
	for _, v := range []string{"classic-dev", "classic-prod", "classic-options"} {
		t.Run(v, func(t *testing.T) {
			p := synthesized(t, v).Resources[agent].Properties
			only(t, "agent", p, "ActionGroups", "AgentName", "AgentResourceRoleArn", "AutoPrepare", "Description", "FoundationModel",
				"GuardrailConfiguration", "IdleSessionTTLInSeconds", "Instruction", "SkipResourceInUseCheckOnDelete", "Tags")
			named(t, bedrockName, p["AgentName"])
			within(t, "instruction", len(p["Instruction"].(string)), minInstruction, maxInstruction)
			within(t, "idle session", int(p["IdleSessionTTLInSeconds"].(float64)), minIdle, maxIdle)
			within(t, "description", len(p["Description"].(string)), 1, maxDescription)

			var functions []string
			for _, item := range p["ActionGroups"].([]any) {
				group := item.(map[string]any)
				only(t, "action group", group, "ActionGroupName", "ActionGroupState", "ActionGroupExecutor", "Description", "FunctionSchema", "SkipResourceInUseCheckOnDelete")
				named(t, bedrockName, group["ActionGroupName"])
				within(t, "action group description", len(group["Description"].(string)), 1, maxDescription)
				if group["ActionGroupState"] != "ENABLED" {
					t.Errorf("action group is %v", group["ActionGroupState"])
				}
				if got, want := plain(group["ActionGroupExecutor"].(map[string]any)["Lambda"]), "${"+functionID(group["ActionGroupName"].(string))+".Arn}"; got != want {
					t.Errorf("action group calls %s, want %s", got, want)
				}
				for _, item := range group["FunctionSchema"].(map[string]any)["Functions"].([]any) {
					functions = append(functions, checkFunction(t, item.(map[string]any), group["ActionGroupName"].(string)))
				}
			}
			within(t, "functions of the agent", len(functions), 1, maxFunctions)
			if diff := cmp.Diff(catalogueLines(), functions); diff != "" {
				t.Errorf("functions, -catalogue +template:\n%s", diff)
			}

			alias := synthesized(t, v).Resources[agentAlias].Properties
			only(t, "alias", alias, "AgentAliasName", "AgentId", "Description", "Tags")
			named(t, bedrockName, alias["AgentAliasName"])
			within(t, "alias description", len(alias["Description"].(string)), 1, maxDescription)
		})
	}
}

// checkFunction checks one function and says it in a line, as catalogue does.
func checkFunction(t *testing.T, f map[string]any, group string) string {
	t.Helper()
	only(t, "function", f, "Name", "Description", "Parameters")
	named(t, bedrockName, f["Name"])
	within(t, "function description", len(f["Description"].(string)), 1, maxFunctionWords)
	parameters, _ := f["Parameters"].(map[string]any)
	within(t, "parameters", len(parameters), 0, maxParameters)
	line := fmt.Sprintf("%s.%s", group, f["Name"])
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		p := parameters[name].(map[string]any)
		only(t, "parameter", p, "Type", "Description", "Required")
		named(t, bedrockName, name)
		within(t, "parameter description", len(p["Description"].(string)), 1, maxParameterWords)
		if !slices.Contains([]string{"string", "number", "integer", "boolean", "array"}, p["Type"].(string)) {
			t.Errorf("parameter %s has type %v", name, p["Type"])
		}
		line += fmt.Sprintf(" %s:%v:%v", name, p["Type"], p["Required"])
	}
	return line
}

// catalogueLines says every function in a line.
func catalogueLines() (lines []string) {
	for _, f := range catalogue.Functions() {
		line := f.Group + "." + f.Name
		params := slices.Clone(f.Params)
		slices.SortFunc(params, func(a, b catalogue.Param) int { return strings.Compare(a.Name, b.Name) })
		for _, p := range params {
			line += fmt.Sprintf(" %s:%v:%v", p.Name, p.Type, p.Required)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestHarnessSchema does the same for the harness.
func TestHarnessSchema(t *testing.T) {
	for _, v := range []string{"harness-dev", "harness-prod", "harness-options"} {
		t.Run(v, func(t *testing.T) {
			p := synthesized(t, v).Resources[harness].Properties
			only(t, "harness", p, "AllowedTools", "ExecutionRoleArn", "HarnessName", "MaxIterations", "Memory", "Model", "SystemPrompt", "Tags", "TimeoutSeconds", "Tools")
			named(t, harnessName, p["HarnessName"])
			within(t, "turn", int(p["TimeoutSeconds"].(float64)), 1, maxTurnInSeconds)

			var tools []string
			want := map[string]map[string]any{}
			for _, f := range catalogue.Functions() {
				want[f.Name] = f.InputSchema()
			}
			for _, item := range p["Tools"].([]any) {
				tool := item.(map[string]any)
				only(t, "tool", tool, "Type", "Name", "Config")
				named(t, toolName, tool["Name"])
				if tool["Type"] != "inline_function" {
					t.Errorf("tool %v is of type %v", tool["Name"], tool["Type"])
				}
				function := tool["Config"].(map[string]any)["InlineFunction"].(map[string]any)
				only(t, "inline function", function, "Description", "InputSchema")
				if diff := cmp.Diff(roundTrip(t, want[tool["Name"].(string)]), function["InputSchema"]); diff != "" {
					t.Errorf("%v, -catalogue +template:\n%s", tool["Name"], diff)
				}
				schema(t, function["InputSchema"].(map[string]any))
				tools = append(tools, tool["Name"].(string))
			}
			within(t, "tools", len(tools), 1, maxTools)
			if diff := cmp.Diff(agentdef.ToolNames(), tools); diff != "" {
				t.Errorf("tools, -catalogue +template:\n%s", diff)
			}
			// Anything more, a star above all, would offer a shell.
			if diff := cmp.Diff(tools, many(p["AllowedTools"])); diff != "" {
				t.Errorf("allowed tools, -tools +allowed:\n%s", diff)
			}
			prompt := p["SystemPrompt"].([]any)
			if len(prompt) != 1 || prompt[0].(map[string]any)["Text"] != agentdef.Instruction {
				t.Errorf("system prompt is %v", prompt)
			}
			memory := p["Memory"].(map[string]any)
			if managed, ok := memory["ManagedMemoryConfiguration"].(map[string]any); ok {
				within(t, "memory in days", int(managed["EventExpiryDuration"].(float64)), minMemoryDays, maxMemoryDays)
			} else if memory["Disabled"] == nil {
				t.Errorf("memory is %v: left out, the service would turn everything on", memory)
			}
		})
	}
}

// schema allows what tools may declare: no enum, no format, no bounds.
func schema(t *testing.T, s map[string]any) {
	t.Helper()
	only(t, "schema", s, "type", "description", "properties", "required", "items")
	properties, _ := s["properties"].(map[string]any)
	for _, p := range properties {
		schema(t, p.(map[string]any))
	}
}

func roundTrip(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func only(t *testing.T, what string, p map[string]any, allowed ...string) {
	t.Helper()
	for key := range p {
		if !slices.Contains(allowed, key) {
			t.Errorf("%s has the property %s", what, key)
		}
	}
}

func named(t *testing.T, pattern *regexp.Regexp, name any) {
	t.Helper()
	if s, ok := name.(string); !ok || !pattern.MatchString(s) {
		t.Errorf("name %v does not match %s", name, pattern)
	}
}

func within(t *testing.T, what string, n, least, most int) {
	t.Helper()
	if n < least || n > most {
		t.Errorf("%s: %d, want %d to %d", what, n, least, most)
	}
}
