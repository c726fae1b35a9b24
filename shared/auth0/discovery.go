package auth0

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fault"
)

// provider is the tenant's metadata.
type provider struct {
	authURL        string
	responseIssuer bool // authorization responses carry iss (RFC 9207)
	keys           *keySet
}

// discover returns the tenant's metadata, fetched once. If that fails, the error is a fault.Upstream, and the next call tries
// again.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	p, err := c.provider.Get(ctx)
	if err != nil {
		return nil, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 discovery: %w", err))
	}
	return p, nil
}

func (c *Client) fetchProvider(ctx context.Context) (*provider, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		JWKS           string `json:"jwks_uri"`
		ResponseIssuer bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&metadata); err != nil {
		return nil, errors.New("the metadata cannot be decoded")
	}
	if _, err := config.ParseURL(metadata.JWKS); err != nil {
		return nil, fmt.Errorf("jwks_uri %w", err)
	}
	keys := keySet{Fetch: func(ctx context.Context) (publicKeys, error) { return c.fetchKeys(ctx, metadata.JWKS) }, Timeout: timeout}
	return &provider{authURL: p.Endpoint().AuthURL, responseIssuer: metadata.ResponseIssuer, keys: &keys}, nil
}

type (
	publicKeys map[string]*rsa.PublicKey // by key id
	keySet     = cached.Value[publicKeys]
)

// findKey returns the key with an id, nil if the tenant has no such key. The keys are fetched at first use, and again when a
// token names an unknown key. An error means that they could not be fetched.
//
// It replaces oidc.RemoteKeySet, which returns the error of a failed fetch to later callers too, and whose errors tell an outage
// from a forged token only by their text.
func findKey(ctx context.Context, keys *keySet, id string) (*rsa.PublicKey, error) {
	if kept, ok := keys.Kept(); ok && kept[id] != nil {
		return kept[id], nil
	}
	fetched, err := keys.Fresh(ctx)
	return fetched[id], err
}

// fetchKeys fetches a JSON Web Key Set (RFC 7517 section 5) and returns its RSA keys by key id. Other keys are ignored.
func (c *Client) fetchKeys(ctx context.Context, url string) (publicKeys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := c.do(req, &set); err != nil {
		return nil, err
	}
	keys := publicKeys{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || key.KeyID == "" {
			continue
		}
		if public, ok := key.Key.(*rsa.PublicKey); ok {
			keys[key.KeyID] = public
		}
	}
	return keys, nil
}

// signatureCheck is the oidc.KeySet for one token. oidc.IDTokenVerifier returns an error without its cause, so the error of a
// failed key fetch is stored in fetchErr: it means that the token could not be checked, while any other error means that it is
// not valid.
type signatureCheck struct {
	keys     *keySet
	fetchErr error
}

// VerifySignature implements oidc.KeySet.
func (v *signatureCheck) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return nil, err
	}
	key, err := findKey(ctx, v.keys, signed.Signatures[0].Header.KeyID)
	if err != nil {
		v.fetchErr = err
		return nil, err
	}
	if key == nil {
		return nil, errors.New("the tenant has no key with this id")
	}
	return signed.Verify(key)
}
