package auth0test

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate finds the client that sent a request: client_secret_post, client_secret_basic or private_key_jwt, one of them only. A
// public client names itself.
func (t *Tenant) authenticate(r *http.Request, form url.Values) (*Client, *oauthError) {
	name, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" || form.Get("client_assertion") != "" {
			return nil, refuse(400, "invalid_request", "Only one client authentication method may be used")
		}
		var err1, err2 error // RFC 6749 2.3.1: both halves are form-encoded
		user, err1 = url.QueryUnescape(user)
		password, err2 = url.QueryUnescape(password)
		if err1 != nil || err2 != nil || (name != "" && name != user) {
			return nil, t.unauthorized()
		}
		name, secret = user, password
	}
	assertion := form.Get("client_assertion")
	if name == "" && assertion != "" {
		name = assertionIssuer(assertion)
	}
	if name == "" {
		return nil, missing("client_id")
	}
	c := t.settings.Clients[name]
	switch {
	case c == nil:
		return nil, t.unauthorized()
	case assertion != "":
		if form.Get("client_assertion_type") != assertionType || secret != "" || !t.asserted(c, assertion) {
			return nil, t.unauthorized()
		}
	case c.public():
	case len(c.Keys) > 0 || secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) == 0:
		return nil, t.unauthorized()
	}
	return c, nil
}

func (t *Tenant) unauthorized() *oauthError {
	if t.opts.InvalidClient {
		return refuse(401, "invalid_client", "Client authentication failed")
	}
	return refuse(401, "access_denied", "Unauthorized")
}

var assertionAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256}

func assertionIssuer(assertion string) string {
	parsed, err := jwt.ParseSigned(assertion, assertionAlgs)
	if err != nil {
		return ""
	}
	var claims jwt.Claims
	_ = parsed.UnsafeClaimsWithoutVerification(&claims) // only to look up the key; asserted verifies
	return claims.Issuer
}

// asserted verifies a private_key_jwt assertion (RFC 7523): at most five minutes ahead, aud the issuer, jti used once, 10 s of skew.
func (t *Tenant) asserted(c *Client, assertion string) bool {
	if len(assertion) > 2048 {
		return false
	}
	parsed, err := jwt.ParseSigned(assertion, assertionAlgs)
	if err != nil {
		return false
	}
	for _, key := range c.Keys {
		var claims jwt.Claims
		if parsed.Claims(key, &claims) != nil {
			continue
		}
		now := t.now()
		err := claims.ValidateWithLeeway(jwt.Expected{Issuer: c.ID, Subject: c.ID, AnyAudience: jwt.Audience{t.issuer}, Time: now}, 10*time.Second)
		if err != nil || claims.Expiry == nil || claims.Expiry.Time().After(now.Add(5*time.Minute+10*time.Second)) || claims.ID == "" || len(claims.ID) > 64 {
			return false
		}
		if _, used := t.state.jti[claims.ID]; used {
			return false
		}
		t.state.jti[claims.ID] = claims.Expiry.Time()
		return true
	}
	return false
}

// allowed refuses a grant type the client does not have, and what no public client may do.
func (t *Tenant) allowed(c *Client, grant string) *oauthError {
	confidentialOnly := []string{GrantTokenVault, GrantCIBA, GrantClientCredentials}
	if !c.allows(grant) || (c.public() && slices.Contains(confidentialOnly, grant)) {
		return refuse(403, "unauthorized_client", "Grant type '"+grant+"' not allowed for the client.")
	}
	trusted := c.OIDCConformant && (c.IsFirstParty || c.AppType == "resource_server")
	if (grant == GrantTokenVault || grant == GrantCIBA) && !trusted {
		return refuse(403, "unauthorized_client", "Grant type '"+grant+"' not allowed for the client.")
	}
	return nil
}
