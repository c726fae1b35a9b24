package tokenvault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// auth plays auth0.Client and the session table.
type auth struct {
	answer  auth0.Federated
	err     error
	refresh []string // what was exchanged
	saved   *session.Session
	saveErr error

	connected []auth0.ConnectedAccount
	scopes    []auth0.MyAccountScope // of the last My Account token
	listErr   error
	deleteErr error

	me func() (okta.User, okta.Meta, error) // nil is alice
}

func (a *auth) FederatedToken(_ context.Context, refresh secret.String, connection string) (auth0.Federated, error) {
	a.refresh = append(a.refresh, refresh.Reveal()+"@"+connection)
	return a.answer, a.err
}

func (a *auth) MyAccountToken(_ context.Context, refresh secret.String, scopes ...auth0.MyAccountScope) (secret.String, error) {
	a.refresh, a.scopes = append(a.refresh, refresh.Reveal()+"@me"), scopes
	return secret.New("me"), a.err
}

func (a *auth) ConnectedAccounts(_ context.Context, me secret.String, connection string) ([]auth0.ConnectedAccount, error) {
	if me.Reveal() != "me" || connection != "okta-corp" {
		return nil, errors.New("another token or connection")
	}
	return a.connected, a.listErr
}

func (a *auth) DeleteConnectedAccount(_ context.Context, me secret.String, id string) error {
	if me.Reveal() != "me" || a.deleteErr != nil {
		return a.deleteErr
	}
	a.connected = slices.DeleteFunc(slices.Clone(a.connected), func(c auth0.ConnectedAccount) bool { return c.ID == id })
	return nil
}

func (a *auth) SaveOktaToken(_ context.Context, _ session.ID, sealed []byte, expires time.Time) error {
	if a.saveErr == nil {
		a.saved.OktaToken, a.saved.OktaExpires = sealed, expires
	}
	return a.saveErr
}

func (a *auth) SaveOktaUser(_ context.Context, _ session.ID, id, login string) error {
	a.saved.OktaUserID, a.saved.OktaLogin = id, login
	return a.saveErr
}

func (a *auth) ForgetOkta(context.Context, session.ID) error {
	a.saved.OktaToken, a.saved.OktaExpires, a.saved.OktaUserID, a.saved.OktaLogin = nil, time.Time{}, "", ""
	return nil
}

func (a *auth) Me(context.Context) (okta.User, okta.Meta, error) {
	if a.me == nil {
		return okta.User{ID: "00ualice000000000001", Login: "alice@example.com"}, okta.Meta{}, nil
	}
	return a.me()
}

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func begin(t *testing.T) (*auth, *tokenvault.Vault, *session.Session) {
	t.Helper()
	a, v, s, _ := beginWith(t, session.Person{Subject: "oidc|okta-corp|00ualice000000000001", Email: "alice@example.com", EmailVerified: true})
	return a, v, s
}

func beginWith(t *testing.T, owner session.Person) (*auth, *tokenvault.Vault, *session.Session, *seal.Sealer) {
	t.Helper()
	sealer, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s := &session.Session{ID: session.NewID(), Owner: owner}
	if s.RefreshToken, err = tokenvault.SealRefreshToken(sealer, s.ID, s.Owner, secret.New("refresh-1")); err != nil {
		t.Fatal(err)
	}
	a := &auth{answer: auth0.Federated{AccessToken: secret.New("okta-1"), ExpiresIn: time.Hour}, saved: s}
	return a, &tokenvault.Vault{Exchanger: a, Sessions: a, Okta: a, Connection: "okta-corp", Now: func() time.Time { return now }, Sealer: func(context.Context) (*seal.Sealer, error) { return sealer, nil }}, s, sealer
}

func wants(t *testing.T, got secret.String, err error, want string) {
	t.Helper()
	if err != nil || got.Reveal() != want {
		t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
	}
}

func TestTokenIsCachedUntilShortlyBeforeItExpires(t *testing.T) {
	a, v, s := begin(t)
	for range 3 {
		got, err := v.Token(t.Context(), s)
		wants(t, got, err, "okta-1")
	}
	if len(a.refresh) != 1 || a.refresh[0] != "refresh-1@okta-corp" {
		t.Errorf("exchanged %q", a.refresh)
	}
	a.answer.AccessToken = secret.New("okta-2")
	got, err := v.Renew(t.Context(), s) // although the cached one looks good
	wants(t, got, err, "okta-2")
	got, err = v.Token(t.Context(), s)
	wants(t, got, err, "okta-2")
	s.OktaExpires = now.Add(time.Minute) // too little is left of it
	got, err = v.Token(t.Context(), s)
	wants(t, got, err, "okta-2")
	if len(a.refresh) != 3 {
		t.Errorf("%d exchanges", len(a.refresh))
	}
}

