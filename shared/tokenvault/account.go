package tokenvault

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/session"
)

// CheckAccount compares the connected Okta account, as Okta describes it, with the person who signed in. It returns nil if they
// are the same person, else a [*WrongAccount].
//
// If the person signed in through the Okta connection, the Auth0 subject contains their Okta id ("oidc|<connection>|00u…") and
// the ids are compared. Otherwise the verified e-mail address of the sign-in must equal the account's login, or its e-mail
// address if the login is not one. The comparison ignores case and accepts ASCII only: by Unicode's folding, the Kelvin sign
// would equal k.
func CheckAccount(person session.Person, connection string, me okta.User) error {
	if through, id, ok := auth0.SubjectConnection(string(person.Subject)); ok && through == connection && okta.UserID(id).Valid() {
		if me.ID == okta.UserID(id) {
			return nil
		}
		return &WrongAccount{Account: me, Needed: cmp.Or(person.Email, string(person.Subject))}
	}
	account := me.Login
	if !strings.Contains(account, "@") {
		account = me.Email
	}
	if person.EmailVerified && sameAddress(person.Email, account) {
		return nil
	}
	return &WrongAccount{Account: me, Needed: cmp.Or(person.Email, string(person.Subject))}
}

func sameAddress(a, b string) bool {
	ascii := func(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0 }
	return a != "" && ascii(a) && ascii(b) && strings.EqualFold(a, b)
}

// WrongAccount means that the connected Okta account is not that of the person who signed in.
type WrongAccount struct {
	Account okta.User // as Okta describes it
	Needed  string    // the e-mail address, or else the subject, of the person who signed in
	// Disconnected reports whether Auth0 has deleted the account.
	Disconnected bool
}

// Error is for the log and names people by id only.
func (e *WrongAccount) Error() string {
	return "the connected Okta account " + string(e.Account.ID) + " is another person's"
}

// fault returns the fault.Conflict that names both accounts. disconnected is the error of disconnecting the account, nil if that
// succeeded.
func (e *WrongAccount) fault(disconnected error) error {
	e.Disconnected = disconnected == nil
	say := fmt.Sprintf("You connected the Okta account of %s, but you are signed in as %s.", label.Quote(e.Account.Login, 120), label.Quote(e.Needed, 120))
	if disconnected != nil {
		return fault.New(fault.Conflict, say+" I could not disconnect it. Please disconnect it in the account menu, then connect your own.", errors.Join(e, disconnected)).
			WithAction(fault.ConnectOkta)
	}
	return fault.New(fault.Conflict, say+" I disconnected it. Please connect your own Okta account.", e).WithAction(fault.ConnectOkta)
}
