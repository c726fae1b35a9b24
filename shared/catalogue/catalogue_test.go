package catalogue_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/catalogue"

	"github.com/google/go-cmp/cmp"
)

// The quotas of an agent: "Amazon Bedrock endpoints and quotas", and for names and descriptions the API reference of
// FunctionSchema.
func TestTheCatalogueFitsAnAgent(t *testing.T) {
	all := catalogue.Functions()
	if len(all) != 11 {
		t.Errorf("%d functions, an agent takes 11", len(all))
	}
	name := regexp.MustCompile(`^[a-z][a-z_]{0,62}$`)
	names, operations := map[string]bool{}, map[string]bool{}
	for _, f := range all {
		if !name.MatchString(f.Name) || names[f.Name] {
			t.Errorf("function %q: name", f.Name)
		}
		names[f.Name] = true
		if len(f.Description) == 0 || len(f.Description) > 1200 || len(f.Params) > 5 || len(f.Examples) == 0 {
			t.Errorf("%s: %d characters of description, %d parameters, %d examples", f.Name, len(f.Description), len(f.Params), len(f.Examples))
		}
		if f.Group != catalogue.GroupOkta && f.Group != catalogue.GroupCIBA {
			t.Errorf("%s: group %q", f.Name, f.Group)
		}
		if f.Elevated && f.Group != catalogue.GroupCIBA {
			t.Errorf("%s: an elevated function of the reading group", f.Name)
		}
		for _, p := range f.Params {
			if !name.MatchString(p.Name) || p.Description == "" || len(p.Description) > 500 || p.Type != catalogue.TypeString && p.Type != catalogue.TypeInteger {
				t.Errorf("%s: parameter %+v", f.Name, p)
			}
			if (p.Max == 0) == (len(p.Enum) == 0) {
				t.Errorf("%s: parameter %s is bound neither by a length nor by a set, or by both", f.Name, p.Name)
			}
		}
		for _, op := range f.Operations {
			if operations[op.ID] {
				t.Errorf("operation %s is there twice", op.ID)
			}
			operations[op.ID] = true
			if got, ok := catalogue.OperationByID(op.ID); !ok || !cmp.Equal(got, op) {
				t.Errorf("operation %s is not found by its id", op.ID)
			}
			if got, ok := f.Operation(op.Action); !ok || !cmp.Equal(got, op) {
				t.Errorf("operation %s is not found by its action", op.ID)
			}
			if (op.Target == catalogue.TargetNone) != (op.Relation == "") {
				t.Errorf("operation %s: target %q, relation %q", op.ID, op.Target, op.Relation)
			}
			if f.Elevated && !strings.HasPrefix(op.Relation, "can_") {
				t.Errorf("operation %s: relation %q", op.ID, op.Relation)
			}
			for _, param := range append(slices.Clone(op.Members), op.Object) {
				if _, ok := f.Param(param); param != "" && (!ok || catalogue.TargetOf(param) == catalogue.TargetNone) {
					t.Errorf("operation %s: nothing is named by %q", op.ID, param)
				}
			}
			if kind := op.Target.Kind(); op.Object != kind.Param && op.ID != "create_group" || op.Target != catalogue.TargetNone && len(op.Scopes) == 0 {
				t.Errorf("operation %s: object %q, scopes %q", op.ID, op.Object, op.Scopes)
			}
			want := []string{"target"}
			switch {
			case op.Target == catalogue.TargetNone:
				want = nil
			case op.Target == catalogue.TargetArea && !f.Elevated:
				want = []string{"query"}
			case f.Name == "change_group_membership", f.Name == "change_app_assignment":
				want = []string{"party", "target"}
			case op.ID == "create_group":
				want = []string{"name", "description"}
			case op.ID == "rename_group":
				want = []string{"target", "new_name", "description"}
			}
			if got := op.Phrase.Places(); !slices.Equal(got, want) {
				t.Errorf("operation %s: the phrase has the places %q, want %q", op.ID, got, want)
			}
			if got := op.Past.Places(); !slices.Equal(got, want) || op.Past == "" {
				t.Errorf("operation %s: the past phrase has the places %q, want %q", op.ID, got, want)
			}
		}
	}
	if len(operations) != 6+17+1 {
		t.Errorf("%d operations", len(operations))
	}
	for _, unknown := range []string{"", "List_user_groups", "list_user_groups ", "delete"} {
		if _, ok := catalogue.Lookup(unknown); ok {
			t.Errorf("function %q was found", unknown)
		}
		if _, ok := catalogue.OperationByID(unknown); ok {
			t.Errorf("operation %q was found", unknown)
		}
	}
}

func TestInputSchema(t *testing.T) {
	f, _ := catalogue.Lookup("find_groups")
	want := map[string]any{
		"type": "object",
		"properties": map[string]any{
			"query": map[string]any{"type": "string", "description": "Part of the group's name."},
			"limit": map[string]any{"type": "integer", "description": "How many to list, 1 to 50. Default 20."},
		},
		"required": []string{"query"},
	}
	if d := cmp.Diff(want, f.InputSchema()); d != "" {
		t.Errorf("schema (-want +got):\n%s", d)
	}
	f, _ = catalogue.Lookup("list_my_permissions")
	if b, err := json.Marshal(f.InputSchema()); err != nil || string(b) != `{"properties":{},"required":[],"type":"object"}` {
		t.Errorf("schema of no parameters: %s, %v", b, err)
	}
}
