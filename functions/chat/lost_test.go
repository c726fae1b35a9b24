package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
)

// lossy forwards calls to AWS. It lets some writes to DynamoDB take effect and then breaks the connection instead of answering.
type lossy struct {
	next http.Handler

	mu     sync.Mutex
	writes []string             // since the last count, in order
	lose   func(write int) bool // by its number, from 1
}

func (l *lossy) count(lose func(write int) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes, l.lose = nil, lose
}

func (l *lossy) received(r *http.Request) (lost bool) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems":
	default:
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, operation)
	return l.lose != nil && l.lose(len(l.writes))
}

func (l *lossy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !l.received(r) {
		l.next.ServeHTTP(w, r)
		return
	}
	l.next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// TestRetriedWritesAreDoneOnce goes through the chat once for each write, and loses the answer to that write. The result must
// always be the same.
func TestRetriedWritesAreDoneOnce(t *testing.T) {
	way := func(t *testing.T, w *world) {
		b := w.browser().signIn(alice)
		w.forward(time.Second)
		if to := b.location(b.get(b.consent("approve", alice))); to != w.base+"/#connected" {
			t.Fatalf("connected, and led to %s", to)
		}
		b.ask("What are my Okta groups?").wants(t, 200, "Engineering")
		a := w.ask(t.Context(), b.login().Current, aliceSub)
		b.do(http.MethodPost, "/api/approvals/"+url.PathEscape(a.ID)+"/cancel", "").wants(t, 200, `"status":"cancelled"`)
		b.do(http.MethodPost, "/api/chat/new", "").wants(t, 204)
		b.signIn(alice)
		if to := b.location(b.do(http.MethodPost, "/disconnect", "")); to != w.base+"/#disconnected" {
			t.Fatalf("disconnected, and led to %s", to)
		}
		w.ask(t.Context(), b.login().Current, aliceSub)
		b.signOut()
		all, err := w.approvals.ByOwner(t.Context(), aliceSub, 5)
		if err != nil || len(all) != 2 || all[0].Status != approval.Cancelled || all[1].Status != approval.Cancelled {
			t.Errorf("approvals %+v, %v", all, err)
		}
		for operation, n := range map[string]int{audit.SignIn: 2, audit.ConnectOkta: 1, audit.DisconnectOkta: 1, audit.SignOut: 1, "reset_password": 2} {
			if got := w.record(aliceSub, operation); len(got) != n {
				t.Errorf("%d entries of %s, want %d", len(got), operation, n)
			}
		}
	}
	w := begin(t)
	way(t, w)
	writes := len(w.table.writes)
	if writes < 15 {
		t.Fatalf("only %d writes", writes)
	}
	for n := 1; n <= writes; n++ {
		t.Run(fmt.Sprintf("%02d %s", n, w.table.writes[n-1]), func(t *testing.T) {
			w := begin(t)
			w.table.count(func(write int) bool { return write == n })
			way(t, w)
		})
	}
}

// TestCancelIsRecordedAfterAFailedWrite: the answer says that the approval is cancelled but not recorded; the next try records
// it.
func TestCancelIsRecordedAfterAFailedWrite(t *testing.T) {
	w := begin(t)
	b := w.browser().signIn(alice)
	a := w.ask(t.Context(), b.login().Current, aliceSub)
	path := "/api/approvals/" + url.PathEscape(a.ID) + "/cancel"
	failing := &failingPuts{next: w.aws}
	w.table.next = failing
	b.do(http.MethodPost, path, "").wants(t, 502, "It is cancelled, but I could not write that to your activity", `"ref"`)
	if got := w.only(aliceSub); got.Status != approval.Cancelled || got.SignedOut || got.Result != "You cancelled it. Ignore the request on your phone." {
		t.Errorf("the approval is %s, %q", got.Status, got.Result)
	}
	if got := w.record(aliceSub, "reset_password"); len(got) != 0 {
		t.Errorf("record %+v", got)
	}
	w.table.next = w.aws
	b.do(http.MethodPost, path, "").wants(t, 409, "already cancelled")
	got := w.record(aliceSub, "reset_password")
	if len(got) != 1 || got[0].Result != audit.Cancelled || got[0].Object.Label != bob || got[0].ApprovalID != a.ID {
		t.Errorf("record %+v", got)
	}
}

// failingPuts fails every PutItem: of the writes of a cancel, the audit entry.
type failingPuts struct{ next http.Handler }

func (f *failingPuts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
		panic(http.ErrAbortHandler)
	}
	f.next.ServeHTTP(w, r)
}
