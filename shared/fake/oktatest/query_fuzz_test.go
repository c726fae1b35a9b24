package oktatest

import "testing"

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		`profile.login eq "a"`, `(profile.login co "a" or profile.email sw "b") and actor.id eq "x"`, `"`, `((`, `a b "c\"d\\"`, `target.id eq "x" and`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		for _, g := range []grammar{userSearch, groupSearch, logFilter} {
			if e, err := g.parse(s); err == nil {
				e.eval(func(string) []string { return []string{"x", ""} })
			}
		}
	})
}
