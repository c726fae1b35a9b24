package oktatest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// expr is a parsed search or filter expression (SCIM, RFC 7644 section 3.4.2.2,
// as far as Okta takes it).
type expr interface {
	eval(values) bool
}

type (
	andExpr  struct{ a, b expr }
	orExpr   struct{ a, b expr }
	testExpr struct {
		attr, op, value string
		fold            bool
	}
)

func (e andExpr) eval(v values) bool { return e.a.eval(v) && e.b.eval(v) }
func (e orExpr) eval(v values) bool  { return e.a.eval(v) || e.b.eval(v) }

func (e testExpr) eval(v values) bool {
	return slices.ContainsFunc(v(e.attr), func(got string) bool {
		want := e.value
		if e.fold {
			got, want = strings.ToLower(got), strings.ToLower(want)
		}
		switch e.op {
		case "eq":
			return got == want
		case "sw":
			return strings.HasPrefix(got, want)
		case "co":
			return strings.Contains(got, want)
		default: // pr: there is a value
			return got != ""
		}
	})
}

// grammar says what one parameter of one list takes.
type grammar struct {
	fold                  bool // upper and lower case are the same
	attributes, operators []string
}

// errPair is an operator the parameter does not take (E0000031);
// every other fault of an expression is plain syntax (E0000053).
var errPair = errors.New("operator and field do not go together")

var operators = []string{"eq", "sw", "co", "ew", "gt", "ge", "lt", "le", "pr", "ne"}

func (g grammar) parse(s string) (expr, error) {
	words, err := scan(s)
	if err != nil {
		return nil, err
	}
	p := &parser{grammar: g, words: words}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if len(p.words) > 0 {
		return nil, fmt.Errorf("unexpected %q", p.words[0].text)
	}
	return e, nil
}

type word struct {
	text   string
	quoted bool
}

func scan(s string) ([]word, error) {
	var out []word
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ':
			i++
		case '(', ')':
			out = append(out, word{text: string(c)})
			i++
		case '"':
			var b strings.Builder
			for i++; ; i++ {
				if i >= len(s) {
					return nil, errors.New("unterminated string")
				}
				if s[i] == '"' {
					break
				}
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			i++
			out = append(out, word{b.String(), true})
		default:
			j := i
			for j < len(s) && !strings.ContainsRune(` ()"`, rune(s[j])) {
				j++
			}
			out = append(out, word{text: s[i:j]})
			i = j
		}
	}
	return out, nil
}

type parser struct {
	grammar
	words []word
}

func (p *parser) peek(text string) bool {
	return len(p.words) > 0 && !p.words[0].quoted && strings.EqualFold(p.words[0].text, text)
}

func (p *parser) next() (word, error) {
	if len(p.words) == 0 {
		return word{}, errors.New("unexpected end")
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w, nil
}

const maxDepth = 50

func (p *parser) or(depth int) (expr, error) {
	a, err := p.and(depth)
	for err == nil && p.peek("or") {
		p.words = p.words[1:]
		var b expr
		b, err = p.and(depth)
		a = orExpr{a, b}
	}
	return a, err
}

func (p *parser) and(depth int) (expr, error) {
	a, err := p.term(depth)
	for err == nil && p.peek("and") {
		p.words = p.words[1:]
		var b expr
		b, err = p.term(depth)
		a = andExpr{a, b}
	}
	return a, err
}

func (p *parser) term(depth int) (expr, error) {
	if depth > maxDepth {
		return nil, errors.New("too deep")
	}
	if p.peek("(") {
		p.words = p.words[1:]
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.peek(")") {
			return nil, errors.New("missing )")
		}
		p.words = p.words[1:]
		return e, nil
	}
	attr, err := p.next()
	if err != nil {
		return nil, err
	}
	op, err := p.next()
	if err != nil {
		return nil, err
	}
	if attr.quoted || op.quoted || !slices.Contains(p.attributes, attr.text) || !slices.Contains(operators, op.text) {
		return nil, fmt.Errorf("invalid field or operator %q %q", attr.text, op.text)
	}
	if !slices.Contains(p.operators, op.text) {
		return nil, fmt.Errorf("%w: %s %s", errPair, attr.text, op.text)
	}
	t := testExpr{attr: attr.text, op: op.text, fold: p.fold}
	if op.text == "pr" {
		return t, nil
	}
	value, err := p.next()
	if err != nil {
		return nil, err
	}
	if !value.quoted {
		return nil, fmt.Errorf("value %q is not quoted", value.text)
	}
	t.value = value.text
	return t, nil
}

// query parses the named parameter, and answers the refusal itself.
func (c *call) query(name string, g grammar) (expr, bool) {
	e, err := g.parse(c.r.URL.Query().Get(name))
	switch {
	case errors.Is(err, errPair):
		c.fail(400, "E0000031", "Invalid search criteria.")
	case err != nil:
		c.fail(400, "E0000053", "Invalid filter '"+c.r.URL.Query().Get(name)+"': "+err.Error())
	}
	return e, err == nil
}

// only refuses parameters of a list that are not implemented, beside those of its pages.
func (c *call) only(names ...string) bool {
	for name := range c.r.URL.Query() {
		if name != "limit" && name != "after" && !slices.Contains(names, name) {
			c.notImplemented("the parameter " + name)
			return false
		}
	}
	return true
}

func (c *call) notImplemented(what string) {
	c.fail(http.StatusNotImplemented, "E0000060", "Unsupported operation: oktatest does not implement "+what)
}
