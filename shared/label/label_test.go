package label_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/label"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"Finance":                 "Finance",
		"Büro 7 (neu)":            "Büro 7 (neu)",
		"":                        "",
		"\u202eFinance":           "Finance", // shown from right to left
		"Fin\u200bance":           "Finance", // a blank of no width
		"Fin\u00adance":           "Finance", // a soft hyphen
		"Finance\ufe0f":           "Finance", // a variation selector
		"Finance\U000e0141":       "Finance", // a tag
		"Finance\U000e01ef":       "Finance", // a variation selector of the second block
		"Fin\u034fance":           "Finance", // a grapheme joiner
		"Finance\u3164":           "Finance", // a Hangul filler
		"Finance\x00\x1b":         "Finance",
		" Finance":                "Finance",
		"Finance\u2800 ":          "Finance",
		"Design  Team":            "Design Team",
		"Design\u00a0Team":        "Design Team",
		"Design\nTeam":            "Design Team",
		"Design\u2028\u3000 Team": "Design Team",
		"\u0301Finance":           "Finance", // an accent that would sit on the quotation mark
		"bad\xff":                 "bad�",
	} {
		got, changed := label.Clean(in)
		if got != want || changed != (in != want) {
			t.Errorf("%q becomes %q, changed %t, want %q", in, got, changed, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"Finance":                  `"Finance"`,
		"":                         `""`,
		"a\nb\r\tc":                `"a b c"`,
		`say "yes"`:                `"say 'yes'"`,
		"“smart”":                  `"'smart'"`,
		"wide＂":                    `"wide'"`,
		"abc\u202egpj":             `"abcgpj"`,
		"zero\u200bwidth\u2028new": `"zerowidth…"`,
		"bad\xff":                  `"bad�"`,
		"1234567890":               `"1234567890"`,
		"12345678901":              `"123456789…"`,
	} {
		if got := label.Quote(in, 10); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, plain := range []string{"Finance", "R&D (EMEA) #2", "Büro", "Łódź", "ops-at-corp", "it's"} {
		if !label.Plain(plain) {
			t.Errorf("%q is not plain", plain)
		}
	}
	for _, other := range []string{
		"Fin\u0430nce" /* a Cyrillic letter */, "Ｆinance", "𝐅inance", "a\u2013b", "Finance\u200b", `"Finance"`, " Finance", "Đ", "e\u0301", "o\u2019neil", "ﬁnance", "ſ",
	} {
		if label.Plain(other) {
			t.Errorf("%q is plain", other)
		}
	}
}

func TestMark(t *testing.T) {
	if a, b := label.Mark("okta_group", "00g1"), label.Mark("okta_group", "00g1"); a != b {
		t.Errorf("one id has two marks: %s, %s", a, b)
	}
	for _, other := range [][]string{{"okta_user", "00g1"}, {"okta_group", "00g2"}, {"okta_group0", "0g1"}, {"okta_group00g1"}, {}} {
		got := label.Mark(other...)
		if got == label.Mark("okta_group", "00g1") || len(got) != 6 || got[0] != '#' || strings.Trim(got[1:], label.Letters) != "" {
			t.Errorf("%q has the mark %s", other, got)
		}
	}
}

func TestPhrase(t *testing.T) {
	names := map[string]string{"name": `"Design"`, "target": "T", "party": "P{target}[x]"}
	say := func(place string) string { return names[place] }
	for phrase, want := range map[label.Phrase]string{
		"Add {party} to {target}":                                      "Add P{target}[x] to T", // what a name holds is no place
		"Create the group {name}[ with the description {description}]": `Create the group "Design"`,
		"Rename {target}[ to {new_name}][ by {party}] now":             "Rename T by P{target}[x] now",
		"Sign {target} out of every session":                           "Sign T out of every session",
		"":                                                             "",
	} {
		if got := phrase.Say(say); got != want {
			t.Errorf("%s says %s, want %s", phrase, got, want)
		}
	}
	if got := strings.Join(label.Phrase("Create {name}[ with {description}]").Places(), " "); got != "name description" {
		t.Errorf("places %s", got)
	}
}

func TestNameQuoted(t *testing.T) {
	for want, n := range map[string]label.Name{
		"alice@example.com":                           {Word: "person", Text: "alice@example.com", Mark: "#AAAA"},
		"alice@example.com (yourself)":                {Word: "person", Text: "alice@example.com", Mark: "#AAAA", Self: true},
		`the person "alice"`:                          {Word: "person", Text: "alice", Mark: "#AAAA"},
		`the person "a@b.c (yourself)"`:               {Word: "person", Text: "a@b.c (yourself)", Mark: "#AAAA"},
		`the group "alice@example.com"`:               {Word: "group", Text: "alice@example.com", Mark: "#AAAA"},
		`the app "Figma" #AAAA`:                       {Word: "app", Text: "Figma", Mark: "#AAAA", Doubtful: true},
		`"Design"`:                                    {Text: "Design", Mark: "#AAAA"},
		`the group "1234567890123456789…"` + " #AAAA": {Word: "group", Text: "123456789012345678901", Mark: "#AAAA"},
	} {
		if got := n.Quoted(20); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Whatever a name is, it stays between its quotation marks, on one line, and cleaning it again changes nothing.
func FuzzQuote(f *testing.F) {
	f.Add("Engineering", 10)
	f.Add("a\n\"b\u202e", 3)
	f.Add("\u0301 \u200b\u0301x", 9)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + limit&127
		got := label.Quote(s, limit)
		inner := strings.TrimSuffix(strings.TrimPrefix(got, `"`), `"`)
		if !utf8.ValidString(got) || strings.ContainsAny(inner, "\"\n\r“”\u2028\u202e\u200b") || utf8.RuneCountInString(inner) > limit {
			t.Errorf("%q becomes %s", s, got)
		}
		once, _ := label.Clean(s)
		if twice, changed := label.Clean(once); changed {
			t.Errorf("%q is cleaned to %q and that to %q", s, once, twice)
		}
	})
}

func ExampleName_Quoted() {
	// A group whose name was made to look like that of another.
	text, changed := label.Clean("Fin\u200bance")
	name := label.Name{Word: "group", Text: text, Doubtful: changed, Mark: label.Mark("okta_group", "00g1f1n4nc3XXXXXXXXX")}
	fmt.Println(label.Phrase("Delete {target}").Say(func(string) string { return name.Quoted(60) }))
	// Output: Delete the group "Finance" #CMXGH
}
