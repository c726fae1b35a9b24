// Package config reads environment variables as typed values and reports all faults at once.
//
//	r := config.Read(os.LookupEnv)
//	cfg := Config{Table: r.String("SESSION_TABLE_NAME"), Issuer: r.URL("AUTH0_ISSUER_URL")}
//	return cfg, r.Err()
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Lookup has the signature of os.LookupEnv.
type Lookup = func(key string) (value string, ok bool)

// Reader reads keys and collects the faults.
type Reader struct {
	lookup Lookup
	faults []error
	keys   []string
}

// Read returns a Reader over lookup.
func Read(lookup Lookup) *Reader { return &Reader{lookup: lookup} }

// Err returns all faults joined, nil if there is none. Each names its key.
func (r *Reader) Err() error { return errors.Join(r.faults...) }

// Keys returns the keys that were read, in order.
func (r *Reader) Keys() []string { return slices.Clone(r.keys) }

func (r *Reader) fault(key, want string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(want, args...)))
}

// String returns a required text.
func (r *Reader) String(key string) string {
	r.keys = append(r.keys, key)
	v, _ := r.lookup(key)
	if strings.TrimSpace(v) == "" {
		r.fault(key, "is missing")
		return ""
	}
	return v
}

// Optional returns a text, or fallback if the key is not set or empty.
func (r *Reader) Optional(key, fallback string) string {
	r.keys = append(r.keys, key)
	if v, ok := r.lookup(key); ok && v != "" {
		return v
	}
	return fallback
}

// OptionalPair returns two texts of which both or neither must be set.
func (r *Reader) OptionalPair(first, second string) (a, b string) {
	a, b = r.Optional(first, ""), r.Optional(second, "")
	if (a == "") != (b == "") {
		r.fault(first, "and %s go together, want both or neither", second)
	}
	return a, b
}

// Enum returns a required text, one of allowed.
func (r *Reader) Enum(key string, allowed ...string) string {
	v := r.String(key)
	if v != "" && !slices.Contains(allowed, v) {
		r.fault(key, "is %q, want one of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

// OptionalEnum returns one of allowed, the first if the key is not set.
func (r *Reader) OptionalEnum(key string, allowed ...string) string {
	v := r.Optional(key, allowed[0])
	if !slices.Contains(allowed, v) {
		r.fault(key, "is %q, want one of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

// OptionalSwitch returns true for "on", and false for "off" or if the key is not set.
func (r *Reader) OptionalSwitch(key string) bool {
	v := r.Optional(key, "off")
	if v != "on" && v != "off" {
		r.fault(key, "is %q, want on or off", v)
	}
	return v == "on"
}

// URL returns a required URL, see [ParseURL].
func (r *Reader) URL(key string) *url.URL {
	v := r.String(key)
	if v == "" {
		return nil
	}
	return r.parse(key, v)
}

// OptionalURL returns a URL, see [ParseURL], or nil if the key is not set.
func (r *Reader) OptionalURL(key string) *url.URL {
	v := r.Optional(key, "")
	if v == "" {
		return nil
	}
	return r.parse(key, v)
}

func (r *Reader) parse(key, v string) *url.URL {
	u, err := ParseURL(v)
	if err != nil {
		r.fault(key, "%s", err)
		return nil
	}
	return u
}

// ParseURL parses the URL of a service: absolute, without credentials, query or fragment, and https unless the host is a loopback
// address.
func ParseURL(v string) (*url.URL, error) {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("is not an absolute URL, want https://host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must not carry credentials, a query or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("has scheme %q, want https (http only for a loopback address)", u.Scheme)
}

// Loopback reports whether host is localhost or an address in 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
