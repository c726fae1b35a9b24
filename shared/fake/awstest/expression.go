package awstest

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An expression names whole attributes and compares them with values. What else DynamoDB knows (nested paths, NOT, BETWEEN, IN,
// contains, size, if_not_exists, list_append, DELETE …) is refused.

// tokenKind is what a token of an expression is.
type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an attribute name, function or keyword
	tokenName             // #placeholder
	tokenValue            // :placeholder
	tokenSymbol           // = <> < <= > >= + ( ) , .
	tokenBad              // a character no expression has
)

type token struct {
	kind       tokenKind
	text       string
	start, end int // in the source
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isPart(c byte) bool   { return isLetter(c) || c >= '0' && c <= '9' || c == '_' }

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
		c := source[i]
		for t.end = i + 1; t.end < len(source) && (isLetter(c) || c == '#' || c == ':') && isPart(source[t.end]); {
			t.end++
		}
		switch {
		case isLetter(c):
			t.kind = tokenWord
		case c == '#' && t.end > i+1:
			t.kind = tokenName
		case c == ':' && t.end > i+1:
			t.kind = tokenValue
		case strings.HasPrefix(source[i:], "<>"), strings.HasPrefix(source[i:], "<="), strings.HasPrefix(source[i:], ">="):
			t.kind, t.end = tokenSymbol, i+2
		case strings.IndexByte("=<>+-()[],.", c) >= 0:
			t.kind = tokenSymbol
		default:
			t.kind = tokenBad
		}
		t.text = source[t.start:t.end]
		tokens = append(tokens, t)
		i = t.end
	}
}

//go:embed reserved_words.txt
var reservedList string

// reserved are the words an expression may not use as a name ("Reserved words
// in DynamoDB" in the Developer Guide).
var reserved = strings.Fields(reservedList)

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

// scope is what all expressions of one request share: the placeholders, and
// which of them were used.
type scope struct {
	names  map[string]string
	values map[string]value
	used   map[string]bool
}

func newScope(names map[string]string, values map[string]value) *scope {
	return &scope{names, values, map[string]bool{}}
}

// unused refuses placeholders that no expression used.
func (s *scope) unused() error {
	check := func(what string, given []string) error {
		given = slices.DeleteFunc(given, func(k string) bool { return s.used[k] })
		if len(given) == 0 {
			return nil
		}
		return validation(fmt.Sprintf("Value provided in %s unused in expressions: keys: {%s}", what, strings.Join(given, ", ")))
	}
	if err := check("ExpressionAttributeNames", slices.Sorted(maps.Keys(s.names))); err != nil {
		return err
	}
	return check("ExpressionAttributeValues", slices.Sorted(maps.Keys(s.values)))
}

// The syntax tree of conditions.
type (
	condition interface{ holds(item) bool }
	both      struct{ a, b condition }
	either    struct{ a, b condition }
	test      struct {
		op    string // = <> < <= > >= begins_with attribute_exists attribute_not_exists
		name  string
		value value
	}
)

func (c both) holds(it item) bool   { return c.a.holds(it) && c.b.holds(it) }
func (c either) holds(it item) bool { return c.a.holds(it) || c.b.holds(it) }

// holds is false without the attribute, but for "<>" and attribute_not_exists.
func (c test) holds(it item) bool {
	v, ok := it[c.name]
	switch c.op {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	case "=":
		return ok && v.equal(c.value)
	case "<>":
		return !ok || !v.equal(c.value)
	case "begins_with":
		return ok && v.kind == c.value.kind && (v.kind == kindS || v.kind == kindB) && strings.HasPrefix(v.text, c.value.text)
	}
	order, ordered := v.compare(c.value)
	switch {
	case !ok || !ordered:
		return false
	case c.op == "<":
		return order < 0
	case c.op == "<=":
		return order <= 0
	case c.op == ">":
		return order > 0
	default:
		return order >= 0
	}
}

// The syntax tree of updates.
type (
	update struct {
		set    []assignment
		remove []string
		add    []addition
	}
	assignment struct {
		name string
		to   []operand // one, or two that are added
	}
	addition struct {
		name string
		by   value
	}
	operand struct {
		name  string // of an attribute; empty for a value
		value value
	}
)

var (
	errAbsent  = validation("The provided expression refers to an attribute that does not exist in the item")
	errOperand = validation("An operand in the update expression has an incorrect data type")
)

// names are the attributes the update writes.
func (u *update) names() []string {
	all := slices.Clone(u.remove)
	for _, a := range u.set {
		all = append(all, a.name)
	}
	for _, a := range u.add {
		all = append(all, a.name)
	}
	return all
}

