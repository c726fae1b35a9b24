package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// world is the worker in its world.
type world struct {
	*pipelinetest.World
	*handler
}

func start(t *testing.T, change ...func(*auth0test.Options)) *world {
	w := &world{World: pipelinetest.Start(t, change...)}
	w.restart()
	return w
}

// restart is a new process.
func (w *world) restart() {
	w.handler = newHandler(w.Clients(), w.Phone(), w.Log, w.Now)
}

// ends delivers until a has come to its end, and holds that end to a status and to words of the result.
func (w *world) ends(a approval.Approval, status approval.Status, says string) approval.Approval {
	w.T.Helper()
	a = w.Settle(w.Handle, a, nil)
	if a.Status != status || !strings.Contains(a.Result, says) {
		w.T.Errorf("%s ended as %s: %q, want %s: %q", a.Operation, a.Status, a.Result, status, says)
	}
	return a
}

// recorded counts the entries of frank by kind and result.
func (w *world) recorded() map[string]int {
	count := map[string]int{}
	for _, e := range w.Trail("frank") {
		count[string(e.Kind)+" "+string(e.Result)]++
	}
	return count
}

func user(id, name string) approval.Ref {
	return approval.Ref{Type: "okta_user", ID: id, Label: name + "@example.com"}
}

func group(id, name string) approval.Ref {
	return approval.Ref{Type: "okta_group", ID: id, Label: name}
}

func app(id, name string) approval.Ref { return approval.Ref{Type: "okta_app", ID: id, Label: name} }

// change is one elevated operation and how it shows in Okta.
type change struct {
	approval.Approval
	twice bool   // may be done twice without harm
	event string // Okta's System Log entry of it
	setUp func(testing.TB, *world)
	shows func(*world) bool
}

func onUser(operation, id, name, event string, twice bool, shows func(oktatest.UserState) bool) change {
	return change{
		Approval: approval.Approval{Operation: operation, Target: user(id, name)}, twice: twice, event: event,
		shows: func(w *world) bool { return shows(w.Okta.UserState(id)) },
	}
}

func status(want oktatest.Status) func(oktatest.UserState) bool {
	return func(s oktatest.UserState) bool { return s.Status == want }
}

