package approval

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/label"
)

// NewRef is one object by the name that people call it, as [label.Clean] leaves it. A name from which something was taken
// away could pass for another, so the mark of the id becomes part of it.
func NewRef(kind catalogue.Target, id, name string) Ref {
	clean, changed := label.Clean(name)
	r := Ref{Type: string(kind), ID: id, Label: clean}
	if changed {
		return r.Marked()
	}
	return r
}

// Marked is the object with the mark of its id in its label, for one that others may share the name with.
func (r Ref) Marked() Ref {
	if r.ID != "" && !strings.HasSuffix(r.Label, " "+r.mark()) {
		r.Label = strings.TrimSpace(r.Label + " " + r.mark())
	}
	return r
}

// Quoted is the object in a sentence of an answer: an address, or what kind of thing it is and its name in quotation marks.
func (r Ref) Quoted() string {
	n := r.name("")
	n.Self = false
	return n.Quoted(brief)
}

func (r Ref) mark() string { return label.Mark(r.Type, r.ID) }

// name is the object for a place in a sentence. Other kinds than people may share a name, but are then named by their id.
func (r Ref) name(place string) label.Name {
	text, changed := label.Clean(r.Label)
	bare, marked := strings.CutSuffix(text, r.mark())
	return label.Name{
		Place: place, Word: catalogue.Target(r.Type).Kind().Word, Text: strings.TrimSpace(bare), Mark: r.mark(), Self: r.Self,
		Doubtful: changed || marked || !label.Plain(bare),
	}
}

// argument is a text of the change itself, such as a new name, for a place in a sentence.
func argument(place, text string) label.Name {
	clean, changed := label.Clean(text)
	return label.Name{
		Place: place, Text: clean, Mark: label.Mark(place, text), Doubtful: changed || !label.Plain(clean),
		Note: place == ArgDescription,
	}
}

// The names of arguments.
const (
	ArgName        = "name"        // of a group to be created
	ArgNewName     = "new_name"    // of a group to be renamed
	ArgDescription = "description" // of a group to be created or renamed
)

// Names are the names that say what is changed, for the places of the operation's phrase: target, member and every argument.
func Names(target, member Ref, args map[string]string) []label.Name {
	var names []label.Name
	if target.ID != "" {
		names = append(names, target.name("target"))
	}
	if member.ID != "" {
		names = append(names, member.name("party"))
	}
	for _, key := range slices.Sorted(maps.Keys(args)) {
		names = append(names, argument(key, args[key]))
	}
	slices.SortStableFunc(names, func(a, b label.Name) int { return cmp.Compare(noteLast(a), noteLast(b)) })
	return names
}

// noteLast sorts notes behind the names that they are about.
func noteLast(n label.Name) int {
	if n.Note {
		return 1
	}
	return 0
}

const (
	full  = 1024 // characters; longer than any name, and than a description
	brief = 60   // characters of a name in answers and facts
)

// Sentence says what an operation does to these objects with these arguments. It is the one sentence that the page shows,
// the phone is sent, and the record keeps: every name in it whole, and two different changes never in the same words.
func Sentence(operation string, target, member Ref, args map[string]string) string {
	return sentence(operation, Names(target, member, args), full)
}

// Brief is the sentence of a with long names cut, for answers and facts that a model reads.
func (a Approval) Brief() string {
	return sentence(a.Operation, Names(a.Target, a.Member, a.Args), brief)
}

func sentence(operation string, names []label.Name, limit int) string {
	return Phrase(operation).Say(func(place string) string {
		i := slices.IndexFunc(names, func(n label.Name) bool { return n.Place == place })
		if i < 0 {
			return ""
		}
		return names[i].Quoted(limit)
	})
}

// Phrase is the phrase of an operation. One that the catalogue has no more is called by its id.
func Phrase(operation string) label.Phrase {
	op, ok := catalogue.OperationByID(operation)
	if !ok || op.Phrase == "" {
		return label.Phrase(strings.ReplaceAll(operation, "_", " ") + "[ {target}][, {party}]")
	}
	return op.Phrase
}
