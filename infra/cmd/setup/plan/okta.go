package plan

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/secret"
)

// OktaApp is what matters of the OIDC app in the Okta org through which people sign in.
type OktaApp struct {
	Status       string
	GrantTypes   []string
	RedirectURIs []string
	Scopes       []string // granted Okta API scopes
}

// ErrNoApp says that the org has no such app.
var ErrNoApp = errors.New("there is no such app")

// ReadOktaApp reads an app and its API scope grants (Okta API: Applications, Application Grants).
func ReadOktaApp(ctx context.Context, c *http.Client, org, clientID string, token secret.String) (OktaApp, error) {
	base := strings.TrimSuffix(org, "/") + "/api/v1/apps/" + url.PathEscape(clientID)
	var app struct {
		Status   string `json:"status"`
		Settings struct {
			OAuthClient struct {
				GrantTypes   []string `json:"grant_types"`
				RedirectURIs []string `json:"redirect_uris"`
			} `json:"oauthClient"`
		} `json:"settings"`
	}
	if err := getOkta(ctx, c, base, token, &app); err != nil {
		return OktaApp{}, err
	}
	var grants []struct {
		ScopeID string `json:"scopeId"`
		Status  string `json:"status"`
	}
	if err := getOkta(ctx, c, base+"/grants", token, &grants); err != nil {
		return OktaApp{}, err
	}
	out := OktaApp{Status: app.Status, GrantTypes: app.Settings.OAuthClient.GrantTypes, RedirectURIs: app.Settings.OAuthClient.RedirectURIs}
	for _, g := range grants {
		if g.Status == "" || g.Status == "ACTIVE" {
			out.Scopes = append(out.Scopes, g.ScopeID)
		}
	}
	return out, nil
}

func getOkta(ctx context.Context, c *http.Client, address string, token secret.String, into any) error {
	scheme := "SSWS " // an API token; an access token is a JWT
	if strings.Count(token.Reveal(), ".") == 2 {
		scheme = "Bearer "
	}
	status, err := reach.Get(ctx, c, address, scheme+token.Reveal(), into)
	if err != nil {
		return Explain("Okta", err)
	}
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return ErrNoApp
	case http.StatusUnauthorized:
		return &reach.Problem{Say: "Okta does not accept okta.admin_token: it is another org's, expired or revoked"}
	case http.StatusForbidden:
		return &reach.Problem{Say: "okta.admin_token may not read apps and their grants: an access token needs okta.apps.read and okta.appGrants.read, an API token an administrator"}
	case http.StatusTooManyRequests:
		return &reach.Problem{Say: "Okta is busy: its rate limit did not end in time; wait a minute"}
	}
	return &reach.Problem{Say: fmt.Sprintf("Okta answered %d", status)}
}

// planOkta says what an administrator has to do in the Okta org. Only a super administrator may grant scopes, in the Admin Console,
// so nothing is changed there.
func (w *tenants) planOkta(ctx context.Context, p *Plan) error {
	f := w.File
	callback := w.auth0.issuer + "login/callback"
	id := f.Auth0.Connection.OktaClientID
	if f.Okta.AdminToken == "" {
		p.note("In Okta (Applications > the OIDC app %s), which setup cannot see without okta.admin_token:\n"+
			"  General: Grant type Authorization Code and Refresh Token; Sign-in redirect URI %s\n"+
			"  Okta API Scopes: grant %s", id, callback, strings.Join(tenant.OktaScopes(), ", "))
		return nil
	}
	token, err := w.Secrets.Get(ctx, f.Okta.AdminToken)
	if err != nil {
		return &reach.Problem{Say: "okta.admin_token: " + err.Error(), Err: err}
	}
	step := Step{Resource: "Okta app " + id, Action: Nothing}
	app, err := ReadOktaApp(ctx, w.http, f.Okta.URL.String(), id, token)
	if errors.Is(err, ErrNoApp) {
		return &reach.Problem{Say: fmt.Sprintf("There is no app %s in %s. Create one (Applications > Create App Integration > OIDC, Web Application) and put its client id into auth0.connection.okta_client_id", id, f.Okta.URL), Err: err}
	}
	if err != nil {
		return err
	}
	for _, wrong := range OktaFaults(app, callback) {
		step.Action = Later
		step.Details = append(step.Details, wrong.Setting)
	}
	p.add(step)
	return nil
}

// OktaFault is one thing to set in Okta's Admin Console.
type OktaFault struct{ What, Setting string }

// OktaFaults is what is wrong with the app.
func OktaFaults(app OktaApp, callback string) (faults []OktaFault) {
	add := func(what, setting string) { faults = append(faults, OktaFault{what, setting}) }
	if app.Status != "" && app.Status != "ACTIVE" {
		add("the app is "+app.Status, "Applications > the app: Activate")
	}
	for _, g := range [][2]string{{"authorization_code", "Authorization Code"}, {"refresh_token", "Refresh Token"}} {
		if !slices.Contains(app.GrantTypes, g[0]) {
			add("the grant type "+g[1]+" is off", "Applications > the app > General > Grant type: turn "+g[1]+" on")
		}
	}
	if !slices.Contains(app.RedirectURIs, callback) {
		add("Auth0's callback is no redirect URI", "Applications > the app > General > Sign-in redirect URIs: add "+callback)
	}
	for _, s := range Missing(app.Scopes, tenant.OktaScopes()) {
		if _, is := strings.CutSuffix(s, ".read"); is && slices.Contains(app.Scopes, strings.TrimSuffix(s, ".read")+".manage") {
			continue // managing includes reading, but the connection asks for both by name
		}
		add("the scope "+s+" is not granted; needed for "+tenant.Needing(s), "Applications > the app > Okta API Scopes: grant "+s)
	}
	return faults
}