func TestTokenThatExpiresSoonIsNotCached(t *testing.T) {
	a, v, s := begin(t)
	a.answer.ExpiresIn = 50 * time.Second
	got, err := v.Token(t.Context(), s)
	wants(t, got, err, "okta-1")
	if len(s.OktaToken) != 0 {
		t.Error("it was kept")
	}
}

// What was sealed for one session and one person opens nowhere else: never another's token, never a guess.
func TestSealedTokensOpenInTheirRowOnly(t *testing.T) {
	_, v, s := begin(t)
	if _, err := v.Token(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*session.Session){
		"another session":   func(s *session.Session) { s.ID = session.NewID() },
		"another person":    func(s *session.Session) { s.Owner.Subject = "oidc|okta-corp|00u2" },
		"another address":   func(s *session.Session) { s.Owner.Email = "frank@example.com" },
		"no address":        func(s *session.Session) { s.Owner.Email = "" },
		"an unverified one": func(s *session.Session) { s.Owner.EmailVerified = false },
		"a changed address before the exchange": func(s *session.Session) {
			s.OktaToken, s.Owner.Email = nil, "frank@example.com"
		},
		"the refresh token":    func(s *session.Session) { s.OktaToken = s.RefreshToken },
		"plaintext":            func(s *session.Session) { s.OktaToken = []byte("okta-1") },
		"a bit turned over":    func(s *session.Session) { s.OktaToken = append([]byte(nil), s.OktaToken...); s.OktaToken[20] ^= 1 },
		"no refresh token":     func(s *session.Session) { s.OktaToken, s.RefreshToken = nil, nil },
		"the Okta token as it": func(s *session.Session) { s.RefreshToken, s.OktaToken = s.OktaToken, nil },
	} {
		t.Run(name, func(t *testing.T) {
			other := *s
			change(&other)
			if got, err := v.Token(t.Context(), &other); fault.KindOf(err) != fault.Internal || !got.IsZero() {
				t.Errorf("got a token: %t, %v", !got.IsZero(), err)
			}
		})
	}
}

// Without an e-mail address, as with FGA_USER_CLAIM=sub, the tokens are sealed and opened all the same.
func TestPersonWithoutAnEmail(t *testing.T) {
	_, v, s, _ := beginWith(t, session.Person{Subject: "oidc|okta-corp|00ualice000000000001"})
	for range 2 {
		got, err := v.Token(t.Context(), s)
		wants(t, got, err, "okta-1")
	}
	s.Owner.Email = "frank@example.com"
	if got, err := v.Token(t.Context(), s); err == nil || !got.IsZero() {
		t.Error("opened for an address that was added")
	}
}

