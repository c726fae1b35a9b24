package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// everyOperation is one call of each elevated operation, and of an app's both forms.
func everyOperation() (calls [][]string) {
	seen := map[string]bool{}
	for _, c := range accepted {
		key := c.function + c.args[1] + fmt.Sprint(slices.Contains(c.args, "group"))
		if !seen[key] && !slices.Contains(c.args, "me") {
			seen[key] = true
			call := append([]string{c.function}, c.args...)
			if c.function != "change_app_assignment" {
				call = append(call, "reason", "as agreed with Carol")
			}
			calls = append(calls, call)
		}
	}
	return calls
}

// said is the act of a call as far as it is known before anything was looked up.
func said(w *world, who string, call []string) audit.Entry {
	e := audit.Entry{Kind: audit.Decision, Permission: audit.Unchecked, Args: map[string]string{}}
	given := map[string]string{}
	for i := 1; i+1 < len(call); i += 2 {
		given[call[i]] = call[i+1]
	}
	f, _ := catalogue.Lookup(call[0])
	op, _ := f.Operation(given["action"])
	e.Operation = op.ID
	named := func(typ catalogue.Target, key string) audit.Ref {
		if given[key] == "" {
			return audit.Ref{}
		}
		return audit.Ref{Type: string(typ), Label: given[key]}
	}
	user, group := named(catalogue.TargetUser, "user"), named(catalogue.TargetGroup, "group")
	switch call[0] {
	case "manage_user":
		if e.Object = user; given["user"] == "" {
			e.Object = audit.Ref{Type: "okta_user", Label: who + "@example.com"}
		}
	case "change_group_membership":
		e.Object, e.Member = group, user
	case "manage_group":
		e.Object = group
	case "change_app_assignment":
		e.Object, e.Member = named(catalogue.TargetApp, "app"), user
		if given["group"] != "" {
			e.Member = group
		}
	}
	for key, value := range given {
		switch key {
		case "action", "user", "group", "app":
		case "reason":
			e.Reason = value
		default:
			e.Args[key] = value
		}
	}
	return e
}

// asked is the decision entry of an approval.
func asked(a approval.Approval) audit.Entry {
	return audit.Entry{
		Kind: audit.Decision, Permission: audit.Allowed, Operation: a.Operation, Object: a.Target.Recorded(), Member: a.Member.Recorded(), Args: maps.Clone(a.Args), ApprovalID: a.ID,
		Reason: a.Reason,
	}
}

func ended(a approval.Approval, result audit.Result) audit.Entry {
	e := asked(a)
	e.Kind, e.Result, e.DecisionID = audit.Outcome, result, a.DecisionID()
	return e
}

