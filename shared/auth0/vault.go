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

// MyAccountScope is a scope of the My Account API.
type MyAccountScope string

// The scopes for the person's own connected accounts, one for each kind of call.
const (
	CreateConnectedAccounts MyAccountScope = "create:me:connected_accounts" // [Client.StartConnect], [Client.CompleteConnect]
	ReadConnectedAccounts   MyAccountScope = "read:me:connected_accounts"   // [Client.ConnectedAccounts]
	DeleteConnectedAccounts MyAccountScope = "delete:me:connected_accounts" // [Client.DeleteConnectedAccount]
)

// MyAccountAudience is the audience of the My Account API.
func (c *Client) MyAccountAudience() string { return c.issuer + "me/" }

// MyAccountToken exchanges a refresh token for an access token of the My Account API with exactly the scopes that the next
// calls need. Auth0 leaves out, without a word, what the application's refresh token policy or its client grant does not
// hold; a token that lacks a scope is therefore an error of kind Internal that names the scope.
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

// ConnectedAccount is an account at an identity provider whose tokens Token Vault keeps for a person.
type ConnectedAccount struct {
	ID         string // cac_…
	Connection string
	Scopes     []string
	CreatedAt  time.Time // when it was connected; zero if Auth0 did not say it in RFC 3339
}

const (
	accountsPage     = "20" // the most that Auth0 gives at once
	maxAccountsPages = 10
)

// ConnectedAccounts lists the person's connected accounts of one connection. me needs [ReadConnectedAccounts].
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
				continue // whoever deletes what is listed here must not reach another connection
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

// DeleteConnectedAccount removes a connected account, and its tokens, from Token Vault. One that is not there any more is
// no error. me needs [DeleteConnectedAccounts].
func (c *Client) DeleteConnectedAccount(ctx context.Context, me secret.String, id string) error {
	if id == "" || id == "." || id == ".." {
		return fmt.Errorf("delete connected account: %q is no id", id)
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
		return ConnectTicket{}, errors.New("start connect: the answer is not usable")
	}
	u.RawQuery = url.Values{"ticket": {wire.ConnectParams.Ticket}}.Encode()
	return ConnectTicket{AuthSession: secret.New(wire.AuthSession), URL: u.String(), ExpiresIn: seconds(wire.ExpiresIn)}, nil
}

// CompleteConnect redeems the connect_code the browser brought back.
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

// myAccount makes one call below connected-accounts/ with the person's token. A nil body sends none; a nil into reads none.
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
