package plan

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	sdk "github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"

	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	auth0client "github.com/steward-iam/steward/shared/auth0" // auth0 is a type here
	"github.com/steward-iam/steward/shared/secret"
)

// The grant types of the application (Auth0 docs: "Configure Token Vault", "Configure Client-Initiated Backchannel
// Authentication").
const (
	GrantCode       = "authorization_code"
	GrantRefresh    = "refresh_token"
	GrantTokenVault = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token" //nolint:gosec // its name
	GrantCIBA       = "urn:openid:params:grant-type:ciba"
)

// What else the application needs.
const (
	ChannelPush = "guardian-push"
	Back        = "back_channel" // the code flow, with a secret

	secretPost  = "client_secret_post"
	nonRotating = "non-rotating"
	expiring    = "expiring"
	day         = 24 * 60 * 60
)

// MyAccountScopes returns the scopes of the My Account API that the application needs for its users: to connect their Okta
// account, to see whose it is, and to disconnect it.
func MyAccountScopes() []string {
	return []string{string(auth0client.CreateConnectedAccounts), string(auth0client.ReadConnectedAccounts), string(auth0client.DeleteConnectedAccounts)}
}

// marker stands in the metadata of an application that setup made.
const (
	markerKey = "steward"
	marker    = "made by steward setup"
)

// ManagementScopes are what the machine of steward.yaml may do in the Management API, for setup.
var ManagementScopes = []string{
	"read:clients", "create:clients", "update:clients", "read:client_keys",
	"read:client_grants", "create:client_grants", "update:client_grants",
	"read:connections", "create:connections", "update:connections",
	"read:guardian_factors", "update:guardian_factors", "read:mfa_policies", "update:mfa_policies",
}

var apiScopes = []string{"read:resource_servers", "create:resource_servers", "update:resource_servers"}

type auth0 struct {
	*management.Management

	issuer       string
	clientID     string // of the application, known once it is there
	connectionID string
}

func (a *auth0) myAccount() string { return a.issuer + "me/" }

// openAuth0 makes sure that the file's tenant is the one that answers and that the machine may do what it must.
func (w *tenants) openAuth0(ctx context.Context) error {
	m, scopes, err := Manage(ctx, w.File, w.Secrets, w.Transport)
	if err != nil {
		return err
	}
	want := ManagementScopes
	if w.File.Auth0.Approvals.Identifier != "" {
		want = slices.Concat(want, apiScopes)
	}
	if missing := Missing(scopes, want); len(missing) > 0 {
		return &reach.Problem{Say: fmt.Sprintf("The machine application %s lacks scopes of the Auth0 Management API: %s. Grant them under Applications > APIs > Auth0 Management API > Machine to Machine Applications",
			w.File.Auth0.Management.ClientID, strings.Join(missing, ", "))}
	}
	w.auth0 = &auth0{Management: m, issuer: w.File.Auth0.Issuer()}
	return nil
}

