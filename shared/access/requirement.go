package access

import (
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fga"
)

// requirement is what must hold before Okta is touched: in each group of checks at least one is allowed.
type requirement struct {
	anyOf [][]fga.Check
	exact bool // it holds the operation on its very object, so that nothing is left to ask
}

// requirementOf derives the requirement of a call from the catalogue. Naming somebody or something is itself a read of its area;
// acting on oneself needs no look-up, but either self-service or that same read.
func requirementOf(call actiongroup.Call, p Principal) requirement {
	op := call.Operation
	var r requirement
	want := func(checks ...fga.Check) { r.anyOf = append(r.anyOf, checks) }
	inArea := func(relation string, area catalogue.Area) fga.Check {
		return fga.ForArea(p.User, relation, fga.TypeOkta+":"+string(area))
	}
	if op.Target == catalogue.TargetNone {
		return requirement{exact: true}
	}
	if op.Target == catalogue.TargetArea {
		r.exact = true
		want(inArea(op.Relation, op.Area))
		return r
	}
	for _, param := range append([]string{op.Object}, op.Members...) {
		kind, text, member := catalogue.TargetOf(param), call.Arg(param), param != op.Object
		switch self := kind == catalogue.TargetUser && p.IsMe(text); {
		case member && (self || text == ""): // nobody else is looked up
		case !self:
			want(inArea(fga.ReadOkta, kind.Kind().Area))
		case p.Session.OktaUserID != "":
			r.exact = true
			want(fga.ForUser(p.User, op.Relation, p.Session.OktaUserID, true))
		default: // one's own Okta id is not known yet
			want(fga.ForArea(p.User, fga.SelfService, fga.Org), inArea(fga.ReadOkta, op.Area))
		}
	}
	return r
}
