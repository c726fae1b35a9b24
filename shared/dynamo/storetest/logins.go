package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

func testTurnOfALogin(t *testing.T, s *dynamo.Sessions) {
	l := session.Login{Key: "turns", Owner: session.Person{Subject: "oidc|turns"}, Current: session.NewID(), CreatedAt: start, ExpiresAt: start.Add(8 * time.Hour)}
	l.Sessions = []session.ID{l.Current}
	must(t, s.PutLogin(t.Context(), l))

	var taken atomic.Int32
	var first atomic.Value
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			token, err := s.ReserveTurn(t.Context(), l.Key, start, start.Add(time.Minute))
			if err != nil {
				wantKind(t, "a turn beside another", fault.Conflict, err)
				return
			}
			taken.Add(1)
			first.Store(token)
		})
	}
	wg.Wait()
	if taken.Load() != 1 {
		t.Fatalf("%d turns run at once, want 1", taken.Load())
	}
	must(t, s.EndTurn(t.Context(), l.Key, "another token"))
	_, err := s.ReserveTurn(t.Context(), l.Key, start.Add(59*time.Second), start.Add(2*time.Minute))
	wantKind(t, "a turn that another token ended", fault.Conflict, err)

	must(t, s.EndTurn(t.Context(), l.Key, first.Load().(string)))
	must(t, s.EndTurn(t.Context(), l.Key, first.Load().(string)))
	_, err = s.ReserveTurn(t.Context(), l.Key, start, start.Add(time.Minute))
	must(t, err)
	second, err := s.ReserveTurn(t.Context(), l.Key, start.Add(time.Minute), start.Add(2*time.Minute))
	must(t, err) // the one before has run out
	must(t, s.EndTurn(t.Context(), l.Key, second))

	if got, err := s.Login(t.Context(), l.Key); err != nil || got.Owner.Subject != l.Owner.Subject || len(got.Sessions) != 1 {
		t.Errorf("the login is %+v, %v", got, err)
	}
	_, err = s.ReserveTurn(t.Context(), "nobody", start, start.Add(time.Minute))
	wantKind(t, "a turn of no login", fault.Unauthenticated, err)
	must(t, s.EndTurn(t.Context(), "nobody", "x"))
	_, err = s.Login(t.Context(), "nobody")
	wantKind(t, "a login that a turn made", fault.Unauthenticated, err)
}

func testFlows(t *testing.T, s *dynamo.Sessions) {
	must(t, s.UseFlow(t.Context(), "one", start))
	wantKind(t, "a flow used twice", fault.Conflict, s.UseFlow(t.Context(), "one", start))
	must(t, s.UseFlow(t.Context(), "two", start))
}
