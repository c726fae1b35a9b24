package auth0

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fault"
)

// provider is what discovery tells.
type provider struct {
	authURL        string
	responseIssuer bool // authorization responses carry iss (RFC 9207)
	keys           *keySet
}

// discover reads the tenant's metadata once; a failed try is tried again by the next caller.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider != nil {
		return c.provider, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.issuer)
	if err != nil {
		return nil, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 discovery: %w", err))
	}
	var metadata struct {
		JWKS           string `json:"jwks_uri"`
		ResponseIssuer bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&metadata); err != nil {
		return nil, fault.New(fault.Upstream, sayAuth0Down, errors.New("auth0 discovery: the metadata is not what it should be"))
	}
	if _, err := config.ParseURL(metadata.JWKS); err != nil {
		return nil, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 discovery: jwks_uri %w", err))
	}
	c.provider = &provider{
		authURL:        p.Endpoint().AuthURL,
		responseIssuer: metadata.ResponseIssuer,
		keys:           &keySet{client: c, url: metadata.JWKS, fetching: make(chan struct{}, 1)},
	}
	return c.provider, nil
}

// keySet holds the tenant's signing keys. They are fetched when first needed, and again when a token names a key that is
// not among them.
//
// oidc.RemoteKeySet is not used: for a moment after a fetch has failed it answers the next caller with the same failure,
// and it tells an outage from a forged token by the words of an error alone.
type keySet struct {
	client   *Client
	url      string
	fetching chan struct{} // one place: taken while the keys are being fetched

	mu   sync.RWMutex
	keys map[string]*rsa.PublicKey // by key id
}

func (k *keySet) known(id string) *rsa.PublicKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[id]
}

// key finds a key by its id: nil if the tenant has none of that id. An error means that the tenant could not be asked.
func (k *keySet) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	if key := k.known(id); key != nil {
		return key, nil
	}
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if key := k.known(id); key != nil { // fetched meanwhile
		return key, nil
	}
	keys, err := k.client.fetchKeys(ctx, k.url)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.keys = keys
	k.mu.Unlock()
	return keys[id], nil
}

// fetchKeys reads a JSON Web Key Set (RFC 7517 section 5). Keys that are no RSA keys are left out, those of a kind that
// this program does not know included.
func (c *Client) fetchKeys(ctx context.Context, url string) (map[string]*rsa.PublicKey, error) {
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
	keys := map[string]*rsa.PublicKey{}
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

// verification is the oidc.KeySet of one verification. The verifier keeps no chain of errors, so what kept the keys from
// being had is noted here: a signature that does not fit is a forgery, keys that cannot be had are no answer at all.
type verification struct {
	keys        *keySet
	unreachable error
}

// VerifySignature is oidc.KeySet's.
func (v *verification) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		v.unreachable = err
		return nil, err
	}
	if key == nil {
		return nil, errors.New("signed by a key that the tenant does not have")
	}
	return signed.Verify(key)
}
