package operation

import (
	"errors"
	"testing"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

func TestWhichOneIsMeant(t *testing.T) {
	for want, err := range map[string]error{
		`There is no Okta user "Bo". Please check the name.`: whichUser("Bo", nil),
		`"Sam" does not name one Okta user. Which one do you mean? "Sam Taylor" ("sam@example.com"); "Sam 'x'" ("s@example.com")`: whichUser("Sam", []okta.User{
			{FirstName: "Sam", LastName: "Taylor", Login: "sam@example.com"}, {FirstName: "Sam", LastName: "\"x\"", Login: "s@example.com"},
		}),
		`"Eng" does not name one Okta group. Which one do you mean? "Engineering"`: whichGroup("Eng", []okta.Group{{Name: "Engineering"}}),
		`There is no Okta app "a b". Please check the name.`:                       whichApp("a\nb", nil),
	} {
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Say != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
