package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/session"
)

// world is the function in its world.
type world struct {
	*pipelinetest.World
	*pipeline.Pipeline
}

func start(t *testing.T, change ...func(*auth0test.Options)) *world {
	w := &world{World: pipelinetest.Start(t, change...)}
	w.restart()
	return w
}

// restart is a cold start: a process that remembers nothing.
func (w *world) restart() {
	w.T.Helper()
	clients := w.Clients()
	path, err := newPipeline(clients, newApprover(clients, w.Phone(), w.Log, w.Now), w.Log, w.Now)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Pipeline = path
}

func (w *world) ask(id session.ID, function string, args ...string) pipelinetest.Reply {
	w.T.Helper()
	return w.Ask(w.Handle, id, function, args...)
}

func wants(t *testing.T, r pipelinetest.Reply, kind string, texts ...string) {
	t.Helper()
	if r.Kind != kind {
		t.Errorf("kind %q, want %q: %s", r.Kind, kind, r.Text)
	}
	for _, text := range texts {
		if !strings.Contains(r.Text, text) {
			t.Errorf("the answer lacks %q: %s", text, r.Text)
		}
	}
}

func payload(t *testing.T, e actiongroup.Event) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nothingAsked holds that no phone rang and nothing is waiting.
func (w *world) nothingAsked(who string) {
	w.T.Helper()
	if p := w.Pushes(who); len(p) != 0 {
		w.T.Errorf("%s's phone got %q", who, p[0].BindingMessage)
	}
	for _, a := range w.Approvals(who) {
		if a.Status != approval.Failed {
			w.T.Errorf("%s is %s", a.Summary, a.Status)
		}
	}
}

const (
	denied   = "You are not allowed to do this."
	notAsked = "could not check"
)

var sent = regexp.MustCompile(`^Please approve it on your phone, code ([A-Z0-9]{4}): (.+)\. I'll do it as soon as you approve, within 5 minutes\. It is not done yet;`)

// accepted are all calls that can be made, with who may make them, and how phone and chat name the change.
var accepted = []struct {
	function string
	args     []string
	who      string
	summary  string
	message  string // on the phone, before the code
}{
	{"manage_user", []string{"action", "reset_password"}, "alice bob carol frank", "Reset the password of %s@example.com (yourself)", "Reset password of %s at example.com"},
	{"manage_user", []string{"action", "reset_factors"}, "bob frank", "Reset all MFA factors of %s@example.com (yourself)", "Reset all MFA factors of %s at example.com"},
	{"manage_user", []string{"action", "reset_password", "user", "dave"}, "bob frank", "Reset the password of dave@example.com", "Reset password of dave at example.com"},
	{"manage_user", []string{"action", "expire_password", "user", "dave"}, "bob frank", "Expire the password of dave@example.com", "Expire password of dave at example.com"},
	{"manage_user", []string{"action", "unlock", "user", "Lena Lock"}, "bob frank", "Unlock the account of lena.lock@example.com", "Unlock account of lena.lock at example.com"},
	{"manage_user", []string{"action", "clear_sessions", "user", "dave"}, "bob frank", "Sign dave@example.com out of every session", "Sign dave at example.com out of every session"},
	{"manage_user", []string{"action", "reset_factors", "user", "dave"}, "bob frank", "Reset all MFA factors of dave@example.com", "Reset all MFA factors of dave at example.com"},
	// Frank is protected: the helpdesk may not, he himself may.
	{"manage_user", []string{"action", "expire_password", "user", "frank"}, "frank", "Expire the password of %s@example.com (yourself)", "Expire password of %s at example.com"},
	{"manage_user", []string{"action", "suspend", "user", "dave"}, "frank", "Suspend the account of dave@example.com", "Suspend account of dave at example.com"},
	{"manage_user", []string{"action", "unsuspend", "user", "sid.pend@example.com"}, "frank", "Lift the suspension of sid.pend@example.com", "Lift suspension of sid.pend at example.com"},
	{"manage_user", []string{"action", "activate", "user", oktatest.StagedPerson}, "frank", "Activate the account of stella.stage@example.com", "Activate account of stella.stage at example.com"},
	{"manage_user", []string{"action", "reactivate", "user", "rosa.stone18@example.com"}, "frank", "Resend the activation mail of rosa.stone18@example.com", "Resend activation mail of rosa.stone18 at example.com"},
	{"manage_user", []string{"action", "deactivate", "user", "dave"}, "frank", "Deactivate the account of dave@example.com", "Deactivate account of dave at example.com"},
	{"change_group_membership", []string{"action", "add", "user", "dave", "group", "engineering"}, "carol frank", `Add dave@example.com to the group "Engineering"`, "Add dave at example.com to group Engineering"},
	{"change_group_membership", []string{"action", "remove", "user", "alice", "group", "Engineering"}, "carol frank", `Remove alice@example.com from the group "Engineering"`, "Remove alice at example.com from group Engineering"},
	{"change_group_membership", []string{"action", "add", "user", "me", "group", "Finance"}, "frank", `Add %s@example.com (yourself) to the group "Finance"`, "Add %s at example.com to group Finance"},
	{"manage_group", []string{"action", "create", "group", "Design Team"}, "frank", `Create the group "Design Team"`, "Create group Design Team"},
	{"manage_group", []string{"action", "rename", "group", "Contractors", "new_name", "Externals"}, "frank", `Rename the group "Contractors" to "Externals"`, "Rename group Contractors to Externals"},
	{"manage_group", []string{"action", "delete", "group", "Finance"}, "frank", `Delete the group "Finance"`, "Delete group Finance"},
	{"change_app_assignment", []string{"action", "assign", "app", "figma", "user", "dave"}, "frank", `Assign dave@example.com to the app "Figma"`, "Assign dave at example.com to app Figma"},
	{"change_app_assignment", []string{"action", "unassign", "app", "Salesforce", "group", "Support"}, "frank", `Unassign the group "Support" from the app "Salesforce"`, "Unassign group Support from app Salesforce"},
}

