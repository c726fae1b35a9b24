package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// Limit is how often a person may do something in a window of time.
type Limit struct {
	Name   string // the key in the table
	Most   int
	Window time.Duration
}

// The limits of a person, over all their browsers and all processes. A question costs a turn of the model and up to two minutes
// of a function instance: twenty a minute is faster than anybody types, five hundred a day is a full day of work. The other
// limits are well above what a person does by hand; ten tries are not enough to guess a link code of eight characters that is
// valid for minutes.
var (
	questionsAMinute = Limit{Name: "questions a minute", Most: 20, Window: time.Minute}
	questionsADay    = Limit{Name: "questions a day", Most: 500, Window: 24 * time.Hour}
	newChats         = Limit{Name: "new chats", Most: 10, Window: time.Minute}
	connections      = Limit{Name: "connections", Most: 10, Window: 10 * time.Minute}
	linkTries        = Limit{Name: "link tries", Most: 10, Window: 10 * time.Minute}
)

// count adds one to each of the limits, in parallel. If a limit is exceeded it returns a fault.Invalid with status 429.
func (a *App) count(ctx context.Context, owner session.Subject, limits ...Limit) error {
	waits := make([]time.Duration, len(limits))
	jobs := make([]func() error, len(limits))
	now := a.Now()
	for i, limit := range limits {
		jobs[i] = func() (err error) {
			waits[i], err = a.Limits.OfOwner(ctx, owner, limit, now)
			return err
		}
	}
	if err := runAll(jobs); err != nil {
		return err
	}
	return tooMany(slices.Max(waits))
}

// tooMany returns the error for somebody who has to wait, nil if wait is 0.
func tooMany(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	say := "Please try again in " + strconv.Itoa(seconds) + " s."
	switch {
	case seconds > 2*60*60:
		say = "Please try again in " + strconv.Itoa((seconds+3599)/3600) + " hours."
	case seconds > 2*60:
		say = "Please try again in " + strconv.Itoa((seconds+59)/60) + " minutes."
	}
	return fault.New(fault.Invalid, "You are asking too often. "+say, &limitError{status: http.StatusTooManyRequests, retryAfter: strconv.Itoa(seconds)})
}

// limiter has a token bucket for each login, in this process alone. It protects the table from a page that polls too fast.
type limiter struct {
	burst float64
	every time.Duration // the time in which one token is added

	mu      sync.Mutex
	buckets map[session.LoginKey]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// maxBuckets is the number of buckets at which full ones are deleted: they carry no information.
const maxBuckets = 4096

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: float64(burst), every: every, buckets: map[session.LoginKey]bucket{}}
}

// take takes a token. If there is none it returns the time until there is one.
func (l *limiter) take(key session.LoginKey, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buckets) >= maxBuckets {
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

// check is take with an error for the answer.
func (l *limiter) check(key session.LoginKey, now time.Time) error { return tooMany(l.take(key, now)) }
