// Package label makes names that other people chose safe to show: invisible characters removed, quoted, and told apart.
//
// Such a name is data to whoever reads it, a person or a model, and two different things must not look the same.
// [Clean] takes away what cannot be seen, [Quote] puts a name into quotation marks, [Mark] is a short mark of an id to
// tell look-alikes apart, and a [Phrase] is a sentence of ours with named places for them.
package label

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"
)

// Clean returns text as it can be seen: without control, format, default-ignorable and variation-selector characters,
// every blank an ordinary one, none doubled and none at either end. Changed says whether anything was taken away or
// replaced.
func Clean(text string) (clean string, changed bool) {
	var b strings.Builder
	blank := false
	for _, r := range strings.ToValidUTF8(text, "�") {
		switch {
		case Blank(r):
			blank = b.Len() > 0
			continue
		case Invisible(r), b.Len() == 0 && unicode.Is(unicode.M, r): // a combining mark would sit on what stands before the name
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteRune(r)
	}
	return b.String(), b.String() != text
}

// Blank says whether r is seen as a blank or the end of a line.
func Blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Z, r) || r == '\u2800' // the braille pattern without dots
}

// Invisible says whether r is not seen at all, or changes only how others are shown.
func Invisible(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// quotes are the characters that could pass for the end of a quotation.
const quotes = "\"“”„‟″〝〞〟＂❝❞"

// Quote shows a foreign text as data: cleaned, in quotation marks that it cannot end, and cut to at most limit
// characters between them.
func Quote(text string, limit int) string {
	text, _ = Clean(text)
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(quotes, r) {
			return '\''
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit-1]) + "…"
	}
	return `"` + text + `"`
}

// Plain says whether text is made of characters that a reader tells from all others: ASCII, but for the quotation mark,
// and the letters of European languages that no other character looks like. Letters of other alphabets may look like
// Latin ones, and dashes like one another, so they are not plain; nor is anything that [Clean] changes.
func Plain(text string) bool {
	_, changed := Clean(text)
	return !changed && !strings.ContainsFunc(text, func(r rune) bool {
		ascii := r >= ' ' && r <= '~' && r != '"'
		latin := r >= 'À' && r <= 'ž' && unicode.IsLetter(r) && !strings.ContainsRune("ÐĐıĲĳĸĿŀŉ", r)
		return !ascii && !latin
	})
}

// Letters are the characters of codes and marks. What is mistaken for one another is left out: 0 O, 1 I L, 2 Z, 5 S, 8 B.
const Letters = "ACDEFGHJKMNPQRTUVWXY34679"

// Mark is a short mark of an id, such as "#K7QXA": the same for the same parts, and for others with all likelihood another.
func Mark(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		h.Write([]byte(part))
	}
	n := binary.BigEndian.Uint64(h.Sum(nil))
	mark := []byte("#")
	for range 5 {
		mark = append(mark, Letters[n%uint64(len(Letters))])
		n /= uint64(len(Letters))
	}
	return string(mark)
}
