package secret

import (
	"context"
	"time"

	"github.com/steward-iam/steward/shared/cached"
)

// rereadInterval is the least time between two reads of a secret that was refused. Without it, a service that refuses for another
// reason would cause a read with every call.
const rereadInterval = time.Minute

// Rotating is a secret that may be replaced while the process runs. It is safe for concurrent use.
type Rotating struct {
	get   func(context.Context) (String, error)
	newer cached.Value[String]
}

// NewRotating makes a Rotating. get returns the secret, usually from a cache; fresh reads it without a cache. If fresh is nil, a
// replaced secret needs a new process. If now is nil, it is time.Now.
func NewRotating(get, fresh func(context.Context) (String, error), now func() time.Time) *Rotating {
	return &Rotating{get: get, newer: cached.Value[String]{Fetch: fresh, RetryAfter: rereadInterval, Now: now}}
}

// Get returns the newest value that was read. Errors are those of get.
func (r *Rotating) Get(ctx context.Context) (String, error) {
	if s, ok := r.newer.Kept(); ok {
		return s, nil
	}
	return r.get(ctx)
}

// Another returns the new value after refused was refused. It returns false if the secret was not replaced, was read within the
// last minute, or cannot be read. Concurrent callers share one read.
func (r *Rotating) Another(ctx context.Context, refused String) (String, bool) {
	if r.newer.Fetch == nil {
		return String{}, false
	}
	return r.newer.Another(ctx, refused.Equal)
}
