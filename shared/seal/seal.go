// Package seal encrypts the secrets that are stored in a table: refresh tokens, cached access tokens, auth_req_ids.
//
// Every sealed value is bound to the names of its place (session, owner, purpose). Copied to another row, it does not open.
// The cipher is AES-256-GCM with random 96-bit nonces (NIST SP 800-38D). The package also authenticates values that are stored
// in plain text with a mark (HMAC-SHA-256): write access to the table is not enough to make one.
//
// The keys come from a text in Secrets Manager, one key a line. Each is derived with HKDF-SHA-256 (RFC 5869), so that a
// generated password can be used as it is. The first key seals and marks; all of them open and verify. To rotate, add a line
// at the top; remove an old line when nothing that it sealed is left.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Bounds of the text that holds the keys.
const (
	MinKeyLength = 32 // characters
	MaxKeys      = 32
)

// version is the first byte of every sealed value, so that values of a later cipher can be recognised.
const version = 1

// ErrNotOpened means that a value was sealed with another key or for another place, or was changed afterwards.
var ErrNotOpened = errors.New("sealed value does not open here")

// Sealer seals and opens values, and makes and verifies marks. It is safe for concurrent use.
type Sealer struct {
	ring *ring
	// reload returns the ring that is stored now, which may be the one it is given. It is nil if the keys are not in a store.
	reload func(*ring) *ring
}

// ring is a list of keys, the newest first.
type ring struct {
	text secret.String
	keys []key
}

type key struct {
	aead cipher.AEAD
	mac  []byte
}

// New derives a Sealer from a text with one key a line, the newest first. Blank lines are ignored. A line that is too short, a
// repeated line and too many lines are errors, which give the number of the line and never its text.
func New(text secret.String) (*Sealer, error) {
	r, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Sealer{ring: r}, nil
}

func parse(text secret.String) (*ring, error) {
	r, seen := &ring{text: text}, map[string]int{}
	number := 0
	for line := range strings.Lines(text.Reveal()) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < MinKeyLength {
			return nil, fmt.Errorf("key in line %d has %d characters, want at least %d", number, len(line), MinKeyLength)
		}
		if other, ok := seen[line]; ok {
			return nil, fmt.Errorf("key in line %d repeats line %d", number, other)
		}
		seen[line] = number
		k, err := derive(line)
		if err != nil {
			return nil, fmt.Errorf("key in line %d: %w", number, err)
		}
		r.keys = append(r.keys, k)
	}
	switch n := len(r.keys); {
	case n == 0:
		return nil, errors.New("there is no key")
	case n > MaxKeys:
		return nil, fmt.Errorf("there are %d keys, want at most %d", n, MaxKeys)
	}
	return r, nil
}

func derive(text string) (k key, err error) {
	sealing, err := hkdf.Key(sha256.New, []byte(text), nil, "steward token seal v1", 32)
	if err != nil {
		return k, fmt.Errorf("derive key to seal: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return k, fmt.Errorf("cipher: %w", err)
	}
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return k, fmt.Errorf("cipher: %w", err)
	}
	if k.mac, err = hkdf.Key(sha256.New, []byte(text), nil, "steward mark v1", 32); err != nil {
		return k, fmt.Errorf("derive key to mark: %w", err)
	}
	return k, nil
}

// Seal encrypts plain, bound to the names in binding. An empty secret, no names or an empty name is an error.
func (s *Sealer) Seal(plain secret.String, binding ...string) ([]byte, error) {
	if plain.IsZero() {
		return nil, errors.New("seal: nothing to seal")
	}
	ad, err := join(binding)
	if err != nil {
		return nil, err
	}
	return s.ring.keys[0].aead.Seal([]byte{version}, nil, []byte(plain.Reveal()), ad), nil //nolint:gosec // the AEAD draws the nonce itself
}

// Open decrypts what [Sealer.Seal] made with one of the keys and the same binding. Anything else is [ErrNotOpened].
func (s *Sealer) Open(sealed []byte, binding ...string) (secret.String, error) {
	ad, err := join(binding)
	if err != nil {
		return secret.String{}, err
	}
	if len(sealed) == 0 || sealed[0] != version {
		return secret.String{}, ErrNotOpened
	}
	var plain []byte
	opened := s.try(func(r *ring) bool {
		for _, k := range r.keys {
			if plain, err = k.aead.Open(nil, nil, sealed[1:], ad); err == nil {
				return true
			}
		}
		return false
	})
	if !opened {
		return secret.String{}, ErrNotOpened
	}
	return secret.New(string(plain)), nil
}

