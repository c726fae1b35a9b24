package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (t *Tenant) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return t.issuer + path }
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	writeCachedJSON(w, map[string]any{
		"issuer":                              t.issuer,
		"authorization_endpoint":              at("authorize"),
		"token_endpoint":                      at("oauth/token"),
		"jwks_uri":                            at(".well-known/jwks.json"),
		"revocation_endpoint":                 at("oauth/revoke"),
		"backchannel_authentication_endpoint": at("bc-authorize"),

		"authorization_response_iss_parameter_supported": t.opts.ResponseIssuer,
		"backchannel_token_delivery_modes_supported":     []string{"poll"},
		"scopes_supported":                      oidcScopes,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "fragment"},
		"subject_types_supported":               []string{"public"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported": []string{
			"aud", "auth_time", "created_at", "email", "email_verified", "exp", "iat", "iss", "name", "nickname", "picture", "sub",
		},
	})
}

// session is a browser that signed in. Its id is the sid claim; the cookie holds another secret.
type session struct {
	sid, sub string
	signedIn time.Time
}

// login is an authorization request waiting on the login page.
type login struct {
	client   *Client
	request  url.Values
	audience string
	scope    []string
	issuer   string // told to the application with the answer (RFC 9207), "" if it is not
	expires  time.Time
}

const (
	sessionCookie = "auth0"
	loginLife     = 10 * time.Minute
)

// authorize is /authorize: 1 the client and its redirect, faults of which are shown here and never redirected; 2 the rest, faults of
// which go to the application; 3 the browser's session, else the login page.
func (t *Tenant) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", "The request cannot be read")
		return
	}
	q := r.Form
	for k, v := range q {
		if len(v) > 1 {
			errorPage(w, http.StatusBadRequest, "invalid_request", "Parameter "+k+" was given more than once")
			return
		}
	}
	c := t.settings.Clients[q.Get("client_id")]
	switch {
	case q.Get("client_id") == "":
		errorPage(w, http.StatusBadRequest, "invalid_request", "Missing required parameter: client_id")
		return
	case c == nil:
		errorPage(w, http.StatusForbidden, "invalid_request", "Unknown client: "+q.Get("client_id"))
		return
	case !slices.Contains(c.Callbacks, q.Get("redirect_uri")):
		errorPage(w, http.StatusForbidden, "unauthorized_client", "Callback URL mismatch. "+q.Get("redirect_uri")+" is not in the list of allowed callback URLs")
		return
	}

	l := &login{client: c, request: q, expires: t.now().Add(loginLife)}
	if t.opts.ResponseIssuer {
		l.issuer = t.issuer
	}
	if fault := t.checkAuthorize(l); fault != nil {
		l.fail(w, r, fault)
		return
	}
	s := t.session(r)
	prompt := strings.Fields(q.Get("prompt"))
	if s != nil && q.Has("max_age") {
		age, err := strconv.Atoi(q.Get("max_age"))
		if err != nil || t.now().Sub(s.signedIn) > time.Duration(age)*time.Second {
			s = nil
		}
	}
	switch {
	case slices.Contains(prompt, "none"):
		if s == nil {
			l.fail(w, r, refuse(0, "login_required", "Login required"))
			return
		}
	case slices.Contains(prompt, "login"), slices.Contains(prompt, "select_account"):
		s = nil
	}
	if s != nil {
		t.redirectWithCode(w, r, l, s)
		return
	}
	state := opaque(24)
	t.state.logins[state] = l
	http.Redirect(w, r, "/u/login?state="+state, http.StatusFound)
}

// checkAuthorize checks what may be answered by redirect, and works out the audience and scopes.
func (t *Tenant) checkAuthorize(l *login) *oauthError {
	q := l.request
	prompt := strings.Fields(q.Get("prompt"))
	scope := strings.Fields(q.Get("scope"))
	switch {
	case q.Get("response_type") == "":
		return missing("response_type")
	case q.Get("response_type") != "code":
		return refuse(0, "unsupported_response_type", "Unsupported response type: "+q.Get("response_type"))
	case q.Has("response_mode") && q.Get("response_mode") != "query" && q.Get("response_mode") != "fragment":
		return refuse(0, "invalid_request", "Unsupported response mode: "+q.Get("response_mode"))
	case !l.client.allows(GrantAuthorizationCode):
		return refuse(0, "unauthorized_client", "Grant type 'authorization_code' not allowed for the client.")
	case q.Has("code_challenge") && q.Get("code_challenge_method") != "S256":
		return refuse(0, "invalid_request", "code_challenge_method must be S256")
	case q.Has("code_challenge") && len(q.Get("code_challenge")) != 43:
		return refuse(0, "invalid_request", "code_challenge must be 43 characters")
	case l.client.public() && !q.Has("code_challenge"):
		return refuse(0, "invalid_request", "Parameter 'code_challenge' is required")
	case slices.Contains(prompt, "none") && len(prompt) > 1:
		return refuse(0, "invalid_request", "prompt none cannot be combined with others")
	case slices.Contains(scope, "online_access") && slices.Contains(scope, "offline_access"):
		return refuse(0, "invalid_request", "Cannot request both online_access and offline_access scopes")
	}
	name := q.Get("connection")
	if name != "" && t.settings.Connections[name] == nil {
		return refuse(0, "invalid_request", "the connection was not found")
	}
	if conn := t.settings.enabled(t.loginConnection(name), l.client); conn == nil || !conn.Authentication.Active {
		return refuse(0, "invalid_request", "the connection is not enabled")
	}
	l.audience = q.Get("audience")
	var fault *oauthError
	l.scope, fault = t.grantable(l.client, l.audience, scope, "user")
	return fault
}

