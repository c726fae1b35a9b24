// Package session defines the session of a signed-in person, and the browser's login that it belongs to.
//
// A login has two secrets, and neither can replace the other. The browser has a cookie, an opaque random text; the table has its
// hash only. The agent has a session id, which names the stored session that functions read. The session id gives no access in a
// browser, but for a caller who may invoke a function or the agent it is a bearer token: the functions act for its owner. So it
// is unguessable, ends with the session, and is never shown on the page or written to a log; and IAM lets only the agent and the
// chat invoke the functions.
//
//	login    login#<hash of the cookie>   owner, current session
//	session  <session id>                 owner, sealed refresh token, cached sealed Okta token
//
// "New chat" is a new session under the same login; logging out deletes them all.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Subject is the Auth0 user id, sub of the id_token. It is opaque.
type Subject string

// ID is the id of a session: 43 characters of [A-Za-z0-9-], which both agent runtimes accept.
type ID string

// idLength suits InvokeAgent (2–100 characters) and InvokeHarness (33–100).
const idLength = 43

// NewID returns a random id of 215 bits.
func NewID() ID { return ID((rand.Text() + rand.Text())[:idLength]) }

// Fingerprint returns the first 16 characters of the SHA-256 of id in base32, "" for an empty id. Logs and records name a session
// by it, as a reader of the id could act in the session.
func (id ID) Fingerprint() string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("steward session " + id))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}

// Front is the interface through which a person uses Steward.
type Front string

// The fronts.
const (
	FrontChat    Front = "chat"    // the chat page; also the default of stored rows without a front
	FrontConsole Front = "console" // a session of the Bedrock console's test window that a person linked to themselves
)

// ParseID checks the session id of an agent's call: ours, or one that Bedrock made for a console session. Neither has the # that
// the keys of the table's other rows have. The error is a fault.Unauthenticated.
func ParseID(s string) (ID, error) {
	if !consoleID(ID(s)) {
		return "", NotSignedIn(nil)
	}
	return ID(s), nil
}

// Person holds the claims of the owner from the verified id_token. Name and Picture may be empty.
type Person struct {
	Subject       Subject
	Email         string
	EmailVerified bool
	Name          string
	Picture       string
}

// Session is one conversation of one signed-in person.
type Session struct {
	ID        ID
	Owner     Person
	Front     Front
	Login     LoginKey // which login it belongs to
	CreatedAt time.Time
	ExpiresAt time.Time

	RefreshToken []byte // Auth0's, sealed by package tokenvault for ID and Owner
	OktaToken    []byte // cached Okta access token, sealed in the same way; may be nil
	OktaExpires  time.Time
	OktaUserID   string // the owner's id at Okta, "" until Okta was asked
	OktaLogin    string // the owner's login at Okta, "" until Okta was asked
}

// Live reports whether the session is valid at now. The table's time-to-live may delete it only days later.
func (s Session) Live(now time.Time) bool {
	return s.ID != "" && s.Owner.Subject != "" && now.Before(s.ExpiresAt)
}

// LoginKey is the hash of a login cookie. The cookie itself is not stored.
type LoginKey string

// NewCookie returns a random cookie value.
func NewCookie() secret.String { return secret.New(rand.Text() + rand.Text()) }

// KeyOf returns the hash of a cookie value, "" for an empty value.
func KeyOf(cookie secret.String) LoginKey {
	if cookie.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(cookie.Reveal()))
	return LoginKey(base64.RawURLEncoding.EncodeToString(sum[:]))
}

// Login is one signed-in browser.
type Login struct {
	Key       LoginKey
	Owner     Person
	Current   ID   // the session of the browser's conversation
	Sessions  []ID // all sessions of this login, including Current
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Live reports whether the login is valid at now.
func (l Login) Live(now time.Time) bool {
	return l.Key != "" && l.Owner.Subject != "" && now.Before(l.ExpiresAt)
}

// ErrNotSignedIn is in the chain of every error of [NotSignedIn], and of no other.
var ErrNotSignedIn = errors.New("no live session")

// NotSignedIn returns the fault.Unauthenticated for a call without a live session: none given, unknown, expired or ended.
func NotSignedIn(cause error) error {
	err := ErrNotSignedIn
	if cause != nil {
		err = fmt.Errorf("%w: %w", ErrNotSignedIn, cause)
	}
	return fault.New(fault.Unauthenticated, "You are not signed in here. Please open Steward in the browser, sign in, and ask there.", err)
}