// Manage opens the Management API of the file's tenant, and refuses another tenant's answers. The scopes are those of the
// machine's token.
func Manage(ctx context.Context, f tenant.File, secrets tenant.Secrets, p *reach.Transport) (_ *management.Management, scopes []string, err error) {
	issuer := f.Auth0.Issuer()
	if f.Auth0.Domain.Scheme == "http" {
		if p.Plain == nil {
			p.Plain = map[string]bool{}
		}
		p.Plain[f.Auth0.Domain.Host] = true
	}
	client := p.Client()
	announced, err := Discover(ctx, client, issuer)
	if err != nil {
		return nil, nil, Explain("Auth0", err)
	}
	if announced != issuer {
		return nil, nil, &reach.Problem{Say: fmt.Sprintf("steward.yaml names the tenant %s, but what answers there calls itself %s. Give the tenant's canonical domain (Settings > Custom Domains shows it), not another one", issuer, announced)}
	}
	key, err := secrets.Get(ctx, f.Auth0.Management.ClientSecret)
	if err != nil {
		return nil, nil, &reach.Problem{Say: "auth0.management.client_secret: " + err.Error(), Err: err}
	}
	token, scopes, err := reach.Machine(ctx, client, issuer+"oauth/token", f.Auth0.Management.ClientID, key, issuer+"api/v2/")
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch r.Response.StatusCode {
		case http.StatusUnauthorized:
			return nil, nil, &reach.Problem{Say: fmt.Sprintf("The tenant %s does not accept the machine application %s: its client id or its secret is another. Is it an application of this very tenant?", issuer, f.Auth0.Management.ClientID), Err: err}
		case http.StatusForbidden:
			return nil, nil, &reach.Problem{Say: fmt.Sprintf("The machine application %s may not use the Auth0 Management API of %s (%s). Authorize it under Applications > APIs > Auth0 Management API > Machine to Machine Applications, with the scopes %s",
				f.Auth0.Management.ClientID, issuer, cmp.Or(r.ErrorDescription, r.ErrorCode), strings.Join(ManagementScopes, ", ")), Err: err}
		}
	}
	if err != nil {
		return nil, nil, Explain("Auth0", err)
	}
	if from := issuerOf(token); from != "" && from != issuer {
		return nil, nil, &reach.Problem{Say: fmt.Sprintf("steward.yaml names the tenant %s, but the machine's token was issued by %s. Nothing is changed in a tenant that was not meant", issuer, from)}
	}
	m, err := management.New(strings.TrimSuffix(f.Auth0.Domain.Host, "/"),
		management.WithClient(&http.Client{Transport: p, Timeout: client.Timeout}), management.WithStaticToken(token.Reveal()), management.WithNoRetries())
	if err != nil {
		return nil, nil, fmt.Errorf("make the Auth0 Management client: %w", err)
	}
	return m, scopes, nil
}

// Discover is the issuer that a tenant's discovery document announces.
func Discover(ctx context.Context, c *http.Client, issuer string) (string, error) {
	var doc struct {
		Issuer string `json:"issuer"`
	}
	status, err := reach.Get(ctx, c, issuer+".well-known/openid-configuration", "", &doc)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK || doc.Issuer == "" {
		return "", &reach.Problem{Say: fmt.Sprintf("%s is no Auth0 tenant: its discovery document cannot be read (status %d)", issuer, status)}
	}
	return doc.Issuer, nil
}

// issuerOf reads the issuer of a token of ours, to compare; nothing is trusted on it.
func issuerOf(token secret.String) string {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	_ = json.Unmarshal(raw, &claims)
	return claims.Issuer
}

// Explain puts a service's error into words.
func Explain(service string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*reach.Problem](err); ok {
		return err
	}
	if text, ok := reach.Explain(err); ok {
		return &reach.Problem{Say: service + ": " + text, Err: err}
	}
	if m, ok := errors.AsType[management.Error](err); ok {
		text := fmt.Sprintf("%s refused with %d", service, m.Status())
		switch _, scope, found := strings.Cut(m.Error(), "expected any of: "); {
		case found:
			text = fmt.Sprintf("the machine application lacks the scope %s of the Auth0 Management API", scope)
		case m.Status() == http.StatusTooManyRequests:
			text = service + " is busy: its rate limit did not end in time; wait a minute"
		default:
			_, detail, _ := strings.Cut(m.Error(), ": ")
			text += " (" + strings.TrimSpace(detail) + ")"
		}
		return &reach.Problem{Say: text, Err: err}
	}
	return fmt.Errorf("%s: %w", service, err)
}

// diff collects what differs.
type diff []string

func (d *diff) set(what string, differs bool, format string, args ...any) {
	if differs {
		*d = append(*d, what+": "+fmt.Sprintf(format, args...))
	}
}

// add tells of what is missing in a list.
func (d *diff) add(what string, missing []string, separator string) {
	d.set(what, len(missing) > 0, "add %s", strings.Join(missing, separator))
}

// Missing returns the wanted items that are not there.
func Missing(have, want []string) (out []string) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			out = append(out, w)
		}
	}
	return out
}

func sameSet(a, b []string) bool { return len(Missing(a, b)) == 0 && len(Missing(b, a)) == 0 }

