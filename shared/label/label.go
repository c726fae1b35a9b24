// Package label makes names that other people chose safe to show: cleaned, quoted and marked.
//
// Two different things must not look the same to the person or the model that reads such a name. [Clean] removes invisible
// characters, [Quote] adds quotation marks, [Mark] is a short hash of an id that distinguishes look-alikes, and a [Phrase] is a
// sentence with placeholders for names.
package label

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"
)

// Clean returns text without control, format, default-ignorable and variation-selector characters. Each run of blanks becomes one
// space, and blanks at both ends are removed. changed reports whether the result differs from text.
func Clean(text string) (clean string, changed bool) {
	var b strings.Builder
	blank := false
	for _, r := range strings.ToValidUTF8(text, "�") {
		switch {
		case Blank(r):
			blank = b.Len() > 0
			continue
		case Invisible(r), b.Len() == 0 && unicode.Is(unicode.M, r): // a combining mark would change the character before the name
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

// Blank reports whether r is shown as a blank or a line break.
func Blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Z, r) || r == '\u2800' // the braille pattern without dots
}

// Invisible reports whether r is not shown, or only changes how other characters are shown.
func Invisible(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// quotes are the characters that look like the end of a quotation.
const quotes = "\"“”„‟″〝〞〟＂❝❞"

// Quote returns text cleaned and in quotation marks, with at most limit characters between them. Quotation marks in text become
// apostrophes.
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

// Plain reports whether text has only characters that no other character looks like: ASCII except the quotation mark, and most
// accented Latin letters. Letters of other alphabets may look like Latin ones, and dashes like each other, so they are not plain;
// nor is a text that [Clean] changes.
func Plain(text string) bool {
	_, changed := Clean(text)
	return !changed && !strings.ContainsFunc(text, func(r rune) bool {
		ascii := r >= ' ' && r <= '~' && r != '"'
		latin := r >= 'À' && r <= 'ž' && unicode.IsLetter(r) && !strings.ContainsRune("ÐĐıĲĳĸĿŀŉ", r)
		return !ascii && !latin
	})
}

// Letters are the characters of codes and marks, without those that are easily confused: 0 O, 1 I L, 2 Z, 5 S, 8 B.
const Letters = "ACDEFGHJKMNPQRTUVWXY34679"

// Mark returns a short hash of parts, such as "#K7QXA". Different parts very probably have different marks.
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
