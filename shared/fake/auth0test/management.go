package auth0test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiFault is an error body of the Management API.
type apiFault struct {
	StatusCode int    `json:"statusCode"`
	Err        string `json:"error"`
	Message    string `json:"message"`
	ErrorCode  string `json:"errorCode,omitempty"`
}

func newAPIFault(status int, code, message string) *apiFault {
	return &apiFault{status, http.StatusText(status), message, code}
}

func invalidBody(message string) *apiFault {
	return newAPIFault(400, "invalid_body", "Payload validation error: '"+message+"'.")
}

func unknown(what string) *apiFault {
	return newAPIFault(404, "inexistent_"+strings.ReplaceAll(what, " ", "_"), "The "+what+" does not exist")
}

// call is one request to the Management API: its body by field, and the scopes of its token.
type call struct {
	*http.Request
	body  map[string]json.RawMessage
	raw   []byte
	scope []string
}

// result is a status and what to say with it.
type result struct {
	status int
	body   any
}

func (t *Tenant) managementRoutes(m *http.ServeMux) {
	for pattern, route := range map[string]struct {
		scope string
		serve func(*call) (result, *apiFault)
	}{
		"GET clients":        {"read:clients", t.listClients},
		"POST clients":       {"create:clients", t.createClient},
		"GET clients/{id}":   {"read:clients", t.getClient},
		"PATCH clients/{id}": {"update:clients", t.updateClient},

		"GET connections":                {"read:connections", t.listAllConnections},
		"POST connections":               {"create:connections", t.createConnection},
		"PATCH connections/{id}":         {"update:connections", t.updateConnection},
		"GET connections/{id}/clients":   {"read:connections", t.listEnabledClients},
		"PATCH connections/{id}/clients": {"update:connections", t.updateEnabledClients},

		"GET resource-servers/{id}": {"read:resource_servers", t.getAPI},

		"GET client-grants":        {"read:client_grants", t.listGrants},
		"POST client-grants":       {"create:client_grants", t.createGrant},
		"PATCH client-grants/{id}": {"update:client_grants", t.updateGrant},

		"GET guardian/factors":                   {"read:guardian_factors", t.listFactors},
		"PUT guardian/factors/push-notification": {"update:guardian_factors", t.setPush},
		"GET guardian/policies":                  {"read:mfa_policies", t.getPolicies},
		"PUT guardian/policies":                  {"update:mfa_policies", t.setPolicies},

		"GET users-by-email":                        {"read:users", t.usersByEmail},
		"GET users/{id}/enrollments":                {"read:users", t.listEnrollments},
		"GET users/{id}/connected-accounts":         {"read:users", t.listConnectedAccounts},
		"GET users/{id}/" + tokenSets:               {"read:federated_connections_tokens", t.listTokenSets},
		"DELETE users/{id}/" + tokenSets + "/{set}": {"delete:federated_connections_tokens", t.deleteTokenSet},
	} {
		method, path, _ := strings.Cut(pattern, " ")
		m.HandleFunc(method+" "+ManagementAPI+path, t.manage(route.scope, route.serve))
	}
}

const tokenSets = "federated-connections-tokensets"

// managementScopes are all scopes of the routes above.
var managementScopes = []string{
	"read:clients", "create:clients", "update:clients", "read:client_keys",
	"read:connections", "create:connections", "update:connections",
	"read:resource_servers", "read:client_grants", "create:client_grants", "update:client_grants",
	"read:guardian_factors", "update:guardian_factors", "read:mfa_policies", "update:mfa_policies",
	"read:users", "read:federated_connections_tokens", "delete:federated_connections_tokens",
}

// manage lets a call through whose token is for the Management API and has the scope.
func (t *Tenant) manage(scope string, serve func(*call) (result, *apiFault)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, fault := t.managed(r, scope, serve)
		switch {
		case fault != nil:
			writeJSON(w, fault.StatusCode, fault)
		case done.body == nil:
			w.WriteHeader(done.status)
		default:
			writeJSON(w, done.status, done.body)
		}
	}
}