// apply gives the item the update makes of old. Every operand is taken from
// old, whatever the order of the clauses.
func (u *update) apply(old item) (item, error) {
	out := maps.Clone(old)
	if out == nil {
		out = item{}
	}
	for _, a := range u.set {
		var sum value
		for i, o := range a.to {
			v, ok := o.value, true
			if o.name != "" {
				v, ok = old[o.name]
			}
			if !ok {
				return nil, errAbsent
			}
			if i == 0 {
				sum = v
				continue
			}
			var err error
			if sum, err = sum.plus(v); err != nil {
				return nil, err
			}
		}
		out[a.name] = sum
	}
	for _, a := range u.add {
		v, ok := old[a.name]
		switch {
		case !ok:
			v = a.by
		case v.kind == kindSS && a.by.kind == kindSS:
			v = value{kind: kindSS, set: slices.Concat(v.set, a.by.set)}
			slices.Sort(v.set)
			v.set = slices.Compact(v.set)
		default:
			var err error
			if v, err = v.plus(a.by); err != nil {
				return nil, err
			}
		}
		out[a.name] = v
	}
	for _, name := range u.remove {
		delete(out, name)
	}
	return out, nil
}

// parser reads one expression by recursive descent.
type parser struct {
	what   string // ConditionExpression, …: named in errors
	source string
	tokens []token
	at     int
	scope  *scope
	err    error // the first error; parsing goes on, harmlessly, to its end
}

const maxExpression = 4096 // bytes

func newParser(what, source string, s *scope) *parser {
	p := &parser{what: what, scope: s}
	switch {
	case strings.TrimSpace(source) == "":
		p.fail("The expression can not be empty;")
		source = ""
	case len(source) > maxExpression:
		p.fail(fmt.Sprintf("Expression size has exceeded the maximum allowed size; expression size: %d", len(source)))
		source = ""
	}
	p.source, p.tokens = source, lex(source)
	return p
}

func (p *parser) fail(why string) { p.stop(validation("Invalid " + p.what + ": " + why)) }

func (p *parser) stop(err error) {
	if p.err == nil {
		p.err = err
	}
	p.at = max(len(p.tokens)-1, 0) // nothing more is read
}