// Rows of the version before were sealed for session, subject and purpose alone. They open until their sessions end, and
// neither kind opens as the other.
func TestTokensSealedByVersion1Open(t *testing.T) {
	a, v, s, sealer := beginWith(t, session.Person{Subject: "oidc|okta-corp|00ualice000000000001", Email: "alice@example.com", EmailVerified: true})
	old := func(plain, purpose string) []byte {
		t.Helper()
		sealed, err := sealer.Seal(secret.New(plain), string(s.ID), string(s.Owner.Subject), purpose)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	s.RefreshToken, s.OktaToken, s.OktaExpires = old("refresh-0", "refresh_token"), old("okta-0", "okta_token"), now.Add(time.Hour)
	got, err := v.Token(t.Context(), s)
	wants(t, got, err, "okta-1") // the cached one was never compared with who signed in
	got, err = v.Token(t.Context(), s)
	wants(t, got, err, "okta-1")
	if len(a.refresh) != 1 || a.refresh[0] != "refresh-0@okta-corp" {
		t.Errorf("exchanged %q", a.refresh)
	}
	if _, err := sealer.Open(s.OktaToken, string(s.ID), string(s.Owner.Subject), "okta_token"); err == nil {
		t.Error("a new token is sealed as the version before did")
	}
	s.OktaToken = old("okta-0", "okta_token v2")
	if got, err := v.Token(t.Context(), s); err == nil || !got.IsZero() {
		t.Error("the new purpose opens without the address")
	}
}

func TestAccountAndDisconnect(t *testing.T) {
	a, v, s := begin(t)
	if got, ok, err := v.Account(t.Context(), *s); ok || err != nil || got.ID != "" {
		t.Errorf("nothing is connected: %+v, %t, %v", got, ok, err)
	}
	if err := v.Disconnect(t.Context(), *s); err != nil {
		t.Errorf("nothing to disconnect: %v", err)
	}
	a.connected = []auth0.ConnectedAccount{{ID: "cac_1", CreatedAt: now}, {ID: "cac_3", CreatedAt: now.Add(2 * time.Hour)}, {ID: "cac_2", CreatedAt: now.Add(time.Hour)}}
	got, ok, err := v.Account(t.Context(), *s)
	if !ok || err != nil || got.ID != "cac_3" {
		t.Errorf("got %+v, %t, %v, want the youngest", got, ok, err)
	}
	if !slices.Equal(a.scopes, []auth0.MyAccountScope{"read:me:connected_accounts"}) {
		t.Errorf("asked for %q", a.scopes)
	}
	if err := v.Disconnect(t.Context(), *s); err != nil || len(a.connected) != 0 {
		t.Errorf("%v, still connected: %v", err, a.connected)
	}
	if !slices.Equal(a.scopes, []auth0.MyAccountScope{"read:me:connected_accounts", "delete:me:connected_accounts"}) {
		t.Errorf("asked for %q", a.scopes)
	}
	for _, r := range a.refresh {
		if r != "refresh-1@me" {
			t.Errorf("used %q, want the session's own refresh token", r)
		}
	}

	both := map[string]func(session.Session) error{
		"account":    func(s session.Session) error { _, _, err := v.Account(t.Context(), s); return err },
		"disconnect": func(s session.Session) error { return v.Disconnect(t.Context(), s) },
	}
	for name, call := range both {
		t.Run(name, func(t *testing.T) {
			moved := *s
			moved.Owner.Email = "frank@example.com"
			for _, tc := range []struct {
				token, list error
				s           session.Session
				want        fault.Kind
			}{
				{&auth0.Error{Status: 403, Code: "invalid_grant"}, nil, *s, fault.Unauthenticated},
				{&auth0.Error{Status: 400, Code: "invalid_target"}, nil, *s, fault.Internal},
				{errors.New("connection refused"), nil, *s, fault.Upstream},
				{nil, &auth0.Error{Status: 403, Code: "Forbidden"}, *s, fault.Internal},
				{nil, &auth0.Error{Status: 500}, *s, fault.Upstream},
				{nil, nil, moved, fault.Internal},
			} {
				a.err, a.listErr = tc.token, tc.list
				if err := call(tc.s); fault.KindOf(err) != tc.want {
					t.Errorf("%v, %v: got %v, want %s", tc.token, tc.list, err, tc.want)
				}
			}
		})
	}
	a.err, a.listErr, a.deleteErr = nil, nil, &auth0.Error{Status: 503}
	a.connected = []auth0.ConnectedAccount{{ID: "cac_1"}}
	if err := v.Disconnect(t.Context(), *s); fault.KindOf(err) != fault.Upstream {
		t.Errorf("a deletion that failed: %v", err)
	}
}

func TestFaultOfEachFailure(t *testing.T) {
	refused := func(status int, code string) error {
		return fmt.Errorf("exchange: %w", &auth0.Error{Status: status, Code: code})
	}
	for name, tc := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"not connected":          {refused(401, "federated_connection_refresh_token_not_found"), fault.Conflict},
		"flow of the connection": {refused(401, "federated_connection_refresh_token_flow_failed"), fault.Conflict},
		"no token set":           {refused(404, "tokenset_not_found"), fault.Conflict},
		"unknown account":        {refused(401, "user_not_found"), fault.Conflict},
		"dead refresh token":     {refused(403, "invalid_grant"), fault.Unauthenticated},
		"wrong secret":           {refused(401, "access_denied"), fault.Internal},
		"rotation is on":         {refused(400, "invalid_request"), fault.Internal},
		"second factor always":   {refused(401, "mfa_required"), fault.Internal},
		"busy":                   {refused(429, "too_many_requests"), fault.Upstream},
		"down":                   {refused(503, ""), fault.Upstream},
		"unreachable":            {errors.New("connection refused"), fault.Upstream},
		"no secret to authorize": {fault.New(fault.Internal, "no value yet", nil), fault.Internal},
		"secret store is away":   {fault.New(fault.Upstream, "away", nil), fault.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			a, v, s := begin(t)
			a.err = tc.err
			got, err := v.Token(t.Context(), s)
			if fault.KindOf(err) != tc.kind || !got.IsZero() {
				t.Errorf("got %v, want %s", err, tc.kind)
			}
		})
	}
	t.Run("the session ended meanwhile", func(t *testing.T) {
		a, v, s := begin(t)
		a.saveErr = session.NotSignedIn(nil)
		if got, err := v.Token(t.Context(), s); fault.KindOf(err) != fault.Unauthenticated || !got.IsZero() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no key", func(t *testing.T) {
		_, v, s := begin(t)
		v.Sealer = func(context.Context) (*seal.Sealer, error) { return nil, fault.New(fault.Internal, "no key", nil) }
		for _, call := range []func(context.Context, *session.Session) (secret.String, error){v.Token, v.Renew} {
			if _, err := call(t.Context(), s); fault.KindOf(err) != fault.Internal {
				t.Errorf("got %v", err)
			}
		}
	})
}
