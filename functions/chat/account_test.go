package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/session"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// record returns a person's audit entries of one operation, oldest first.
func (w *world) record(owner session.Subject, operation string) (entries []audit.Entry) {
	w.t.Helper()
	all, err := dynamo.NewAudit(dynamodb.NewFromConfig(w.from), "audit", nil).BySubject(w.t.Context(), owner, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range slices.Backward(all) {
		if e.Operation == operation {
			entries = append(entries, e)
		}
	}
	return entries
}

// wantRecord compares all fields of the entries except id, time and session.
func (w *world) wantRecord(owner session.Subject, operation string, want ...audit.Entry) {
	w.t.Helper()
	got := w.record(owner, operation)
	for i := range got {
		if got[i].ID == "" || got[i].At.IsZero() || len(got[i].Session) != 16 {
			w.t.Errorf("entry without id, time or the fingerprint of its session: %+v", got[i])
		}
	}
	for i := range want {
		want[i].Operation, want[i].Subject, want[i].Kind, want[i].Permission, want[i].Front = operation, owner, audit.Outcome, audit.Unchecked, session.FrontChat
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Entry{}, "ID", "At", "Session"), cmpopts.IgnoreUnexported(audit.Entry{})); diff != "" {
		w.t.Errorf("record of %s (-want +got):\n%s", operation, diff)
	}
}

func aliceAtOkta() audit.Ref { return audit.Ref{Type: "okta_user", ID: oktatest.Alice, Label: alice} }
func bobAtOkta() audit.Ref   { return audit.Ref{Type: "okta_user", ID: oktatest.Bob, Label: bob} }

// cached returns how many sessions of the browser's login have data of an Okta account.
func (b *browser) cached() (n int) {
	b.t.Helper()
	for _, id := range b.login().Sessions {
		s, err := b.sessions.Session(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(s.OktaToken) > 0 || s.OktaUserID != "" || s.OktaLogin != "" || !s.OktaExpires.IsZero() {
			n++
		}
	}
	return n
}

// Alice connects bob's account. It is not used, the page says so, it is disconnected, and her own account works afterwards.
func TestTheWrongAccountIsDisconnected(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	b.location(b.get(b.consent("approve", alice)))
	b.do(http.MethodPost, "/api/chat/new", "").wants(t, 204)
	b.get("/").wants(t, 200, "Okta connected")
	if n := b.cached(); n != 2 {
		t.Fatalf("%d sessions remember the account, want both", n)
	}

	w.forward(time.Second)
	page := b.get(b.consent("approve", bob)).wants(t, 409, `data-testid="wrong-account"`, "<bdi>"+bob+"</bdi>", "<bdi>"+alice+"</bdi>", "I disconnected it", `href="/"`, `data-testid="ref"`)
	if strings.Contains(page.body, oktatest.Bob) {
		t.Error("the page shows an id")
	}
	if n := b.cached(); n != 0 {
		t.Errorf("%d sessions remember an account", n)
	}
	b.get("/").wants(t, 200, `data-testid="connect-card"`, "Not connected")
	for _, r := range w.okta.Requests() {
		if r.Actor == oktatest.Bob && (r.Method != "GET" || r.Path != "/api/v1/users/me") {
			t.Errorf("with bob's token: %s %s", r.Method, r.Path)
		}
	}

	w.forward(time.Second)
	b.location(b.get(b.consent("approve", alice)))
	b.get("/").wants(t, 200, "Okta connected", "<bdi>"+alice+"</bdi>")
	w.wantRecord(aliceSub, "connect_okta",
		audit.Entry{Result: audit.OK, Object: aliceAtOkta()},
		audit.Entry{Result: "conflict", Object: bobAtOkta()},
		audit.Entry{Result: audit.OK, Object: aliceAtOkta()})
}

// While Okta cannot be asked whose account it is, the account is not used; it is checked later.
func TestUnverifiedAccountIsNotUsed(t *testing.T) {
	for name, person := range map[string]string{"one's own": alice, "another's": bob} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			b := w.browser().signIn(alice)
			b.location(b.get(b.consent("approve", alice)))
			w.forward(time.Second)
			w.okta.Fail(faults.Fault{Match: "/users/me", Status: 503})
			b.get(b.consent("approve", person)).wants(t, 502, "could not find out whose it is", `data-testid="ref"`)
			if n := b.cached(); n != 0 {
				t.Errorf("%d sessions remember an account that nobody has compared", n)
			}
			got := w.record(aliceSub, "connect_okta")
			if len(got) != 2 || got[1].Result != audit.Unknown || got[1].Object.ID != "" || len(got[1].Reference) != 10 {
				t.Errorf("record %+v", got)
			}
			b.get("/").wants(t, 200, "Reconnect Okta", "could not ask Okta")
			w.okta.Fail()
			w.forward(time.Second)
			if person == alice {
				b.get("/").wants(t, 200, "Okta connected")
				return
			}
			b.get("/").wants(t, 200, `data-testid="connect-card"`)
			w.wantRecord(aliceSub, "disconnect_okta", audit.Entry{Result: audit.OK, Object: bobAtOkta()})
		})
	}
}

func TestDisconnect(t *testing.T) {
	w := begin(t)
	if to := w.browser().location(w.browser().do(http.MethodPost, "/disconnect", "")); to != w.base+"/" {
		t.Errorf("signed out, /disconnect leads to %s", to)
	}
	b := w.browser().signIn(alice)
	b.get("/").wants(t, 200, "You can disconnect it at any time in the account menu.")
	account := func() (a struct {
		Okta, Login string
		Since       time.Time
	},
	) {
		t.Helper()
		if err := json.Unmarshal([]byte(b.get("/api/account").wants(t, 200).body), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if got := account(); got.Okta != "missing" || got.Login != "" || !got.Since.IsZero() {
		t.Errorf("before connecting: %+v", got)
	}
	b.location(b.get(b.consent("approve", alice)))
	b.do(http.MethodPost, "/api/chat/new", "").wants(t, 204)
	b.get("/").wants(t, 200, `data-testid="disconnect"`, "<bdi>"+alice+"</bdi>")
	if got := account(); got.Okta != "connected" || got.Login != alice || w.clock().Sub(got.Since).Abs() > time.Minute {
		t.Errorf("account %+v", got)
	}

	for _, headers := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site", "Origin", w.auth0.URL}} {
		b.do(http.MethodPost, "/disconnect", "", headers...).wants(t, 403, "another site")
	}
	b.get("/disconnect").wants(t, 404)
	b.get("/").wants(t, 200, "Okta connected")

	if to := b.location(b.do(http.MethodPost, "/disconnect", "", "Origin", w.base, "Sec-Fetch-Site", "same-origin")); to != w.base+"/#disconnected" {
		t.Errorf("disconnected, and led to %s", to)
	}
	if n := b.cached(); n != 0 {
		t.Errorf("%d sessions remember the account", n)
	}
	b.get("/").wants(t, 200, `data-testid="connect-card"`)
	if got := account(); got.Okta != "missing" {
		t.Errorf("after disconnecting: %+v", got)
	}
	w.wantRecord(aliceSub, "disconnect_okta", audit.Entry{Result: audit.OK, Object: aliceAtOkta()})
}
