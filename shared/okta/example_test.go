package okta_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
)

func Example() {
	org := oktatest.New(oktatest.Options{})
	server := httptest.NewServer(org)
	defer server.Close()

	address, err := url.Parse(server.URL)
	if err != nil {
		panic(err)
	}
	client, err := okta.New(okta.Options{OrgURL: address})
	if err != nil {
		panic(err)
	}

	token := secret.New(org.MintToken(oktatest.Alice, []string{"okta.users.read"}, time.Hour))
	ctx := okta.WithToken(context.Background(), token)
	groups, err := client.UserGroups(ctx, oktatest.Alice, 10)
	if err != nil {
		panic(err)
	}
	for _, g := range groups.Items {
		fmt.Println(g.Name, g.Type)
	}
	// Output:
	// Everyone BUILT_IN
	// Engineering OKTA_GROUP
	// Support OKTA_GROUP
}
