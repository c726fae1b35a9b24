package auth0_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

func TestConnectedAccountsAreListedAndDeleted(t *testing.T) {
	const bob = "bob@example.com"
	s := auth0test.Start(t, auth0test.Options{
		Clients: []auth0test.Client{auth0test.WebApp(clientID, clientSecret, callback, linked)},
		People: []auth0test.Person{
			{Email: alice, EmailVerified: true, OktaUserID: "00ualice000000000001"}, {Email: bob, EmailVerified: true, OktaUserID: "00ubob00000000000002"},
		},
	})
	c := clientOf(t, s.URL, nil)
	refresh := secret.New(s.SignIn(clientID, alice))
	token := func(scopes ...auth0.MyAccountScope) secret.String {
		t.Helper()
		me, err := c.MyAccountToken(t.Context(), refresh, scopes...)
		if err != nil {
			t.Fatal(err)
		}
		return me
	}
	read, both := token(auth0.ReadConnectedAccounts), token(auth0.ReadConnectedAccounts, auth0.DeleteConnectedAccounts)
	if all, err := c.ConnectedAccounts(t.Context(), read, "okta-corp"); err != nil || len(all) != 0 {
		t.Errorf("before connecting: %v, %v", all, err)
	}
	create := token(auth0.CreateConnectedAccounts)
	connect(t, c, create, alice)
	connect(t, c, create, bob) // somebody else's account, as a browser signed in to Okta as bob would

	all, err := c.ConnectedAccounts(t.Context(), read, "okta-corp")
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v, want two accounts", all, err)
	}
	for _, a := range all {
		if !strings.HasPrefix(a.ID, "cac_") || a.Connection != "okta-corp" || !slices.Contains(a.Scopes, "offline_access") || time.Since(a.CreatedAt).Abs() > time.Minute {
			t.Errorf("account %+v", a)
		}
	}
	if other, err := c.ConnectedAccounts(t.Context(), read, "google"); err != nil || len(other) != 0 {
		t.Errorf("of another connection: %v, %v", other, err)
	}

	// A token does what its scopes say and no more.
	if _, err := c.ConnectedAccounts(t.Context(), create, "okta-corp"); fault.KindOf(auth0.Fault(err)) != fault.Internal {
		t.Errorf("listed without the scope: %v", err)
	}
	if err := c.DeleteConnectedAccount(t.Context(), read, all[0].ID); fault.KindOf(auth0.Fault(err)) != fault.Internal {
		t.Errorf("deleted without the scope: %v", err)
	}
	for _, a := range []auth0.ConnectedAccount{all[0], all[0], all[1]} { // deleting one twice is no error
		if err := c.DeleteConnectedAccount(t.Context(), both, a.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.FederatedToken(t.Context(), refresh, "okta-corp"); !notConnected(err) {
		t.Errorf("after deleting: %v", err)
	}
}

// Auth0 leaves out scopes that the refresh token policy or the client grant does not hold, and answers 200.
func TestAMissingScopeIsAMisconfiguration(t *testing.T) {
	for name, change := range map[string]func(*auth0test.Settings){
		"policy without it": func(s *auth0test.Settings) {
			s.Clients[clientID].RefreshToken.Policies[0].Scope = []string{"create:me:connected_accounts"}
		},
		"grant without it": func(s *auth0test.Settings) {
			for _, g := range s.Grants {
				g.Scope = []string{"create:me:connected_accounts"}
			}
		},
		"no policy": func(s *auth0test.Settings) { s.Clients[clientID].RefreshToken.Policies = nil },
		"no grant":  func(s *auth0test.Settings) { s.Grants = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, c := tenant(t)
			refresh := secret.New(s.SignIn(clientID, alice))
			s.Configure(change)
			me, err := c.MyAccountToken(t.Context(), refresh, auth0.CreateConnectedAccounts, auth0.DeleteConnectedAccounts)
			if !me.IsZero() || fault.KindOf(auth0.Fault(err)) != fault.Internal {
				t.Fatalf("got a token: %t, %v", !me.IsZero(), err)
			}
			if strings.HasSuffix(name, "without it") && !strings.Contains(err.Error(), "delete:me:connected_accounts") {
				t.Errorf("the log does not name the scope: %v", err)
			}
		})
	}
}

