package web

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

const (
	maxApprovals     = 30 // read and shown
	maxFacts         = 8  // outcomes that the agent is given with one message
	maxConversations = 1024
)

// approvalCard is an approval as the page shows it.
type approvalCard struct {
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Summary   string    `json:"summary"`
	Target    string    `json:"target"`
	Code      string    `json:"code"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Result    string    `json:"result"`
	Requester string    `json:"requester"` // who asked
	Approver  string    `json:"approver"`  // whose phone decides
}

func card(ap approval.Approval, owner session.Person) approvalCard {
	return approvalCard{
		ID: ap.ID, Operation: ap.Operation, Summary: ap.Summary, Target: ap.Target.Label, Code: ap.Code,
		Status: string(ap.Status), CreatedAt: ap.CreatedAt, ExpiresAt: ap.ExpiresAt, Result: ap.Result,
		Requester: accountOf(owner), Approver: accountOf(owner),
	}
}

func (a *App) approvals(w http.ResponseWriter, r *http.Request, l session.Login) error {
	all, err := a.Approvals.ByOwner(r.Context(), l.Owner.Subject, maxApprovals)
	if err != nil {
		return err
	}
	cards := make([]approvalCard, len(all))
	for i, ap := range all {
		cards[i] = card(ap, l.Owner)
	}
	writeJSON(w, http.StatusOK, cards)
	return nil
}

// cancel cancels one of the person's own approvals. The id of anybody else's is answered like one that does not exist.
func (a *App) cancel(w http.ResponseWriter, r *http.Request, l session.Login) error {
	all, err := a.Approvals.ByOwner(r.Context(), l.Owner.Subject, maxApprovals)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(ap approval.Approval) bool { return ap.ID == r.PathValue("id") })
	if i < 0 {
		return fault.New(fault.NotFound, "There is no such approval.", nil)
	}
	ap, err := approval.Cancel(r.Context(), a.Approvals, a.Audit, all[i], approval.ByHand, a.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, card(ap, l.Owner))
	return nil
}

// shownApprovals holds the ids of the approvals that the page has, during one turn.
type shownApprovals struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newShownApprovals(before []approval.Approval) *shownApprovals {
	s := &shownApprovals{ids: map[string]bool{}}
	for _, ap := range before {
		s.ids[ap.ID] = true
	}
	return s
}

// add marks all as shown and returns those that were not shown before, oldest first. all is newest first.
func (s *shownApprovals) add(all []approval.Approval) (added []approval.Approval) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ap := range slices.Backward(all) {
		if !s.ids[ap.ID] {
			s.ids[ap.ID] = true
			added = append(added, ap)
		}
	}
	return added
}

// reports holds the status of each approval that the agent knows, by conversation. It is kept in this process alone: a new
// process reports the outcomes of a conversation once more, which costs the agent a line and is still true.
type reports struct {
	mu       sync.Mutex
	statuses map[session.ID]map[string]approval.Status // by approval id
}

func newReports() *reports { return &reports{statuses: map[session.ID]map[string]approval.Status{}} }

// add notes that the agent knows the statuses of all.
func (m *reports) add(id session.ID, all ...approval.Approval) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.statuses) >= maxConversations && m.statuses[id] == nil {
		clear(m.statuses)
	}
	if m.statuses[id] == nil {
		m.statuses[id] = map[string]approval.Status{}
	}
	for _, ap := range all {
		m.statuses[id][ap.ID] = ap.Status
	}
}

// changes returns a sentence for each approval of the conversation whose status the agent does not know yet, oldest first. The
// caller calls reported when the agent has them. A pending approval is left out, as the agent asked for it itself.
func (m *reports) changes(id session.ID, all []approval.Approval) (facts []string, reported func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var changed []approval.Approval
	for _, ap := range all {
		if ap.SessionID == id && ap.Status != approval.Pending && m.statuses[id][ap.ID] != ap.Status && len(changed) < maxFacts {
			changed = append(changed, ap)
		}
	}
	slices.Reverse(changed)
	for _, ap := range changed {
		fact := fmt.Sprintf("approval %s (%s) is %s", ap.Code, ap.Brief(), ap.Status)
		if ap.Result != "" {
			fact += ": " + ap.Result
		}
		facts = append(facts, fact)
	}
	return facts, func() { m.add(id, changed...) }
}
