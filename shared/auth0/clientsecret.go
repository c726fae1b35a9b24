package auth0

import (
	"context"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/secret"
)

// rereadInterval is the least time between two fresh reads of the client secret. Without it, a tenant that refuses the client for
// another reason would cause a read with every call.
const rereadInterval = time.Minute

// clientSecret returns the client secret, and reads it again when it has changed.
type clientSecret struct {
	cached func(context.Context) (secret.String, error)
	fresh  func(context.Context) (secret.String, error) // reads without a cache; nil if that is not possible

	mu     sync.Mutex
	newest secret.String // the last result of fresh, zero before
	readAt time.Time     // of the last call of fresh
}

func (s *clientSecret) get(ctx context.Context) (secret.String, error) {
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	if !newest.IsZero() {
		return newest, nil
	}
	return s.cached(ctx)
}

// changed returns the new secret after the tenant refused one. It is zero if the secret has not changed, was read within the last minute,
// or cannot be read. Concurrent callers share one read.
func (s *clientSecret) changed(ctx context.Context, refused secret.String, now time.Time) secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh != nil && (s.readAt.IsZero() || now.Sub(s.readAt) >= rereadInterval) && (s.newest.IsZero() || s.newest.Equal(refused)) {
		s.readAt = now
		if read, err := s.fresh(ctx); err == nil { // after an error the caller returns the tenant's refusal
			s.newest = read
		}
	}
	if s.newest.Equal(refused) {
		return secret.String{}
	}
	return s.newest
}
