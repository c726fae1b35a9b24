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
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

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

// IDToken is what a verified id_token says.
type IDToken struct {
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	Picture       string
	Nonce         secret.String
	IssuedAt      time.Time
	Expiry        time.Time
}

// VerifyIDToken checks signature, issuer, audience and expiry, and that there is a subject. Nonce and subject are the
// caller's to compare.
func (c *Client) VerifyIDToken(ctx context.Context, raw secret.String) (IDToken, error) {
	p, err := c.discover(ctx)
	if err != nil {
		return IDToken{}, err
	}
	keys := &keySet{remote: p.keys}
	v := oidc.NewVerifier(c.issuer, keys, &oidc.Config{ClientID: c.clientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.PS256}, Now: c.now})
	token, err := v.Verify(ctx, raw.Reveal())
	switch {
	case keys.unreachable != nil:
		return IDToken{}, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 keys: %w", keys.unreachable))
	case err != nil:
		// The verifier's own words repeat claims, and those are personal.
		return IDToken{}, fault.New(fault.Unauthenticated, "The sign-in could not be verified. Please sign in again.", errors.New("id_token does not verify"))
	}
	var claims struct {
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
		Name          string `json:"name"`
		Picture       string `json:"picture"`
	}
	if err := token.Claims(&claims); err != nil || token.Subject == "" {
		return IDToken{}, fault.New(fault.Unauthenticated, "The sign-in could not be verified. Please sign in again.", errors.New("id_token without usable claims"))
	}
	return IDToken{
		Subject:       token.Subject,
		Email:         claims.Email,
		EmailVerified: claims.EmailVerified,
		Name:          claims.Name,
		Picture:       claims.Picture,
		Nonce:         secret.New(token.Nonce),
		IssuedAt:      token.IssuedAt,
		Expiry:        token.Expiry,
	}, nil
}

// provider is what discovery tells.
type provider struct {
	authURL string
	keys    oidc.KeySet
}

// discover reads the tenant's metadata once; a failed try is tried again by the next caller.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider != nil {
		return c.provider, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.issuer)
	if err != nil {
		return nil, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 discovery: %w", err))
	}
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&metadata); err != nil || metadata.JWKS == "" {
		return nil, fault.New(fault.Upstream, sayAuth0Down, errors.New("auth0 discovery: no jwks_uri"))
	}
	// Keys are fetched later, and again when a token names a key that is not known yet.
	c.provider = &provider{
		authURL: p.Endpoint().AuthURL,
		keys:    oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), c.http), metadata.JWKS), //nolint:contextcheck // beyond any one request
	}
	return c.provider, nil
}

// keySet tells a signature that does not fit from keys that could not be had: the first is a forgery, the second is no
// answer at all. It serves one verification.
type keySet struct {
	remote      oidc.KeySet
	unreachable error
}

// VerifySignature is oidc.KeySet's.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		k.unreachable = err
	}
	return payload, err
}
