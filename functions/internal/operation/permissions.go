package operation

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fga"
)

// anyone stands for some object of a type, to ask what holds for all of them. No Okta id looks like it.
const anyone = "anyone"

// Permissions is the row of list_my_permissions: what the person may do, from the catalogue and the authorization service alone.
func Permissions(decide func(context.Context, []fga.Check) ([]fga.Decision, error)) Row {
	return Row{ID: "list_my_permissions", Own: func(ctx context.Context, p access.Principal, _ actiongroup.Call) (string, error) {
		var names []string // of the operations, each check's own
		var own []bool     // the check is about the person's own account
		var checks []fga.Check
		for _, f := range catalogue.Functions() {
			for _, op := range f.Operations {
				if op.Target == catalogue.TargetNone {
					continue
				}
				add := func(id string, self bool) error {
					check, err := fga.For(p.User, op.Relation, string(op.Target), id, self)
					names, own, checks = append(names, strings.ReplaceAll(op.ID, "_", " ")), append(own, self), append(checks, check)
					return err
				}
				if op.Target == catalogue.TargetUser {
					if err := add(cmp.Or(p.Session.OktaUserID, access.Me), true); err != nil {
						return "", err
					}
				}
				id := anyone
				if op.Target == catalogue.TargetArea {
					id = string(op.Area)
				}
				if err := add(id, false); err != nil {
					return "", err
				}
			}
		}
		decisions, err := decide(ctx, checks)
		if err != nil {
			return "", err
		}
		var forAll, forOneself []string
		for i, decision := range decisions {
			switch {
			case decision != fga.Allowed:
			case own[i]:
				forOneself = append(forOneself, names[i])
			default:
				forAll = append(forAll, names[i])
			}
		}
		return permissionText(forAll, forOneself), nil
	}}
}

func permissionText(forAll, forOneself []string) string {
	if len(forAll)+len(forOneself) == 0 {
		return "You have no permissions here yet. Please ask your administrator. Permissions on single groups are not listed."
	}
	var b strings.Builder
	write := func(title string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", title, strings.Join(names, ", "))
		}
	}
	write("You may, for everybody and everything", forAll)
	write("You may, for your own account", forOneself)
	b.WriteString("This does not include protected people and groups. You may have more permissions on single groups, such as a group you own. You approve each change on your phone.")
	return b.String()
}
