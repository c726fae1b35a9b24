// Package fga asks the function fga-authorizer whether a user may do something to an object.
//
// Nothing here talks to OpenFGA itself. A function builds checks and puts them to the fga-authorizer function, which
// alone holds the credentials:
//
//	ForUser(...) → Request → Client.Ask ──Invoke──▶ fga-authorizer ──▶ OpenFGA
//	                                    ◀─ Allowed | Denied | Unknown ─┘
//
// Doubt is a no: whatever is not literally an "allowed" out of a well-formed answer is [Denied] or [Unknown], and only
// [Allowed] lets anything happen.
//
// https://openfga.dev/docs/concepts explains the words tuple, user, relation, object and contextual tuple.
package fga

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the OpenFGA API, which refuses what is beyond them.
const (
	MaxChecks     = 50  // checks in one request
	MaxContextual = 100 // contextual tuples of one check

	maxUser     = 512
	maxObject   = 256
	maxRelation = 50
)

// ValidID says whether an id has the form of a store's or a model's: a ULID, 26 characters of Crockford's base 32.
func ValidID(id string) bool {
	return len(id) == 26 && id[0] <= '7' && strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// Tuple says that a user has a relation to an object. User and Object are "type:id".
type Tuple struct {
	User     string
	Relation string
	Object   string
}

// Check is the question whether a tuple holds, given the stored tuples and the contextual ones beside it. Contextual
// tuples are facts we know ourselves; they are never built from what a model or a browser said.
type Check struct {
	Tuple

	Contextual []Tuple
}

// Request is a set of questions put at once.
type Request struct {
	Checks []Check
	// Higher asks for answers that skip every cache: for whatever changes something, and again before it is done.
	Higher bool
}

// Decision is the answer to one check.
type Decision string

// The decisions. The zero Decision is none of them and allows nothing.
const (
	Allowed Decision = "allowed" // the relation holds
	Denied  Decision = "denied"  // the relation does not hold
	Unknown Decision = "unknown" // it could not be asked; nothing may be done, and nothing was denied
)

// Reason is why a decision is [Unknown], for the log.
type Reason string

// The reasons.
const (
	ReasonNone        Reason = ""            // every decision is known
	ReasonInvalid     Reason = "invalid"     // the request is not one that can be asked
	ReasonRefused     Reason = "refused"     // OpenFGA refused the question: an unknown relation, model or store
	ReasonCredentials Reason = "credentials" // our credentials were not accepted, or there are none
	ReasonThrottled   Reason = "throttled"   // too many requests
	ReasonTimeout     Reason = "timeout"     // no answer in time
	ReasonUpstream    Reason = "upstream"    // any other failure, or an answer that makes no sense
)

// Response is what fga-authorizer answers: one decision for each check, in the order of the checks.
type Response struct {
	Decisions []Decision
	ModelID   string // the authorization model that was asked
	Reason    Reason // the first reason for an Unknown among the decisions
}

// Validate refuses what OpenFGA would refuse, and what no check of ours contains, before anything is sent.
func (r Request) Validate() error {
	if n := len(r.Checks); n == 0 || n > MaxChecks {
		return fmt.Errorf("%d checks, want 1 to %d", n, MaxChecks)
	}
	for i, c := range r.Checks {
		if err := c.Validate(); err != nil {
			return fmt.Errorf("check %d: %w", i, err)
		}
	}
	return nil
}

// Validate checks the tuple and the contextual ones.
func (c Check) Validate() error {
	if err := c.Tuple.Validate(); err != nil {
		return err
	}
	if n := len(c.Contextual); n > MaxContextual {
		return fmt.Errorf("%d contextual tuples, want at most %d", n, MaxContextual)
	}
	for i, t := range c.Contextual {
		if err := t.Validate(); err != nil {
			return fmt.Errorf("contextual tuple %d: %w", i, err)
		}
	}
	return nil
}

// Validate wants single users and objects, "type:id": no usersets (type:id#relation) and no wildcards (type:*), which
// may be granted in a store but are never asked for.
func (t Tuple) Validate() error {
	if err := validateRef(t.User, maxUser); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if !isName(t.Relation) || len(t.Relation) > maxRelation {
		return errors.New("relation: want 1 to 50 of a-z, 0-9 and _, beginning with a letter")
	}
	if err := validateRef(t.Object, maxObject); err != nil {
		return fmt.Errorf("object: %w", err)
	}
	return nil
}

// ValidateStored wants a tuple that a store can hold: as Validate does, but the user may also be everybody of a type (type:*)
// or whoever has a relation to an object (type:id#relation). Whether the model takes it, the store says.
func (t Tuple) ValidateStored() error {
	if typ, ok := strings.CutSuffix(t.User, ":*"); ok && isName(typ) {
		t.User = typ + ":everybody"
	} else if object, relation, ok := strings.Cut(t.User, "#"); ok && isName(relation) && len(relation) <= maxRelation && len(t.User) <= maxUser {
		t.User = object
	}
	return t.Validate()
}

// validateRef never quotes the value: it may be a stranger's words, and errors go to the log.
func validateRef(s string, limit int) error {
	typ, id, ok := strings.Cut(s, ":")
	switch {
	case !ok || !isName(typ):
		return errors.New("want type:id, the type of a-z, 0-9 and _")
	case id == "" || id == "*":
		return errors.New("want a single id")
	case len(s) > limit:
		return fmt.Errorf("%d bytes long, want at most %d", len(s), limit)
	case !utf8.ValidString(id):
		return errors.New("id is not UTF-8")
	}
	for _, r := range id {
		if r == ':' || r == '#' || unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return fmt.Errorf("id holds %U, want neither : nor # nor anything invisible", r)
		}
	}
	return nil
}

func isName(s string) bool {
	for i, r := range []byte(s) {
		letter := r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}
