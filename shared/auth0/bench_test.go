package auth0_test

import "testing"

// An id_token is verified at every sign-in and every approval, as a rule with keys that are known already.
func BenchmarkVerifyIDToken(b *testing.B) {
	i := newIssuer(b)
	c := clientOf(b, i.url, nil)
	token := i.sign(b, i.key, func(_, _ map[string]any) {})
	if _, err := c.VerifyIDToken(b.Context(), token); err != nil { // fetches the keys
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.VerifyIDToken(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