// changes are all elevated operations of the catalogue, those on apps in both forms.
func changes() []change {
	dave, figma, salesforce := user(oktatest.Dave, "dave"), app(oktatest.Figma, "Figma"), app(oktatest.Salesforce, "Salesforce")
	finance, support, contractors := group(oktatest.Finance, "Finance"), group(oktatest.Support, "Support"), group(oktatest.Contractors, "Contractors")
	hasApp := func(w *world) bool { return slices.Contains(w.Okta.UserState(oktatest.Dave).Apps, oktatest.Figma) }
	return []change{
		onUser("reset_password", oktatest.Dave, "dave", "user.account.reset_password", false, status(oktatest.Recovery)),
		onUser("expire_password", oktatest.Dave, "dave", "user.account.expire_password", true, status(oktatest.PasswordExpired)),
		onUser("unlock", oktatest.LockedPerson, "lena.lock", "user.account.unlock_by_admin", true, status(oktatest.Active)),
		onUser("suspend", oktatest.Dave, "dave", "user.lifecycle.suspend", true, status(oktatest.Suspended)),
		onUser("unsuspend", oktatest.SuspendedPerson, "sid.pend", "user.lifecycle.unsuspend", true, status(oktatest.Active)),
		onUser("activate", oktatest.StagedPerson, "stella.stage", "user.lifecycle.activate", false, status(oktatest.Provisioned)),
		onUser("deactivate", oktatest.Dave, "dave", "user.lifecycle.deactivate", true, status(oktatest.Deprovisioned)),
		onUser("clear_sessions", oktatest.Dave, "dave", "user.session.clear", true, func(s oktatest.UserState) bool { return s.Sessions == 0 }),
		onUser("reset_factors", oktatest.Dave, "dave", "user.mfa.factor.reset_all", true, func(s oktatest.UserState) bool { return s.Factors == 0 }),
		{
			Approval: approval.Approval{Operation: "add_to_group", Target: contractors, Member: dave}, twice: true, event: "group.user_membership.add",
			shows: func(w *world) bool { return w.Okta.IsMember(oktatest.Contractors, oktatest.Dave) },
		},
		{
			Approval: approval.Approval{Operation: "remove_from_group", Target: group(oktatest.Engineering, "Engineering"), Member: user(oktatest.Alice, "alice")}, twice: true, event: "group.user_membership.remove",
			shows: func(w *world) bool { return !w.Okta.IsMember(oktatest.Engineering, oktatest.Alice) },
		},
		{
			Approval: approval.Approval{Operation: "create_group", Target: approval.Ref{Type: "okta_group", Label: "Design"}, Args: map[string]string{"name": "Design", "description": "Draws"}}, event: "group.lifecycle.create",
			shows: func(w *world) bool { return w.Okta.FindGroup("Design") != "" },
		},
		{
			Approval: approval.Approval{Operation: "rename_group", Target: contractors, Args: map[string]string{"new_name": "Externals"}}, twice: true, event: "group.profile.update",
			shows: func(w *world) bool { return w.Okta.GroupName(oktatest.Contractors) == "Externals" },
		},
		{
			Approval: approval.Approval{Operation: "delete_group", Target: finance}, twice: true, event: "group.lifecycle.delete",
			shows: func(w *world) bool { return w.Okta.GroupName(oktatest.Finance) == "" },
		},
		{Approval: approval.Approval{Operation: "assign_app", Target: figma, Member: dave}, twice: true, event: "application.user_membership.add", shows: hasApp},
		{
			Approval: approval.Approval{Operation: "unassign_app", Target: figma, Member: dave}, twice: true, event: "application.user_membership.remove",
			setUp: func(t testing.TB, w *world) {
				token := secret.New(w.Okta.MintToken(oktatest.Frank, auth0test.DefaultScopes, time.Hour))
				if _, err := w.Clients().Okta.AssignUserToApp(okta.WithToken(t.Context(), token), oktatest.Figma, oktatest.Dave); err != nil {
					t.Fatal(err)
				}
			},
			shows: func(w *world) bool { return !hasApp(w) },
		},
		{
			Approval: approval.Approval{Operation: "assign_app", Target: figma, Member: finance}, twice: true, event: "group.application_assignment.add",
			shows: func(w *world) bool { return w.Okta.GroupIsAssigned(oktatest.Figma, oktatest.Finance) },
		},
		{
			Approval: approval.Approval{Operation: "unassign_app", Target: salesforce, Member: support}, twice: true, event: "group.application_assignment.remove",
			shows: func(w *world) bool { return !w.Okta.GroupIsAssigned(oktatest.Salesforce, oktatest.Support) },
		},
		{
			Approval: approval.Approval{Operation: "reactivate", Target: user(oktatest.StagedPerson, "stella.stage")}, event: "user.lifecycle.reactivate",
			setUp: func(_ testing.TB, w *world) { w.Okta.SetStatus(oktatest.StagedPerson, oktatest.Provisioned) },
			shows: func(w *world) bool { return w.Okta.MailCount(oktatest.StagedPerson, oktatest.MailActivation) > 0 },
		},
	}
}

func (c change) name() string { return c.Operation + " " + c.Member.Type }

// times is how often Okta did it, by its own log.
func (c change) times(w *world) (n int) {
	for _, e := range w.Okta.Events() {
		if e.Type == c.event && e.Actor == oktatest.Frank {
			n++
		}
	}
	return n
}

// asked brings a change to frank's phone.
func (c change) asked(w *world) approval.Approval {
	w.T.Helper()
	if c.setUp != nil {
		c.setUp(w.T, w)
	}
	return w.Asked(w.SignIn("frank"), "frank", c.Approval)
}

// suspend is the change of the tests for which any will do.
func suspend() change { return changes()[3] }

