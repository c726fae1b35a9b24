package auth0test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	idTokenLife = 10 * time.Hour
	userinfo24h = 24 * time.Hour // life of a token that is only good for /userinfo
	codeLife    = 10 * time.Minute
	liveTokens  = 200 // refresh tokens of one person in one application; the oldest go
)

var oidcScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// tokens is a good answer of the token endpoint.
type tokens struct {
	AccessToken          string          `json:"access_token"`
	RefreshToken         string          `json:"refresh_token,omitempty"`
	IDToken              string          `json:"id_token,omitempty"`
	IssuedTokenType      string          `json:"issued_token_type,omitempty"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	Scope                string          `json:"scope,omitempty"`
	ExpiresIn            int             `json:"expires_in"`
	TokenType            string          `json:"token_type"`
}

// code is an authorization code waiting to be redeemed.
type code struct {
	client, sub, redirectURI, challenge, nonce string
	audience                                   string
	scope                                      []string
	session                                    *session
	authTime                                   bool // the ID token carries auth_time
	expires                                    time.Time
	used                                       bool
}

// refreshToken is a refresh token and its place in a family: a rotation revokes its parent, a reuse revokes the whole family.
type refreshToken struct {
	family           *family
	id               string
	client, sub, sid string
	audience         string
	scope            []string
	issued, lastUsed time.Time
	replaced         time.Time // when it was rotated away
	successor        *refreshToken
}

type family struct {
	started time.Time
	revoked bool
}

type opaqueToken struct {
	sub     string
	scope   []string
	expires time.Time
}

// token is POST /oauth/token, with a form or JSON whatever the grant (auth0-python polls with JSON): 1 read the body, 2 who is calling, 3 may it use this grant, 4 the grant itself.
func (t *Tenant) token(w http.ResponseWriter, r *http.Request) {
	answer, fault := t.grant(r)
	if fault != nil {
		fault.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (t *Tenant) grant(r *http.Request) (*tokens, *oauthError) {
	form, fault := readForm(r)
	if fault != nil {
		return nil, fault
	}
	grants := map[string]func(*Client, url.Values) (*tokens, *oauthError){
		GrantAuthorizationCode: t.redeemCode,
		GrantRefreshToken:      t.refresh,
		GrantTokenVault:        t.exchange,
		GrantCIBA:              t.poll,
		GrantClientCredentials: t.clientCredentials,
	}
	name := form.Get("grant_type")
	if name == "" {
		return nil, missing("grant_type")
	}
	serve, ok := grants[name]
	if !ok {
		return nil, refuse(400, "unsupported_grant_type", "Unsupported grant type: "+name)
	}
	client, fault := t.authenticate(r, form)
	if fault != nil {
		return nil, fault
	}
	if fault := t.allowed(client, name); fault != nil {
		return nil, fault
	}
	return serve(client, form)
}

func readForm(r *http.Request) (url.Values, *oauthError) {
	body, err := io.ReadAll(r.Body) // ServeHTTP has limited and buffered it
	if err != nil {
		return nil, refuse(400, "invalid_request", "The body cannot be read")
	}
	return parseBody(r.Header.Get("Content-Type"), body)
}

func (t *Tenant) redeemCode(c *Client, form url.Values) (*tokens, *oauthError) {
	if form.Get("code") == "" {
		return nil, missing("code")
	}
	invalid := refuse(403, "invalid_grant", "Invalid authorization code")
	got := t.state.codes[form.Get("code")]
	if got == nil || got.client != c.ID || got.used || !t.now().Before(got.expires) {
		return nil, invalid
	}
	if form.Get("redirect_uri") != got.redirectURI {
		return nil, refuse(403, "invalid_grant", "The redirect URI is wrong. You sent "+form.Get("redirect_uri")+", and we expected "+got.redirectURI)
	}
	if got.challenge != "" && !proves(form.Get("code_verifier"), got.challenge) {
		return nil, refuse(403, "invalid_grant", "Failed to verify code verifier")
	}
	if c.public() && got.challenge == "" {
		return nil, invalid
	}
	got.used = true
	person := t.settings.People[got.sub]
	if person == nil {
		return nil, invalid
	}
	answer := t.issue(c, person, got.audience, got.scope, got.session.sid, nil)
	if slices.Contains(got.scope, "openid") {
		answer.IDToken = t.idToken(c, person, got.scope, got.session, got.nonce, got.authTime)
	}
	if slices.Contains(got.scope, "offline_access") {
		answer.RefreshToken = t.newRefreshToken(c, person, got.audience, got.scope, got.session.sid)
	}
	return answer, nil
}

// proves checks an RFC 7636 verifier of legal shape against an S256 challenge.
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// liveRefreshToken finds a refresh token that is good now, for this client.
func (t *Tenant) liveRefreshToken(c *Client, token string) (*refreshToken, *oauthError) {
	invalid := refuse(403, "invalid_grant", "Unknown or invalid refresh token.")
	rt := t.state.refresh[token]
	if token == "" || rt == nil || rt.client != c.ID || rt.family.revoked {
		return nil, invalid
	}
	now, policy := t.now(), c.RefreshToken
	if policy.ExpirationType == "expiring" {
		absolute := !policy.InfiniteTokenLifetime && !now.Before(rt.family.started.Add(time.Duration(policy.TokenLifetime)*time.Second))
		idle := !policy.InfiniteIdleTokenLifetime && !now.Before(rt.lastUsed.Add(time.Duration(policy.IdleTokenLifetime)*time.Second))
		if absolute || idle {
			return nil, invalid
		}
	}
	if !rt.replaced.IsZero() { // rotated away: good only inside the leeway, and only while its successor is the newest
		leeway := time.Duration(policy.Leeway) * time.Second
		if !now.Before(rt.replaced.Add(leeway)) || !rt.successor.replaced.IsZero() {
			rt.family.revoked = true
			return nil, invalid
		}
	}
	if t.settings.People[rt.sub] == nil {
		return nil, refuse(403, "invalid_grant", "The refresh_token was generated for a user who doesn't exist anymore.")
	}
	return rt, nil
}

func (t *Tenant) refresh(c *Client, form url.Values) (*tokens, *oauthError) {
	if form.Get("refresh_token") == "" {
		return nil, missing("refresh_token")
	}
	rt, fault := t.liveRefreshToken(c, form.Get("refresh_token"))
	if fault != nil {
		return nil, fault
	}
	asked := strings.Fields(form.Get("scope"))
	audience, scope := rt.audience, rt.scope
	if other := form.Get("audience"); other != "" && other != rt.audience {
		if audience, scope, fault = t.otherAudience(c, other, asked); fault != nil {
			return nil, fault
		}
	} else if len(asked) > 0 {
		scope = intersect(asked, rt.scope)
	}

	person := t.settings.People[rt.sub]
	answer := t.issue(c, person, audience, scope, rt.sid, nil)
	if slices.Contains(scope, "openid") {
		answer.IDToken = t.idToken(c, person, scope, &session{sid: rt.sid}, "", false)
	}
	rt.lastUsed = t.now()
	if c.RefreshToken.RotationType == "rotating" {
		next := *rt
		next.id = id("rt_")
		next.issued, next.replaced, next.successor = t.now(), time.Time{}, nil
		rt.replaced, rt.successor = cmp.Or(rt.replaced, t.now()), &next
		answer.RefreshToken = "v1." + opaque(32)
		t.state.refresh[answer.RefreshToken] = &next
	}
	return answer, nil
}

// otherAudience is the multi-resource refresh token: scopes outside the policy or the client grant are left out without a word.
func (t *Tenant) otherAudience(c *Client, audience string, asked []string) (string, []string, *oauthError) {
	invalid := refuse(400, "invalid_target", "The requested audience is not allowed for this refresh token")
	at := slices.IndexFunc(c.RefreshToken.Policies, func(p AudiencePolicy) bool { return p.Audience == audience })
	if at < 0 || !c.IsFirstParty || audience == t.absolute(ManagementAPI) {
		return "", nil, invalid
	}
	policy := c.RefreshToken.Policies[at]
	if len(asked) == 0 {
		asked = policy.Scope
	}
	scope, fault := t.grantable(c, audience, intersect(asked, policy.Scope), "user")
	return audience, scope, fault
}

func (t *Tenant) clientCredentials(c *Client, form url.Values) (*tokens, *oauthError) {
	audience := form.Get("audience")
	if audience == "" {
		return nil, refuse(403, "access_denied", "No audience parameter was provided, and no default audience has been configured")
	}
	asked := strings.Fields(form.Get("scope"))
	if len(asked) == 0 {
		if api := t.settings.APIs[audience]; api != nil {
			asked = api.values()
		}
	}
	scope, fault := t.grantable(c, audience, asked, "client")
	if fault != nil {
		return nil, fault
	}
	api := t.settings.APIs[audience]
	claims := t.accessClaims(c, api, c.ID+"@clients", scope)
	claims["gty"] = "client-credentials"
	return &tokens{
		AccessToken: t.sign("JWT", claims), Scope: strings.Join(scope, " "), ExpiresIn: api.TokenLifetime, TokenType: "Bearer",
	}, nil
}

// grantable cuts the asked scopes down to what the client may have for an API. Without an API only OpenID Connect's own are left.
func (t *Tenant) grantable(c *Client, audience string, asked []string, subjectType string) ([]string, *oauthError) {
	var known []string
	if subjectType == "user" {
		known = slices.Clone(oidcScopes)
	}
	offline := c.allows(GrantRefreshToken)
	if audience != "" {
		api := t.settings.APIs[audience]
		if api == nil {
			return nil, refuse(403, "access_denied", "Service not found: "+audience)
		}
		offline = offline && api.AllowOfflineAccess
		policy := api.SubjectTypes.Client.Policy
		if subjectType == "user" {
			policy = api.SubjectTypes.User.Policy
		}
		grant := t.settings.grant(c.ID, audience, subjectType)
		switch {
		case policy == DenyAll, policy == RequireClientGrant && grant == nil:
			return nil, refuse(403, "access_denied", `Client "`+c.ID+`" is not authorized to access resource server "`+audience+`".`)
		case policy == RequireClientGrant:
			known = append(known, intersect(grant.Scope, api.values())...)
		default:
			known = append(known, api.values()...)
		}
	}
	if !offline {
		known = slices.DeleteFunc(known, func(s string) bool { return s == "offline_access" })
	}
	return intersect(asked, known), nil
}

// issue makes the access token of a person: opaque without an audience, a JWT with one.
func (t *Tenant) issue(c *Client, p *Person, audience string, scope []string, sid string, details json.RawMessage) *tokens {
	answer := &tokens{Scope: strings.Join(scope, " "), TokenType: "Bearer", AuthorizationDetails: details}
	api := t.settings.APIs[audience]
	if api == nil {
		answer.AccessToken, answer.ExpiresIn = opaque(24), int(userinfo24h.Seconds())
		t.state.opaque[answer.AccessToken] = &opaqueToken{sub: p.Sub, scope: scope, expires: t.now().Add(userinfo24h)}
		return answer
	}
	claims := t.accessClaims(c, api, p.Sub, scope)
	if sid != "" {
		claims["sid"] = sid
	}
	if details != nil {
		claims["authorization_details"] = details
	}
	answer.AccessToken, answer.ExpiresIn = t.sign("JWT", claims), api.TokenLifetime
	return answer
}

func (t *Tenant) accessClaims(c *Client, api *ResourceServer, sub string, scope []string) map[string]any {
	now := t.now()
	claims := map[string]any{
		"iss": t.issuer, "sub": sub, "aud": api.Identifier, "azp": c.ID, "iat": now.Unix(),
		"exp": now.Add(time.Duration(api.TokenLifetime) * time.Second).Unix(), "scope": strings.Join(scope, " "),
	}
	if slices.Contains(scope, "openid") {
		claims["aud"] = []string{api.Identifier, t.issuer + "userinfo"}
	}
	return claims
}

func (a *ResourceServer) values() []string {
	var all []string
	for _, s := range a.Scopes {
		all = append(all, s.Value)
	}
	return all
}

// idToken makes an ID token. Back-channel tokens have neither nonce nor session.
func (t *Tenant) idToken(c *Client, p *Person, scope []string, s *session, nonce string, authTime bool) string {
	now := t.now()
	claims := profile(p, scope)
	for k, v := range p.Claims {
		claims[k] = v
	}
	claims["iss"], claims["sub"], claims["aud"] = t.issuer, p.Sub, c.ID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(idTokenLife).Unix()
	if s != nil && s.sid != "" {
		claims["sid"] = s.sid
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if authTime {
		claims["auth_time"] = s.signedIn.Unix()
	}
	return t.sign("JWT", claims)
}

// profile is what a scope tells about a person; updated_at is a string, not a number.
func profile(p *Person, scope []string) map[string]any {
	claims := map[string]any{"sub": p.Sub}
	if slices.Contains(scope, "profile") {
		nickname, _, _ := strings.Cut(p.Email, "@")
		claims["nickname"], claims["updated_at"] = nickname, "2026-08-01T09:00:00.000Z"
		if p.Name != "" {
			claims["name"] = p.Name
		}
		if p.Picture != "" {
			claims["picture"] = p.Picture
		}
	}
	if slices.Contains(scope, "email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, p.EmailVerified
	}
	return claims
}

func (t *Tenant) newRefreshToken(c *Client, p *Person, audience string, scope []string, sid string) string {
	now := t.now()
	rt := &refreshToken{
		id: id("rt_"), family: &family{started: now}, client: c.ID, sub: p.Sub, sid: sid, audience: audience, scope: scope, issued: now, lastUsed: now,
	}
	var live []*refreshToken
	for _, other := range t.state.refresh {
		if other.client == c.ID && other.sub == p.Sub && !other.family.revoked && other.replaced.IsZero() {
			live = append(live, other)
		}
	}
	if len(live) >= liveTokens {
		slices.SortFunc(live, func(a, b *refreshToken) int { return a.issued.Compare(b.issued) })
		for _, old := range live[:len(live)-liveTokens+1] {
			old.family.revoked = true
		}
	}
	token := "v1." + opaque(32)
	t.state.refresh[token] = rt
	return token
}

// revoke is RFC 7009: 200 for a dead or unknown token too.
func (t *Tenant) revoke(w http.ResponseWriter, r *http.Request) {
	form, fault := readForm(r)
	if fault != nil {
		fault.write(w)
		return
	}
	c, fault := t.authenticate(r, form)
	if fault == nil && form.Get("token") == "" {
		fault = missing("token")
	}
	if fault != nil {
		fault.write(w)
		return
	}
	if rt := t.state.refresh[form.Get("token")]; rt != nil && rt.client == c.ID {
		rt.family.revoked = true
	}
	w.WriteHeader(http.StatusOK)
}

// RevokeRefreshTokens kills every refresh token of a person, as an administrator would.
func (t *Tenant) RevokeRefreshTokens(sub string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.revokeAll(func(rt *refreshToken) bool { return rt.sub == sub })
}

func (t *Tenant) revokeAll(which func(*refreshToken) bool) {
	for _, rt := range t.state.refresh {
		if which(rt) {
			rt.family.revoked = true
		}
	}
}

// intersect keeps what is asked and known, once, in the order asked.
func intersect(asked, known []string) []string {
	kept := []string{}
	for _, s := range asked {
		if slices.Contains(known, s) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
