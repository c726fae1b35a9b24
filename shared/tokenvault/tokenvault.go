// Package tokenvault turns a session into the person's own access token at Okta.
//
// Auth0's Token Vault keeps the Okta tokens; we hold one only between two uses. A token is exchanged when it is needed,
// kept sealed in the session row until shortly before it expires, and exchanged anew when Okta refuses it.
package tokenvault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// skew is how long before its end a token is no longer used: longer than any call with it takes.
const skew = 60 * time.Second

// The purposes sealed values are bound to, beside session and owner.
const (
	purposeRefresh = "refresh_token"
	purposeOkta    = "okta_token"
)

// Exchanger is the part of auth0.Client used here.
type Exchanger interface {
	FederatedToken(ctx context.Context, refresh secret.String, connection string) (auth0.Federated, error)
}

// Keeper keeps the sealed token in the session row.
type Keeper interface {
	SaveOktaToken(ctx context.Context, id session.ID, sealed []byte, expires time.Time) error
}

// Vault gives out tokens. It is safe for concurrent use.
type Vault struct {
	Exchanger  Exchanger
	Keeper     Keeper
	Box        func(context.Context) (*seal.Box, error) // the key is fetched when first needed
	Connection string
	Now        func() time.Time
}

// NotConnected is the answer where the vault holds no Okta account of the person.
func NotConnected(cause error) error {
	return fault.New(fault.Conflict, "Your Okta account is not connected yet. Open the chat page and choose “Connect Okta”, then ask again.", cause)
}

// SealRefreshToken seals an Auth0 refresh token for the session it will be stored in.
func SealRefreshToken(box *seal.Box, id session.ID, owner session.Subject, refresh secret.String) ([]byte, error) {
	return box.Seal(refresh, string(id), string(owner), purposeRefresh)
}

// OpenRefreshToken opens what [SealRefreshToken] sealed.
func OpenRefreshToken(box *seal.Box, s session.Session) (secret.String, error) {
	return box.Open(s.RefreshToken, string(s.ID), string(s.Owner.Subject), purposeRefresh)
}

// Token is the person's Okta token: the cached one while it is good, else one fresh from the vault. The session must be
// live; identity and token come from this one row.
func (v *Vault) Token(ctx context.Context, s session.Session) (secret.String, error) {
	box, err := v.Box(ctx)
	if err != nil {
		return secret.String{}, err
	}
	if len(s.OktaToken) > 0 && v.Now().Add(skew).Before(s.OktaExpires) {
		token, err := box.Open(s.OktaToken, string(s.ID), string(s.Owner.Subject), purposeOkta)
		if err != nil {
			return secret.String{}, fault.New(fault.Internal, "The stored sign-in cannot be read. Please sign in again.", fmt.Errorf("cached okta token: %w", err))
		}
		return token, nil
	}
	return v.exchange(ctx, box, s)
}

// Renew exchanges a new token although the cached one looked good: Okta refused it.
func (v *Vault) Renew(ctx context.Context, s session.Session) (secret.String, error) {
	box, err := v.Box(ctx)
	if err != nil {
		return secret.String{}, err
	}
	return v.exchange(ctx, box, s)
}

func (v *Vault) exchange(ctx context.Context, box *seal.Box, s session.Session) (secret.String, error) {
	refresh, err := OpenRefreshToken(box, s)
	if err != nil {
		return secret.String{}, fault.New(fault.Internal, "The stored sign-in cannot be read. Please sign in again.", fmt.Errorf("refresh token: %w", err))
	}
	got, err := v.Exchanger.FederatedToken(ctx, refresh, v.Connection)
	if err != nil {
		if e, ok := errors.AsType[*auth0.Error](err); ok && e.NotConnected() {
			return secret.String{}, NotConnected(err)
		}
		return secret.String{}, auth0.Fault(err)
	}
	expires := v.Now().Add(got.ExpiresIn)
	if v.Now().Add(skew).Before(expires) {
		sealed, err := box.Seal(got.AccessToken, string(s.ID), string(s.Owner.Subject), purposeOkta)
		if err != nil {
			return secret.String{}, fmt.Errorf("seal okta token: %w", err)
		}
		if err := v.Keeper.SaveOktaToken(ctx, s.ID, sealed, expires); err != nil {
			return secret.String{}, err
		}
	}
	return got.AccessToken, nil
}