func (t *Tenant) loginConnection(name string) string {
	if name == "" {
		return t.opts.Connection
	}
	return name
}

// fail sends a fault to the application.
func (l *login) fail(w http.ResponseWriter, r *http.Request, fault *oauthError) {
	l.redirect(w, r, url.Values{"error": {fault.Code}, "error_description": {fault.Description}})
}

func (l *login) redirect(w http.ResponseWriter, r *http.Request, answer url.Values) {
	if l.request.Has("state") {
		answer.Set("state", l.request.Get("state"))
	}
	if l.issuer != "" {
		answer.Set("iss", l.issuer)
	}
	separator := "?"
	if l.request.Get("response_mode") == "fragment" {
		separator = "#"
	} else if strings.Contains(l.request.Get("redirect_uri"), "?") {
		separator = "&"
	}
	http.Redirect(w, r, l.request.Get("redirect_uri")+separator+answer.Encode(), http.StatusFound)
}

func (t *Tenant) redirectWithCode(w http.ResponseWriter, r *http.Request, l *login, s *session) {
	q := l.request
	value := opaque(32)
	t.state.codes[value] = &code{
		client: l.client.ID, sub: s.sub, redirectURI: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"),
		audience: l.audience, scope: l.scope, session: s, expires: t.now().Add(codeLife),
		authTime: q.Has("max_age") || q.Get("prompt") == "login",
	}
	l.redirect(w, r, url.Values{"code": {value}})
}

// session finds the signed-in person of a browser.
func (t *Tenant) session(r *http.Request) *session {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	s := t.state.sessions[cookie.Value]
	if s == nil || t.settings.People[s.sub] == nil {
		return nil
	}
	return s
}

// loginPage is where Okta would ask who you are: one button for each person.
func (t *Tenant) loginPage(w http.ResponseWriter, r *http.Request) {
	l := t.login(r.URL.Query().Get("state"))
	if l == nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", "This login has expired. Go back to the application and sign in again.")
		return
	}
	page(w, http.StatusOK, "login", map[string]any{
		"Title": "Sign in with Okta", "State": r.URL.Query().Get("state"), "Client": l.client.Name, "People": t.people(),
		"Hint": l.request.Get("login_hint"),
	})
}

func (t *Tenant) login(state string) *login {
	l := t.state.logins[state]
	if l == nil || !t.now().Before(l.expires) {
		return nil
	}
	return l
}

// signIn is a press on one of the login page's buttons.
func (t *Tenant) signIn(w http.ResponseWriter, r *http.Request) {
	l := t.login(r.PostFormValue("state"))
	if l == nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", "This login has expired. Go back to the application and sign in again.")
		return
	}
	if r.PostFormValue("decision") == "cancel" {
		delete(t.state.logins, r.PostFormValue("state"))
		l.fail(w, r, refuse(0, "access_denied", "The end-user denied the request"))
		return
	}
	p := t.settings.byEmail(r.PostFormValue("person"))
	if p == nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", "Nobody has that e-mail address")
		return
	}
	delete(t.state.logins, r.PostFormValue("state"))
	s := &session{sid: opaque(24), sub: p.Sub, signedIn: t.now()}
	cookie := opaque(32)
	t.state.sessions[cookie] = s
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure but for plain HTTP on this computer
		Name: sessionCookie, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(t.issuer, "https:"),
	})
	t.redirectWithCode(w, r, l, s)
}

// people lists everybody by e-mail address.
func (t *Tenant) people() []*Person {
	var all []*Person
	for _, p := range t.settings.People {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Person) int { return strings.Compare(a.Email, b.Email) })
	return all
}
