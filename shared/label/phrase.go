package label

import "strings"

// Phrase is a sentence with named places, such as "Add {party} to {target}". A part in square brackets is left out where
// a place in it has no name: "Create the group {name}[ with the description {description}]". Neither nests.
type Phrase string

// Say puts names into the places. A name is "" for a place that has none.
func (p Phrase) Say(name func(place string) string) string {
	var b strings.Builder
	for rest := string(p); rest != ""; {
		always, after, _ := strings.Cut(rest, "[")
		optional, next, _ := strings.Cut(after, "]")
		said, _ := fill(always, name)
		b.WriteString(said)
		if said, all := fill(optional, name); all {
			b.WriteString(said)
		}
		rest = next
	}
	return b.String()
}

// fill puts names into one part. All says whether each of its places has one.
func fill(part string, name func(place string) string) (said string, all bool) {
	var b strings.Builder
	all = true
	for part != "" {
		text, after, found := strings.Cut(part, "{")
		b.WriteString(text)
		if !found {
			break
		}
		place, next, _ := strings.Cut(after, "}")
		said := name(place)
		all = all && said != ""
		b.WriteString(said)
		part = next
	}
	return b.String(), all
}

// Places are the places of the phrase, in order.
func (p Phrase) Places() []string {
	var places []string
	p.Say(func(place string) string {
		places = append(places, place)
		return ""
	})
	return places
}

// Name is one name for a place of a phrase.
type Name struct {
	Place string
	Word  string // what kind of thing it is: "person", "group", "app"; "" where the phrase says it, or the name itself
	Text  string // as [Clean] leaves it
	Mark  string // of the id it stands for, see [Mark]
	// Doubtful says that another thing may look the same, so that the mark has to be shown.
	Doubtful bool
	// Note is a text that describes, such as a description: where there is little room its mark stands for it.
	Note bool
	// Self says that it is the person who reads the sentence.
	Self bool
}

// address says whether a text speaks for itself as the login of a person and needs no quotation marks.
func address(text string) bool {
	return strings.Contains(text, "@") && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("@.-_+", r)
	})
}

// WordPerson is the word for people. One whose login is an address needs neither the word nor quotation marks.
const WordPerson = "person"

// Quoted is the name in a sentence for the page and the record, at most limit characters of it: an address as it is,
// anything else with its word and in quotation marks, and the mark where it is needed.
func (n Name) Quoted(limit int) string {
	said := Quote(n.Text, limit)
	if n.Word == WordPerson && address(n.Text) && len(n.Text) <= limit {
		said = n.Text
	} else if n.Word != "" {
		said = "the " + n.Word + " " + said
	}
	if n.Doubtful || len([]rune(n.Text)) > limit {
		said += " " + n.Mark
	}
	if n.Self {
		said += " (yourself)"
	}
	return said
}