// planAPI is the API of rich authorization requests.
func (w *tenants) planAPI(ctx context.Context, p *Plan) error {
	want := w.File.Auth0.Approvals
	if want.Identifier == "" {
		return nil
	}
	resource := "Auth0 API " + want.Identifier
	have, err := w.auth0.ResourceServer.Read(ctx, want.Identifier)
	if status(err) == http.StatusNotFound {
		p.create(resource, []string{"authorization details: " + want.DetailType}, func(ctx context.Context) error {
			return Explain("Auth0", w.auth0.ResourceServer.Create(ctx, &management.ResourceServer{
				Name: sdk.String("Steward approvals"), Identifier: &want.Identifier, SigningAlgorithm: sdk.String("RS256"),
				AuthorizationDetails: &[]management.ResourceServerAuthorizationDetails{{Type: &want.DetailType}},
			}))
		})
		return nil
	}
	if err != nil {
		return Explain("Auth0", err)
	}
	all := deref(have.AuthorizationDetails)
	var d diff
	d.set("authorization details", !slices.ContainsFunc(all, func(t management.ResourceServerAuthorizationDetails) bool { return deref(t.Type) == want.DetailType }), "add %s", want.DetailType)
	p.update(resource, d, func(ctx context.Context) error {
		all := append(all, management.ResourceServerAuthorizationDetails{Type: &want.DetailType})
		return Explain("Auth0", w.auth0.ResourceServer.Update(ctx, deref(have.ID), &management.ResourceServer{AuthorizationDetails: &all}))
	})
	return nil
}

