package tenant

import (
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
)

// OktaScopes are the Okta API scopes that the whole catalogue needs, sorted.
func OktaScopes() []string {
	var all []string
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			all = append(all, op.Scopes...)
		}
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
			if slices.Contains(op.Scopes, scope) {
				ids = append(ids, op.ID)
			}
		}
	}
	return strings.Join(ids, ", ")
}
