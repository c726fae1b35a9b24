// Package secret holds values that must never be printed: tokens, codes, verifiers, client secrets, cookies.
//
// A [String] prints as "[secret]" with every verb of fmt, with encoding/json and encoding/xml, and with log/slog. Only
// [String.Reveal] returns the text.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const masked = "[secret]"

// String is a secret text. The zero value is empty and equals nothing.
//
// It holds a pointer because fmt, by reflection, would print an unexported string field of an enclosing struct.
type String struct{ p *string }

// New returns s as a secret. For an empty s it is the zero String.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{p: &s}
}

// Reveal returns the text.
func (s String) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether there is no text. encoding/json's omitzero calls it.
func (s String) IsZero() bool { return s.p == nil }

// Equal compares in constant time. An empty secret does not equal another empty one.
func (s String) Equal(other String) bool {
	return !s.IsZero() && subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements fmt.Formatter for every verb, including %#v and %d.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String implements fmt.Stringer.
func (s String) String() string { return masked }

// MarshalText implements encoding.TextMarshaler, for encoding/json, encoding/xml and map keys.
func (s String) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(masked) }
