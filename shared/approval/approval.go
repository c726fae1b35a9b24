// Package approval defines an approval of a change: its digest, its states, and the guarded transitions between them.
//
// A digest binds an Approval to the person, the operation, the ids, the arguments and the deadline. An Approval is a state
// machine. A [Transition] checks its guard when it is made and is stored by one conditional write, so that of two workers, or of
// a worker and a person who cancels, exactly one succeeds:
//
//	pending ──approved on the phone──▶ approved ──claimed──▶ executing ──Okta's answer──▶ done
//	   │                                  │                      ├──Okta refused────────▶ failed
//	   ├──refused on the phone──▶ denied  ├──no longer allowed──▶│
//	   ├──nobody answered───────▶ expired │  or signed out       └──crashed, and it      ▶ unknown
//	   ├──push not possible─────▶ failed  ▼                         cannot be told whether
//	   └──by hand, or signed out▶ cancelled                         it took effect
//
// A final state has no transition. Okta is called for the change only in the state executing, which only follows approved.
package approval

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// Status is the state of an Approval.
type Status string

// The states.
const (
	Pending   Status = "pending"   // not answered yet
	Approved  Status = "approved"  // approved on the phone; not started yet
	Executing Status = "executing" // claimed by a worker
	Done      Status = "done"      // Okta confirmed that it took effect
	Failed    Status = "failed"    // it did not take effect
	Unknown   Status = "unknown"   // it may have taken effect; Result says how to find out
	Denied    Status = "denied"    // denied on the phone
	Expired   Status = "expired"   // not answered in time
	Cancelled Status = "cancelled" // cancelled before it was approved, or the person signed out
)

// Ref is an Okta object of a change. Label is the name that people use.
type Ref struct {
	Type  string // okta_user, okta_group, okta_app; "" for none
	ID    string // Okta's id; "" for a group that does not exist yet
	Label string
	Self  bool // whether it is the person who asks; not stored
}

// Recorded returns the object for audit entries.
func (r Ref) Recorded() audit.Ref { return audit.Ref{Type: r.Type, ID: r.ID, Label: r.Label} }

// Approval is one elevated change of one person.
type Approval struct {
	ID        string // sorts by time
	SessionID session.ID
	Owner     session.Subject
	Front     session.Front     // where the change was requested
	Operation string            // catalogue id, such as reset_password
	Target    Ref               // of the operation
	Member    Ref               // who is added, removed, assigned
	Args      map[string]string // of the operation: new_name, description
	ExpiresAt time.Time
	Digest    string // of all fields above except labels and front

	// AskedMAC and ApprovedMAC are keyed hashes of the digest, made when the change was requested and when it was approved. Only
	// the functions that ask phones have the key, so a row that was written or changed by anybody else is recognised.
	AskedMAC    []byte
	ApprovedMAC []byte

	Code      string // shown on the phone and in the chat
	Summary   string // one sentence: what will be done
	Reason    string // in the person's own words; recorded only
	Status    Status
	CreatedAt time.Time
	ChangedAt time.Time // of the last transition

	AuthReqID []byte        // CIBA's, sealed for (SessionID, Owner, "auth_req_id", ID)
	Interval  time.Duration // between two polls; longer once Auth0 has asked for that (CIBA Core section 11)
	PollAt    time.Time     // the earliest time of the next poll; one worker polls per interval, however many messages there are
	Pushes    int           // number of pushes sent
	// RequestExpiresAt is when the last request expires at Auth0, zero if that is not known. It may be before ExpiresAt.
	RequestExpiresAt time.Time

	ClaimedUntil time.Time // while executing: the worker's lease

	Result        string           // one sentence about the outcome
	Permission    audit.Permission // set if it ended because it was not allowed any more, or that could not be checked
	SignedOut     bool             // cancelled because the person signed out, and not by hand
	OktaRequestID string
}

