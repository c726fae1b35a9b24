package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// Whoever connects another person's Okta account at the consent page does not act with it: it is compared with who signed in before
// its token is used, disconnected, and recorded.
func TestAnotherPersonsAccountIsNotUsed(t *testing.T) {
	for _, call := range [][]string{{"list_user_groups"}, {"find_groups", "query", "eng"}, {"get_user", "user", "me"}} {
		t.Run(strings.Join(call, " "), func(t *testing.T) {
			w := start(t)
			alice := w.SignInAs("alice", "frank")
			r := w.ask(alice, call[0], call[1:]...)
			wants(t, r, "conflict", `You connected the Okta account of "frank@example.com", but you are signed in as "alice@example.com".`, "I disconnected it", "connect your own")
			if calls := w.ToOkta.Calls(); !slices.Equal(calls, []string{"GET /api/v1/users/me"}) {
				t.Errorf("with frank's token it called %q, want only whose it is", calls)
			}
			if n := w.Auth0.Connected("alice@example.com"); n != 0 {
				t.Errorf("%d accounts stay connected", n)
			}
			if s := w.Session(alice); s.OktaUserID != "" || s.OktaLogin != "" || len(s.OktaToken) != 0 {
				t.Errorf("the session keeps %q, %q and a token of %d bytes", s.OktaUserID, s.OktaLogin, len(s.OktaToken))
			}
			trail := w.Trail("alice")
			if len(trail) != 2 {
				t.Fatalf("trail: %+v", trail)
			}
			pipelinetest.WantTrail(t, trail[1:], audit.Entry{
				Kind: audit.Outcome, Permission: audit.Unchecked, Result: audit.OK, Operation: audit.DisconnectOkta,
				Object: audit.Ref{Type: "okta_user", ID: oktatest.Frank, Label: "frank@example.com"},
			})
			wants(t, w.ask(alice, call[0], call[1:]...), "conflict", "not connected yet")
			w.Auth0.Connect("alice@example.com")
			wants(t, w.ask(alice, call[0], call[1:]...), "")
		})
	}
}

// Where Auth0 cannot be asked to disconnect it, the account is not used either, and the person is told what to do.
func TestAnotherPersonsAccountThatStaysConnected(t *testing.T) {
	w := start(t)
	alice := w.SignInAs("alice", "frank")
	w.ToAuth0.Fail(pipelinetest.Fault{Match: "/me/v1/", Status: 503})
	wants(t, w.ask(alice, "list_user_groups"), "conflict", "I could not disconnect it")
	wants(t, w.ask(alice, "list_user_groups"), "conflict", "I could not disconnect it")
	if n := w.ToOkta.Count(""); n != w.ToOkta.Count("/users/me") {
		t.Errorf("Okta was called: %q", w.ToOkta.Calls())
	}
}

// A row of the session table is not believed: the e-mail address in it is proven by what was sealed with it.
func TestAnAddressThatWasChangedInTheRowGivesNothing(t *testing.T) {
	w := start(t)
	alice := w.SignIn("alice")
	wants(t, w.ask(alice, "find_users", "query", "Taylor"), "denied")
	w.AlterSession(alice, "email", "frank@example.com")
	for _, call := range [][]string{{"find_users", "query", "Taylor"}, {"list_my_permissions"}} {
		wants(t, w.ask(alice, call[0], call[1:]...), "internal", "I cannot read your stored sign-in.")
	}
	w.restart()
	wants(t, w.ask(alice, "list_my_permissions"), "internal", "I cannot read your stored sign-in.")
}

// The calls of a session are counted in the table, so that processes count together.
func TestCallsAMinuteAreBounded(t *testing.T) {
	w := start(t)
	w.Forward(w.Now().Truncate(60e9).Add(60e9).Sub(w.Now())) // to the beginning of a minute
	alice, carol := w.SignIn("alice"), w.SignIn("carol")
	for range 60 {
		if r := w.ask(alice, "find_groups", "query", "nothing like it"); r.Kind != "" {
			t.Fatalf("got %q", r.Text)
		}
		w.restart()
	}
	wants(t, w.ask(alice, "find_groups", "query", "eng"), "conflict", "You are asking too often.")
	if trail := w.Trail("alice"); len(trail) != 61 || trail[60].Result != "conflict" {
		t.Errorf("%d entries", len(trail))
	}
	wants(t, w.ask(carol, "find_groups", "query", "eng"), "")
	w.Forward(60e9)
	wants(t, w.ask(alice, "find_groups", "query", "eng"), "")
}

// Whoever looks people up by names that are none leaves an entry of each look-up.
func TestLookUpsThatFindNothingAreRecorded(t *testing.T) {
	w := start(t)
	carol := w.SignIn("carol")
	wants(t, w.ask(carol, "get_user", "user", "Nobody Atall"), "not_found")
	w.Forward(2e9)
	wants(t, w.ask(carol, "get_user", "user", "Sam Taylor"), "conflict", "Which one do you mean?")
	pipelinetest.WantTrail(t, w.Trail("carol"),
		audit.Entry{Kind: audit.Decision, Permission: audit.Unchecked, Result: "not_found", Operation: "get_user", Object: audit.Ref{Type: "okta_user", Label: "Nobody Atall"}},
		audit.Entry{Kind: audit.Decision, Permission: audit.Unchecked, Result: "conflict", Operation: "get_user", Object: audit.Ref{Type: "okta_user", Label: "Sam Taylor"}},
	)
}
