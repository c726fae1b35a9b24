package fgatest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/secret"
)

// TokenPath is where an [Issuer] is served.
const TokenPath = "/oauth/token" //nolint:gosec // a path

// Issuer stands for the token endpoint of Auth0 FGA: client credentials, the client id and secret in HTTP Basic, in a form
// or in JSON, the audience compared to the letter. It refuses a wrong client with 401 access_denied and a wrong
// audience with 403, as Auth0 does. Its tokens are opaque and end when they say.
type Issuer struct {
	ClientID     string
	ClientSecret secret.String
	Audience     string           // with the slash at its end
	Lifetime     time.Duration    // 0 is a day
	Now          func() time.Time // nil is time.Now

	faults.Engine

	mu     sync.Mutex
	tokens map[string]time.Time // token to its end
}

// ServeHTTP answers POST [TokenPath].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.Wrap(faults.FGA, http.HandlerFunc(i.serve)).ServeHTTP(w, r)
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.Method != http.MethodPost {
		refuse(w, http.StatusNotFound, "not_found", "Not Found")
		return
	}
	var in struct {
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Audience     string `json:"audience"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
			refuse(w, http.StatusBadRequest, "invalid_request", "Invalid JSON")
			return
		}
	} else {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		in.GrantType, in.Audience = r.PostFormValue("grant_type"), r.PostFormValue("audience")
		in.ClientID, in.ClientSecret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id, password, ok := r.BasicAuth(); ok {
		in.ClientID, in.ClientSecret = id, password
	}
	switch {
	case in.GrantType != "client_credentials":
		refuse(w, http.StatusForbidden, "unsupported_grant_type", "Unsupported grant type: "+in.GrantType)
	case in.ClientID != i.ClientID || !i.ClientSecret.Equal(secret.New(in.ClientSecret)):
		refuse(w, http.StatusUnauthorized, "access_denied", "Unauthorized")
	case in.Audience != i.Audience:
		refuse(w, http.StatusForbidden, "access_denied", "Service not enabled within domain: "+in.Audience)
	default:
		life := i.Lifetime
		if life == 0 {
			life = 24 * time.Hour
		}
		if i.tokens == nil {
			i.tokens = map[string]time.Time{}
		}
		token := "fga-" + rand.Text()
		i.tokens[token] = i.now().Add(life)
		w.Header().Set("Cache-Control", "no-store")
		answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(life / time.Second)})
	}
}

// Guard lets calls with a good bearer token through to next. A bad one is refused always, none only if required.
func (i *Issuer) Guard(next http.Handler, required bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case r.URL.Path == "/healthz":
		case ok && !i.good(token):
			fail(w, http.StatusUnauthorized, "auth_failed_invalid_bearer_token", "invalid bearer token")
			return
		case !ok && required:
			fail(w, http.StatusUnauthorized, "bearer_token_missing", "missing bearer token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Revoke ends every token given out so far, which no client can know of.
func (i *Issuer) Revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.tokens)
}

// Calls is how often the token endpoint was called, refusals included.
func (i *Issuer) Calls() int { return len(i.Requests()) }

func (i *Issuer) good(token string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	end, ok := i.tokens[token]
	return ok && i.now().Before(end)
}

func (i *Issuer) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}

// refuse answers as an OAuth token endpoint.
func refuse(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]any{"error": code, "error_description": description})
}

// fail answers as the OpenFGA API.
func fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"code": code, "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
