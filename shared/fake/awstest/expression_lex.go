package awstest

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// tokenKind is what a token of an expression is.
type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an attribute name, function or keyword
	tokenName             // #placeholder
	tokenValue            // :placeholder
	tokenIndex            // digits, between brackets
	tokenSymbol           // = <> < <= > >= + - ( ) [ ] , .
	tokenBad              // a character no expression has
)

type token struct {
	kind       tokenKind
	text       string
	start, end int // in the source
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isPart(c byte) bool   { return isLetter(c) || isDigit(c) || c == '_' }

// lex cuts an expression into tokens; the last one is tokenEnd. What is not a
// token becomes a tokenBad, which the parser refuses when it gets there.
func lex(source string) []token {
	var tokens []token
	for i := 0; ; {
		for i < len(source) && strings.IndexByte(" \t\r\n", source[i]) >= 0 {
			i++
		}
		t := token{start: i}
		if i == len(source) {
			t.end, t.text = i, "<EOF>"
			return append(tokens, t)
		}
		run := func(from int, in func(byte) bool) int {
			for from < len(source) && in(source[from]) {
				from++
			}
			return from
		}
		switch c := source[i]; {
		case isLetter(c):
			t.kind, t.end = tokenWord, run(i+1, isPart)
		case isDigit(c):
			t.kind, t.end = tokenIndex, run(i+1, isDigit)
		case c == '#' || c == ':':
			t.kind, t.end = tokenName, run(i+1, isPart)
			if c == ':' {
				t.kind = tokenValue
			}
			if t.end == i+1 {
				t.kind = tokenBad
			}
		case strings.HasPrefix(source[i:], "<>"), strings.HasPrefix(source[i:], "<="), strings.HasPrefix(source[i:], ">="):
			t.kind, t.end = tokenSymbol, i+2
		case strings.IndexByte("=<>+-()[],.", c) >= 0:
			t.kind, t.end = tokenSymbol, i+1
		default:
			t.kind, t.end = tokenBad, i+1
		}
		t.text = source[t.start:t.end]
		tokens = append(tokens, t)
		i = t.end
	}
}

// near is the source around a token, as DynamoDB quotes it in syntax errors.
func near(source string, tokens []token, at int) string {
	from, to := tokens[max(at-1, 0)].start, tokens[min(at+1, len(tokens)-1)].end
	return source[from:to]
}

//go:embed reserved_words.txt
var reservedList string

// reserved are the words an expression may not use as a name ("Reserved words
// in DynamoDB" in the Developer Guide).
var reserved = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields(reservedList) {
		words[w] = true
	}
	return words
}()

// step is one step of a document path: a name, or an index into a list.
type step struct {
	name  string
	index int
	list  bool
}

func (s step) String() string {
	if s.list {
		return fmt.Sprintf("[%d]", s.index)
	}
	return s.name
}

// path leads to an attribute, or into one.
type path []step

func (p path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.String()
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

// in follows the path through an item.
func (p path) in(it item) (value, bool) {
	v, ok := it[p[0].name]
	for _, s := range p[1:] {
		switch {
		case !ok:
		case s.list:
			if ok = v.kind == kindL && s.index < len(v.list); ok {
				v = v.list[s.index]
			}
		default:
			if ok = v.kind == kindM; ok {
				v, ok = v.m[s.name]
			}
		}
	}
	return v, ok
}

// clash says whether two paths cannot stand in one expression: one contains the
// other ("overlap"), or they disagree about what a place is ("conflict").
func (p path) clash(q path) string {
	for i := range min(len(p), len(q)) {
		if p[i].list != q[i].list {
			return "conflict"
		}
		if p[i] != q[i] {
			return ""
		}
	}
	return "overlap"
}

// keywords are the words of expressions that are not functions.
var keywords = []string{"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"}

// AttributeNames returns the top-level attributes that an expression of any
// kind speaks of, by name or by a placeholder of names, each once and in order.
// A placeholder that stands for nothing is returned as it is.
func AttributeNames(expression string, names map[string]string) []string {
	var found []string
	tokens := lex(expression)
	for i, t := range tokens {
		inner := i > 0 && tokens[i-1].text == "."
		switch {
		case inner || t.kind != tokenWord && t.kind != tokenName:
		case t.kind == tokenName:
			found = append(found, cmp.Or(names[t.text], t.text))
		case tokens[i+1].text != "(" && !slices.Contains(keywords, strings.ToUpper(t.text)): // no function
			found = append(found, t.text)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