// Mark returns the HMAC-SHA-256 of names with the newest key. No names or an empty name is an error.
func (s *Sealer) Mark(names ...string) ([]byte, error) {
	text, err := join(names)
	if err != nil {
		return nil, err
	}
	return s.ring.keys[0].mark(text), nil
}

// Verify reports whether mark is the [Sealer.Mark] of names with one of the keys. It compares in constant time.
func (s *Sealer) Verify(mark []byte, names ...string) bool {
	text, err := join(names)
	if err != nil {
		return false
	}
	return s.try(func(r *ring) bool {
		fits := 0
		for _, k := range r.keys {
			fits |= subtle.ConstantTimeCompare(mark, k.mark(text))
		}
		return fits == 1
	})
}

func (k key) mark(text []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(text)
	return h.Sum(nil)
}

// try calls use with the ring. If that fails and the store holds another ring by now, it calls use with that one.
func (s *Sealer) try(use func(*ring) bool) bool {
	if use(s.ring) {
		return true
	}
	if s.reload == nil {
		return false
	}
	r := s.reload(s.ring)
	return r != s.ring && use(r)
}

// join writes each name after its length, so that ("a","bc") and ("ab","c") differ.
func join(names []string) ([]byte, error) {
	if len(names) == 0 {
		return nil, errors.New("seal: no binding")
	}
	var out []byte
	for _, name := range names {
		if name == "" {
			return nil, errors.New("seal: empty name in binding")
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(name))) //nolint:gosec // names are ids of at most a few hundred bytes
		out = append(out, name...)
	}
	return out, nil
}

// GenerateKey returns a random key text, for tests and the laptop run.
func GenerateKey() secret.String { return secret.New(rand.Text() + rand.Text()) }

const (
	// refreshAfter is the age at which the keys are read again, so that a new key seals soon after a rotation.
	refreshAfter = 10 * time.Minute
	// retryAfter is the shortest time between two readings caused by a value that does not open.
	retryAfter = time.Minute
)

// FromStore returns a function that gives the Sealer of the keys in a stored text. The text is read at the first call and kept.
// It is read again every ten minutes, without making the caller wait, and when a value does not open or a mark does not verify,
// at most once a minute: so a running process learns of a rotation. If such a later reading fails, the keys that are kept stay in
// use.
//
// fetch must read the store itself, not a cache. use completes "the key that …" in the sentence of the error: the function
// returns the error of fetch as it is, a fault.Internal if the text holds no usable key, and a fault.Upstream if ctx ends first.
func FromStore(use string, fetch func(context.Context) (secret.String, error), now func() time.Time) func(context.Context) (*Sealer, error) {
	keys := &cached.Value[*ring]{RefreshAfter: refreshAfter, RetryAfter: retryAfter, Now: now, Fetch: func(ctx context.Context) (*ring, error) {
		text, err := fetch(ctx)
		if err != nil {
			return nil, err
		}
		r, err := parse(text)
		if err != nil {
			return nil, fault.New(fault.Internal, "Steward is not set up correctly: the key that "+use+" cannot be used. Please tell your administrator.", err)
		}
		return r, nil
	}}
	return func(ctx context.Context) (*Sealer, error) {
		r, err := keys.Get(ctx)
		if err != nil && errors.Is(err, ctx.Err()) {
			err = fault.New(fault.Upstream, "I could not read a setting of Steward in time. Please try again in a moment.", err)
		}
		if err != nil {
			return nil, err
		}
		return &Sealer{ring: r, reload: func(used *ring) *ring {
			if r, ok := keys.Another(ctx, func(r *ring) bool { return r.text.Equal(used.text) }); ok {
				return r
			}
			return used
		}}, nil
	}
}

// Digest returns the SHA-256, in hexadecimal, of the parts, each after its length, so that different lists have different
// digests. Anybody can compute it; what needs the key is [Sealer.Mark] of a digest.
func Digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}
