package okta_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
)

// For each trap of okta-sdk-golang v5.0.6, a test of this file shows first that the SDK has it and then that this
// package avoids it. If the first half fails after an upgrade, what avoids the trap is no longer needed.

// plainSDK is the SDK as its README uses it, but with the port of the address, which it would drop.
func plainSDK(t *testing.T, address, token string, more ...sdk.ConfigSetter) *sdk.APIClient {
	t.Helper()
	cfg, err := sdk.NewConfiguration(append([]sdk.ConfigSetter{
		sdk.WithOrgUrl(address), sdk.WithAuthorizationMode("Bearer"), sdk.WithToken(token), sdk.WithCache(false),
		sdk.WithTestingDisableHttpsCheck(true),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host = strings.TrimPrefix(address, "http://")
	return sdk.NewAPIClient(cfg)
}

// plainSDK is the SDK with a person's token.
func (f *fixture) plainSDK(t *testing.T, person string, more ...sdk.ConfigSetter) *sdk.APIClient {
	t.Helper()
	return plainSDK(t, f.url, f.MintToken(person, allScopes, time.Hour), more...)
}

func TestTrapTwoAuthorizationHeaders(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Values("Authorization")
		_, _ = io.WriteString(w, `{"id":"00ualice000000000001"}`)
	}))
	defer server.Close()
	ctx := context.WithValue(t.Context(), sdk.ContextAccessToken, "from-context")

	_, _, _ = plainSDK(t, server.URL, "configured").UserAPI.GetUser(ctx, "me").Execute()
	if len(got) != 2 {
		t.Errorf("the SDK sends %v: the trap is gone", got)
	}
	_, _, err := newClient(t, server.URL, okta.Options{}).Me(okta.WithToken(ctx, secret.New("ours")))
	if err != nil || !slices.Equal(got, []string{"Bearer ours"}) {
		t.Errorf("we send %q, %v", got, err)
	}
}

// One client serves many people, at the same time, each with their own token.
func TestTrapOneTokenAClient(t *testing.T) {
	f := start(t, oktatest.Options{})
	people := []string{oktatest.Alice, oktatest.Bob, oktatest.Carol, oktatest.Dave, oktatest.Erin, oktatest.Frank}
	var wg sync.WaitGroup
	for i := range 60 {
		id := people[i%len(people)]
		ctx := f.as(id)
		wg.Go(func() {
			if u, _, err := f.client.Me(ctx); err != nil || u.ID != okta.UserID(id) {
				t.Errorf("%s got the answer for %s, %v", id, u.ID, err)
			}
		})
	}
	wg.Wait()
}

func TestTrapPortAndPrefixOfTheOrgURL(t *testing.T) {
	cfg, err := sdk.NewConfiguration(sdk.WithOrgUrl("http://127.0.0.1:8080/prefix"), sdk.WithToken("x"), sdk.WithTestingDisableHttpsCheck(true))
	if err != nil || cfg.Host != "127.0.0.1" {
		t.Errorf("the SDK's host is %q, %v: the trap is gone", cfg.Host, err)
	}

	f := startUnchecked(t, oktatest.Options{PageSize: 1})
	prefixed := httptest.NewServer(http.StripPrefix("/prefix", f.Org))
	defer prefixed.Close()
	c := newClient(t, prefixed.URL+"/prefix/", okta.Options{})
	if p, err := c.UserGroups(f.as(oktatest.Alice), oktatest.Alice, 0); err != nil || len(p.Items) != 3 {
		t.Errorf("%d groups, %v: the first or the next pages missed port or prefix", len(p.Items), err)
	}
}