func TestWhoMayAskForWhat(t *testing.T) {
	for _, who := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		t.Run(who, func(t *testing.T) {
			w := start(t, func(o *auth0test.Options) { o.PushLimit = -1 })
			id := w.SignIn(who)
			named := func(s string) string { return strings.ReplaceAll(s, "%s", who) }
			for _, c := range accepted {
				t.Run(fmt.Sprint(c.args), func(t *testing.T) {
					w.Forward(time.Minute + time.Second) // so that the phone may ring again
					before := len(w.Pushes(who))
					r := w.ask(id, c.function, c.args...)
					pushes := w.Pushes(who)[before:]
					if !strings.Contains(c.who, who) {
						wants(t, r, "denied", denied)
						if len(pushes) != 0 {
							t.Errorf("it was pushed all the same: %q", pushes[0].BindingMessage)
						}
						return
					}
					match := sent.FindStringSubmatch(r.Text)
					if r.Kind != "" || match == nil || match[2] != named(c.summary) {
						t.Fatalf("kind %q, %q, want %q", r.Kind, r.Text, named(c.summary))
					}
					if len(pushes) != 1 || pushes[0].BindingMessage != named(c.message)+". Code "+match[1] {
						t.Fatalf("pushed %+v, want %q and the code %s of the chat", pushes, named(c.message), match[1])
					}
					a := w.Approvals(who)[0]
					if a.Status != approval.Pending || !a.Intact() || a.Code != match[1] || a.Summary != match[2] || a.Owner != pipelinetest.Subject(who) || len(a.AuthReqID) == 0 || a.Pushes != 1 {
						t.Errorf("stored %+v", a)
					}
					if left := a.ExpiresAt.Sub(w.Now()); left > 5*time.Minute || left < 5*time.Minute-5*time.Second {
						t.Errorf("it expires in %s", left)
					}
				})
			}
			for _, r := range w.Okta.Requests() {
				if r.Method != "GET" {
					t.Errorf("Okta got %s %s before anybody approved", r.Method, r.Path)
				}
			}
			for _, c := range w.FGA.Calls() { // a permission that was just taken away is gone
				if c.Consistency != "HIGHER_CONSISTENCY" {
					t.Errorf("asked with caches: %+v", c)
				}
			}
		})
	}
}

