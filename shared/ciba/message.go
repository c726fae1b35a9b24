package ciba

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/label"
)

// MaxBindingMessage is the longest binding message that Auth0 accepts, in characters.
const MaxBindingMessage = 64

// Style is the style of a binding message. Auth0 documents letters, digits and + - _ . , : # only, but its samples send blanks
// and tenants accept them.
type Style string

// The styles.
const (
	StyleSentence Style = "sentence" // "Reset password of alice at example.com. Code K7QX"
	StyleToken    Style = "token"    // "reset_password:alice-at-example.com#K7QX", for a tenant that refuses blanks
)

// messageRefused reports whether the tenant refused the binding message. invalid_binding_message is the code of CIBA (Core
// section 13); Auth0 does not document its own.
func messageRefused(e *auth0.Error) bool {
	return e.Code == "invalid_binding_message" || e.Code == "invalid_request" && strings.Contains(e.Description, "binding_message")
}

// Message describes one change on a phone: the operation, its phrase, the objects, and the code that the chat shows.
type Message struct {
	Operation string
	Phrase    label.Phrase
	Names     []label.Name
	Code      string
}

// BindingMessage returns the message in at most [MaxBindingMessage] of the characters that Auth0 accepts. The mark of its id
// follows a name that was changed or shortened, or that another object may have too. Marks and code are never shortened, and the
// code comes last. So two messages are equal only if they name the same objects.
func (m Message) BindingMessage(style Style) string {
	shown := make([]shown, len(m.Names))
	for i, n := range m.Names {
		shown[i] = m.show(n, style)
	}
	for {
		message := m.write(shown, style)
		longest := 0
		for i := range shown {
			if len(shown[i].text) > len(shown[longest].text) {
				longest = i
			}
		}
		if len(message) <= MaxBindingMessage || len(shown) == 0 || shown[longest].text == "" {
			return message
		}
		shown[longest] = shown[longest].shorter()
	}
}

// shown is a name as a binding message shows it.
type shown struct {
	word, text, mark string
	marked           bool
}

const dots = ".."

// shorter removes one more character; two dots stand for what is removed.
func (s shown) shorter() shown {
	bare, cut := strings.CutSuffix(s.text, dots)
	if !cut {
		bare = bare[:max(len(bare)-len(dots), 0)]
	}
	bare = strings.TrimRight(bare[:max(len(bare)-1, 0)], " _.,:")
	s.text, s.marked = "", true
	if bare != "" {
		s.text = bare + dots
	}
	return s
}

// suffix returns the mark, if it is needed.
func (s shown) suffix(between string) string {
	switch {
	case !s.marked:
		return ""
	case s.text == "":
		return s.mark
	}
	return between + s.mark
}

// show writes a name in the characters of a style. It is marked if the original cannot be derived from the result.
func (m Message) show(n label.Name, style Style) shown {
	s := shown{word: n.Word, mark: n.Mark, marked: true}
	if n.Word == label.WordPerson && strings.Contains(n.Text, "@") {
		s.word = "" // an e-mail address needs no word
	}
	if n.Note {
		return s
	}
	at, blank, others := " at ", " ", "+-_., :"
	if style == StyleToken {
		at, blank, others = "-at-", "_", "+-_."
	}
	s.text = plain(strings.NewReplacer("@", at, " ", blank).Replace(n.Text), others)
	s.marked = n.Doubtful || m.misleads(n.Text) || strings.NewReplacer(at, "@", blank, " ").Replace(s.text) != n.Text
	return s
}

// plain replaces each run of characters that are neither ASCII letters or digits nor in others by an underscore.
func plain(text, others string) string {
	var b strings.Builder
	readable, gap := false, false
	for _, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		readable = readable || letter
		switch {
		case letter || strings.ContainsRune(others, r):
			b.WriteRune(r)
			gap = false
		case !gap:
			b.WriteByte('_')
			gap = true
		}
	}
	if !readable {
		return ""
	}
	return b.String()
}

// misleads reports whether a name contains a word of the message, so that the whole could be read as another message.
func (m Message) misleads(text string) bool {
	words := strings.FieldsFunc(string(m.Phrase)+" person group app code", func(r rune) bool { return strings.ContainsRune(" {}[]", r) })
	return slices.ContainsFunc(strings.Fields(strings.ToLower(text)), func(word string) bool {
		return slices.Contains(words, strings.Trim(word, ".,:"))
	}) || strings.Contains(text, dots)
}

// write returns the message with the names as given, of any length.
func (m Message) write(names []shown, style Style) string {
	if style == StyleToken {
		var parts []string
		for _, s := range names {
			if s.word == "group" && len(parts) > 0 { // where the object could be a person, too
				s.text = s.word + ":" + s.text
			}
			parts = append(parts, s.text+s.suffix(""))
		}
		return strings.TrimSuffix(m.Operation+":"+strings.Join(parts, ","), ":") + "#" + m.Code
	}
	sentence := label.Phrase(strings.ReplaceAll(string(m.Phrase), "the ", "")).Say(func(place string) string {
		i := slices.IndexFunc(m.Names, func(n label.Name) bool { return n.Place == place })
		if i < 0 {
			return ""
		}
		return strings.TrimPrefix(names[i].word+" "+names[i].text+names[i].suffix(" "), " ")
	})
	return sentence + ". Code " + m.Code
}

// maxDetail is the longest value in authorization_details, in characters.
const maxDetail = 255

// details returns the authorization_details of r: one object with the sentence, the binding message and each name, in the schema
// that the Guardian app can show.
func (c *Client) details(r Request) ([]byte, error) {
	type property struct {
		Display bool   `json:"display"`
		Order   int    `json:"display_order"`
		Name    string `json:"name"`
		Value   string `json:"value"`
	}
	properties := map[string]property{"change": {true, 1, "Change", r.Message.BindingMessage(c.Style)}}
	for i, n := range r.Message.Names {
		title := strings.ReplaceAll(cmp.Or(n.Word, n.Place), "_", " ")
		value := clip(n.Text, n.Mark)
		if n.Doubtful && value == n.Text {
			value += " " + n.Mark
		}
		properties[n.Place] = property{true, i + 2, strings.ToUpper(title[:1]) + title[1:], value}
	}
	details, err := json.Marshal([]map[string]any{{
		"type": c.DetailType, "instruction": clip(r.Instruction, label.Mark(r.Instruction)), "properties": properties,
	}})
	if err != nil {
		return nil, fmt.Errorf("ciba: authorization details: %w", err)
	}
	return details, nil
}

// clip shortens a text to maxDetail characters, with its mark at the end.
func clip(text, mark string) string {
	runes, room := []rune(text), maxDetail-len(" ")-len(mark)
	if len(runes) <= room {
		return text
	}
	return string(runes[:room-len(dots)]) + dots + " " + mark
}
