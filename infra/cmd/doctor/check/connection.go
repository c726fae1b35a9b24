package check

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant"
)

func connection(where string) string {
	return "Auth0: Authentication > Enterprise > OpenID Connect > the connection > " + where
}

func connectionChecks() []check {
	found := []string{"connection.exists"}
	on := func(f func(*Subject, *plan.Connection) verdict) func(context.Context, *Subject) verdict {
		return func(_ context.Context, s *Subject) verdict {
			if s.connection == nil {
				return skip(noManagement)
			}
			return f(s, s.connection)
		}
	}
	return []check{
		{id: "connection.exists", what: "the tenant has the connection to Okta", needs: []string{"auth0.management"}, run: onTenant(func(ctx context.Context, s *Subject) (v verdict) {
			c, err := plan.RawConnection(ctx, s.management, s.Env["AUTH0_CONNECTION_NAME"])
			if err != nil {
				return unread(err)
			}
			if c == nil {
				return wrong(in("AUTH0_CONNECTION_NAME"), "the tenant has no connection %s", s.Env["AUTH0_CONNECTION_NAME"])
			}
			s.connection = c
			return fine
		})},
		{id: "connection.kind", what: "it is an OpenID Connect connection", needs: found, run: on(func(_ *Subject, c *plan.Connection) verdict {
			if c.Strategy != "oidc" {
				return wrong("Auth0: Authentication > Enterprise > OpenID Connect: create the connection there; the kind cannot be changed", "the connection is of the kind %q, which Token Vault does not know", c.Strategy)
			}
			return fine
		})},
		{id: "connection.type", what: "it uses the back channel", needs: []string{"connection.kind"}, run: on(func(_ *Subject, c *plan.Connection) verdict {
			if got, _ := c.Options["type"].(string); got != plan.Back {
				return wrong(connection("Settings > Type: Back Channel"), "the connection uses the %s, so there is no refresh token to keep", strings.ReplaceAll(got, "_", " "))
			}
			return fine
		})},
		{id: "connection.org", what: "it leads to the org that the functions call", needs: append(found, "config.okta"), run: on(func(s *Subject, c *plan.Connection) verdict {
			org, err := url.Parse(s.Env["OKTA_ORG_URL"])
			if host := c.OktaHost(); err == nil && host != "" && !strings.EqualFold(host, org.Host) {
				return wrong(in("OKTA_ORG_URL")+", or "+connection("Settings > Issuer URL"), "people sign in at %s, but the functions call %s", host, org.Host)
			}
			return fine
		})},
		{id: "connection.enabled", what: "it is on for the application", needs: append(found, "auth0.application"), run: func(ctx context.Context, s *Subject) verdict {
			if s.connection == nil {
				return skip(noManagement)
			}
			enabled, err := plan.EnabledFor(ctx, s.management, s.connection.ID, s.Env["AUTH0_CLIENT_ID"])
			if err != nil {
				return unread(err)
			}
			if !enabled {
				return wrong(connection("Applications: turn the application on"), "the connection is off for the application")
			}
			return fine
		}},
		{id: "connection.sign-in", what: "people may sign in with it", needs: found, run: on(func(_ *Subject, c *plan.Connection) verdict {
			if !c.Authentication.Active {
				return wrong(connection("Purpose: Authentication and Connected Accounts"), "the connection is not for signing in")
			}
			return fine
		})},
		{id: "connection.purpose", what: "its tokens go into Token Vault", needs: found, run: on(func(_ *Subject, c *plan.Connection) verdict {
			if !c.ConnectedAccounts.Active {
				return wrong(connection("Purpose: Authentication and Connected Accounts for Token Vault"), "the connection is not for connected accounts")
			}
			return fine
		})},
		{id: "connection.offline", what: "it asks Okta for a refresh token", needs: found, run: on(func(_ *Subject, c *plan.Connection) verdict {
			if !slices.Contains(c.Scopes(), "offline_access") {
				return wrong(connection("Settings > Scopes: add offline_access"), "without offline_access Token Vault has nothing to keep")
			}
			return fine
		})},
		{id: "connection.scopes", what: "it asks Okta for every scope that the catalogue needs", needs: found, run: on(func(_ *Subject, c *plan.Connection) verdict {
			return lacking(c.Scopes(), func(s string) string { return connection("Settings > Scopes: add " + s) }, "openid", "email", "profile")
		})},
	}
}

// lacking names the scopes that are not there, and the operations that cannot work without them.
func lacking(have []string, setting func(string) string, more ...string) verdict {
	var missing, needed []string
	for _, s := range append(more, tenant.OktaScopes()...) {
		if !slices.Contains(have, s) {
			missing = append(missing, s)
			if ids := tenant.Needing(s); ids != "" {
				needed = append(needed, ids)
			}
		}
	}
	if len(missing) == 0 {
		return fine
	}
	what := "missing: " + strings.Join(missing, " ")
	if len(needed) > 0 {
		what += "; needed for " + strings.Join(needed, ", ")
	}
	return wrong(setting(strings.Join(missing, " ")), "%s", what)
}
