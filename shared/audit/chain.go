package audit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// Chain is an entry's place in the chain of its subject: a keyed hash over the entry and over the link before it. Whoever has
// no key can neither alter an entry nor put one in, and an entry that another one follows cannot be taken out unseen.
//
// Each process that writes for a subject begins at the newest entry that it finds and goes on from its own last one, so that
// writers neither wait for each other nor read before every write. The links of a subject are therefore a tree that grows from
// one root: what no later entry names can be removed unseen, and so can the last entries of each process. An outcome entry
// names its decision entry too.
type Chain struct {
	Previous    string // id of the entry before, "" for the first one of the subject
	PreviousMAC []byte // its keyed hash, so that an entry proves itself where the one before is not there
	MAC         []byte
}

// Marker makes keyed hashes.
type Marker interface {
	Mark(names ...string) ([]byte, error)
}

// Verifier verifies what a [Marker] made under the same key.
type Verifier interface {
	Verify(mark []byte, names ...string) bool
}

// Link chains e to the entry before it, whose id and keyed hash are given; both are empty for the first entry of a subject.
func Link(key Marker, e Entry, previous string, previousMAC []byte) (Chain, error) {
	mac, err := key.Mark(e.linked(previous, previousMAC)...)
	if err != nil {
		return Chain{}, fmt.Errorf("chain audit entry: %w", err)
	}
	return Chain{Previous: previous, PreviousMAC: previousMAC, MAC: mac}, nil
}

// linked is what the keyed hash of e is made over.
func (e Entry) linked(previous string, previousMAC []byte) []string {
	if previous == "" {
		previous = "first"
	}
	return []string{"audit entry v1", e.digest(), previous, "after " + hex.EncodeToString(previousMAC)}
}

// digest is over every field.
func (e Entry) digest() string {
	parts := []string{
		e.ID, strconv.FormatInt(e.At.UnixMilli(), 10), string(e.Kind), string(e.Subject), string(e.Front), e.Session, e.Operation,
		e.Object.Type, e.Object.ID, e.Object.Label, e.Member.Type, e.Member.ID, e.Member.Label, e.Reason,
		string(e.Permission), string(e.Result), e.DecisionID, e.ApprovalID, string(e.Requester), string(e.Approver),
		strconv.Itoa(e.Step), e.OktaRequestID, e.Reference,
	}
	for _, k := range slices.Sorted(maps.Keys(e.Args)) {
		parts = append(parts, k, e.Args[k])
	}
	return seal.Digest(parts...)
}

// Chained is an entry as it is stored.
type Chained struct {
	Entry Entry
	Chain Chain // without MAC for an entry of the version before chains
}

// Break is an entry at which a chain does not hold.
type Break struct {
	Subject session.Subject
	EntryID string
	Why     string
}

// Error is for an operator.
func (b *Break) Error() string { return fmt.Sprintf("entry %s of %s: %s", b.EntryID, b.Subject, b.Why) }

// Report is what a verification found.
type Report struct {
	Subjects, Entries int
	Unchained         int // entries of the version before chains, all of them older than the first chained one of their subject
	Begins            int // subjects whose oldest entry follows one that is not there, as in an export of some days
}

// Verify checks the chains of all entries, in any order. The error is the first broken link, by subject and time; a [*Break].
func Verify(key Verifier, all []Chained) (Report, error) {
	bySubject := map[session.Subject][]Chained{}
	for _, c := range all {
		bySubject[c.Entry.Subject] = append(bySubject[c.Entry.Subject], c)
	}
	report := Report{Subjects: len(bySubject), Entries: len(all)}
	for _, subject := range slices.Sorted(maps.Keys(bySubject)) {
		entries := bySubject[subject]
		slices.SortFunc(entries, func(a, b Chained) int { return strings.Compare(a.Entry.ID, b.Entry.ID) })
		if err := report.verify(key, subject, entries); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (r *Report) verify(key Verifier, subject session.Subject, entries []Chained) error {
	byID := map[string]Chained{}
	for _, c := range entries {
		byID[c.Entry.ID] = c
	}
	var oldest string // id of the first chained entry
	begins := false
	for _, c := range entries {
		broken := func(why string) error { return &Break{Subject: subject, EntryID: c.Entry.ID, Why: why} }
		if len(c.Chain.MAC) == 0 {
			if oldest != "" {
				return broken("it has no keyed hash, although an older entry has one")
			}
			r.Unchained++
			continue
		}
		if oldest == "" {
			oldest = c.Entry.ID
		}
		if !key.Verify(c.Chain.MAC, c.Entry.linked(c.Chain.Previous, c.Chain.PreviousMAC)...) {
			return broken("it was altered")
		}
		// The last entry of the version before chains has no keyed hash: its place is kept, its content is not.
		previous, there := byID[c.Chain.Previous]
		switch {
		case c.Chain.Previous == "":
		case there && !bytes.Equal(previous.Chain.MAC, c.Chain.PreviousMAC):
			return broken("the entry before it, " + c.Chain.Previous + ", is another one now")
		case there:
		case c.Chain.Previous < oldest: // removed from the beginning, or never exported
			begins = true
		default:
			return broken("the entry before it, " + c.Chain.Previous + ", is gone")
		}
		if id := c.Entry.DecisionID; id != "" && id >= oldest {
			if _, there := byID[id]; !there {
				return broken("its decision, " + id + ", is gone")
			}
		}
	}
	if begins {
		r.Begins++
	}
	return nil
}
