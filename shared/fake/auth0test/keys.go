package auth0test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is defined over SHA-1 (RFC 7517 4.8)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signingKey is one RSA key of the tenant with its self-signed certificate.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
	cert    []byte
}

// signingKeys are made once a process, since making them is the slowest thing here: current, next, and the one after a rotation.
var signingKeys = sync.OnceValue(func() [3]signingKey {
	var keys [3]signingKey
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			private, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err) // no randomness: nothing can work
			}
			template := &x509.Certificate{
				SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "auth0test"},
				NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0),
			}
			cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
			if err != nil {
				panic(err)
			}
			keys[i] = signingKey{id: opaque(16), private: private, cert: cert}
		})
	}
	wg.Wait()
	return keys
})

// RotateKeys makes the next signing key the current one. A verifier that cached the old set still knows it; after a second rotation it
// meets an unknown kid and must fetch again.
func (t *Tenant) RotateKeys() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys++
}

func (t *Tenant) key(offset int) signingKey {
	all := signingKeys()
	return all[(t.keys+offset)%len(all)]
}

func (t *Tenant) jwks(w http.ResponseWriter, _ *http.Request) {
	type jwk struct {
		Kty string   `json:"kty"`
		Use string   `json:"use"`
		Alg string   `json:"alg"`
		Kid string   `json:"kid"`
		N   string   `json:"n"`
		E   string   `json:"e"`
		X5t string   `json:"x5t"`
		X5c []string `json:"x5c"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for offset := range 2 { // current and next
		k := t.key(offset)
		thumb := sha1.Sum(k.cert) //nolint:gosec // see the import
		set.Keys = append(set.Keys, jwk{
			Kty: "RSA", Use: "sig", Alg: "RS256", Kid: k.id,
			N:   base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			E:   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
			X5t: base64.RawURLEncoding.EncodeToString(thumb[:]),
			X5c: []string{base64.StdEncoding.EncodeToString(k.cert)},
		})
	}
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	writeCachedJSON(w, set)
}

// sign makes a JWT with the current key.
func (t *Tenant) sign(typ string, claims map[string]any) string {
	k := t.key(0)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		panic(err) // a wrong algorithm for our own key
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err) // claims that are no JSON
	}
	return token
}

// verify checks a JWT this tenant signed and returns its claims.
func (t *Tenant) verify(token string) (map[string]any, bool) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		return nil, false
	}
	var public crypto.PublicKey
	for offset := range 3 {
		if k := t.key(offset); k.id == parsed.Headers[0].KeyID {
			public = &k.private.PublicKey
		}
	}
	claims := map[string]any{}
	if public == nil || parsed.Claims(public, &claims) != nil || claims["iss"] != t.issuer {
		return nil, false
	}
	if exp, ok := claims["exp"].(float64); !ok || t.now().Unix() >= int64(exp) {
		return nil, false
	}
	return claims, true
}
