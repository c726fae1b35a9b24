package pipeline_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/session"
)

// approver counts what it is asked.
type approver struct{ asked int }

func (a *approver) Ask(context.Context, access.Principal, operation.Input) (string, error) {
	a.asked++
	return "Asked.", nil
}

// groups are the rows of each action group, as its function registers them.
func groups() map[string][]operation.Row {
	own := func(context.Context, access.Principal, actiongroup.Call) (string, error) { return "", nil }
	return map[string][]operation.Row{
		catalogue.GroupOkta: append(operation.Reads(), operation.Permissions(nil)),
		catalogue.GroupCIBA: append(operation.Changes(), operation.Row{ID: "check_approval", Own: own}),
	}
}

func register(group string, rows []operation.Row) error {
	_, err := pipeline.New(&pipeline.Clients{}, group, &approver{}, nil, nil, rows...)
	return err
}

// Each step of each row is taken away in turn, and each that has no place in it is added: the pipeline refuses both, and names the
// operation and the step.
func TestARowThatForgetsAStepIsRefused(t *testing.T) {
	steps := reflect.VisibleFields(reflect.TypeFor[operation.Row]())
	filled := map[string]reflect.Value{} // a value of each step, from some row
	for _, rows := range groups() {
		for _, row := range rows {
			for _, step := range steps {
				if v := reflect.ValueOf(row).FieldByIndex(step.Index); !v.IsZero() {
					filled[step.Name] = v
				}
			}
		}
	}
	for group, rows := range groups() {
		if err := register(group, rows); err != nil {
			t.Fatalf("%s as it is: %v", group, err)
		}
		for i, row := range rows {
			for _, step := range steps {
				if step.Name == "ID" || step.Name == "Also" { // Also is optional
					continue
				}
				changed := row
				v := reflect.ValueOf(&changed).Elem().FieldByIndex(step.Index)
				what := "without " + step.Name
				if v.IsZero() {
					what = "with " + step.Name
					v.Set(filled[step.Name])
				} else {
					v.SetZero()
				}
				rows := slices.Clone(rows)
				rows[i] = changed
				if err := register(group, rows); err == nil || !strings.Contains(err.Error(), row.ID) || !strings.Contains(err.Error(), step.Name) {
					t.Errorf("%s %s: %v", row.ID, what, err)
				}
			}
		}
	}
}

func TestRowsThatDoNotFitTheCatalogueAreRefused(t *testing.T) {
	for group, rows := range groups() {
		for i, row := range rows {
			if err := register(group, slices.Delete(slices.Clone(rows), i, i+1)); err == nil || !strings.Contains(err.Error(), row.ID) {
				t.Errorf("%s has no row: %v", row.ID, err)
			}
			if err := register(group, append(slices.Clone(rows), row)); err == nil || !strings.Contains(err.Error(), row.ID) {
				t.Errorf("%s has two rows: %v", row.ID, err)
			}
		}
		for other, theirs := range groups() {
			if other != group && register(group, append(slices.Clone(rows), theirs[0])) == nil {
				t.Errorf("%s took a row of %s", group, other)
			}
		}
		_, err := pipeline.New(&pipeline.Clients{}, group, nil, nil, nil, rows...)
		if changes := group == catalogue.GroupCIBA; changes != (err != nil) {
			t.Errorf("%s without an approver: %v", group, err)
		}
	}
}

