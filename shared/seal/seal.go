// Package seal encrypts what must rest in a table: refresh tokens, cached access tokens, auth_req_ids.
//
// Every sealed value is bound to names that say where it belongs (session, owner, purpose). Moved to another row, it
// does not open. The cipher is AES-256-GCM with random 96-bit nonces (NIST SP 800-38D). It also marks what rests in
// plain (HMAC-SHA-256), so that whoever may write a row cannot write what only the holders of the key may say.
//
// The keys come from a text kept in Secrets Manager, one a line, each derived with HKDF-SHA-256 (RFC 5869), so a
// generated password serves as it is. The first key seals and marks; every one of them opens and verifies. A new line
// above the others is therefore a rotation that loses nothing, and a line may go when nothing is left that it sealed.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Bounds of the text that holds the keys.
const (
	MinKeyLength = 32 // characters of a key
	MaxKeys      = 32 // of one ring
)

// version leads every sealed value, so that a later cipher can tell the two apart.
const version = 1

// ErrNotOpened says that a value was sealed under another key, for another place, or was changed since.
var ErrNotOpened = errors.New("sealed value does not open here")

// Box seals and opens values, and makes and verifies marks, under the keys of one ring. It is safe for concurrent use.
type Box struct {
	ring *ring
	// again returns the ring as it is stored now, which may be the one it is given; nil where it is not stored.
	again func(*ring) *ring
}

// ring is one or more keys: the first seals and marks, all open and verify.
type ring struct {
	text secret.String
	keys []key
}

type key struct {
	aead cipher.AEAD
	mac  []byte
}

// New derives a Box from a text with one key a line, the newest first. Blank lines do not count. A line that is too
// short, a line that repeats another, and too many of them are errors, which name the line and never show it.
func New(text secret.String) (*Box, error) {
	r, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Box{ring: r}, nil
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

// Seal encrypts plain for the place that binding names. An empty secret or an empty binding is refused.
func (b *Box) Seal(plain secret.String, binding ...string) ([]byte, error) {
	if plain.IsZero() {
		return nil, errors.New("seal: nothing to seal")
	}
	ad, err := join(binding)
	if err != nil {
		return nil, err
	}
	return b.ring.keys[0].aead.Seal([]byte{version}, nil, []byte(plain.Reveal()), ad), nil //nolint:gosec // the AEAD draws the nonce itself
}

// Open decrypts what [Box.Seal] made under a key of the ring and the same binding; anything else is [ErrNotOpened].
func (b *Box) Open(sealed []byte, binding ...string) (secret.String, error) {
	ad, err := join(binding)
	if err != nil {
		return secret.String{}, err
	}
	if len(sealed) == 0 || sealed[0] != version {
		return secret.String{}, ErrNotOpened
	}
	var plain []byte
	opened := b.try(func(r *ring) bool {
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

// Mark returns an HMAC-SHA-256 over names under the newest key: only who has the key can make it.
func (b *Box) Mark(names ...string) ([]byte, error) {
	text, err := join(names)
	if err != nil {
		return nil, err
	}
	return b.ring.keys[0].mark(text), nil
}

// Verify says whether mark is the [Box.Mark] of names under a key of the ring. It compares in constant time.
func (b *Box) Verify(mark []byte, names ...string) bool {
	text, err := join(names)
	if err != nil {
		return false
	}
	return b.try(func(r *ring) bool {
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

// try uses the ring, and once more the one that is stored by now if that is another.
func (b *Box) try(use func(*ring) bool) bool {
	if use(b.ring) {
		return true
	}
	if b.again == nil {
		return false
	}
	r := b.again(b.ring)
	return r != b.ring && use(r)
}

// join writes each name behind its length: ("a","bc") and ("ab","c") are different places.
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

// GenerateKey makes a key text, for places without a secret store.
func GenerateKey() secret.String { return secret.New(rand.Text() + rand.Text()) }

const (
	// rereadAfter is how old a ring may be when it is read again in passing, so that a new key is used for sealing soon
	// after a rotation.
	rereadAfter = 10 * time.Minute
	// retryAfter is the least time between two readings for the sake of a value that does not open.
	retryAfter = time.Minute
)

// Keeper returns the Box of the keys in a stored text. The text is read when the Box is first needed and kept. It is
// read again every ten minutes, beside the call that notices, and when a value does not open or a mark does not verify,
// at most once a minute: so a function that is warm learns of a rotation. A reading that fails then changes nothing.
//
// Fetch must read the text where it is stored, not from a cache. Use completes "the key that …" in what people are told
// if the first text that is read holds no key, which is an error of kind Internal. The clock is now.
func Keeper(use string, fetch func(context.Context) (secret.String, error), now func() time.Time) func(context.Context) (*Box, error) {
	k := &keeper{use: use, fetch: fetch, now: now}
	return k.box
}

type keeper struct {
	use   string
	fetch func(context.Context) (secret.String, error)
	now   func() time.Time

	kept atomic.Pointer[ring]
	read atomic.Int64 // when the text was last asked for, Unix nanoseconds

	mu      sync.Mutex // held while a kept ring is read again
	retried time.Time  // when that was last for the sake of a value
}

func (k *keeper) box(ctx context.Context) (*Box, error) {
	r := k.kept.Load()
	switch {
	case r == nil:
		var err error
		if r, err = k.load(ctx); err != nil {
			return nil, err
		}
	case k.old():
		go k.refresh(context.WithoutCancel(ctx))
	}
	return &Box{ring: r, again: func(had *ring) *ring { return k.retry(ctx, had) }}, nil
}

// load reads the text and keeps its ring.
func (k *keeper) load(ctx context.Context) (*ring, error) {
	k.read.Store(k.now().UnixNano())
	text, err := k.fetch(ctx)
	if err != nil {
		return nil, err
	}
	if r := k.kept.Load(); r != nil && r.text.Equal(text) {
		return r, nil
	}
	r, err := parse(text)
	if err != nil {
		return nil, fault.New(fault.Internal, "Steward is not set up right: the key that "+k.use+" cannot be used. Please tell your administrator.", err)
	}
	k.kept.Store(r)
	return r, nil
}

func (k *keeper) old() bool { return k.now().UnixNano()-k.read.Load() >= int64(rereadAfter) }

// refresh reads the text again where it is old, and nobody is reading it already.
func (k *keeper) refresh(ctx context.Context) {
	if !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	if k.old() {
		_, _ = k.load(ctx) // tried again in ten minutes
	}
}

// retry returns the ring for one more try after had did not do.
func (k *keeper) retry(ctx context.Context, had *ring) *ring {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.kept.Load() == had && now.Sub(k.retried) >= retryAfter {
		k.retried = now
		if r, err := k.load(ctx); err == nil {
			return r
		}
	}
	return k.kept.Load()
}

// Digest is the SHA-256 in hexadecimal over each part behind its length, so that no two lists of parts share a form. It needs no key
// and proves nothing by itself; [Box.Mark] over a digest does.
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
