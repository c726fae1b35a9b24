package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/session"
)

const (
	maxActivity = 50  // acts shown at most
	maxEntries  = 120 // entries read: a change has up to three
)

// item is one line of the activity: all audit entries of an approval, or of a decision.
type item struct {
	At          time.Time `json:"at"` // of its latest entry
	Sentence    string    `json:"sentence"`
	Steps       []moment  `json:"steps,omitempty"` // of a change, in order; the page shows the times in the reader's time zone
	Operation   string    `json:"operation"`
	Title       string    `json:"title"`
	Target      string    `json:"target"`
	Member      string    `json:"member,omitempty"`
	Decision    string    `json:"decision"`
	Outcome     string    `json:"outcome"`
	Approval    string    `json:"approval,omitempty"`
	OktaRequest string    `json:"okta_request,omitempty"`
	Reference   string    `json:"reference,omitempty"`
	IDs         []string  `json:"ids"` // of its entries, oldest first
}

// moment is one step of a change.
type moment struct {
	What string    `json:"what"`
	At   time.Time `json:"at"`
}

func (a *App) activity(w http.ResponseWriter, r *http.Request, l session.Login) error {
	entries, err := a.Activity.BySubject(r.Context(), l.Owner.Subject, maxEntries)
	if err != nil {
		return err
	}
	acts := actsOf(entries)
	items := make([]item, min(len(acts), maxActivity))
	for i := range items {
		items[i] = acts[i].item()
	}
	writeJSON(w, http.StatusOK, items)
	return nil
}

// act is the audit entries of one item, oldest first.
type act []audit.Entry

// actsOf groups entries by approval, or else by decision. Both entries and acts are newest first.
func actsOf(entries []audit.Entry) []act {
	index := map[string]int{}
	var acts []act
	for _, e := range entries {
		key := cmp.Or(e.ApprovalID, e.DecisionID, e.ID)
		i, ok := index[key]
		if !ok {
			i = len(acts)
			index[key] = i
			acts = append(acts, nil)
		}
		acts[i] = append(acts[i], e)
	}
	for _, a := range acts {
		slices.Reverse(a)
	}
	return acts
}

func (a act) last() audit.Entry { return a[len(a)-1] }

func (a act) item() item {
	last := a.last()
	it := item{
		At: last.At, Sentence: a.sentence(), Operation: last.Operation, Title: operationName(last.Operation),
		Target: shownName(cmp.Or(last.Object.Label, last.Object.ID)), Member: shownName(cmp.Or(last.Member.Label, last.Member.ID)),
		Decision: string(last.Permission), Outcome: string(last.Result), Approval: last.ApprovalID,
	}
	for _, e := range a {
		it.IDs = append(it.IDs, e.ID)
		it.OktaRequest, it.Reference = cmp.Or(e.OktaRequestID, it.OktaRequest), cmp.Or(e.Reference, it.Reference)
		switch e.Result {
		case audit.Approved:
			it.Steps = append(it.Steps, moment{"approved on your phone", e.At})
		case audit.Done:
			it.Steps = append(it.Steps, moment{"done", e.At})
		default: // the sentence says the rest
		}
	}
	return it
}

// operationName turns an id such as "reset_password" into "Reset password".
func operationName(id string) string {
	words := strings.ReplaceAll(strings.ReplaceAll(id, "_", " "), "okta", "Okta")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