func TestNoPushForWhatCannotBeChanged(t *testing.T) {
	for name, tc := range map[string]struct {
		function string
		args     []string
		kind     string
		says     string
	}{
		"built-in group":         {"manage_group", []string{"action", "delete", "group", "Everyone"}, "conflict", "This group is built into Okta and cannot be changed."},
		"member of a built-in":   {"change_group_membership", []string{"action", "remove", "user", "dave", "group", "Everyone"}, "conflict", "built into Okta"},
		"group of an app":        {"change_group_membership", []string{"action", "add", "user", "dave", "group", "HR Directory"}, "conflict", "comes from an app or a directory"},
		"suspending oneself":     {"manage_user", []string{"action", "suspend"}, "conflict", "lock you out of your own account"},
		"by one's short name":    {"manage_user", []string{"action", "suspend", "user", "Frank"}, "conflict", "lock you out of your own account"},
		"by one's full name":     {"manage_user", []string{"action", "deactivate", "user", "Frank Foster"}, "conflict", "lock you out of your own account"},
		"by one's id":            {"manage_user", []string{"action", "deactivate", "user", oktatest.Frank}, "conflict", "lock you out of your own account"},
		"a name that is taken":   {"manage_group", []string{"action", "create", "group", "finance"}, "conflict", "An Okta group with that name exists already."},
		"rename to nothing":      {"manage_group", []string{"action", "rename", "group", "Finance"}, "invalid", "The parameter new_name is missing."},
		"nobody of that name":    {"manage_user", []string{"action", "unlock", "user", "Nobody Atall"}, "not_found", "There is no Okta user"},
		"two of that name":       {"manage_user", []string{"action", "unlock", "user", "Sam Taylor"}, "conflict", "Which one do you mean?"},
		"no such group":          {"manage_group", []string{"action", "delete", "group", "Nothing"}, "not_found", "There is no Okta group"},
		"no such app":            {"change_app_assignment", []string{"action", "assign", "app", "Nothing", "user", "dave"}, "not_found", "There is no Okta app"},
		"app for both":           {"change_app_assignment", []string{"action", "assign", "app", "Figma", "user", "dave", "group", "Finance"}, "invalid", "one of the two"},
		"app for nobody":         {"change_app_assignment", []string{"action", "assign", "app", "Figma"}, "invalid", "one of the two"},
		"no action":              {"manage_user", []string{"user", "dave"}, "invalid", "The parameter action is missing"},
		"another action":         {"manage_user", []string{"action", "delete", "user", "dave"}, "invalid", "must be one of"},
		"a reading function":     {"list_user_groups", nil, "invalid", "There is no such function here."},
		"a path for a group":     {"manage_group", []string{"action", "delete", "group", "../users/" + oktatest.Dave}, "not_found", "There is no Okta group"},
		"a newline in a name":    {"manage_group", []string{"action", "create", "group", "a\nb"}, "invalid", "invalid characters"},
		"an undeclared owner":    {"manage_user", []string{"action", "unlock", "user", "dave", "on_behalf_of", "frank"}, "invalid", "takes no such parameter"},
		"an approval it invents": {"manage_user", []string{"action", "unlock", "user", "dave", "approved", "true"}, "invalid", "takes no such parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			e := pipelinetest.Event(w.SignIn("frank"), tc.function, tc.args...)
			e.ActionGroup = catalogue.GroupCIBA
			wants(t, w.Send(t.Context(), w.Handle, e), tc.kind, tc.says)
			w.nothingAsked("frank")
			if len(w.Approvals("frank")) != 0 {
				t.Error("an approval was stored")
			}
		})
	}
}

func TestNoPushWhereACheckFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func(*world)
		kind string
		says string
	}{
		"FGA denies":     {func(w *world) { w.Revoke("frank", "admin", "okta:main") }, "denied", denied},
		"FGA down":       {func(w *world) { w.FGA.Fail(faults.Fault{Status: 500}) }, "upstream", notAsked},
		"FGA down later": {func(w *world) { w.FGA.Fail(faults.Fault{Times: 1}, faults.Fault{Status: 500}) }, "upstream", notAsked},
		"FGA gone":       {func(w *world) { w.ToAWS.Fail(pipelinetest.Fault{Match: "lambda", Reset: true}) }, "upstream", notAsked},
		"nothing recorded": {func(w *world) {
			w.ToAWS.Fail(pipelinetest.Fault{Match: "PutItem", Status: 400, Body: `{"__type":"#ThrottlingException"}`})
		}, "upstream", "Steward's database did not answer."},
		"not stored":        {func(w *world) { w.ToAWS.Fail(pipelinetest.Fault{Match: "TransactWriteItems", Status: 500}) }, "upstream", "Steward's database did not answer."},
		"queue down":        {func(w *world) { w.ToAWS.Fail(pipelinetest.Fault{Match: "sqs", Status: 503}) }, "upstream", "I could not start the change."},
		"Okta down":         {func(w *world) { w.ToOkta.Fail(pipelinetest.Fault{Status: 503}) }, "upstream", "Okta reports a problem of its own."},
		"Okta without role": {func(w *world) { w.ToOkta.Fail(pipelinetest.Fault{Status: 403, Body: `{"errorCode":"E0000006"}`}) }, "denied", "your own Okta role does not allow this"},
		"Auth0 down":        {func(w *world) { w.ToAuth0.Fail(pipelinetest.Fault{Status: 503}) }, "upstream", "Auth0 did not answer."},
		"no key": {func(w *world) {
			w.Env["TOKEN_KEY_SECRET_ARN"] = w.AWS.SecretARN("empty")
			w.restart()
		}, "internal", "has no value yet"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			frank := w.SignIn("frank")
			tc.fail(w)
			r := w.ask(frank, "manage_user", "action", "suspend", "user", "dave")
			wants(t, r, tc.kind, tc.says)
			if strings.Contains(r.Text, "code ") || tc.kind != "denied" && strings.Contains(r.Text, denied) {
				t.Errorf("it says %q", r.Text)
			}
			w.ToAWS.Fail()
			w.nothingAsked("frank")
		})
	}
}

