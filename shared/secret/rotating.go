package secret

import (
	"context"
	"time"

	"github.com/steward-iam/steward/shared/cached"
)

// freshEvery is how often, at most, a secret is read anew because somebody refused it. Whoever refuses it for another reason
// would otherwise have it read with every call.
const freshEvery = time.Minute

// Rotating is a secret that may be replaced while this process lives. It is safe for concurrent use.
type Rotating struct {
	get   func(context.Context) (String, error)
	newer cached.Value[String]
}

// NewRotating returns a secret that get returns, from a cache as a rule, and that fresh reads past any cache. Fresh is nil for
// a secret that needs a new process to be replaced; a nil now is time.Now.
func NewRotating(get, fresh func(context.Context) (String, error), now func() time.Time) *Rotating {
	return &Rotating{get: get, newer: cached.Value[String]{Fetch: fresh, RetryAfter: freshEvery, Now: now}}
}

// Get returns the newest value that is known. Errors are those of get.
func (r *Rotating) Get(ctx context.Context) (String, error) {
	if s, ok := r.newer.Kept(); ok {
		return s, nil
	}
	return r.get(ctx)
}

// Another returns the value in place of refused, or false if there is no other: it was not replaced, it was read within the
// last minute, or it cannot be read. Callers that come together wait for one reading.
func (r *Rotating) Another(ctx context.Context, refused String) (String, bool) {
	if r.newer.Fetch == nil {
		return String{}, false
	}
	return r.newer.Another(ctx, refused.Equal)
}