func TestEveryOperationIsCarriedOut(t *testing.T) {
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			if f.Elevated && !slices.ContainsFunc(changes(), func(c change) bool { return c.Operation == op.ID }) {
				t.Errorf("%s has no row in changes", op.ID)
			}
		}
	}
	for _, c := range changes() {
		t.Run(c.name(), func(t *testing.T) {
			w := start(t)
			a := c.asked(w)
			if c.shows(w) {
				t.Fatal("it shows before it is done")
			}
			w.Decide("frank", "approve")
			a = w.ends(a, approval.Done, "Okta")
			if !c.shows(w) || c.times(w) != 1 {
				t.Errorf("it shows: %t, %d times", c.shows(w), c.times(w))
			}
			var request faults.Request
			for _, r := range w.Okta.Requests() {
				if r.Method != http.MethodGet {
					request = r // the last one
				}
			}
			if request.Actor != oktatest.Frank || request.RequestID != a.OktaRequestID || a.OktaRequestID == "" {
				t.Errorf("Okta got %+v, the approval says request %q", request, a.OktaRequestID)
			}
			if len(a.AuthReqID) != 0 {
				t.Error("the used auth_req_id was kept")
			}
			pipelinetest.WantTrail(t, w.Trail("frank"),
				audit.Entry{Kind: audit.Decision, Permission: audit.Allowed, Result: audit.Approved, Operation: c.Operation, Object: c.Target.Recorded(), Member: c.Member.Recorded(), Args: c.Args, ApprovalID: a.ID, DecisionID: a.DecisionID()},
				audit.Entry{Kind: audit.Outcome, Permission: audit.Allowed, Result: audit.Done, Operation: c.Operation, Object: c.Target.Recorded(), Member: c.Member.Recorded(), Args: c.Args, ApprovalID: a.ID, DecisionID: a.DecisionID(), OktaRequestID: request.RequestID},
			)
		})
	}
}

// A worker is killed at each call it makes, and another takes over: before the first call gets out, and after each was
// taken but not answered, which is before the next.
func TestAKilledWorkerMakesOneChange(t *testing.T) {
	for _, c := range changes() {
		if testing.Short() && c.Operation != "reset_password" && c.Operation != "add_to_group" {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			for n, last := 1, false; !last; n++ {
				for _, after := range []bool{false, true}[min(n-1, 1):] {
					w := start(t)
					a := c.asked(w)
					w.Decide("frank", "approve")
					w.Forward(7 * time.Second)
					w.restart()
					ctx := w.KillAt(n, after)
					w.Deliver(ctx, w.Handle)
					made, killed := w.Revive()
					if last = !killed; last {
						break
					}
					w.restart()
					a = w.Settle(w.Handle, a, func() { approveAll(w) })
					w.Drain(w.Handle) // what was in the hands of the killed comes back
					where := fmt.Sprintf("killed at call %d (%s), after: %t", n, made[len(made)-1], after)
					switch {
					case a.Status == approval.Done && c.shows(w) && (c.times(w) == 1 || c.twice):
					case a.Status == approval.Unknown && !c.twice && c.times(w) <= 1 && strings.Contains(a.Result, "do not know"):
					default:
						t.Errorf("%s: ended as %s (%s), shows: %t, %d times", where, a.Status, a.Result, c.shows(w), c.times(w))
					}
					if mails := len(w.Okta.Mails()); mails > 1 {
						t.Errorf("%s: %d mails", where, mails)
					}
					trail := w.recorded()
					if want := map[string]int{"decision approved": 1, "outcome " + string(a.Status): 1}; !maps.Equal(trail, want) {
						t.Errorf("%s: trail %v, want %v", where, trail, want)
					}
				}
			}
		})
	}
}

