package auth0_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// stuck takes a call and never answers.
type stuck struct{}

func (stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A call to a tenant that never answers ends within seconds, even if the caller's context has no deadline.
func TestCallsTimeOut(t *testing.T) {
	usual := http.DefaultTransport
	defer func() { http.DefaultTransport = usual }()
	http.DefaultTransport = stuck{}
	for name, call := range map[string]func(context.Context, *auth0.Client) error{
		"discovery": func(ctx context.Context, c *auth0.Client) error {
			s := secret.New("s")
			_, err := c.AuthCodeURL(ctx, auth0.AuthRequest{State: s, Nonce: s, Verifier: s})
			return err
		},
		"the token endpoint": func(ctx context.Context, c *auth0.Client) error {
			_, err := c.FederatedToken(ctx, secret.New("refresh"), "okta-corp")
			return err
		},
		"My Account": func(ctx context.Context, c *auth0.Client) error {
			_, err := c.StartConnect(ctx, secret.New("me"), auth0.ConnectRequest{Connection: "okta-corp"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := auth0.New(auth0.Config{
					Issuer: &url.URL{Scheme: "https", Host: "tenant.example"}, ClientID: clientID,
					Secret: func(context.Context) (secret.String, error) { return secret.New(clientSecret), nil },
				})
				begun := time.Now()
				err := call(t.Context(), c)
				if took := time.Since(begun); fault.KindOf(auth0.Fault(err)) != fault.Upstream || took > 10*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
}
