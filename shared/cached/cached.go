// Package cached keeps a value that is fetched by a call, such as a secret, a token or a provider's metadata.
//
//	token := cached.Value[Token]{Fetch: fetch, Timeout: 3 * time.Second, Expires: func(t Token) time.Time { return t.Expires }}
//	t, err := token.Get(ctx)   // fetched the first time, and when it has expired
//	t, err = token.Fresh(ctx)  // always fetched
//
// Concurrent callers share one fetch. It does not end with the context of the caller that started it, as others wait for it, too.
// Errors are not kept. golang.org/x/sync/singleflight does not keep values, and ends the process if a fetch panics; here a panic
// becomes an error.
package cached

import (
	"context"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/parallel"
)

// Value is one cached value. It is safe for concurrent use; its exported fields are set before the first call.
type Value[T any] struct {
	// Fetch gets the value. Its context has the values of the caller's context, and only Timeout as a limit.
	Fetch func(context.Context) (T, error)
	// Timeout limits one fetch; 0 if Fetch has a limit of its own.
	Timeout time.Duration
	// Expires returns when a value must no longer be used. Nil for values that do not expire.
	Expires func(T) time.Time
	// RefreshAfter is the age at which [Value.Get] returns the kept value and fetches a new one in the background; 0 for never.
	RefreshAfter time.Duration
	// RetryAfter is the least time between two fetches of [Value.Another].
	RetryAfter time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu      sync.Mutex
	value   T
	known   bool
	fetched time.Time // when the last fetch began
	retried time.Time // when the last fetch of Another began
	flight  *flight[T]
}

// flight is a fetch under way.
type flight[T any] struct {
	done  chan struct{} // closed when value and err are final
	value T
	err   error
}

// Get returns the kept value, fetched if there is none or it has expired. Errors are those of Fetch and of ctx.
func (v *Value[T]) Get(ctx context.Context) (T, error) {
	v.mu.Lock()
	if value, ok := v.current(); ok {
		if v.RefreshAfter > 0 && v.now().Sub(v.fetched) >= v.RefreshAfter {
			v.start(ctx)
		}
		v.mu.Unlock()
		return value, nil
	}
	f := v.start(ctx)
	v.mu.Unlock()
	return f.wait(ctx)
}

// Kept returns the kept value without fetching, and false if there is none or it has expired.
func (v *Value[T]) Kept() (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current()
}

// Fresh fetches the value, or waits for a fetch under way. If that fails, what was kept stays.
func (v *Value[T]) Fresh(ctx context.Context) (T, error) {
	v.mu.Lock()
	f := v.start(ctx)
	v.mu.Unlock()
	return f.wait(ctx)
}

// Another returns a value to use after one that somebody refused: it may have been rotated. It fetches at most once in
// RetryAfter, and only while the kept value is refused. False means that there is no other value, as far as is known.
func (v *Value[T]) Another(ctx context.Context, refused func(T) bool) (T, bool) {
	v.mu.Lock()
	value, ok := v.current()
	if ok && !refused(value) {
		v.mu.Unlock()
		return value, true
	}
	if v.flight == nil && !v.retried.IsZero() && v.now().Sub(v.retried) < v.RetryAfter {
		v.mu.Unlock()
		return value, false
	}
	if v.flight == nil {
		v.retried = v.now()
	}
	f := v.start(ctx)
	v.mu.Unlock()
	value, err := f.wait(ctx)
	return value, err == nil && !refused(value)
}

// Forget drops the kept value if match returns true for it.
func (v *Value[T]) Forget(match func(T) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known && match(v.value) {
		var none T
		v.value, v.known = none, false
	}
}

func (v *Value[T]) current() (value T, ok bool) {
	if !v.known || v.Expires != nil && !v.now().Before(v.Expires(v.value)) {
		return value, false
	}
	return v.value, true
}

// start returns the fetch under way, or begins one. The caller holds mu.
func (v *Value[T]) start(ctx context.Context) *flight[T] {
	if v.flight == nil {
		v.flight = &flight[T]{done: make(chan struct{})}
		v.fetched = v.now()
		go v.land(context.WithoutCancel(ctx), v.flight)
	}
	return v.flight
}

func (v *Value[T]) land(ctx context.Context, f *flight[T]) {
	if v.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.Timeout)
		defer cancel()
	}
	f.err = parallel.Recover(func() (err error) {
		f.value, err = v.Fetch(ctx)
		return err
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flight = nil
	if f.err == nil {
		v.value, v.known = f.value, true
	}
	close(f.done)
}

func (f *flight[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// now is the wall clock: the monotonic one stops while AWS has frozen the process.
func (v *Value[T]) now() time.Time {
	if v.Now != nil {
		return v.Now().Round(0)
	}
	return time.Now().Round(0)
}