func TestTrapEnvironmentAndFiles(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, ".okta"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := "okta:\n  client:\n    token: from-file\n    requestTimeout: 1\n"
	if err := os.WriteFile(filepath.Join(home, ".okta", "okta.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"OKTA_CLIENT_CACHE_ENABLED": "true", "OKTA_CLIENT_CACHE_DEFAULT_TTL": "3600", "OKTA_CLIENT_CACHE_DEFAULT_TTI": "3600",
		"OKTA_CLIENT_RATE_LIMIT_ENABLE": "true", "OKTA_CLIENT_AUTHORIZATIONMODE": "SSWS", "OKTA_CLIENT_ORGURL": "https://elsewhere.okta.test",
	} {
		t.Setenv(k, v)
	}
	cfg, err := sdk.NewConfiguration(sdk.WithOrgUrl("https://example.okta.test"))
	if err != nil || !cfg.Okta.Client.Cache.Enabled || !cfg.Okta.Client.RateLimit.Enable {
		t.Errorf("the SDK ignores the environment, %v: the trap is gone", err)
	}

	f := startUnchecked(t, oktatest.Options{})
	t.Setenv("OKTA_CLIENT_PROXY_HOST", "127.0.0.1")
	t.Setenv("OKTA_CLIENT_PROXY_PORT", "1")
	c := newClient(t, f.url, okta.Options{})
	for _, p := range []string{oktatest.Alice, oktatest.Bob, oktatest.Alice} {
		if u, _, err := c.Me(f.as(p)); err != nil || u.ID != okta.UserID(p) {
			t.Errorf("%s got the answer for %q, %v", p, u.ID, err)
		}
	}
}

func TestTrapCacheServesOnePersonToTheNext(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{})
	shared := sdk.NewGoCache(3600, 3600)
	ask := func(p string) string {
		c := f.plainSDK(t, p, sdk.WithCache(true), sdk.WithCacheManager(shared))
		u, _, err := c.UserAPI.GetUser(t.Context(), "me").Execute()
		if err != nil {
			t.Fatal(err)
		}
		return u.GetId()
	}
	ask(oktatest.Alice)
	if got := ask(oktatest.Bob); got != oktatest.Alice {
		t.Errorf("the SDK gave Bob %s: the trap is gone", got)
	}
	before := len(f.Requests())
	for range 3 {
		if u, _, err := f.client.Me(f.as(oktatest.Bob)); err != nil || u.ID != oktatest.Bob {
			t.Errorf("Bob got %s, %v", u.ID, err)
		}
	}
	if n := len(f.Requests()) - before; n != 3 {
		t.Errorf("three reads made %d requests", n)
	}
}

// The SDK repeats a request without end if the server closes the connection, also a request that sends a mail.
func TestTrapClosedConnection(t *testing.T) {
	var hits atomic.Int64
	closing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		hits.Add(1)
		panic(http.ErrAbortHandler)
	})
	server := httptest.NewServer(closing)

	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, _ = plainSDK(t, server.URL, "configured").UserAPI.GenerateResetPasswordToken(short, oktatest.Bob).SendEmail(true).Execute()
	if n := hits.Load(); n < 20 {
		t.Errorf("the SDK tried %d times: the trap is gone", n)
	}
	server.Close() // the last try may still be under way

	server = httptest.NewServer(closing)
	defer server.Close()
	c := newClient(t, server.URL, okta.Options{})
	ctx := okta.WithToken(t.Context(), secret.New("t"))
	for _, r := range []struct {
		name    string
		do      call
		tries   int64
		unknown bool
	}{
		{"a mail", resetPassword, 1, true},
		{"another mail", one((*client).Reactivate, oktatest.Bob), 1, true},
		{"a creation", createGroup("x"), 1, true},
		{"a deletion", one((*client).DeleteGroup, oktatest.Finance), 1, true},
		{"a read", me, 3, false},
		{"a membership", two((*client).AddToGroup, oktatest.Finance, oktatest.Bob), 3, true},
	} {
		hits.Store(0)
		_, err := r.do(ctx, c)
		if okta.KindOf(err) != okta.KindUnreachable || hits.Load() != r.tries || okta.Unknown(err) != r.unknown {
			t.Errorf("%s: %d tries, unknown %v, %v; want %d, %v", r.name, hits.Load(), okta.Unknown(err), err, r.tries, r.unknown)
		}
	}
}

