package fgatest

import (
	"encoding/json"
	"strings"

	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
)

// authorizationModel is what a check needs of a model in its JSON form.
type authorizationModel struct {
	types map[string]objectType
}

type objectType struct {
	Type      string             `json:"type"`
	Relations map[string]rewrite `json:"relations"`
	Metadata  struct {
		Relations map[string]struct {
			Direct []struct {
				Type     string    `json:"type"`
				Relation string    `json:"relation"`
				Wildcard *struct{} `json:"wildcard"`
			} `json:"directly_related_user_types"`
		} `json:"relations"`
	} `json:"metadata"`
}

type ref struct {
	Relation string `json:"relation"`
}

// rewrite is a userset rewrite; one of its fields is set.
type rewrite struct {
	This     *struct{} `json:"this"`
	Computed *ref      `json:"computedUserset"`
	From     *struct {
		Tupleset ref `json:"tupleset"`
		Computed ref `json:"computedUserset"`
	} `json:"tupleToUserset"`
	Union        *children `json:"union"`
	Intersection *children `json:"intersection"`
	Difference   *struct {
		Base     rewrite `json:"base"`
		Subtract rewrite `json:"subtract"`
	} `json:"difference"`
}

type children struct {
	Child []rewrite `json:"child"`
}

// parseModel reads the embedded model, which a test of its own holds to model.fga.
func parseModel() authorizationModel {
	var in struct {
		Types []objectType `json:"type_definitions"`
	}
	if err := json.Unmarshal(model.JSON, &in); err != nil {
		panic("model.json: " + err.Error())
	}
	m := authorizationModel{types: map[string]objectType{}}
	for _, t := range in.Types {
		m.types[t.Type] = t
	}
	return m
}

// check answers c out of the stored tuples and its own.
func (m authorizationModel) check(c fga.Check, stored []fga.Tuple) (bool, *refusal) {
	if err := m.known(c.Tuple); err != nil {
		return false, err
	}
	for _, t := range c.Contextual {
		if err := m.writable(t); err != nil {
			return false, err
		}
	}
	e := evaluation{m, append(append([]fga.Tuple(nil), c.Contextual...), stored...)}
	return e.holds(c.User, c.Relation, c.Object, 0), nil
}

// known refuses words that the model does not have.
func (m authorizationModel) known(t fga.Tuple) *refusal {
	userType, userID, ok := strings.Cut(t.User, ":")
	userID, userRelation, userset := strings.Cut(userID, "#")
	if !ok || userID == "" || strings.ContainsAny(userID, ":") || strings.ContainsAny(userRelation, ":#") {
		return invalid("the 'user' field is malformed")
	}
	user, ok := m.types[userType]
	if !ok {
		return invalid("type '" + userType + "' not found")
	}
	if _, ok := user.Relations[userRelation]; userset && !ok {
		return invalid("relation '" + userType + "#" + userRelation + "' not found")
	}
	objectType, id, ok := strings.Cut(t.Object, ":")
	if !ok || id == "" || strings.ContainsAny(id, ":#") {
		return invalid("invalid 'object' field format")
	}
	object, ok := m.types[objectType]
	if !ok {
		return invalid("type '" + objectType + "' not found")
	}
	if _, ok := object.Relations[t.Relation]; !ok {
		return invalid("relation '" + objectType + "#" + t.Relation + "' not found")
	}
	return nil
}

// writable refuses tuples that could not be stored: the relation does not take users of that kind.
func (m authorizationModel) writable(t fga.Tuple) *refusal {
	if err := m.known(t); err != nil {
		return &refusal{"invalid_tuple", err.message}
	}
	objectType, _, _ := strings.Cut(t.Object, ":")
	userType, userID, _ := strings.Cut(t.User, ":")
	userID, userRelation, _ := strings.Cut(userID, "#")
	for _, d := range m.types[objectType].Metadata.Relations[t.Relation].Direct {
		if d.Type == userType && d.Relation == userRelation && (d.Wildcard != nil) == (userID == "*") {
			return nil
		}
	}
	return &refusal{"invalid_tuple", "type restrictions of '" + objectType + "#" + t.Relation + "' do not allow the user"}
}

type evaluation struct {
	model  authorizationModel
	tuples []fga.Tuple
}

const maxDepth = 25

func (e evaluation) holds(user, relation, object string, depth int) bool {
	if depth > maxDepth {
		return false
	}
	if user == object+"#"+relation {
		return true // a userset is in itself
	}
	objectType, _, _ := strings.Cut(object, ":")
	r, ok := e.model.types[objectType].Relations[relation]
	return ok && e.rewrite(r, user, relation, object, depth+1)
}

func (e evaluation) rewrite(r rewrite, user, relation, object string, depth int) bool {
	switch {
	case r.This != nil:
		return e.direct(user, relation, object, depth)
	case r.Computed != nil:
		return e.holds(user, r.Computed.Relation, object, depth)
	case r.From != nil:
		for _, t := range e.tuples {
			if t.Object == object && t.Relation == r.From.Tupleset.Relation && e.holds(user, r.From.Computed.Relation, t.User, depth) {
				return true
			}
		}
	case r.Union != nil:
		for _, child := range r.Union.Child {
			if e.rewrite(child, user, relation, object, depth) {
				return true
			}
		}
	case r.Intersection != nil:
		for _, child := range r.Intersection.Child {
			if !e.rewrite(child, user, relation, object, depth) {
				return false
			}
		}
		return true
	case r.Difference != nil:
		return e.rewrite(r.Difference.Base, user, relation, object, depth) && !e.rewrite(r.Difference.Subtract, user, relation, object, depth)
	}
	return false
}

// direct looks for a tuple of the user itself, of everyone of the user's type, or of a userset the user is in.
func (e evaluation) direct(user, relation, object string, depth int) bool {
	userType, _, _ := strings.Cut(user, ":")
	for _, t := range e.tuples {
		if t.Object != object || t.Relation != relation {
			continue
		}
		if t.User == user || t.User == userType+":*" && !strings.Contains(user, "#") {
			return true
		}
		if set, member, ok := strings.Cut(t.User, "#"); ok && e.holds(user, member, set, depth) {
			return true
		}
	}
	return false
}
