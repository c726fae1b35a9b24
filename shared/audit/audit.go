// Package audit records who asked for what, what was decided, and what came of it.
//
// There are two kinds of entries, linked by id. A [Decision] entry is written before an act, an [Outcome] entry after it:
//
//	a read               decision ─────────────────────────────▶ outcome, only if the read failed
//	a change             decision ──▶ decision: approved ──────▶ outcome: done, failed, unknown
//	                              └──▶ outcome: refused, expired, cancelled, signed_out, failed
//	a refused request    decision: denied or unchecked, with the reason as its outcome
//	a sign-in, a sign-out, an account that was connected        outcome
//
// An entry says only what is known when it is written, and all of it. It holds ids, labels, names of operations and outcomes,
// never a token, a prompt or a body. [New] is the only way to make one, and a [Recorder] takes no other.
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

// Kind says whether an entry was written before an act or after it.
type Kind string

// The kinds.
const (
	Decision Kind = "decision"
	Outcome  Kind = "outcome"
)

// Permission is what the authorization service said about an act.
type Permission string

// The permissions.
const (
	Allowed   Permission = "allowed"
	Denied    Permission = "denied"
	Unchecked Permission = "unchecked" // it was not asked, or could not be asked
)

// Result is what became of an act. Beside these, the result of a request that led to nothing is the kind of its fault, such as
// "not_found".
type Result string

// The results.
const (
	None      Result = ""           // of a decision entry: the act follows
	OK        Result = "ok"         // done, of what needs no approval: a sign-in, an account that was connected
	Approved  Result = "approved"   // of a decision entry: the person approved the change on their phone
	Done      Result = "done"       // Okta confirmed the change
	Failed    Result = "failed"     // the change did not take effect
	Unknown   Result = "unknown"    // the change may have taken effect
	Refused   Result = "refused"    // the person denied the change on their phone
	Expired   Result = "expired"    // nobody answered in time
	Cancelled Result = "cancelled"  // the person took it back
	SignedOut Result = "signed_out" // the person signed out before it was carried out
)

// The operations on a person's own sign-in, which stand in no catalogue.
const (
	SignIn         = "sign_in"
	SignOut        = "sign_out"
	ConnectOkta    = "connect_okta"
	DisconnectOkta = "disconnect_okta"
	LinkConsole    = "link_console"
)

// Ref is one object of Okta, or an area such as okta:groups.
type Ref struct {
	Type  string // okta, okta_user, okta_group, okta_app; "" for none
	ID    string // Okta's id; "" where it is not known (yet)
	Label string // what people call it
}

// Act is what somebody asks for, as far as it is known: the part that all entries of it share.
type Act struct {
	Subject   session.Subject // whose trail it belongs to: the Auth0 sub
	Front     session.Front   // through which front it was asked for
	Session   session.ID      // in which session; only its fingerprint is recorded
	Operation string          // catalogue id, such as "reset_password"
	Object    Ref             // what it is done to
	Member    Ref             // who is added, removed or assigned
	Args      map[string]string
	Reason    string // what the person gave as their reason

	ApprovalID string
	Requester  session.Subject // who asked, where it is not the subject
	Approver   session.Subject // who approved, where it is not the subject
	Step       int             // of a plan, from 1; 0 where there is none
}

// Known is what an entry adds to its act.
type Known struct {
	Kind       Kind
	Permission Permission
	Result     Result
	// DecisionID is the id of the decision entry that a later entry belongs to.
	DecisionID string
	// OktaRequestID finds the act in Okta's System Log: X-Okta-Request-Id.
	OktaRequestID string
	// Reference is the reference id that a person was given with a fault.
	Reference string
	// ID is the id of the entry, from [NewID] or [IDOf]. Written twice under one id, an entry is there once.
	ID string
}

// Entry is one line of the audit trail.
type Entry struct {
	ID   string // sorts by time
	At   time.Time
	Kind Kind

	Subject   session.Subject
	Front     session.Front
	Session   string // fingerprint of the session's id, see [session.ID.Fingerprint]
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

// New makes an entry. It refuses one that leaves open who, what or what came of it; the error names what is missing.
func New(at time.Time, act Act, known Known) (Entry, error) {
	e := Entry{
		ID: known.ID, At: at, Kind: known.Kind,
		Subject: act.Subject, Front: act.Front, Session: act.Session.Fingerprint(), Operation: act.Operation,
		Object: act.Object, Member: act.Member, Args: maps.Clone(act.Args), Reason: act.Reason,
		Permission: known.Permission, Result: known.Result, DecisionID: known.DecisionID,
		ApprovalID: act.ApprovalID, Requester: act.Requester, Approver: act.Approver, Step: act.Step,
		OktaRequestID: known.OktaRequestID, Reference: known.Reference,
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
		return missing("the result of not being allowed")
	case nameless(e.Object):
		return missing("name of its object")
	case nameless(e.Member):
		return missing("name of its member")
	}
	return e, nil
}

func nameless(r Ref) bool { return r.Type != "" && r.ID == "" && r.Label == "" }

// Same says whether two entries tell the same, however each was made.
func (e Entry) Same(other Entry) bool { return e.digest() == other.digest() }

// Made says whether [New] made e.
func (e Entry) Made() bool { return e.made }

// Recorder adds entries that [New] made. Where the error is not nil the entry may be missing, and the act it tells of must not
// go on.
type Recorder interface {
	Add(ctx context.Context, e Entry) error
}

// ErrNotMade is the answer to an entry that [New] did not make.
var ErrNotMade = errors.New("audit: the entry was not made by New")

// NewID makes an id that sorts by time: milliseconds in fixed-width hexadecimal, then random text.
func NewID(now time.Time) string { return sortable(now) + "-" + rand.Text()[:16] }

// NewIDAfter makes an id like [NewID] that sorts after another, also where both are of one millisecond.
func NewIDAfter(now time.Time, other string) string {
	id := NewID(now)
	for id <= other {
		now = now.Add(time.Millisecond)
		id = NewID(now)
	}
	return id
}

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
