package auth0test

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Grant types, spelt as in a client's grant_types.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantTokenVault        = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token" //nolint:gosec // its name
	GrantCIBA              = "urn:openid:params:grant-type:ciba"
)

// MyAccount and ManagementAPI are the tenant's own APIs. An audience that starts with "/" is meant relative to the issuer, because a
// test does not know the issuer before the server listens.
const (
	MyAccount     = "/me/"
	ManagementAPI = "/api/v2/"
)

// Channels of a back-channel request.
const (
	ChannelPush  = "guardian-push"
	ChannelEmail = "email"
)

// Settings is all that an administrator can set. Configure changes it under the tenant's lock.
type Settings struct {
	Clients     map[string]*Client         // by client_id
	Connections map[string]*Connection     // by name
	APIs        map[string]*ResourceServer // by identifier
	Grants      []*ClientGrant
	Guardian    Guardian
	People      map[string]*Person // by sub
}

// Person is a user of the tenant who signs in through the Okta connection.
type Person struct {
	Sub           string         `json:"user_id"` // default oidc|<connection>|<OktaUserID>
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	Name          string         `json:"name,omitempty"`
	Picture       string         `json:"picture,omitempty"`
	OktaUserID    string         `json:"-"`
	PushEnrolled  bool           `json:"-"` // has the Guardian app
	Claims        map[string]any `json:"-"` // added to every ID token, as a post-login Action would
}

// Client is an application. WebApp and Machine make working ones.
type Client struct {
	ID                      string             `json:"client_id"`
	Secret                  string             `json:"client_secret,omitempty"`
	Name                    string             `json:"name"`
	AppType                 string             `json:"app_type,omitempty"`
	IsFirstParty            bool               `json:"is_first_party"`
	OIDCConformant          bool               `json:"oidc_conformant"`
	GrantTypes              []string           `json:"grant_types"`
	TokenEndpointAuthMethod string             `json:"token_endpoint_auth_method,omitempty"`
	Callbacks               []string           `json:"callbacks"`
	AllowedLogoutURLs       []string           `json:"allowed_logout_urls"`
	RefreshToken            RefreshTokenPolicy `json:"refresh_token"`
	NotificationChannels    []string           `json:"async_approval_notification_channels,omitempty"`

	Extra map[string]any `json:"-"` // fields of the Management API that change nothing here
}

// RefreshTokenPolicy says how long refresh tokens live and for which other audiences they are good.
type RefreshTokenPolicy struct {
	RotationType              string           `json:"rotation_type"`   // rotating | non-rotating
	ExpirationType            string           `json:"expiration_type"` // expiring | non-expiring
	Leeway                    int              `json:"leeway"`
	TokenLifetime             int              `json:"token_lifetime"`
	IdleTokenLifetime         int              `json:"idle_token_lifetime"`
	InfiniteTokenLifetime     bool             `json:"infinite_token_lifetime"`
	InfiniteIdleTokenLifetime bool             `json:"infinite_idle_token_lifetime"`
	Policies                  []AudiencePolicy `json:"policies,omitempty"`
}

// AudiencePolicy lets a refresh token fetch access tokens for one more API.
type AudiencePolicy struct {
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
}

// Connection is a way to sign in and, with connected accounts, a shelf of the Token Vault.
type Connection struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	DisplayName       string         `json:"display_name,omitempty"`
	Strategy          string         `json:"strategy"`
	Options           map[string]any `json:"options"`
	Authentication    Switch         `json:"authentication"`
	ConnectedAccounts Switch         `json:"connected_accounts"`
	EnabledClients    []string       `json:"enabled_clients"`

	Extra map[string]any `json:"-"`
}

// Switch is the {"active":true} of a connection's purposes.
type Switch struct {
	Active bool `json:"active"`
}

// Scopes are the scopes asked from the provider on every login: one space-separated string on the wire.
func (c *Connection) Scopes() []string {
	s, _ := c.Options["scope"].(string)
	return strings.Fields(s)
}

