package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

const bobSub = "oidc|okta-corp|00ubob00000000000002"

// login returns the stored login of the browser.
func (b *browser) login() session.Login {
	b.t.Helper()
	l, err := b.sessions.Login(b.t.Context(), session.KeyOf(secret.New(b.cookie())))
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (w *world) only(owner session.Subject) approval.Approval {
	w.t.Helper()
	all, err := w.approvals.ByOwner(w.t.Context(), owner, 5)
	if err != nil || len(all) != 1 {
		w.t.Fatalf("approvals %+v, %v, want one", all, err)
	}
	return all[0]
}

func (b *browser) signOut() {
	b.t.Helper()
	b.location(b.do(http.MethodPost, "/logout", "", "Origin", b.base, "Sec-Fetch-Site", "same-origin"))
}

// A person who signs in again keeps their open approvals; signing out then cancels all of them.
func TestSigningInAgainCancelsNothing(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	b.ask("Reset the password of bob@example.com").wants(t, 200, "event: approval")
	first := b.login()
	firstToken := w.refreshToken(first.Current)

	b.signIn(alice)
	second := b.login()
	if got := w.only(aliceSub); got.Status != approval.Pending {
		t.Fatalf("signing in again left the approval %s", got.Status)
	}
	if s, err := w.sessions.Session(t.Context(), first.Current); err != nil || !s.Live(w.clock()) {
		t.Fatalf("the session that the approval needs: %v", err)
	}
	if second.Current == first.Current || !slices.Contains(second.Sessions, first.Current) || !slices.Contains(second.Sessions, second.Current) {
		t.Errorf("the new login has the sessions %v, want the old one's too", len(second.Sessions))
	}
	if _, err := w.sessions.Login(t.Context(), first.Key); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the old login: %v", err)
	}
	if !w.ended("classic", string(first.Current)) {
		t.Error("the agent still holds the old conversation")
	}
	if err := firstToken(); err != nil {
		t.Errorf("the old refresh token, which the approval needs: %v", err)
	}

	secondToken := w.refreshToken(second.Current)
	b.signOut()
	if got := w.only(aliceSub); got.Status != approval.Cancelled || !got.SignedOut || got.Result != "You signed out before I began. Nothing has changed." {
		t.Errorf("after signing out the approval is %s, %q", got.Status, got.Result)
	}
	for _, id := range second.Sessions {
		if _, err := w.sessions.Session(t.Context(), id); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("a session outlives its login: %v", err)
		}
	}
	for i, alive := range []func() error{firstToken, secondToken} {
		if err := alive(); fault.KindOf(auth0.Fault(err)) != fault.Unauthenticated {
			t.Errorf("refresh token %d after signing out: %v", i+1, err)
		}
	}
}

// If another person signs in, the browser shows only their data; the first person can still approve on their phone.
func TestAnotherPersonSignsInInTheSameBrowser(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	idle := b.login().Current
	b.do(http.MethodPost, "/api/chat/new", "").wants(t, 204)
	b.ask("Reset the password of bob@example.com").wants(t, 200, "event: approval")
	old, cookie := b.login(), b.cookie()

	b.jar, _ = cookiejar.New(nil) // ends alice's session at Auth0
	b.client.Jar = b.jar
	b.jar.SetCookies(mustParse(t, w.base), []*http.Cookie{{Name: "steward", Value: cookie}})
	b.signIn(bob)
	if got := w.only(aliceSub); got.Status != approval.Pending {
		t.Errorf("bob's sign-in left alice's approval %s", got.Status)
	}
	if _, err := w.sessions.Session(t.Context(), old.Current); err != nil {
		t.Errorf("the session that the approval needs: %v", err)
	}
	if _, err := w.sessions.Session(t.Context(), idle); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a session that nothing needs: %v", err)
	}
	if l := b.login(); l.Owner.Subject != bobSub || len(l.Sessions) != 1 {
		t.Errorf("bob's login has %d sessions of %s", len(l.Sessions), l.Owner.Subject)
	}
	w.browser().do(http.MethodGet, "/api/approvals", "", "Cookie", "steward="+cookie).wants(t, 401)
	if got := b.get("/api/approvals").wants(t, 200); strings.Contains(got.body, "K7QX") {
		t.Error("bob sees alice's approval")
	}
	b.signOut()
	if got := w.only(aliceSub); got.Status != approval.Pending {
		t.Errorf("bob's sign-out left alice's approval %s", got.Status)
	}
}

