package check

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant/reach"
)

func oktaChecks() []check {
	return []check{
		{id: "okta.org", what: "the Okta org answers", needs: []string{"config.okta"}, run: oktaOrg},
		{id: "okta.app", what: "the OIDC app in Okta has its grants, its redirect URI and its scopes", needs: []string{"okta.org"}, run: oktaApp},
	}
}

// oktaOrg asks without a token: an org refuses with an error code of Okta's.
func oktaOrg(ctx context.Context, s *Installation) verdict {
	org := strings.TrimSuffix(s.Env["OKTA_ORG_URL"], "/")
	var body oktaBody
	status, err := reach.Get(ctx, s.http, org+"/api/v1/users/me", "", &body)
	if err != nil {
		return wrong(in("OKTA_ORG_URL"), "%s", text(err))
	}
	return expect(status == http.StatusUnauthorized && strings.HasPrefix(body.ErrorCode, "E0"), in("OKTA_ORG_URL"), "what answers at %s is no Okta org (status %d)", org, status)
}

type oktaBody struct {
	ErrorCode string `json:"errorCode"`
}

func oktaApp(ctx context.Context, s *Installation) verdict {
	if s.File == nil || s.File.Okta.AdminToken == "" {
		return skip("cannot be seen without okta.admin_token in steward.yaml")
	}
	token, err := s.Secrets.Get(ctx, s.File.Okta.AdminToken)
	if err != nil {
		return wrong("okta.admin_token in steward.yaml", "%s", text(err))
	}
	id := s.File.Auth0.Connection.OktaClientID
	got, err := plan.ReadOktaApp(ctx, s.http, s.Env["OKTA_ORG_URL"], id, token)
	if errors.Is(err, plan.ErrNoApp) {
		return wrong("auth0.connection.okta_client_id in steward.yaml", "the org has no app %s", id)
	}
	if err != nil {
		return wrong("okta.admin_token in steward.yaml", "%s", text(err))
	}
	var what, settings []string
	for _, f := range plan.OktaFaults(got, s.File.Auth0.Issuer()+"login/callback") {
		what, settings = append(what, f.What), append(settings, f.Setting)
	}
	return expect(len(what) == 0, "Okta: "+strings.Join(settings, "; "), "%s", strings.Join(what, "; "))
}
