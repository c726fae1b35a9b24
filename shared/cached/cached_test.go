package cached_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/cached"
)

// source counts fetches; each takes a second and gives a number one higher.
type source struct {
	fetched int
	err     error
}

func (s *source) fetch(ctx context.Context) (int, error) {
	s.fetched++
	n := s.fetched
	select {
	case <-time.After(time.Second):
		return n, s.err
	case <-ctx.Done():
		return n, ctx.Err()
	}
}

func wants(t *testing.T, what string, get func(context.Context) (int, error), want int) {
	t.Helper()
	if got, err := get(t.Context()); err != nil || got != want {
		t.Errorf("%s: %d, %v, want %d", what, got, err, want)
	}
}

func TestManyWhoAskTogetherMakeOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		v := cached.Value[int]{Fetch: s.fetch}
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := v.Get(hasty); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller who gave up got %v", err)
			}
		})
		synctest.Wait() // the hasty one has begun the fetch
		for range 10 {
			group.Go(func() { wants(t, "together", v.Get, 1) })
		}
		group.Wait()
		wants(t, "later", v.Get, 1)
		wants(t, "fresh", v.Fresh, 2)
		wants(t, "after fresh", v.Get, 2)
		v.Forget(func(n int) bool { return n == 1 })
		wants(t, "another one forgotten", v.Get, 2)
		v.Forget(func(n int) bool { return n == 2 })
		wants(t, "forgotten", v.Get, 3)
	})
}

func TestFailuresAndPanicsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{err: errors.New("down")}
		v := cached.Value[int]{Fetch: s.fetch, Timeout: 2 * time.Second}
		if _, err := v.Get(t.Context()); !errors.Is(err, s.err) {
			t.Errorf("Get() = %v", err)
		}
		s.err = nil
		wants(t, "up again", v.Get, 2)
		s.err = errors.New("down")
		if _, err := v.Fresh(t.Context()); !errors.Is(err, s.err) {
			t.Errorf("Fresh() = %v", err)
		}
		wants(t, "what was kept stays", v.Get, 2)

		broken := cached.Value[int]{Fetch: func(context.Context) (int, error) { panic("boom") }}
		if _, err := broken.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "panic: boom") {
			t.Errorf("Get() = %v", err)
		}
		hung := cached.Value[int]{Timeout: time.Second, Fetch: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }}
		if _, err := hung.Get(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get() = %v", err)
		}
	})
}

func TestExpiredValuesAreFetchedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := &source{}, time.Now().Add(time.Hour)
		v := cached.Value[int]{Fetch: s.fetch, Expires: func(n int) time.Time { return end.Add(time.Duration(n) * time.Hour) }}
		if _, ok := v.Kept(); ok {
			t.Error("a value before the first fetch")
		}
		wants(t, "first", v.Get, 1)
		time.Sleep(2*time.Hour - 2*time.Second)
		wants(t, "just before", v.Get, 1)
		if n, ok := v.Kept(); !ok || n != 1 {
			t.Errorf("Kept() = %d, %v", n, ok)
		}
		time.Sleep(time.Second)
		if _, ok := v.Kept(); ok {
			t.Error("an expired value is kept")
		}
		wants(t, "at its end", v.Get, 2)
	})
}

func TestOldValuesAreRefreshedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		v := cached.Value[int]{Fetch: s.fetch, RefreshAfter: 10 * time.Minute}
		wants(t, "first", v.Get, 1)
		time.Sleep(10 * time.Minute)
		began := time.Now()
		wants(t, "old", v.Get, 1)
		wants(t, "old, and being fetched", v.Get, 1)
		if time.Since(began) > 0 {
			t.Error("a caller waited for the refresh")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wants(t, "refreshed", v.Get, 2)
		s.err = errors.New("down")
		for range 3 {
			time.Sleep(10 * time.Minute)
			wants(t, "the source is down", v.Get, 2)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s.fetched != 5 {
			t.Errorf("fetched %d times, want one try in ten minutes", s.fetched)
		}
	})
}

func TestAnotherValueInPlaceOfARefusedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		v := cached.Value[int]{Fetch: s.fetch, RetryAfter: time.Minute}
		another := func(what string, refused, want, fetched int) {
			t.Helper()
			got, ok := v.Another(t.Context(), func(n int) bool { return n <= refused })
			if ok != (want > 0) || ok && got != want || s.fetched != fetched {
				t.Errorf("%s: %d, %v after %d fetches, want %d after %d", what, got, ok, s.fetched, want, fetched)
			}
		}
		wants(t, "first", v.Get, 1)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { another("five together", 1, 2, 2) })
		}
		group.Wait()
		another("replaced already", 1, 2, 2)
		another("within the minute", 2, 0, 2)
		time.Sleep(time.Minute)
		another("a minute later, refused again", 3, 0, 3)
		time.Sleep(time.Minute)
		s.err = errors.New("down")
		another("the source is down", 3, 0, 4)
		wants(t, "what was kept stays", v.Get, 3)
	})
}