func deref[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

func status(err error) int {
	if m, ok := errors.AsType[management.Error](err); ok {
		return m.Status()
	}
	return 0
}

// grantTypes is all that the application may do. An implicit or password grant that a new application begins with goes.
func grantTypes() []string { return []string{GrantCode, GrantRefresh, GrantTokenVault, GrantCIBA} }

// findClient looks for the application: by the id of the file, or by our mark and the name.
func (w *tenants) findClient(ctx context.Context) (*management.Client, error) {
	want := w.File.Auth0.Application
	if want.ClientID != "" {
		c, err := w.auth0.Client.Read(ctx, want.ClientID)
		if status(err) == http.StatusNotFound {
			return nil, &reach.Problem{Say: fmt.Sprintf("There is no application %s in %s; correct auth0.application.client_id, or leave it out and setup makes one", want.ClientID, w.auth0.issuer), Err: err}
		}
		return c, Explain("Auth0", err)
	}
	var ours []*management.Client
	foreign := ""
	for page := 0; ; page++ {
		list, err := w.auth0.Client.List(ctx, management.Page(page), management.PerPage(100), management.IncludeTotals(true))
		if err != nil {
			return nil, Explain("Auth0", err)
		}
		for _, c := range list.Clients {
			switch {
			case c.GetName() != want.Name:
			case deref(c.ClientMetadata)[markerKey] == marker:
				ours = append(ours, c)
			default:
				foreign = c.GetClientID()
			}
		}
		if !list.HasNext() {
			break
		}
	}
	switch {
	case len(ours) > 1:
		return nil, &reach.Problem{Say: fmt.Sprintf("Setup made more than one application %q in %s; say with auth0.application.client_id which one is meant", want.Name, w.auth0.issuer)}
	case len(ours) == 1:
		return ours[0], nil
	case foreign != "":
		return nil, &reach.Problem{Say: fmt.Sprintf("There is an application %q in %s that setup did not make, so it is not touched. Give another auth0.application.name, or adopt it with auth0.application.client_id: %s", want.Name, w.auth0.issuer, foreign)}
	}
	return nil, nil
}

func (w *tenants) planClient(ctx context.Context, p *Plan) error {
	want := w.File.Auth0.Application
	have, err := w.findClient(ctx)
	if err != nil {
		return err
	}
	resource := fmt.Sprintf("Auth0 application %q", want.Name)
	if have == nil {
		p.create(resource, []string{
			"confidential; grants: code, refresh token, Token Vault, CIBA; approvals by Guardian push",
			fmt.Sprintf("refresh tokens: no rotation, %d days, %d without use, good for the My Account API", want.RefreshTokenDays, want.IdleDays),
			"callbacks: " + strings.Join(want.Callbacks(), ", "),
		}, func(ctx context.Context) error {
			c := w.wantedClient(nil)
			c.Name, c.AppType = &want.Name, sdk.String("regular_web")
			c.ClientMetadata = &map[string]any{markerKey: marker}
			if err := w.auth0.Client.Create(ctx, c); err != nil {
				return Explain("Auth0", err)
			}
			w.auth0.clientID = c.GetClientID()
			return nil
		})
		return nil
	}
	w.auth0.clientID = have.GetClientID()
	p.update(resource+" ("+w.auth0.clientID+")", w.clientDiff(have), func(ctx context.Context) error {
		return Explain("Auth0", w.auth0.Client.Update(ctx, w.auth0.clientID, w.wantedClient(have)))
	})
	return nil
}

// wantedClient is what the application should be; lists that may hold more than ours keep it.
func (w *tenants) wantedClient(have *management.Client) *management.Client {
	want := w.File.Auth0.Application
	grants := grantTypes()
	policies := []management.ClientRefreshTokenPolicy{}
	var callbacks, logout, channels []string
	if have != nil {
		callbacks, logout, channels = have.GetCallbacks(), have.GetAllowedLogoutURLs(), have.GetAsyncApprovalNotificationChannels()
		for _, policy := range deref(deref(have.RefreshToken).Policies) {
			if deref(policy.Audience) != w.auth0.myAccount() {
				policies = append(policies, policy)
			}
		}
	}
	scopes := MyAccountScopes()
	policies = append(policies, management.ClientRefreshTokenPolicy{Audience: sdk.String(w.auth0.myAccount()), Scope: &scopes})
	callbacks = append(callbacks, Missing(callbacks, want.Callbacks())...)
	logout = append(logout, Missing(logout, want.LogoutURLs())...)
	channels = append(channels, Missing(channels, []string{ChannelPush})...)
	return &management.Client{
		IsFirstParty: sdk.Bool(true), OIDCConformant: sdk.Bool(true), TokenEndpointAuthMethod: sdk.String(secretPost),
		GrantTypes: &grants, Callbacks: &callbacks, AllowedLogoutURLs: &logout, AsyncApprovalNotificationChannels: &channels,
		RefreshToken: &management.ClientRefreshToken{
			RotationType: sdk.String(nonRotating), ExpirationType: sdk.String(expiring), Leeway: sdk.Int(0),
			TokenLifetime: sdk.Int(want.RefreshTokenDays * day), IdleTokenLifetime: sdk.Int(want.IdleDays * day),
			InfiniteTokenLifetime: sdk.Bool(false), InfiniteIdleTokenLifetime: sdk.Bool(false), Policies: &policies,
		},
	}
}

func (w *tenants) clientDiff(have *management.Client) (d diff) {
	want := w.File.Auth0.Application
	r := have.GetRefreshToken()
	if r == nil {
		r = &management.ClientRefreshToken{}
	}
	d.set("grants", !sameSet(have.GetGrantTypes(), grantTypes()), "%s", change(have.GetGrantTypes(), grantTypes()))
	d.set("first party", !have.GetIsFirstParty(), "turn on")
	d.set("OIDC conformant", !have.GetOIDCConformant(), "turn on")
	d.set("authentication", have.GetTokenEndpointAuthMethod() != secretPost, "by client secret, posted, instead of %s", cmp.Or(have.GetTokenEndpointAuthMethod(), "another method"))
	d.set("refresh tokens", r.GetRotationType() != nonRotating, "turn rotation off")
	d.set("refresh tokens", r.GetExpirationType() != expiring || r.GetInfiniteTokenLifetime() || r.GetInfiniteIdleTokenLifetime(), "let them expire")
	d.set("refresh tokens", r.GetTokenLifetime() != want.RefreshTokenDays*day || r.GetIdleTokenLifetime() != want.IdleDays*day, "%d days, %d without use", want.RefreshTokenDays, want.IdleDays)
	if more := MissingScopes(r, w.auth0.myAccount()); len(more) > 0 {
		d.set("refresh tokens", true, "make them good for the My Account API, %s", strings.Join(more, ", "))
	}
	d.add("callbacks", Missing(have.GetCallbacks(), want.Callbacks()), ", ")
	d.add("logout URLs", Missing(have.GetAllowedLogoutURLs(), want.LogoutURLs()), ", ")
	d.set("approvals", !slices.Contains(have.GetAsyncApprovalNotificationChannels(), ChannelPush), "add Guardian push")
	return d
}

func change(have, want []string) string {
	var parts []string
	if more := Missing(have, want); len(more) > 0 {
		parts = append(parts, "add "+strings.Join(more, ", "))
	}
	if less := Missing(want, have); len(less) > 0 {
		parts = append(parts, "take away "+strings.Join(less, ", "))
	}
	return strings.Join(parts, "; ")
}

// MissingScopes returns those of [MyAccountScopes] that refresh tokens are not good for; audience is that of the My Account API.
func MissingScopes(r *management.ClientRefreshToken, audience string) []string {
	var have []string
	for _, policy := range deref(r.Policies) {
		if deref(policy.Audience) == audience {
			have = append(have, deref(policy.Scope)...)
		}
	}
	return Missing(have, MyAccountScopes())
}

// planClientSecret carries the application's secret from Auth0 into Secrets Manager; nobody sees it on the way.
func (w *tenants) planClientSecret(ctx context.Context, p *Plan) error {
	read := func(ctx context.Context) (secret.String, error) {
		c, err := w.auth0.Client.Read(ctx, w.auth0.clientID)
		if err != nil {
			return secret.String{}, Explain("Auth0", err)
		}
		if c.GetClientSecret() == "" {
			return secret.String{}, &reach.Problem{Say: "Auth0 does not tell the application's secret: the machine application lacks the scope read:client_keys"}
		}
		return secret.New(c.GetClientSecret()), nil
	}
	var have func(context.Context) (secret.String, error)
	if w.auth0.clientID != "" {
		have = read
	}
	return w.planSecret(ctx, p, "Auth0 client secret", w.File.Auth0.Application.SecretTo, "auth0.application.client_secret_to", have, read)
}

// planSecret compares a secret with what Secrets Manager holds. have reads it now, nil if it does not exist yet; later reads it
// when the step is carried out.
func (w *tenants) planSecret(ctx context.Context, p *Plan, what string, to tenant.Secret, key string, have, later func(context.Context) (secret.String, error)) error {
	step := Step{Resource: fmt.Sprintf("%s in Secrets Manager (%s)", what, to)}
	if to == "" {
		p.note("The %s is not stored anywhere: after `make deploy`, put the secret's name into %s and run `make setup` again, or use `make secrets`.", what, key)
		return nil
	}
	if w.Store == nil {
		step.Action, step.Details = Later, []string{"AWS is not at hand: set AWS_PROFILE and AWS_REGION, or aws.region in steward.yaml"}
		p.add(step)
		return nil
	}
	stored, err := w.Store.Value(ctx, string(to))
	if errors.Is(err, ErrNoSecret) {
		step.Action, step.Details = Later, []string{"the secret does not exist yet: run `make deploy`, then `make setup` again"}
		p.add(step)
		return nil
	}
	if err != nil {
		return Explain("AWS Secrets Manager", err)
	}
	step.Action = Create
	if have != nil {
		value, err := have(ctx)
		if err != nil {
			return err
		}
		switch {
		case value.Equal(stored):
			step.Action = Nothing
		case !stored.IsZero():
			step.Action, step.Details = Update, []string{"the value there is another"}
		}
	} else if !stored.IsZero() {
		step.Action = Update
	}
	step.apply = func(ctx context.Context) error {
		value, err := later(ctx)
		if err != nil {
			return err
		}
		return Explain("AWS Secrets Manager", w.Store.Put(ctx, string(to), value))
	}
	p.add(step)
	return nil
}

// wantedGrants are the APIs that the application asks tokens of for its users.
func (w *tenants) wantedGrants() []*management.ClientGrant {
	scopes := MyAccountScopes()
	all := []*management.ClientGrant{{Audience: sdk.String(w.auth0.myAccount()), Scope: &scopes}}
	if a := w.File.Auth0.Approvals; a.Identifier != "" {
		all = append(all, &management.ClientGrant{Audience: &a.Identifier, Scope: &[]string{}, AuthorizationDetailsTypes: &[]string{a.DetailType}})
	}
	return all
}

func (w *tenants) planGrants(ctx context.Context, p *Plan) error {
	for _, want := range w.wantedGrants() {
		resource := "Auth0 grant for users of " + want.GetAudience()
		if want.GetAudience() == w.auth0.myAccount() {
			resource = "Auth0 grant of the My Account API, for users"
		}
		var have *management.ClientGrant
		if w.auth0.clientID != "" {
			var err error
			if have, err = w.findGrant(ctx, want.GetAudience()); err != nil {
				return err
			}
		}
		if have == nil {
			p.create(resource, want.GetScope(), func(ctx context.Context) error { return w.createGrant(ctx, *want) })
			continue
		}
		scopes := Missing(have.GetScope(), want.GetScope())
		types := Missing(have.GetAuthorizationDetailsTypes(), want.GetAuthorizationDetailsTypes())
		var d diff
		d.add("scopes and types", append(slices.Clone(scopes), types...), ", ")
		p.update(resource, d, func(ctx context.Context) error {
			scopes := append(have.GetScope(), scopes...)
			change := &management.ClientGrant{Scope: &scopes}
			if len(types) > 0 {
				all := append(have.GetAuthorizationDetailsTypes(), types...)
				change.AuthorizationDetailsTypes = &all
			}
			return Explain("Auth0", w.auth0.ClientGrant.Update(ctx, have.GetID(), change))
		})
	}
	return nil
}

func (w *tenants) createGrant(ctx context.Context, g management.ClientGrant) error {
	g.ClientID, g.SubjectType = &w.auth0.clientID, sdk.String("user")
	err := w.auth0.ClientGrant.Create(ctx, &g)
	if status(err) == http.StatusNotFound && g.GetAudience() == w.auth0.myAccount() {
		return &reach.Problem{Say: "the My Account API is not active. Activate it under Applications > APIs (the banner \"MyAccount API\"); no call can do that", Err: err}
	}
	if err != nil {
		return Explain("Auth0", err)
	}
	// Grants posted for users have been seen to come back as grants for clients, so it is read again.
	back, err := w.findGrant(ctx, g.GetAudience())
	if err == nil && back == nil {
		err = &reach.Problem{Say: "Auth0 stored the grant of " + g.GetAudience() + " for the client instead of its users. Set it by hand under Applications > APIs > Application Access, user-delegated"}
	}
	return err
}

// findGrant is the application's grant for users of an API.
func (w *tenants) findGrant(ctx context.Context, audience string) (*management.ClientGrant, error) {
	return UserGrant(ctx, w.auth0.Management, w.auth0.clientID, audience)
}

// UserGrant is an application's grant for users of an API, nil if it has none.
func UserGrant(ctx context.Context, m *management.Management, clientID, audience string) (*management.ClientGrant, error) {
	list, err := m.ClientGrant.List(ctx, management.Parameter("client_id", clientID), management.Parameter("audience", audience))
	if err != nil {
		return nil, Explain("Auth0", err)
	}
	for _, g := range list.ClientGrants {
		if g.GetSubjectType() == "user" && g.GetClientID() == clientID && g.GetAudience() == audience {
			return g, nil
		}
	}
	return nil, nil
}

// planConnection is the OpenID Connect connection to the Okta org. Its options are read, merged and written whole, since a PATCH
// replaces them.
func (w *tenants) planConnection(ctx context.Context, p *Plan) error {
	want := w.File.Auth0.Connection
	have, err := RawConnection(ctx, w.auth0.Management, want.Name)
	if err != nil {
		return err
	}
	key, err := w.Secrets.Get(ctx, want.OktaClientSecret)
	if err != nil {
		return &reach.Problem{Say: "auth0.connection.okta_client_secret: " + err.Error(), Err: err}
	}
	resource := "Auth0 connection " + want.Name + " to " + w.File.Okta.URL.Host
	active := map[string]any{"active": true}
	if have == nil {
		details := []string{"OpenID Connect, back channel, for signing in and for connected accounts", "scopes: " + strings.Join(tenant.ConnectionScopes(), " ")}
		p.create(resource, details, func(ctx context.Context) error {
			made := map[string]any{
				"name": want.Name, "display_name": want.DisplayName, "strategy": management.ConnectionStrategyOIDC,
				"options": w.connectionOptions(nil, key), "authentication": active, "connected_accounts": active,
			}
			if err := w.auth0.Request(ctx, http.MethodPost, w.auth0.URI("connections"), &made); err != nil {
				return Explain("Auth0", err)
			}
			w.auth0.connectionID, _ = made["id"].(string)
			return nil
		})
		return nil
	}
	w.auth0.connectionID = have.ID
	if have.Strategy != management.ConnectionStrategyOIDC {
		return &reach.Problem{Say: fmt.Sprintf("The connection %s in %s is of the kind %q. Token Vault needs one of the kind oidc (Authentication > Enterprise > OpenID Connect), and the kind cannot be changed: give another auth0.connection.name", want.Name, w.auth0.issuer, have.Strategy)}
	}
	if host := have.OktaHost(); host != "" && !strings.EqualFold(host, w.File.Okta.URL.Host) {
		return &reach.Problem{Say: fmt.Sprintf("The connection %s in %s leads to %s, not to %s. It is somebody else's, so it is not touched: give another auth0.connection.name", want.Name, w.auth0.issuer, host, w.File.Okta.URL.Host)}
	}
	options := w.connectionOptions(have.Options, key)
	var d diff
	d.set("for signing in", !have.Authentication.Active, "turn on")
	d.set("for connected accounts (Token Vault)", !have.ConnectedAccounts.Active, "turn on")
	d.add("scopes", Missing(have.Scopes(), tenant.ConnectionScopes()), " ")
	for _, name := range []string{"type", "client_id", "discovery_url", "client_secret"} {
		old, there := have.Options[name]
		if name == "client_secret" && !there { // not told, so it cannot be compared
			continue
		}
		if !reflect.DeepEqual(old, options[name]) {
			d.set(name, true, "%s", map[bool]string{true: "another value", false: fmt.Sprint(options[name])}[name == "client_secret"])
		}
	}
	p.update(resource, d, func(ctx context.Context) error {
		change := map[string]any{"options": options, "authentication": active, "connected_accounts": active}
		return Explain("Auth0", w.auth0.Request(ctx, http.MethodPatch, w.auth0.URI("connections", have.ID), &change))
	})
	return nil
}

// connectionOptions are old options with ours over them; scopes are only ever added.
func (w *tenants) connectionOptions(old map[string]any, key secret.String) map[string]any {
	options := maps.Clone(old)
	if options == nil {
		options = map[string]any{}
	}
	scope, _ := old["scope"].(string)
	scopes := strings.Fields(scope)
	scopes = append(scopes, Missing(scopes, tenant.ConnectionScopes())...)
	org := strings.TrimSuffix(w.File.Okta.URL.String(), "/")
	maps.Copy(options, map[string]any{
		"type": Back, "client_id": w.File.Auth0.Connection.OktaClientID, "client_secret": key.Reveal(),
		"scope": strings.Join(scopes, " "), "discovery_url": org + "/.well-known/openid-configuration",
	})
	// The org authorization server: the only one whose tokens are good for Okta's own API.
	for k, v := range map[string]string{
		"issuer": org, "authorization_endpoint": org + "/oauth2/v1/authorize", "token_endpoint": org + "/oauth2/v1/token",
		"userinfo_endpoint": org + "/oauth2/v1/userinfo", "jwks_uri": org + "/oauth2/v1/keys",
	} {
		if _, there := options[k]; !there {
			options[k] = v
		}
	}
	return options
}

// Connection is a connection with all its options, those that no SDK has a field for included.
type Connection struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	Strategy       string         `json:"strategy"`
	Options        map[string]any `json:"options"`
	Authentication struct {
		Active bool `json:"active"`
	} `json:"authentication"`
	ConnectedAccounts struct {
		Active bool `json:"active"`
	} `json:"connected_accounts"`
}

