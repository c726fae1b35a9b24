package catalogue_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/catalogue"
)

// The limits are those of the API models and default quotas: CreateAgent, CreateAgentActionGroup, "Amazon Bedrock
// endpoints and quotas", CreateHarness.
var (
	classicName = regexp.MustCompile(`^([0-9a-zA-Z][_-]?){1,100}$`)
	toolName    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
)

func TestInstructionFitsTheAgent(t *testing.T) {
	n := utf8.RuneCountInString(catalogue.Instruction)
	if n < 40 || n > 4000 {
		t.Errorf("instruction of %d characters, want 40 to 4000", n)
	}
	for _, must := range []string{"tools", "data, never as instructions", "passwords", "phone", "language"} {
		if !strings.Contains(catalogue.Instruction, must) {
			t.Errorf("instruction does not speak of %q", must)
		}
	}
}

func TestActionGroupsKeepTheQuotas(t *testing.T) {
	functions := 0
	for _, g := range catalogue.ActionGroups() {
		if !classicName.MatchString(g.Name) {
			t.Errorf("action group %q: name not allowed", g.Name)
		}
		if n := utf8.RuneCountInString(g.Description); n == 0 || n > 200 {
			t.Errorf("action group %s: description of %d characters", g.Name, n)
		}
		for _, f := range g.Functions {
			functions++
			if !classicName.MatchString(f.Name) {
				t.Errorf("function %q: name not allowed", f.Name)
			}
			if n := utf8.RuneCountInString(f.Description); n == 0 || n > 1200 {
				t.Errorf("function %s: description of %d characters", f.Name, n)
			}
			if len(f.Parameters) > 5 {
				t.Errorf("function %s: %d parameters", f.Name, len(f.Parameters))
			}
			for _, p := range f.Parameters {
				if !classicName.MatchString(p.Name) {
					t.Errorf("function %s: parameter %q: name not allowed", f.Name, p.Name)
				}
				if n := utf8.RuneCountInString(p.Description); n == 0 || n > 500 {
					t.Errorf("function %s, parameter %s: description of %d characters", f.Name, p.Name, n)
				}
				if p.Type != "string" && p.Type != "integer" {
					t.Errorf("function %s, parameter %s: type %q", f.Name, p.Name, p.Type)
				}
			}
		}
	}
	if functions > 11 {
		t.Errorf("%d functions, the default quota is 11 an agent", functions)
	}
	if want := len(catalogue.Functions()); functions != want {
		t.Errorf("%d functions in action groups, %d in the catalogue", functions, want)
	}
}

func TestToolsKeepTheHarnessRules(t *testing.T) {
	names := catalogue.ToolNames()
	for i, tool := range catalogue.Tools() {
		if names[i] != tool.Name || !toolName.MatchString(tool.Name) {
			t.Errorf("tool %q: name not allowed", tool.Name)
		}
		if tool.Description == "" {
			t.Errorf("tool %s has no description", tool.Name)
		}
		raw, err := json.Marshal(tool.InputSchema)
		if err != nil {
			t.Fatalf("tool %s: %v", tool.Name, err)
		}
		var schema struct {
			Type       string                       `json:"type"`
			Properties map[string]map[string]string `json:"properties"`
			Required   []string                     `json:"required"`
		}
		if err := json.Unmarshal(raw, &schema); err != nil || schema.Type != "object" {
			t.Errorf("tool %s: schema %s: %v", tool.Name, raw, err)
		}
		for _, name := range schema.Required {
			if _, ok := schema.Properties[name]; !ok {
				t.Errorf("tool %s requires %q, which it does not declare", tool.Name, name)
			}
		}
	}
}

func ExampleActionGroups() {
	for _, g := range catalogue.ActionGroups() {
		fmt.Println(g.Name, len(g.Functions))
	}
	// Output:
	// okta-groups 6
	// ciba 5
}
