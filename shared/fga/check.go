package fga

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/steward-iam/steward/shared/fault"
)

// The object types of the model.
const (
	TypeUser      = "user"
	TypeOkta      = "okta"
	TypeOktaUser  = "okta_user"
	TypeOktaGroup = "okta_group"
	TypeOktaApp   = "okta_app"
)

// The organisation and its areas.
const (
	Org    = TypeOkta + ":main"
	Groups = TypeOkta + ":groups"
	Users  = TypeOkta + ":users"
	Apps   = TypeOkta + ":apps"
)

// The grants that code asks for by name: may look things up in an area, may act on the own account.
const (
	ReadOkta    = "read_okta"
	SelfService = "self_service"
)

// Claim names what makes a person an FGA user.
type Claim string

// The claims.
const (
	ClaimEmail Claim = "email" // the verified e-mail address, in lower case
	ClaimSub   Claim = "sub"   // the subject of the id token, as it is
)

// User is the FGA user of a person. OpenFGA compares bytes, so an e-mail address is put in lower case here and must be
// written in lower case into the store. An address nobody has verified makes no user, nor does one with a character that is
// not ASCII: in lower case, the Kelvin sign is a k and the dotted capital I begins with an i, and so another person's address.
func (c Claim) User(sub, email string, emailVerified bool) (string, error) {
	id := sub
	switch {
	case c == ClaimEmail && !emailVerified:
		return "", fault.New(fault.Denied, "Your e-mail address is not verified, so I cannot look up your permissions.", nil)
	case c == ClaimEmail && strings.ContainsFunc(email, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", fault.New(fault.Denied, "Your e-mail address has a character other than ASCII, so I cannot look up your permissions.", nil)
	case c == ClaimEmail:
		id = strings.ToLower(strings.TrimSpace(email))
	case c != ClaimSub:
		return "", fmt.Errorf("claim %q names no user, want %s or %s", string(c), ClaimEmail, ClaimSub)
	}
	user := TypeUser + ":" + id
	if err := validateRef(user, maxUser); err != nil {
		return "", fault.New(fault.Denied, "I cannot look up permissions for the name of your account.", fmt.Errorf("claim %s: %w", c, err))
	}
	return user, nil
}

// UserObject is the object of an Okta user's id.
func UserObject(id string) string { return TypeOktaUser + ":" + id }

// GroupObject is the object of an Okta group's id.
func GroupObject(id string) string { return TypeOktaGroup + ":" + id }

// AppObject is the object of an Okta app's id.
func AppObject(id string) string { return TypeOktaApp + ":" + id }

// ForArea asks about the organisation ([Org]) or one of its areas.
func ForArea(user, relation, area string) Check {
	c := Check{Tuple: Tuple{User: user, Relation: relation, Object: area}}
	if area != Org {
		c.Contextual = []Tuple{{Org, "org", area}}
	}
	return c
}

// ForUser asks about one Okta user. Self says that this user is the one who asks, as the session knows it.
func ForUser(user, relation, id string, self bool) Check {
	c := linked(user, relation, UserObject(id))
	if self {
		c.Contextual = append(c.Contextual, Tuple{user, "holder", c.Object})
	}
	return c
}

// ForGroup asks about one Okta group.
func ForGroup(user, relation, id string) Check { return linked(user, relation, GroupObject(id)) }

// ForApp asks about one Okta app.
func ForApp(user, relation, id string) Check {
	object := AppObject(id)
	return Check{Tuple: Tuple{user, relation, object}, Contextual: []Tuple{{Org, "org", object}}}
}

// For asks about an object of the given type: the choice among the functions above for callers that read the type out
// of a table. For [TypeOkta] the id is that of the organisation or an area; self matters for [TypeOktaUser] alone.
func For(user, relation, objectType, id string, self bool) (Check, error) {
	switch objectType {
	case TypeOkta:
		return ForArea(user, relation, TypeOkta+":"+id), nil
	case TypeOktaUser:
		return ForUser(user, relation, id, self), nil
	case TypeOktaGroup:
		return ForGroup(user, relation, id), nil
	case TypeOktaApp:
		return ForApp(user, relation, id), nil
	}
	return Check{}, fmt.Errorf("no checks on objects of type %q", objectType)
}

// linked ties an object to the organisation and to the areas of groups and users, and those areas to the organisation.
func linked(user, relation, object string) Check {
	return Check{
		Tuple: Tuple{user, relation, object},
		Contextual: []Tuple{
			{Org, "org", Groups},
			{Org, "org", Users},
			{Org, "org", object},
			{Groups, "groups", object},
			{Users, "users", object},
		},
	}
}
