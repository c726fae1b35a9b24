package check

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
)

func oktaChecks() []check {
	return []check{
		{id: "okta.org", what: "the Okta org answers", needs: []string{"config.okta"}, run: oktaOrg},
		{id: "okta.app", what: "the OIDC app in Okta has its grants, its redirect URI and its scopes", needs: []string{"okta.org"}, run: oktaApp},
	}
}

// oktaOrg asks without a token: an org refuses with an error code of Okta's.
func oktaOrg(ctx context.Context, s *Subject) verdict {
	org := strings.TrimSuffix(s.Env["OKTA_ORG_URL"], "/")
	status, body, err := s.getOkta(ctx, org+"/api/v1/users/me", "")
	if err != nil {
		return wrong(in("OKTA_ORG_URL"), "%s", text(err))
	}
	return expect(status == http.StatusUnauthorized && strings.HasPrefix(body.ErrorCode, "E0"), in("OKTA_ORG_URL"), "what answers at %s is no Okta org (status %d)", org, status)
}

type oktaBody struct {
	ID        string `json:"id"`
	ErrorCode string `json:"errorCode"`
}

func (s *Subject) getOkta(ctx context.Context, address, bearer string) (status int, body oktaBody, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, body, err
	}
	req.Header.Set("Accept", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, body, err
	}
	defer func() { _ = resp.Body.Close() }()
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body) // a proxy's HTML leaves it empty
	return resp.StatusCode, body, nil
}

func oktaApp(ctx context.Context, s *Subject) verdict {
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
