package awstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// scope is what all expressions of one request share: the placeholders, and
// which of them were used.
type scope struct {
	names      map[string]string
	values     map[string]value
	usedNames  map[string]bool
	usedValues map[string]bool
}

func newScope(names map[string]string, values map[string]value) *scope {
	return &scope{names, values, map[string]bool{}, map[string]bool{}}
}

// unused refuses placeholders that no expression used.
func (s *scope) unused() error {
	check := func(what string, given []string, used map[string]bool) error {
		given = slices.DeleteFunc(given, func(k string) bool { return used[k] })
		if len(given) == 0 {
			return nil
		}
		slices.Sort(given)
		return validation(fmt.Sprintf("Value provided in %s unused in expressions: keys: {%s}", what, strings.Join(given, ", ")))
	}
	if err := check("ExpressionAttributeNames", keys(s.names), s.usedNames); err != nil {
		return err
	}
	return check("ExpressionAttributeValues", keys(s.values), s.usedValues)
}

func keys[V any](m map[string]V) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	return ks
}

// The syntax tree of conditions. An operand gives a value for an item, or none.
type (
	operand interface {
		of(item) (value, bool)
		String() string
	}
	constant struct {
		value
		placeholder string
	}
	sizeOf struct{ path path }

	condition interface{ holds(item) bool }
	both      struct{ a, b condition }
	either    struct{ a, b condition }
	not       struct{ c condition }
	compare   struct {
		op   string // = <> < <= > >=
		a, b operand
	}
	between struct{ x, low, high operand }
	among   struct {
		x   operand
		set []operand
	}
	predicate struct {
		name string
		path path // of attribute_exists, attribute_not_exists, attribute_type
		a, b operand
	}
)

// The syntax tree of updates.
type (
	update struct {
		set    []assignment
		remove []path
		add    []change
		del    []change
	}
	assignment struct {
		path path
		to   operand
	}
	change struct {
		path path
		by   constant
	}
	sum struct {
		a, b  operand
		minus bool
	}
	ifNotExists struct {
		path path
		or   operand
	}
	listAppend struct{ a, b operand }
)

func (c constant) String() string    { return c.placeholder }
func (s sizeOf) String() string      { return "size(" + s.path.String() + ")" }
func (s sum) String() string         { return s.a.String() + " + " + s.b.String() }
func (f ifNotExists) String() string { return "if_not_exists(" + f.path.String() + ")" }
func (l listAppend) String() string  { return "list_append(" + l.a.String() + ")" }

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
	p := &parser{what: what, source: source, scope: s}
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

func (p *parser) fail(why string) {
	if p.err == nil {
		p.err = validation("Invalid " + p.what + ": " + why)
	}
	p.at = max(len(p.tokens)-1, 0) // nothing more is read
}

func (p *parser) unexpected() {
	p.fail(fmt.Sprintf(`Syntax error; token: "%s", near: "%s"`, p.peek().text, near(p.source, p.tokens, p.at)))
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.peek()
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// symbol takes the symbol if it comes next.
func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == tokenSymbol && t.text == s {
		p.at++
		return true
	}
	return false
}

// word takes the keyword if it comes next, in any case.
func (p *parser) word(w string) bool {
	if t := p.peek(); t.kind == tokenWord && strings.EqualFold(t.text, w) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if !p.symbol(s) {
		p.unexpected()
	}
}

func (p *parser) end() error {
	if p.err == nil && p.peek().kind != tokenEnd {
		p.unexpected()
	}
	return p.err
}

// parseCondition reads a ConditionExpression, FilterExpression or
// KeyConditionExpression.
//
//	or        = and { OR and }
//	and       = not { AND not }
//	not       = NOT not | "(" or ")" | predicate | operand ( comparator operand | BETWEEN operand AND operand | IN "(" operand { "," operand } ")" )
//	predicate = attribute_exists "(" path ")" | begins_with "(" operand "," operand ")" | …
//	operand   = path | :value | size "(" path ")"
func parseCondition(what, source string, s *scope) (condition, error) {
	p := newParser(what, source, s)
	c := p.or()
	return c, p.end()
}

