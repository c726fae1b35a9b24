// Package audit records who asked for what, what was decided, and the outcome.
//
// There are two kinds of entries, linked by id. A [Decision] entry is written before an act, an [Outcome] entry after it:
//
//	a read               decision ─────────────────────────────▶ outcome, only if the read failed
//	a change             decision ──▶ decision: approved ──────▶ outcome: done, failed, unknown
//	                              └──▶ outcome: refused, expired, cancelled, signed_out, failed
//	a refused request    decision: denied or unchecked, with the reason as its outcome
//	a sign-in, a sign-out, an account that was connected        outcome
//
// An entry has everything that is known when it is written, and nothing else. It holds ids, labels, operations and outcomes,
// never a token, a prompt or a body. Only [New] makes entries, and a [Recorder] refuses any other.
//
// The entries of one subject are chained by keyed hashes, see [Chain].
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/steward-iam/steward/shared/session"
)

// Kind is the kind of an entry.
type Kind string

// The kinds.
const (
	Decision Kind = "decision"
	Outcome  Kind = "outcome"
)

// Permission is the answer of the authorization service.
type Permission string

// The permissions.
const (
	Allowed   Permission = "allowed"
	Denied    Permission = "denied"
	Unchecked Permission = "unchecked" // the service was not asked, or could not be asked
)

// Result is the result of an act: one of these, or the kind of the fault of a request that failed, such as "not_found".
type Result string

// The results.
const (
	None      Result = ""           // of a decision entry before the act
	OK        Result = "ok"         // done without an approval: a sign-in, a connected account
	Approved  Result = "approved"   // of a decision entry: the person approved the change on their phone
	Done      Result = "done"       // Okta confirmed the change
	Failed    Result = "failed"     // the change did not take effect
	Unknown   Result = "unknown"    // the change may have taken effect
	Refused   Result = "refused"    // the person denied the change on their phone
	Expired   Result = "expired"    // the person did not answer in time
	Cancelled Result = "cancelled"  // the person cancelled the change
	SignedOut Result = "signed_out" // the person signed out before the change began
)

// The operations on a person's own sign-in, which are not in the catalogue.
const (
	SignIn         = "sign_in"
	SignOut        = "sign_out"
	ConnectOkta    = "connect_okta"
	DisconnectOkta = "disconnect_okta"
	LinkConsole    = "link_console"
)

// Ref is an object of Okta, or an area such as okta:groups.
type Ref struct {
	Type  string // okta, okta_user, okta_group, okta_app; "" for none
	ID    string // Okta's id; "" if it is not known
	Label string // the name that people use
}

// Act is what a person asks for: the part that all entries of it share.
type Act struct {
	Subject   session.Subject // whose trail it belongs to: the Auth0 sub
	Front     session.Front
	Session   session.ID // only its fingerprint is recorded
	Operation string     // catalogue id, such as "reset_password"
	Object    Ref        // of the operation
	Member    Ref        // who is added, removed or assigned
	Args      map[string]string
	Reason    string // the person's own words

	ApprovalID string
	Requester  session.Subject // who asked, unless it is the subject
	Approver   session.Subject // who approved, unless it is the subject
	Step       int             // of a plan, from 1; 0 for none
}

// Details is the part of an entry that is not the same for all entries of its act.
type Details struct {
	Kind       Kind
	Permission Permission
	Result     Result
	// DecisionID is the id of the decision entry that this entry belongs to.
	DecisionID string
	// OktaRequestID is X-Okta-Request-Id, by which Okta's System Log finds the call.
	OktaRequestID string
	// Reference is the reference id of the fault that the person was shown.
	Reference string
	// ID is the id of the entry, from [NewID] or [IDOf]. An entry that is written twice with one id is stored once.
	ID string
}

// Entry is one line of the audit trail.
type Entry struct {
	ID   string // sorts by time
	At   time.Time
	Kind Kind

	Subject   session.Subject
	Front     session.Front
	Session   string // see [session.ID.Fingerprint]
	Operation string
	Object    Ref
	Member    Ref
	Args      map[string]string
	Reason    string

	Permission Permission
	Result     Result
	DecisionID string

	ApprovalID    string
	Requester     session.Subject
	Approver      session.Subject
	Step          int
	OktaRequestID string
	Reference     string

	made bool // by New
}

// New makes an entry. If the subject, the operation, the result or another required field is missing, the error names it.
func New(at time.Time, act Act, details Details) (Entry, error) {
	e := Entry{
		ID: details.ID, At: at, Kind: details.Kind,
		Subject: act.Subject, Front: act.Front, Session: act.Session.Fingerprint(), Operation: act.Operation,
		Object: act.Object, Member: act.Member, Args: maps.Clone(act.Args), Reason: act.Reason,
		Permission: details.Permission, Result: details.Result, DecisionID: details.DecisionID,
		ApprovalID: act.ApprovalID, Requester: act.Requester, Approver: act.Approver, Step: act.Step,
		OktaRequestID: details.OktaRequestID, Reference: details.Reference,
		made: true,
	}
	if e.Front == "" {
		e.Front = session.FrontChat
	}
	missing := func(what string) (Entry, error) {
		return Entry{}, fmt.Errorf("audit entry of %q without %s", e.Operation, what)
	}
	switch {
	case e.ID == "":
		return missing("id")
	case e.At.IsZero():
		return missing("time")
	case e.Subject == "":
		return missing("subject")
	case e.Operation == "":
		return missing("operation")
	case e.Kind != Decision && e.Kind != Outcome:
		return missing("kind")
	case e.Permission != Allowed && e.Permission != Denied && e.Permission != Unchecked:
		return missing("permission")
	case e.Kind == Outcome && e.Result == None:
		return missing("result")
	case e.Kind == Decision && e.Permission != Allowed && e.Result == None:
		return missing("result of a refusal")
	case nameless(e.Object):
		return missing("name of its object")
	case nameless(e.Member):
		return missing("name of its member")
	}
	return e, nil
}

func nameless(r Ref) bool { return r.Type != "" && r.ID == "" && r.Label == "" }

// Same reports whether all fields of two entries are equal.
func (e Entry) Same(other Entry) bool { return e.digest() == other.digest() }

// Made reports whether [New] made e.
func (e Entry) Made() bool { return e.made }

// Recorder stores entries that [New] made. After an error the entry may be missing, and the caller must not go on with the act.
type Recorder interface {
	Add(ctx context.Context, e Entry) error
}

// ErrNotMade is the error for an entry that [New] did not make.
var ErrNotMade = errors.New("audit: the entry was not made by New")

// NewID returns an id that sorts by time: milliseconds in fixed-width hexadecimal, then random text.
func NewID(now time.Time) string { return sortable(now) + "-" + rand.Text()[:16] }

// NewIDAfter returns an id like [NewID] that sorts after other, even within the same millisecond.
func NewIDAfter(now time.Time, other string) string {
	id := NewID(now)
	for id <= other {
		now = now.Add(time.Millisecond)
		id = NewID(now)
	}
	return id
}

// IDOf returns an id like [NewID] that is always the same for the same time and thing, so that a repeated record is stored once.
// thing must contain something unguessable.
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
