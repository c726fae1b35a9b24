package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/secret"
)

const noManagement = "cannot be seen without steward.yaml, whose auth0.management may read the tenant"

func auth0Checks() []check {
	tokenVault := grant("auth0.grant.token-vault", "Token Vault", url.Values{
		"grant_type": {plan.GrantTokenVault}, "subject_token": {probe}, "connection": {probe},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:refresh_token"},
		"requested_token_type": {"http://auth0.com/oauth/token-type/federated-connection-access-token"},
	})
	tenant := []condition{hasManagement}
	return []check{
		{id: "auth0.discovery", what: "the tenant answers and has the expected issuer", needs: []string{"config.auth0"}, run: discovery},
		{id: "auth0.management", what: "steward.yaml's machine may look at the tenant", needs: []string{"auth0.discovery"}, run: manage},
		{id: "auth0.application", what: "the application exists", needs: []string{"auth0.management"}, requires: tenant, run: application},
		client("auth0.authentication", "the application authenticates by client secret, posted", func(_ *Installation, c *management.Client) verdict {
			got := c.GetTokenEndpointAuthMethod()
			return expect(got == "client_secret_post", app("Credentials > Authentication Method: Client Secret (Post)"), "the application authenticates by %q", got)
		}),
		{
			id: "auth0.credentials", what: "the application's id and secret are accepted",
			needs: []string{"auth0.authentication", "secret.auth0"}, requires: []condition{hasAuth0Secret}, run: credentials,
		},
		client("auth0.first-party", "the application is first party and OIDC conformant", func(_ *Installation, c *management.Client) verdict {
			if !c.GetIsFirstParty() {
				return wrong("Management API, PATCH clients: is_first_party true", "the application is a third party's, which Token Vault does not serve")
			}
			return expect(c.GetOIDCConformant(), app("Advanced > OAuth > OIDC Conformant: on"), "the application is not OIDC conformant")
		}),
		grant("auth0.grant.code", "Authorization Code", url.Values{"grant_type": {plan.GrantCode}, "code": {probe}, "redirect_uri": {"https://doctor.invalid/"}}),
		grant("auth0.grant.refresh", "Refresh Token", url.Values{"grant_type": {plan.GrantRefresh}, "refresh_token": {probe}}),
		tokenVault,
		grant("auth0.grant.ciba", "Client-Initiated Backchannel Authentication (CIBA)", url.Values{"grant_type": {plan.GrantCIBA}, "auth_req_id": {probe}}),
		{id: "auth0.rotation", what: "refresh tokens do not rotate", needs: []string{"auth0.application", "auth0.grant.token-vault"}, run: rotation},
		client("auth0.expiration", "refresh tokens expire", func(_ *Installation, c *management.Client) verdict {
			r := c.GetRefreshToken()
			return expect(r.GetExpirationType() == "expiring" && !r.GetInfiniteTokenLifetime() && !r.GetInfiniteIdleTokenLifetime(),
				app("Settings > Refresh Token Expiration: set an idle and a maximum lifetime"), "refresh tokens live for ever")
		}),
		client("auth0.callbacks", "Auth0 may send browsers back to the chat", func(s *Installation, c *management.Client) verdict {
			return s.allowed(c.GetCallbacks(), "Allowed Callback URLs", "/callback", "/connect/callback")
		}, "config.app"),
		client("auth0.logout", "Auth0 may send browsers back after signing out", func(s *Installation, c *management.Client) verdict {
			return s.allowed(c.GetAllowedLogoutURLs(), "Allowed Logout URLs", "/")
		}, "config.app"),
		client("auth0.channel", "approvals are asked for by Guardian push", func(_ *Installation, c *management.Client) verdict {
			return expect(slices.Contains(c.GetAsyncApprovalNotificationChannels(), plan.ChannelPush),
				app("Settings > CIBA > Notification channels: Guardian Push"), "the application sends no pushes")
		}),
		client("auth0.refresh-audience", "refresh tokens are good for the My Account API", func(s *Installation, c *management.Client) verdict {
			missing := plan.MissingScopes(c.GetRefreshToken(), s.app.MyAccountAudience())
			return expect(len(missing) == 0, app("Settings > Multi-Resource Refresh Token: My Account API with "+strings.Join(missing, ", ")), noMyAccount)
		}),
		{id: "auth0.my-account", what: "the My Account API is active", needs: []string{"auth0.application"}, requires: tenant, run: myAccountAPI},
		{
			id: "auth0.my-account-grant", what: "the application may use the My Account API for its users",
			needs: []string{"auth0.my-account"}, requires: tenant, run: myAccountGrant,
		},
		{id: "auth0.mfa-policy", what: "the MFA policy lets Token Vault exchange tokens", needs: []string{"auth0.application"}, requires: tenant, run: func(ctx context.Context, s *Installation) verdict {
			policy, err := s.management.Guardian.MultiFactor.Policy(ctx)
			if err != nil {
				return unread(err)
			}
			return expect(policy == nil || len(*policy) == 0, "Security > Multi-factor Auth > Require Multi-factor Auth: Never", "the policy is %v, so exchanges fail with mfa_required", policy)
		}},
		{id: "auth0.push", what: "Guardian push notifications are on", needs: []string{"auth0.application"}, requires: tenant, run: func(ctx context.Context, s *Installation) verdict {
			on, err := plan.PushOn(ctx, s.management)
			if err != nil {
				return unread(err)
			}
			return expect(on, "Security > Multi-factor Auth > Push Notification using Auth0 Guardian: on", "push notifications are off for the tenant")
		}},
	}
}

