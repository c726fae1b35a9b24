package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

const (
	sessionItem = "session"
	loginItem   = "login"
)

// Sessions keeps sessions and logins.
type Sessions struct{ table table }

// NewSessions keeps them in the table of that name.
func NewSessions(client *dynamodb.Client, name string) *Sessions {
	return &Sessions{table: table{client: client, name: name}}
}

// personRow is the part of a row that says whose it is.
type personRow struct {
	Subject       session.Subject `dynamodbav:"subject,omitempty"`
	Email         string          `dynamodbav:"email,omitempty"`
	EmailVerified bool            `dynamodbav:"email_verified"`
	Name          string          `dynamodbav:"name,omitempty"`
	Picture       string          `dynamodbav:"picture,omitempty"`
}

// sessionRow is a session as the table keeps it.
type sessionRow struct {
	personRow

	ID           session.ID       `dynamodbav:"session_id"`
	Item         string           `dynamodbav:"item"`
	TTL          int64            `dynamodbav:"ttl"`
	Login        session.LoginKey `dynamodbav:"login,omitempty"`
	Front        session.Front    `dynamodbav:"front,omitempty"`
	CreatedAt    millis           `dynamodbav:"created_at"`
	ExpiresAt    millis           `dynamodbav:"expires_at"`
	RefreshToken []byte           `dynamodbav:"refresh_token,omitempty"`
	OktaToken    []byte           `dynamodbav:"okta_token,omitempty"`
	OktaExpires  millis           `dynamodbav:"okta_expires,omitempty"`
	OktaUserID   string           `dynamodbav:"okta_user_id,omitempty"`
	OktaLogin    string           `dynamodbav:"okta_login,omitempty"`
}

// PutSession stores a new session. An id is never used twice.
func (s *Sessions) PutSession(ctx context.Context, v session.Session) error {
	return s.create(ctx, sessionRow{
		personRow: personRow(v.Owner), ID: v.ID, Item: sessionItem, TTL: v.ExpiresAt.Add(keep).Unix(), Login: v.Login, Front: v.Front,
		CreatedAt: toMillis(v.CreatedAt), ExpiresAt: toMillis(v.ExpiresAt), RefreshToken: v.RefreshToken,
		OktaToken: v.OktaToken, OktaExpires: toMillis(v.OktaExpires), OktaUserID: v.OktaUserID, OktaLogin: v.OktaLogin,
	})
}

func (s *Sessions) create(ctx context.Context, row any) error {
	it, err := attributevalue.MarshalMap(row)
	if err != nil {
		return fmt.Errorf("encode row: %w", err)
	}
	err = s.table.insert(ctx, it)
	if errors.Is(err, errCondition) {
		return fault.New(fault.Conflict, "I could not complete your sign-in. Please sign in again.", err)
	}
	return err
}

// Session reads a session. Without one the error is of kind Unauthenticated. Whether it still lives is for the caller
// to compare with the clock.
func (s *Sessions) Session(ctx context.Context, id session.ID) (session.Session, error) {
	it, err := s.table.get(ctx, string(id), sessionItem)
	if err != nil {
		return session.Session{}, err
	}
	if it == nil {
		return session.Session{}, session.NotSignedIn(errors.New("no such session"))
	}
	r := sessionRow{Front: session.FrontChat} // a row of the version before names none
	if err := decode(it, &r); err != nil {
		return session.Session{}, err
	}
	return session.Session{
		ID: id, Owner: session.Person(r.personRow), Login: r.Login, CreatedAt: r.CreatedAt.time(), ExpiresAt: r.ExpiresAt.time(),
		RefreshToken: r.RefreshToken, OktaToken: r.OktaToken, OktaExpires: r.OktaExpires.time(),
		OktaUserID: r.OktaUserID, OktaLogin: r.OktaLogin, Front: r.Front,
	}, nil
}

// SaveOktaToken keeps a sealed token in a session that still exists; a session that was ended meanwhile stays ended.
func (s *Sessions) SaveOktaToken(ctx context.Context, id session.ID, sealed []byte, expires time.Time) error {
	return s.touch(ctx, change{
		partition: string(id), sort: sessionItem,
		update: "SET okta_token = :token, okta_expires = :expires",
		values: item{":token": blob(sealed), ":expires": moment(expires)},
	})
}