func TestThePhoneCannotBeAsked(t *testing.T) {
	const notEnrolled = "your account has no push notifications"
	at := func(status int, body string) func(*world) {
		return func(w *world) { w.ToAuth0.Fail(pipelinetest.Fault{Match: "/bc-authorize", Status: status, Body: body}) }
	}
	for name, tc := range map[string]struct {
		fail func(*world)
		kind string
		says string
	}{
		"not enrolled": {func(w *world) {
			w.Auth0.Configure(func(s *auth0test.Settings) { s.People[string(pipelinetest.Subject("frank"))].PushEnrolled = false })
		}, "conflict", notEnrolled},
		"pushes off":       {func(w *world) { w.Auth0.Configure(func(s *auth0test.Settings) { s.Guardian.PushEnabled = false }) }, "conflict", notEnrolled},
		"user is deleted":  {at(400, `{"error":"unknown_user_id","error_description":"User ID is malformed or unknown"}`), "unauthenticated", "Auth0 does not know your account any more."},
		"429":              {at(429, `{"error":"too_many_requests"}`), "conflict", "Your phone got too many requests"},
		"429 as a refusal": {at(429, `{"error":"access_denied","error_description":"Too Many Requests"}`), "conflict", "Your phone got too many requests"},
		"grant off": {func(w *world) {
			w.Auth0.Configure(func(s *auth0test.Settings) {
				s.Clients[pipelinetest.ClientID].GrantTypes = []string{auth0test.GrantTokenVault}
			})
		}, "internal", "not set up correctly"},
		"wrong secret": {at(401, `{"error":"access_denied","error_description":"Unauthorized"}`), "internal", "not set up correctly"},
		"500":          {at(500, `<html>canary</html>`), "upstream", "Auth0 did not answer."},
		"garbage":      {at(200, `{"auth_req_id":`), "upstream", "I could not send the request to your phone."},
		"no id":        {at(200, `{"expires_in":300}`), "upstream", "I could not send the request to your phone."},
		"reset":        {func(w *world) { w.ToAuth0.Fail(pipelinetest.Fault{Match: "/bc-authorize", Reset: true}) }, "upstream", "I could not send the request to your phone."},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			frank := w.SignIn("frank")
			tc.fail(w)
			r := w.ask(frank, "manage_user", "action", "suspend", "user", "dave")
			wants(t, r, tc.kind, tc.says)
			all := w.Approvals("frank")
			if len(all) != 1 || all[0].Status != approval.Failed || all[0].Result != "I could not send it to your phone. Nothing has changed." {
				t.Errorf("approvals: %+v", all)
			}
			if strings.Contains(r.Text, "canary") {
				t.Error(r.Text)
			}
			// What failed is not in flight: it can be asked for again.
			w.ToAuth0.Fail()
			if strings.HasPrefix(name, "429") {
				wants(t, w.ask(frank, "manage_user", "action", "suspend", "user", "dave"), "", "Please approve it on your phone")
			}
		})
	}
}

