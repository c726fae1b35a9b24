package okta_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
)

// source gives "old" and renews it as "new", or fails.
type source struct {
	mu      sync.Mutex
	token   string
	renewed int
	err     error
}

func (s *source) Token() secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	return secret.New(s.token)
}

func (s *source) Renew(context.Context, secret.String) (secret.String, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed++
	if s.err == nil {
		s.token = "new"
	}
	return secret.New(s.token), s.err
}

// A request whose token is refused is sent again with a renewed one, changes too, and the pages after it: with a refused token
// nothing was done. Nothing else is repeated, and a single token is not.
func TestARefusedTokenIsRenewedAndTheRequestRepeated(t *testing.T) {
	reset := func(ctx context.Context, c *okta.Client) error {
		_, err := c.ResetPassword(ctx, oktatest.Bob)
		return err
	}
	groups := func(ctx context.Context, c *okta.Client) error {
		_, err := c.UserGroups(ctx, oktatest.Bob, 0)
		return err
	}
	notConnected := fault.New(fault.Conflict, "Not connected.", nil)
	for name, tc := range map[string]struct {
		call    func(context.Context, *okta.Client) error
		refused string // tokens
		source  okta.TokenSource
		sent    []string // tokens
		kind    fault.Kind
	}{
		"good":               {reset, "", &source{token: "old"}, []string{"old"}, ""},
		"a change":           {reset, "old", &source{token: "old"}, []string{"old", "new"}, ""},
		"a list":             {groups, "old", &source{token: "old"}, []string{"old", "new", "new"}, ""},
		"refused for good":   {reset, "old new", &source{token: "old"}, []string{"old", "new"}, fault.Unauthenticated},
		"it cannot be":       {reset, "old", &source{token: "old", err: notConnected}, []string{"old"}, fault.Conflict},
		"a token by itself":  {reset, "old", nil, []string{"old"}, fault.Unauthenticated},
		"no token to begin":  {reset, "", &source{}, nil, fault.Unauthenticated},
		"an unusable header": {reset, "", &source{token: "o\nld"}, nil, fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var sent []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				sent = append(sent, token)
				w.Header().Set("X-Okta-Request-Id", "request")
				w.Header().Set("Content-Type", "application/json")
				switch {
				case slices.Contains(strings.Fields(tc.refused), token):
					w.WriteHeader(http.StatusUnauthorized)
				case r.Method == http.MethodPost:
					_, _ = w.Write([]byte("{}"))
				case r.URL.Query().Get("after") == "":
					w.Header().Set("Link", "<http://"+r.Host+r.URL.Path+`?after=1>; rel="next"`)
					fallthrough
				default:
					_, _ = w.Write([]byte("[]"))
				}
			}))
			t.Cleanup(server.Close)
			ctx := okta.WithToken(t.Context(), secret.New("old"))
			if tc.source != nil {
				ctx = okta.WithTokenSource(t.Context(), tc.source)
			}
			err := okta.Fault(tc.call(ctx, newClient(t, server.URL, okta.Options{})))
			if fault.KindOf(err) != tc.kind || !slices.Equal(sent, tc.sent) {
				t.Errorf("%v after %q, want %q", err, sent, tc.sent)
			}
			if tc.kind == fault.Conflict && !errors.Is(err, notConnected) {
				t.Errorf("the cause is lost: %v", err)
			}
			if s, ok := tc.source.(*source); ok && s.renewed > 1 {
				t.Errorf("renewed %d times", s.renewed)
			}
		})
	}
}
