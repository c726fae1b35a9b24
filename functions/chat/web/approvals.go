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
	maxApprovals = 30 // looked at and shown at most
	maxFacts     = 8  // told at most
	manyTold     = 1024
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

// mine reads the login and its owner's approvals.
func (a *App) mine(r *http.Request) (session.Login, []approval.Approval, error) {
	l, err := a.who(r)
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	if err != nil {
		return l, nil, err
	}
	all, err := a.Approvals.ByOwner(r.Context(), l.Owner.Subject, maxApprovals)
	return l, all, err
}

func (a *App) approvals(w http.ResponseWriter, r *http.Request) {
	l, all, err := a.mine(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	cards := make([]approvalCard, len(all))
	for i, ap := range all {
		cards[i] = card(ap, l.Owner)
	}
	writeJSON(w, http.StatusOK, cards)
}

// cancel takes back one of the person's own approvals; any other id names nothing.
func (a *App) cancel(w http.ResponseWriter, r *http.Request) {
	l, all, err := a.mine(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	i := slices.IndexFunc(all, func(ap approval.Approval) bool { return ap.ID == r.PathValue("id") })
	if i < 0 {
		a.fail(w, r, fault.New(fault.NotFound, "There is no such approval.", nil))
		return
	}
	ap, err := a.Approvals.Cancel(r.Context(), all[i], false)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, card(ap, l.Owner))
}

// seen knows which approvals a turn has shown.
type seen struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newSeen(before []approval.Approval) *seen {
	s := &seen{ids: map[string]bool{}}
	for _, ap := range before {
		s.ids[ap.ID] = true
	}
	return s
}

// fresh returns the ones not shown yet, oldest first, and counts them as shown.
func (s *seen) fresh(all []approval.Approval) (fresh []approval.Approval) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ap := range slices.Backward(all) {
		if !s.ids[ap.ID] {
			s.ids[ap.ID] = true
			fresh = append(fresh, ap)
		}
	}
	return fresh
}

// memory remembers what each conversation has been told of approvals. It lives as long as the process; a new process
// tells the outcomes of the conversation once more, which is true still and costs the agent a line.
type memory struct {
	mu   sync.Mutex
	told map[session.ID]map[string]approval.Status // by approval id
}

func newMemory() *memory { return &memory{told: map[session.ID]map[string]approval.Status{}} }

func (m *memory) tell(id session.ID, all ...approval.Approval) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.told) >= manyTold && m.told[id] == nil {
		clear(m.told)
	}
	if m.told[id] == nil {
		m.told[id] = map[string]approval.Status{}
	}
	for _, ap := range all {
		m.told[id][ap.ID] = ap.Status
	}
}

// news puts into words what changed since the conversation was last told, oldest first; told is called once the agent
// has them. A pending one is no news: the agent asked for it itself.
func (m *memory) news(id session.ID, all []approval.Approval) (facts []string, told func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newer []approval.Approval
	for _, ap := range all {
		if ap.SessionID == id && ap.Status != approval.Pending && m.told[id][ap.ID] != ap.Status && len(newer) < maxFacts {
			newer = append(newer, ap)
		}
	}
	slices.Reverse(newer)
	for _, ap := range newer {
		fact := fmt.Sprintf("approval %s (%s) is %s", ap.Code, ap.Brief(), ap.Status)
		if ap.Result != "" {
			fact += ": " + ap.Result
		}
		facts = append(facts, fact)
	}
	return facts, func() { m.tell(id, newer...) }
}
