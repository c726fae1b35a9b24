package seal_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
)

func box(t *testing.T, key string) *seal.Box {
	t.Helper()
	b, err := seal.New(secret.New(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedValuesOpenOnlyWhereTheyBelong(t *testing.T) {
	key := strings.Repeat("k", 40)
	b := box(t, key)
	sealed, err := b.Seal(secret.New("canary-token"), "session-1", "owner-1", "refresh_token")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Fatal("the sealed value shows the plain text")
	}
	// The key survives a restart: a second box from the same text opens it.
	if got, err := box(t, key).Open(sealed, "session-1", "owner-1", "refresh_token"); err != nil || got.Reveal() != "canary-token" {
		t.Fatalf("Open = %q, %v", got.Reveal(), err)
	}
	again, err := b.Seal(secret.New("canary-token"), "session-1", "owner-1", "refresh_token")
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("two seals of one value are equal (err %v)", err)
	}

	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() (secret.String, error){
		"another session": func() (secret.String, error) { return b.Open(sealed, "session-2", "owner-1", "refresh_token") },
		"another owner":   func() (secret.String, error) { return b.Open(sealed, "session-1", "owner-2", "refresh_token") },
		"another purpose": func() (secret.String, error) { return b.Open(sealed, "session-1", "owner-1", "okta_token") },
		"shifted names":   func() (secret.String, error) { return b.Open(sealed, "session-1o", "wner-1", "refresh_token") },
		"another key": func() (secret.String, error) {
			return box(t, strings.Repeat("j", 40)).Open(sealed, "session-1", "owner-1", "refresh_token")
		},
		"a changed byte": func() (secret.String, error) { return b.Open(flipped, "session-1", "owner-1", "refresh_token") },
		"plain text": func() (secret.String, error) {
			return b.Open([]byte("canary-token"), "session-1", "owner-1", "refresh_token")
		},
		"nothing": func() (secret.String, error) { return b.Open(nil, "session-1", "owner-1", "refresh_token") },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrNotOpened) || !got.IsZero() {
			t.Errorf("%s: got %v, err %v; want nothing and ErrNotOpened", name, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	if _, err := seal.New(secret.New("short")); err == nil {
		t.Error("a short key was accepted")
	}
	b := box(t, seal.GenerateKey().Reveal())
	if _, err := b.Seal(secret.String{}, "a"); err == nil {
		t.Error("an empty secret was sealed")
	}
	if _, err := b.Seal(secret.New("x")); err == nil {
		t.Error("a value without a place was sealed")
	}
	if _, err := b.Seal(secret.New("x"), ""); err == nil {
		t.Error("an empty name was accepted")
	}
}

// The key is fetched when first needed and once; one that is none is tried again, for somebody may have put it right.
func TestKeeper(t *testing.T) {
	var key secret.String
	var fetched int
	keep := seal.Keeper(func(context.Context) (secret.String, error) {
		fetched++
		if key.IsZero() {
			return key, errors.New("away")
		}
		return key, nil
	})
	for _, bad := range []secret.String{{}, secret.New("canary-short")} {
		key = bad
		b, err := keep(t.Context())
		if err == nil || b != nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("under no key: %v", err)
		}
		if e, ok := errors.AsType[*fault.Error](err); ok == bad.IsZero() || ok && e.Kind != fault.Internal {
			t.Errorf("under a key that is too short: %v; without one: as the fetch says", err)
		}
	}
	key = seal.GenerateKey()
	first, err := keep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := keep(t.Context()); err != nil || again != first || fetched != 3 {
		t.Errorf("fetched %d times, the same box: %t, %v", fetched, again == first, err)
	}
}
