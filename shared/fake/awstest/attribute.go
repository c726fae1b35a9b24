package awstest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
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
	kindNS   kind = "NS"
	kindBS   kind = "BS"
)

// longNames are how error messages spell the types.
var longNames = map[kind]string{
	kindS: "STRING", kindN: "NUMBER", kindB: "BINARY", kindBool: "BOOLEAN", kindNull: "NULL",
	kindM: "MAP", kindL: "LIST", kindSS: "STRING_SET", kindNS: "NUMBER_SET", kindBS: "BINARY_SET",
}

// value is one attribute value. It is never changed once made, so items may
// share values.
type value struct {
	kind kind
	text string // S, or the bytes of B
	num  decimal
	bool bool
	list []value
	m    item
	set  []string // members of SS and BS as they are, of NS in canonical form
}

// item is an item, or the inside of a map.
type item map[string]value

// member is a number's or set member's identity.
func (v value) member() string {
	if v.kind == kindN {
		return v.num.String()
	}
	return v.text
}

func (k kind) isSet() bool { return k == kindSS || k == kindNS || k == kindBS }

// element is the type of a set's members.
func (k kind) element() kind { return kind(strings.TrimSuffix(string(k), "S")) }

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
	case kindSS, kindNS, kindBS:
		return v.decodeSet(raw)
	default:
		return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
}

func (v *value) decodeSet(raw []byte) error {
	var given []string
	if err := json.Unmarshal(raw, &given); err != nil {
		return err
	}
	if len(given) == 0 {
		name := map[kind]string{kindSS: "string", kindNS: "number", kindBS: "binary"}[v.kind]
		return validation("One or more parameter values were invalid: An " + name + " set  may not be empty")
	}
	for _, s := range given {
		if v.kind == kindNS {
			n, err := parseNumber(s)
			if err != nil {
				return err
			}
			s = n.String()
		}
		if v.kind == kindBS {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return err
			}
			s = string(b)
		}
		if slices.Contains(v.set, s) {
			if v.kind == kindNS {
				return validation("Input collection contains duplicates")
			}
			return validation(fmt.Sprintf("One or more parameter values were invalid: Input collection [%s] contains duplicates.", strings.Join(given, ", ")))
		}
		v.set = append(v.set, s)
	}
	slices.Sort(v.set)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (v value) MarshalJSON() ([]byte, error) {
	var inner any
	switch v.kind {
	case kindS:
		inner = v.text
	case kindN:
		inner = v.num.String()
	case kindB:
		inner = []byte(v.text)
	case kindBool, kindNull:
		inner = v.bool
	case kindL:
		inner = v.list
	case kindM:
		inner = v.m
	case kindBS:
		members := make([][]byte, len(v.set))
		for i, s := range v.set {
			members[i] = []byte(s)
		}
		inner = members
	default:
		inner = v.set
	}
	return json.Marshal(map[kind]any{v.kind: inner})
}

// equal compares as "=" does: types too, sets without order.
func (v value) equal(w value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case kindN:
		return v.num.compare(w.num) == 0
	case kindL:
		return slices.EqualFunc(v.list, w.list, value.equal)
	case kindM:
		return maps.EqualFunc(v.m, w.m, value.equal)
	case kindSS, kindNS, kindBS:
		return slices.Equal(v.set, w.set) // both sorted
	default:
		return v.text == w.text && v.bool == w.bool
	}
}

// compare orders two values of one ordered type: numbers by value, strings and
// binaries by their bytes. Others have no order.
func (v value) compare(w value) (order int, ok bool) {
	if v.kind != w.kind {
		return 0, false
	}
	switch v.kind {
	case kindN:
		return v.num.compare(w.num), true
	case kindS, kindB:
		return bytes.Compare([]byte(v.text), []byte(w.text)), true
	default:
		return 0, false
	}
}

// length is the function size() of expressions.
func (v value) length() (int, bool) {
	switch v.kind {
	case kindS:
		return utf8.RuneCountInString(v.text), true
	case kindB:
		return len(v.text), true
	case kindL:
		return len(v.list), true
	case kindM:
		return len(v.m), true
	case kindSS, kindNS, kindBS:
		return len(v.set), true
	default:
		return 0, false
	}
}

// size is what the value adds to the size of its item ("DynamoDB Item sizes and
// formats" in the Developer Guide).
func (v value) size() int {
	n := 0
	switch v.kind {
	case kindN:
		n = v.num.size()
	case kindBool, kindNull:
		n = 1
	case kindL:
		n = 3
		for _, e := range v.list {
			n += 1 + e.size()
		}
	case kindM:
		n = 3 + len(v.m) + v.m.size()
	case kindNS:
		for _, s := range v.set {
			d, _ := parseNumber(s)
			n += d.size()
		}
	case kindSS, kindBS:
		for _, s := range v.set {
			n += len(s)
		}
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
