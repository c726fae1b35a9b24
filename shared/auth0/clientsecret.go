package auth0

import (
	"context"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/secret"
)

// freshEvery is how often, at most, the client secret is read anew. A tenant that refuses it for another reason would
// otherwise have it read with every call.
const freshEvery = time.Minute

// clientSecret gives out the client secret, and notices when it was changed while this process lives.
type clientSecret struct {
	cached func(context.Context) (secret.String, error)
	fresh  func(context.Context) (secret.String, error) // nil if it cannot be read anew

	mu     sync.Mutex
	newest secret.String // what fresh gave last; zero before
	asked  time.Time     // when fresh was asked last
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

// changed returns the secret in place of refused, which the tenant does not take, or a zero one if there is no other: it was
// not changed, it was read within the last minute, or it cannot be read. Callers that come together wait for one reading.
func (s *clientSecret) changed(ctx context.Context, refused secret.String, now time.Time) secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh != nil && (s.asked.IsZero() || now.Sub(s.asked) >= freshEvery) && (s.newest.IsZero() || s.newest.Equal(refused)) {
		s.asked = now
		if read, err := s.fresh(ctx); err == nil { // an error leaves the refusal to speak for itself
			s.newest = read
		}
	}
	if s.newest.Equal(refused) {
		return secret.String{}
	}
	return s.newest
}