// A row that resolves a call to anything but objects of the kinds in the catalogue, each by its id, is stopped there: nothing is
// authorized, read or asked.
func TestWhatARowResolvesIsHeldToTheCatalogue(t *testing.T) {
	object := func(kind catalogue.Target, id string) operation.Object {
		return operation.Object{Ref: approval.Ref{Type: string(kind), ID: id, Label: "Engineering"}}
	}
	engineering, bob := object(catalogue.TargetGroup, oktatest.Engineering), object(catalogue.TargetUser, oktatest.Bob)
	members := []string{"list_group_members", "group", "Engineering"}
	find := []string{"find_groups", "query", "Eng"}
	add := []string{"change_group_membership", "action", "add", "user", "bob", "group", "Engineering"}
	create := []string{"manage_group", "action", "create", "group", "Design"}
	for name, tc := range map[string]struct {
		call           []string
		object, member operation.Object
		fits           bool
	}{
		"the group":                   {members, engineering, operation.Object{}, true},
		"a person for a group":        {members, bob, operation.Object{}, false},
		"a person's id for a group's": {members, object(catalogue.TargetGroup, oktatest.Bob), operation.Object{}, false},
		"a group without an id":       {members, object(catalogue.TargetGroup, ""), operation.Object{}, false},
		"a path for an id":            {members, object(catalogue.TargetGroup, "../users"), operation.Object{}, false},
		"nothing":                     {members, operation.Object{}, operation.Object{}, false},
		"a member where none is":      {members, engineering, bob, false},
		"the area":                    {find, object(catalogue.TargetArea, "groups"), operation.Object{}, true},
		"another area":                {find, object(catalogue.TargetArea, "users"), operation.Object{}, false},
		"a group for the area":        {find, engineering, operation.Object{}, false},
		"group and member":            {add, engineering, bob, true},
		"no member":                   {add, engineering, operation.Object{}, false},
		"a group as the member":       {add, engineering, engineering, false},
		"a new group":                 {create, object(catalogue.TargetGroup, ""), operation.Object{}, true},
		"a group that is there":       {create, engineering, operation.Object{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := pipelinetest.Start(t)
			f, _ := catalogue.Lookup(tc.call[0])
			rows, reached := groups()[f.Group], false
			other := actiongroup.Call{Operation: catalogue.Operation{ID: "another", Relation: "read_okta", Target: catalogue.TargetArea, Area: "groups"}}
			for i := range rows {
				row := &rows[i]
				if row.Resolve != nil {
					row.Resolve = func(context.Context, *okta.Client, access.Principal, actiongroup.Call) (operation.Input, error) {
						return operation.Input{Call: other, Object: tc.object, Member: tc.member}, nil
					}
				}
				if row.Read != nil {
					row.Read = func(context.Context, *okta.Client, operation.Input) (string, okta.Meta, error) {
						reached = true
						return "Read.", okta.Meta{}, nil
					}
				}
				if row.Possible != nil {
					row.Possible = func(context.Context, *okta.Client, operation.Input) error { reached = true; return nil }
				}
			}
			asks := &approver{}
			path, err := pipeline.New(w.Clients(), f.Group, asks, w.Log, w.Now, rows...)
			if err != nil {
				t.Fatal(err)
			}
			r := w.Ask(path.Handle, w.SignIn("frank"), tc.call[0], tc.call[1:]...)
			if reached != tc.fits || (r.Kind == "") != tc.fits || (asks.asked == 1) != (tc.fits && f.Elevated) {
				t.Errorf("reached %t, asked %d, kind %q: %s", reached, asks.asked, r.Kind, r.Text)
			}
			if trail := w.Trail("frank"); !tc.fits && (len(trail) != 1 || trail[0].Result != "internal") {
				t.Errorf("recorded %+v", trail)
			}
		})
	}
}

// Whatever step of a row panics, the person gets an answer, and the act is not told as done.
func TestAStepThatPanicsIsAnAnswer(t *testing.T) {
	for name, breaks := range map[string]func(*operation.Row){
		"Resolve": func(r *operation.Row) {
			r.Resolve = func(context.Context, *okta.Client, access.Principal, actiongroup.Call) (operation.Input, error) {
				panic("canary")
			}
		},
		"Also": func(r *operation.Row) { r.Also = func(operation.Input) []string { panic("canary") } },
		"Read": func(r *operation.Row) {
			r.Read = func(context.Context, *okta.Client, operation.Input) (string, okta.Meta, error) { panic("canary") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := pipelinetest.Start(t)
			rows := groups()[catalogue.GroupOkta]
			breaks(&rows[slices.IndexFunc(rows, func(r operation.Row) bool { return r.ID == "find_groups" })])
			path, err := pipeline.New(w.Clients(), catalogue.GroupOkta, nil, w.Log, w.Now, rows...)
			if err != nil {
				t.Fatal(err)
			}
			r := w.Ask(path.Handle, w.SignIn("frank"), "find_groups", "query", "Eng")
			if r.Kind != "internal" || !strings.Contains(r.Text, "Something went wrong") || strings.Contains(r.Text, "canary") {
				t.Errorf("kind %q: %s", r.Kind, r.Text)
			}
		})
	}
}

