package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// There is no default key. Without the setting the function does not start. With an unusable key nobody can sign in or connect
// Okta: no cookie is set and no code or token is redeemed, and the page says that the cause is an error of Steward.
func TestWithoutAKeyNobodySignsIn(t *testing.T) {
	for key, says := range map[string]string{"empty-key": "the secret empty-key has no value yet", "short-key": "the key that seals sign-ins cannot be used"} {
		t.Run(key, func(t *testing.T) {
			w := begin(t)
			b := w.browser().signIn(alice)
			callback := b.authorize(b.location(b.get("/login")), alice)
			env := maps.Clone(w.env)
			env["TOKEN_KEY_SECRET_ARN"] = w.aws.SecretARN(key)
			app := w.process(env)
			before := len(w.auth0.Requests())
			for _, path := range []string{"/login", "/connect", strings.TrimPrefix(callback, w.base)} {
				r := httptest.NewRequest(http.MethodGet, w.base+path, nil)
				for _, c := range b.jar.Cookies(r.URL) {
					r.AddCookie(c)
				}
				got := httptest.NewRecorder()
				app.ServeHTTP(got, r)
				if body := got.Body.String(); got.Code != http.StatusInternalServerError || !strings.Contains(body, says) || !strings.Contains(body, `data-testid="ref"`) {
					t.Errorf("%s: got %d %s", r.URL.Path, got.Code, body)
				}
				for _, c := range got.Result().Cookies() {
					if c.Value != "" {
						t.Errorf("%s sets the cookie %s", r.URL.Path, c.Name)
					}
				}
			}
			for _, r := range w.auth0.Requests()[before:] {
				if r.Method != http.MethodGet {
					t.Errorf("Auth0 got %s %s", r.Method, r.Path)
				}
			}
		})
	}
	w := begin(t)
	delete(w.env, "TOKEN_KEY_SECRET_ARN")
	if _, err := parseConfig(lookup(w.env)); err == nil || !strings.Contains(err.Error(), "TOKEN_KEY_SECRET_ARN: ") {
		t.Errorf("without the setting: %v", err)
	}
}
