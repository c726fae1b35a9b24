package main

import (
	"testing"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// The worker compares the token that it acts with: an account that was connected while the phone was asked is not used.
func TestAnAccountConnectedMeanwhileIsNotUsed(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	w.Auth0.ConnectAs("frank@example.com", "carol@example.com")
	w.Decide("frank", "approve")
	a = w.ends(a, approval.Failed, `You connected the Okta account of "carol@example.com"`)
	w.nothingHappens()
	for _, r := range w.Okta.Requests() {
		if r.Actor == oktatest.Carol && r.Path != "/api/v1/users/me" {
			t.Errorf("with carol's token it called %s %s", r.Method, r.Path)
		}
	}
	var recorded bool
	for _, e := range w.Trail("frank") {
		recorded = recorded || e.Operation == audit.DisconnectOkta && e.Object.ID == oktatest.Carol
	}
	if !recorded {
		t.Error("it was not recorded whose account it was")
	}
	if n := w.Auth0.Connected("frank@example.com"); n != 0 {
		t.Errorf("%d accounts stay connected, after %s", n, a.Result)
	}
}

// A row is not believed. Whoever can write it, but does not hold the key of approvals, has nothing carried out.
func TestARowThatSaysApprovedIsNotCarriedOut(t *testing.T) {
	for name, alter := range map[string]func(*world, approval.Approval){
		"approved":       func(w *world, a approval.Approval) { w.Alter(a, "status", "approved") },
		"executing":      func(w *world, a approval.Approval) { w.Alter(a, "status", "executing") },
		"another target": func(w *world, a approval.Approval) { w.Alter(a, "target_id", oktatest.Alice) },
		"another target and digest": func(w *world, a approval.Approval) {
			w.Alter(a, "target_id", oktatest.Alice)
			a.Target.ID = oktatest.Alice
			w.Alter(a, "digest", a.Sum())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			a := suspend().asked(w)
			alter(w, a)
			want := approval.Failed
			if name == "executing" { // perhaps by a worker that crashed
				want = approval.Unknown
			}
			w.ends(a, want, "This request was altered after you made it.")
			w.nothingHappens()
			if !w.Logged("approval mark does not verify") {
				t.Error("nobody is told")
			}
		})
	}
}

// An approval of the version before has no proof of having been asked for. It is read and ended, and not carried out.
func TestAnApprovalOfTheVersionBeforeIsEnded(t *testing.T) {
	w := start(t)
	a := suspend().asked(w)
	w.Remove(a, "asked_mac", "front")
	w.Decide("frank", "approve")
	w.ends(a, approval.Failed, "You asked for this before Steward was updated. Nothing has changed.")
	w.nothingHappens()
}
