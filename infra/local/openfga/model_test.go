package openfga

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openfga/language/pkg/go/transformer"

	"github.com/steward-iam/steward/shared/fga/model"
)

var update = flag.Bool("update", false, "write model.json from model.fga")

// TestModelJSON holds model.json to model.fga.
func TestModelJSON(t *testing.T) {
	raw, err := transformer.TransformDSLToJSON(model.DSL)
	if err != nil {
		t.Fatalf("model.fga: %v", err)
	}
	var want bytes.Buffer
	if err := json.Indent(&want, []byte(raw), "", " "); err != nil {
		t.Fatal(err)
	}
	want.WriteByte('\n')
	if *update {
		if err := os.WriteFile("../../../shared/fga/model/model.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), string(model.JSON)); diff != "" {
		t.Errorf("model.json is not model.fga (-model.fga +model.json), run with -update:\n%s", diff)
	}
}