// The table and the queue take each call, but the first answer to it is lost, so that the SDK sends it once more.
func TestALostAnswerOfAWSChangesNothing(t *testing.T) {
	for _, c := range changes()[:1] { // the one that may not be done twice
		t.Run(c.name(), func(t *testing.T) {
			for n, last := 1, false; !last; n++ {
				w := start(t)
				a := c.asked(w)
				w.Decide("frank", "approve")
				w.Forward(7 * time.Second)
				w.ToAWS.Forget()
				w.ToAWS.Fail(pipelinetest.Fault{Nth: n, Reset: true, After: true})
				w.Deliver(t.Context(), w.Handle)
				if last = len(w.ToAWS.Calls()) < n; last {
					break
				}
				lost := w.ToAWS.Calls()[n-1]
				w.ToAWS.Fail()
				w.ends(a, approval.Done, "Okta")
				w.Drain(w.Handle)
				if c.times(w) != 1 || len(w.Okta.Mails()) > 1 {
					t.Errorf("answer %d (%s) lost: it happened %d times", n, lost, c.times(w))
				}
				trail := w.recorded()
				if want := map[string]int{"decision approved": 1, "outcome done": 1}; !maps.Equal(trail, want) {
					t.Errorf("answer %d (%s) lost: trail %v", n, lost, trail)
				}
			}
		})
	}
}

// approveAll approves whatever waits on frank's phone.
func approveAll(w *world) {
	for _, p := range w.Pushes("frank") {
		if p.Status == "pending" {
			_ = w.Auth0.Decide(p.ID, "approve")
		}
	}
}

// nothingHappens holds that Okta was never asked to change anything.
func (w *world) nothingHappens() {
	w.T.Helper()
	for _, r := range w.Okta.Requests() {
		if r.Method != http.MethodGet {
			w.T.Errorf("Okta got %s %s", r.Method, r.Path)
		}
	}
}

func TestAnswersOfThePhone(t *testing.T) {
	t.Run("late but in time", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		for range 40 {
			w.Forward(6 * time.Second)
			w.Deliver(t.Context(), w.Handle)
		}
		if w.ToAuth0.Count("/oauth/token") < 30 {
			t.Error("it was not polled")
		}
		w.Decide("frank", "approve")
		w.ends(a, approval.Done, "")
	})
	t.Run("denied", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Decide("frank", "deny")
		w.ends(a, approval.Denied, "")
		w.nothingHappens()
		if trail := w.Trail("frank"); len(trail) != 1 || trail[0].Kind != audit.Outcome || trail[0].Result != audit.Refused {
			t.Errorf("trail: %+v", trail)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		w := start(t)
		w.ends(suspend().asked(w), approval.Expired, "")
		w.nothingHappens()
	})
	t.Run("nobody answers, and Auth0's clock is a moment ahead of ours", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Forward(a.ExpiresAt.Sub(w.Now()) - time.Second)
		if err := w.Auth0.Expire(w.Pushes("frank")[0].ID); err != nil {
			t.Fatal(err)
		}
		w.Deliver(t.Context(), w.Handle)
		if a = w.Approval(a); a.Status != approval.Expired {
			t.Errorf("it is %s", a.Status)
		}
	})
	t.Run("nobody answers, and Auth0 says that it expired", func(t *testing.T) {
		w := start(t, func(o *auth0test.Options) { o.SpecExpiry = true })
		a := suspend().asked(w)
		if err := w.Auth0.Expire(w.Pushes("frank")[0].ID); err != nil { // long before our own clock says so
			t.Fatal(err)
		}
		w.ends(a, approval.Expired, "")
		w.nothingHappens()
	})
	t.Run("approved too late", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Decide("frank", "approve")
		w.Forward(5 * time.Minute) // nobody looked
		w.ends(a, approval.Expired, "")
		w.nothingHappens()
	})
	t.Run("never sent", func(t *testing.T) { // the ciba function was killed just before the push
		w := start(t)
		a := suspend().asked(w)
		w.Remove(a, "auth_req_id")
		w.ends(a, approval.Expired, "")
	})
}

