package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/shared/session"
)

// Limit is how often something may happen in a window of time. Windows begin at whole multiples of their length since the
// epoch, in UTC, so that one write counts.
type Limit struct {
	Name   string // of what is counted, e.g. "questions"
	Most   int
	Window time.Duration
}

// Limits counts in the table, so that all processes count together.
type Limits struct{ table table }

// NewLimits counts in the table of that name.
func NewLimits(client *dynamodb.Client, name string) *Limits {
	return &Limits{table: table{client: client, name: name}}
}

// OfOwner counts one more for a person. Wait is zero where the limit allows it, else the time until the next window.
func (l *Limits) OfOwner(ctx context.Context, owner session.Subject, limit Limit, now time.Time) (wait time.Duration, err error) {
	return l.take(ctx, ownerPartition(owner), limit, now)
}

// OfSession counts one more for a session. Wait is as for [Limits.OfOwner].
func (l *Limits) OfSession(ctx context.Context, id session.ID, limit Limit, now time.Time) (wait time.Duration, err error) {
	return l.take(ctx, string(id), limit, now)
}

// take counts by one conditional write, which stores a random token, so that an SDK retry of a write that succeeded is
// recognised as such and not counted twice.
func (l *Limits) take(ctx context.Context, partition string, limit Limit, now time.Time) (time.Duration, error) {
	begin := now.Truncate(limit.Window)
	row := "count#" + limit.Name + "#" + strconv.FormatInt(begin.Unix(), 10)
	token := rand.Text()
	err := l.table.update(ctx, change{
		partition: partition, sort: row, token: token,
		update:    "SET write_token = :token, #ttl = :ttl ADD #count :one",
		condition: "attribute_not_exists(#count) OR (#count < :most AND write_token <> :token)",
		names:     map[string]string{"#count": "count", "#ttl": TTLAttribute},
		values: item{
			":token": text(token), ":one": number(1), ":most": number(int64(limit.Most)), ":ttl": ttl(begin.Add(limit.Window + time.Hour)),
		},
	})
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, errCondition):
		return begin.Add(limit.Window).Sub(now), nil
	}
	return 0, err
}
