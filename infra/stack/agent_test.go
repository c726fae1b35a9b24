package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/settings"
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

// TestClassicAgentHasTheCatalogue: the Classic agent has the functions of the catalogue, each called where it is served. That they are
// within Bedrock's quotas is shown in shared/catalogue; the CDK holds the rest to the published schemas.
func TestClassicAgentHasTheCatalogue(t *testing.T) {
	type function struct {
		group, executor, name string
		parameters            map[string]string // name to type and whether it is required
	}
	var want []function
	for _, f := range catalogue.Functions() {
		parameters := map[string]string{}
		for _, p := range f.Params {
			parameters[p.Name] = fmt.Sprint(p.Type, " ", p.Required)
		}
		want = append(want, function{f.Group, "${" + functionID(f.Group) + ".Arn}", f.Name, parameters})
	}
	for _, v := range []string{"classic-dev", "classic-prod", "classic-options"} {
		var got []function
		for _, item := range synthesized(t, v).Resources[agent].Properties["ActionGroups"].([]any) {
			group := item.(map[string]any)
			if group["ActionGroupState"] != "ENABLED" {
				t.Errorf("%s: action group is %v", v, group["ActionGroupState"])
			}
			for _, item := range group["FunctionSchema"].(map[string]any)["Functions"].([]any) {
				f := item.(map[string]any)
				parameters := map[string]string{}
				given, _ := f["Parameters"].(map[string]any)
				for name, p := range given {
					parameters[name] = fmt.Sprint(p.(map[string]any)["Type"], " ", p.(map[string]any)["Required"])
				}
				got = append(got, function{
					group["ActionGroupName"].(string), plain(group["ActionGroupExecutor"].(map[string]any)["Lambda"]), f["Name"].(string), parameters,
				})
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(function{})); diff != "" {
			t.Errorf("%s: functions, -catalogue +template:\n%s", v, diff)
		}
	}
}

// TestHarnessHasTheCatalogue: the harness has the tools of the catalogue and may use no others.
func TestHarnessHasTheCatalogue(t *testing.T) {
	want := map[string]any{}
	for _, f := range catalogue.Functions() {
		want[f.Name] = f.InputSchema()
	}
	for _, v := range []string{"harness-dev", "harness-prod", "harness-options"} {
		p := synthesized(t, v).Resources[harness].Properties
		var names []string
		got := map[string]any{}
		for _, item := range p["Tools"].([]any) {
			tool := item.(map[string]any)
			if tool["Type"] != "inline_function" {
				t.Errorf("%s: tool %v is of type %v", v, tool["Name"], tool["Type"])
			}
			names = append(names, tool["Name"].(string))
			got[tool["Name"].(string)] = tool["Config"].(map[string]any)["InlineFunction"].(map[string]any)["InputSchema"]
		}
		if diff := cmp.Diff(roundTrip(t, want), any(got)); diff != "" {
			t.Errorf("%s: tools, -catalogue +template:\n%s", v, diff)
		}
		// Anything more, a star above all, would offer a shell.
		if diff := cmp.Diff(catalogue.ToolNames(), many(p["AllowedTools"])); diff != "" || !slices.Equal(names, catalogue.ToolNames()) {
			t.Errorf("%s: tools %v; allowed, -tools +allowed:\n%s", v, names, diff)
		}
		prompt := p["SystemPrompt"].([]any)
		if len(prompt) != 1 || prompt[0].(map[string]any)["Text"] != catalogue.Instruction {
			t.Errorf("%s: system prompt is %v", v, prompt)
		}
		if memory := p["Memory"].(map[string]any); memory["ManagedMemoryConfiguration"] == nil && memory["Disabled"] == nil {
			t.Errorf("%s: memory is %v: left out, the service would turn everything on", v, memory)
		}
	}
}

func roundTrip(t *testing.T, v any) (out any) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
