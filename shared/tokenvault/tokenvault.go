// Package tokenvault turns a session into the person's own access token at Okta, from Auth0's Token Vault.
//
// Auth0's Token Vault stores the Okta tokens. This package exchanges one when it is needed, compares its account with the person
// who signed in, caches it sealed in the session row until shortly before it expires, and exchanges it again when Okta refuses
// it.
package tokenvault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// skew is the remaining lifetime below which a token is not used: longer than any call takes.
const skew = 60 * time.Second

// The purposes that sealed values are bound to, besides session and owner. A refresh token sealed by version 1 is not bound to
// the owner's e-mail address; it is still opened, so that a deployment signs nobody out.
const (
	purposeRefreshV1 = "refresh_token"
	purposeRefresh   = "refresh_token v2"
	purposeOkta      = "okta_token v2"
)

// Exchanger is the part of auth0.Client used here.
type Exchanger interface {
	FederatedToken(ctx context.Context, refresh secret.String, connection string) (auth0.Federated, error)
	MyAccountToken(ctx context.Context, refresh secret.String, scopes ...auth0.MyAccountScope) (secret.String, error)
	ConnectedAccounts(ctx context.Context, me secret.String, connection string) ([]auth0.ConnectedAccount, error)
	DeleteConnectedAccount(ctx context.Context, me secret.String, id string) error
}

// Sessions writes what a session knows of the Okta account: the sealed token, and the account's id and login.
type Sessions interface {
	SaveOktaToken(ctx context.Context, id session.ID, sealed []byte, expires time.Time) error
	SaveOktaUser(ctx context.Context, id session.ID, oktaUserID, login string) error
	ForgetOkta(ctx context.Context, id session.ID) error
}

// Self asks Okta for the user of the token in the context ([okta.WithToken]).
type Self interface {
	Me(ctx context.Context) (okta.User, okta.Meta, error)
}

// Vault returns Okta tokens. It is safe for concurrent use.
type Vault struct {
	Exchanger  Exchanger
	Sessions   Sessions
	Okta       Self
	Sealer     func(context.Context) (*seal.Sealer, error) // the key is fetched when first needed
	Connection string
	Now        func() time.Time
}

// NotConnected returns the fault.Conflict for a person without a connected Okta account. Its action is fault.ConnectOkta.
func NotConnected(cause error) error {
	return fault.New(fault.Conflict, "Your Okta account is not connected yet. Open the chat page and choose “Connect Okta”, then ask again.", cause).
		WithAction(fault.ConnectOkta)
}

// SealRefreshToken seals an Auth0 refresh token for the session and the owner it is stored with. If the subject, the e-mail
// address or EmailVerified of the row is changed afterwards, the token does not open.
func SealRefreshToken(sealer *seal.Sealer, id session.ID, owner session.Person, refresh secret.String) ([]byte, error) {
	return sealer.Seal(refresh, binding(id, owner, purposeRefresh)...)
}

// OpenRefreshToken opens what [SealRefreshToken] sealed.
func OpenRefreshToken(sealer *seal.Sealer, s session.Session) (secret.String, error) {
	plain, err := sealer.Open(s.RefreshToken, binding(s.ID, s.Owner, purposeRefresh)...)
	if errors.Is(err, seal.ErrNotOpened) {
		return sealer.Open(s.RefreshToken, string(s.ID), string(s.Owner.Subject), purposeRefreshV1)
	}
	return plain, err
}

// binding returns the names that a sealed value is bound to. The prefixes keep an empty e-mail address from being an empty name.
func binding(id session.ID, owner session.Person, purpose string) []string {
	return []string{string(id), string(owner.Subject), "email:" + owner.Email, "verified:" + strconv.FormatBool(owner.EmailVerified), purpose}
}

// Verify returns a fault.Internal unless id, owner, e-mail address and EmailVerified of the session row are those that its
// refresh token was sealed with.
func (v *Vault) Verify(ctx context.Context, s session.Session) error {
	sealer, err := v.Sealer(ctx)
	if err != nil {
		return err
	}
	if _, err := OpenRefreshToken(sealer, s); err != nil {
		return unreadable("refresh token", err)
	}
	return nil
}

// Token returns the person's Okta token: the cached one while it is valid, else a new one from Token Vault. The session must be
// live. The account of a new token is compared with the person who signed in, see [CheckAccount]; s then has the person's Okta id
// and login. Errors: fault.Conflict if no account is connected, or if it is another person's (a [*WrongAccount]; it is then
// disconnected); fault.Upstream if Auth0 or Okta cannot be asked.
func (v *Vault) Token(ctx context.Context, s *session.Session) (secret.String, error) {
	sealer, err := v.Sealer(ctx)
	if err != nil {
		return secret.String{}, err
	}
	// A row without OktaLogin was written by a version that did not compare accounts.
	if len(s.OktaToken) > 0 && s.OktaUserID != "" && s.OktaLogin != "" && v.Now().Add(skew).Before(s.OktaExpires) {
		token, err := sealer.Open(s.OktaToken, binding(s.ID, s.Owner, purposeOkta)...)
		if err != nil {
			return secret.String{}, unreadable("cached okta token", err)
		}
		return token, nil
	}
	return v.exchange(ctx, sealer, s)
}

