package docs_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDeploymentOutputsAreExplained holds the after-deploy list of setup.md to the stacks: two outputs to paste, two secrets that
// are made empty and named by an output, no parameter to be typed. What a stack asks for and the list lacks, or the other way
// round, is a step that nobody was told of.
func TestDeploymentOutputsAreExplained(t *testing.T) {
	_, list, ok := strings.Cut(read(t, "shared/docs/setup.md"), "### After the first make deploy\n")
	if !ok {
		t.Fatal("setup.md has no such list any more")
	}
	list, _, _ = strings.Cut(list, "\n#")
	documented := map[string]string{} // output to what is to be done
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.+) \\|$").FindAllStringSubmatch(list, -1) {
		documented[m[1]] = "nothing that is known"
		switch {
		case strings.HasPrefix(m[2], "paste into "):
			documented[m[1]] = "paste"
		case strings.HasPrefix(m[2], "`make secrets`"):
			documented[m[1]] = "fill"
		}
	}
	templates, err := filepath.Glob(filepath.Join(root, "infra/stack/testdata/*.template.json"))
	if err != nil || len(templates) == 0 {
		t.Fatal("no golden templates", err)
	}
	for _, path := range templates {
		var stack struct {
			Parameters map[string]any
			Outputs    map[string]struct {
				Description string
				Value       any
			}
			Resources map[string]struct {
				Type       string
				Properties map[string]any
			}
		}
		if err := json.Unmarshal([]byte(read(t, strings.TrimPrefix(path, root+"/"))), &stack); err != nil {
			t.Fatal(err)
		}
		asked, named, empty := map[string]string{}, []string{}, []string{}
		for id, output := range stack.Outputs {
			switch {
			case strings.HasPrefix(output.Description, "Paste into "):
				asked[id] = "paste"
			case strings.Contains(output.Description, "`make secrets`"):
				asked[id] = "fill"
				named = append(named, output.Value.(map[string]any)["Ref"].(string))
			}
		}
		for id, r := range stack.Resources {
			if _, generated := r.Properties["GenerateSecretString"]; r.Type == "AWS::SecretsManager::Secret" && !generated {
				empty = append(empty, id)
			}
		}
		if !maps.Equal(documented, asked) || len(documented) != 4 {
			t.Errorf("%s asks for %v, setup.md explains %v", filepath.Base(path), asked, documented)
		}
		slices.Sort(named)
		slices.Sort(empty)
		if !slices.Equal(named, empty) {
			t.Errorf("%s makes %q empty, and its outputs name %q", filepath.Base(path), empty, named)
		}
		for id := range stack.Parameters {
			if id != "BootstrapVersion" { // the CDK's own, which finds its value by itself
				t.Errorf("%s asks for the parameter %s", filepath.Base(path), id)
			}
		}
	}
}
