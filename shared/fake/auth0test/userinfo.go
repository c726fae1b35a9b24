package auth0test

import (
	"net/http"
	"slices"
	"strings"
)

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

func (t *Tenant) endBrowserSession(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		delete(t.state.sessions, cookie.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(t.issuer, "https:")}) //nolint:gosec // Secure but for plain HTTP on this computer
}