// Scopes is what the connection asks Okta for.
func (c *Connection) Scopes() []string {
	scope, _ := c.Options["scope"].(string)
	return strings.Fields(scope)
}

// OktaHost is where the connection leads, "" if it does not tell.
func (c *Connection) OktaHost() string {
	for _, name := range []string{"issuer", "discovery_url", "authorization_endpoint"} {
		if text, _ := c.Options[name].(string); text != "" {
			if u, err := url.Parse(text); err == nil && u.Host != "" {
				return u.Host
			}
		}
	}
	return ""
}

// RawConnection finds a connection by name, nil if there is none.
func RawConnection(ctx context.Context, m *management.Management, name string) (*Connection, error) {
	var found []*Connection
	if err := m.Request(ctx, http.MethodGet, m.URI("connections"), &found, management.Parameter("name", name)); err != nil {
		return nil, Explain("Auth0", err)
	}
	for _, c := range found {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, nil
}

// EnabledFor says whether a connection is on for an application.
func EnabledFor(ctx context.Context, m *management.Management, connectionID, clientID string) (bool, error) {
	list, err := m.Connection.ReadEnabledClients(ctx, connectionID, management.Take(100))
	if err != nil {
		return false, Explain("Auth0", err)
	}
	for {
		for _, c := range deref(list.Clients) {
			if c.GetClientID() == clientID {
				return true, nil
			}
		}
		if list.Next == "" {
			return false, nil
		}
		if list, err = m.Connection.ReadEnabledClients(ctx, connectionID, management.Take(100), management.From(list.Next)); err != nil {
			return false, Explain("Auth0", err)
		}
	}
}

func (w *tenants) planEnabled(ctx context.Context, p *Plan) error {
	var d diff
	on := false
	if w.auth0.connectionID != "" && w.auth0.clientID != "" {
		var err error
		if on, err = EnabledFor(ctx, w.auth0.Management, w.auth0.connectionID, w.auth0.clientID); err != nil {
			return err
		}
	}
	d.set("application", !on, "turn on")
	p.update("Auth0 connection "+w.File.Auth0.Connection.Name+", on for the application", d, func(ctx context.Context) error {
		enabled := []management.ConnectionEnabledClient{{ClientID: &w.auth0.clientID, Status: sdk.Bool(true)}}
		return Explain("Auth0", w.auth0.Connection.UpdateEnabledClients(ctx, w.auth0.connectionID, enabled))
	})
	return nil
}

// PushOn says whether Guardian push is on.
func PushOn(ctx context.Context, m *management.Management) (bool, error) {
	factors, err := m.Guardian.MultiFactor.List(ctx)
	if err != nil {
		return false, Explain("Auth0", err)
	}
	return slices.ContainsFunc(factors, func(f *management.MultiFactor) bool { return f.GetName() == "push-notification" && f.GetEnabled() }), nil
}

func (w *tenants) planPush(ctx context.Context, p *Plan) error {
	on, err := PushOn(ctx, w.auth0.Management)
	if err != nil {
		return err
	}
	var d diff
	d.set("push notifications", !on, "turn on")
	p.update("Auth0 Guardian push notifications", d, func(ctx context.Context) error {
		return Explain("Auth0", w.auth0.Guardian.MultiFactor.Push.Enable(ctx, true))
	})
	return nil
}

// planPolicy sets the tenant's MFA policy to Never: Always makes every Token Vault exchange fail with mfa_required.
func (w *tenants) planPolicy(ctx context.Context, p *Plan) error {
	policy, err := w.auth0.Guardian.MultiFactor.Policy(ctx)
	if err != nil {
		return Explain("Auth0", err)
	}
	var details []string
	if all := deref(policy); len(all) > 0 {
		details = []string{
			fmt.Sprintf("Never, instead of %s, for the whole tenant: Token Vault cannot answer a challenge", strings.Join(all, ", ")),
			"(other applications that count on this policy need an Action that asks for MFA)",
		}
	}
	p.update("Auth0 MFA policy", details, func(ctx context.Context) error {
		return Explain("Auth0", w.auth0.Guardian.MultiFactor.UpdatePolicy(ctx, &management.MultiFactorPolicies{}))
	})
	return nil
}
