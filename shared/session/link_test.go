package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

func TestLinkCode(t *testing.T) {
	sealer, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	id, at := session.ID("console-0f3a"), time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	code, err := session.LinkCode(sealer, id, at)
	if err != nil || len(code) != 9 {
		t.Fatalf("LinkCode = %q, %v", code, err)
	}
	foreign, err := session.LinkCode(other, id, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		id    session.ID
		typed string
		after time.Duration
		want  bool
	}{
		{"as shown", id, code, 0, true},
		{"in small letters, without the dash", id, strings.ToLower(strings.ReplaceAll(code, "-", " ")), 0, true},
		{"a little later", id, code, 12 * time.Minute, true},
		{"too late", id, code, 21 * time.Minute, false},
		{"for another session", "console-0f3b", code, 0, false},
		{"made with another key", id, foreign, 0, false},
		{"empty", id, "", 0, false},
		{"for an id that is none", "a#b", code, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := session.LinkCodeFits(sealer, c.id, c.typed, at.Add(c.after)); got != c.want {
				t.Errorf("LinkCodeFits = %v, want %v", got, c.want)
			}
		})
	}
	if _, err := session.LinkCode(sealer, "login#x", at); err == nil {
		t.Error("a code was made for what is no session id")
	}
}
