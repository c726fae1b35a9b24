package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

func TestIDs(t *testing.T) {
	seen := map[session.ID]bool{}
	for range 1000 {
		id := session.NewID()
		if parsed, err := session.ParseID(string(id)); err != nil || parsed != id || seen[id] {
			t.Fatalf("id %q: %v, seen before: %t", id, err, seen[id])
		}
		seen[id] = true
	}
	good := string(session.NewID())
	for name, s := range map[string]string{
		"empty": "", "short": "a", "long": strings.Repeat("a", 101), "a row's key": "owner#" + good[6:],
		"blank": " " + good[1:], "newline": good[:42] + "\n", "not ASCII": good[:41] + "é", "NUL": good[:42] + "\x00",
	} {
		if _, err := session.ParseID(s); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(string(session.NewID()))
	f.Add("login#x")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := session.ParseID(s); err == nil && (string(id) != s || strings.ContainsAny(s, "# /\n") || len(s) < 2 || len(s) > 100) {
			t.Errorf("%q was taken", s)
		}
	})
}

func TestLive(t *testing.T) {
	now := time.Now()
	good := session.Session{ID: "x", Owner: session.Person{Subject: "s"}, ExpiresAt: now.Add(time.Second)}
	for name, tc := range map[string]struct {
		change func(*session.Session)
		want   bool
	}{
		"good":             {func(*session.Session) {}, true},
		"at its end":       {func(s *session.Session) { s.ExpiresAt = now }, false},
		"without an end":   {func(s *session.Session) { s.ExpiresAt = time.Time{} }, false},
		"nobody's":         {func(s *session.Session) { s.Owner.Subject = "" }, false},
		"without id":       {func(s *session.Session) { s.ID = "" }, false},
		"without an email": {func(s *session.Session) { s.Owner.Email = "" }, true},
	} {
		s := good
		tc.change(&s)
		if got := s.Live(now); got != tc.want {
			t.Errorf("%s: live %t", name, got)
		}
	}
	if (session.Login{Key: "k", ExpiresAt: now.Add(time.Second)}).Live(now) || (session.Login{}).Live(now) {
		t.Error("a login of nobody is live")
	}
}

func TestKeyOf(t *testing.T) {
	cookie := session.NewCookie()
	key := session.KeyOf(cookie)
	if key == "" || key != session.KeyOf(cookie) || key == session.KeyOf(session.NewCookie()) || strings.Contains(string(key), cookie.Reveal()) {
		t.Errorf("key %q", key)
	}
	if session.KeyOf(secret.String{}) != "" {
		t.Error("no cookie has a key")
	}
}
