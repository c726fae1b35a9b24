// Package secret holds values that must never be printed: tokens, codes, verifiers, client secrets, cookies.
//
// A [String] shows itself as "[secret]" to every verb of fmt, to encoding/json and encoding/xml, and to log/slog.
// [String.Reveal] is the only way out, and easy to search for.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const masked = "[secret]"

// String is a secret text. The zero value is empty and equal to nothing.
//
// It holds a pointer because reflection, and so fmt on an enclosing struct, prints an unexported string field.
type String struct{ p *string }

// New wraps s. An empty s gives the zero String.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{p: &s}
}

// Reveal returns the text itself, for the one place that must send or compare it.
func (s String) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero says whether there is no text. Its name makes encoding/json's omitzero leave the field out.
func (s String) IsZero() bool { return s.p == nil }

// Equal compares in constant time. An empty secret equals nothing, not even another empty one.
func (s String) Equal(other String) bool {
	return !s.IsZero() && subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format answers every verb, including %#v and %d.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String answers callers that convert without fmt.
func (s String) String() string { return masked }

// MarshalText answers encoding/json, encoding/xml and map keys.
func (s String) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue answers log/slog.
func (s String) LogValue() slog.Value { return slog.StringValue(masked) }