// If the answer to a change is lost after the change was made, the outcome is unknown and the change is not repeated,
// unless repeating it changes nothing.
func TestLostAnswerIsUnknownAndNotRepeated(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{})
	f.Fail(faults.Fault{Match: "reset_password", Reset: true, After: true})
	_, err := f.client.ResetPassword(f.as(oktatest.Frank), oktatest.Bob)
	if !okta.Unknown(err) || f.MailCount(oktatest.Bob, oktatest.MailResetPassword) != 1 {
		t.Errorf("%v after %d mails", err, f.MailCount(oktatest.Bob, oktatest.MailResetPassword))
	}
	if !strings.Contains(sayOf(err), "do not know") {
		t.Errorf("we say %q", sayOf(err))
	}

	f.Fail(faults.Fault{Match: "PUT", Reset: true, After: true, Times: 1})
	if _, err := f.client.AddToGroup(f.as(oktatest.Frank), oktatest.Finance, oktatest.Bob); err != nil {
		t.Errorf("a membership: %v", err)
	}
}

// Without a connection the change was certainly not made.
func TestNoConnectionMeansNoChange(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := newClient(t, server.URL, okta.Options{})
	_, err := c.ResetPassword(okta.WithToken(t.Context(), secret.New("t")), oktatest.Bob)
	if okta.KindOf(err) != okta.KindUnreachable || okta.Unknown(err) {
		t.Errorf("unknown %v, %v", okta.Unknown(err), err)
	}
}

func TestTrapErrorsWithoutSubstance(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{})
	for _, status := range []int{401, 429, 500} {
		f.Fail(faults.Fault{Status: status, Limit: time.Hour})
		_, res, err := f.plainSDK(t, oktatest.Frank).UserAPI.GetUser(t.Context(), "me").Execute()
		var generic *sdk.GenericOpenAPIError
		if !errors.As(err, &generic) || generic.Model() != nil {
			t.Errorf("%d: the SDK knows %v: the trap is gone", status, err)
		}
		if lost := res == nil || res.Response == nil; status == 429 && !lost {
			t.Error("429: the SDK keeps the response: the trap is gone")
		}

		_, meta, err := f.client.Me(f.as(oktatest.Frank))
		e, ok := errors.AsType[*okta.Error](err)
		if !ok || e.Status != status || e.Code == "" || e.RequestID == "" || meta.RequestID != e.RequestID {
			t.Errorf("%d: we know %v, request id %q", status, err, meta.RequestID)
		}
		if status == 429 && (e.Reset.IsZero() || time.Until(e.Reset) < 55*time.Minute) {
			t.Errorf("429: reset %v", e.Reset)
		}
	}
}

func TestTrapPagesForgetTheContext(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{PageSize: 1})
	ctx, cancel := context.WithCancel(t.Context())
	_, res, err := f.plainSDK(t, oktatest.Frank).UserAPI.ListUserGroups(ctx, oktatest.Alice).Execute()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var more []sdk.Group
	if _, err := res.Next(&more); err != nil {
		t.Errorf("the SDK's next page noticed the cancelled context, %v: the trap is gone", err)
	}

	before := len(f.Requests())
	ctx, cancel = context.WithTimeout(f.as(oktatest.Frank), 300*time.Millisecond)
	defer cancel()
	f.Fail(faults.Fault{Match: "/groups", Delay: 200 * time.Millisecond})
	began := time.Now()
	_, err = f.client.UserGroups(ctx, oktatest.Alice, 0)
	if okta.KindOf(err) != okta.KindTimeout || time.Since(began) > time.Second || len(f.Requests())-before > 2 {
		t.Errorf("after %v and %d requests: %v", time.Since(began), len(f.Requests())-before, err)
	}
}

func TestTrapJoinedLinks(t *testing.T) {
	org := oktatest.New(oktatest.Options{PageSize: 1})
	f := serve(t, org, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as HTTP proxies join them
		rec := httptest.NewRecorder()
		org.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Link", strings.Join(rec.Header()["Link"], ", "))
		_, _ = rec.Body.WriteTo(w)
	}))
	_, res, err := f.plainSDK(t, oktatest.Frank).UserAPI.ListUserGroups(t.Context(), oktatest.Alice).Execute()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(res.NextPage(), "after=") {
		t.Errorf("the SDK's next page is %q: the trap is gone", res.NextPage())
	}
	if p, err := f.client.UserGroups(f.as(oktatest.Frank), oktatest.Alice, 0); err != nil || len(p.Items) != 3 {
		t.Errorf("%d groups, %v", len(p.Items), err)
	}
}