// Renew is [Vault.Token] without the cached token, for when Okta refused that one or the account may have changed.
func (v *Vault) Renew(ctx context.Context, s *session.Session) (secret.String, error) {
	sealer, err := v.Sealer(ctx)
	if err != nil {
		return secret.String{}, err
	}
	return v.exchange(ctx, sealer, s)
}

func (v *Vault) exchange(ctx context.Context, sealer *seal.Sealer, s *session.Session) (secret.String, error) {
	refresh, err := OpenRefreshToken(sealer, *s)
	if err != nil {
		return secret.String{}, unreadable("refresh token", err)
	}
	got, err := v.Exchanger.FederatedToken(ctx, refresh, v.Connection)
	if err != nil {
		if e, ok := errors.AsType[*auth0.Error](err); ok && e.NotConnected() {
			return secret.String{}, NotConnected(err)
		}
		return secret.String{}, auth0.Fault(err)
	}
	if err := v.identify(ctx, s, got.AccessToken); err != nil {
		return secret.String{}, err
	}
	expires := v.Now().Add(got.ExpiresIn)
	if v.Now().Add(skew).Before(expires) {
		sealed, err := sealer.Seal(got.AccessToken, binding(s.ID, s.Owner, purposeOkta)...)
		if err != nil {
			return secret.String{}, fmt.Errorf("seal okta token: %w", err)
		}
		if err := v.Sessions.SaveOktaToken(ctx, s.ID, sealed, expires); err != nil {
			return secret.String{}, err
		}
	}
	return got.AccessToken, nil
}

// identify asks Okta for the token's user and compares it with the person who signed in, before the token is used or cached. An
// account of another person is disconnected.
func (v *Vault) identify(ctx context.Context, s *session.Session, token secret.String) error {
	me, _, err := v.Okta.Me(okta.WithToken(ctx, token))
	if err != nil {
		return okta.Fault(err)
	}
	known := s.OktaUserID != "" && s.OktaLogin != ""
	if wrong, ok := errors.AsType[*WrongAccount](CheckAccount(s.Owner, v.Connection, me)); ok {
		return wrong.fault(errors.Join(v.Sessions.ForgetOkta(ctx, s.ID), v.Disconnect(ctx, *s)))
	}
	if known && s.OktaUserID == string(me.ID) && s.OktaLogin == me.Login {
		return nil
	}
	if err := v.Sessions.SaveOktaUser(ctx, s.ID, string(me.ID), me.Login); err != nil {
		return err
	}
	s.OktaUserID, s.OktaLogin = string(me.ID), me.Login
	return nil
}

// unreadable is the error for a sealed value of the session row that does not open.
func unreadable(what string, cause error) error {
	return fault.New(fault.Internal, "I cannot read your stored sign-in. Please sign in again.", fmt.Errorf("%s: %w", what, cause))
}

// Account returns the person's connected account at v.Connection, and whether there is one. Of several it returns the one
// connected last, whose token Token Vault gives. Errors: fault.Upstream if Auth0 cannot be asked, fault.Internal if the
// application lacks the permission, fault.Unauthenticated if the session's refresh token is not valid any more.
func (v *Vault) Account(ctx context.Context, s session.Session) (auth0.ConnectedAccount, bool, error) {
	_, all, err := v.accounts(ctx, s, auth0.ReadConnectedAccounts)
	if err != nil || len(all) == 0 {
		return auth0.ConnectedAccount{}, false, err
	}
	return slices.MaxFunc(all, func(a, b auth0.ConnectedAccount) int { return a.CreatedAt.Compare(b.CreatedAt) }), true, nil
}

// Disconnect deletes all accounts that the person has connected at v.Connection. None is no error. The caller deletes the tokens
// cached in session rows, which Okta accepts until they expire. Errors are those of [Vault.Account].
func (v *Vault) Disconnect(ctx context.Context, s session.Session) error {
	me, all, err := v.accounts(ctx, s, auth0.ReadConnectedAccounts, auth0.DeleteConnectedAccounts)
	if err != nil {
		return err
	}
	for _, account := range all {
		if err := v.Exchanger.DeleteConnectedAccount(ctx, me, account.ID); err != nil {
			return auth0.Fault(err)
		}
	}
	return nil
}

// accounts returns a My Account token of the session's person, and the accounts connected at v.Connection.
func (v *Vault) accounts(ctx context.Context, s session.Session, scopes ...auth0.MyAccountScope) (secret.String, []auth0.ConnectedAccount, error) {
	sealer, err := v.Sealer(ctx)
	if err != nil {
		return secret.String{}, nil, err
	}
	refresh, err := OpenRefreshToken(sealer, s)
	if err != nil {
		return secret.String{}, nil, unreadable("refresh token", err)
	}
	me, err := v.Exchanger.MyAccountToken(ctx, refresh, scopes...)
	if err != nil {
		return secret.String{}, nil, auth0.Fault(err)
	}
	all, err := v.Exchanger.ConnectedAccounts(ctx, me, v.Connection)
	if err != nil {
		return secret.String{}, nil, auth0.Fault(err)
	}
	return me, all, nil
}
