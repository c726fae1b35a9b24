package access

import (
	"fmt"
	"strings"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/okta"
)

// WhichUser asks which of several people is meant, or says that nobody is.
func WhichUser(said string, candidates []okta.User) error {
	return which("Okta user", said, candidates, func(u okta.User) string {
		return fmt.Sprintf("%s (%s)", quote(u.Name()), quote(u.Login))
	})
}

// WhichGroup asks which of several groups is meant, or says that none is.
func WhichGroup(said string, candidates []okta.Group) error {
	return which("Okta group", said, candidates, func(g okta.Group) string { return quote(g.Name) })
}

// WhichApp asks which of several apps is meant, or says that none is.
func WhichApp(said string, candidates []okta.App) error {
	return which("Okta app", said, candidates, func(a okta.App) string { return quote(a.Label) })
}

func quote(s string) string { return label.Quote(s, 80) }

func which[T any](kind, said string, candidates []T, show func(T) string) error {
	if len(candidates) == 0 {
		return fault.New(fault.NotFound, fmt.Sprintf("There is no %s %s. Please check the name.", kind, quote(said)), nil)
	}
	shown := make([]string, len(candidates))
	for i, c := range candidates {
		shown[i] = show(c)
	}
	return fault.New(fault.Conflict, fmt.Sprintf("%s does not name one %s. Which one do you mean? %s", quote(said), kind, strings.Join(shown, "; ")), nil)
}
