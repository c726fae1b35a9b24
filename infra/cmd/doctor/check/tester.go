package check

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	noTester = "steward.yaml names no tester"
	connect  = "the tester opens the chat and chooses Connect Okta"
)

func testerChecks() []check {
	known := []string{"tester.user"}
	person := []condition{hasManagement, hasTester}
	asked := when(func(s *Installation) bool { return s.CIBA }, "sends a push; ask for it with -ciba")
	exchange := []string{
		"auth0.grant.token-vault", "auth0.grant.refresh", "auth0.rotation", "auth0.mfa-policy",
		"connection.kind", "connection.type", "connection.enabled", "connection.purpose", "connection.offline", "tester.vault",
	}
	return []check{
		{id: "tester.user", what: "Auth0 knows the tester", needs: []string{"auth0.management"}, requires: []condition{hasManagement}, run: testerUser},
		{id: "tester.push", what: "the tester's phone is enrolled", needs: append(known, "auth0.push"), requires: person, run: func(ctx context.Context, s *Installation) verdict {
			all, err := s.management.User.Enrollments(ctx, s.tester.GetID())
			if err != nil {
				return unread(err)
			}
			for _, e := range all {
				if e.GetStatus() == "confirmed" && (strings.HasPrefix(e.GetID(), "push|") || e.GetAuthMethod() == "guardian" || e.GetAuthMethod() == "authenticator") {
					return passed
				}
			}
			return wrong("Auth0: User Management > Users > the tester > Multi-Factor Authentication: send an enrolment invitation for Guardian", "the tester has no Guardian app, so no push can be sent")
		}},
		{id: "tester.vault", what: "the tester's Okta account is in the vault", needs: append(known, "connection.exists"), requires: person, run: func(ctx context.Context, s *Installation) verdict {
			_, v := s.account(ctx)
			return v
		}},
		{id: "tester.vault-scopes", what: "the token in the vault has every scope", needs: []string{"tester.vault"}, requires: person, run: func(ctx context.Context, s *Installation) verdict {
			scopes, v := s.account(ctx)
			if v != passed {
				return v
			}
			return lacking(scopes, func(string) string {
				return connect + " again: the account was connected before these scopes were asked for"
			}, "offline_access")
		}},
		{id: "tester.my-account", what: "the tester could connect and disconnect Okta", needs: append(known, "auth0.grant.refresh", "auth0.refresh-audience", "auth0.my-account-grant"), run: func(ctx context.Context, s *Installation) verdict {
			return s.withRefresh(ctx, func(refresh secret.String) verdict {
				t, err := s.app.Refresh(ctx, refresh, s.app.MyAccountAudience(), strings.Join(plan.MyAccountScopes(), " "))
				if err != nil {
					return wrong(refreshSetting(err), "no My Account token: %s", cause(err))
				}
				if missing := plan.Missing(strings.Fields(t.Scope), plan.MyAccountScopes()); len(missing) > 0 {
					return wrong(app("Settings > Multi-Resource Refresh Token"), "the My Account token lacks %s", strings.Join(missing, ", "))
				}
				if _, err := s.app.ConnectedAccounts(ctx, t.AccessToken, s.Env["AUTH0_CONNECTION_NAME"]); err != nil {
					return wrong("Auth0: Applications > APIs > Auth0 My Account API", "the tester's connected accounts cannot be listed: %s", cause(err))
				}
				return passed
			})
		}},
		{id: "tester.exchange", what: "Token Vault gives the tester's Okta token", needs: exchange, run: func(ctx context.Context, s *Installation) verdict {
			return s.withRefresh(ctx, func(refresh secret.String) verdict {
				t, err := s.app.FederatedToken(ctx, refresh, s.Env["AUTH0_CONNECTION_NAME"])
				if e, ok := errors.AsType[*auth0.Error](err); ok && e.NotConnected() {
					return wrong(connect, "nothing usable is in the vault (%s)", cause(err))
				}
				if err != nil {
					return wrong(refreshSetting(err), "the exchange fails: %s", cause(err))
				}
				s.oktaToken = t
				return passed
			})
		}},
		{id: "tester.okta", what: "Okta accepts that token", needs: []string{"tester.exchange", "okta.org"}, run: func(ctx context.Context, s *Installation) verdict {
			if s.oktaToken.AccessToken.IsZero() {
				return skip("there is no token to show to Okta")
			}
			var body oktaBody
			me := strings.TrimSuffix(s.Env["OKTA_ORG_URL"], "/") + "/api/v1/users/me"
			status, err := reach.Get(ctx, s.http, me, "Bearer "+s.oktaToken.AccessToken.Reveal(), &body)
			switch {
			case err != nil:
				return wrong(in("OKTA_ORG_URL"), "%s", text(err))
			case status == 401:
				return wrong(connection("Settings > Issuer URL: the org itself, not a custom authorization server"), "Okta does not accept the token (%s)", cmp.Or(body.ErrorCode, "401"))
			case status != 200:
				return wrong("Okta: Applications > the app > Okta API Scopes: grant okta.users.read", "Okta answers %d %s", status, body.ErrorCode)
			}
			return passed
		}},
		{id: "tester.fga", what: "FGA knows what the tester may do", needs: []string{"fga.ask"}, run: testerFGA},
		{id: "tester.ciba", what: "a push reaches the tester's phone", needs: append(known, "auth0.grant.ciba", "auth0.channel", "tester.push"), requires: []condition{asked, hasTester, hasAuth0Secret}, run: func(ctx context.Context, s *Installation) verdict {
			push := func(style ciba.Style) error {
				phone := &ciba.Client{Auth0: s.app, Audience: s.Env["APPROVALS_API"], DetailType: s.Env["APPROVALS_DETAIL_TYPE"], Style: style}
				_, err := phone.Start(ctx, ciba.Request{
					Subject:     s.tester.GetID(),
					Message:     ciba.Message{Operation: "please_deny_this_test", Phrase: "Please deny this test of Steward", Code: "TEST"},
					Instruction: "Steward's doctor tries the phone: please deny", Expiry: ciba.Expiry,
				})
				return err
			}
			style := ciba.Style(cmp.Or(s.Env["APPROVALS_MESSAGE"], string(ciba.StyleSentence)))
			err := push(style)
			if e, ok := errors.AsType[*auth0.Error](err); ok && style == ciba.StyleSentence && strings.HasPrefix(e.Code, "invalid_") && push(ciba.StyleToken) == nil {
				return wrong(in("APPROVALS_MESSAGE")+": token", "the tenant refuses a push that is written as a sentence (%s), and takes one without blanks", cause(err))
			}
			if err != nil {
				return wrong(app("Settings > CIBA"), "no push was sent: %s", cause(err))
			}
			return passed
		}},
	}
}

