package auth0test_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auth0/go-auth0/authentication"
	"github.com/auth0/go-auth0/authentication/ciba"
	"github.com/auth0/go-auth0/authentication/oauth"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

// Auth0's own Go SDK, over TLS: it fetches the keys when it is made and checks every ID token itself.
func TestGoAuth0(t *testing.T) {
	o, at := options(), &clock{at: time.Now()}
	o.PollInterval, o.Now = 10*time.Millisecond, at.Now
	s := auth0test.StartTLS(t, o)
	a := &tenant{t: t, Tenant: s.Tenant, url: s.URL, clock: at}
	a.newBrowser()
	a.browser.Transport = s.Client().Transport
	domain := strings.TrimPrefix(s.URL, "https://")

	sdk, err := authentication.New(t.Context(), domain, authentication.WithClient(s.Client()),
		authentication.WithClientID(clientID), authentication.WithClientSecret(secret), authentication.WithNoRetries())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	refused := func(t *testing.T, err error, status int, code string) {
		t.Helper()
		var e *authentication.Error
		if !errors.As(err, &e) || e.StatusCode != status || e.Err != code {
			t.Errorf("got %v, want %d %s", err, status, code)
		}
	}

	request := oauth.LoginWithAuthCodeWithPKCERequest{Code: a.signIn(aliceEmail).Get("code"), CodeVerifier: verifier, RedirectURI: callback}
	set, err := sdk.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{Nonce: "n-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = sdk.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{}); err == nil {
		t.Error("a code was good twice")
	}
	refused(t, err, 403, "invalid_grant")

	if _, err := sdk.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: set.RefreshToken}, oauth.IDTokenValidationOptions{}); err != nil {
		t.Error(err)
	}
	exchange := func() (*oauth.TokenSet, error) {
		return sdk.OAuth.LoginWithGrant(ctx, auth0test.GrantTokenVault, url.Values{
			"client_id": {clientID}, "client_secret": {secret}, "connection": {"okta-corp"}, "requested_token_type": {federated},
			"subject_token": {set.RefreshToken}, "subject_token_type": {"urn:ietf:params:oauth:token-type:refresh_token"},
		}, oauth.IDTokenValidationOptions{})
	}
	_, err = exchange()
	refused(t, err, 401, notConnected)
	a.Connect(aliceEmail)
	okta, err := exchange()
	if err != nil || okta.AccessToken == "" || okta.RefreshToken != "" || okta.ExpiresIn < 3500 {
		t.Errorf("exchange %+v, %v", okta, err)
	}

	hint := map[string]string{"format": "iss_sub", "iss": s.URL + "/", "sub": aliceSub}
	started, err := sdk.CIBA.Initiate(ctx, ciba.Request{Scope: "openid", BindingMessage: "Reset-password dave #K7Q2", LoginHint: hint})
	if err != nil {
		t.Fatal(err)
	}
	poll := func() (*oauth.TokenSet, error) {
		a.clock.forward(20 * time.Millisecond)
		return sdk.OAuth.LoginWithGrant(ctx, auth0test.GrantCIBA, url.Values{"auth_req_id": {started.AuthReqID}, "client_id": {clientID}, "client_secret": {secret}}, oauth.IDTokenValidationOptions{})
	}
	_, err = poll()
	refused(t, err, 400, "authorization_pending")
	if err := a.Decide(started.AuthReqID, "approve"); err != nil {
		t.Fatal(err)
	}
	if set, err := poll(); err != nil || set.IDToken == "" {
		t.Errorf("approved: %+v, %v", set, err)
	}
	_, err = poll()
	refused(t, err, 400, "invalid_grant")
	hint["sub"] = "oidc|okta-corp|nobody"
	_, err = sdk.CIBA.Initiate(ctx, ciba.Request{Scope: "openid", BindingMessage: "hello", LoginHint: hint})
	refused(t, err, 400, "unknown_user_id")

	if err := sdk.OAuth.RevokeRefreshToken(ctx, oauth.RevokeRefreshTokenRequest{Token: set.RefreshToken}); err != nil {
		t.Error(err)
	}
	_, err = sdk.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: set.RefreshToken}, oauth.IDTokenValidationOptions{})
	refused(t, err, 403, "invalid_grant")
	_, err = exchange()
	refused(t, err, 401, "invalid_grant")

	a.RotateKeys() // the SDK fetched the next key along with the current one, and never fetches again
	a.newBrowser()
	a.browser.Transport = s.Client().Transport
	request.Code = a.signIn(aliceEmail).Get("code")
	if _, err := sdk.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{Nonce: "n-1"}); err != nil {
		t.Error(err)
	}
}
