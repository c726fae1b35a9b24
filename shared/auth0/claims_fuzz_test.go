package auth0

import (
	"encoding/json"
	"testing"
	"time"
)

// Whatever is decoded is what an exact reader finds: a map keeps names apart that differ in letter case.
func FuzzDecodeClaims(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `{"sub":1}`, `{"aud":["a"],"sub":"s","email":"a@b","EMAIL":"c@d","email_verified":"true","iat":1.5,"exp":9e9}`,
		`{"aud":"a","sub":"s","sub":"t"}`, `{"aud":"a","\u0073ub":"s","sub":"t"}`, `{"aud":"a"} `, `{"aud":"a"}{}`, `{"aud":"a","exp":1e300}`, `{"aud":"a","ſub":"s"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := decodeClaims(payload)
		if err != nil {
			return
		}
		var all map[string]any
		if err := json.Unmarshal(payload, &all); err != nil {
			t.Fatalf("%q is no object and was decoded: %v", payload, err)
		}
		text := func(name string) string { s, _ := all[name].(string); return s }
		if got.subject != text("sub") || got.email != text("email") || got.issuer != text("iss") || got.authorizedParty != text("azp") || got.nonce != text("nonce") {
			t.Errorf("%q decoded as %+v", payload, got)
		}
		if verified := all["email_verified"]; got.emailVerified != (verified == true || verified == "true") {
			t.Errorf("%q: verified %t", payload, got.emailVerified)
		}
		for name, at := range map[string]time.Time{"iat": got.issuedAt, "exp": got.expiry, "nbf": got.notBefore} {
			if s, _ := all[name].(float64); !at.IsZero() && at.Unix() != int64(s) || at.IsZero() && all[name] != nil {
				t.Errorf("%q: %s is %s", payload, name, at)
			}
		}
	})
}
