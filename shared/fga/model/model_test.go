package model_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
)

// TestSameRelations: model.json has the types and relations of model.fga. That they also mean the same is tested beside
// the embedded server, where the DSL's parser is at hand.
func TestSameRelations(t *testing.T) {
	var m struct {
		Types []struct {
			Type      string
			Relations map[string]json.RawMessage
		} `json:"type_definitions"`
	}
	if err := json.Unmarshal(model.JSON, &m); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, typ := range m.Types {
		got = append(got, typ.Type)
		for relation := range typ.Relations {
			got = append(got, typ.Type+"#"+relation)
		}
	}
	typ := ""
	line := regexp.MustCompile(`^(type|  +define) (\w+)`)
	for text := range strings.Lines(model.DSL) {
		switch found := line.FindStringSubmatch(text); {
		case found == nil:
		case found[1] == "type":
			typ = found[2]
			want = append(want, typ)
		default:
			want = append(want, typ+"#"+found[2])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-model.fga +model.json):\n%s", diff)
	}
}

// TestDemoTuples: erin has one grant, dave none, and the administrator is protected.
func TestDemoTuples(t *testing.T) {
	tuples, err := model.DemoTuples()
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]int{}
	for _, tuple := range tuples {
		held[tuple.User]++
	}
	seed := fga.Tuple{User: "user:erin@example.com", Relation: "read_okta", Object: "okta:groups"}
	if frank := (fga.Tuple{User: "user:*", Relation: "protected", Object: "okta_user:00ufrank00000000006x"}); !slices.Contains(tuples, frank) {
		t.Errorf("the administrator is not protected: %v", tuples)
	}
	if held[seed.User] != 1 || !slices.Contains(tuples, seed) || held["user:dave@example.com"] != 0 {
		t.Errorf("grants a person: %v, want erin the seed tuple alone and dave none", held)
	}
}
