package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// ReserveTurn reserves the one running turn of a login until the given time, and returns a token with which [Sessions.EndTurn] gives
// it back. A fault of kind Conflict says that another turn is running, one of kind Unauthenticated that the login has ended. The
// token is stored, so that an SDK retry of a write that succeeded is recognised as such.
func (s *Sessions) ReserveTurn(ctx context.Context, k session.LoginKey, now, until time.Time) (token string, err error) {
	token = rand.Text()
	err = s.table.update(ctx, change{
		partition: loginPartition(k), sort: loginItem,
		update:    "SET turn_until = :until, turn_token = :token",
		condition: "attribute_exists(session_id) AND (attribute_not_exists(turn_until) OR turn_until <= :now OR turn_token = :token)",
		values:    item{":until": moment(until), ":now": moment(now), ":token": text(token)},
	})
	if !errors.Is(err, errCondition) {
		return token, err
	}
	if _, err := s.Login(ctx, k); err != nil {
		return "", err
	}
	return "", fault.New(fault.Conflict, "I am still answering your last question. Please ask again when I have finished.", errors.New("another turn is running"))
}

// EndTurn gives back the turn that was taken with token. A turn that another one has followed is no error.
func (s *Sessions) EndTurn(ctx context.Context, k session.LoginKey, token string) error {
	err := s.table.update(ctx, change{
		partition: loginPartition(k), sort: loginItem,
		update:    "REMOVE turn_until, turn_token",
		condition: "turn_token = :token",
		values:    item{":token": text(token)},
	})
	if errors.Is(err, errCondition) {
		return nil // or given back by a write whose answer was lost
	}
	return err
}

const flowItem = "flow"

// UseFlow counts a visit to Auth0 as used, by its unguessable name, until it would have expired by itself. A fault of kind Conflict
// says that it was used before.
func (s *Sessions) UseFlow(ctx context.Context, name string, expires time.Time) error {
	err := s.table.update(ctx, change{
		partition: "flow#" + name, sort: flowItem,
		update:    "SET write_token = :token, #ttl = :ttl",
		condition: "attribute_not_exists(write_token) OR write_token = :token",
		names:     map[string]string{"#ttl": TTLAttribute},
		values:    item{":token": text(rand.Text()), ":ttl": ttl(expires.Add(time.Hour))},
	})
	if errors.Is(err, errCondition) {
		return fault.New(fault.Conflict, "This was done already.", err)
	}
	return err
}
