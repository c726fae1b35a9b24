package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
)

func at(minutes int) time.Time { return when.Add(time.Duration(minutes) * time.Minute) }

// TestActivityHasOneSentenceAnAct: the entries of one approval, or of one read, are one item.
func TestActivityHasOneSentenceAnAct(t *testing.T) {
	erin, engineering := audit.Ref{Type: "okta_user", ID: "00u5", Label: "erin@example.com"}, audit.Ref{Type: "okta_group", ID: "00g1", Label: "Engineering"}
	add := func(id string, minutes int, kind audit.Kind, result audit.Result, okta string) audit.Entry {
		return audit.Entry{
			ID: id, At: at(minutes), Kind: kind, Operation: "add_to_group", Object: engineering, Member: erin, Permission: audit.Allowed, Result: result,
			ApprovalID: "ap1", OktaRequestID: okta,
		}
	}
	a, _ := app(t, func(c *Config) {
		c.Activity = trail{ // newest first
			add("5", 4, audit.Outcome, audit.Done, "req1"),
			{ID: "4", At: at(3), Kind: audit.Outcome, Operation: "find_users", Permission: audit.Allowed, Result: audit.Result(fault.Upstream), DecisionID: "3", Reference: "ABCDEFGHIJ"},
			{ID: "3", At: at(3), Kind: audit.Decision, Operation: "find_users", Permission: audit.Allowed, Args: map[string]string{"query": "er"}},
			add("2", 2, audit.Decision, audit.Approved, ""),
			add("1", 1, audit.Decision, audit.None, ""),
		}
	})
	var got []item
	if err := json.Unmarshal(serve(a, request("GET", "/api/activity", "")).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []item{
		{
			At: at(4), Sentence: `You added erin@example.com to the group "Engineering".`, Steps: []moment{{"approved on your phone", at(2)}, {"done", at(4)}},
			Operation: "add_to_group", Title: "Add to group", Target: "Engineering", Member: "erin@example.com", Decision: "allowed", Outcome: "done",
			Approval: "ap1", OktaRequest: "req1", IDs: []string{"1", "2", "5"},
		},
		{
			At: at(3), Sentence: "You asked to search for people; a system that I need did not answer.", Operation: "find_users", Title: "Find users",
			Decision: "allowed", Outcome: "upstream", Reference: "ABCDEFGHIJ", IDs: []string{"3", "4"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("activity (-want +got):\n%s", diff)
	}
}

// TestSentencesOfActivity goes through the ends that an act can come to.
func TestSentencesOfActivity(t *testing.T) {
	dave := audit.Ref{Type: "okta_user", ID: "00u4", Label: "dave@example.com"}
	suspend := func(p audit.Permission, r audit.Result, approval string) audit.Entry {
		return audit.Entry{Operation: "suspend", Object: dave, Permission: p, Result: r, ApprovalID: approval}
	}
	const asked = "You asked to suspend the account of dave@example.com"
	for want, e := range map[string]audit.Entry{
		asked + "; you were not allowed to.":                                          suspend(audit.Denied, "denied", ""),
		asked + "; I could not check whether you may.":                                suspend(audit.Unchecked, "upstream", ""),
		asked + "; nothing by that name was found.":                                   suspend(audit.Unchecked, "not_found", ""),
		asked + "; it was not possible.":                                              suspend(audit.Allowed, "conflict", ""),
		asked + "; Okta did not allow it.":                                            suspend(audit.Allowed, "denied", ""),
		asked + ". It waits for your phone.":                                          suspend(audit.Allowed, audit.None, "a"),
		asked + ". I am doing it.":                                                    suspend(audit.Allowed, audit.Approved, "a"),
		"You suspended the account of dave@example.com.":                              suspend(audit.Allowed, audit.Done, "a"),
		asked + "; I did not do it.":                                                  suspend(audit.Allowed, audit.Failed, "a"),
		asked + "; you were not allowed to any more.":                                 suspend(audit.Denied, audit.Failed, "a"),
		asked + "; I do not know whether it took effect.":                             suspend(audit.Allowed, audit.Unknown, "a"),
		asked + "; you denied it on your phone.":                                      suspend(audit.Allowed, audit.Refused, "a"),
		asked + "; nobody answered in time.":                                          suspend(audit.Allowed, audit.Expired, "a"),
		asked + "; you cancelled it before I began.":                                  suspend(audit.Allowed, audit.Cancelled, "a"),
		asked + "; you signed out before I began.":                                    suspend(audit.Allowed, audit.SignedOut, "a"),
		"You looked up the groups of dave@example.com.":                               {Operation: "list_user_groups", Object: dave, Permission: audit.Allowed},
		"You looked up the groups of a person.":                                       {Operation: "list_user_groups", Permission: audit.Allowed},
		`You asked to suspend the account of the person "dave"; it was not possible.`: {Operation: "suspend", Object: audit.Ref{Type: "okta_user", Label: "dave"}, Permission: audit.Unchecked, Result: "conflict"},
		`You created the group "Ops".`:                                                {Operation: "create_group", Args: map[string]string{"name": "Ops"}, Permission: audit.Allowed, Result: audit.Done, ApprovalID: "a"},
		`You asked to create the group "Ops"; you were not allowed to.`:               {Operation: "create_group", Object: audit.Ref{Type: "okta_group", Label: "Ops"}, Permission: audit.Denied, Result: "denied"},
		"You signed in.":  {Operation: audit.SignIn, Permission: audit.Unchecked, Result: audit.OK},
		"You signed out.": {Operation: audit.SignOut, Permission: audit.Unchecked, Result: audit.OK},
		"You connected an Okta account: that of dave@example.com.":                                     {Operation: audit.ConnectOkta, Object: dave, Permission: audit.Unchecked, Result: audit.OK},
		"You connected an Okta account that is not yours: that of dave@example.com. I did not use it.": {Operation: audit.ConnectOkta, Object: dave, Permission: audit.Unchecked, Result: "conflict"},
		"You disconnected an Okta account: that of dave@example.com.":                                  {Operation: audit.DisconnectOkta, Object: dave, Permission: audit.Unchecked, Result: audit.OK},
		"You linked a session of the Bedrock console.":                                                 {Operation: audit.LinkConsole, Permission: audit.Unchecked, Result: audit.OK},
		"You asked to some old thing dave@example.com; I did not do it.":                               {Operation: "some_old_thing", Object: dave, Permission: audit.Allowed, Result: audit.Failed, ApprovalID: "a"},
	} {
		if got := (act{e}).sentence(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestEveryOperationHasItsSentences with every result there is: none is left with a hole in it.
func TestEveryOperationHasItsSentences(t *testing.T) {
	results := []audit.Result{audit.None, audit.OK, audit.Approved, audit.Done}
	for r := range reasons {
		results = append(results, r)
	}
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			for _, result := range results {
				for _, permission := range []audit.Permission{audit.Allowed, audit.Denied, audit.Unchecked} {
					for _, approval := range []string{"", "a"} {
						got := (act{{Operation: op.ID, Result: result, Permission: permission, ApprovalID: approval}}).sentence()
						if !strings.HasPrefix(got, "You ") || !strings.HasSuffix(got, ".") || strings.ContainsAny(got, "{}[]_") || strings.Contains(got, "  ") || strings.Contains(got, " .") {
							t.Errorf("%s, %s, %s: %q", op.ID, permission, result, got)
						}
					}
				}
			}
		}
	}
}
