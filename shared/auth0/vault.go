package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Parameters of the Token Vault exchange (Auth0 docs, "Refresh token exchange with Token Vault").
const (
	grantFederated     = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	typeRefreshToken   = "urn:ietf:params:oauth:token-type:refresh_token"                      //nolint:gosec // a name
	typeFederatedToken = "http://auth0.com/oauth/token-type/federated-connection-access-token" //nolint:gosec // a name
)

// Federated is an access token of the upstream provider from Token Vault.
type Federated struct {
	AccessToken secret.String
	Scope       string
	ExpiresIn   time.Duration // from now
}

// FederatedToken exchanges a refresh token for the person's access token at connection. The refresh token stays valid. Only the
// documented fields are sent: no scope, no audience. A refusal is an *[Error]; see [Error.NotConnected].
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

// NotConnected reports whether the exchange was refused because the person has no connected account, or has to connect it again.
func (e *Error) NotConnected() bool {
	return strings.HasPrefix(e.Code, "federated_connection_") || e.Code == "user_not_found" || e.Code == "tokenset_not_found"
}

// MyAccountScope is a scope of the My Account API.
type MyAccountScope string

// The scopes for the person's connected accounts, and the calls that need them.
const (
	CreateConnectedAccounts MyAccountScope = "create:me:connected_accounts" // [Client.StartConnect], [Client.CompleteConnect]
	ReadConnectedAccounts   MyAccountScope = "read:me:connected_accounts"   // [Client.ConnectedAccounts]
	DeleteConnectedAccounts MyAccountScope = "delete:me:connected_accounts" // [Client.DeleteConnectedAccount]
)

// MyAccountAudience returns the audience of the My Account API.
func (c *Client) MyAccountAudience() string { return c.issuer + "me/" }

// MyAccountToken exchanges a refresh token for an access token of the My Account API with the scopes. Auth0 leaves out scopes
// that the application's refresh token policy or client grant lacks, without an error; a missing scope is a fault.Internal that
// names it.
func (c *Client) MyAccountToken(ctx context.Context, refresh secret.String, scopes ...MyAccountScope) (secret.String, error) {
	asked := make([]string, len(scopes))
	for i, scope := range scopes {
		asked[i] = string(scope)
	}
	t, err := c.Refresh(ctx, refresh, c.MyAccountAudience(), strings.Join(asked, " "))
	if err != nil {
		return secret.String{}, fmt.Errorf("my account token: %w", err)
	}
	granted := strings.Fields(t.Scope)
	for _, scope := range asked {
		if !slices.Contains(granted, scope) {
			return secret.String{}, fault.New(fault.Internal, sayMisconfig,
				fmt.Errorf("the My Account token lacks %s: the application's refresh token policy or its client grant does not hold it", scope))
		}
	}
	return t.AccessToken, nil
}

// ConnectedAccount is a person's account at an identity provider, whose tokens are in Token Vault.
type ConnectedAccount struct {
	ID         string // cac_…
	Connection string
	Scopes     []string
	CreatedAt  time.Time // when it was connected; zero if Auth0's value is not in RFC 3339
}

const (
	accountsPage     = "20" // Auth0's largest page
	maxAccountsPages = 10
)

// ConnectedAccounts returns the person's connected accounts of one connection. me needs [ReadConnectedAccounts].
func (c *Client) ConnectedAccounts(ctx context.Context, me secret.String, connection string) ([]ConnectedAccount, error) {
	var all []ConnectedAccount
	query := url.Values{"connection": {connection}, "take": {accountsPage}}
	for range maxAccountsPages {
		var page struct {
			Accounts []struct {
				ID         string   `json:"id"`
				Connection string   `json:"connection"`
				Scopes     []string `json:"scopes"`
				CreatedAt  string   `json:"created_at"`
			} `json:"accounts"`
			Next string `json:"next"`
		}
		if err := c.myAccount(ctx, http.MethodGet, "accounts?"+query.Encode(), me, nil, &page); err != nil {
			return nil, fmt.Errorf("list connected accounts: %w", err)
		}
		for _, a := range page.Accounts {
			if a.Connection != connection {
				continue // the caller may delete what is returned, which must not be of another connection
			}
			created, _ := time.Parse(time.RFC3339, a.CreatedAt)
			all = append(all, ConnectedAccount{ID: a.ID, Connection: a.Connection, Scopes: a.Scopes, CreatedAt: created})
		}
		if page.Next == "" {
			return all, nil
		}
		query.Set("from", page.Next)
	}
	return nil, fmt.Errorf("list connected accounts: more than %d pages", maxAccountsPages)
}

// DeleteConnectedAccount deletes a connected account and its tokens from Token Vault. An account that does not exist is no error.
// me needs [DeleteConnectedAccounts].
func (c *Client) DeleteConnectedAccount(ctx context.Context, me secret.String, id string) error {
	if id == "" || id == "." || id == ".." {
		return fmt.Errorf("delete connected account: %q is not an id", id)
	}
	err := c.myAccount(ctx, http.MethodDelete, "accounts/"+url.PathEscape(id), me, nil, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete connected account: %w", err)
	}
	return nil
}

// ConnectRequest starts the Connected Accounts flow.
type ConnectRequest struct {
	Connection  string
	RedirectURI string
	State       secret.String
	Verifier    secret.String
}

// ConnectTicket is a started flow: the address to send the browser to, and the value to keep for [Client.CompleteConnect].
type ConnectTicket struct {
	AuthSession secret.String
	URL         string
	ExpiresIn   time.Duration
}

// StartConnect starts the Connected Accounts flow. me needs [CreateConnectedAccounts].
func (c *Client) StartConnect(ctx context.Context, me secret.String, r ConnectRequest) (ConnectTicket, error) {
	var wire struct {
		AuthSession   string `json:"auth_session"`
		ConnectURI    string `json:"connect_uri"`
		ConnectParams struct {
			Ticket string `json:"ticket"`
		} `json:"connect_params"`
		ExpiresIn float64 `json:"expires_in"`
	}
	err := c.myAccount(ctx, http.MethodPost, "connect", me, map[string]any{
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
		return ConnectTicket{}, errors.New("start connect: the answer lacks auth_session, ticket or a valid connect_uri")
	}
	u.RawQuery = url.Values{"ticket": {wire.ConnectParams.Ticket}}.Encode()
	return ConnectTicket{AuthSession: secret.New(wire.AuthSession), URL: u.String(), ExpiresIn: seconds(wire.ExpiresIn)}, nil
}

// CompleteConnect completes the flow with the connect_code of the callback. me needs [CreateConnectedAccounts].
func (c *Client) CompleteConnect(ctx context.Context, me, authSession, connectCode secret.String, redirectURI string, verifier secret.String) error {
	err := c.myAccount(ctx, http.MethodPost, "complete", me, map[string]any{
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

// myAccount makes one call below connected-accounts/ with the person's token. body and into may be nil.
func (c *Client) myAccount(ctx context.Context, method, path string, me secret.String, body map[string]any, into any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("auth0: encode: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.issuer+"me/v1/connected-accounts/"+path, content)
	if err != nil {
		return fmt.Errorf("auth0: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+me.Reveal())
	return c.do(req, into)
}
