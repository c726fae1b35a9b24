package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

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
