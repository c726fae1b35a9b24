package fgatest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/secret"
)

// TestInvoke: the fake as the fga-authorizer function, asked by its real client.
func TestInvoke(t *testing.T) {
	const gina = "user:gina@example.com"
	fake := fgatest.New(fga.Tuple{User: "group:it#member", Relation: "admin", Object: fga.Org})
	client := fga.NewClient(fake, "fga-authorizer")
	ask := func() (fga.Decision, error) {
		got, err := client.Ask(t.Context(), fga.Request{Checks: []fga.Check{fga.ForGroup(gina, "can_delete", "00g1")}, Higher: true})
		return got[0], err
	}
	want := func(when string, want fga.Decision) {
		t.Helper()
		if got, err := ask(); got != want || (err != nil) != (want == fga.Unknown) {
			t.Errorf("%s: %s, %v, want %s", when, got, err, want)
		}
	}
	want("a stranger", fga.Denied)
	fake.Grant(gina, "member", "group:it")
	want("a member", fga.Allowed)
	fake.Grant("user:*", "protected", "okta_group:00g1")
	want("a protected group", fga.Denied)
	fake.Revoke("user:*", "protected", "okta_group:00g1")
	fake.Fail(faults.Fault{Status: 500, Times: 2})
	want("told to fail", fga.Unknown)
	want("told to fail twice", fga.Unknown)
	want("afterwards", fga.Allowed)
	calls := fake.Calls()
	if got := calls[0]; got.Path != "fga-authorizer" || got.Consistency != "HIGHER_CONSISTENCY" || len(calls) != 6 {
		t.Errorf("%d calls, the first %+v", len(calls), got)
	}
	fake.Fail(faults.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := client.Ask(ctx, fga.Request{Checks: []fga.Check{fga.ForArea(gina, "admin", fga.Org)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("told to wait: %v", err)
	}
}

// TestIssuer: tokens end when they say, or when they are revoked.
func TestIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &fgatest.Issuer{ClientID: "c", ClientSecret: secret.New("s"), Audience: "a", Lifetime: time.Hour}
		guarded := issuer.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), true)
		status := func(authorization string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/stores", nil)
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			return w.Code
		}
		token := func() string {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, fgatest.TokenPath, strings.NewReader("grant_type=client_credentials&audience=a"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("c", "s")
			w := httptest.NewRecorder()
			issuer.ServeHTTP(w, r)
			_, rest, _ := strings.Cut(w.Body.String(), `"access_token":"`)
			value, _, _ := strings.Cut(rest, `"`)
			return "Bearer " + value
		}
		first := token()
		got := []int{status(""), status("Bearer "), status("Bearer x"), status("Basic x"), status(first)}
		time.Sleep(time.Hour)
		got = append(got, status(first))
		second := token()
		got = append(got, status(second))
		issuer.Revoke()
		got = append(got, status(second))
		if diff := cmp.Diff([]int{401, 401, 401, 401, 200, 401, 200, 401}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if issuer.Calls() != 2 {
			t.Errorf("%d calls, want 2", issuer.Calls())
		}
	})
}
