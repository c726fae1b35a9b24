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

// MaxBindingMessage is the most characters Auth0 takes.
const MaxBindingMessage = 64

// Style is how a binding message is written. Auth0 documents letters, digits and + - _ . , : # alone, yet its own samples
// send blanks, and tenants take them.
type Style string

// The styles.
const (
	StyleSentence Style = "sentence" // "Reset password of alice at example.com. Code K7QX"
	StyleToken    Style = "token"    // "reset_password:alice-at-example.com#K7QX", for a tenant that takes no blanks
)

// messageRefused says whether a tenant took offence at the binding message. invalid_binding_message is CIBA's own code
// (Core section 13); what Auth0 answers is not documented.
func messageRefused(e *auth0.Error) bool {
	return e.Code == "invalid_binding_message" || e.Code == "invalid_request" && strings.Contains(e.Description, "binding_message")
}

// Message is one change on a phone: which operation, in which words, on what, and the code that the chat shows.
type Message struct {
	Operation string
	Phrase    label.Phrase
	Names     []label.Name
	Code      string
}

// BindingMessage is the message in at most [MaxBindingMessage] characters of those that Auth0 takes. A name in which a
// character was replaced or left out, or that another thing may share, is followed by the mark of its id; marks and code
// are always whole, and the code comes last. So two messages are equal only if they name the same things.
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

// shorter leaves out one character more, and says so with two dots.
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

// suffix is the mark, where it is needed.
func (s shown) suffix(between string) string {
	switch {
	case !s.marked:
		return ""
	case s.text == "":
		return s.mark
	}
	return between + s.mark
}

// show writes a name in the characters of a style. A name that cannot be read back from that is marked.
func (m Message) show(n label.Name, style Style) shown {
	s := shown{word: n.Word, mark: n.Mark, marked: true}
	if n.Word == label.WordPerson && strings.Contains(n.Text, "@") {
		s.word = "" // an address speaks for itself
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

// plain puts an underscore where one or several characters are not letters or digits of ASCII or among others.
func plain(text, others string) string {
	var b strings.Builder
	told, gap := false, false
	for _, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		told = told || letter
		switch {
		case letter || strings.ContainsRune(others, r):
			b.WriteRune(r)
			gap = false
		case !gap:
			b.WriteByte('_')
			gap = true
		}
	}
	if !told {
		return "" // nothing of it can be shown
	}
	return b.String()
}

// misleads says whether a name has a word of the message itself, so that it could be read as another message.
func (m Message) misleads(text string) bool {
	own := strings.FieldsFunc(string(m.Phrase)+" person group app code", func(r rune) bool { return strings.ContainsRune(" {}[]", r) })
	return slices.ContainsFunc(strings.Fields(strings.ToLower(text)), func(word string) bool {
		return slices.Contains(own, strings.Trim(word, ".,:"))
	}) || strings.Contains(text, dots)
}

// write puts the message together.
func (m Message) write(names []shown, style Style) string {
	if style == StyleToken {
		var parts []string
		for _, s := range names {
			if s.word == "group" && len(parts) > 0 { // only where a person could stand too
				s.text = s.word + ":" + s.text
			}
			parts = append(parts, s.text+s.suffix(""))
		}
		return strings.TrimSuffix(m.Operation+":"+strings.Join(parts, ","), ":") + "#" + m.Code
	}
	said := label.Phrase(strings.ReplaceAll(string(m.Phrase), "the ", "")).Say(func(place string) string {
		i := slices.IndexFunc(m.Names, func(n label.Name) bool { return n.Place == place })
		if i < 0 {
			return ""
		}
		return strings.TrimPrefix(names[i].word+" "+names[i].text+names[i].suffix(" "), " ")
	})
	return said + ". Code " + m.Code
}

// maxDetail is the most characters of a value in authorization_details.
const maxDetail = 255

// details is the change as the one object, in the schema that the stock Guardian app can show: the sentence, the binding
// message, and each name by itself.
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

// clip keeps the beginning of a text that is longer than a detail may be, and puts its mark behind it.
func clip(text, mark string) string {
	runes, room := []rune(text), maxDetail-len(" ")-len(mark)
	if len(runes) <= room {
		return text
	}
	return string(runes[:room-len(dots)]) + dots + " " + mark
}
