package web

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/audit"
)

const maxActivity = 50

// entry is an audit record as its own subject sees it.
type entry struct {
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"`
	Operation   string    `json:"operation"`
	Title       string    `json:"title"`
	Target      string    `json:"target"`
	Member      string    `json:"member,omitempty"`
	Decision    string    `json:"decision"`
	Outcome     string    `json:"outcome"`
	Approval    string    `json:"approval,omitempty"`
	OktaRequest string    `json:"okta_request,omitempty"`
	Reference   string    `json:"reference,omitempty"`
}

func (a *App) activity(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	var records []audit.Entry
	if err == nil {
		records, err = a.Activity.BySubject(r.Context(), l.Owner.Subject, maxActivity)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	entries := make([]entry, len(records))
	for i, rec := range records {
		entries[i] = shown(rec)
	}
	writeJSON(w, http.StatusOK, entries)
}

func shown(rec audit.Entry) entry {
	return entry{
		At: rec.At, Kind: string(rec.Kind), Operation: rec.Operation, Title: sentence(rec.Operation), Target: cmp.Or(rec.Object.Label, rec.Object.ID),
		Member: cmp.Or(rec.Member.Label, rec.Member.ID), Decision: string(rec.Permission), Outcome: string(rec.Result), Approval: rec.ApprovalID,
		OktaRequest: rec.OktaRequestID, Reference: rec.Reference,
	}
}

// sentence turns an id such as "reset_password" into "Reset password".
func sentence(id string) string {
	words := strings.ReplaceAll(strings.ReplaceAll(id, "_", " "), "okta", "Okta")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