// Sum returns the digest of a, see [seal.Digest].
func (a Approval) Sum() string {
	parts := []string{
		"steward approval v1", a.ID, string(a.SessionID), string(a.Owner), a.Operation,
		a.Target.Type, a.Target.ID, a.Member.Type, a.Member.ID,
		a.ExpiresAt.UTC().Format(time.RFC3339),
	}
	for _, k := range slices.Sorted(maps.Keys(a.Args)) {
		parts = append(parts, k, a.Args[k])
	}
	return seal.Digest(parts...)
}

// Intact reports whether the digest is that of the fields.
func (a Approval) Intact() bool { return a.Digest != "" && a.Digest == a.Sum() }

// Deadline returns the end of the time to answer: of the approval, or of the request at Auth0 if that is earlier.
func (a Approval) Deadline() time.Time {
	if !a.RequestExpiresAt.IsZero() && a.RequestExpiresAt.Before(a.ExpiresAt) {
		return a.RequestExpiresAt
	}
	return a.ExpiresAt
}

// Overdue reports whether the time to answer is over.
func (a Approval) Overdue(now time.Time) bool { return !now.Before(a.Deadline()) }

// Shown returns the status for people: a pending approval is shown as expired after its deadline, even if that is not stored yet.
func (a Approval) Shown(now time.Time) Status {
	if a.Status == Pending && a.Overdue(now) {
		return Expired
	}
	return a.Status
}

// Key identifies the change itself: two approvals with the same key are for the same change.
func (a Approval) Key() string {
	same := Approval{Owner: a.Owner, Operation: a.Operation, Target: Ref{Type: a.Target.Type, ID: a.Target.ID}, Member: Ref{Type: a.Member.Type, ID: a.Member.ID}, Args: a.Args}
	if a.Target.ID == "" {
		same.Args = maps.Clone(a.Args)
		if same.Args == nil {
			same.Args = map[string]string{}
		}
		same.Args["name"] = a.Target.Label
	}
	return same.Sum()
}

// Message is a message of the queue: the approval to process next.
type Message struct {
	SessionID  session.ID `json:"session_id"`
	ApprovalID string     `json:"approval_id"`
	// Lost is the number of polls with the outcome ciba.Lost.
	Lost int `json:"lost,omitempty"`
}

// SealPurpose returns the names that the auth_req_id of a is bound to.
func (a Approval) SealPurpose() []string {
	return []string{string(a.SessionID), string(a.Owner), "auth_req_id", a.ID, a.Digest}
}

// Marker makes and verifies keyed hashes.
type Marker interface {
	Mark(names ...string) ([]byte, error)
	Verify(mark []byte, names ...string) bool
}

// markAsked and markApproved are the purposes of the keyed hashes.
const (
	markAsked    = "approval asked v1"
	markApproved = "approval approved v1"
)

// Ask sets the digest of a and the keyed hash that proves the request.
func (a *Approval) Ask(key Marker) (err error) {
	a.Digest = a.Sum()
	if a.AskedMAC, err = key.Mark(markAsked, a.Digest); err != nil {
		return fmt.Errorf("mark approval: %w", err)
	}
	return nil
}

// Genuine reports whether a is as it was requested and, from the state approved on, as it was approved. It verifies the digest
// and the keyed hashes.
func (a Approval) Genuine(key Marker) bool {
	if !a.Intact() || !key.Verify(a.AskedMAC, markAsked, a.Digest) {
		return false
	}
	return a.Status != Approved && a.Status != Executing || key.Verify(a.ApprovedMAC, markApproved, a.Digest)
}

// NewID returns an id that sorts by time.
func NewID(now time.Time) string { return audit.NewID(now) }

// NewCode returns a short code such as "K7QX". It is not a secret: it shows a person that phone and chat are about the same
// change.
func NewCode() string {
	code := make([]byte, 0, 4)
	var b [1]byte
	for len(code) < cap(code) {
		_, _ = rand.Read(b[:]) // never fails
		if n := int(b[0]); n < 256/len(label.Letters)*len(label.Letters) {
			code = append(code, label.Letters[n%len(label.Letters)])
		}
	}
	return string(code)
}
