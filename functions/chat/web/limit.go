package web

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// limiter is a token bucket for each login.
type limiter struct {
	burst float64
	every time.Duration // one more token

	mu      sync.Mutex
	buckets map[session.LoginKey]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// manyBuckets is when full ones are thrown out: they say nothing.
const manyBuckets = 4096

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: float64(burst), every: every, buckets: map[session.LoginKey]bucket{}}
}

// take takes a token, or says how long to wait for one.
func (l *limiter) take(key session.LoginKey, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buckets) >= manyBuckets {
		for k, b := range l.buckets {
			if l.level(b, now) >= l.burst {
				delete(l.buckets, k)
			}
		}
	}
	b, ok := l.buckets[key]
	if !ok {
		b = bucket{tokens: l.burst, at: now}
	}
	b = bucket{tokens: l.level(b, now), at: now}
	if b.tokens < 1 {
		wait = time.Duration((1 - b.tokens) * float64(l.every))
	} else {
		b.tokens--
	}
	l.buckets[key] = b
	return wait
}

func (l *limiter) level(b bucket, now time.Time) float64 {
	return min(l.burst, b.tokens+max(0, float64(now.Sub(b.at)))/float64(l.every))
}

// check is take as an error.
func (l *limiter) check(key session.LoginKey, now time.Time) error {
	wait := l.take(key, now)
	if wait <= 0 {
		return nil
	}
	seconds := strconv.Itoa(int(wait/time.Second) + 1)
	return fault.New(fault.Invalid, "That is a lot at once. Please wait "+seconds+" s and try again.",
		&limitError{status: http.StatusTooManyRequests, retry: seconds})
}