// client is a check of the application's settings.
func client(id, what string, f func(*Installation, *management.Client) verdict, needs ...string) check {
	return check{
		id: id, what: what, needs: append([]string{"auth0.application"}, needs...), requires: []condition{hasClient},
		run: func(_ context.Context, s *Installation) verdict { return f(s, s.client) },
	}
}

func app(where string) string { return "Auth0: Applications > the application > " + where }

// unread is a check that could not be made although it should have been.
func unread(err error) verdict {
	return wrong("scopes of auth0.management: "+strings.Join(Scopes, ", "), "%s", text(err))
}

// Scopes are what steward.yaml's machine needs for all checks.
var Scopes = []string{
	"read:clients", "read:client_grants", "read:connections", "read:resource_servers", "read:guardian_factors", "read:mfa_policies", "read:users",
}

func discovery(ctx context.Context, s *Installation) verdict {
	issuer, err := url.Parse(s.Env["AUTH0_ISSUER_URL"])
	if err != nil {
		return wrong(in("AUTH0_ISSUER_URL"), "the issuer is no URL")
	}
	s.app = auth0.New(auth0.Config{
		Issuer: issuer, ClientID: s.Env["AUTH0_CLIENT_ID"], HTTP: s.http,
		Secret: func(context.Context) (secret.String, error) { return s.auth0Secret, nil },
	})
	announced, err := plan.Discover(ctx, s.http, s.app.Issuer())
	if err != nil {
		return wrong(in("AUTH0_ISSUER_URL"), "%s", text(err))
	}
	return expect(announced == s.app.Issuer(), in("AUTH0_ISSUER_URL")+": "+announced, "what answers at %s calls itself %s", s.app.Issuer(), announced)
}

func manage(ctx context.Context, s *Installation) verdict {
	if s.File == nil {
		return skip(noManagement)
	}
	if s.File.Auth0.Issuer() != s.app.Issuer() {
		return wrong("auth0.domain in steward.yaml, or "+in("AUTH0_ISSUER_URL"), "steward.yaml names the tenant %s, the functions use %s", s.File.Auth0.Issuer(), s.app.Issuer())
	}
	m, scopes, err := plan.Manage(ctx, *s.File, s.Secrets, s.Transport)
	if err != nil {
		return wrong("auth0.management in steward.yaml", "%s", text(err))
	}
	if missing := plan.Missing(scopes, Scopes); len(missing) > 0 {
		return wrong("Auth0: Applications > APIs > Auth0 Management API > Machine to Machine Applications: "+strings.Join(missing, ", "), "the machine of steward.yaml may not look at everything")
	}
	s.management = m
	return passed
}

func application(ctx context.Context, s *Installation) verdict {
	c, err := s.management.Client.Read(ctx, s.Env["AUTH0_CLIENT_ID"])
	if m, ok := errors.AsType[management.Error](err); ok && m.Status() == http.StatusNotFound {
		return wrong(in("AUTH0_CLIENT_ID"), "the tenant has no application %s", s.Env["AUTH0_CLIENT_ID"])
	}
	if err != nil {
		return unread(err)
	}
	if c.RefreshToken == nil {
		c.RefreshToken = &management.ClientRefreshToken{}
	}
	s.client = c
	return passed
}

// probe stands for a code, a token or an id that cannot exist: what is refused about it tells whether the rest is right.
const probe = "steward-doctor-probe"

