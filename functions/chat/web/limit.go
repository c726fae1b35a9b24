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
	Name   string // of what is counted
	Most   int
	Window time.Duration
}

// What a person may do, all their browsers and all processes together. A question costs a turn of the model and up to two minutes of
// a function's instance: twenty a minute is faster than anybody types, five hundred a day is a full day of work. A new chat, a
// visit to Okta's consent and a try at a link code are things for a person's hand; a code of eight characters that lives some
// minutes is not found in ten tries.
var (
	questionsAMinute = Limit{Name: "questions a minute", Most: 20, Window: time.Minute}
	questionsADay    = Limit{Name: "questions a day", Most: 500, Window: 24 * time.Hour}
	newChats         = Limit{Name: "new chats", Most: 10, Window: time.Minute}
	connections      = Limit{Name: "connections", Most: 10, Window: 10 * time.Minute}
	linkTries        = Limit{Name: "link tries", Most: 10, Window: 10 * time.Minute}
)

// count counts once more against each of the limits, side by side, and refuses where one is reached.
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
	if err := together(jobs); err != nil {
		return err
	}
	return tooMany(slices.Max(waits))
}

// tooMany is the refusal of whoever has to wait that long, nil where nobody has.
func tooMany(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	say := "Please wait " + strconv.Itoa(seconds) + " s and try again."
	switch {
	case seconds > 2*60*60:
		say = "Please try again in " + strconv.Itoa((seconds+3599)/3600) + " hours."
	case seconds > 2*60:
		say = "Please try again in " + strconv.Itoa((seconds+59)/60) + " minutes."
	}
	return fault.New(fault.Invalid, "That is a lot at once. "+say, &limitError{status: http.StatusTooManyRequests, retry: strconv.Itoa(seconds)})
}

// limiter is a token bucket for each login, in this process alone. It keeps a page that polls in a loop away from the table.
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
func (l *limiter) check(key session.LoginKey, now time.Time) error { return tooMany(l.take(key, now)) }