func TestConnectedAccountsArePaged(t *testing.T) {
	pages := map[string]string{
		"":      `{"accounts":[{"id":"cac_1","connection":"okta-corp","scopes":["openid"],"created_at":"2026-03-01T09:30:00.125Z"},{"id":"cac_x","connection":"other"}],"next":"a b&c"}`,
		"a b&c": `{"accounts":[{"id":"cac_2","connection":"okta-corp","created_at":"some day"}]}`,
	}
	endless := false
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		if r.Header.Get("Authorization") != "Bearer me-token" {
			t.Errorf("Authorization %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		if endless {
			_, _ = fmt.Fprint(w, `{"accounts":[],"next":"again"}`)
			return
		}
		_, _ = fmt.Fprint(w, pages[r.URL.Query().Get("from")])
	}))
	defer web.Close()
	c := clientOf(t, web.URL, nil)
	got, err := c.ConnectedAccounts(t.Context(), secret.New("me-token"), "okta-corp")
	want := []auth0.ConnectedAccount{
		{ID: "cac_1", Connection: "okta-corp", Scopes: []string{"openid"}, CreatedAt: time.Date(2026, 3, 1, 9, 30, 0, 125e6, time.UTC)},
		{ID: "cac_2", Connection: "okta-corp"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	wantAsked := []string{
		"GET /me/v1/connected-accounts/accounts?connection=okta-corp&take=20",
		"GET /me/v1/connected-accounts/accounts?connection=okta-corp&from=a+b%26c&take=20",
	}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	endless, asked = true, nil
	if _, err := c.ConnectedAccounts(t.Context(), secret.New("me-token"), "okta-corp"); fault.KindOf(auth0.Fault(err)) != fault.Upstream || len(asked) != 10 {
		t.Errorf("%d pages, %v", len(asked), err)
	}
}

func TestTheIDOfAConnectedAccountIsEscaped(t *testing.T) {
	var asked string
	status := http.StatusNoContent
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.RequestURI
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "t", "title": http.StatusText(status), "status": status})
		}
	}))
	defer web.Close()
	c := clientOf(t, web.URL, nil)
	for id, want := range map[string]string{
		"cac_1":       "DELETE /me/v1/connected-accounts/accounts/cac_1",
		"../x?y=1#z":  "DELETE /me/v1/connected-accounts/accounts/..%2Fx%3Fy=1%23z",
		"a/../../all": "DELETE /me/v1/connected-accounts/accounts/a%2F..%2F..%2Fall",
	} {
		if err := c.DeleteConnectedAccount(t.Context(), secret.New("me"), id); err != nil || asked != want {
			t.Errorf("id %q: %s, %v, want %s", id, asked, err, want)
		}
	}
	asked = ""
	for _, id := range []string{"", ".", ".."} {
		if err := c.DeleteConnectedAccount(t.Context(), secret.New("me"), id); err == nil || asked != "" {
			t.Errorf("id %q: asked %q, %v", id, asked, err)
		}
	}
	for code, want := range map[int]fault.Kind{403: fault.Internal, 404: "", 429: fault.Upstream, 500: fault.Upstream} {
		status = code
		err := c.DeleteConnectedAccount(t.Context(), secret.New("me"), "cac_1")
		if want == "" && err != nil || want != "" && fault.KindOf(auth0.Fault(err)) != want {
			t.Errorf("status %d: %v, want %q", code, err, want)
		}
		if e, ok := errors.AsType[*auth0.Error](err); want != "" && (!ok || e.Status != code) {
			t.Errorf("status %d: %v", code, err)
		}
	}
}
