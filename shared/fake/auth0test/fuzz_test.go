package auth0test_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

// Whatever a stranger posts, the tenant answers with a refusal, and never falls over.
func FuzzPost(f *testing.F) {
	o := options()
	o.Issuer = "https://acme.us.auth0.test/"
	fake := auth0test.New(o)
	const urlencoded = "application/x-www-form-urlencoded"
	creds := "client_id=" + clientID + "&client_secret=" + secret
	f.Add("/oauth/token", urlencoded, creds+"&grant_type=authorization_code&code=x")
	f.Add("/oauth/token", "application/json", `{"grant_type":["x"],"client_id":7}`)
	f.Add("/oauth/token", urlencoded, "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type=x")
	f.Add("/bc-authorize", urlencoded, creds+`&scope=openid&binding_message=x&login_hint={"format":"iss_sub","iss":1}`)
	f.Add("/bc-authorize", urlencoded, creds+`&scope=openid&binding_message=x&login_hint={"format":"iss_sub","iss":"https://acme.us.auth0.test/","sub":"`+aliceSub+`"}&audience=`+api+`&authorization_details=[{"type":{}}]`)
	f.Add("/authorize", urlencoded, "client_id="+clientID+"&redirect_uri="+callback+"&response_type=code&max_age=x")
	f.Add("/oidc/logout", urlencoded, "id_token_hint=a.b.c")
	f.Add("/me/v1/connected-accounts/connect", "application/json", "{}")
	f.Add("/api/v2/clients", "application/json", "[]")
	f.Fuzz(func(t *testing.T, path, contentType, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " %?#\x00") {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://acme.us.auth0.test/", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		fake.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s answered %d", path, w.Code)
		}
	})
}
