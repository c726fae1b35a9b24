package main

import (
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// Every read, in everything that can become of it, leaves whole entries: a decision, and an outcome only where it failed.
func TestEveryEntryOfARead(t *testing.T) {
	bob := audit.Ref{Type: "okta_user", ID: oktatest.Bob, Label: "bob@example.com"}
	engineering := audit.Ref{Type: "okta_group", ID: oktatest.Engineering, Label: "Engineering"}
	area := func(name string) audit.Ref { return audit.Ref{Type: "okta", ID: name, Label: name} }
	for _, read := range []struct {
		call   []string
		object audit.Ref // once it is known
		said   audit.Ref // before
		args   map[string]string
	}{
		{[]string{"list_user_groups", "user", "bob"}, bob, audit.Ref{Type: "okta_user", Label: "bob"}, nil},
		{[]string{"get_user", "user", "bob", "include", "factors"}, bob, audit.Ref{Type: "okta_user", Label: "bob"}, map[string]string{"include": "factors"}},
		{[]string{"list_group_members", "group", "engineering", "limit", "5"}, engineering, audit.Ref{Type: "okta_group", Label: "engineering"}, map[string]string{"limit": "5"}},
		{[]string{"find_groups", "query", "eng"}, area("groups"), area("groups"), map[string]string{"query": "eng"}},
		{[]string{"find_users", "query", "Tay"}, area("users"), area("users"), map[string]string{"query": "Tay"}},
	} {
		operation := read.call[0]
		decision := audit.Entry{Kind: audit.Decision, Permission: audit.Allowed, Operation: operation, Object: read.object, Args: read.args}
		refused := func(permission audit.Permission, result audit.Result) audit.Entry {
			return audit.Entry{Kind: audit.Decision, Permission: permission, Result: result, Operation: operation, Object: read.said, Args: read.args}
		}
		named := read.object != read.said
		for name, run := range map[string]func(w *world) (who string, want []audit.Entry){
			"answered": func(w *world) (string, []audit.Entry) {
				w.ask(w.SignIn("frank"), read.call[0], read.call[1:]...)
				return "frank", []audit.Entry{decision}
			},
			"denied": func(w *world) (string, []audit.Entry) {
				w.ask(w.SignIn("dave"), read.call[0], read.call[1:]...)
				return "dave", []audit.Entry{refused(audit.Denied, "denied")}
			},
			"FGA is down": func(w *world) (string, []audit.Entry) {
				w.FGA.Fail(faults.Fault{Status: 500})
				w.ask(w.SignIn("frank"), read.call[0], read.call[1:]...)
				return "frank", []audit.Entry{refused(audit.Unchecked, "upstream")}
			},
			"look-up fails": func(w *world) (string, []audit.Entry) {
				frank := w.SignIn("frank")
				w.ask(frank, "list_my_permissions")
				w.ToOkta.Fail(pipelinetest.Fault{Match: "/api/v1/", Status: 503})
				w.ask(frank, read.call[0], read.call[1:]...)
				want := refused(audit.Unchecked, "upstream")
				if !named { // the area was allowed before whose token it is was asked
					want.Permission = audit.Allowed
				}
				return "frank", []audit.Entry{want}
			},
			"the read fails": func(w *world) (string, []audit.Entry) {
				frank := w.SignIn("frank")
				w.ask(frank, "get_user") // whose token it is is known
				w.Forward(2e9)
				before := len(w.Trail("frank"))
				skip := 0
				if named { // the look-up comes before
					skip = 1
				}
				w.ToOkta.Forget()
				w.ToOkta.Fail(failAfter(skip)...)
				w.ask(frank, read.call[0], read.call[1:]...)
				all := w.Trail("frank")[before:]
				failed := decision
				failed.Kind, failed.Result, failed.DecisionID = audit.Outcome, "upstream", all[0].ID
				return "", append(w.Trail("frank")[:before], decision, failed)
			},
		} {
			t.Run(strings.Join(read.call, " ")+", "+name, func(t *testing.T) {
				w := start(t)
				who, want := run(w)
				if who == "" {
					who = "frank"
				}
				pipelinetest.WantTrail(t, w.Trail(who), want...)
			})
		}
	}
}

// failAfter breaks every call of Okta but the first n.
func failAfter(n int) (faults []pipelinetest.Fault) {
	for i := n + 1; i < n+12; i++ {
		faults = append(faults, pipelinetest.Fault{Nth: i, Status: 503})
	}
	return faults
}
