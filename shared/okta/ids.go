package okta

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/label"
)

// UserID names a person in Okta, 00u….
type UserID string

// GroupID names a group in Okta, 00g….
type GroupID string

// AppID names an app instance in Okta, 0oa….
type AppID string

// Every id has 20 letters and digits, and a prefix that says what it names.
const idLength = 20

func isID(s, prefix string) bool {
	if len(s) != idLength || !strings.HasPrefix(s, prefix) {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// Valid says whether the id has the shape of one. Only such ids reach a URL.
func (id UserID) Valid() bool { return isID(string(id), "00u") }

// Valid says whether the id has the shape of one. Only such ids reach a URL.
func (id GroupID) Valid() bool { return isID(string(id), "00g") }

// Valid says whether the id has the shape of one. Only such ids reach a URL.
func (id AppID) Valid() bool { return isID(string(id), "0oa") }

var errShape = errors.New("not an Okta id")

// checked refuses an operation whose ids are none, before anything is sent.
func checked(op string, ids ...interface{ Valid() bool }) error {
	for _, id := range ids {
		if !id.Valid() {
			return &Error{Op: op, Kind: KindInvalid, Err: errShape}
		}
	}
	return nil
}

const maxText = 255

// text prepares what a person said: without surrounding space, not empty, not
// long, and nothing in it that Okta does not take or that could not be seen.
func text(op, s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || utf8.RuneCountInString(s) > maxText || strings.ContainsFunc(s, unfit) {
		return "", &Error{Op: op, Kind: KindInvalid, Err: errors.New("not a usable text")}
	}
	return s, nil
}

// newName prepares a name that something is to get: it must be seen as it is, so that it cannot pass for another.
func newName(op, s string) (string, error) {
	s, err := text(op, s)
	if err != nil {
		return "", err
	}
	if _, changed := label.Clean(s); changed {
		return "", &Error{Op: op, Kind: KindInvalid, Err: errors.New("not a name that can be seen")}
	}
	return s, nil
}

// Fits says whether Okta takes every character of a text.
func Fits(s string) bool { return !strings.ContainsFunc(s, unfit) }

// unfit are characters that Okta does not take (four bytes of UTF-8), that are
// none, or that make a text look like another.
func unfit(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError || r > 0xFFFF
}

// condition is a search or filter expression. Values get into one through
// quote alone.
type condition string

func compare(attribute, operator, value string) condition {
	return condition(attribute + " " + operator + " " + quote(value))
}

func either(conditions ...condition) condition { return join(" or ", conditions) }
func both(conditions ...condition) condition   { return "(" + join(" and ", conditions) + ")" }

func join(with string, conditions []condition) condition {
	parts := make([]string, len(conditions))
	for i, c := range conditions {
		parts[i] = string(c)
	}
	return condition(strings.Join(parts, with))
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote makes a string literal of the expression language (RFC 7644: a JSON
// string).
func quote(s string) string { return `"` + quoter.Replace(s) + `"` }
