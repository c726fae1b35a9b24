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

// Scope is the scope of a sign-in: the person's profile, and a refresh token.
const Scope = "openid profile email offline_access"

// AuthRequest is the authorization request of one sign-in.
type AuthRequest struct {
	RedirectURI string
	State       secret.String
	Nonce       secret.String
	Verifier    secret.String // of PKCE; the request holds its S256 challenge
	Connection  string        // the identity provider; "" lets Auth0 ask the person
}

// NewVerifier returns a PKCE code verifier of 52 characters (RFC 7636 section 4.1).
func NewVerifier() secret.String { return secret.New(rand.Text() + rand.Text()) }

func challenge(verifier secret.String) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AuthCodeURL returns the address to send the browser to. The error is a fault.Upstream if the tenant's metadata cannot be
// fetched.
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

// CheckResponseIssuer checks iss of an authorization response, "" if it has none (RFC 9207 section 2.4). Another issuer is
// refused; a missing one is refused if the tenant's metadata announces the parameter. Errors: fault.Unauthenticated, or
// fault.Upstream if the metadata cannot be fetched.
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
		return unverified(errors.New("the authorization response has no iss, although the tenant announces it"))
	}
	return nil
}

// Tokens is an answer of the token endpoint. Which fields are set depends on the grant.
type Tokens struct {
	AccessToken  secret.String
	RefreshToken secret.String
	IDToken      secret.String
	Scope        string
	ExpiresIn    time.Duration
	// AuthorizationDetails is what was approved, nil if the request had none (RFC 9396 section 7).
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

// Token calls the token endpoint with the grant in form. Errors are those of [Client.Form].
func (c *Client) Token(ctx context.Context, form url.Values) (Tokens, error) {
	var wire tokensWire
	if err := c.Form(ctx, EndpointToken, form, &wire); err != nil {
		return Tokens{}, err
	}
	return wire.tokens(), nil
}

// Code redeems an authorization code. Errors are those of [Client.Form], and a fault.Internal if id_token or refresh_token is
// missing.
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

// Refresh gets an access token for audience and scope, "" for those of the login. Others need a Multi-Resource Refresh Token;
// Auth0 then leaves out scopes that the application's policy does not allow, without an error, so the caller checks the answer's
// Scope.
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

// Revoke revokes a refresh token (RFC 7009). A token that is not valid any more is no error.
func (c *Client) Revoke(ctx context.Context, refresh secret.String) error {
	if err := c.Form(ctx, EndpointRevoke, url.Values{"token": {refresh.Reveal()}}, nil); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// LogoutURL returns the address that ends the browser's session at Auth0 and redirects to returnTo, an allowed logout URL of the
// tenant.
func (c *Client) LogoutURL(returnTo string) string {
	return c.issuer + "v2/logout?" + url.Values{"client_id": {c.clientID}, "returnTo": {returnTo}}.Encode()
}