func TestSlowDownHoldsForEveryLaterPoll(t *testing.T) {
	for name, style := range map[string]auth0test.PollStatus{"400": auth0test.PollStatus400, "403 and 429": auth0test.PollStatusDevice} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(o *auth0test.Options) { o.PollStatus = style })
			a := suspend().asked(w)
			w.ToAuth0.Forget()
			w.ToAuth0.Fail(pipelinetest.Fault{Match: "/oauth/token", Times: 1, Status: 400, Header: http.Header{"Retry-After": {"20"}}, Body: `{"error":"slow_down","interval":12}`})
			var polls []time.Duration
			for at := time.Duration(0); at < 80*time.Second; at += time.Second {
				w.Forward(time.Second)
				before := w.ToAuth0.Count("/oauth/token")
				w.Deliver(t.Context(), w.Handle)
				if w.ToAuth0.Count("/oauth/token") > before {
					polls = append(polls, at)
				}
			}
			for i := 1; i < len(polls); i++ {
				if gap := polls[i] - polls[i-1]; gap < 19*time.Second || gap > 22*time.Second {
					t.Errorf("polled at %v, want every 20 s after the first", polls)
				}
			}
			w.Decide("frank", "approve")
			w.ends(a, approval.Done, "")
		})
	}
}

// A crash after the next message was sent, or the queue itself, leaves several messages of one approval. They poll no more
// often than one would: Auth0 would answer each that it is too fast, and never how it stands.
func TestSeveralMessagesPollAsOne(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	for range 3 {
		if err := w.queue.Send(t.Context(), approval.Message{SessionID: a.SessionID, ApprovalID: a.ID}, 7*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	w.ToAuth0.Forget()
	for range 60 {
		w.Forward(time.Second)
		w.Deliver(t.Context(), w.Handle)
	}
	if n := w.ToAuth0.Count("/oauth/token"); n < 8 || n > 12 {
		t.Errorf("polled %d times in a minute, want once every five seconds", n)
	}
	if a = w.Approval(a); a.Interval != 5*time.Second {
		t.Errorf("Auth0 found it too fast: it asks for %v", a.Interval)
	}
	w.Decide("frank", "approve")
	for range 7 {
		w.Forward(time.Second)
		w.Deliver(t.Context(), w.Handle)
	}
	if a = w.Approval(a); a.Status != approval.Done {
		t.Errorf("seven seconds after the phone it is %s", a.Status)
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	lose := pipelinetest.Fault{Match: "/oauth/token", Times: 1, Reset: true, After: true}
	t.Run("and approved again", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Decide("frank", "approve")
		w.ToAuth0.Fail(lose)
		a = w.Settle(w.Handle, a, func() { approveAll(w) })
		if a.Status != approval.Done || a.Pushes != 2 || len(w.Pushes("frank")) != 2 {
			t.Errorf("ended as %s after %d pushes", a.Status, a.Pushes)
		}
		first, second := w.Pushes("frank")[0], w.Pushes("frank")[1]
		if first.BindingMessage != second.BindingMessage {
			t.Errorf("the second push says %q, the first %q", second.BindingMessage, first.BindingMessage)
		}
	})
	t.Run("and denied then", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Decide("frank", "approve")
		w.ToAuth0.Fail(lose)
		for len(w.Pushes("frank")) == 1 {
			w.Forward(5 * time.Second)
			w.Deliver(t.Context(), w.Handle)
		}
		w.Decide("frank", "deny")
		w.ends(a, approval.Denied, "")
		w.nothingHappens()
	})
	t.Run("but not for ever", func(t *testing.T) {
		w := start(t)
		a := suspend().asked(w)
		w.Decide("frank", "approve")
		w.ToAuth0.Fail(pipelinetest.Fault{Match: "/oauth/token", Status: 400, Body: `{"error":"invalid_grant"}`})
		a = w.ends(a, approval.Failed, "The answer from your phone was lost")
		if n := len(w.Pushes("frank")); n != maxPushes || a.Pushes != maxPushes {
			t.Errorf("%d pushes, want %d", n, maxPushes)
		}
		w.nothingHappens()
	})
}

// Only an id_token of the very person, for this application, issued for this request, proves an approval.
func TestOnlyTheOwnersOwnTokenApproves(t *testing.T) {
	for name, token := range map[string]func(*world) string{
		"another person":      func(w *world) string { return w.IDToken("bob", pipelinetest.ClientID) },
		"another application": func(w *world) string { return w.IDToken("frank", pipelinetest.OtherClientID) },
		"old": func(w *world) string {
			old := w.IDToken("frank", pipelinetest.ClientID)
			w.Forward(2 * time.Minute)
			return old
		},
		"bad signature": func(w *world) string {
			good := w.IDToken("frank", pipelinetest.ClientID)
			head, rest, _ := strings.Cut(good, ".")
			payload, signature, _ := strings.Cut(rest, ".")
			return head + "." + payload + "." + strings.Repeat("A", len(signature))
		},
		"no signature": func(w *world) string {
			_, rest, _ := strings.Cut(w.IDToken("frank", pipelinetest.ClientID), ".")
			payload, _, _ := strings.Cut(rest, ".")
			return "eyJhbGciOiJub25lIn0." + payload + "."
		},
		"none": func(*world) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			proof := token(w)
			a := suspend().asked(w)
			w.ToAuth0.Fail(pipelinetest.Fault{Match: "/oauth/token", Status: 200, Body: `{"access_token":"at","id_token":"` + proof + `"}`})
			w.ends(a, approval.Failed, "The approval did not come from you. Nothing has changed.")
			w.nothingHappens()
		})
	}
}

