// Package audit records who asked for what, what was decided and why, and what came of it.
//
// Records are only ever added. They hold ids, names of operations and outcomes; never a token, a prompt or a body.
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"time"
)

// Stage is the step of an operation's life that a record tells of.
type Stage string

// The stages.
const (
	Read     Stage = "read"     // a read was answered or refused
	Request  Stage = "request"  // an elevated change was asked for
	Decision Stage = "decision" // the person approved, denied, cancelled, or nobody answered
	Execute  Stage = "execute"  // the change was carried out, or not
	Login    Stage = "login"    // someone signed in or out, or connected Okta
)

// Record is one entry.
type Record struct {
	ID          string // sorts by time
	At          time.Time
	Subject     string // who: the Auth0 sub
	SessionID   string
	Stage       Stage
	Operation   string // catalogue id, e.g. "reset_password"
	Target      string // e.g. "okta_user:00u…"; ids, not names
	TargetLabel string // what the person called it, for their own activity list
	Decision    string // allowed, denied, unknown; or the approval's status
	Outcome     string // "ok" or a fault kind
	ApprovalID  string
	OktaRequest string // X-Okta-Request-Id, to find the act in Okta's system log
	Reference   string // the reference id a fault was answered with
}

// Recorder adds records. Where the error is not nil the record may be missing, and what it tells of must not go on.
type Recorder interface {
	Add(ctx context.Context, r Record) error
}

// ErrRecorded says that a record of this id is there already.
var ErrRecorded = errors.New("audit: there is a record of this id already")

// NewID makes an id that sorts by time: milliseconds in fixed-width hexadecimal, then random text.
func NewID(now time.Time) string { return sortable(now) + "-" + rand.Text()[:16] }

// IDOf makes an id like [NewID] that is the same for the same moment and the same thing, so that what is recorded twice
// is there once. Thing must hold something unguessable.
func IDOf(at time.Time, thing string) string {
	sum := sha256.Sum256([]byte(thing))
	return sortable(at) + "-" + base32.StdEncoding.EncodeToString(sum[:])[:16]
}

func sortable(now time.Time) string {
	const digits = "0123456789abcdef"
	ms := now.UnixMilli()
	var b [12]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = digits[ms&15]
		ms >>= 4
	}
	return string(b[:])
}