// ResourceServer is an API: an audience and its scopes.
type ResourceServer struct {
	ID                   string        `json:"id"`
	Name                 string        `json:"name"`
	Identifier           string        `json:"identifier"`
	Scopes               []Scope       `json:"scopes"`
	SigningAlg           string        `json:"signing_alg"`
	AllowOfflineAccess   bool          `json:"allow_offline_access"`
	TokenLifetime        int           `json:"token_lifetime"`
	AuthorizationDetails []DetailsType `json:"authorization_details,omitempty"`
	SubjectTypes         SubjectTypes  `json:"subject_type_authorization"`

	Extra map[string]any `json:"-"`
}

// Scope is one scope of an API.
type Scope struct {
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// DetailsType registers a type of rich authorization details (RFC 9396) on an API.
type DetailsType struct {
	Type string `json:"type"`
}

// SubjectTypes says who may get tokens for an API: allow_all, require_client_grant or deny_all.
type SubjectTypes struct {
	User   Policy `json:"user"`
	Client Policy `json:"client"`
}

// Policy is the {"policy":"…"} of SubjectTypes.
type Policy struct {
	Policy string `json:"policy"`
}

// Policies of SubjectTypes.
const (
	AllowAll           = "allow_all"
	RequireClientGrant = "require_client_grant"
	DenyAll            = "deny_all"
)

// ClientGrant lets a client ask for scopes of an API, for itself or for its users.
type ClientGrant struct {
	ID           string   `json:"id"`
	ClientID     string   `json:"client_id"`
	Audience     string   `json:"audience"`
	Scope        []string `json:"scope"`
	SubjectType  string   `json:"subject_type"` // user | client
	DetailsTypes []string `json:"authorization_details_types,omitempty"`
}

// Guardian is the tenant's MFA: whether pushes can be sent, and for whom MFA is demanded.
type Guardian struct {
	PushEnabled  bool
	RefuseBlanks bool // in binding messages: the characters of the documentation, and no others
	PushProvider string
	Policies     []string // [] Never, ["all-applications"] Always, ["confidence-score"] Adaptive
}

// WebApp is a confidential web application as Steward needs one: sign-in, refresh, My Account, Token Vault and CIBA. Its callback and
// logout URLs are given whole.
func WebApp(id, secret string, callbacks ...string) Client {
	return Client{
		ID: id, Secret: secret, Name: id, AppType: "regular_web", IsFirstParty: true, OIDCConformant: true,
		GrantTypes:              []string{GrantAuthorizationCode, GrantRefreshToken, GrantTokenVault, GrantCIBA},
		TokenEndpointAuthMethod: "client_secret_post",
		Callbacks:               callbacks,
		NotificationChannels:    []string{ChannelPush},
		RefreshToken: RefreshTokenPolicy{
			RotationType: "non-rotating", ExpirationType: "expiring", TokenLifetime: 2592000, IdleTokenLifetime: 1296000,
			Policies: []AudiencePolicy{{Audience: MyAccount, Scope: slices.Clone(myAccountScopes)}},
		},
	}
}

// Machine is an application without users: client_credentials for the audiences it has grants for (Options.Grants).
func Machine(id, secret string) Client {
	return Client{
		ID: id, Secret: secret, Name: id, AppType: "non_interactive", IsFirstParty: true, OIDCConformant: true,
		GrantTypes: []string{GrantClientCredentials}, TokenEndpointAuthMethod: "client_secret_post",
	}
}

var myAccountScopes = []string{"create:me:connected_accounts", "read:me:connected_accounts", "delete:me:connected_accounts"}

func (t *Tenant) settingsFrom(o Options) Settings {
	s := Settings{
		Clients: map[string]*Client{}, Connections: map[string]*Connection{}, APIs: map[string]*ResourceServer{}, People: map[string]*Person{},
		Guardian: Guardian{PushEnabled: true, PushProvider: "guardian", Policies: []string{}},
	}
	if o.MFAAlways {
		s.Guardian.Policies = []string{"all-applications"}
	}

	conn := &Connection{
		ID: "con_okta0corp0test00", Name: o.Connection, DisplayName: "Okta", Strategy: "oidc",
		Options:        map[string]any{"type": "back_channel", "scope": strings.Join(o.ConnectionScopes, " ")},
		Authentication: Switch{true}, ConnectedAccounts: Switch{true}, EnabledClients: []string{}, Extra: map[string]any{},
	}
	s.Connections[conn.Name] = conn

	for _, api := range append([]ResourceServer{
		{
			Name: "Auth0 My Account API", Identifier: MyAccount, Scopes: scopes(myAccountScopes), AllowOfflineAccess: true,
			SubjectTypes: SubjectTypes{User: Policy{RequireClientGrant}, Client: Policy{DenyAll}},
		},
		{
			Name: "Auth0 Management API", Identifier: ManagementAPI, Scopes: scopes(managementScopes),
			SubjectTypes: SubjectTypes{User: Policy{DenyAll}, Client: Policy{RequireClientGrant}},
		},
	}, o.APIs...) {
		api.Identifier = t.absolute(api.Identifier)
		api.complete()
		api.Extra = cloneExtra(api.Extra)
		s.APIs[api.Identifier] = &api
	}

	grants := slices.Clone(o.Grants)
	for _, c := range o.Clients {
		c.GrantTypes, c.Callbacks = slices.Clone(c.GrantTypes), slices.Clone(c.Callbacks)
		c.AllowedLogoutURLs, c.NotificationChannels = slices.Clone(c.AllowedLogoutURLs), slices.Clone(c.NotificationChannels)
		c.RefreshToken.Policies = slices.Clone(c.RefreshToken.Policies)
		c.Extra = cloneExtra(c.Extra)
		for i, p := range c.RefreshToken.Policies {
			c.RefreshToken.Policies[i] = AudiencePolicy{t.absolute(p.Audience), slices.Clone(p.Scope)}
		}
		if c.AppType == "regular_web" {
			conn.EnabledClients = append(conn.EnabledClients, c.ID)
			grants = append(grants, ClientGrant{ClientID: c.ID, Audience: MyAccount, Scope: myAccountScopes, SubjectType: "user"})
		}
		s.Clients[c.ID] = &c
	}
	for _, g := range grants {
		if g.ID == "" {
			g.ID = id("cgr_")
		}
		if g.SubjectType == "" {
			g.SubjectType = "client"
		}
		if g.Scope == nil && g.Audience == ManagementAPI {
			g.Scope = managementScopes
		}
		g.Audience, g.Scope = t.absolute(g.Audience), slices.Clone(g.Scope)
		s.Grants = append(s.Grants, &g)
	}
	for _, p := range o.People {
		if p.Sub == "" {
			p.Sub = "oidc|" + o.Connection + "|" + p.OktaUserID
		}
		p.Claims = maps.Clone(p.Claims)
		s.People[p.Sub] = &p
	}
	return s
}

// complete fills in what the real tenant defaults.
func (a *ResourceServer) complete() {
	if a.ID == "" {
		a.ID = id("")
	}
	if a.SigningAlg == "" {
		a.SigningAlg = "RS256"
	}
	if a.TokenLifetime == 0 {
		a.TokenLifetime = int((24 * time.Hour).Seconds())
	}
	if a.SubjectTypes.User.Policy == "" {
		a.SubjectTypes.User.Policy = AllowAll
	}
	if a.SubjectTypes.Client.Policy == "" {
		a.SubjectTypes.Client.Policy = RequireClientGrant
	}
}

func scopes(values []string) []Scope {
	var all []Scope
	for _, v := range values {
		all = append(all, Scope{Value: v})
	}
	return all
}

func (t *Tenant) absolute(audience string) string {
	if rest, ok := strings.CutPrefix(audience, "/"); ok {
		return t.issuer + rest
	}
	return audience
}

func (s *Settings) grant(clientID, audience, subjectType string) *ClientGrant {
	for _, g := range s.Grants {
		if g.ClientID == clientID && g.Audience == audience && g.SubjectType == subjectType {
			return g
		}
	}
	return nil
}

func (s *Settings) byEmail(email string) *Person {
	for _, p := range s.People {
		if strings.EqualFold(p.Email, email) {
			return p
		}
	}
	return nil
}

// enabled finds a connection that exists and is enabled for the client.
func (s *Settings) enabled(name string, c *Client) *Connection {
	if conn := s.Connections[name]; conn != nil && slices.Contains(conn.EnabledClients, c.ID) {
		return conn
	}
	return nil
}

func (c *Client) allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
func (c *Client) public() bool             { return c.TokenEndpointAuthMethod == "none" }
