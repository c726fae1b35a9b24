// Package seal encrypts what must rest in a table: refresh tokens, cached access tokens, auth_req_ids.
//
// Every sealed value is bound to names that say where it belongs (session, owner, purpose). Moved to another row, it
// does not open. The cipher is AES-256-GCM with random 96-bit nonces (NIST SP 800-38D); the key is derived with
// HKDF-SHA-256 (RFC 5869) from a text kept in Secrets Manager, so a generated password serves as it is.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// MinKeyLength is the least number of characters a key text may have.
const MinKeyLength = 32

// version leads every sealed value, so that a later cipher can tell the two apart.
const version = 1

// ErrNotOpened says that a value was sealed under another key, for another place, or was changed since.
var ErrNotOpened = errors.New("sealed value does not open here")

// Box seals and opens values under one key. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
	mac  []byte // key of Mark
}

// New derives a Box from the key text.
func New(key secret.String) (*Box, error) {
	if len(key.Reveal()) < MinKeyLength {
		return nil, fmt.Errorf("token key has %d characters, want at least %d", len(key.Reveal()), MinKeyLength)
	}
	k, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "steward token seal v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive token key: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "steward mark v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive mark key: %w", err)
	}
	return &Box{aead: aead, mac: mac}, nil
}

// Seal encrypts plain for the place that binding names. An empty secret or an empty binding is refused.
func (b *Box) Seal(plain secret.String, binding ...string) ([]byte, error) {
	if plain.IsZero() {
		return nil, errors.New("seal: nothing to seal")
	}
	ad, err := additional(binding)
	if err != nil {
		return nil, err
	}
	return b.aead.Seal([]byte{version}, nil, []byte(plain.Reveal()), ad), nil //nolint:gosec // the AEAD draws the nonce itself
}

// Open decrypts what [Box.Seal] made under the same key and binding; anything else is [ErrNotOpened].
func (b *Box) Open(sealed []byte, binding ...string) (secret.String, error) {
	ad, err := additional(binding)
	if err != nil {
		return secret.String{}, err
	}
	if len(sealed) == 0 || sealed[0] != version {
		return secret.String{}, ErrNotOpened
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], ad)
	if err != nil {
		return secret.String{}, ErrNotOpened
	}
	return secret.New(string(plain)), nil
}

// Mark is an HMAC-SHA-256 over names, under a key of its own: only who has the token key can make it.
func (b *Box) Mark(names ...string) ([]byte, error) {
	text, err := additional(names)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, b.mac)
	h.Write(text)
	return h.Sum(nil), nil
}

// Verify says whether mark is what [Box.Mark] makes over names. It compares in constant time.
func (b *Box) Verify(mark []byte, names ...string) bool {
	want, err := b.Mark(names...)
	return err == nil && hmac.Equal(mark, want)
}

// additional writes each name behind its length: ("a","bc") and ("ab","c") are different places.
func additional(binding []string) ([]byte, error) {
	if len(binding) == 0 {
		return nil, errors.New("seal: no binding")
	}
	var ad []byte
	for _, name := range binding {
		if name == "" {
			return nil, errors.New("seal: empty name in binding")
		}
		ad = binary.BigEndian.AppendUint32(ad, uint32(len(name))) //nolint:gosec // names are ids of at most a few hundred bytes
		ad = append(ad, name...)
	}
	return ad, nil
}

// GenerateKey makes a key text, for places without a secret store.
func GenerateKey() secret.String { return secret.New(rand.Text() + rand.Text()) }

// Keeper gives the Box of a key that is fetched when first needed, and the same one from then on. A fetch that failed
// is tried again by the next caller. A key that is none is our fault and nobody else's, and so an error of kind Internal.
func Keeper(key func(context.Context) (secret.String, error)) func(context.Context) (*Box, error) {
	var kept atomic.Pointer[Box]
	return func(ctx context.Context) (*Box, error) {
		if b := kept.Load(); b != nil {
			return b, nil
		}
		k, err := key(ctx)
		if err != nil {
			return nil, err
		}
		b, err := New(k)
		if err != nil {
			return nil, fault.New(fault.Internal, "Steward is not set up right: the key that seals sign-ins cannot be used. Please tell your administrator.", err)
		}
		kept.Store(b)
		return b, nil
	}
}