func TestTheSameChangeIsAskedForOnce(t *testing.T) {
	w := start(t)
	frank := w.SignIn("frank")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			r, err := w.Handle(t.Context(), payload(t, pipelinetest.Event(frank, "manage_user", "action", "suspend", "user", "dave")))
			if err != nil || !strings.Contains(r.Text(), "code ") {
				t.Errorf("%q, %v", r.Text(), err)
			}
		})
	}
	all.Wait()
	if n := len(w.Pushes("frank")); n != 1 {
		t.Fatalf("%d pushes", n)
	}
	code := w.Approvals("frank")[0].Code
	// Also by another name, in another session.
	other := w.SignIn("frank")
	wants(t, w.ask(other, "manage_user", "action", "suspend", "user", oktatest.Dave), "", "already waits for your approval, code "+code)
	// Another change is another, and once it has expired it can be asked for again.
	wants(t, w.ask(other, "manage_user", "action", "deactivate", "user", "dave"), "", "Please approve it on your phone")
	w.Forward(5*time.Minute + time.Second)
	wants(t, w.ask(other, "manage_user", "action", "suspend", "user", "dave"), "", "Please approve it on your phone")
}

func TestPushesOfAPersonAreLimited(t *testing.T) {
	w := start(t)
	frank, bob := w.SignIn("frank"), w.SignIn("bob")
	for i, action := range []string{"suspend", "expire_password", "clear_sessions", "reset_password", "reset_factors", "deactivate"} {
		r := w.ask(frank, "manage_user", "action", action, "user", "dave")
		if i < 4 {
			wants(t, r, "", "Please approve it on your phone")
		} else {
			wants(t, r, "conflict", "Your phone got several requests within a minute.")
		}
	}
	if n := len(w.Pushes("frank")); n != 4 {
		t.Errorf("%d pushes", n)
	}
	wants(t, w.ask(bob, "manage_user", "action", "expire_password", "user", "dave"), "", "Please approve it on your phone")
	w.Forward(time.Minute + time.Second)
	wants(t, w.ask(frank, "manage_user", "action", "deactivate", "user", "dave"), "", "Please approve it on your phone")
}

func TestCheckApproval(t *testing.T) {
	w := start(t)
	frank, bob, dave := w.SignIn("frank"), w.SignIn("bob"), w.SignIn("dave")
	wants(t, w.ask(dave, "check_approval"), "", "You have not asked for any change that needs approval.")
	wants(t, w.ask(dave, "check_approval", "action", "cancel"), "not_found", "Nothing waits for your approval")
	wants(t, w.ask(frank, "manage_user", "action", "suspend", "user", "dave"), "")
	w.Forward(time.Second)
	wants(t, w.ask(frank, "manage_group", "action", "delete", "group", "Finance"), "")
	all := w.Approvals("frank")
	deletion, suspension := all[0], all[1]

	const waiting = "waiting for your approval on the phone; not done yet."
	r := w.ask(frank, "check_approval")
	wants(t, r, "", `- Delete the group "Finance", code `+deletion.Code+": "+waiting+"\n- Suspend the account of dave@example.com, code "+suspension.Code+": "+waiting)
	r = w.ask(frank, "check_approval", "approval", "#"+strings.ToLower(suspension.Code))
	if wants(t, r, "", "Suspend"); strings.Contains(r.Text, "Finance") {
		t.Errorf("by code: %s", r.Text)
	}
	wants(t, w.ask(frank, "check_approval", "approval", "0000"), "not_found", "You have no approval with that code.")

	// Those of others do not exist.
	wants(t, w.ask(bob, "check_approval"), "", "You have not asked for any change")
	for _, named := range []string{suspension.Code, suspension.ID} {
		wants(t, w.ask(bob, "check_approval", "approval", named), "not_found", "You have no approval with that code.")
		wants(t, w.ask(bob, "check_approval", "approval", named, "action", "cancel"), "not_found", "You have no approval with that code.")
	}

	wants(t, w.ask(frank, "check_approval", "action", "cancel"), "conflict", "Several changes wait for your approval.")
	wants(t, w.ask(frank, "check_approval", "action", "cancel", "approval", suspension.Code), "", `Cancelled: Suspend the account of dave@example.com. Approving it on your phone has no effect any more.`)
	wants(t, w.ask(frank, "check_approval", "action", "cancel", "approval", suspension.Code), "conflict", "It is too late to cancel this")
	wants(t, w.ask(frank, "check_approval", "approval", suspension.Code), "", "cancelled; nothing has changed")
	if got := w.Approval(suspension); got.Status != approval.Cancelled || len(got.AuthReqID) != 0 {
		t.Errorf("cancelled: %+v", got)
	}
	if trail := w.Trail("frank"); trail[len(trail)-1].Result != audit.Cancelled || trail[len(trail)-1].ApprovalID != suspension.ID {
		t.Errorf("trail: %+v", trail)
	}
	wants(t, w.ask(frank, "check_approval", "action", "cancel"), "", `Cancelled: Delete the group "Finance".`) // the only one left
	w.Forward(2 * time.Second)

	// An answer that nobody gave has expired, whether or not it is written down.
	wants(t, w.ask(frank, "manage_user", "action", "expire_password", "user", "dave"), "")
	w.Forward(5 * time.Minute)
	wants(t, w.ask(frank, "check_approval"), "", "expired without an answer; nothing has changed")
	wants(t, w.ask(frank, "check_approval", "action", "cancel", "approval", w.Approvals("frank")[0].Code), "conflict", "It is too late to cancel this")

	// Every end is told in words of its own.
	told := map[string]bool{}
	for _, s := range []approval.Status{approval.Approved, approval.Executing, approval.Done, approval.Failed, approval.Unknown, approval.Denied} {
		w.Alter(deletion, "status", string(s))
		text := w.ask(frank, "check_approval", "approval", deletion.Code).Text
		if told[text] || strings.Contains(text, ": .") {
			t.Errorf("%s: %q", s, text)
		}
		told[text] = true
	}
}

