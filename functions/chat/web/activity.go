package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/audit"
)

const (
	maxActivity = 50  // acts shown at most
	maxEntries  = 120 // entries read for them: a change has up to three
)

// item is one act of a person as their activity shows it: all entries of an approval, or of a decision, together.
type item struct {
	At          time.Time `json:"at"` // of its latest entry
	Sentence    string    `json:"sentence"`
	Steps       []moment  `json:"steps,omitempty"` // of a change, in order; the page tells the times in the zone of whoever reads
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

// moment is something that happened on the way, and when.
type moment struct {
	What string    `json:"what"`
	At   time.Time `json:"at"`
}

func (a *App) activity(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	var entries []audit.Entry
	if err == nil {
		entries, err = a.Activity.BySubject(r.Context(), l.Owner.Subject, maxEntries)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	acts := actsOf(entries)
	items := make([]item, min(len(acts), maxActivity))
	for i := range items {
		items[i] = acts[i].item()
	}
	writeJSON(w, http.StatusOK, items)
}

// act is the entries of one act, oldest first.
type act []audit.Entry

// actsOf groups entries, which come newest first, by what they belong to. The act with the newest entry is the first.
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
		At: last.At, Sentence: a.sentence(), Operation: last.Operation, Title: sentence(last.Operation),
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
		default: // the sentence says it
		}
	}
	return it
}

// sentence turns an id such as "reset_password" into "Reset password".
func sentence(id string) string {
	words := strings.ReplaceAll(strings.ReplaceAll(id, "_", " "), "okta", "Okta")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