// TestOtherSitesCannotStartAFlow requests all GET routes as a link, picture or frame of another site does.
func TestOtherSitesCannotStartAFlow(t *testing.T) {
	w := begin(t, func(env map[string]string) { env["CONSOLE_LINKING"] = "on" })
	b := w.browser().signIn(alice)
	b.ask("Reset the password of bob@example.com").wants(t, 200, "event: approval")
	b.location(b.get("/login")) // a flow that is under way
	before, cookie, flow := b.login(), b.cookie(), flowOf(b)
	for _, from := range []string{"cross-site", "same-site", "anything else"} {
		for _, path := range []string{
			"/", "/login", "/login?connection=okta-corp", "/callback?code=c&state=s", "/callback?error=access_denied&state=s", "/connect",
			"/connect/callback?connect_code=c&state=s", "/link?session=abc", "/api/approvals", "/api/activity", "/healthz", "/nothing",
		} {
			calls := len(w.auth0.Requests())
			got := b.do(http.MethodGet, path, "", "Sec-Fetch-Site", from, "Sec-Fetch-Mode", "navigate")
			if len(got.Cookies()) > 0 {
				t.Errorf("%s, %s: sets the cookies %v", from, path, got.Cookies())
			}
			if strings.HasPrefix(path, "/login") || path == "/connect" {
				if to := b.location(got); to != w.base+"/" {
					t.Errorf("%s, %s: leads to %s", from, path, to)
				}
			}
			if n := len(w.auth0.Requests()) - calls; n > 0 && path != "/" { // the page looks whether Okta is connected
				t.Errorf("%s, %s: %d calls of Auth0", from, path, n)
			}
		}
	}
	if after := b.login(); after.Key != before.Key || after.Current != before.Current || b.cookie() != cookie || flowOf(b)[0].Value != flow[0].Value {
		t.Error("another site changed the login, or the flow under way")
	}
	if got := w.only(aliceSub); got.Status != approval.Pending {
		t.Errorf("another site left the approval %s", got.Status)
	}
	for _, from := range []string{"same-origin", "none"} {
		if to := b.location(b.do(http.MethodGet, "/login", "", "Sec-Fetch-Site", from)); !strings.HasPrefix(to, w.auth0.URL) {
			t.Errorf("%s: /login leads to %s", from, to)
		}
	}
}

