// Package operation says how each operation of the catalogue is done: one [Row] each.
//
//	a read                Resolve ─▶ Read
//	a change              Resolve ─▶ Possible ─▶ (approved on the phone) ─▶ Do ─▶ Verify, where Do left it open ─▶ Explain
//	one's own records     Own
//
// The pipeline takes the steps in this order and authorizes between them; a row has an Okta client and resolved ids, and no way
// to authorize or to record anything itself.
package operation

import (
	"context"
	"errors"
	"fmt"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/okta"
)

// Row is how one operation is done. Which steps it needs follows from the catalogue, see [Row.Validate].
type Row struct {
	ID string // of the operation

	// Own answers a question about the person's own records. Nothing but being signed in is needed for it.
	Own func(ctx context.Context, p access.Principal, call actiongroup.Call) (string, error)

	// Resolve finds the one Okta id of the object and of the member that a call names, and the arguments of a change. None or several
	// is a *fault.Error with the candidates.
	Resolve func(ctx context.Context, client *okta.Client, p access.Principal, call actiongroup.Call) (Input, error)
	// Also are further relations that the person must have to the object; optional.
	Also func(in Input) []string

	// Read answers a question. The text quotes everything that comes from Okta.
	Read func(ctx context.Context, client *okta.Client, in Input) (string, okta.Meta, error)

	// Possible returns nil where the change can work as things stand in Okta, and a *fault.Error of kind Conflict that says why where
	// it cannot. Only people who may make the change are told.
	Possible func(ctx context.Context, client *okta.Client, in Input) error
	// Do carries an approved change out.
	Do func(ctx context.Context, client *okta.Client, a approval.Approval) (okta.Meta, error)
	// Done says that Okta confirmed the change, in one sentence.
	Done string
	// Verify says whether the change shows in Okta. If it does not show, that is no proof that it was not made.
	Verify func(ctx context.Context, client *okta.Client, a approval.Approval) (bool, error)
	// Explain says where a person can look what became of a change, as the beginning of a sentence.
	Explain func(a approval.Approval) string
}

// Input is what an operation is done with.
type Input struct {
	Call   actiongroup.Call // set by the pipeline
	Object Object
	Member Object            // who or what is added, removed or assigned; zero where there is none
	Args   map[string]string // what else decides the effect of a change: name, new_name, description
}

// Object is one object of Okta, or an area.
type Object struct {
	approval.Ref

	Status okta.Status // of a person, where the search returned it; it may be a moment old
	Group  okta.Group  // of a group
}

// Validate returns an error that names the steps which a row lacks for its operation, and those that have no place in it.
func (r Row) Validate(f catalogue.Function, op catalogue.Operation) error {
	const own, resolve, read, possible, do, done, verify, explain = "Own", "Resolve", "Read", "Possible", "Do", "Done", "Verify", "Explain"
	has := map[string]bool{
		own: r.Own != nil, resolve: r.Resolve != nil, read: r.Read != nil, possible: r.Possible != nil,
		do: r.Do != nil, done: r.Done != "", verify: r.Verify != nil, explain: r.Explain != nil,
	}
	needs := []string{resolve, read}
	switch {
	case f.Elevated:
		needs = []string{resolve, possible, do, done, verify, explain}
	case op.Target == catalogue.TargetNone:
		needs = []string{own}
	}
	var errs []error
	for _, step := range needs {
		if !has[step] {
			errs = append(errs, fmt.Errorf("operation %q lacks %s", r.ID, step))
		}
		delete(has, step)
	}
	for step, there := range has {
		if there {
			errs = append(errs, fmt.Errorf("operation %q has %s, which is never called", r.ID, step))
		}
	}
	return errors.Join(errs...)
}

// valid says of each kind of object what its ids look like.
var valid = map[catalogue.Target]func(id string) bool{
	catalogue.TargetUser:  func(id string) bool { return okta.UserID(id).Valid() },
	catalogue.TargetGroup: func(id string) bool { return okta.GroupID(id).Valid() },
	catalogue.TargetApp:   func(id string) bool { return okta.AppID(id).Valid() },
}

// Validate returns an error unless in names exactly what the operation is done to and with: objects of the kinds that the
// catalogue says, each by its id.
func (in Input) Validate(op catalogue.Operation) error {
	one := func(o Object, kind catalogue.Target) bool {
		check, ok := valid[kind]
		return ok && o.Type == string(kind) && check(o.ID)
	}
	object := one(in.Object, op.Target)
	if op.Target == catalogue.TargetArea {
		area := op.Object == "" && in.Object.Type == string(op.Target) && in.Object.ID == string(op.Area)
		created := op.Object != "" && in.Object.Type == string(catalogue.TargetOf(op.Object)) && in.Object.ID == "" && in.Object.Label != ""
		object = area || created
	}
	member := len(op.Members) == 0 && in.Member == Object{}
	for _, param := range op.Members {
		member = member || one(in.Member, catalogue.TargetOf(param))
	}
	if !object || !member {
		return fmt.Errorf("operation %q was resolved to object %s %q and member %s %q", op.ID, in.Object.Type, in.Object.ID, in.Member.Type, in.Member.ID)
	}
	return nil
}
