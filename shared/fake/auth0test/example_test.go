package auth0test_test

import (
	"fmt"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

// A tenant with one application and one person. In a test, Start and StartTLS find the issuer by themselves; elsewhere the tenant is
// an http.Handler for any server.
func ExampleNew() {
	tenant := auth0test.New(auth0test.Options{
		Issuer:  "http://localhost:3001/",
		Clients: []auth0test.Client{auth0test.WebApp("steward-local", "a-secret", "http://localhost:3000/callback")},
		People:  []auth0test.Person{{Email: "alice@example.com", EmailVerified: true, OktaUserID: "00ualice000000000001", PushEnrolled: true}},
	})
	tenant.Connect("alice@example.com") // as if she had gone through Connected Accounts
	tenant.Configure(func(s *auth0test.Settings) { s.Guardian.PushEnabled = false })

	fmt.Println(tenant.Issuer(), len(tenant.Pushes()))
	// Output: http://localhost:3001/ 0
}
