package auth0

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Scope is what a sign-in asks for: who the person is, and a refresh token to act for them later.
const Scope = "openid profile email offline_access"

// AuthRequest is one sign-in.
type AuthRequest struct {
	RedirectURI string
	State       secret.String
	Nonce       secret.String
	Verifier    secret.String // PKCE; its S256 challenge travels
	Connection  string        // straight to this identity provider; "" lets Auth0 ask
}

// NewVerifier makes a PKCE code verifier of 52 characters (RFC 7636 section 4.1).
func NewVerifier() secret.String { return secret.New(rand.Text() + rand.Text()) }

func challenge(verifier secret.String) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AuthCodeURL is where to send the browser.
func (c *Client) AuthCodeURL(ctx context.Context, r AuthRequest) (string, error) {
	if r.State.IsZero() || r.Nonce.IsZero() || r.Verifier.IsZero() {
		return "", errors.New("auth0: a sign-in needs state, nonce and verifier")
	}
	p, err := c.discover(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(p.authURL)
	if err != nil {
		return "", fmt.Errorf("auth0: authorization endpoint: %w", err)
	}
	q := u.Query()
	for k, v := range map[string]string{
		"response_type":         "code",
		"client_id":             c.clientID,
		"redirect_uri":          r.RedirectURI,
		"scope":                 Scope,
		"state":                 r.State.Reveal(),
		"nonce":                 r.Nonce.Reveal(),
		"code_challenge":        challenge(r.Verifier),
		"code_challenge_method": "S256",
	} {
		q.Set(k, v)
	}
	if r.Connection != "" {
		q.Set("connection", r.Connection)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// CheckResponseIssuer checks the iss parameter of an authorization response, "" where it has none (RFC 9207 section 2.4):
// another issuer than ours is always refused, a missing one where the tenant's metadata announces the parameter. Errors:
// fault.Unauthenticated, or fault.Upstream if the metadata cannot be had.
func (c *Client) CheckResponseIssuer(ctx context.Context, iss string) error {
	if iss == c.issuer {
		return nil
	}
	if iss != "" {
		return unverified(errors.New("the authorization response names another issuer"))
	}
	p, err := c.discover(ctx)
	if err != nil {
		return err
	}
	if p.responseIssuer {
		return unverified(errors.New("the authorization response names no issuer, although the tenant announces that it does"))
	}
	return nil
}

// Tokens are what the token endpoint gives. Which are present depends on the grant.
type Tokens struct {
	AccessToken  secret.String
	RefreshToken secret.String
	IDToken      secret.String
	Scope        string
	ExpiresIn    time.Duration
	// AuthorizationDetails are what was approved, where that was asked for (RFC 9396 section 7); else nil.
	AuthorizationDetails json.RawMessage
}

type tokensWire struct {
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	IDToken      string  `json:"id_token"`
	Scope        string  `json:"scope"`
	ExpiresIn    float64 `json:"expires_in"`

	AuthorizationDetails json.RawMessage `json:"authorization_details"`
}

func (w tokensWire) tokens() Tokens {
	return Tokens{
		AccessToken:  secret.New(w.AccessToken),
		RefreshToken: secret.New(w.RefreshToken),
		IDToken:      secret.New(w.IDToken),
		Scope:        w.Scope,
		ExpiresIn:    seconds(w.ExpiresIn),

		AuthorizationDetails: w.AuthorizationDetails,
	}
}

// Token asks the token endpoint for whatever grant form describes.
func (c *Client) Token(ctx context.Context, form url.Values) (Tokens, error) {
	var wire tokensWire
	if err := c.Form(ctx, EndpointToken, form, &wire); err != nil {
		return Tokens{}, err
	}
	return wire.tokens(), nil
}

// Code redeems an authorization code.
func (c *Client) Code(ctx context.Context, code secret.String, redirectURI string, verifier secret.String) (Tokens, error) {
	t, err := c.Token(ctx, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Reveal()},
		"redirect_uri":  {redirectURI},
		"code_verifier": {verifier.Reveal()},
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("redeem code: %w", err)
	}
	if t.IDToken.IsZero() || t.RefreshToken.IsZero() {
		return Tokens{}, fault.New(fault.Internal, sayMisconfig, errors.New("redeem code: no id_token or no refresh_token; the application needs the refresh_token grant and offline access"))
	}
	return t, nil
}

// Refresh gets an access token for audience ("" for the one of the login) with scope, by Multi-Resource Refresh Tokens
// where the two differ from the login's. Scopes the application has no policy for are silently left out by Auth0: look
// at the answer's Scope.
func (c *Client) Refresh(ctx context.Context, refresh secret.String, audience, scope string) (Tokens, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	if audience != "" {
		form.Set("audience", audience)
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	t, err := c.Token(ctx, form)
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh: %w", err)
	}
	if t.AccessToken.IsZero() {
		return Tokens{}, errors.New("refresh: the answer has no access_token")
	}
	return t, nil
}

// Revoke ends a refresh token. Revoking a dead one is no error.
func (c *Client) Revoke(ctx context.Context, refresh secret.String) error {
	if err := c.Form(ctx, EndpointRevoke, url.Values{"token": {refresh.Reveal()}}, nil); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// LogoutURL ends the browser's session at Auth0 and comes back to returnTo, which must be an allowed logout URL.
func (c *Client) LogoutURL(returnTo string) string {
	return c.issuer + "v2/logout?" + url.Values{"client_id": {c.clientID}, "returnTo": {returnTo}}.Encode()
}