func (p *parser) or() condition {
	c := p.and()
	for p.err == nil && p.word("OR") {
		c = either{c, p.and()}
	}
	return c
}

func (p *parser) and() condition {
	c := p.not()
	for p.err == nil && p.word("AND") {
		c = both{c, p.not()}
	}
	return c
}

func (p *parser) not() condition {
	if p.word("NOT") {
		return not{p.not()}
	}
	if p.symbol("(") {
		opened := p.at
		c := p.or()
		redundant := p.tokens[opened].text == "(" && p.closes(opened) == p.at-1
		p.expect(")")
		if p.err == nil && redundant {
			p.fail("The expression has redundant parentheses;")
		}
		return c
	}
	if t := p.peek(); t.kind == tokenWord && p.tokens[min(p.at+1, len(p.tokens)-1)].text == "(" && t.text != "size" {
		return p.predicate()
	}
	return p.comparison()
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

// arity is how many operands each predicate takes.
var arity = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
}

func (p *parser) predicate() condition {
	name := p.next().text
	want, known := arity[name]
	if !known {
		switch name {
		case "if_not_exists", "list_append":
			p.fail("The function is not allowed in a condition expression; function: " + name)
		default:
			p.fail("Invalid function name; function: " + name)
		}
		return nil
	}
	p.expect("(")
	args := p.operands()
	p.expect(")")
	if p.err != nil {
		return nil
	}
	if len(args) != want {
		p.fail(fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", name, len(args)))
		return nil
	}
	c := predicate{name: name, a: args[0]}
	if want == 2 {
		c.b = args[1]
	}
	switch name {
	case "begins_with":
		for _, a := range args {
			if v, ok := a.(constant); ok && v.kind != kindS && v.kind != kindB {
				p.incorrect(name, v)
			}
		}
		p.distinct(name, args[0], args[1])
	case "contains":
		p.distinct(name, args[0], args[1])
	default:
		var ok bool
		if c.path, ok = args[0].(path); !ok {
			p.fail("Operator or function requires a document path; operator or function: " + name)
		}
		if name == "attribute_type" {
			p.typeName(args[1])
		}
	}
	return c
}

func (p *parser) typeName(a operand) {
	v, ok := a.(constant)
	if !ok || v.kind != kindS {
		if ok {
			p.incorrect("attribute_type", v)
		} else {
			p.fail("Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
		}
		return
	}
	if _, ok := longNames[kind(v.text)]; !ok {
		p.fail("Invalid attribute type name found; type: " + v.text + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")
	}
}

func (p *parser) incorrect(operator string, v constant) {
	p.fail(fmt.Sprintf("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, v.kind))
}

// distinct refuses operators whose operands are the same path.
func (p *parser) distinct(operator string, a, b operand) {
	x, ok1 := a.(path)
	y, ok2 := b.(path)
	if ok1 && ok2 && slices.Equal(x, y) {
		p.fail(fmt.Sprintf("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", operator, x))
	}
}

func (p *parser) comparison() condition {
	a := p.operand()
	if p.err != nil {
		return nil
	}
	switch t := p.peek(); {
	case p.word("BETWEEN"):
		low := p.operand()
		if p.err == nil && !p.word("AND") {
			p.unexpected()
		}
		high := p.operand()
		if p.err == nil {
			p.bounds(low, high)
		}
		return between{a, low, high}
	case p.word("IN"):
		p.expect("(")
		c := among{a, p.operands()}
		p.expect(")")
		if len(c.set) > 100 {
			p.fail(fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: IN, number of operands: %d", len(c.set)+1))
		}
		return c
	case t.kind == tokenSymbol && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		p.next()
		c := compare{t.text, a, p.operand()}
		if p.err == nil {
			p.distinct(t.text, c.a, c.b)
		}
		if t.text != "=" && t.text != "<>" && p.err == nil {
			for _, o := range []operand{c.a, c.b} {
				if v, ok := o.(constant); ok && v.kind != kindS && v.kind != kindN && v.kind != kindB {
					p.incorrect(t.text, v)
				}
			}
		}
		return c
	default:
		p.unexpected()
		return nil
	}
}

func (p *parser) bounds(low, high operand) {
	a, ok1 := low.(constant)
	b, ok2 := high.(constant)
	if !ok1 || !ok2 {
		return
	}
	if a.kind != b.kind {
		p.fail(fmt.Sprintf("The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {%s:%s}, upper bound operand: AttributeValue: {%s:%s}", a.kind, a.member(), b.kind, b.member()))
	} else if order, ok := a.compare(b.value); ok && order > 0 {
		p.fail(fmt.Sprintf("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {%s:%s}, upper bound operand: AttributeValue: {%s:%s}", a.kind, a.member(), b.kind, b.member()))
	}
}

func (p *parser) operands() []operand {
	list := []operand{p.operand()}
	for p.err == nil && p.symbol(",") {
		list = append(list, p.operand())
	}
	return list
}

func (p *parser) operand() operand {
	t := p.peek()
	switch {
	case t.kind == tokenValue:
		return p.constant()
	case t.kind == tokenWord && p.tokens[min(p.at+1, len(p.tokens)-1)].text == "(":
		p.next()
		if t.text != "size" {
			if _, known := arity[t.text]; known {
				p.fail("The function is not allowed to be used this way in an expression; function: " + t.text)
			} else {
				p.fail("Invalid function name; function: " + t.text)
			}
			return path(nil)
		}
		p.expect("(")
		s := sizeOf{p.path()}
		p.expect(")")
		return s
	default:
		return p.path()
	}
}

func (p *parser) constant() constant {
	t := p.peek()
	if t.kind != tokenValue {
		p.unexpected()
		return constant{}
	}
	p.next()
	v, ok := p.scope.values[t.text]
	if !ok {
		p.fail("An expression attribute value used in expression is not defined; attribute value: " + t.text)
	}
	p.scope.usedValues[t.text] = true
	return constant{v, t.text}
}

func (p *parser) path() path {
	to := path{p.name()}
	for p.err == nil {
		switch {
		case p.symbol("."):
			to = append(to, p.name())
		case p.symbol("["):
			t := p.peek()
			n, err := strconv.Atoi(t.text)
			if t.kind != tokenIndex || err != nil {
				p.unexpected()
				break
			}
			p.next()
			to = append(to, step{index: n, list: true})
			p.expect("]")
		default:
			return to
		}
	}
	return to
}

func (p *parser) name() step {
	t := p.peek()
	switch t.kind {
	case tokenWord:
		if reserved[strings.ToUpper(t.text)] {
			p.fail("Attribute name is a reserved keyword; reserved keyword: " + t.text)
			return step{}
		}
		p.next()
		return step{name: t.text}
	case tokenName:
		p.next()
		name, ok := p.scope.names[t.text]
		if !ok {
			p.fail("An expression attribute name used in the document path is not defined; attribute name: " + t.text)
		}
		p.scope.usedNames[t.text] = true
		return step{name: name}
	default:
		p.unexpected()
		return step{}
	}
}

// parseProjection reads a ProjectionExpression: paths, separated by commas.
func parseProjection(source string, s *scope) ([]path, error) {
	p := newParser("ProjectionExpression", source, s)
	paths := []path{p.path()}
	for p.err == nil && p.symbol(",") {
		paths = append(paths, p.path())
	}
	p.apart(paths)
	return paths, p.end()
}

// apart refuses paths that overlap or conflict.
func (p *parser) apart(paths []path) {
	for i, a := range paths {
		for _, b := range paths[:i] {
			if p.err != nil {
				return
			}
			if how := b.clash(a); how != "" {
				p.fail(fmt.Sprintf("Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", how, b, a))
			}
		}
	}
}

// parseUpdate reads an UpdateExpression.
//
//	update = { SET path "=" sum { "," … } | REMOVE path { "," … } | ADD path :value { "," … } | DELETE path :value { "," … } }
//	sum    = term [ ( "+" | "-" ) term ]
//	term   = path | :value | if_not_exists "(" path "," sum ")" | list_append "(" sum "," sum ")" | "(" sum ")"
func parseUpdate(source string, s *scope) (*update, error) {
	p := newParser("UpdateExpression", source, s)
	u, seen := &update{}, map[string]bool{}
	for first := true; p.err == nil && (first || p.peek().kind != tokenEnd); first = false {
		clause := strings.ToUpper(p.peek().text)
		if p.peek().kind != tokenWord || !slices.Contains([]string{"SET", "REMOVE", "ADD", "DELETE"}, clause) {
			p.unexpected()
			break
		}
		if seen[clause] {
			p.fail(fmt.Sprintf(`The "%s" section can only be used once in an update expression;`, clause))
			break
		}
		seen[clause] = true
		p.next()
		for more := true; more && p.err == nil; more = p.symbol(",") {
			p.action(u, clause)
		}
	}
	p.apart(u.paths())
	return u, p.end()
}

func (p *parser) action(u *update, clause string) {
	to := p.path()
	switch clause {
	case "SET":
		p.expect("=")
		u.set = append(u.set, assignment{to, p.sum()})
	case "REMOVE":
		u.remove = append(u.remove, to)
	default:
		if p.err != nil {
			return
		}
		c := change{to, p.constant()}
		if p.err == nil && !c.by.kind.isSet() && (clause == "DELETE" || c.by.kind != kindN) {
			p.fail(fmt.Sprintf("Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: %s",
				clause, longNames[c.by.kind], map[string]string{"ADD": "ALLOWED_FOR_ADD_OPERAND", "DELETE": "ALLOWED_FOR_DELETE_OPERAND"}[clause]))
		}
		if clause == "ADD" {
			u.add = append(u.add, c)
		} else {
			u.del = append(u.del, c)
		}
	}
}

func (p *parser) sum() operand {
	a := p.term()
	for _, op := range []string{"+", "-"} {
		if p.err == nil && p.symbol(op) {
			s := sum{a, p.term(), op == "-"}
			for _, o := range []operand{s.a, s.b} {
				if v, ok := o.(constant); ok && v.kind != kindN {
					p.fail(fmt.Sprintf("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", op, v.kind))
				}
			}
			return s
		}
	}
	return a
}

func (p *parser) term() operand {
	if p.symbol("(") {
		o := p.sum()
		p.expect(")")
		return o
	}
	t := p.peek()
	if t.kind != tokenWord || p.tokens[min(p.at+1, len(p.tokens)-1)].text != "(" {
		return p.operand()
	}
	switch t.text {
	case "if_not_exists":
		p.next()
		p.expect("(")
		f := ifNotExists{path: p.path()}
		p.expect(",")
		f.or = p.sum()
		p.expect(")")
		return f
	case "list_append":
		p.next()
		p.expect("(")
		l := listAppend{a: p.sum()}
		p.expect(",")
		l.b = p.sum()
		p.expect(")")
		for _, o := range []operand{l.a, l.b} {
			if v, ok := o.(constant); ok && p.err == nil && v.kind != kindL {
				p.incorrect(t.text, v)
			}
		}
		return l
	default:
		if _, known := arity[t.text]; known || t.text == "size" {
			p.fail("The function is not allowed in an update expression; function: " + t.text)
		} else {
			p.fail("Invalid function name; function: " + t.text)
		}
		return path(nil)
	}
}

// paths are all places the update writes to.
func (u *update) paths() []path {
	var all []path
	for _, a := range u.set {
		all = append(all, a.path)
	}
	all = append(all, u.remove...)
	for _, c := range u.add {
		all = append(all, c.path)
	}
	for _, c := range u.del {
		all = append(all, c.path)
	}
	return all
}
