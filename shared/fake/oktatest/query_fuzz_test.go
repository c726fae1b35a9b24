package oktatest

import "testing"

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		`profile.login eq "a"`, `(status pr or id sw "00u") and not (id eq "x")`, `"`, `((`, `a b "c\"d\\"`, `status eq "x" and`, `not not not id pr`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		for _, g := range []grammar{userList, userFilter, groupSearch, groupFilter, logFilter, appFilter} {
			if e, err := g.parse(s); err == nil {
				e.eval(func(string) []string { return []string{"x", ""} })
			}
		}
	})
}
