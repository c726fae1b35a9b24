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

const (
	idLength      = 20
	lettersDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// isID reports whether s is 20 letters and digits with the prefix of one kind of object.
func isID(s, prefix string) bool {
	return len(s) == idLength && strings.HasPrefix(s, prefix) && strings.Trim(s, lettersDigits) == ""
}

// Valid reports whether the id has the right shape. Only such ids get into a URL.
func (id UserID) Valid() bool { return isID(string(id), "00u") }

// Valid reports whether the id has the right shape. Only such ids get into a URL.
func (id GroupID) Valid() bool { return isID(string(id), "00g") }

// Valid reports whether the id has the right shape. Only such ids get into a URL.
func (id AppID) Valid() bool { return isID(string(id), "0oa") }

// String returns the id as Okta writes it.
func (id UserID) String() string { return string(id) }

// String returns the id as Okta writes it.
func (id GroupID) String() string { return string(id) }

// String returns the id as Okta writes it.
func (id AppID) String() string { return string(id) }

const maxText = 255

// cleanText returns s without surrounding space. It is an Error of KindInvalid if
// nothing is left, or too much, or a character that Okta does not accept.
func cleanText(op, s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || utf8.RuneCountInString(s) > maxText || !Fits(s) {
		return "", &Error{Op: op, Kind: KindInvalid, Err: errors.New("not a usable text")}
	}
	return s, nil
}

// newName is cleanText for the name of a new object. It refuses invisible characters too, so that no name looks like
// another.
func newName(op, s string) (string, error) {
	s, err := cleanText(op, s)
	if err != nil {
		return "", err
	}
	if _, changed := label.Clean(s); changed {
		return "", &Error{Op: op, Kind: KindInvalid, Err: errors.New("a name with characters that cannot be seen")}
	}
	return s, nil
}

// Fits reports whether Okta accepts every character of a text.
func Fits(s string) bool { return !strings.ContainsFunc(s, unfit) }

// unfit reports characters that Okta does not accept (four bytes of UTF-8), and
// control characters, which can make a text look like another.
func unfit(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError || r > 0xFFFF
}

// condition is a search or filter expression. Values get into one through
// quote alone.
type condition string

func compare(attribute, operator, value string) condition {
	return condition(attribute + " " + operator + " " + quote(value))
}

func anyOf(conditions ...condition) condition { return join(" or ", conditions) }
func allOf(conditions ...condition) condition { return "(" + join(" and ", conditions) + ")" }

func join(separator string, conditions []condition) condition {
	parts := make([]string, len(conditions))
	for i, c := range conditions {
		parts[i] = string(c)
	}
	return condition(strings.Join(parts, separator))
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote returns s as a string literal of the expression language (RFC 7644: a
// JSON string).
func quote(s string) string { return `"` + escaper.Replace(s) + `"` }
