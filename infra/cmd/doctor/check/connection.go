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
	on := func(id, what string, f func(*Installation, *plan.Connection) verdict, needs ...string) check {
		return check{
			id: id, what: what, needs: append([]string{"connection.exists"}, needs...), requires: []condition{hasConnection},
			run: func(_ context.Context, s *Installation) verdict { return f(s, s.connection) },
		}
	}
	return []check{
		{id: "connection.exists", what: "the tenant has the connection to Okta", needs: []string{"auth0.management"}, requires: []condition{hasManagement}, run: func(ctx context.Context, s *Installation) (v verdict) {
			var err error
			if s.connection, err = plan.RawConnection(ctx, s.management, s.Env["AUTH0_CONNECTION_NAME"]); err != nil {
				return unread(err)
			}
			return expect(s.connection != nil, in("AUTH0_CONNECTION_NAME"), "the tenant has no connection %s", s.Env["AUTH0_CONNECTION_NAME"])
		}},
		on("connection.kind", "it is an OpenID Connect connection", func(_ *Installation, c *plan.Connection) verdict {
			return expect(c.Strategy == "oidc", "Auth0: Authentication > Enterprise > OpenID Connect: create the connection there; the kind cannot be changed",
				"the connection is of the kind %q, which Token Vault does not know", c.Strategy)
		}),
		on("connection.type", "it uses the back channel", func(_ *Installation, c *plan.Connection) verdict {
			got, _ := c.Options["type"].(string)
			return expect(got == plan.Back, connection("Settings > Type: Back Channel"), "the connection uses the %s, so there is no refresh token to keep", strings.ReplaceAll(got, "_", " "))
		}, "connection.kind"),
		on("connection.org", "it leads to the org that the functions call", func(s *Installation, c *plan.Connection) verdict {
			org, err := url.Parse(s.Env["OKTA_ORG_URL"])
			host := c.OktaHost()
			return expect(err != nil || host == "" || strings.EqualFold(host, org.Host),
				in("OKTA_ORG_URL")+", or "+connection("Settings > Issuer URL"), "people sign in at %s, but the functions call %s", host, s.Env["OKTA_ORG_URL"])
		}, "config.okta"),
		{id: "connection.enabled", what: "it is on for the application", needs: []string{"connection.exists", "auth0.application"}, requires: []condition{hasConnection}, run: func(ctx context.Context, s *Installation) verdict {
			enabled, err := plan.EnabledFor(ctx, s.management, s.connection.ID, s.Env["AUTH0_CLIENT_ID"])
			if err != nil {
				return unread(err)
			}
			return expect(enabled, connection("Applications: turn the application on"), "the connection is off for the application")
		}},
		on("connection.sign-in", "people may sign in with it", func(_ *Installation, c *plan.Connection) verdict {
			return expect(c.Authentication.Active, connection("Purpose: Authentication and Connected Accounts"), "the connection is not for signing in")
		}),
		on("connection.purpose", "its tokens go into Token Vault", func(_ *Installation, c *plan.Connection) verdict {
			return expect(c.ConnectedAccounts.Active, connection("Purpose: Authentication and Connected Accounts for Token Vault"), "the connection is not for connected accounts")
		}),
		on("connection.offline", "it asks Okta for a refresh token", func(_ *Installation, c *plan.Connection) verdict {
			return expect(slices.Contains(c.Scopes(), "offline_access"), connection("Settings > Scopes: add offline_access"), "without offline_access Token Vault has nothing to keep")
		}),
		on("connection.scopes", "it asks Okta for every scope that the catalogue needs", func(_ *Installation, c *plan.Connection) verdict {
			return lacking(c.Scopes(), func(s string) string { return connection("Settings > Scopes: add " + s) }, "openid", "email", "profile")
		}),
	}
}

// lacking names the scopes that are not there, and the operations that cannot work without them.
func lacking(have []string, setting func(string) string, more ...string) verdict {
	missing := plan.Missing(have, append(more, tenant.OktaScopes()...))
	what := "missing: " + strings.Join(missing, " ")
	var needed []string
	for _, s := range missing {
		if ids := tenant.Needing(s); ids != "" {
			needed = append(needed, ids)
		}
	}
	if len(needed) > 0 {
		what += "; needed for " + strings.Join(needed, ", ")
	}
	return expect(len(missing) == 0, setting(strings.Join(missing, " ")), "%s", what)
}
