// Package session defines the session of a signed-in person, and the browser's login that it belongs to.
//
// A login gives two secrets, and neither can be used in the other's place. The browser holds a cookie, an opaque random
// text; the table knows only its hash. The agent holds a session id, which names the stored session that functions read.
// The session id opens nothing in a browser, but to whoever may invoke a function or the agent a live one is a bearer
// token: the functions act for its owner. So it is unguessable, ends with the session, and is never shown to the page or
// written to a log; and IAM lets nobody but the agent and the chat invoke the functions.
//
//	login    login#<hash of the cookie>   owner, profile, which session the browser talks in
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

// Subject is the Auth0 user id, the `sub` of the id_token. It is opaque: never split, never guessed from an e-mail.
type Subject string

// ID names a session to the agent: 43 characters of [A-Za-z0-9-], which both agent runtimes accept.
type ID string

// idLength suits InvokeAgent (2–100 characters) and InvokeHarness (33–100).
const idLength = 43

// NewID makes an unguessable id, 215 bits of it random.
func NewID() ID { return ID((rand.Text() + rand.Text())[:idLength]) }

// Fingerprint names a session in logs and records, where the id itself would let whoever reads it act in that session. It is
// 16 characters of [A-Z2-7], of a SHA-256; "" for no id.
func (id ID) Fingerprint() string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("steward session " + id))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}

// Front is the way by which a person reaches Steward.
type Front string

// The fronts.
const (
	FrontChat    Front = "chat"    // the chat page; also what a row says that names none
	FrontConsole Front = "console" // a session of the Bedrock console's test window that a person linked to themselves
)

// ParseID accepts what can be the session id of an agent's call: ours, and, for console sessions that a person has bound
// to themselves, any that Bedrock makes. Keys of the table's other rows hold a #, so that none can be named by an id.
func ParseID(s string) (ID, error) {
	if !consoleID(ID(s)) {
		return "", NotSignedIn(nil)
	}
	return ID(s), nil
}

// Person is what the verified id_token says of the owner. Name and Picture may be missing.
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
	OktaToken    []byte // cached, sealed alike; may be absent
	OktaExpires  time.Time
	OktaUserID   string // the owner's own id at Okta, once it has been asked
	OktaLogin    string // the owner's login at Okta, by Okta's answer
}

// Live says whether the session may be used at now. The table's time-to-live only tidies up, days later perhaps.
func (s Session) Live(now time.Time) bool {
	return s.ID != "" && s.Owner.Subject != "" && now.Before(s.ExpiresAt)
}

// LoginKey is the hash of a login cookie, the only form of it that is stored.
type LoginKey string

// NewCookie makes a cookie value.
func NewCookie() secret.String { return secret.New(rand.Text() + rand.Text()) }

// KeyOf hashes a cookie value. An empty value has no key.
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
	Current   ID   // the session the browser talks in now
	Sessions  []ID // all sessions of this login, Current among them
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Live says whether the login may be used at now.
func (l Login) Live(now time.Time) bool {
	return l.Key != "" && l.Owner.Subject != "" && now.Before(l.ExpiresAt)
}

// ErrNotSignedIn is in the chain of every error of [NotSignedIn], and of no other.
var ErrNotSignedIn = errors.New("no live session")

// NotSignedIn is the answer to every call without a live session: none given, unknown, expired, ended.
func NotSignedIn(cause error) error {
	err := ErrNotSignedIn
	if cause != nil {
		err = fmt.Errorf("%w: %w", ErrNotSignedIn, cause)
	}
	return fault.New(fault.Unauthenticated, "Nobody is signed in here. Please open Steward in the browser, sign in, and ask there.", err)
}