func TestOnlyTheConfiguredConnectionSignsIn(t *testing.T) {
	w := begin(t)
	b := w.browser()
	for _, name := range []string{"google-oauth2", "Okta-Corp", "%20", "okta-corp%00"} {
		b.get("/login?connection="+name).wants(t, 400, "own Okta connection only")
	}
	if to := b.location(b.get("/login?connection=okta-corp")); mustParse(t, to).Query().Get("connection") != "okta-corp" {
		t.Errorf("leads to %s", to)
	}

	// The person can change the connection in Auth0's address, so the subject is checked, too.
	for sub, ok := range map[string]bool{
		"auth0|64f1": false, "google-oauth2|118": false, "oidc|okta-other|00u1": false, "okta|okta-other|00u1": false, "oidc|": false, "samlp|okta-corp|x": false,
		"okta|okta-corp|00u1": true, "oidc|00u1": true, "oidc|okta-corp|00u|1": true,
	} {
		t.Run(sub, func(t *testing.T) {
			email := strings.NewReplacer("|", ".").Replace(sub) + "@example.com"
			w.auth0.Configure(func(s *auth0test.Settings) {
				s.People[sub] = &auth0test.Person{Sub: sub, Email: email, EmailVerified: true, OktaUserID: "00u1"}
			})
			b := w.browser()
			got := b.get(b.authorize(b.location(b.get("/login")), email))
			if ok != (b.cookie() != "") {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
			if !ok {
				got.wants(t, 403, "not from this company", `data-testid="ref"`)
			}
		})
	}
}

// calls returns how many calls of Auth0 the chat makes while f runs.
func (w *world) calls(f func()) (n int) {
	before := len(w.auth0.Requests())
	f()
	return len(w.auth0.Requests()) - before
}

// TestInvalidCallbacksCallNoService: a callback without a matching flow makes no call of Auth0, and one with a flow makes them
// once.
func TestInvalidCallbacksCallNoService(t *testing.T) {
	w := begin(t)
	b := w.browser()
	u := mustParse(t, b.authorize(b.location(b.get("/login")), alice))
	state, flow := u.Query().Get("state"), b.jar.Cookies(u)
	junk := func(path, name, state string) func() {
		return func() {
			for i := range 100 {
				b.jar.SetCookies(u, flow)
				b.get(path+"?"+url.Values{name: {"junk" + string(rune('a'+i%26))}, "state": {state}}.Encode()).wants(t, 401)
			}
		}
	}
	if n := w.calls(junk("/callback", "code", "another")); n != 0 {
		t.Errorf("100 callbacks with another state: %d calls", n)
	}
	if n := w.calls(func() { b.location(b.get(u.String())) }); n == 0 || b.cookie() == "" {
		t.Errorf("the callback itself: %d calls", n)
	}
	if n := w.calls(junk("/callback", "code", state)); n != 0 {
		t.Errorf("100 callbacks with a flow that was used: %d calls", n)
	}

	back := mustParse(t, b.consent("approve", alice))
	flow = flowOf(b)
	if n := w.calls(junk("/connect/callback", "connect_code", "another")); n != 0 {
		t.Errorf("100 callbacks of connecting with another state: %d calls", n)
	}
	b.location(b.get(back.String()))
	if n := w.calls(junk("/connect/callback", "connect_code", back.Query().Get("state"))); n != 0 {
		t.Errorf("100 callbacks of connecting with a flow that was used: %d calls", n)
	}
}

// consent opens the consent page of Connect Okta, decides there for person's Okta account, and returns the address of the
// callback.
func (b *browser) consent(decision, person string) string {
	b.t.Helper()
	page := b.get(b.location(b.get("/connect"))).wants(b.t, 200, "ticket")
	m := hidden.FindStringSubmatch(page.body)
	form := url.Values{"ticket": {m[2]}, "decision": {decision}, "person": {person}}
	return b.location(b.do(http.MethodPost, b.auth0.URL+"/connected-accounts/connect", form.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
}

// TestALoginHasOneRunningTurn: the next turn starts only when the running one has ended, or its lease if the process has died.
func TestALoginHasOneRunningTurn(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.hold = func() {
		close(entered)
		select {
		case <-leave:
		case <-time.After(5 * time.Second): // the test has failed
		}
	}
	done := make(chan answer)
	go func() { done <- b.ask("What are my Okta groups?") }()
	<-entered
	for range 5 {
		b.ask("What are my Okta groups?").wants(t, 409, "still answering your last question")
	}
	w.browser().signIn(bob).ask("What are my Okta groups?").wants(t, 200) // a login of its own
	close(leave)
	(<-done).wants(t, 200, "event: done")
	b.ask("What are my Okta groups?").wants(t, 200)

	now := w.clock()
	if _, err := w.sessions.ReserveTurn(t.Context(), b.login().Key, now, now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.ask("What are my Okta groups?").wants(t, 409)
	w.forward(2 * time.Minute)
	b.ask("What are my Okta groups?").wants(t, 200)
}
