package access

import (
	"context"
	"errors"
	"sync"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// WithOktaToken returns a context whose calls Okta receives with the principal's own token. From then on p knows the
// principal's own Okta id and login. A token that Okta refuses is renewed once, by the okta package. With an error, which is that of
// [Vault.Token], ctx is returned as it was.
func (e *Enforcer) WithOktaToken(ctx context.Context, p *Principal) (context.Context, error) {
	token, err := e.Vault.Token(ctx, &p.Session)
	if err != nil {
		return ctx, err
	}
	e.remember(p.Session)
	return okta.WithTokenSource(ctx, &tokenSource{vault: e.Vault, session: p.Session, token: token}), nil
}

// NewOktaToken is a token exchanged right now, for what is done after a wait.
func (e *Enforcer) NewOktaToken(ctx context.Context, p *Principal) (secret.String, error) {
	return e.Vault.Renew(ctx, &p.Session)
}

// tokenSource is the Okta token of one session in one call.
type tokenSource struct {
	vault Vault

	mu      sync.Mutex
	session session.Session // a copy: the principal's is read meanwhile
	token   secret.String
	renewed bool
	err     error // of the renewal
}

// errOtherAccount is why a renewed token is not used.
var errOtherAccount = errors.New("the renewed token is of another Okta user than the refused one")

// Token is the token to send.
func (s *tokenSource) Token() secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// Renew returns a token exchanged after Okta refused one. Of several calls whose token was refused, the first exchanges it and
// the others wait for that; later ones get the same. It may be the refused one again: Auth0 keeps a token until it expires.
//
// The vault compares every new token with who signed in. It must also be of the same Okta user as the refused one, whose id this
// call has been authorized and resolved with.
func (s *tokenSource) Renew(ctx context.Context, refused secret.String) (secret.String, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewed || !s.token.Equal(refused) {
		return s.token, s.err
	}
	s.renewed = true
	before := s.session.OktaUserID
	token, err := s.vault.Renew(ctx, &s.session)
	switch {
	case err != nil:
		s.err = err
	case s.session.OktaUserID != before:
		s.err = fault.New(fault.Conflict, "Another Okta account is connected now. Please ask again.", errOtherAccount)
	default:
		s.token = token
	}
	return s.token, s.err
}
