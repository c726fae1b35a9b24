package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/secret"
)

// The words of the Token Vault exchange (Auth0 docs, "Refresh token exchange with Token Vault").
const (
	grantFederated     = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	typeRefreshToken   = "urn:ietf:params:oauth:token-type:refresh_token"                      //nolint:gosec // a name
	typeFederatedToken = "http://auth0.com/oauth/token-type/federated-connection-access-token" //nolint:gosec // a name
)

// Federated is a token of the upstream provider, out of the vault.
type Federated struct {
	AccessToken secret.String
	Scope       string
	ExpiresIn   time.Duration // what is left of it
}

// FederatedToken exchanges a refresh token for the person's token at connection. The refresh token is neither rotated
// nor used up. Only the documented fields are sent: no scope, no audience.
func (c *Client) FederatedToken(ctx context.Context, refresh secret.String, connection string) (Federated, error) {
	t, err := c.Token(ctx, url.Values{
		"grant_type":           {grantFederated},
		"subject_token":        {refresh.Reveal()},
		"subject_token_type":   {typeRefreshToken},
		"requested_token_type": {typeFederatedToken},
		"connection":           {connection},
	})
	if err != nil {
		return Federated{}, fmt.Errorf("exchange for connection %q: %w", connection, err)
	}
	if t.AccessToken.IsZero() || t.ExpiresIn <= 0 {
		return Federated{}, fmt.Errorf("exchange for connection %q: the answer has no usable token", connection)
	}
	return Federated{AccessToken: t.AccessToken, Scope: t.Scope, ExpiresIn: t.ExpiresIn}, nil
}

// NotConnected says whether a refusal of the exchange means that the person has to connect their account (again).
func (e *Error) NotConnected() bool {
	return strings.HasPrefix(e.Code, "federated_connection_") || e.Code == "user_not_found" || e.Code == "tokenset_not_found"
}

// MyAccountScope lets a person connect an account of theirs.
const MyAccountScope = "create:me:connected_accounts"

// MyAccountAudience is the audience of the My Account API.
func (c *Client) MyAccountAudience() string { return c.issuer + "me/" }

// ConnectRequest starts the Connected Accounts flow.
type ConnectRequest struct {
	Connection  string
	RedirectURI string
	State       secret.String
	Verifier    secret.String
}

// ConnectTicket is where to send the browser, and what to keep until it comes back.
type ConnectTicket struct {
	AuthSession secret.String
	URL         string
	ExpiresIn   time.Duration
}

// StartConnect opens the flow with a My Account token of the person.
func (c *Client) StartConnect(ctx context.Context, me secret.String, r ConnectRequest) (ConnectTicket, error) {
	var wire struct {
		AuthSession   string `json:"auth_session"`
		ConnectURI    string `json:"connect_uri"`
		ConnectParams struct {
			Ticket string `json:"ticket"`
		} `json:"connect_params"`
		ExpiresIn float64 `json:"expires_in"`
	}
	err := c.myAccount(ctx, me, "connect", map[string]any{
		"connection":            r.Connection,
		"redirect_uri":          r.RedirectURI,
		"state":                 r.State.Reveal(),
		"code_challenge":        challenge(r.Verifier),
		"code_challenge_method": "S256",
	}, &wire)
	if err != nil {
		return ConnectTicket{}, fmt.Errorf("start connect: %w", err)
	}
	u, err := config.ParseURL(wire.ConnectURI)
	if err != nil || wire.AuthSession == "" || wire.ConnectParams.Ticket == "" {
		return ConnectTicket{}, errors.New("start connect: the answer is not usable")
	}
	u.RawQuery = url.Values{"ticket": {wire.ConnectParams.Ticket}}.Encode()
	return ConnectTicket{AuthSession: secret.New(wire.AuthSession), URL: u.String(), ExpiresIn: seconds(wire.ExpiresIn)}, nil
}

// CompleteConnect redeems the connect_code the browser brought back.
func (c *Client) CompleteConnect(ctx context.Context, me, authSession, connectCode secret.String, redirectURI string, verifier secret.String) error {
	err := c.myAccount(ctx, me, "complete", map[string]any{
		"auth_session":  authSession.Reveal(),
		"connect_code":  connectCode.Reveal(),
		"redirect_uri":  redirectURI,
		"code_verifier": verifier.Reveal(),
	}, nil)
	if err != nil {
		return fmt.Errorf("complete connect: %w", err)
	}
	return nil
}

func (c *Client) myAccount(ctx context.Context, me secret.String, step string, body map[string]any, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("auth0: encode: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.issuer+"me/v1/connected-accounts/"+step, bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("auth0: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+me.Reveal())
	return c.do(req, into)
}
