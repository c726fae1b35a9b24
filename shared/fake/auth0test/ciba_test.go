package auth0test_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

func (a *tenant) hint(sub string) string {
	return `{"format":"iss_sub","iss":"` + a.url + `/","sub":"` + sub + `"}`
}

// ask starts a back-channel request to Alice, with pairs in place of the usual fields.
func (a *tenant) ask(pairs ...string) answer {
	a.t.Helper()
	return a.post("/bc-authorize", as(append([]string{"scope", "openid profile email", "binding_message", "Reset-password dave #K7Q2", "login_hint", a.hint(aliceSub), "requested_expiry", "300"}, pairs...)...))
}

func (a *tenant) poll(authReqID string, pairs ...string) answer {
	a.t.Helper()
	return a.post("/oauth/token", as(append([]string{"grant_type", auth0test.GrantCIBA, "auth_req_id", authReqID}, pairs...)...))
}

const gone = "The end-user denied the authorization request or it has been expired"

func TestCIBAApproved(t *testing.T) {
	a := begin(t)
	started := a.ask()
	id := started.str("auth_req_id")
	if started.StatusCode != 200 || len(id) != 64 || started.json["expires_in"] != 300.0 || started.json["interval"] != 5.0 {
		t.Fatalf("got %d %s", started.StatusCode, started.body)
	}
	push := a.Pushes()[0]
	if push.Email != aliceEmail || push.User != aliceSub || push.BindingMessage != "Reset-password dave #K7Q2" || push.Status != "pending" || !push.ExpiresAt.Equal(a.clock.Now().Add(5*time.Minute)) {
		t.Errorf("push %+v", push)
	}
	raw, err := json.Marshal(push)
	if err != nil || strings.Contains(string(raw), id) {
		t.Errorf("the push tells the auth_req_id (%v)", err)
	}

	a.clock.forward(5 * time.Second)
	a.poll(id).wants(t, 400, "authorization_pending", "The end-user authorization is pending")
	a.poll(id, "client_id", "other", "client_secret", "other-secret").wants(t, 400, "invalid_grant", "The auth_req_id is invalid")
	a.poll("nonsense").wants(t, 400, "invalid_grant", "The auth_req_id is invalid")
	a.poll("").wants(t, 400, "invalid_request", "Missing required parameter: auth_req_id")

	if err := a.Decide(push.ID, "approve"); err != nil {
		t.Fatal(err)
	}
	if a.Decide(push.ID, "deny") == nil {
		t.Error("a decided push was decided again")
	}
	a.clock.forward(5 * time.Second)
	got := a.poll(id)
	c := claims(t, got.str("id_token"))
	if got.StatusCode != 200 || got.str("token_type") != "Bearer" || got.json["expires_in"] != 86400.0 || c["sub"] != aliceSub || c["aud"] != clientID || c["iss"] != a.url+"/" || c["nonce"] != nil {
		t.Errorf("got %d %s %v", got.StatusCode, got.body, c)
	}
	if got.json["refresh_token"] != nil {
		t.Error("a refresh token nobody asked for")
	}
	a.clock.forward(5 * time.Second)
	a.poll(id).wants(t, 400, "invalid_grant", "The auth_req_id is invalid")
}

func TestCIBADeniedAndExpiredLookTheSame(t *testing.T) {
	a := begin(t)
	denied, expired, late := a.ask().str("auth_req_id"), a.ask().str("auth_req_id"), a.ask("requested_expiry", "60").str("auth_req_id")
	if err := a.Decide(denied, "deny"); err != nil {
		t.Fatal(err)
	}
	if err := a.Expire(expired); err != nil {
		t.Fatal(err)
	}
	a.clock.forward(59 * time.Second)
	if err := a.Decide(late, "approve"); err != nil {
		t.Fatal(err)
	}
	a.clock.forward(time.Second)
	for range 2 {
		for name, id := range map[string]string{"denied": denied, "expired": expired, "approved but late": late} {
			t.Run(name, func(t *testing.T) { a.poll(id).wants(t, 400, "access_denied", gone) })
		}
	}
	var states []string
	for _, p := range a.Pushes() {
		states = append(states, p.Status)
	}
	if strings.Join(states, " ") != "denied expired expired" {
		t.Errorf("states %v", states)
	}

	spec := begin(t, func(o *auth0test.Options) { o.SpecExpiry = true })
	id := spec.ask().str("auth_req_id")
	spec.clock.forward(5 * time.Minute)
	spec.poll(id).wants(t, 400, "expired_token", "")
}

