package awstest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is the type of an attribute value, spelt as on the wire.
type kind string

const (
	kindS    kind = "S"
	kindN    kind = "N"
	kindB    kind = "B"
	kindBool kind = "BOOL"
	kindNull kind = "NULL"
	kindM    kind = "M"
	kindL    kind = "L"
	kindSS   kind = "SS"
)

// value is one attribute value. It is never changed once made, so items may
// share values.
type value struct {
	kind kind
	text string   // S, or the bytes of B
	num  *big.Rat // N
	bool bool
	list []value
	m    item
	set  []string // sorted
}

// item is an item, or the inside of a map.
type item map[string]value

// UnmarshalJSON implements [json.Unmarshaler].
func (v *value) UnmarshalJSON(b []byte) error {
	var wire map[kind]json.RawMessage
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	if len(wire) == 0 {
		return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
	if len(wire) > 1 {
		return validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for k, raw := range wire {
		return v.decode(k, raw)
	}
	return nil
}

func (v *value) decode(k kind, raw []byte) error {
	v.kind = k
	switch k {
	case kindS:
		return json.Unmarshal(raw, &v.text)
	case kindN:
		var s string
		err := json.Unmarshal(raw, &s)
		if err == nil {
			v.num, err = parseNumber(s)
		}
		return err
	case kindB:
		var b []byte
		err := json.Unmarshal(raw, &b)
		v.text = string(b)
		return err
	case kindBool:
		return json.Unmarshal(raw, &v.bool)
	case kindNull:
		if err := json.Unmarshal(raw, &v.bool); err != nil || !v.bool {
			return validation("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return nil
	case kindL:
		v.list = []value{}
		return json.Unmarshal(raw, &v.list)
	case kindM:
		v.m = item{}
		return json.Unmarshal(raw, &v.m)
	case kindSS:
		if err := json.Unmarshal(raw, &v.set); err != nil {
			return err
		}
		if len(v.set) == 0 {
			return validation("One or more parameter values were invalid: An string set  may not be empty")
		}
		given := strings.Join(v.set, ", ")
		slices.Sort(v.set)
		if n := len(v.set); len(slices.Compact(v.set)) < n {
			return validation("One or more parameter values were invalid: Input collection [" + given + "] contains duplicates.")
		}
		return nil
	case "NS", "BS":
		return notImplemented("sets of numbers and binaries")
	default:
		return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
}

// MarshalJSON implements [json.Marshaler].
func (v value) MarshalJSON() ([]byte, error) {
	inner := map[kind]any{
		kindS: v.text, kindN: v.member(), kindB: []byte(v.text), kindBool: v.bool, kindNull: v.bool, kindL: v.list, kindM: v.m, kindSS: v.set,
	}
	return json.Marshal(map[kind]any{v.kind: inner[v.kind]})
}

// member is a text's or number's identity.
func (v value) member() string {
	if v.kind == kindN {
		return numberText(v.num)
	}
	return v.text
}

// identity spells a key value so that equal keys are equal strings.
func (v value) identity() string { return string(v.kind) + v.member() }

// equal compares as "=" does: types too, sets without order.
func (v value) equal(w value) bool {
	return v.kind == w.kind && v.member() == w.member() && v.bool == w.bool && slices.Equal(v.set, w.set) &&
		slices.EqualFunc(v.list, w.list, value.equal) && maps.EqualFunc(v.m, w.m, value.equal)
}

// compare orders two values of one ordered type: numbers by value, strings and
// binaries by their bytes. Others have no order.
func (v value) compare(w value) (order int, ok bool) {
	switch {
	case v.kind == kindN && w.kind == kindN:
		return v.num.Cmp(w.num), true
	case v.kind == w.kind && (v.kind == kindS || v.kind == kindB):
		return cmp.Compare(v.text, w.text), true
	default:
		return 0, false
	}
}

// plus adds two numbers.
func (v value) plus(w value) (value, error) {
	if v.kind != kindN || w.kind != kindN {
		return value{}, errOperand
	}
	n, err := parseNumber(numberText(new(big.Rat).Add(v.num, w.num)))
	return value{kind: kindN, num: n}, err
}

// size is what the value adds to the size of its item ("DynamoDB Item sizes and
// formats" in the Developer Guide).
func (v value) size() int {
	n := 0
	switch v.kind {
	case kindN: // about a byte for two digits
		digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(v.member()), "0")
		n = 1 + (len(digits)+1)/2
		if v.num.Sign() < 0 {
			n++
		}
	case kindBool, kindNull:
		n = 1
	case kindL:
		n = 3
		for _, e := range v.list {
			n += 1 + e.size()
		}
	case kindM:
		n = 3 + len(v.m) + v.m.size()
	case kindSS:
		n = len(strings.Join(v.set, ""))
	default:
		n = len(v.text)
	}
	return n
}

func (it item) size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.size()
	}
	return n
}

// A number has up to 38 significant digits and a magnitude from 1E-130 to
// 9.9…E+125.
const (
	maxDigits = 38
	minScale  = -130
	maxScale  = 125
)

var numberSyntax = regexp.MustCompile(`^[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,4}))?$`)

func parseNumber(s string) (*big.Rat, error) {
	part := numberSyntax.FindStringSubmatch(s)
	if part == nil {
		return nil, validation("The parameter cannot be converted to a numeric value: " + s)
	}
	whole, fraction, _ := strings.Cut(part[1], ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent, _ := strconv.Atoi(part[2])
	switch scale := len(digits) - len(fraction) + exponent - 1; {
	case digits == "":
	case scale > maxScale:
		return nil, validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case scale < minScale:
		return nil, validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	case len(strings.TrimRight(digits, "0")) > maxDigits:
		return nil, validation("Attempting to store more than 38 significant digits in a Number")
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, validation(fmt.Sprintf("The parameter cannot be converted to a numeric value: %s", s))
	}
	return n, nil
}

// numberText writes a number as DynamoDB returns it: without exponent, leading
// or trailing zeros.
func numberText(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	return strings.TrimRight(n.FloatString(maxDigits-minScale), "0")
}