func (t *Tenant) managed(r *http.Request, scope string, serve func(*call) (result, *apiFault)) (result, *apiFault) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return result{}, newAPIFault(401, "", "Missing authentication")
	}
	claims, ok := t.verify(token)
	if !ok {
		return result{}, newAPIFault(401, "", "Invalid token")
	}
	if !hasAudience(claims, t.absolute(ManagementAPI)) {
		return result{}, newAPIFault(401, "", "Bad audience: "+t.absolute(ManagementAPI))
	}
	granted, _ := claims["scope"].(string)
	c := &call{Request: r, scope: strings.Fields(granted)}
	if !slices.Contains(c.scope, scope) {
		return result{}, newAPIFault(403, "insufficient_scope", "Insufficient scope, expected any of: "+scope)
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut {
		var err error
		if c.raw, err = io.ReadAll(r.Body); err != nil || (len(c.raw) > 0 && !json.Valid(c.raw)) {
			return result{}, newAPIFault(400, "invalid_body", "Invalid request payload JSON format")
		}
		_ = json.Unmarshal(c.raw, &c.body) // some bodies are arrays, and read from raw
	}
	return serve(c)
}

// apply writes the fields of a body over v, a pointer to a settings struct, and keeps those it does not know in extra.
func (c *call) apply(v any, extra map[string]any, immutable ...string) *apiFault {
	for _, field := range immutable {
		if c.body[field] != nil {
			return invalidBody("Additional properties not allowed: " + field)
		}
	}
	fields := fieldsOf(v)
	for name, raw := range c.body {
		at, known := fields[name]
		if !known {
			var value any
			_ = json.Unmarshal(raw, &value) // valid, or the call would not be here
			extra[name] = value
			continue
		}
		fresh := reflect.New(at.Type())  // a new value: lists and maps are replaced, not merged, and null clears
		if at.Kind() == reflect.Struct { // but a policy keeps what is not said about it
			old, _ := json.Marshal(at.Interface()) // settings are plain data
			_ = json.Unmarshal(old, fresh.Interface())
		}
		if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
			return invalidBody("Expected another type on property " + name)
		}
		at.Set(fresh.Elem())
	}
	return nil
}

// render is v as JSON, with its extra fields.
func render(v any, extra map[string]any) map[string]any {
	raw, _ := json.Marshal(v) // settings are plain data
	object := map[string]any{}
	_ = json.Unmarshal(raw, &object)
	for name, value := range extra {
		object[name] = value
	}
	return object
}

func fieldsOf(v any) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		if name, _, _ := strings.Cut(s.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = s.Field(i)
		}
	}
	return fields
}

// list pages a sorted list: an array, or with include_totals an envelope.
func (c *call) list(name string, all []map[string]any) (result, *apiFault) {
	q := c.URL.Query()
	page, err1 := strconv.Atoi(cmp.Or(q.Get("page"), "0"))
	size, err2 := strconv.Atoi(cmp.Or(q.Get("per_page"), q.Get("take"), "50"))
	if err1 != nil || err2 != nil || page < 0 || size < 0 || size > 100 {
		return result{}, newAPIFault(400, "invalid_query_string", "Query validation error: 'page and per_page are out of range'.")
	}
	start := min(page*size, len(all))
	part := append([]map[string]any{}, all[start:min(start+size, len(all))]...)
	if q.Get("include_totals") != "true" && !q.Has("take") {
		return result{200, part}, nil
	}
	return result{200, map[string]any{name: part, "start": start, "limit": size, "length": len(part), "total": len(all)}}, nil
}

// sorted renders the values of a map in the order of its keys.
func sorted[V any](m map[string]V, show func(V) map[string]any, keep func(V) bool) []map[string]any {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var all []map[string]any
	for _, k := range keys {
		if keep == nil || keep(m[k]) {
			all = append(all, show(m[k]))
		}
	}
	return all
}

// --- clients

func (c *call) showClient(client *Client) map[string]any {
	object := render(client, client.Extra)
	if !slices.Contains(c.scope, "read:client_keys") {
		delete(object, "client_secret")
	}
	return object
}

func (t *Tenant) listClients(c *call) (result, *apiFault) {
	appType := c.URL.Query().Get("app_type")
	return c.list("clients", sorted(t.settings.Clients, c.showClient, func(v *Client) bool { return appType == "" || v.AppType == appType }))
}

func (t *Tenant) getClient(c *call) (result, *apiFault) {
	client := t.settings.Clients[c.PathValue("id")]
	if client == nil {
		return result{}, unknown("client")
	}
	return result{200, c.showClient(client)}, nil
}

