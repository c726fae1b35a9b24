package label

import "strings"

// Phrase is a sentence with placeholders, such as "Add {party} to {target}". A part in square brackets is left out if a
// placeholder in it has no name: "Create the group {name}[ with the description {description}]". Neither can be nested.
type Phrase string

// Say replaces the placeholders by names. name returns "" for a placeholder without a name.
func (p Phrase) Say(name func(place string) string) string {
	var b strings.Builder
	for rest := string(p); rest != ""; {
		always, after, _ := strings.Cut(rest, "[")
		optional, next, _ := strings.Cut(after, "]")
		text, _ := fill(always, name)
		b.WriteString(text)
		if text, complete := fill(optional, name); complete {
			b.WriteString(text)
		}
		rest = next
	}
	return b.String()
}

// fill replaces the placeholders of one part. complete reports whether each of them has a name.
func fill(part string, name func(place string) string) (text string, complete bool) {
	var b strings.Builder
	complete = true
	for part != "" {
		text, after, found := strings.Cut(part, "{")
		b.WriteString(text)
		if !found {
			break
		}
		place, next, _ := strings.Cut(after, "}")
		filled := name(place)
		complete = complete && filled != ""
		b.WriteString(filled)
		part = next
	}
	return b.String(), complete
}

// Places returns the placeholders of the phrase, in order.
func (p Phrase) Places() []string {
	var places []string
	p.Say(func(place string) string {
		places = append(places, place)
		return ""
	})
	return places
}

// Name is the name for a placeholder.
type Name struct {
	Place string
	Word  string // the kind of object: "person", "group", "app"; "" if the phrase has it
	Text  string // a result of [Clean]
	Mark  string // the [Mark] of its id
	// Doubtful means that another object may look the same, so the mark must be shown.
	Doubtful bool
	// Note means that it is a long text, such as a description, which its mark may replace.
	Note bool
	// Self means that it is the person who reads the sentence.
	Self bool
}

// address reports whether text has the form of an e-mail address, which needs no quotation marks.
func address(text string) bool {
	return strings.Contains(text, "@") && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("@.-_+", r)
	})
}

// WordPerson is the Word of people. A person whose login is an e-mail address is shown without word and quotation marks.
const WordPerson = "person"

// Quoted returns the name for a sentence, with at most limit characters of Text: an e-mail address as it is, anything else with
// its word and in quotation marks. The mark follows if it is needed.
func (n Name) Quoted(limit int) string {
	quoted := Quote(n.Text, limit)
	if n.Word == WordPerson && address(n.Text) && len(n.Text) <= limit {
		quoted = n.Text
	} else if n.Word != "" {
		quoted = "the " + n.Word + " " + quoted
	}
	if n.Doubtful || len([]rune(n.Text)) > limit {
		quoted += " " + n.Mark
	}
	if n.Self {
		quoted += " (yourself)"
	}
	return quoted
}
