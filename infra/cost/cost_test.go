package cost_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/cost"
)

var update = flag.Bool("update", false, "write the page")

const page = "../../shared/docs/cost.md"

// TestPage holds that the page says what the fleet and the template now cost.
func TestPage(t *testing.T) {
	got, err := cost.Page("../stack/testdata/harness-prod.template.json")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil { //nolint:gosec // a page everybody may read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("page is out of date, -want +got (write it with -update):\n%s", diff)
	}
}
