package pipelinetest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// optional are the keys that a stack sets and a function can do without.
var optional = []string{"APP_BASE_URL", "APP_BASE_URL_PARAMETER", "CONSOLE_LINKING", "APPROVALS_MESSAGE"}

// CheckEnvironment holds a function's configuration against every synthesized template: the key it names when it is
// missing is set there, and each key that is set there is read. An empty environment is one error that names them all.
func CheckEnvironment(t *testing.T, logicalID string, parse func(lookup func(string) (string, bool)) error) {
	t.Helper()
	read := map[string]bool{}
	err := parse(func(key string) (string, bool) { read[key] = true; return "", false })
	if err == nil {
		t.Fatal("an empty environment was taken")
	}
	templates, globErr := filepath.Glob("../../infra/stack/testdata/*.template.json")
	if globErr != nil || len(templates) == 0 {
		t.Fatalf("no templates: %v", globErr)
	}
	for _, file := range templates {
		b, err2 := os.ReadFile(file) //nolint:gosec // of this repository
		must(t, err2)
		var template struct {
			Resources map[string]struct {
				Properties struct {
					Environment struct{ Variables map[string]any }
				}
			}
		}
		must(t, json.Unmarshal(b, &template))
		set := template.Resources[logicalID].Properties.Environment.Variables
		if len(set) == 0 {
			t.Errorf("%s: no %s with an environment", file, logicalID)
		}
		for key := range set {
			if !read[key] {
				t.Errorf("%s sets %s, which nothing reads", file, key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(read)) {
			if _, ok := set[key]; !ok && strings.Contains(err.Error(), key+":") {
				t.Errorf("%s does not set %s, which is required", file, key)
			}
		}
		for key := range set {
			if !slices.Contains(optional, key) && !strings.Contains(err.Error(), key+": is missing") {
				t.Errorf("an empty environment does not name %s", key)
			}
		}
	}
}
