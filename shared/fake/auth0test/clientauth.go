package auth0test

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
)

// authenticate finds the client that sent a request: client_secret_post or client_secret_basic, one of them only. A public client
// names itself.
func (t *Tenant) authenticate(r *http.Request, form url.Values) (*Client, *oauthError) {
	name, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" {
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
	if name == "" {
		return nil, missing("client_id")
	}
	c := t.settings.Clients[name]
	switch {
	case c == nil:
		return nil, t.unauthorized()
	case c.public():
	case secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) == 0:
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

// allowed refuses a grant type the client does not have, and what no public client may do.
func (t *Tenant) allowed(c *Client, grant string) *oauthError {
	confidentialOnly := []string{GrantTokenVault, GrantCIBA, GrantClientCredentials}
	if !c.allows(grant) || (c.public() && slices.Contains(confidentialOnly, grant)) {
		return refuse(403, "unauthorized_client", "Grant type '"+grant+"' not allowed for the client.")
	}
	trusted := c.OIDCConformant && c.IsFirstParty
	if (grant == GrantTokenVault || grant == GrantCIBA) && !trusted {
		return refuse(403, "unauthorized_client", "Grant type '"+grant+"' not allowed for the client.")
	}
	return nil
}
