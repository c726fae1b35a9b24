package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// userinfo answers for opaque tokens and for JWTs whose audience names it too.
func (t *Tenant) userinfo(w http.ResponseWriter, r *http.Request) {
	sub, scope := t.bearer(r)
	p := t.settings.People[sub]
	if p == nil || !slices.Contains(scope, "openid") {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, refuse(401, "invalid_token", "The access token is invalid"))
		return
	}
	writeJSON(w, http.StatusOK, profile(p, scope))
}

// bearer is whom a request's access token stands for at /userinfo.
func (t *Tenant) bearer(r *http.Request) (sub string, scope []string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", nil
	}
	if o := t.state.opaque[token]; o != nil && t.now().Before(o.expires) {
		return o.sub, o.scope
	}
	claims, ok := t.verify(token, false)
	if !ok || !hasAudience(claims, t.issuer+"userinfo") {
		return "", nil
	}
	s, _ := claims["sub"].(string)
	all, _ := claims["scope"].(string)
	return s, strings.Fields(all)
}

func hasAudience(claims map[string]any, want string) bool {
	switch aud := claims["aud"].(type) {
	case string:
		return aud == want
	case []any:
		return slices.Contains(aud, any(want))
	}
	return false
}

// logout is /v2/logout: the URL must be on the client's list; without a client there is no tenant-wide list here, so it is refused.
func (t *Tenant) logout(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	target := q.Get("returnTo")
	c := t.settings.Clients[q.Get("client_id")]
	if c != nil && target == "" && len(c.AllowedLogoutURLs) > 0 {
		target = c.AllowedLogoutURLs[0]
	}
	if (q.Has("client_id") && c == nil) || (target != "" && (c == nil || !slices.Contains(c.AllowedLogoutURLs, target))) {
		errorPage(w, http.StatusBadRequest, "invalid_request", "The returnTo URL is not in the list of allowed logout URLs")
		return
	}
	t.endBrowserSession(w, r)
	if target == "" {
		page(w, http.StatusOK, "message", map[string]any{"Title": "Signed out", "Text": "You are signed out."})
		return
	}
	http.Redirect(w, r, target, http.StatusFound) //nolint:gosec // on the client's list
}

// endSession is /oidc/logout, OpenID Connect RP-Initiated Logout 1.0: without a hint that fits the session the person is asked first.
func (t *Tenant) endSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", "The request cannot be read")
		return
	}
	q := r.Form
	clientID, sid := q.Get("client_id"), q.Get("logout_hint")
	if hint := q.Get("id_token_hint"); hint != "" {
		claims, ok := t.verify(hint, true)
		if !ok {
			errorPage(w, http.StatusBadRequest, "invalid_request", "id_token_hint is not valid")
			return
		}
		aud, _ := claims["aud"].(string)
		hinted, _ := claims["sid"].(string)
		if (clientID != "" && clientID != aud) || (sid != "" && sid != hinted) {
			errorPage(w, http.StatusBadRequest, "invalid_request", "The hints are of different sessions")
			return
		}
		clientID, sid = aud, hinted
	}
	c := t.settings.Clients[clientID]
	target := q.Get("post_logout_redirect_uri")
	if (clientID != "" && c == nil) || (target != "" && (c == nil || !slices.Contains(c.AllowedLogoutURLs, target))) {
		errorPage(w, http.StatusBadRequest, "invalid_request", "The post_logout_redirect_uri is not in the list of allowed logout URLs")
		return
	}
	confirmed := r.Method == http.MethodPost && q.Get("confirmed") == "yes" && t.guard.Check(r) == nil
	if s := t.session(r); s != nil && s.sid != sid && !confirmed {
		page(w, http.StatusOK, "logout", map[string]any{"Title": "Sign out?", "Fields": flat(q)})
		return
	}
	t.endBrowserSession(w, r)
	if target == "" {
		page(w, http.StatusOK, "message", map[string]any{"Title": "Signed out", "Text": "You are signed out."})
		return
	}
	if q.Has("state") {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + url.Values{"state": {q.Get("state")}}.Encode()
	}
	http.Redirect(w, r, target, http.StatusFound) //nolint:gosec // on the client's list
}

func (t *Tenant) endBrowserSession(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		delete(t.state.sessions, cookie.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(t.issuer, "https:")}) //nolint:gosec // Secure but for plain HTTP on this computer
}

func flat(q url.Values) map[string]string {
	m := map[string]string{}
	for k := range q {
		m[k] = q.Get(k)
	}
	return m
}