// checkClient refuses values the real API's schema refuses, where they decide something here.
func checkClient(client *Client) *apiFault {
	oneOf := func(field, value string, allowed ...string) *apiFault {
		if value != "" && !slices.Contains(allowed, value) {
			return invalidBody("Invalid value \"" + value + "\" on property " + field)
		}
		return nil
	}
	for _, fault := range []*apiFault{
		oneOf("app_type", client.AppType, "regular_web", "non_interactive", "spa", "native", "resource_server"),
		oneOf("token_endpoint_auth_method", client.TokenEndpointAuthMethod, "none", "client_secret_post", "client_secret_basic"),
		oneOf("refresh_token.rotation_type", client.RefreshToken.RotationType, "rotating", "non-rotating"),
		oneOf("refresh_token.expiration_type", client.RefreshToken.ExpirationType, "expiring", "non-expiring"),
	} {
		if fault != nil {
			return fault
		}
	}
	for _, channel := range client.NotificationChannels {
		if fault := oneOf("async_approval_notification_channels", channel, ChannelPush, ChannelEmail); fault != nil {
			return fault
		}
	}
	if life := client.RefreshToken.TokenLifetime; life < 0 || life > 31557600 {
		return invalidBody("Value too large on property refresh_token.token_lifetime")
	}
	if client.Name == "" {
		return invalidBody("Missing required property: name")
	}
	return nil
}

func (t *Tenant) createClient(c *call) (result, *apiFault) {
	client := &Client{
		ID: opaque(24), Secret: opaque(48), IsFirstParty: true, TokenEndpointAuthMethod: "client_secret_post", Extra: map[string]any{},
		GrantTypes: []string{GrantAuthorizationCode, "implicit", GrantRefreshToken, GrantClientCredentials},
		RefreshToken: RefreshTokenPolicy{ // as recorded of a new client
			RotationType: "non-rotating", ExpirationType: "non-expiring", TokenLifetime: 2592000, IdleTokenLifetime: 1296000,
			InfiniteTokenLifetime: true, InfiniteIdleTokenLifetime: true,
		},
	}
	if fault := c.apply(client, client.Extra, "client_id"); fault != nil {
		return result{}, fault
	}
	if fault := checkClient(client); fault != nil {
		return result{}, fault
	}
	t.settings.Clients[client.ID] = client
	return result{201, render(client, client.Extra)}, nil
}

func (t *Tenant) updateClient(c *call) (result, *apiFault) {
	old := t.settings.Clients[c.PathValue("id")]
	if old == nil {
		return result{}, unknown("client")
	}
	next := *old
	next.Extra = cloneExtra(old.Extra)
	if fault := c.apply(&next, next.Extra, "client_id"); fault != nil {
		return result{}, fault
	}
	if fault := checkClient(&next); fault != nil {
		return result{}, fault
	}
	*old = next
	return result{200, c.showClient(old)}, nil
}

func cloneExtra(extra map[string]any) map[string]any {
	clone := map[string]any{}
	for k, v := range extra {
		clone[k] = v
	}
	return clone
}

// --- connections

