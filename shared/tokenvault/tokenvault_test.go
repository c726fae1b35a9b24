package tokenvault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
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
}

func (a *auth) FederatedToken(_ context.Context, refresh secret.String, connection string) (auth0.Federated, error) {
	a.refresh = append(a.refresh, refresh.Reveal()+"@"+connection)
	return a.answer, a.err
}

func (a *auth) SaveOktaToken(_ context.Context, _ session.ID, sealed []byte, expires time.Time) error {
	if a.saveErr == nil {
		a.saved.OktaToken, a.saved.OktaExpires = sealed, expires
	}
	return a.saveErr
}

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func begin(t *testing.T) (*auth, *tokenvault.Vault, *session.Session) {
	t.Helper()
	box, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s := &session.Session{ID: session.NewID(), Owner: session.Person{Subject: "oidc|okta-corp|00u1"}}
	if s.RefreshToken, err = tokenvault.SealRefreshToken(box, s.ID, s.Owner.Subject, secret.New("refresh-1")); err != nil {
		t.Fatal(err)
	}
	a := &auth{answer: auth0.Federated{AccessToken: secret.New("okta-1"), ExpiresIn: time.Hour}, saved: s}
	return a, &tokenvault.Vault{Exchanger: a, Keeper: a, Connection: "okta-corp", Now: func() time.Time { return now }, Box: func(context.Context) (*seal.Box, error) { return box, nil }}, s
}

func wants(t *testing.T, got secret.String, err error, want string) {
	t.Helper()
	if err != nil || got.Reveal() != want {
		t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
	}
}

func TestOneExchangeServesUntilShortlyBeforeTheEnd(t *testing.T) {
	a, v, s := begin(t)
	for range 3 {
		got, err := v.Token(t.Context(), *s)
		wants(t, got, err, "okta-1")
	}
	if len(a.refresh) != 1 || a.refresh[0] != "refresh-1@okta-corp" {
		t.Errorf("exchanged %q", a.refresh)
	}
	a.answer.AccessToken = secret.New("okta-2")
	got, err := v.Renew(t.Context(), *s) // although the cached one looks good
	wants(t, got, err, "okta-2")
	got, err = v.Token(t.Context(), *s)
	wants(t, got, err, "okta-2")
	s.OktaExpires = now.Add(time.Minute) // too little is left of it
	got, err = v.Token(t.Context(), *s)
	wants(t, got, err, "okta-2")
	if len(a.refresh) != 3 {
		t.Errorf("%d exchanges", len(a.refresh))
	}
}

func TestATokenThatEndsSoonIsUsedButNotKept(t *testing.T) {
	a, v, s := begin(t)
	a.answer.ExpiresIn = 50 * time.Second
	got, err := v.Token(t.Context(), *s)
	wants(t, got, err, "okta-1")
	if len(s.OktaToken) != 0 {
		t.Error("it was kept")
	}
}

// What was sealed for one session and one person opens nowhere else: never another's token, never a guess.
func TestSealedTokensStayWhereTheyBelong(t *testing.T) {
	_, v, s := begin(t)
	if _, err := v.Token(t.Context(), *s); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*session.Session){
		"another session":      func(s *session.Session) { s.ID = session.NewID() },
		"another person":       func(s *session.Session) { s.Owner.Subject = "oidc|okta-corp|00u2" },
		"the refresh token":    func(s *session.Session) { s.OktaToken = s.RefreshToken },
		"plaintext":            func(s *session.Session) { s.OktaToken = []byte("okta-1") },
		"a bit turned over":    func(s *session.Session) { s.OktaToken = append([]byte(nil), s.OktaToken...); s.OktaToken[20] ^= 1 },
		"no refresh token":     func(s *session.Session) { s.OktaToken, s.RefreshToken = nil, nil },
		"the Okta token as it": func(s *session.Session) { s.RefreshToken, s.OktaToken = s.OktaToken, nil },
	} {
		t.Run(name, func(t *testing.T) {
			other := *s
			change(&other)
			if got, err := v.Token(t.Context(), other); fault.KindOf(err) != fault.Internal || !got.IsZero() {
				t.Errorf("got a token: %t, %v", !got.IsZero(), err)
			}
		})
	}
}

func TestFaults(t *testing.T) {
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
			got, err := v.Token(t.Context(), *s)
			if fault.KindOf(err) != tc.kind || !got.IsZero() {
				t.Errorf("got %v, want %s", err, tc.kind)
			}
		})
	}
	t.Run("the session ended meanwhile", func(t *testing.T) {
		a, v, s := begin(t)
		a.saveErr = session.NotSignedIn(nil)
		if got, err := v.Token(t.Context(), *s); fault.KindOf(err) != fault.Unauthenticated || !got.IsZero() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no key", func(t *testing.T) {
		_, v, s := begin(t)
		v.Box = func(context.Context) (*seal.Box, error) { return nil, fault.New(fault.Internal, "no key", nil) }
		for _, call := range []func(context.Context, session.Session) (secret.String, error){v.Token, v.Renew} {
			if _, err := call(t.Context(), *s); fault.KindOf(err) != fault.Internal {
				t.Errorf("got %v", err)
			}
		}
	})
}
