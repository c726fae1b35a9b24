package operation

import (
	"fmt"
	"strings"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
)

// whichUser asks which of several people is meant, or says that nobody is.
func whichUser(text string, candidates []okta.User) error {
	return which("Okta user", text, candidates, func(u okta.User) string {
		return fmt.Sprintf("%s (%s)", quote(u.Name()), quote(u.Login))
	})
}

// whichGroup asks which of several groups is meant, or says that none is.
func whichGroup(text string, candidates []okta.Group) error {
	return which("Okta group", text, candidates, func(g okta.Group) string { return quote(g.Name) })
}

// whichApp asks which of several apps is meant, or says that none is.
func whichApp(text string, candidates []okta.App) error {
	return which("Okta app", text, candidates, func(a okta.App) string { return quote(a.Label) })
}

func which[T any](kind, text string, candidates []T, show func(T) string) error {
	if len(candidates) == 0 {
		return fault.New(fault.NotFound, fmt.Sprintf("There is no %s %s. Please check the name.", kind, quote(text)), nil)
	}
	shown := make([]string, len(candidates))
	for i, c := range candidates {
		shown[i] = show(c)
	}
	return fault.New(fault.Conflict, fmt.Sprintf("%s does not name one %s. Which one do you mean? %s", quote(text), kind, strings.Join(shown, "; ")), nil)
}
