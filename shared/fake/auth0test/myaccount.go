package auth0test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const linkLife = 300 * time.Second

// link is one connected-account flow: started by the app, consented to in the browser, completed by the app.
type link struct {
	authSession, ticket, connectCode string
	client, sub                      string
	conn                             *Connection
	scopes                           []string
	redirectURI, state, challenge    string
	provider                         *Person // who consented at Okta
	expires                          time.Time
	opened, done                     bool
}

// caller is whose token and which client a My Account request came with.
type caller struct {
	person *Person
	client *Client
}

// problem is an error body of the My Account API.
type problem struct {
	Type       string       `json:"type"`
	Status     int          `json:"status"`
	Title      string       `json:"title"`
	Detail     string       `json:"detail"`
	Validation []fieldFault `json:"validation_errors,omitempty"`
}

type fieldFault struct {
	Detail  string `json:"detail"`
	Field   string `json:"field,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	Source  string `json:"source,omitempty"`
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller went away: nobody left to tell
}

func newProblem(status int, code, detail string) *problem {
	return &problem{
		Type: "https://auth0.com/api-errors/" + code, Status: status, Title: http.StatusText(status), Detail: detail,
	}
}

func invalidField(field, detail string) *problem {
	p := newProblem(400, "A0E-400-0003", "Validation errors")
	p.Validation = []fieldFault{{Detail: detail, Field: field, Pointer: "/" + field, Source: "body"}}
	return p
}

// me lets a request through whose bearer token is for the My Account API and has the scope.
func (t *Tenant) me(scope string, next func(http.ResponseWriter, *http.Request, caller) *problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, fault := t.myAccountCaller(r, scope)
		if fault == nil {
			fault = next(w, r, c)
		}
		if fault != nil {
			fault.write(w)
		}
	}
}

func (t *Tenant) myAccountCaller(r *http.Request, scope string) (caller, *problem) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return caller{}, newProblem(401, "A0E-401-0001", "Missing or malformed bearer token")
	}
	claims, ok := t.verify(token)
	if !ok || !hasAudience(claims, t.absolute(MyAccount)) {
		return caller{}, newProblem(401, "A0E-401-0003", "Invalid Token")
	}
	sub, _ := claims["sub"].(string)
	azp, _ := claims["azp"].(string)
	granted, _ := claims["scope"].(string)
	c := caller{t.settings.People[sub], t.settings.Clients[azp]}
	if c.person == nil || c.client == nil {
		return caller{}, newProblem(401, "A0E-401-0003", "Invalid Token")
	}
	if !slices.Contains(strings.Fields(granted), scope) {
		return caller{}, newProblem(403, "A0E-403-0001", "Insufficient scope; expected "+scope)
	}
	return c, nil
}

// strictJSON decodes a body and refuses properties nobody documented.
func strictJSON(r *http.Request, v any) *problem {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return newProblem(400, "A0E-400-0001", "Invalid request content-type")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return newProblem(400, "A0E-400-0003", "The body is not what the API documents")
	}
	return nil
}

// connect is step 1 of the Connected Accounts flow.
func (t *Tenant) connect(w http.ResponseWriter, r *http.Request, c caller) *problem {
	var in struct {
		Connection  string         `json:"connection"`
		RedirectURI string         `json:"redirect_uri"`
		State       *string        `json:"state"`
		Scopes      []string       `json:"scopes"`
		Challenge   string         `json:"code_challenge"`
		Method      string         `json:"code_challenge_method"`
		Params      map[string]any `json:"authorization_params"`
	}
	if fault := strictJSON(r, &in); fault != nil {
		return fault
	}
	switch {
	case in.Connection == "" || len(in.Connection) > 128:
		return invalidField("connection", "must be 1 to 128 characters")
	case in.RedirectURI == "" || len(in.RedirectURI) > 2048:
		return invalidField("redirect_uri", "must be 1 to 2048 characters")
	case !slices.Contains(c.client.Callbacks, in.RedirectURI):
		return invalidField("redirect_uri", "is not an allowed callback URL")
	case in.State != nil && (*in.State == "" || len(*in.State) > 4096):
		return invalidField("state", "must be 1 to 4096 characters")
	case in.Scopes != nil && (len(in.Scopes) == 0 || len(in.Scopes) > 100):
		return invalidField("scopes", "must be 1 to 100 items")
	case slices.ContainsFunc(in.Scopes, func(s string) bool { return s == "" || len(s) > 255 }):
		return invalidField("scopes", "must be 1 to 255 characters each")
	case in.Challenge != "" && (len(in.Challenge) < 43 || len(in.Challenge) > 128):
		return invalidField("code_challenge", "must be 43 to 128 characters")
	case in.Challenge != "" && in.Method != "S256":
		return invalidField("code_challenge_method", "must be S256")
	}
	for name := range in.Params {
		if !slices.Contains([]string{"acr_values", "audience", "resource", "display", "id_token_hint", "login_hint", "max_age", "prompt", "ui_locales"}, name) {
			return invalidField("authorization_params", "has the unknown property "+name)
		}
	}
	conn := t.settings.enabled(in.Connection, c.client)
	if conn == nil || !conn.ConnectedAccounts.Active {
		return newProblem(404, "A0E-404-0001", "Connection not found")
	}
	l := &link{
		authSession: opaque(32), ticket: opaque(24), client: c.client.ID, sub: c.person.Sub, conn: conn, scopes: conn.Scopes(),
		redirectURI: in.RedirectURI, challenge: in.Challenge, expires: t.now().Add(linkLife),
	}
	if in.State != nil {
		l.state = *in.State
	}
	if in.Scopes != nil { // override the connection's own, except offline_access, which only the connection can give
		l.scopes = slices.DeleteFunc(slices.Clone(in.Scopes), func(s string) bool { return s == "offline_access" })
		if slices.Contains(conn.Scopes(), "offline_access") {
			l.scopes = append(l.scopes, "offline_access")
		}
	}
	t.state.links = append(t.state.links, l)
	writeJSON(w, http.StatusCreated, map[string]any{
		"auth_session": l.authSession, "connect_uri": t.issuer + "connected-accounts/connect",
		"connect_params": map[string]string{"ticket": l.ticket}, "expires_in": int(linkLife.Seconds()),
	})
	return nil
}

func (t *Tenant) ticket(ticket string) *link {
	for _, l := range t.state.links {
		if ticket != "" && l.ticket == ticket && !l.opened && t.now().Before(l.expires) {
			return l
		}
	}
	return nil
}

const ticketGone = "This link has expired or was used. Go back to the application and connect again."

// consentPage is step 2, in the browser: Okta asks whether the application may act with these scopes, and as whom. Who began
// the flow is selected.
func (t *Tenant) consentPage(w http.ResponseWriter, r *http.Request) {
	l := t.ticket(r.URL.Query().Get("ticket"))
	if l == nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", ticketGone)
		return
	}
	var others []*Person
	for _, p := range t.people() {
		if p.Sub != l.sub {
			others = append(others, p)
		}
	}
	page(w, http.StatusOK, "consent", map[string]any{
		"Title": "Connect Okta", "Ticket": l.ticket, "Client": cmp.Or(t.settings.Clients[l.client].Name, l.client),
		"Person": t.settings.People[l.sub], "Others": others, "Scopes": l.scopes,
	})
}

// consent is a press on one of its buttons. The form has ticket, decision (approve or deny) and person, the e-mail address of
// whoever is signed in to Okta in this browser: their account is connected, and it need not be that of who began the flow.
func (t *Tenant) consent(w http.ResponseWriter, r *http.Request) {
	l := t.ticket(r.PostFormValue("ticket"))
	if l == nil {
		errorPage(w, http.StatusBadRequest, "invalid_request", ticketGone)
		return
	}
	answer := url.Values{}
	if l.state != "" {
		answer.Set("state", l.state)
	}
	switch provider := t.settings.byEmail(r.PostFormValue("person")); {
	case r.PostFormValue("decision") == "deny":
		l.opened, l.done = true, true
		answer.Set("error", "access_denied")
		answer.Set("error_description", "The end-user denied the request")
	case r.PostFormValue("decision") == "approve" && provider != nil:
		l.opened, l.provider, l.connectCode = true, provider, opaque(24)
		answer.Set("connect_code", l.connectCode)
	default:
		errorPage(w, http.StatusBadRequest, "invalid_request", "Choose an account, and whether to connect it")
		return
	}
	separator := "?"
	if strings.Contains(l.redirectURI, "?") {
		separator = "&"
	}
	http.Redirect(w, r, l.redirectURI+separator+answer.Encode(), http.StatusFound)
}

// complete is step 3: only the person who began may finish, with the code from the browser.
func (t *Tenant) complete(w http.ResponseWriter, r *http.Request, c caller) *problem {
	var in struct {
		AuthSession string `json:"auth_session"`
		ConnectCode string `json:"connect_code"`
		RedirectURI string `json:"redirect_uri"`
		Verifier    string `json:"code_verifier"`
	}
	if fault := strictJSON(r, &in); fault != nil {
		return fault
	}
	switch {
	case in.AuthSession == "":
		return invalidField("auth_session", "is required")
	case in.ConnectCode == "":
		return invalidField("connect_code", "is required")
	case in.RedirectURI == "":
		return invalidField("redirect_uri", "is required")
	}
	at := slices.IndexFunc(t.state.links, func(l *link) bool { return l.authSession == in.AuthSession })
	if at < 0 {
		return newProblem(400, "A0E-400-0004", "Invalid auth_session")
	}
	l := t.state.links[at]
	switch {
	case l.done:
		return newProblem(409, "A0E-409-0001", "The auth_session was already completed")
	case l.sub != c.person.Sub || l.client != c.client.ID || !t.now().Before(l.expires):
		return newProblem(400, "A0E-400-0004", "Invalid auth_session")
	case l.connectCode == "" || l.connectCode != in.ConnectCode:
		return newProblem(400, "A0E-400-0005", "Invalid connect_code")
	case l.redirectURI != in.RedirectURI:
		return invalidField("redirect_uri", "is not the one the flow began with")
	case l.challenge != "" && !proves(in.Verifier, l.challenge):
		return invalidField("code_verifier", "does not match the code_challenge")
	}
	l.done = true
	a := t.store(l.sub, l.conn, l.provider, l.scopes)
	writeJSON(w, http.StatusCreated, a.wire())
	return nil
}

func (a *account) wire() map[string]any {
	accessType := "online"
	if slices.Contains(a.Scopes, "offline_access") {
		accessType = "offline"
	}
	return map[string]any{
		"id": a.ID, "connection": a.Connection, "access_type": accessType, "scopes": a.Scopes,
		"created_at": a.Created.UTC().Format("2006-01-02T15:04:05.000Z"),
	}
}

func (t *Tenant) listAccounts(w http.ResponseWriter, r *http.Request, c caller) *problem {
	q := r.URL.Query()
	take, err := strconv.Atoi(cmp.Or(q.Get("take"), "10"))
	if err != nil || take < 1 || take > 20 {
		p := invalidField("take", "must be 1 to 20")
		p.Validation[0].Source, p.Validation[0].Pointer = "query", ""
		return p
	}
	answer := map[string]any{}
	listed, from := []map[string]any{}, q.Get("from")
	for _, a := range t.state.vault[c.person.Sub] {
		if from != "" && a.ID != from {
			continue
		}
		from = ""
		if name := q.Get("connection"); name != "" && a.Connection != name {
			continue
		}
		if len(listed) == take {
			answer["next"] = a.ID
			break
		}
		listed = append(listed, a.wire())
	}
	answer["accounts"] = listed
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (t *Tenant) deleteAccount(w http.ResponseWriter, r *http.Request, c caller) *problem {
	before := len(t.state.vault[c.person.Sub])
	t.state.vault[c.person.Sub] = slices.DeleteFunc(t.state.vault[c.person.Sub], func(a *account) bool { return a.ID == r.PathValue("id") })
	if len(t.state.vault[c.person.Sub]) == before {
		return newProblem(404, "A0E-404-0001", "Connected account not found")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