func TestNobodyElseIsActedFor(t *testing.T) {
	w := start(t)
	dave := w.SignIn("dave")
	e := pipelinetest.Event(dave, "manage_user", "action", "suspend", "user", "alice")
	e.SessionAttributes = map[string]string{"sub": string(pipelinetest.Subject("frank")), "approved": "true"}
	wants(t, w.Send(t.Context(), w.Handle, e), "denied", denied)
	w.nothingAsked("dave")
	w.nothingAsked("frank")
	for _, id := range []session.ID{"", session.NewID(), "owner#frank"} {
		wants(t, w.ask(id, "manage_user", "action", "unlock"), "unauthenticated", "You are not signed in here.")
	}
	w.SignOut(dave)
	wants(t, w.ask(dave, "check_approval"), "unauthenticated", "You are not signed in here.")
}

func TestTheAnswerComesInTime(t *testing.T) {
	w := start(t)
	frank := w.SignIn("frank")
	w.ToAuth0.Fail(pipelinetest.Fault{Match: "/bc-authorize", Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), pipeline.Margin+500*time.Millisecond)
	defer cancel()
	wants(t, w.Send(ctx, w.Handle, pipelinetest.Event(frank, "manage_user", "action", "suspend", "user", "dave")), "upstream", "I could not send the request to your phone.")
	if all := w.Approvals("frank"); len(all) != 1 || all[0].Status != approval.Failed {
		t.Errorf("approvals: %+v", all)
	}
}

func TestTheEnvironmentIsTheOneThatIsDeployed(t *testing.T) {
	pipelinetest.CheckEnvironment(t, "CibaFunction", func(lookup func(string) (string, bool)) error { _, err := parseConfig(lookup); return err })
}

// Wherever the function is killed, no change is left that would be made unasked, and the same can be asked for again once
// the time to answer is over.
func TestAKilledFunction(t *testing.T) {
	for n, last := 1, false; !last; n++ {
		w := start(t)
		frank := w.SignIn("frank")
		ctx := w.KillAt(n, true)
		_, _ = w.Handle(ctx, payload(t, pipelinetest.Event(frank, "manage_user", "action", "suspend", "user", "dave")))
		made, killed := w.Revive()
		if last = !killed; last {
			if len(made) < 8 {
				t.Errorf("it made only %q", made)
			}
			break
		}
		all := w.Approvals("frank")
		for _, a := range all {
			if a.Status != approval.Pending {
				t.Errorf("killed at call %d (%s): %s", n, made[n-1], a.Status)
			}
		}
		if pushes := w.Pushes("frank"); len(pushes) > 0 && len(all) == 0 {
			t.Errorf("killed at call %d (%s): a push without an approval", n, made[n-1])
		}
		w.restart()
		w.Forward(5*time.Minute + time.Second)
		wants(t, w.ask(frank, "manage_user", "action", "suspend", "user", "dave"), "", "Please approve it on your phone")
	}
}