func TestAChangeMeanwhileIsNoticed(t *testing.T) {
	const notAllowed = "You are not allowed to do this any more. Nothing has changed."
	fgaDown := faults.Fault{Status: 500}
	for name, tc := range map[string]struct {
		meanwhile func(*world, approval.Approval)
		status    approval.Status
		says      string
		harmless  bool
	}{
		"another target":         {func(w *world, a approval.Approval) { w.Alter(a, "target_id", oktatest.Alice) }, approval.Failed, "This request was altered", true},
		"another operation":      {func(w *world, a approval.Approval) { w.Alter(a, "operation", "deactivate") }, approval.Failed, "This request was altered", true},
		"another owner":          {func(w *world, a approval.Approval) { w.Alter(a, "owner", "oidc|okta-corp|"+oktatest.Bob) }, approval.Failed, "This request was altered", true},
		"another digest":         {func(w *world, a approval.Approval) { w.Alter(a, "digest", "0000") }, approval.Failed, "This request was altered", true},
		"signed out":             {func(w *world, a approval.Approval) { w.SignOut(a.SessionID) }, approval.Cancelled, "You signed out before I began", true},
		"permission removed":     {func(w *world, _ approval.Approval) { w.Revoke("frank", "admin", "okta:main") }, approval.Failed, notAllowed, true},
		"FGA down for good":      {func(w *world, _ approval.Approval) { w.FGA.Fail(fgaDown) }, approval.Failed, "could not do it in time", true},
		"refresh token revoked":  {func(w *world, a approval.Approval) { w.Auth0.RevokeRefreshTokens(string(a.Owner)) }, approval.Failed, "Your sign-in has ended. Please sign in again. Nothing has changed.", true},
		"Okta role removed":      {func(w *world, _ approval.Approval) { w.Okta.SetRole(oktatest.Frank, oktatest.NoRole) }, approval.Failed, "your own Okta role does not allow this. Nothing has changed.", false},
		"Okta tokens revoked":    {func(w *world, _ approval.Approval) { w.Okta.RevokeTokens(oktatest.Frank) }, approval.Failed, "Okta does not accept your connection any more.", false},
		"done by somebody":       {func(w *world, _ approval.Approval) { w.Okta.SetStatus(oktatest.Dave, oktatest.Deprovisioned) }, approval.Failed, "Okta refused: the current status does not allow this. Nothing has changed.", false},
		"Okta sends others away": {func(w *world, _ approval.Approval) { w.Okta.Fail(faults.Fault{Match: "POST", Status: 429}) }, approval.Failed, "too many requests", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			a := suspend().asked(w)
			if name == "Okta tokens revoked" { // a token the vault holds already
				frank := must(w.enforcer.Identify(t.Context(), a.SessionID))
				if _, err := w.enforcer.NewOktaToken(t.Context(), &frank); err != nil {
					t.Fatal(err)
				}
			}
			tc.meanwhile(w, a)
			w.Decide("frank", "approve")
			w.ends(a, tc.status, tc.says)
			if tc.harmless {
				w.nothingHappens()
			}
			if n := suspend().times(w); n != 0 {
				t.Errorf("it happened %d times", n)
			}
		})
	}
	t.Run("never connected", func(t *testing.T) {
		w := start(t)
		a := w.Asked(w.SignInOnly("frank", time.Hour), "frank", suspend().Approval)
		w.Decide("frank", "approve")
		w.ends(a, approval.Failed, "Your Okta account is not connected yet.")
	})
	for name, down := range map[string]func(*world) (again func()){
		"FGA": func(w *world) func() { w.FGA.Fail(fgaDown); return func() { w.FGA.Fail() } },
		"Auth0": func(w *world) func() {
			w.ToAuth0.Fail(pipelinetest.Fault{Status: 503})
			return func() { w.ToAuth0.Fail() }
		},
		"vault": func(w *world) func() {
			w.ToAuth0.Fail(pipelinetest.Fault{Match: "/oauth/token", Times: 1}, pipelinetest.Fault{Match: "/oauth/token", Status: 503})
			return func() { w.ToAuth0.Fail() }
		},
		"table": func(w *world) func() {
			w.ToAWS.Fail(pipelinetest.Fault{Match: "dynamodb", Status: 400, Body: `{"__type":"#ThrottlingException"}`})
			return func() { w.ToAWS.Fail() }
		},
		"queue": func(w *world) func() {
			w.ToAWS.Fail(pipelinetest.Fault{Match: "sqs", Status: 500})
			return func() { w.ToAWS.Fail() }
		},
	} {
		t.Run(name+" down for a while", func(t *testing.T) {
			w := start(t)
			a := suspend().asked(w)
			up := down(w)
			if name != "queue" { // it is not needed any more once they have approved
				w.Decide("frank", "approve")
			}
			for range 6 {
				w.Forward(6 * time.Second)
				w.Deliver(t.Context(), w.Handle)
			}
			w.nothingHappens()
			up()
			approveAll(w)
			w.ends(a, approval.Done, "")
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Okta's answer does not come: what shows in Okta decides, and what cannot be told is not claimed.
func TestALostAnswerOfOktaIsNotASuccess(t *testing.T) {
	reset, activate, clearing := changes()[0], changes()[5], changes()[7]
	before, afterwards := pipelinetest.Fault{Match: "POST", Status: 503}, pipelinetest.Fault{Match: "POST", Status: 503, After: true}
	once := func(f pipelinetest.Fault) pipelinetest.Fault { f.Times = 1; return f }
	for name, tc := range map[string]struct {
		change
		fault  pipelinetest.Fault
		status approval.Status
		says   string
		times  int
	}{
		"suspend, done":         {suspend(), once(afterwards), approval.Done, "Okta shows that it took effect.", 1},
		"suspend, not done":     {suspend(), once(before), approval.Done, "Okta confirmed the change.", 1},
		"suspend, never":        {suspend(), before, approval.Unknown, "I do not know whether it took effect", 0},
		"reset, done":           {reset, once(afterwards), approval.Done, "Okta shows that it took effect.", 1},
		"reset, not done":       {reset, once(before), approval.Unknown, "See whether dave@example.com got an e-mail", 0},
		"activate, done":        {activate, once(afterwards), approval.Done, "Okta shows that it took effect.", 1},
		"activate, not done":    {activate, once(before), approval.Unknown, "See whether stella.stage@example.com got an e-mail", 0},
		"clear sessions, twice": {clearing, pipelinetest.Fault{Match: "DELETE", Times: 1, Reset: true, After: true}, approval.Done, "Okta confirmed the change.", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			a := tc.asked(w)
			w.ToOkta.Fail(tc.fault)
			w.Decide("frank", "approve")
			w.ends(a, tc.status, tc.says)
			if n := tc.times; tc.change.times(w) != n {
				t.Errorf("it happened %d times, want %d", tc.change.times(w), n)
			}
			if len(w.Okta.Mails()) > 1 {
				t.Error("two mails")
			}
		})
	}
}

// While another worker carries a change out, it is left alone, and signing out does not take its result away.
func TestALivingWorkerIsNotDisturbed(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	w.Decide("frank", "approve")
	w.Forward(7 * time.Second)
	slow := blocking{doer: w.okta, begun: make(chan struct{}), release: make(chan struct{})}
	worker := newHandler(w.Clients(), w.Phone(), w.Log, w.Now)
	worker.okta = slow
	var other sync.WaitGroup
	other.Go(func() { w.Deliver(t.Context(), worker.Handle) })
	<-slow.begun
	w.SignOut(a.SessionID)
	if err := w.message(t.Context(), string(must(json.Marshal(approval.Message{SessionID: a.SessionID, ApprovalID: a.ID})))); err != nil {
		t.Error(err)
	}
	if got := w.Approval(a).Status; got != approval.Executing {
		t.Errorf("while another worker is at it, it became %s", got)
	}
	close(slow.release)
	other.Wait()
	w.ends(a, approval.Done, "")
}

// blocking carries changes out once it is released.
type blocking struct {
	doer

	begun, release chan struct{}
}

func (b blocking) Do(ctx context.Context, a approval.Approval) (string, okta.Meta, error) {
	close(b.begun)
	<-b.release
	return b.doer.Do(ctx, a)
}

func TestTwoWorkersMakeOneChange(t *testing.T) {
	for _, c := range []change{changes()[0], changes()[9], changes()[11]} {
		t.Run(c.name(), func(t *testing.T) {
			w := start(t)
			a := c.asked(w)
			w.Decide("frank", "approve")
			w.Forward(7 * time.Second)
			body := string(must(json.Marshal(approval.Message{SessionID: a.SessionID, ApprovalID: a.ID})))
			var all sync.WaitGroup
			for range 5 {
				worker := newHandler(w.Clients(), w.Phone(), w.Log, w.Now)
				all.Go(func() {
					out, err := worker.Handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", Body: body}, {MessageId: "2", Body: body}}})
					if err != nil || len(out.BatchItemFailures) != 0 {
						t.Errorf("%v, %v", out, err)
					}
				})
			}
			all.Wait()
			w.ends(a, approval.Done, "")
			w.Drain(w.Handle)
			if n := c.times(w); n != 1 {
				t.Errorf("it happened %d times", n)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	mine := string(must(json.Marshal(approval.Message{SessionID: a.SessionID, ApprovalID: a.ID})))
	unknown := string(must(json.Marshal(approval.Message{SessionID: session.NewID(), ApprovalID: a.ID})))
	handle := func(bodies ...string) (failed []string) {
		var event events.SQSEvent
		for _, b := range bodies {
			event.Records = append(event.Records, events.SQSMessage{MessageId: b, Body: b})
		}
		out, err := w.Handle(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.BatchItemFailures {
			failed = append(failed, f.ItemIdentifier)
		}
		slices.Sort(failed)
		return failed
	}
	w.Decide("frank", "approve")
	w.Forward(7 * time.Second)
	if got := handle("{", unknown, mine, ""); !slices.Equal(got, []string{"", "{"}) {
		t.Errorf("%q are to come back, want those that cannot be read", got)
	}
	w.ends(a, approval.Done, "")
	if got := handle(mine, mine); len(got) != 0 || suspend().times(w) != 1 {
		t.Errorf("a late message: %q, %d times", got, suspend().times(w))
	}
	other := w.Asked(w.SignIn("frank"), "frank", changes()[0].Approval)
	if got := handle(string(must(json.Marshal(approval.Message{SessionID: a.SessionID, ApprovalID: other.ID})))); len(got) != 0 {
		t.Errorf("an approval of another session: %q", got)
	}
	w.enforcer.Sessions = nil // a bug of ours
	b := w.Asked(w.SignIn("bob"), "bob", changes()[2].Approval)
	if got := handle(string(must(json.Marshal(approval.Message{SessionID: b.SessionID, ApprovalID: b.ID})))); len(got) != 1 {
		t.Errorf("after a panic: %q", got)
	}
}

func TestTheEnvironmentIsTheOneThatIsDeployed(t *testing.T) {
	pipelinetest.CheckEnvironment(t, "ApprovalWorkerFunction", func(lookup func(string) (string, bool)) error { _, err := parseConfig(lookup); return err })
}