// cause is the tenant's own refusal, where an error wraps one.
func cause(err error) string {
	if e, ok := errors.AsType[*auth0.Error](err); ok {
		return e.Error()
	}
	return text(err)
}

func testerUser(ctx context.Context, s *Installation) verdict {
	if s.File.Tester.Email+s.File.Tester.Subject == "" {
		return skip(noTester)
	}
	if sub := s.File.Tester.Subject; sub != "" {
		u, err := s.management.User.Read(ctx, sub)
		if err != nil {
			return wrong("tester.sub in steward.yaml", "Auth0 knows no user %s", sub)
		}
		s.tester = u
		return passed
	}
	users, err := s.management.User.ListByEmail(ctx, strings.ToLower(s.File.Tester.Email))
	if err != nil {
		return unread(err)
	}
	prefix := "oidc|" + s.Env["AUTH0_CONNECTION_NAME"] + "|"
	for _, u := range users {
		if len(users) == 1 || strings.HasPrefix(u.GetID(), prefix) {
			s.tester = u
			return passed
		}
	}
	return wrong("tester.email in steward.yaml, or the tester signs in once", "Auth0 knows nobody with the address %s", s.File.Tester.Email)
}

// account is what the tester connected through our connection.
func (s *Installation) account(ctx context.Context) (scopes []string, v verdict) {
	list, err := s.management.User.ListConnectedAccounts(ctx, s.tester.GetID())
	if err != nil {
		return nil, unread(err)
	}
	for _, a := range list.ConnectedAccounts {
		if a.GetConnection() == s.Env["AUTH0_CONNECTION_NAME"] {
			return a.GetScopes(), passed
		}
	}
	return nil, wrong(connect, "the tester has no connected account of %s", s.Env["AUTH0_CONNECTION_NAME"])
}

func (s *Installation) withRefresh(ctx context.Context, f func(secret.String) verdict) verdict {
	switch {
	case s.File == nil || s.File.Tester.RefreshToken == "":
		return skip("steward.yaml has no tester.refresh_token")
	case s.auth0Secret.IsZero():
		return skip(noAWS)
	}
	value, err := s.Secrets.Get(ctx, s.File.Tester.RefreshToken)
	if err != nil {
		return wrong("tester.refresh_token in steward.yaml", "%s", text(err))
	}
	return f(value)
}

func testerFGA(ctx context.Context, s *Installation) verdict {
	if s.File == nil || s.File.Tester.Email == "" {
		return skip(noTester)
	}
	t := s.File.Tester
	claim := fga.Claim(cmp.Or(s.Env["FGA_USER_CLAIM"], string(fga.ClaimEmail)))
	sub := t.Subject
	if s.tester != nil {
		sub = s.tester.GetID()
	}
	user, err := claim.User(sub, t.Email, true)
	if err != nil {
		return wrong("tester in steward.yaml", "%s", text(err))
	}
	kind, id, _ := strings.Cut(t.Object, ":")
	question, err := fga.For(user, t.Relation, kind, id, false)
	if err != nil {
		return wrong("tester.object in steward.yaml", "%s", text(err))
	}
	decision, v := s.ask(ctx, question)
	if v != passed {
		return v
	}
	return expect(decision == fga.Allowed, "fga.tuples in steward.yaml: "+user+" "+t.Relation+" "+t.Object+", then `make setup`", "FGA says that %s has no %s on %s", user, t.Relation, t.Object)
}

// refreshSetting is where to look when the tenant refuses the tester's refresh token.
func refreshSetting(err error) string {
	if e, ok := errors.AsType[*auth0.Error](err); ok && e.Code == "invalid_grant" {
		return "tester.refresh_token in steward.yaml: it has ended; sign in again for a new one"
	}
	return app("Settings")
}
