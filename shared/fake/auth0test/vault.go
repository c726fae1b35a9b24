package auth0test

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	typeRefreshToken   = "urn:ietf:params:oauth:token-type:refresh_token"                      //nolint:gosec // a name
	typeFederatedToken = "http://auth0.com/oauth/token-type/federated-connection-access-token" //nolint:gosec // a name
)

// account is a connected account: what the Token Vault holds of one person at one connection.
type account struct {
	ID         string
	Connection string
	Provider   *Person // whose account it is at Okta; not always the person who connected it
	Scopes     []string
	Created    time.Time

	token         string
	expires, used time.Time
	set           string // id of its token set
	forgotten     bool   // the token set was deleted
}

// store puts an account on the person's shelf, in place of an older one of the same connection and provider user.
func (t *Tenant) store(sub string, conn *Connection, provider *Person, scopes []string) *account {
	a := &account{ID: id("cac_"), Connection: conn.Name, Provider: provider, Scopes: scopes, Created: t.now(), set: id("tset_")}
	t.state.vault[sub] = append(slices.DeleteFunc(t.state.vault[sub], func(old *account) bool {
		return old.Connection == a.Connection && old.Provider.OktaUserID == provider.OktaUserID
	}), a)
	return a
}

// exchange is the Token Vault grant: 1 the request is whole, 2 the subject token is good, 3 tenant policy, 4 an account is connected,
// 5 its token, refreshed at the provider when it has run out. The subject token is neither rotated nor used up.
func (t *Tenant) exchange(c *Client, form url.Values) (*tokens, *oauthError) {
	for _, field := range []string{"subject_token", "subject_token_type", "requested_token_type", "connection"} {
		if form.Get(field) == "" {
			return nil, missing(field)
		}
	}
	if form.Get("requested_token_type") != typeFederatedToken {
		return nil, refuse(400, "invalid_request", "Unsupported requested_token_type")
	}
	sub, fault := t.subject(c, form)
	if fault != nil {
		return nil, fault
	}
	if slices.Contains(t.settings.Guardian.Policies, "all-applications") {
		return nil, &oauthError{Status: 401, Code: "mfa_required", Description: "Multifactor authentication required", MFAToken: "Fe26." + opaque(48)}
	}

	notFound := refuse(401, "federated_connection_refresh_token_not_found", "Federated connection Refresh Token not found.")
	conn := t.settings.enabled(form.Get("connection"), c)
	if conn == nil {
		return nil, notFound
	}
	if !conn.ConnectedAccounts.Active {
		return nil, refuse(400, "invalid_request", "Token Vault is not enabled for the provided connection")
	}
	var found *account
	for _, a := range t.state.vault[sub] { // the youngest wins when several are connected and no hint is given
		if a.Connection == conn.Name && (form.Get("login_hint") == "" || form.Get("login_hint") == a.Provider.OktaUserID) {
			found = a
		}
	}
	if found == nil && form.Get("login_hint") != "" {
		return nil, refuse(401, "user_not_found", "Identity User not found.")
	}
	if found == nil || found.forgotten || !slices.Contains(found.Scopes, "offline_access") {
		return nil, notFound
	}
	now := t.now()
	if found.token == "" || found.expires.Sub(now) < time.Second {
		if found.token, found.expires = t.mint(found, now); found.token == "" {
			return nil, notFound
		}
	}
	found.used = now
	return &tokens{
		AccessToken: found.token, IssuedTokenType: typeFederatedToken, Scope: strings.Join(found.Scopes, " "),
		ExpiresIn: int(found.expires.Sub(now).Seconds()), TokenType: "Bearer",
	}, nil
}

func (t *Tenant) mint(a *account, now time.Time) (string, time.Time) {
	if t.opts.OktaToken == nil {
		return "okta-" + opaque(24), now.Add(time.Hour)
	}
	token, expiresIn := t.opts.OktaToken(*a.Provider, slices.Clone(a.Scopes))
	return token, now.Add(expiresIn)
}

// subject is whom the subject token stands for.
func (t *Tenant) subject(c *Client, form url.Values) (sub string, fault *oauthError) {
	invalid := refuse(401, "invalid_grant", "Unknown or invalid refresh token.")
	switch form.Get("subject_token_type") {
	case typeRefreshToken:
		if c.RefreshToken.RotationType == "rotating" {
			return "", refuse(400, "invalid_request", "Refresh token rotation must be disabled for the client")
		}
		rt, fault := t.liveRefreshToken(c, form.Get("subject_token"))
		if fault != nil {
			return "", invalid
		}
		rt.lastUsed = t.now()
		return rt.sub, nil
	default:
		return "", refuse(400, "invalid_request", "Unsupported subject_token_type")
	}
}

// ExpireOktaTokens makes every provider token in the vault run out, so that the next exchange refreshes it.
func (t *Tenant) ExpireOktaTokens() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, accounts := range t.state.vault {
		for _, a := range accounts {
			a.token = ""
		}
	}
}

// Connect stores a connected account without the browser: the person's own, with the connection's scopes.
func (t *Tenant) Connect(email string) { t.ConnectAs(email, email) }

// ConnectAs stores a connected account of a person who was signed in as somebody else at the provider's consent page.
func (t *Tenant) ConnectAs(email, whose string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, provider := t.settings.byEmail(email), t.settings.byEmail(whose)
	if p == nil || provider == nil {
		panic("auth0test: nobody has the address " + email + " or " + whose)
	}
	conn := t.settings.Connections[t.opts.Connection]
	t.store(p.Sub, conn, provider, conn.Scopes())
}

// Connected is how many accounts a person has connected.
func (t *Tenant) Connected(email string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.state.vault[t.settings.byEmail(email).Sub])
}

// SignIn gives a person's refresh token for a client without the browser, with the scopes a web application asks for.
func (t *Tenant) SignIn(clientID, email string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, p := t.settings.Clients[clientID], t.settings.byEmail(email)
	if c == nil || p == nil {
		panic("auth0test: no client " + clientID + " or no person " + email)
	}
	return t.newRefreshToken(c, p, "", []string{"openid", "profile", "email", "offline_access"}, opaque(24))
}
