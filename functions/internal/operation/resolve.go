package operation

import (
	"context"
	"strings"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
)

// byName resolves what the catalogue says is named: the object, and one member. It is the resolver of most operations.
func byName(ctx context.Context, client *okta.Client, p access.Principal, call actiongroup.Call) (Input, error) {
	var in Input
	op := call.Operation
	if op.Target == catalogue.TargetArea {
		in.Object.Ref = approval.Ref{Type: string(op.Target), ID: string(op.Area), Label: string(op.Area)}
		return in, nil
	}
	member, err := memberOf(call)
	if err != nil {
		return Input{}, err
	}
	err = parallel.Do(
		func() (err error) { in.Object, err = find(ctx, client, p, call, op.Object); return err },
		func() (err error) {
			if member != "" {
				in.Member, err = find(ctx, client, p, call, member)
			}
			return err
		},
	)
	return in, err
}

// memberOf is the parameter that names the member, "" for an operation without members.
func memberOf(call actiongroup.Call) (string, error) {
	var given []string
	for _, param := range call.Operation.Members {
		if call.Arg(param) != "" {
			given = append(given, param)
		}
	}
	if len(given) == 1 {
		return given[0], nil
	}
	if len(call.Operation.Members) == 0 {
		return "", nil
	}
	say := "Name either the " + strings.Join(call.Operation.Members, " or the ") + " that the " + call.Operation.Target.Kind().Word + " is for, one of the two. Please ask the person."
	return "", fault.New(fault.Invalid, say, nil)
}

// find is the one object that a parameter names.
func find(ctx context.Context, client *okta.Client, p access.Principal, call actiongroup.Call, param string) (Object, error) {
	kind, text := catalogue.TargetOf(param), call.Arg(param)
	if kind == catalogue.TargetUser && p.IsMe(text) {
		id, err := p.OktaUserID()
		ref := approval.NewRef(kind, string(id), p.Session.OktaLogin)
		ref.Self = true
		return Object{Ref: ref, Status: okta.Active}, err // as who signs in is
	}
	o, err := finders[kind](ctx, client, text)
	if err != nil {
		return Object{}, err
	}
	// People may name themselves by any of their names. Whatever else is named by its id may share its name with others.
	o.Self = kind == catalogue.TargetUser && o.ID == p.Session.OktaUserID
	if call.Function.Elevated && kind != catalogue.TargetUser && text == o.ID {
		o.Ref = o.Marked()
	}
	return o, nil
}

var finders = map[catalogue.Target]func(context.Context, *okta.Client, string) (Object, error){
	catalogue.TargetUser:  findUser,
	catalogue.TargetGroup: findGroup,
	catalogue.TargetApp:   findApp,
}

func findUser(ctx context.Context, client *okta.Client, text string) (Object, error) {
	u, candidates, err := client.ResolveUser(ctx, text)
	if err == nil && u.ID == "" {
		err = whichUser(text, candidates)
	}
	return Object{Ref: approval.NewRef(catalogue.TargetUser, string(u.ID), u.Login), Status: u.Status}, err
}

func findGroup(ctx context.Context, client *okta.Client, text string) (Object, error) {
	g, candidates, err := client.ResolveGroup(ctx, text)
	if err == nil && g.ID == "" {
		err = whichGroup(text, candidates)
	}
	return Object{Ref: approval.NewRef(catalogue.TargetGroup, string(g.ID), g.Name), Group: g}, err
}

func findApp(ctx context.Context, client *okta.Client, text string) (Object, error) {
	a, candidates, err := client.ResolveApp(ctx, text)
	if err == nil && a.ID == "" {
		err = whichApp(text, candidates)
	}
	return Object{Ref: approval.NewRef(catalogue.TargetApp, string(a.ID), a.Label)}, err
}
