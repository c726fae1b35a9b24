package awstest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Evaluation of conditions. An operand that has no value makes every
// comparison false, but for "<>".

func (p path) of(it item) (value, bool)   { return p.in(it) }
func (c constant) of(item) (value, bool)  { return c.value, true }
func (s sizeOf) of(it item) (value, bool) { v, ok := s.path.in(it); return sized(v, ok) }
func (c both) holds(it item) bool         { return c.a.holds(it) && c.b.holds(it) }
func (c either) holds(it item) bool       { return c.a.holds(it) || c.b.holds(it) }
func (c not) holds(it item) bool          { return !c.c.holds(it) }
func whole(n int) value                   { d, _ := parseNumber(strconv.Itoa(n)); return value{kind: kindN, num: d} }

func sized(v value, ok bool) (value, bool) {
	if !ok {
		return value{}, false
	}
	n, ok := v.length()
	return whole(n), ok
}

func (c compare) holds(it item) bool {
	a, okA := c.a.of(it)
	b, okB := c.b.of(it)
	switch c.op {
	case "=":
		return okA && okB && a.equal(b)
	case "<>":
		return okA != okB || okA && okB && !a.equal(b)
	}
	if !okA || !okB {
		return false
	}
	order, ok := a.compare(b)
	switch {
	case !ok:
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

func (c between) holds(it item) bool {
	return compare{">=", c.x, c.low}.holds(it) && compare{"<=", c.x, c.high}.holds(it)
}

func (c among) holds(it item) bool {
	return slices.ContainsFunc(c.set, func(o operand) bool { return compare{"=", c.x, o}.holds(it) })
}

func (c predicate) holds(it item) bool {
	a, ok := c.a.of(it)
	switch c.name {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	}
	b, okB := c.b.of(it)
	if !ok || !okB {
		return false
	}
	switch c.name {
	case "attribute_type":
		return string(a.kind) == b.text
	case "begins_with":
		return a.kind == b.kind && (a.kind == kindS || a.kind == kindB) && strings.HasPrefix(a.text, b.text)
	default: // contains
		switch {
		case a.kind.isSet():
			return a.kind.element() == b.kind && slices.Contains(a.set, b.member())
		case a.kind == kindL:
			return slices.ContainsFunc(a.list, b.equal)
		default:
			return a.kind == b.kind && (a.kind == kindS || a.kind == kindB) && strings.Contains(a.text, b.text)
		}
	}
}

// The operands of updates fail where those of conditions are merely absent;
// resolve tells which.

var (
	errAbsent   = validation("The provided expression refers to an attribute that does not exist in the item")
	errOperand  = validation("An operand in the update expression has an incorrect data type")
	errDocument = validation("The document path provided in the update expression is invalid for update")
)

func (s sum) of(it item) (value, bool)         { v, err := resolve(s, it); return v, err == nil }
func (f ifNotExists) of(it item) (value, bool) { v, err := resolve(f, it); return v, err == nil }
func (l listAppend) of(it item) (value, bool)  { v, err := resolve(l, it); return v, err == nil }

func resolve(o operand, it item) (value, error) {
	pair := func(x, y operand, want kind) (a, b value, err error) {
		if a, err = resolve(x, it); err == nil {
			b, err = resolve(y, it)
		}
		if err == nil && (a.kind != want || b.kind != want) {
			err = errOperand
		}
		return a, b, err
	}
	switch o := o.(type) {
	case sum:
		a, b, err := pair(o.a, o.b, kindN)
		if err != nil {
			return value{}, err
		}
		if o.minus {
			b.num = b.num.negated()
		}
		n, err := a.num.add(b.num)
		return value{kind: kindN, num: n}, err
	case ifNotExists:
		if v, ok := o.path.in(it); ok {
			return v, nil
		}
		return resolve(o.or, it)
	case listAppend:
		a, b, err := pair(o.a, o.b, kindL)
		return value{kind: kindL, list: slices.Concat(a.list, b.list)}, err
	default:
		v, ok := o.of(it)
		if !ok {
			return v, errAbsent
		}
		return v, nil
	}
}

// apply gives the item the update makes of old. Every operand is taken from
// old, whatever the order of the clauses.
func (u *update) apply(old item) (item, error) {
	root := value{kind: kindM, m: maps.Clone(old)}
	if root.m == nil {
		root.m = item{}
	}
	put := func(to path, v value) error {
		changed, err := root.with(to, v)
		if err == nil {
			root = changed
		}
		return err
	}
	for _, a := range u.set {
		v, err := resolve(a.to, old)
		if err == nil {
			err = put(a.path, v)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, c := range u.add {
		v, exists := c.path.in(old)
		switch {
		case !exists:
			v = c.by.value
		case v.kind != c.by.kind:
			return nil, errOperand
		case v.kind == kindN:
			n, err := v.num.add(c.by.num)
			if err != nil {
				return nil, err
			}
			v = value{kind: kindN, num: n}
		default:
			v = value{kind: v.kind, set: union(v.set, c.by.set)}
		}
		if err := put(c.path, v); err != nil {
			return nil, err
		}
	}
	remove := slices.Clone(u.remove)
	for _, c := range u.del {
		v, exists := c.path.in(old)
		if !exists {
			continue
		}
		if v.kind != c.by.kind {
			return nil, errOperand
		}
		left := slices.DeleteFunc(slices.Clone(v.set), func(s string) bool { return slices.Contains(c.by.set, s) })
		if len(left) == 0 {
			remove = append(remove, c.path)
		} else if err := put(c.path, value{kind: v.kind, set: left}); err != nil {
			return nil, err
		}
	}
	// From the end of a list to its start, so that indexes stay those of old.
	slices.SortStableFunc(remove, func(a, b path) int {
		return -slices.CompareFunc(a, b, func(x, y step) int { return cmp.Compare(x.index, y.index) })
	})
	for _, p := range remove {
		changed, err := root.without(p)
		if err != nil {
			return nil, err
		}
		root = changed
	}
	return root.m, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// with is v with w at the path. An index past the end of a list appends.
func (v value) with(to path, w value) (value, error) {
	if len(to) == 0 {
		return w, nil
	}
	inner, place, err := v.step(to[0])
	if err != nil {
		return v, err
	}
	if len(to) > 1 && place < 0 {
		return v, errDocument
	}
	inner, err = inner.with(to[1:], w)
	if err != nil {
		return v, err
	}
	if v.kind == kindM {
		v.m = maps.Clone(v.m)
		v.m[to[0].name] = inner
		return v, nil
	}
	v.list = slices.Clone(v.list)
	if place < 0 {
		v.list = append(v.list, inner)
	} else {
		v.list[place] = inner
	}
	return v, nil
}

// without is v with nothing at the path. Nothing there before is fine, unless
// its parent is missing.
func (v value) without(at path) (value, error) {
	inner, place, err := v.step(at[0])
	if err != nil {
		return v, err
	}
	if place < 0 {
		if len(at) > 1 {
			return v, errDocument
		}
		return v, nil
	}
	if len(at) > 1 {
		if inner, err = inner.without(at[1:]); err != nil {
			return v, err
		}
		return v.with(at[:1], inner)
	}
	if v.kind == kindM {
		v.m = maps.Clone(v.m)
		delete(v.m, at[0].name)
	} else {
		v.list = slices.Delete(slices.Clone(v.list), place, place+1)
	}
	return v, nil
}

// step is what is one step inside v; place is -1 if nothing is there yet.
func (v value) step(s step) (inner value, place int, err error) {
	switch {
	case s.list && v.kind == kindL:
		if s.index < len(v.list) {
			return v.list[s.index], s.index, nil
		}
		return value{}, -1, nil
	case !s.list && v.kind == kindM:
		if inner, ok := v.m[s.name]; ok {
			return inner, 0, nil
		}
		return value{}, -1, nil
	default:
		return value{}, -1, errDocument
	}
}

// project is the part of an item the paths lead to. Chosen list elements move
// together, in their order.
func project(it item, paths []path) item {
	out := item{}
	byName := map[string][]path{}
	for _, p := range paths {
		byName[p[0].name] = append(byName[p[0].name], p[1:])
	}
	for name, rest := range byName {
		if v, ok := it[name]; ok {
			if v, ok = v.part(rest); ok {
				out[name] = v
			}
		}
	}
	return out
}

func (v value) part(paths []path) (value, bool) {
	byIndex, names := map[int][]path{}, []path{}
	for _, p := range paths {
		switch {
		case len(p) == 0:
			return v, true
		case p[0].list:
			byIndex[p[0].index] = append(byIndex[p[0].index], p[1:])
		default:
			names = append(names, p)
		}
	}
	switch {
	case v.kind == kindM && len(names) > 0:
		m := project(v.m, names)
		return value{kind: kindM, m: m}, len(m) > 0
	case v.kind == kindL:
		var list []value
		for i, e := range v.list {
			if rest, wanted := byIndex[i]; wanted {
				if e, ok := e.part(rest); ok {
					list = append(list, e)
				}
			}
		}
		return value{kind: kindL, list: list}, len(list) > 0
	default:
		return value{}, false
	}
}