// Whoever may not do it reaches no step behind the authorization, neither before the look-up nor after it.
func TestTheDeniedReachNoStep(t *testing.T) {
	w := pipelinetest.Start(t)
	reached, asks := false, &approver{}
	paths := map[string]*pipeline.Pipeline{}
	for group, rows := range groups() {
		for i := range rows {
			if rows[i].Read != nil {
				rows[i].Read = func(context.Context, *okta.Client, operation.Input) (string, okta.Meta, error) {
					reached = true
					return "Read.", okta.Meta{}, nil
				}
			}
			if rows[i].Possible != nil {
				rows[i].Possible = func(context.Context, *okta.Client, operation.Input) error { reached = true; return nil }
			}
		}
		var err error
		if paths[group], err = pipeline.New(w.Clients(), group, asks, w.Log, w.Now, rows...); err != nil {
			t.Fatal(err)
		}
	}
	for _, area := range []string{"groups", "users"} { // to look up, and no more
		w.Grant("erin", "read_okta", "okta:"+area)
	}
	for who, calls := range map[string][][]string{
		"dave": {{"find_users", "query", "Bob"}, {"get_user", "user", "bob"}, {"get_user"}, {"manage_user", "action", "suspend", "user", "bob"}},
		"erin": {{"manage_user", "action", "suspend", "user", "bob"}, {"change_group_membership", "action", "add", "user", "bob", "group", "Engineering"}},
	} {
		for _, call := range calls {
			f, _ := catalogue.Lookup(call[0])
			if r := w.Ask(paths[f.Group].Handle, w.SignIn(who), call[0], call[1:]...); r.Kind != "denied" || reached || asks.asked > 0 {
				t.Errorf("%s %s: reached %t, asked %d, kind %q: %s", who, call, reached, asks.asked, r.Kind, r.Text)
			}
		}
		for _, e := range w.Trail(who) {
			if e.Permission != audit.Denied {
				t.Errorf("recorded as %s: %+v", e.Permission, e)
			}
		}
	}
}

// meeting returns two calls of which each returns once the other has begun, or fails where it never does.
func meeting() (a, b func(context.Context) error) {
	begun := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	one := func(mine, other int) func(context.Context) error {
		begin := sync.OnceFunc(func() { close(begun[mine]) })
		return func(ctx context.Context) error {
			begin()
			select {
			case <-begun[other]:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return one(0, 1), one(1, 0)
}

type sessions struct {
	access.Sessions
	before func(context.Context) error
}

func (s sessions) Session(ctx context.Context, id session.ID) (session.Session, error) {
	if err := s.before(ctx); err != nil {
		return session.Session{}, err
	}
	return s.Sessions.Session(ctx, id)
}

type authorizer struct {
	access.Authorizer
	before func(context.Context) error
}

func (a authorizer) Ask(ctx context.Context, r fga.Request) ([]fga.Decision, error) {
	if err := a.before(ctx); err != nil {
		return nil, err
	}
	return a.Authorizer.Ask(ctx, r)
}

type recorder struct {
	audit.Recorder
	before func(context.Context) error
}

func (r recorder) Add(ctx context.Context, e audit.Entry) error {
	if err := r.before(ctx); err != nil {
		return err
	}
	return r.Recorder.Add(ctx, e)
}

// A repeated read waits for its longest chain only: the session row beside the check, then Okta beside the decision entry.
func TestARepeatedReadRunsItsCallsSideBySide(t *testing.T) {
	w := pipelinetest.Start(t)
	clients, rows := w.Clients(), groups()[catalogue.GroupOkta]
	now := func(context.Context) error { return nil }
	row, check, record, read := now, now, now, now
	clients.Enforcer.Sessions = sessions{clients.Enforcer.Sessions, func(ctx context.Context) error { return row(ctx) }}
	clients.Enforcer.Authorizer = authorizer{clients.Enforcer.Authorizer, func(ctx context.Context) error { return check(ctx) }}
	clients.Audit = recorder{clients.Audit, func(ctx context.Context) error { return record(ctx) }}
	i := slices.IndexFunc(rows, func(r operation.Row) bool { return r.ID == "list_user_groups" })
	groupsOf := rows[i].Read
	rows[i].Read = func(ctx context.Context, client *okta.Client, in operation.Input) (string, okta.Meta, error) {
		if err := read(ctx); err != nil {
			return "", okta.Meta{}, err
		}
		return groupsOf(ctx, client, in)
	}
	path, err := pipeline.New(clients, catalogue.GroupOkta, nil, w.Log, w.Now, rows...)
	if err != nil {
		t.Fatal(err)
	}
	alice := w.SignIn("alice")
	if r := w.Ask(path.Handle, alice, "list_user_groups"); r.Kind != "" {
		t.Fatal(r.Text)
	}
	row, check = meeting()
	record, read = meeting()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // reached only where calls wait for one another
	defer cancel()
	if r := w.Send(ctx, path.Handle, pipelinetest.Event(alice, "list_user_groups")); r.Kind != "" {
		t.Errorf("kind %q: %s", r.Kind, r.Text)
	}
}