// SaveOktaUser remembers the owner's own id and login at Okta.
func (s *Sessions) SaveOktaUser(ctx context.Context, id session.ID, oktaUserID, login string) error {
	return s.touch(ctx, change{
		partition: string(id), sort: sessionItem,
		update: "SET okta_user_id = :id, okta_login = :login",
		values: item{":id": text(oktaUserID), ":login": text(login)},
	})
}

// ForgetOkta removes what a session remembers of the connected Okta account: token, expiry, id and login. A session that has
// ended is no error.
func (s *Sessions) ForgetOkta(ctx context.Context, id session.ID) error {
	err := s.table.update(ctx, change{
		partition: string(id), sort: sessionItem,
		update:    "REMOVE okta_token, okta_expires, okta_user_id, okta_login",
		condition: "attribute_exists(session_id)",
	})
	if errors.Is(err, errCondition) {
		return nil
	}
	return err
}

// touch updates a row only if it is there: an update would create it otherwise, without an owner.
func (s *Sessions) touch(ctx context.Context, c change) error {
	c.condition = "attribute_exists(session_id)"
	err := s.table.update(ctx, c)
	if errors.Is(err, errCondition) {
		return session.NotSignedIn(errors.New("the session ended meanwhile"))
	}
	return err
}

// DeleteSession ends a session.
func (s *Sessions) DeleteSession(ctx context.Context, id session.ID) error {
	return s.table.delete(ctx, string(id), sessionItem)
}

func loginPartition(k session.LoginKey) string { return "login#" + string(k) }

// loginRow is a login as the table keeps it.
type loginRow struct {
	personRow

	Key       string       `dynamodbav:"session_id"`
	Item      string       `dynamodbav:"item"`
	TTL       int64        `dynamodbav:"ttl"`
	Current   session.ID   `dynamodbav:"current,omitempty"`
	Sessions  []session.ID `dynamodbav:"sessions,stringset"`
	CreatedAt millis       `dynamodbav:"created_at"`
	ExpiresAt millis       `dynamodbav:"expires_at"`
}

// PutLogin stores a new login.
func (s *Sessions) PutLogin(ctx context.Context, v session.Login) error {
	return s.create(ctx, loginRow{
		personRow: personRow(v.Owner), Key: loginPartition(v.Key), Item: loginItem, TTL: v.ExpiresAt.Add(keep).Unix(),
		Current: v.Current, Sessions: v.Sessions, CreatedAt: toMillis(v.CreatedAt), ExpiresAt: toMillis(v.ExpiresAt),
	})
}

// Login reads a login; without one the error is of kind Unauthenticated.
func (s *Sessions) Login(ctx context.Context, k session.LoginKey) (session.Login, error) {
	if k == "" {
		return session.Login{}, session.NotSignedIn(errors.New("no cookie"))
	}
	it, err := s.table.get(ctx, loginPartition(k), loginItem)
	if err != nil {
		return session.Login{}, err
	}
	if it == nil {
		return session.Login{}, session.NotSignedIn(errors.New("no such login"))
	}
	var r loginRow
	if err := decode(it, &r); err != nil {
		return session.Login{}, err
	}
	return session.Login{
		Key: k, Owner: session.Person(r.personRow), Current: r.Current, Sessions: r.Sessions,
		CreatedAt: r.CreatedAt.time(), ExpiresAt: r.ExpiresAt.time(),
	}, nil
}

// SetCurrent makes id the session the browser talks in.
func (s *Sessions) SetCurrent(ctx context.Context, k session.LoginKey, id session.ID) error {
	return s.touch(ctx, change{
		partition: loginPartition(k), sort: loginItem,
		update: "SET #current = :id ADD sessions :ids",
		names:  map[string]string{"#current": "current"},
		values: item{":id": text(string(id)), ":ids": &types.AttributeValueMemberSS{Value: []string{string(id)}}},
	})
}

// DeleteLogin forgets a browser.
func (s *Sessions) DeleteLogin(ctx context.Context, k session.LoginKey) error {
	return s.table.delete(ctx, loginPartition(k), loginItem)
}
