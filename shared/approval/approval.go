// Package approval defines an approval of a change: its digest, its states, and the guarded transitions between them.
//
// An Approval is bound by a digest to who asked, what is to be done, to which ids, with which arguments, and until when.
// Its life is a state machine. A [Transition] checks its guard where it is made and is stored by one conditional write, so that of
// two workers, or of a worker and a person who cancels, exactly one succeeds:
//
//	pending ──approved on the phone──▶ approved ──claimed──▶ executing ──Okta's answer──▶ done
//	   │                                  │                      ├──Okta refused────────▶ failed
//	   ├──refused on the phone──▶ denied  ├──no longer allowed──▶│
//	   ├──nobody answered───────▶ expired │  or signed out       └──crashed, and it      ▶ unknown
//	   ├──push not possible─────▶ failed  ▼                         cannot be told whether
//	   └──by hand, or signed out▶ cancelled                         it took effect
//
// Nothing follows a final state. Nothing is done at Okta but in executing, and only an approved change gets there.
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

// Status is where an Approval stands.
type Status string

// The states.
const (
	Pending   Status = "pending"   // on the phone, or on its way there
	Approved  Status = "approved"  // the person said yes; not yet begun
	Executing Status = "executing" // claimed by a worker
	Done      Status = "done"      // Okta said it took effect
	Failed    Status = "failed"    // it did not take effect
	Unknown   Status = "unknown"   // it may have taken effect; Result says how to find out
	Denied    Status = "denied"    // the person said no
	Expired   Status = "expired"   // nobody answered in time
	Cancelled Status = "cancelled" // taken back before it was approved, or the person signed out
)

// Ref is one Okta object that a change touches. ID is Okta's; Label is what people call it.
type Ref struct {
	Type  string // okta_user, okta_group, okta_app; "" for none
	ID    string // "" for a group that is yet to be created
	Label string
	Self  bool // it is the person who asks; not stored
}

// Recorded is the object as audit entries hold it.
func (r Ref) Recorded() audit.Ref { return audit.Ref{Type: r.Type, ID: r.ID, Label: r.Label} }

// Approval is one elevated change of one person.
type Approval struct {
	ID        string // sorts by time
	SessionID session.ID
	Owner     session.Subject
	Front     session.Front     // through which it was asked for
	Operation string            // catalogue id, such as reset_password
	Target    Ref               // what it is done to
	Member    Ref               // who is added, removed, assigned
	Args      map[string]string // what else decides the effect: new_name, description
	ExpiresAt time.Time
	Digest    string // over all of the above but the labels and the front

	// AskedMAC and ApprovedMAC are keyed hashes over the digest, made when the change was asked for and when it was approved. The
	// key is known to those alone who ask phones, so a row that anybody else wrote or altered is told from theirs.
	AskedMAC    []byte
	ApprovedMAC []byte

	Code      string // shown on the phone and in the chat
	Summary   string // one sentence: what will be done
	Reason    string // why it is asked for, in the person's words; it is recorded, and has no effect
	Status    Status
	CreatedAt time.Time
	ChangedAt time.Time // of the last transition

	AuthReqID []byte        // CIBA's, sealed for (SessionID, Owner, "auth_req_id", ID)
	Interval  time.Duration // between two polls; longer once Auth0 has asked for that (CIBA Core section 11)
	PollAt    time.Time     // not before; however many messages there are, one worker polls in an interval
	Pushes    int           // how many were sent
	// RequestExpiresAt is when the request that was last sent expires at Auth0, where that is known; it may be before ExpiresAt.
	RequestExpiresAt time.Time

	ClaimedUntil time.Time // while executing: the worker's lease

	Result        string           // one sentence about the outcome
	Permission    audit.Permission // where it ended because it was no longer allowed, or that could not be checked; else ""
	SignedOut     bool             // cancelled because the person signed out, and not by hand
	OktaRequestID string
}

// Sum is the digest that binds a, see [seal.Digest].
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

// Intact says whether the digest still fits: nobody changed what was approved.
func (a Approval) Intact() bool { return a.Digest != "" && a.Digest == a.Sum() }

// Deadline is when the time to answer ends: with the approval, or before it with the request at Auth0.
func (a Approval) Deadline() time.Time {
	if !a.RequestExpiresAt.IsZero() && a.RequestExpiresAt.Before(a.ExpiresAt) {
		return a.RequestExpiresAt
	}
	return a.ExpiresAt
}

// Overdue says whether the time to answer has passed.
func (a Approval) Overdue(now time.Time) bool { return !now.Before(a.Deadline()) }

// Shown is the status to tell people: an answer that has not come in time has expired, whether or not it is written down yet.
func (a Approval) Shown(now time.Time) Status {
	if a.Status == Pending && a.Overdue(now) {
		return Expired
	}
	return a.Status
}

// Key names the change itself, whoever's approval and whenever: two requests with one key ask for the same thing.
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

// Message is what travels through the queue: which approval to look at next.
type Message struct {
	SessionID  session.ID `json:"session_id"`
	ApprovalID string     `json:"approval_id"`
	// Lost counts the polls after which Auth0 knew nothing of a request that nobody had refused.
	Lost int `json:"lost,omitempty"`
}

// SealPurpose is what an auth_req_id is sealed for: this very change.
func (a Approval) SealPurpose() []string {
	return []string{string(a.SessionID), string(a.Owner), "auth_req_id", a.ID, a.Digest}
}

// Marker makes and verifies keyed hashes.
type Marker interface {
	Mark(names ...string) ([]byte, error)
	Verify(mark []byte, names ...string) bool
}

// markAsked and markApproved say what a keyed hash proves.
const (
	markAsked    = "approval asked v1"
	markApproved = "approval approved v1"
)

// Ask binds a by its digest and proves that it was asked for.
func (a *Approval) Ask(key Marker) (err error) {
	a.Digest = a.Sum()
	if a.AskedMAC, err = key.Mark(markAsked, a.Digest); err != nil {
		return fmt.Errorf("mark approval: %w", err)
	}
	return nil
}

// Genuine says whether a is what was asked for and, once it is to be carried out, whether it was approved: by the digest over its
// own fields and the keyed hashes over the digest.
func (a Approval) Genuine(key Marker) bool {
	if !a.Intact() || !key.Verify(a.AskedMAC, markAsked, a.Digest) {
		return false
	}
	return a.Status != Approved && a.Status != Executing || key.Verify(a.ApprovedMAC, markApproved, a.Digest)
}

// NewID makes an id that sorts by time.
func NewID(now time.Time) string { return audit.NewID(now) }

// NewCode makes a short code such as "K7QX": not a secret, only a mark by which a person sees that phone and chat speak
// of the same change.
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