// refusal asks the token endpoint something that must be refused.
func (s *Installation) refusal(ctx context.Context, form url.Values) (*auth0.Error, error) {
	_, err := s.app.Token(ctx, maps.Clone(form))
	if err == nil {
		return nil, errors.New("the tenant accepts what cannot exist")
	}
	if refused, ok := errors.AsType[*auth0.Error](err); ok && !refused.RateLimited() {
		return refused, nil
	}
	return nil, err
}

func credentials(ctx context.Context, s *Installation) verdict {
	refused, err := s.refusal(ctx, url.Values{"grant_type": {plan.GrantCode}, "code": {probe}, "redirect_uri": {"https://doctor.invalid/"}})
	switch {
	case err != nil:
		return wrong(in("AUTH0_ISSUER_URL"), "the token endpoint: %s", text(err))
	case refused.Status != http.StatusUnauthorized && refused.Code != "invalid_client":
		return passed
	case s.client != nil:
		return wrong("the secret of AUTH0_CLIENT_SECRET_ARN in AWS Secrets Manager: `make setup` carries the application's secret there", "Auth0 does not accept the application's secret")
	}
	return wrong(in("AUTH0_CLIENT_ID")+", or the secret of AUTH0_CLIENT_SECRET_ARN", "Auth0 does not accept the application's id and secret")
}

// grant asks for a token with a grant type: unauthorized_client says that it is off, any other refusal that it is on.
func grant(id, name string, form url.Values) check {
	return check{
		id: id, what: "the grant type " + name + " is on", needs: []string{"auth0.credentials", "auth0.first-party"}, requires: []condition{hasAuth0Secret},
		run: func(ctx context.Context, s *Installation) verdict {
			refused, err := s.refusal(ctx, form)
			if err != nil {
				return wrong(in("AUTH0_ISSUER_URL"), "the token endpoint: %s", text(err))
			}
			if refused.Code == "unauthorized_client" || refused.Code == "unsupported_grant_type" {
				return wrong(app("Advanced > Grant Types: "+name), "the grant type is off")
			}
			if id == "auth0.grant.token-vault" {
				s.rotationSeen = refused.Description
			}
			return passed
		},
	}
}

func rotation(_ context.Context, s *Installation) verdict {
	rotates := strings.Contains(strings.ToLower(s.rotationSeen), "rotation") // what Token Vault itself says
	switch {
	case s.client != nil:
		rotates = s.client.GetRefreshToken().GetRotationType() != "non-rotating"
	case !rotates:
		return skip(noManagement)
	}
	return expect(!rotates, app("Settings > Refresh Token Rotation: off"), "refresh tokens rotate, which Token Vault refuses")
}

// allowed wants the chat's addresses in a list.
func (s *Installation) allowed(have []string, list string, paths ...string) verdict {
	base := strings.TrimSuffix(s.Env["APP_BASE_URL"], "/")
	if base == "" {
		return skip("the chat's address is not known")
	}
	for i := range paths {
		paths[i] = base + paths[i]
	}
	missing := plan.Missing(have, paths)
	return expect(len(missing) == 0, app(fmt.Sprintf("Settings > %s: add %s", list, strings.Join(missing, ", "))), "the chat's address is not among them")
}

func myAccountAPI(ctx context.Context, s *Installation) verdict {
	api, err := s.management.ResourceServer.Read(ctx, s.app.MyAccountAudience())
	if m, ok := errors.AsType[management.Error](err); ok && m.Status() == http.StatusNotFound {
		return wrong("Auth0: Applications > APIs > the banner MyAccount API: Activate", "the My Account API is not active, so nobody can connect Okta")
	}
	if err != nil {
		return unread(err)
	}
	return expect(api.GetSubjectTypeAuthorization().GetUser().GetPolicy() != "deny_all",
		"Auth0: Applications > APIs > Auth0 My Account API > Application Access, for users: via client grant", "the My Account API is closed to users")
}

func myAccountGrant(ctx context.Context, s *Installation) verdict {
	g, err := plan.UserGrant(ctx, s.management, s.Env["AUTH0_CLIENT_ID"], s.app.MyAccountAudience())
	if err != nil {
		return unread(err)
	}
	var scopes []string
	if g != nil {
		scopes = g.GetScope()
	}
	missing := plan.Missing(scopes, plan.MyAccountScopes())
	return expect(len(missing) == 0, "Auth0: Applications > APIs > Auth0 My Account API > Application Access: the application, for users, "+strings.Join(missing, ", "), noMyAccount)
}

// noMyAccount is what does not work without the scopes of the My Account API.
const noMyAccount = "people cannot connect Okta, see whose account is connected, or disconnect it"
