package tenant

import (
	"maps"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
)

// oktaScopes are what Okta wants of a token for each operation of the catalogue, the look-ups before it included (Okta
// Management API, OpenAPI 2026.06). A test holds it to the catalogue.
var oktaScopes = map[string][]string{
	"list_user_groups":   {"okta.users.read"}, // GET /users/{id}/groups wants the scope of users
	"find_groups":        {"okta.groups.read"},
	"list_group_members": {"okta.groups.read"},
	"find_users":         {"okta.users.read"},
	"get_user":           {"okta.users.read", "okta.logs.read"}, // logs for "activity"

	"add_to_group":      {"okta.groups.manage", "okta.groups.read", "okta.users.read"},
	"remove_from_group": {"okta.groups.manage", "okta.groups.read", "okta.users.read"},

	"reset_password":  {"okta.users.manage", "okta.users.read"},
	"expire_password": {"okta.users.manage", "okta.users.read"},
	"unlock":          {"okta.users.manage", "okta.users.read"},
	"suspend":         {"okta.users.manage", "okta.users.read"},
	"unsuspend":       {"okta.users.manage", "okta.users.read"},
	"activate":        {"okta.users.manage", "okta.users.read"},
	"deactivate":      {"okta.users.manage", "okta.users.read"},
	"clear_sessions":  {"okta.users.manage", "okta.users.read"},
	"reset_factors":   {"okta.users.manage", "okta.users.read"},

	"create_group": {"okta.groups.manage", "okta.groups.read"},
	"rename_group": {"okta.groups.manage", "okta.groups.read"},
	"delete_group": {"okta.groups.manage", "okta.groups.read"},

	"assign_app":   {"okta.apps.manage", "okta.apps.read", "okta.users.read", "okta.groups.read"},
	"unassign_app": {"okta.apps.manage", "okta.apps.read", "okta.users.read", "okta.groups.read"},

	"list_my_permissions": nil, // asks FGA alone
	"check_approval":      nil, // reads what is stored
}

// OktaScopes are the Okta API scopes that the whole catalogue needs, sorted.
func OktaScopes() []string {
	var all []string
	for _, scopes := range oktaScopes {
		all = append(all, scopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ConnectionScopes are what the Auth0 connection asks Okta for: who the person is, a refresh token for the vault, and the
// Okta API.
func ConnectionScopes() []string {
	return append([]string{"openid", "profile", "email", "offline_access"}, OktaScopes()...)
}

// Needing names the operations that want a scope.
func Needing(scope string) string {
	var ids []string
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			if slices.Contains(oktaScopes[op.ID], scope) {
				ids = append(ids, op.ID)
			}
		}
	}
	return strings.Join(ids, ", ")
}

// Operations are the ids that have an entry here, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(oktaScopes)) }
