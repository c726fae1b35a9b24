package okta

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// What has the shape of an id is the same in a path, escaped or not, and
// nothing else passes for one.
func FuzzIDs(f *testing.F) {
	for _, s := range []string{"00ualice000000000001", "me", "../x", "00ualice00000000000\n", "00u%2e%2e/0000000000", "00ualice0000000000é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if UserID(s).Valid() && (url.PathEscape(s) != s || len(s) != 20 || !strings.HasPrefix(s, "00u")) {
			t.Errorf("%q passes for an id", s)
		}
	})
}

// A value never ends the literal it is in.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"alice", `"`, `\`, `\"`, `a" or status pr or id eq "`, `\\"`, "é", "O'Neill"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s, err := cleanText("Fuzz", s)
		if err != nil {
			return
		}
		var back string
		if err := json.Unmarshal([]byte(quote(s)), &back); err != nil || back != s {
			t.Errorf("%q reads back as %q, %v", quote(s), back, err)
		}
	})
}

// Link headers of any shape are read without a panic, and what is found is a
// target that was there.
func FuzzLinks(f *testing.F) {
	for _, s := range []string{
		`<https://x.test/a?after=1>; rel="next"`,
		`<https://x.test/a>; rel="self", <https://x.test/a?after=1,2>; rel="next"`,
		`<a>; title="x, <b>; rel=\"next\""; rel=prev, <c>; REL=next`,
		`<a>;rel="prev next"`, `<`, `>`, `<a`, `rel="next"`, `,,,<a>;;rel=;rel=next`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if target := linkTo([]string{s}, "next"); target != "" && !strings.Contains(s, "<"+target+">") {
			t.Errorf("found %q in %q", target, s)
		}
	})
}

func TestLinkTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		want   string
	}{
		{"separate", []string{`<https://o.test/a?limit=1>; rel="self"`, `<https://o.test/a?after=2>; rel="next"`}, "https://o.test/a?after=2"},
		{"joined", []string{`<https://o.test/a?limit=1>; rel="self", <https://o.test/a?after=2>; rel="next"`}, "https://o.test/a?after=2"},
		{"a comma in the target", []string{`<https://o.test/a?after=1,2>; rel="next"`}, "https://o.test/a?after=1,2"},
		{"a comma and a link in a parameter", []string{`<a>; title="x, <b>; rel=\"next\""; rel=prev, <c>; REL=next`}, "c"},
		{"several relations", []string{`<a>;rel="prev next"`}, "a"},
		{"none", []string{`<a>; rel="self"`}, ""},
		{"a name in the target only", []string{`<https://o.test/a?rel="next">; rel="self"`}, ""},
		{"no header", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := linkTo(c.values, "next"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