// The reason why factors, apps and log entries are decoded by us.
func TestTrapDecodersLoseFactorsAppsAndLogEntries(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{})
	plain, ctx := f.plainSDK(t, oktatest.Frank), f.as(oktatest.Frank)

	f.AddFactor(oktatest.Alice, "hologram", "ACME")
	factors, _, err := plain.UserFactorAPI.ListFactors(t.Context(), oktatest.Alice).Execute()
	if err != nil || len(factors) != 4 || factors[3].GetActualInstance() != nil {
		t.Errorf("the SDK reads %v, %v: the trap is gone", factors, err)
	}
	p, err := f.client.UserFactors(ctx, oktatest.Alice)
	if err != nil || len(p.Items) != 4 || p.Items[3].Type != "hologram" {
		t.Errorf("factors: %+v, %v", p.Items, err)
	}

	const app = `{"id":"` + oktatest.Figma + `","name":"figma","label":"Figma","status":"ACTIVE","signOnMode":"HOLOGRAM"}`
	f.Fail(faults.Fault{Match: "/apps", Status: 200, Body: "[" + app + "]"})
	apps, _, err := plain.ApplicationAPI.ListApplications(t.Context()).Execute()
	if err != nil || len(apps) != 1 || apps[0].GetActualInstance() != nil {
		t.Errorf("the SDK reads %v, %v: the trap is gone", apps, err)
	}
	want := okta.App{ID: oktatest.Figma, Name: "figma", Label: "Figma", Status: "ACTIVE"}
	if app, candidates, err := f.client.ResolveApp(ctx, "figma"); err != nil || app != want {
		t.Errorf("apps: %+v or %+v, %v", app, candidates, err)
	}

	// An autonomous system number has 32 bits, an int32 has 31.
	const entry = `{"eventType":"user.session.start","securityContext":{"asNumber":4200000000}}`
	f.Fail(faults.Fault{Match: "/logs", Status: 200, Body: "[" + entry + "]"})
	if _, _, err := plain.SystemLogAPI.ListLogEvents(t.Context()).Execute(); err == nil {
		t.Error("the SDK reads the log entry: the trap is gone")
	}
	log, err := f.client.UserActivity(ctx, oktatest.Alice, 10)
	if err != nil || !slices.Equal(log.Items, []okta.LogEvent{{Type: "user.session.start"}}) {
		t.Errorf("log: %+v, %v", log.Items, err)
	}
}

// The next page is read at our own address and on the path of the list, whatever the link names, and only once.
func TestNextPageStaysOnThePathOfTheList(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	const path = "/api/v1/users/" + oktatest.Alice + "/groups"
	for _, r := range []struct {
		name, link string
		always     bool // also on the second page
		want       okta.Kind
		hits       int
	}{
		{"another host", other.URL + path + "?after=x", false, "", 2},
		{"another path", "/api/v1/users?after=x", false, okta.KindGarbled, 1},
		{"a longer path", "/evil" + path + "?after=x", false, okta.KindGarbled, 1},
		{"up", "/api/v1/../../admin?after=x", false, okta.KindGarbled, 1},
		{"no query", path, false, okta.KindGarbled, 1},
		{"no URL", "http://[", false, okta.KindGarbled, 1},
		{"the same page again", path + "?after=x", true, okta.KindGarbled, 2},
	} {
		t.Run(r.name, func(t *testing.T) {
			var queries []string
			ctx, c := clientOf(t, func(w http.ResponseWriter, req *http.Request) {
				queries = append(queries, req.URL.RawQuery)
				if r.always || len(queries) == 1 {
					w.Header().Add("Link", "<"+r.link+`>; rel="next"`)
				}
				_, _ = io.WriteString(w, `[]`)
			})
			_, err := c.UserGroups(ctx, oktatest.Alice, 0)
			if okta.KindOf(err) != r.want || len(queries) != r.hits || elsewhere.Load() != 0 {
				t.Errorf("requests %q, %d elsewhere, %v", queries, elsewhere.Load(), err)
			}
			if len(queries) > 1 && queries[1] != "after=x" {
				t.Errorf("the next page's query is %q", queries[1])
			}
		})
	}
}