// Every operation, in everything that can become of asking for it, leaves whole entries: who, what, whom, with which arguments, what was
// decided and what came of it; nothing that was not asked, and nothing that has not happened.
func TestEveryEntryOfAskingForAChange(t *testing.T) {
	for _, call := range everyOperation() {
		ask := func(w *world, who string) (pipelinetest.Reply, *pipelinetest.World) {
			return w.ask(w.SignIn(who), call[0], call[1:]...), w.World
		}
		cases := map[string]func(t *testing.T, w *world){
			"asked": func(t *testing.T, w *world) {
				ask(w, "frank")
				a := w.Approvals("frank")[0]
				pipelinetest.WantTrail(t, w.Trail("frank"), asked(a))
			},
			"denied before Okta is touched": func(t *testing.T, w *world) {
				ask(w, "dave")
				want := said(w, "dave", call)
				want.Permission, want.Result = audit.Denied, "denied"
				pipelinetest.WantTrail(t, w.Trail("dave"), want)
			},
			"denied on the object": func(t *testing.T, w *world) {
				for _, area := range []string{"groups", "users", "apps"} {
					w.Grant("erin", "read_okta", "okta:"+area)
				}
				ask(w, "frank") // to learn what it is about
				want := asked(w.Approvals("frank")[0])
				r, _ := ask(w, "erin")
				if r.Kind != "denied" {
					t.Fatalf("got %q", r.Text)
				}
				switch {
				case want.Operation == "create_group": // there is no object yet: the question is about the area
					want = said(w, "erin", call)
				case want.Object.Label == "frank@example.com": // the question is about oneself
					want.Object = audit.Ref{Type: "okta_user", ID: oktatest.Erin, Label: "erin@example.com"}
				}
				want.Permission, want.Result, want.ApprovalID = audit.Denied, "denied", ""
				pipelinetest.WantTrail(t, w.Trail("erin"), want)
			},
			"look-up fails": func(t *testing.T, w *world) {
				id := w.SignIn("frank")
				w.ask(id, "check_approval")
				w.ToOkta.Fail(pipelinetest.Fault{Match: "/api/v1/", Status: 500})
				r := w.ask(id, call[0], call[1:]...)
				if r.Kind != "upstream" {
					t.Fatalf("got %q", r.Text)
				}
				want := said(w, "frank", call)
				want.Result = "upstream"
				if call[0] == "manage_group" && slices.Contains(call, "create") { // allowed on the area before the name was looked up
					want.Permission = audit.Allowed
				}
				pipelinetest.WantTrail(t, w.Trail("frank"), want)
			},
			"FGA is down": func(t *testing.T, w *world) {
				w.FGA.Fail(faults.Fault{Status: 500})
				if r, _ := ask(w, "frank"); r.Kind != "upstream" {
					t.Fatalf("got %q", r.Text)
				}
				want := said(w, "frank", call)
				want.Result = "upstream"
				pipelinetest.WantTrail(t, w.Trail("frank"), want)
			},
			"the phone cannot be asked": func(t *testing.T, w *world) {
				w.ToAuth0.Fail(pipelinetest.Fault{Match: "/bc-authorize", Status: 500})
				ask(w, "frank")
				a := w.Approvals("frank")[0]
				if a.Status != approval.Failed {
					t.Errorf("it is %s", a.Status)
				}
				pipelinetest.WantTrail(t, w.Trail("frank"), asked(a), ended(a, audit.Failed))
			},
			"cancelled": func(t *testing.T, w *world) {
				id := w.SignIn("frank")
				w.ask(id, call[0], call[1:]...)
				a := w.Approvals("frank")[0]
				w.ask(id, "check_approval", "action", "cancel", "approval", a.Code)
				pipelinetest.WantTrail(t, w.Trail("frank"), asked(a), ended(a, audit.Cancelled))
			},
		}
		for name, run := range cases {
			t.Run(strings.Join(call, " ")+", "+name, func(t *testing.T) { run(t, start(t, func(o *auth0test.Options) { o.PushLimit = -1 })) })
		}
	}
}

// Each answer of AWS is lost once, so that the SDK sends the call again: what was written is there once, and the person is told what
// happened.
func TestEveryEntryWhenAnswersAreLost(t *testing.T) {
	for n, last := 1, false; !last; n++ {
		w := start(t)
		frank := w.SignIn("frank")
		w.ToAWS.Forget()
		w.ToAWS.Fail(pipelinetest.Fault{Nth: n, Reset: true, After: true})
		r := w.ask(frank, "manage_user", "action", "suspend", "user", "dave")
		if last = len(w.ToAWS.Calls()) < n; last {
			if n < 8 {
				t.Errorf("only %d calls of AWS", n-1)
			}
			break
		}
		lost := w.ToAWS.Calls()[n-1]
		w.ToAWS.Fail()
		if lost == "lambda Invoke" { // which is not sent again
			wants(t, r, "upstream", "could not check")
			continue
		}
		if r.Kind != "" || !strings.Contains(r.Text, "code ") || len(w.Pushes("frank")) != 1 {
			t.Errorf("answer %d (%s) lost: %q, %d pushes", n, lost, r.Text, len(w.Pushes("frank")))
			continue
		}
		pipelinetest.WantTrail(t, w.Trail("frank"), asked(w.Approvals("frank")[0]))
	}
}

func TestACancelWhoseAnswersAreLost(t *testing.T) {
	for n, last := 1, false; !last; n++ {
		w := start(t)
		frank := w.SignIn("frank")
		w.ask(frank, "manage_user", "action", "suspend", "user", "dave")
		w.ToAWS.Forget()
		w.ToAWS.Fail(pipelinetest.Fault{Nth: n, Reset: true, After: true})
		r := w.ask(frank, "check_approval", "action", "cancel")
		if last = len(w.ToAWS.Calls()) < n; last && n < 5 {
			t.Errorf("only %d calls of AWS", n-1)
		}
		w.ToAWS.Fail()
		wants(t, r, "", "Cancelled")
		a := w.Approvals("frank")[0]
		pipelinetest.WantTrail(t, w.Trail("frank"), asked(a), ended(a, audit.Cancelled))
	}
}