// auth0-python sends JSON to the token endpoint, for this grant too.
func TestCIBAPollTakesJSON(t *testing.T) {
	a := begin(t)
	id := a.ask().str("auth_req_id")
	body, err := json.Marshal(map[string]string{"client_id": clientID, "client_secret": secret, "grant_type": auth0test.GrantCIBA, "auth_req_id": id})
	if err != nil {
		t.Fatal(err)
	}
	poll := func() answer {
		a.clock.forward(5 * time.Second)
		return a.do(http.DefaultClient, http.MethodPost, "/oauth/token", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(string(body)))
	}
	poll().wants(t, 400, "authorization_pending", "")
	if err := a.Decide(id, "approve"); err != nil {
		t.Fatal(err)
	}
	if got := poll(); got.StatusCode != 200 || claims(t, got.str("id_token"))["sub"] != aliceSub {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

func TestCIBAWaitsLessThanAsked(t *testing.T) {
	a := begin(t, func(o *auth0test.Options) { o.PushExpiry = 40 * time.Second })
	for asked, want := range map[string]float64{"300": 40, "20": 20} {
		if got := a.ask("requested_expiry", asked); got.json["expires_in"] != want {
			t.Errorf("asked for %s: %s", asked, got.body)
		}
	}
	id := a.ask().str("auth_req_id")
	a.clock.forward(40 * time.Second)
	a.poll(id).wants(t, 400, "access_denied", gone)
	if a.Decide(id, "approve") == nil {
		t.Error("it was approved after its end")
	}
}

func TestCIBASlowDown(t *testing.T) {
	a := begin(t)
	id := a.ask().str("auth_req_id")
	for _, test := range []struct {
		wait     time.Duration
		interval float64
	}{{4 * time.Second, 10}, {9 * time.Second, 15}, {14 * time.Second, 20}} {
		a.clock.forward(test.wait)
		got := a.poll(id)
		got.wants(t, 400, "slow_down", "")
		if got.json["interval"] != test.interval || got.Header.Get("Retry-After") != jsonNumber(test.interval) {
			t.Errorf("interval %v, Retry-After %s, want %v", got.json["interval"], got.Header.Get("Retry-After"), test.interval)
		}
	}
	a.clock.forward(20 * time.Second)
	a.poll(id).wants(t, 400, "authorization_pending", "")

	device := begin(t, func(o *auth0test.Options) { o.PollStatus = auth0test.PollStatusDevice })
	id = device.ask().str("auth_req_id")
	device.poll(id).wants(t, 429, "slow_down", "You are polling faster than allowed. Try again in 10 seconds.")
	device.clock.forward(10 * time.Second)
	device.poll(id).wants(t, 403, "authorization_pending", "")
	if err := device.Decide(id, "deny"); err != nil {
		t.Fatal(err)
	}
	device.poll(id).wants(t, 403, "access_denied", gone)
}

func jsonNumber(f float64) string {
	raw, _ := json.Marshal(f)
	return string(raw)
}

// The order of checks is the emulator's: each case has the fault named and, where it can, a later one too.
func TestCIBARefusals(t *testing.T) {
	a := begin(t)
	long := strings.Repeat("x", 65)
	for name, test := range map[string]struct {
		pairs       []string
		status      int
		code, about string
	}{
		"client before scope":       {[]string{"client_secret", "wrong", "scope", "profile"}, 401, "access_denied", "Unauthorized"},
		"grant before scope":        {[]string{"client_id", "machine", "client_secret", "machine-secret", "scope", "profile"}, 403, "unauthorized_client", "Grant type 'urn:openid:params:grant-type:ciba' not allowed for the client."},
		"scope before message":      {[]string{"scope", "profile", "binding_message", long}, 400, "invalid_request", "openid scope must be requested"},
		"no message":                {[]string{"binding_message", ""}, 400, "invalid_request", "Missing required parameter: binding_message"},
		"message before hint":       {[]string{"binding_message", long, "login_hint", ""}, 400, "invalid_request", ""},
		"message with odd letters":  {[]string{"binding_message", "Delete group “HR”"}, 400, "invalid_request", ""},
		"no hint":                   {[]string{"login_hint", ""}, 400, "invalid_request", "Missing required parameter: login_hint"},
		"hint is no JSON":           {[]string{"login_hint", aliceSub}, 400, "invalid_request", ""},
		"hint of another format":    {[]string{"login_hint", `{"format":"email","email":"alice@example.com"}`}, 400, "invalid_request", ""},
		"issuer without slash":      {[]string{"login_hint", `{"format":"iss_sub","iss":"` + a.url + `","sub":"` + aliceSub + `"}`}, 400, "invalid_request", ""},
		"unknown user before time":  {[]string{"login_hint", a.hint("oidc|okta-corp|nobody"), "requested_expiry", "0"}, 400, "unknown_user_id", "User ID is malformed or unknown"},
		"expiry before enrolment":   {[]string{"login_hint", a.hint("oidc|okta-corp|00ubob00000000000002"), "requested_expiry", "0"}, 400, "invalid_request", "requested_expiry must be between 1 and 259200"},
		"expiry in words":           {[]string{"requested_expiry", "soon"}, 400, "invalid_request", ""},
		"not enrolled":              {[]string{"login_hint", a.hint("oidc|okta-corp|00ubob00000000000002")}, 400, "invalid_request", "The user does not have push notifications enabled"},
		"too long for a push":       {[]string{"requested_expiry", "301"}, 400, "invalid_request", "The user does not have push notifications enabled"},
		"unknown audience":          {[]string{"audience", "https://nobody.test/"}, 403, "access_denied", ""},
		"details without audience":  {[]string{"authorization_details", `[{"type":"free_form"}]`}, 400, "invalid_request", ""},
		"unregistered details":      {[]string{"audience", api, "authorization_details", `[{"type":"nope"}]`}, 400, "invalid_authorization_details", ""},
		"details are no array":      {[]string{"audience", api, "authorization_details", `{"type":"free_form"}`}, 400, "invalid_authorization_details", ""},
		"two objects in the schema": {[]string{"audience", api, "authorization_details", `[{"type":"urn:auth0:schemas:authorization-details:v1:list_users","instruction":"x","properties":{}},{"type":"free_form"}]`}, 400, "invalid_authorization_details", ""},
		"details too long":          {[]string{"audience", api, "authorization_details", `[{"type":"free_form","x":"` + strings.Repeat("x", 256) + `"}]`}, 400, "invalid_authorization_details", ""},
	} {
		t.Run(name, func(t *testing.T) { a.ask(test.pairs...).wants(t, test.status, test.code, test.about) })
	}
	if n := len(a.Pushes()); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
	json := a.do(http.DefaultClient, http.MethodPost, "/bc-authorize", http.Header{"Content-Type": {"application/json"}}, strings.NewReader("{}"))
	json.wants(t, 400, "invalid_request", "")

	a.Configure(func(s *auth0test.Settings) { s.Guardian.PushEnabled = false })
	a.ask().wants(t, 400, "invalid_request", "The user does not have push notifications enabled")
	a.Configure(func(s *auth0test.Settings) { drop(s, auth0test.GrantCIBA) })
	a.ask().wants(t, 403, "unauthorized_client", "")
}

func TestCIBAFivePushesAMinute(t *testing.T) {
	a := begin(t)
	for range 5 {
		if got := a.ask(); got.StatusCode != 200 {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
		a.clock.forward(time.Second)
	}
	got := a.ask()
	got.wants(t, 429, "too_many_requests", "")
	if got.Header.Get("Retry-After") != "55" {
		t.Errorf("Retry-After %s", got.Header.Get("Retry-After"))
	}
	a.clock.forward(55 * time.Second)
	if got := a.ask(); got.StatusCode != 200 {
		t.Errorf("a minute later: %d %s", got.StatusCode, got.body)
	}
}

func TestCIBAChannels(t *testing.T) {
	a := begin(t)
	a.Configure(func(s *auth0test.Settings) {
		s.Clients[clientID].NotificationChannels = []string{auth0test.ChannelPush, auth0test.ChannelEmail}
	})
	a.ask()
	a.ask("requested_expiry", "259200")
	a.ask("login_hint", a.hint("oidc|okta-corp|00ubob00000000000002"))
	var channels []string
	for _, p := range a.Pushes() {
		channels = append(channels, p.Channel)
	}
	if strings.Join(channels, " ") != "guardian-push email email" {
		t.Errorf("channels %v", channels)
	}
	a.Configure(func(s *auth0test.Settings) { s.People["oidc|okta-corp|00ubob00000000000002"].EmailVerified = false })
	a.ask("login_hint", a.hint("oidc|okta-corp|00ubob00000000000002")).wants(t, 400, "invalid_request", "")
}

func TestCIBAWithDetails(t *testing.T) {
	a := begin(t)
	details := `[{"type":"urn:auth0:schemas:authorization-details:v1:list_users","instruction":"Approve listing","properties":{"count":{"display":true,"name":"Count","display_order":1,"value":"25"}}}]`
	id := a.ask("audience", api, "scope", "openid users:read offline_access", "authorization_details", details).str("auth_req_id")
	if err := a.Decide(id, "approve"); err != nil {
		t.Fatal(err)
	}
	if phone := a.get("/phone"); !strings.Contains(phone.body, "Approve listing") || !strings.Contains(phone.body, "<dt>Count</dt><dd>25</dd>") {
		t.Errorf("the phone does not show the details: %s", phone.body)
	}
	a.clock.forward(5 * time.Second)
	got := a.poll(id)
	if got.str("scope") != "openid users:read offline_access" || got.str("refresh_token") == "" || got.json["authorization_details"] == nil ||
		claims(t, got.str("access_token"))["authorization_details"] == nil {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

// A patient poller meets pending until the person decides, and is never told to slow down.
func TestCIBAPollerInItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Issuer = "https://acme.us.auth0.test/"
		fake := auth0test.New(o)
		client := &http.Client{Transport: overHandler{fake}}
		post := func(path, body string) map[string]any {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.Issuer+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = formType
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			return got
		}
		started := post("bc-authorize", as("scope", "openid", "binding_message", "hello", "login_hint", `{"format":"iss_sub","iss":"`+o.Issuer+`","sub":"`+aliceSub+`"}`).Encode())
		id, _ := started["auth_req_id"].(string)
		go func() {
			time.Sleep(92 * time.Second)
			if err := fake.Decide(id, "approve"); err != nil {
				t.Error(err)
			}
		}()
		begun := time.Now()
		for {
			time.Sleep(5 * time.Second)
			got := post("oauth/token", as("grant_type", auth0test.GrantCIBA, "auth_req_id", id).Encode())
			if got["id_token"] != nil {
				break
			}
			if got["error"] != "authorization_pending" {
				t.Fatalf("got %v", got)
			}
		}
		if took := time.Since(begun); took != 95*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestPhone(t *testing.T) {
	a := begin(t)
	a.ask()
	push := a.Pushes()[0]
	page := a.get("/phone?user=" + aliceEmail)
	for _, want := range []string{`data-push="` + push.ID + `"`, "Reset-password dave #K7Q2", `<p class="code">K7Q2</p>`, `data-decision="approve"`, `data-decision="deny"`, `src="/assets/phone.js"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the phone page lacks %s", want)
		}
	}
	if csp := page.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %s", csp)
	}
	if other := a.get("/phone?user=" + bobEmail); strings.Contains(other.body, push.ID) {
		t.Error("Bob's phone shows Alice's push")
	}
	for _, path := range []string{"/assets/phone.js", "/assets/tenant.css"} {
		if got := a.get(path); got.StatusCode != 200 || got.body == "" {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if got := a.get("/assets/login.html"); got.StatusCode != 404 {
		t.Errorf("a template is served: %d", got.StatusCode)
	}
	a.clock.forward(time.Minute)
	list := a.get("/phone/pushes?user=" + aliceEmail)
	first := list.json["pushes"].([]any)[0].(map[string]any)
	if first["seconds_left"] != 240.0 || first["code"] != "K7Q2" || first["status"] != "pending" {
		t.Errorf("got %v", first)
	}
	press := func(accept string) answer {
		h := formType.Clone()
		h.Set("Accept", accept)
		return a.do(a.browser, http.MethodPost, "/phone/pushes/"+push.ID, h, strings.NewReader("decision=approve"))
	}
	if got := press("application/json"); got.StatusCode != 204 || a.Pushes()[0].Status != "approved" {
		t.Errorf("got %d, %+v", got.StatusCode, a.Pushes()[0])
	}
	if got := press("application/json"); got.StatusCode != 409 {
		t.Errorf("again: %d", got.StatusCode)
	}
	if got := press("text/html"); got.StatusCode != 303 {
		t.Errorf("as a form: %d", got.StatusCode)
	}
}
