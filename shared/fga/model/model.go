// Package model embeds Steward's authorization model and the data to seed and test a store with it.
//
// model.fga is the source; model.json is the same model in the form the OpenFGA API takes, so that nothing that writes
// it needs the DSL's parser. After a change of model.fga:
//
//	go test ./openfga -run TestModelJSON -update    (in infra/local)
//	.ci/fga                                         (runs store.fga.yaml with the fga command)
//
// A model is never edited in a store: writing it again makes a new model id, and FGA_MODEL_ID is moved to it once its
// tests have passed.
package model

import (
	_ "embed" // the files below
	"encoding/json"
	"fmt"

	"github.com/steward-iam/steward/shared/fga"
)

// DSL is model.fga.
//
//go:embed model.fga
var DSL string

// JSON is the model as POST /stores/{id}/authorization-models takes it.
//
//go:embed model.json
var JSON []byte

// Tests is store.fga.yaml: the tests of the model in the fga command's format.
//
//go:embed store.fga.yaml
var Tests []byte

//go:embed demo-tuples.json
var demo []byte

// DemoTuples are the grants of the people who exist on a laptop: alice reads groups, bob is helpdesk, carol owns
// Engineering, dave has nothing, erin has read_okta on okta:groups alone, frank administers and is protected.
func DemoTuples() ([]fga.Tuple, error) {
	var keys []struct{ User, Relation, Object string }
	if err := json.Unmarshal(demo, &keys); err != nil {
		return nil, fmt.Errorf("demo-tuples.json: %w", err)
	}
	tuples := make([]fga.Tuple, len(keys))
	for i, k := range keys {
		tuples[i] = fga.Tuple{User: k.User, Relation: k.Relation, Object: k.Object}
		if err := tuples[i].ValidateStored(); err != nil {
			return nil, fmt.Errorf("demo-tuples.json: tuple %d: %w", i, err)
		}
	}
	return tuples, nil
}