var connectionName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,126}[A-Za-z0-9])?$`)

func showConnection(conn *Connection) map[string]any {
	object := render(conn, conn.Extra)
	object["realms"] = []string{conn.Name}
	return object
}

func (t *Tenant) connection(c *call) (*Connection, *apiFault) {
	for _, conn := range t.settings.Connections {
		if conn.ID == c.PathValue("id") {
			return conn, nil
		}
	}
	return nil, unknown("connection")
}

func (t *Tenant) listAllConnections(c *call) (result, *apiFault) {
	q := c.URL.Query()
	return c.list("connections", sorted(t.settings.Connections, showConnection, func(v *Connection) bool {
		return (!q.Has("name") || v.Name == q.Get("name")) && (!q.Has("strategy") || slices.Contains(q["strategy"], v.Strategy))
	}))
}

func (t *Tenant) createConnection(c *call) (result, *apiFault) {
	conn := &Connection{ID: "con_" + opaque(12), Authentication: Switch{true}, EnabledClients: []string{}, Options: map[string]any{}, Extra: map[string]any{}}
	if fault := c.apply(conn, conn.Extra, "id"); fault != nil {
		return result{}, fault
	}
	switch {
	case conn.Strategy == "":
		return result{}, invalidBody("Missing required property: strategy")
	case !connectionName.MatchString(conn.Name):
		return result{}, invalidBody("String does not match pattern on property name")
	case t.settings.Connections[conn.Name] != nil:
		return result{}, newAPIFault(409, "conflict", "A connection with the same name already exists")
	}
	t.settings.Connections[conn.Name] = conn
	return result{201, showConnection(conn)}, nil
}

func (t *Tenant) updateConnection(c *call) (result, *apiFault) {
	old, fault := t.connection(c)
	if fault != nil {
		return result{}, fault
	}
	next := *old
	next.Extra = cloneExtra(old.Extra)
	if fault := c.apply(&next, next.Extra, "id", "name", "strategy"); fault != nil {
		return result{}, fault
	}
	*old = next
	return result{200, showConnection(old)}, nil
}

func (t *Tenant) listEnabledClients(c *call) (result, *apiFault) {
	conn, fault := t.connection(c)
	if fault != nil {
		return result{}, fault
	}
	enabled := []map[string]string{}
	for _, id := range conn.EnabledClients {
		enabled = append(enabled, map[string]string{"client_id": id})
	}
	return result{200, map[string]any{"clients": enabled}}, nil
}

func (t *Tenant) updateEnabledClients(c *call) (result, *apiFault) {
	conn, fault := t.connection(c)
	if fault != nil {
		return result{}, fault
	}
	var changes []struct {
		ClientID string `json:"client_id"`
		Status   *bool  `json:"status"`
	}
	if err := json.Unmarshal(c.raw, &changes); err != nil || len(changes) == 0 || len(changes) > 50 {
		return result{}, invalidBody("Expected an array of 1 to 50 clients")
	}
	for _, change := range changes {
		if change.Status == nil || t.settings.Clients[change.ClientID] == nil {
			return result{}, invalidBody("Unknown client or missing status")
		}
	}
	for _, change := range changes {
		conn.EnabledClients = slices.DeleteFunc(slices.Clone(conn.EnabledClients), func(id string) bool { return id == change.ClientID })
		if *change.Status {
			conn.EnabledClients = append(conn.EnabledClients, change.ClientID)
		}
	}
	return result{status: 204}, nil
}

// --- APIs

func showAPI(api *ResourceServer) map[string]any { return render(api, api.Extra) }

func (t *Tenant) api(c *call) (*ResourceServer, *apiFault) {
	for _, api := range t.settings.APIs {
		if api.ID == c.PathValue("id") || api.Identifier == c.PathValue("id") {
			return api, nil
		}
	}
	return nil, unknown("resource server")
}

func (t *Tenant) getAPI(c *call) (result, *apiFault) {
	api, fault := t.api(c)
	if fault != nil {
		return result{}, fault
	}
	return result{200, showAPI(api)}, nil
}

// --- client grants

func (t *Tenant) listGrants(c *call) (result, *apiFault) {
	q := c.URL.Query()
	var all []map[string]any
	for _, g := range t.settings.Grants {
		if (!q.Has("client_id") || q.Get("client_id") == g.ClientID) && (!q.Has("audience") || q.Get("audience") == g.Audience) &&
			(!q.Has("subject_type") || q.Get("subject_type") == g.SubjectType) {
			all = append(all, render(g, nil))
		}
	}
	return c.list("client_grants", all)
}

func (t *Tenant) createGrant(c *call) (result, *apiFault) {
	g := &ClientGrant{ID: "cgr_" + opaque(12), SubjectType: "client", Scope: []string{}}
	if fault := c.apply(g, map[string]any{}, "id"); fault != nil {
		return result{}, fault
	}
	api := t.settings.APIs[g.Audience]
	switch {
	case g.SubjectType != "client" && g.SubjectType != "user":
		return result{}, invalidBody("Invalid value \"" + g.SubjectType + "\" on property subject_type")
	case t.settings.Clients[g.ClientID] == nil:
		return result{}, unknown("client")
	case api == nil:
		return result{}, unknown("resource server")
	case len(intersect(g.Scope, api.values())) != len(g.Scope):
		return result{}, newAPIFault(400, "", "One or more scopes do not exist on the resource server")
	case t.settings.grant(g.ClientID, g.Audience, g.SubjectType) != nil:
		return result{}, newAPIFault(409, "", "A resource with the specified client_id and audience already exists")
	}
	t.settings.Grants = append(t.settings.Grants, g)
	return result{201, render(g, nil)}, nil
}

func (t *Tenant) updateGrant(c *call) (result, *apiFault) {
	at := slices.IndexFunc(t.settings.Grants, func(g *ClientGrant) bool { return g.ID == c.PathValue("id") })
	if at < 0 {
		return result{}, unknown("client grant")
	}
	next := *t.settings.Grants[at]
	if fault := c.apply(&next, map[string]any{}, "id", "client_id", "audience", "subject_type"); fault != nil {
		return result{}, fault
	}
	*t.settings.Grants[at] = next
	return result{200, render(&next, nil)}, nil
}

// --- Guardian

func (t *Tenant) listFactors(*call) (result, *apiFault) {
	var all []map[string]any
	for _, name := range []string{"sms", "push-notification", "otp", "email", "duo", "webauthn-roaming", "webauthn-platform", "recovery-code"} {
		on := name == "push-notification" && t.settings.Guardian.PushEnabled
		all = append(all, map[string]any{"name": name, "enabled": on, "trial_expired": false})
	}
	return result{200, all}, nil
}

func (t *Tenant) setPush(c *call) (result, *apiFault) {
	var in struct {
		Enabled *bool `json:"enabled"`
	}
	if err := json.Unmarshal(c.raw, &in); err != nil || in.Enabled == nil {
		return result{}, invalidBody("Missing required property: enabled")
	}
	t.settings.Guardian.PushEnabled = *in.Enabled
	return result{200, map[string]bool{"enabled": *in.Enabled}}, nil
}

func (t *Tenant) getPolicies(*call) (result, *apiFault) {
	return result{200, t.settings.Guardian.Policies}, nil
}

func (t *Tenant) setPolicies(c *call) (result, *apiFault) {
	in := []string{}
	if err := json.Unmarshal(c.raw, &in); err != nil || len(in) > 1 ||
		slices.ContainsFunc(in, func(p string) bool { return p != "all-applications" && p != "confidence-score" }) {
		return result{}, invalidBody("Expected an array of all-applications or confidence-score")
	}
	t.settings.Guardian.Policies = in
	return result{200, in}, nil
}

// --- users

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func (t *Tenant) showUser(p *Person) map[string]any {
	object := render(p, nil)
	nickname, _, _ := strings.Cut(p.Email, "@")
	object["nickname"], object["identities"] = nickname, []map[string]any{{
		"connection": t.opts.Connection, "user_id": strings.TrimPrefix(p.Sub, "oidc|"), "provider": "oidc", "isSocial": false,
	}}
	return object
}

func (t *Tenant) user(c *call) (*Person, *apiFault) {
	if p := t.settings.People[c.PathValue("id")]; p != nil {
		return p, nil
	}
	return nil, newAPIFault(404, "inexistent_user", "The user does not exist.")
}

func (t *Tenant) usersByEmail(c *call) (result, *apiFault) {
	email := c.URL.Query().Get("email") // the real one compares case-sensitively with the lower-case address it stores
	found := sorted(t.settings.People, t.showUser, func(p *Person) bool { return strings.ToLower(p.Email) == email })
	return result{200, append([]map[string]any{}, found...)}, nil
}

func (t *Tenant) listEnrollments(c *call) (result, *apiFault) {
	p, fault := t.user(c)
	if fault != nil {
		return result{}, fault
	}
	all := []map[string]any{}
	if p.PushEnrolled {
		all = append(all, map[string]any{
			"id": "push|dev_" + p.OktaUserID, "status": "confirmed", "type": "authenticator", "name": displayName(p) + "'s phone",
			"identifier": "guardian", "auth_method": "guardian", "enrolled_at": stamp(t.now()),
		})
	}
	return result{200, all}, nil
}

func (t *Tenant) listConnectedAccounts(c *call) (result, *apiFault) {
	p, fault := t.user(c)
	if fault != nil {
		return result{}, fault
	}
	all := []map[string]any{}
	for _, a := range t.state.vault[p.Sub] {
		object := a.wire()
		if conn := t.settings.Connections[a.Connection]; conn != nil {
			object["connection_id"], object["strategy"] = conn.ID, conn.Strategy
		}
		all = append(all, object)
	}
	return result{200, map[string]any{"connected_accounts": all}}, nil
}

func (t *Tenant) listTokenSets(c *call) (result, *apiFault) {
	p, fault := t.user(c)
	if fault != nil {
		return result{}, fault
	}
	all := []map[string]any{}
	for _, a := range t.state.vault[p.Sub] {
		if a.forgotten {
			continue
		}
		object := map[string]any{"id": a.set, "connection": a.Connection, "scope": strings.Join(a.Scopes, " "), "issued_at": stamp(a.Created)}
		if a.token != "" {
			object["expires_at"], object["last_used_at"] = stamp(a.expires), stamp(a.used)
		}
		all = append(all, object)
	}
	return result{200, all}, nil
}

// deleteTokenSet makes the vault forget the tokens; the account still shows as connected.
func (t *Tenant) deleteTokenSet(c *call) (result, *apiFault) {
	for _, a := range t.state.vault[c.PathValue("id")] {
		if a.set == c.PathValue("set") {
			a.forgotten = true
		}
	}
	return result{status: 204}, nil
}
