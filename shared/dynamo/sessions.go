package dynamo

import (
	"context"
	"errors"
	"time"

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

func putPerson(it item, p session.Person) {
	put(it, "subject", string(p.Subject))
	put(it, "email", p.Email)
	put(it, "name", p.Name)
	put(it, "picture", p.Picture)
	it["email_verified"] = flag(p.EmailVerified)
}

func getPerson(it item) session.Person {
	return session.Person{
		Subject:       session.Subject(getText(it, "subject")),
		Email:         getText(it, "email"),
		EmailVerified: getFlag(it, "email_verified"),
		Name:          getText(it, "name"),
		Picture:       getText(it, "picture"),
	}
}

// PutSession stores a new session. An id is never used twice.
func (s *Sessions) PutSession(ctx context.Context, v session.Session) error {
	it := key(string(v.ID), sessionItem)
	putPerson(it, v.Owner)
	put(it, "login", string(v.Login))
	put(it, "front", string(v.Front))
	put(it, "okta_user_id", v.OktaUserID)
	put(it, "okta_login", v.OktaLogin)
	it["created_at"], it["expires_at"], it[ttlAttribute] = moment(v.CreatedAt), moment(v.ExpiresAt), ttl(v.ExpiresAt.Add(keep))
	it["refresh_token"] = blob(v.RefreshToken)
	if len(v.OktaToken) > 0 {
		it["okta_token"], it["okta_expires"] = blob(v.OktaToken), moment(v.OktaExpires)
	}
	return s.create(ctx, it)
}

func (s *Sessions) create(ctx context.Context, it item) error {
	err := s.table.insert(ctx, it)
	if errors.Is(err, errCondition) {
		return fault.New(fault.Conflict, "The sign-in could not be completed. Please sign in again.", err)
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
	return session.Session{
		ID:           id,
		Owner:        getPerson(it),
		Login:        session.LoginKey(getText(it, "login")),
		CreatedAt:    getMoment(it, "created_at"),
		ExpiresAt:    getMoment(it, "expires_at"),
		RefreshToken: getBlob(it, "refresh_token"),
		OktaToken:    getBlob(it, "okta_token"),
		OktaExpires:  getMoment(it, "okta_expires"),
		OktaUserID:   getText(it, "okta_user_id"),
		OktaLogin:    getText(it, "okta_login"),
		Front:        front(it),
	}, nil
}

// front reads which front a session belongs to; a row of the version before names none.
func front(it item) session.Front {
	if f := getText(it, "front"); f != "" {
		return session.Front(f)
	}
	return session.FrontChat
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

// PutLogin stores a new login.
func (s *Sessions) PutLogin(ctx context.Context, v session.Login) error {
	it := key(loginPartition(v.Key), loginItem)
	putPerson(it, v.Owner)
	put(it, "current", string(v.Current))
	it["sessions"] = &types.AttributeValueMemberSS{Value: ids(v.Sessions)}
	it["created_at"], it["expires_at"], it[ttlAttribute] = moment(v.CreatedAt), moment(v.ExpiresAt), ttl(v.ExpiresAt.Add(keep))
	return s.create(ctx, it)
}

func ids(in []session.ID) []string {
	out := make([]string, len(in))
	for i, id := range in {
		out[i] = string(id)
	}
	return out
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
	v := session.Login{
		Key:       k,
		Owner:     getPerson(it),
		Current:   session.ID(getText(it, "current")),
		CreatedAt: getMoment(it, "created_at"),
		ExpiresAt: getMoment(it, "expires_at"),
	}
	if set, ok := it["sessions"].(*types.AttributeValueMemberSS); ok {
		for _, id := range set.Value {
			v.Sessions = append(v.Sessions, session.ID(id))
		}
	}
	return v, nil
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