// unexpected refuses the next token, quoting the source around it as DynamoDB does.
func (p *parser) unexpected() {
	from, to := p.tokens[max(p.at-1, 0)].start, p.tokens[min(p.at+1, len(p.tokens)-1)].end
	switch t := p.peek(); {
	case t.text == "." || t.text == "[":
		p.stop(notImplemented("a path into an attribute"))
	case t.text == "-" || t.kind == tokenWord && slices.Contains([]string{"BETWEEN", "IN", "NOT", "DELETE"}, strings.ToUpper(t.text)):
		p.stop(notImplemented(t.text + " in an expression"))
	default:
		p.fail(fmt.Sprintf(`Syntax error; token: "%s", near: "%s"`, t.text, p.source[from:to]))
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

// opens says whether a parenthesis follows the next token.
func (p *parser) opens() bool { return p.tokens[min(p.at+1, len(p.tokens)-1)].text == "(" }

// take takes the symbol, or the keyword in any case, if it comes next.
func (p *parser) take(s string) bool {
	t := p.peek()
	if (t.kind == tokenSymbol || t.kind == tokenWord) && strings.EqualFold(t.text, s) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if !p.take(s) {
		p.unexpected()
	}
}

func (p *parser) end() error {
	if p.err == nil && p.peek().kind != tokenEnd {
		p.unexpected()
	}
	return p.err
}

// parseCondition reads a ConditionExpression or KeyConditionExpression.
//
//	or   = and { OR and }
//	and  = test { AND test }
//	test = "(" or ")" | attribute_exists "(" name ")" | begins_with "(" name "," :value ")" | name comparator :value
func parseCondition(what, source string, s *scope) (condition, error) {
	p := newParser(what, source, s)
	c := p.or()
	return c, p.end()
}

func (p *parser) or() condition {
	c := p.and()
	for p.err == nil && p.take("OR") {
		c = either{c, p.and()}
	}
	return c
}

func (p *parser) and() condition {
	c := p.test()
	for p.err == nil && p.take("AND") {
		c = both{c, p.test()}
	}
	return c
}

func (p *parser) test() condition {
	if p.take("(") {
		opened := p.at
		c := p.or()
		redundant := p.tokens[opened].text == "(" && p.closes(opened) == p.at-1
		p.expect(")")
		if p.err == nil && redundant {
			p.fail("The expression has redundant parentheses;")
		}
		return c
	}
	switch t := p.peek(); {
	case t.kind == tokenWord && strings.EqualFold(t.text, "NOT"):
		p.unexpected()
		return test{}
	case t.kind == tokenWord && p.opens():
		return p.function()
	}
	c := test{name: p.name()}
	if c.op = p.peek().text; !slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, c.op) {
		p.unexpected()
		return c
	}
	p.at++
	if p.err == nil && p.peek().kind != tokenValue && (p.peek().kind == tokenName || p.peek().kind == tokenWord) {
		p.stop(notImplemented("a comparison of two attributes"))
	}
	c.value = p.value()
	if k := c.value.kind; p.err == nil && c.op != "=" && c.op != "<>" && k != kindS && k != kindN && k != kindB {
		p.incorrect(c.op, k)
	}
	return c
}

// closes is where the parenthesis opened at i is closed.
func (p *parser) closes(i int) int {
	depth := 0
	for ; i < len(p.tokens); i++ {
		switch p.tokens[i].text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func (p *parser) function() condition {
	c := test{op: p.peek().text}
	switch c.op {
	case "attribute_exists", "attribute_not_exists", "begins_with":
	case "attribute_type", "contains", "size":
		p.stop(notImplemented("the function " + c.op))
	case "if_not_exists", "list_append":
		p.fail("The function is not allowed in a condition expression; function: " + c.op)
	default:
		p.fail("Invalid function name; function: " + c.op)
	}
	if p.err != nil {
		return c
	}
	p.at += 2
	if p.peek().kind == tokenValue {
		p.fail("Operator or function requires a document path; operator or function: " + c.op)
	}
	c.name = p.name()
	if c.op == "begins_with" {
		p.expect(",")
		if c.value = p.value(); p.err == nil && c.value.kind != kindS && c.value.kind != kindB {
			p.incorrect(c.op, c.value.kind)
		}
	}
	p.expect(")")
	return c
}

func (p *parser) incorrect(operator string, k kind) {
	p.fail(fmt.Sprintf("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, k))
}

func (p *parser) value() value {
	t := p.peek()
	if t.kind != tokenValue {
		p.unexpected()
		return value{}
	}
	p.at++
	v, ok := p.scope.values[t.text]
	if !ok {
		p.fail("An expression attribute value used in expression is not defined; attribute value: " + t.text)
	}
	p.scope.used[t.text] = true
	return v
}

func (p *parser) name() string {
	t := p.peek()
	name := t.text
	switch t.kind {
	case tokenWord:
		if slices.Contains(reserved, strings.ToUpper(t.text)) {
			p.fail("Attribute name is a reserved keyword; reserved keyword: " + t.text)
			return ""
		}
	case tokenName:
		var ok bool
		if name, ok = p.scope.names[t.text]; !ok {
			p.fail("An expression attribute name used in the document path is not defined; attribute name: " + t.text)
			return ""
		}
		p.scope.used[t.text] = true
	default:
		p.unexpected()
		return ""
	}
	p.at++
	if next := p.peek().text; next == "." || next == "[" {
		p.unexpected()
	}
	return name
}

// parseProjection reads a ProjectionExpression: names, separated by commas.
func parseProjection(source string, s *scope) ([]string, error) {
	p := newParser("ProjectionExpression", source, s)
	names := []string{p.name()}
	for p.err == nil && p.take(",") {
		names = append(names, p.name())
	}
	p.apart(names)
	return names, p.end()
}

// apart refuses names that stand in an expression twice.
func (p *parser) apart(names []string) {
	for i, name := range names {
		if p.err == nil && slices.Contains(names[:i], name) {
			p.fail(fmt.Sprintf("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%[1]s]", name))
		}
	}
}

// parseUpdate reads an UpdateExpression.
//
//	update  = { SET name "=" operand [ "+" operand ] { "," … } | REMOVE name { "," … } | ADD name :value { "," … } }
//	operand = name | :value
func parseUpdate(source string, s *scope) (*update, error) {
	p := newParser("UpdateExpression", source, s)
	u, seen := &update{}, map[string]bool{}
	for first := true; p.err == nil && (first || p.peek().kind != tokenEnd); first = false {
		clause := strings.ToUpper(p.peek().text)
		if p.peek().kind != tokenWord || !slices.Contains([]string{"SET", "REMOVE", "ADD"}, clause) {
			p.unexpected()
			break
		}
		if seen[clause] {
			p.fail(fmt.Sprintf(`The "%s" section can only be used once in an update expression;`, clause))
			break
		}
		seen[clause] = true
		p.at++
		for more := true; more && p.err == nil; more = p.take(",") {
			p.action(u, clause)
		}
	}
	p.apart(u.names())
	return u, p.end()
}

func (p *parser) action(u *update, clause string) {
	name := p.name()
	switch clause {
	case "SET":
		p.expect("=")
		a := assignment{name, []operand{p.operand()}}
		if p.err == nil && p.take("+") {
			a.to = append(a.to, p.operand())
			for _, o := range a.to {
				if o.name == "" && o.value.kind != kindN && p.err == nil {
					p.incorrect("+", o.value.kind)
				}
			}
		}
		u.set = append(u.set, a)
	case "REMOVE":
		u.remove = append(u.remove, name)
	default:
		a := addition{name, p.value()}
		if p.err == nil && a.by.kind != kindN && a.by.kind != kindSS {
			p.fail("Incorrect operand type for operator or function; operator: ADD, operand type: " + string(a.by.kind) + ", typeSet: ALLOWED_FOR_ADD_OPERAND")
		}
		u.add = append(u.add, a)
	}
}

func (p *parser) operand() operand {
	t := p.peek()
	switch {
	case t.kind == tokenValue:
		return operand{value: p.value()}
	case t.kind == tokenWord && p.opens():
		switch t.text {
		case "if_not_exists", "list_append":
			p.stop(notImplemented("the function " + t.text))
		case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
			p.fail("The function is not allowed in an update expression; function: " + t.text)
		default:
			p.fail("Invalid function name; function: " + t.text)
		}
		return operand{}
	default:
		return operand{name: p.name()}
	}
}
