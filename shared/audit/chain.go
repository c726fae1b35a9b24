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

// Chain links an entry to the one before it: a keyed hash over the entry and the previous hash. Without the key nobody can change
// or insert an entry, and an entry that a later one names cannot be removed without being noticed.
//
// Each process starts at the newest entry of the subject that it finds, then continues from its own last entry, so writers need
// not wait for each other or read before each write. The entries of a subject therefore form a tree. An entry that no later one
// names, such as the last of each process, can be removed unnoticed. An outcome entry names its decision entry, too.
type Chain struct {
	Previous    string // id of the entry before, "" for the first one of the subject
	PreviousMAC []byte // its keyed hash, so that an entry can be verified when the one before is not at hand
	MAC         []byte
}

// Marker makes keyed hashes.
type Marker interface {
	Mark(names ...string) ([]byte, error)
}

// Verifier verifies keyed hashes that a [Marker] made with the same key.
type Verifier interface {
	Verify(mark []byte, names ...string) bool
}

// Link returns the link of e to the previous entry, whose id and keyed hash are given; both are empty for the first entry of a
// subject.
func Link(key Marker, e Entry, previous string, previousMAC []byte) (Chain, error) {
	mac, err := key.Mark(e.hashed(previous, previousMAC)...)
	if err != nil {
		return Chain{}, fmt.Errorf("chain audit entry: %w", err)
	}
	return Chain{Previous: previous, PreviousMAC: previousMAC, MAC: mac}, nil
}

// hashed returns the values that the keyed hash of e covers.
func (e Entry) hashed(previous string, previousMAC []byte) []string {
	if previous == "" {
		previous = "first"
	}
	return []string{"audit entry v1", e.digest(), previous, "after " + hex.EncodeToString(previousMAC)}
}

// digest returns the digest of all fields.
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
	Chain Chain // its MAC is empty for an entry of the version before chains
}

// Break is the error for an entry whose chain is broken.
type Break struct {
	Subject session.Subject
	EntryID string
	Why     string
}

// Error is for the operator.
func (b *Break) Error() string { return fmt.Sprintf("entry %s of %s: %s", b.EntryID, b.Subject, b.Why) }

// Report counts what [Verify] has checked.
type Report struct {
	Subjects, Entries int
	Unchained         int // entries of the version before chains; all are older than the first chained one of their subject
	Begins            int // subjects whose oldest entry names one that is missing, as in an export of some days
}

// Verify checks the chains of the entries, which may be in any order. The error is the first [*Break] by subject and time.
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
	truncated := false
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
		if !key.Verify(c.Chain.MAC, c.Entry.hashed(c.Chain.Previous, c.Chain.PreviousMAC)...) {
			return broken("it was altered")
		}
		// The last entry of the version before chains has no keyed hash, so only its id is checked.
		previous, found := byID[c.Chain.Previous]
		switch {
		case c.Chain.Previous == "":
		case found && !bytes.Equal(previous.Chain.MAC, c.Chain.PreviousMAC):
			return broken("the entry before it, " + c.Chain.Previous + ", is another one now")
		case found:
		case c.Chain.Previous < oldest: // removed from the beginning, or never exported
			truncated = true
		default:
			return broken("the entry before it, " + c.Chain.Previous + ", is gone")
		}
		if id := c.Entry.DecisionID; id != "" && id >= oldest {
			if _, found := byID[id]; !found {
				return broken("its decision, " + id + ", is gone")
			}
		}
	}
	if truncated {
		r.Begins++
	}
	return nil
}
