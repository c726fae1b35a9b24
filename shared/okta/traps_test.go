package okta_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// The tests of this file show, for each trap of okta-sdk-golang v5.0.6, the SDK
// falling into it and this package not. One whose first half fails after an
// upgrade has lost its reason.

// naive is the SDK as its README uses it, but for the port it would drop.
func (w *world) naive(t *testing.T, person string) *sdk.APIClient {
	t.Helper()
	cfg, err := sdk.NewConfiguration(sdk.WithOrgUrl(w.url), sdk.WithAuthorizationMode("Bearer"), sdk.WithCache(false),
		sdk.WithToken(w.MintToken(person, allScopes, time.Hour)), sdk.WithTestingDisableHttpsCheck(true))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host = u.Host
	return sdk.NewAPIClient(cfg)
}

// spy answers every request with body and keeps what it saw.
type spy struct {
	mu     sync.Mutex
	heads  []http.Header
	answer http.HandlerFunc
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.heads = append(s.heads, r.Header.Clone())
	s.mu.Unlock()
	s.answer(w, r)
}

func person(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"00ualice000000000001","status":"ACTIVE","profile":{"login":"alice@example.com"}}`)
}

func configured(t *testing.T, address string, more ...sdk.ConfigSetter) *sdk.Configuration {
	t.Helper()
	cfg, err := sdk.NewConfiguration(append([]sdk.ConfigSetter{
		sdk.WithOrgUrl(address), sdk.WithAuthorizationMode("Bearer"), sdk.WithToken("configured"),
		sdk.WithTestingDisableHttpsCheck(true),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host = u.Host
	return cfg
}

func TestTrapTwoAuthorizationHeaders(t *testing.T) {
	s := &spy{answer: person}
	server := httptest.NewServer(s)
	defer server.Close()
	sdkCtx := context.WithValue(t.Context(), sdk.ContextAccessToken, "from-context")

	_, _, _ = sdk.NewAPIClient(configured(t, server.URL)).UserAPI.GetUser(sdkCtx, "me").Execute()
	if got := s.heads[0].Values("Authorization"); len(got) != 2 {
		t.Errorf("the SDK sends %v: the trap is gone", got)
	}

	ctx := okta.WithToken(sdkCtx, secret.New("mine"))
	if _, _, err := newClient(t, server.URL, okta.Options{}).Me(ctx); err != nil {
		t.Fatal(err)
	}
	if got := s.heads[1].Values("Authorization"); len(got) != 1 || got[0] != "Bearer mine" {
		t.Errorf("we send %q", got)
	}
}

// One client serves many people, at the same time, each with their own token.
func TestTrapOneTokenAClient(t *testing.T) {
	w := start(t, oktatest.Options{})
	people := []string{oktatest.Alice, oktatest.Bob, oktatest.Carol, oktatest.Dave, oktatest.Erin, oktatest.Frank}
	var wg sync.WaitGroup
	for i := range 60 {
		id := people[i%len(people)]
		ctx := w.as(id)
		wg.Go(func() {
			if u, _, err := w.client.Me(ctx); err != nil || u.ID != okta.UserID(id) {
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

	w := startUnchecked(t, oktatest.Options{PageSize: 1})
	prefixed := httptest.NewServer(http.StripPrefix("/prefix", w.Org))
	defer prefixed.Close()
	c := newClient(t, prefixed.URL+"/prefix/", okta.Options{})
	if p, err := c.UserGroups(w.as(oktatest.Alice), oktatest.Alice, 0); err != nil || len(p.Items) != 3 {
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

	w := startUnchecked(t, oktatest.Options{})
	t.Setenv("OKTA_CLIENT_PROXY_HOST", "127.0.0.1")
	t.Setenv("OKTA_CLIENT_PROXY_PORT", "1")
	c := newClient(t, w.url, okta.Options{})
	for _, p := range []string{oktatest.Alice, oktatest.Bob, oktatest.Alice} {
		if u, _, err := c.Me(w.as(p)); err != nil || u.ID != okta.UserID(p) {
			t.Errorf("%s got the answer for %q, %v", p, u.ID, err)
		}
	}
}

func TestTrapCacheServesOnePersonToTheNext(t *testing.T) {
	w := startUnchecked(t, oktatest.Options{})
	shared := sdk.NewGoCache(3600, 3600)
	ask := func(p string) string {
		c := configured(t, w.url, sdk.WithToken(w.MintToken(p, allScopes, time.Hour)), sdk.WithCache(true), sdk.WithCacheManager(shared))
		u, _, err := sdk.NewAPIClient(c).UserAPI.GetUser(t.Context(), "me").Execute()
		if err != nil {
			t.Fatal(err)
		}
		return u.GetId()
	}
	ask(oktatest.Alice)
	if got := ask(oktatest.Bob); got != oktatest.Alice {
		t.Errorf("the SDK gave Bob %s: the trap is gone", got)
	}
	before := len(w.Requests())
	for range 3 {
		if u, _, err := w.client.Me(w.as(oktatest.Bob)); err != nil || u.ID != oktatest.Bob {
			t.Errorf("Bob got %s, %v", u.ID, err)
		}
	}
	if n := len(w.Requests()) - before; n != 3 {
		t.Errorf("three reads made %d requests", n)
	}
}

// A server that closes the connection is asked again without end by the SDK,
// also for a mail that then goes out thousands of times.
func TestTrapClosedConnection(t *testing.T) {
	var hits atomic.Int64
	closing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		hits.Add(1)
		panic(http.ErrAbortHandler)
	})
	server := httptest.NewServer(closing)

	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, _ = sdk.NewAPIClient(configured(t, server.URL)).UserAPI.GenerateResetPasswordToken(short, oktatest.Bob).SendEmail(true).Execute()
	if n := hits.Load(); n < 20 {
		t.Errorf("the SDK tried %d times: the trap is gone", n)
	}
	server.Close() // the last try may still be under way

	server = httptest.NewServer(closing)
	defer server.Close()
	c := newClient(t, server.URL, okta.Options{})
	ctx := okta.WithToken(t.Context(), secret.New("t"))
	for _, call := range []struct {
		name    string
		do      func() error
		tries   int64
		unknown bool
	}{
		{"a mail", func() error { _, err := c.ResetPassword(ctx, oktatest.Bob); return err }, 1, true},
		{"a creation", func() error { _, _, err := c.CreateGroup(ctx, "x", ""); return err }, 1, true},
		{"a deletion", func() error { _, err := c.DeleteGroup(ctx, oktatest.Finance); return err }, 1, true},
		{"a read", func() error { _, _, err := c.Me(ctx); return err }, 3, false},
		{"a membership", func() error { _, err := c.AddToGroup(ctx, oktatest.Finance, oktatest.Bob); return err }, 3, true},
	} {
		t.Run(call.name, func(t *testing.T) {
			hits.Store(0)
			err := call.do()
			if okta.KindOf(err) != okta.KindUnreachable || hits.Load() != call.tries || okta.Unknown(err) != call.unknown {
				t.Errorf("%d tries, unknown %v, %v; want %d, %v", hits.Load(), okta.Unknown(err), err, call.tries, call.unknown)
			}
		})
	}
}

// The answer to a change got lost, and the change happened: we say that we do
// not know, and do it once.
func TestALostAnswerIsUnknownAndNotRepeated(t *testing.T) {
	w := startUnchecked(t, oktatest.Options{})
	w.Fail(faults.Fault{Match: "reset_password", Reset: true, After: true})
	_, err := w.client.ResetPassword(w.as(oktatest.Frank), oktatest.Bob)
	if !okta.Unknown(err) || w.MailCount(oktatest.Bob, oktatest.MailResetPassword) != 1 {
		t.Errorf("%v after %d mails", err, w.MailCount(oktatest.Bob, oktatest.MailResetPassword))
	}
	if say := okta.Fault(err).Error(); say == "" || !strings.Contains(sayOf(err), "not known") {
		t.Errorf("we say %q", sayOf(err))
	}

	// A lost answer to what may be repeated is made good.
	w.Fail(faults.Fault{Match: "PUT", Reset: true, After: true, Times: 1})
	if _, err := w.client.AddToGroup(w.as(oktatest.Frank), oktatest.Finance, oktatest.Bob); err != nil {
		t.Errorf("a membership: %v", err)
	}
}

// Where no connection was made, nothing happened, and that is known.
func TestNoConnectionIsNoChange(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := newClient(t, server.URL, okta.Options{})
	_, err := c.ResetPassword(okta.WithToken(t.Context(), secret.New("t")), oktatest.Bob)
	if okta.KindOf(err) != okta.KindUnreachable || okta.Unknown(err) {
		t.Errorf("unknown %v, %v", okta.Unknown(err), err)
	}
}

func TestTrapErrorsWithoutSubstance(t *testing.T) {
	w := startUnchecked(t, oktatest.Options{})
	for _, status := range []int{401, 429, 500} {
		w.Fail(faults.Fault{Status: status, Limit: time.Hour})
		_, res, err := w.naive(t, oktatest.Frank).UserAPI.GetUser(t.Context(), "me").Execute()
		var generic *sdk.GenericOpenAPIError
		if !errors.As(err, &generic) || generic.Model() != nil {
			t.Errorf("%d: the SDK knows %v: the trap is gone", status, err)
		}
		if lost := res == nil || res.Response == nil; status == 429 && !lost {
			t.Error("429: the SDK keeps the response: the trap is gone")
		}

		_, meta, err := w.client.Me(w.as(oktatest.Frank))
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
	w := startUnchecked(t, oktatest.Options{PageSize: 1})
	ctx, cancel := context.WithCancel(t.Context())
	_, res, err := w.naive(t, oktatest.Frank).UserAPI.ListUserGroups(ctx, oktatest.Alice).Execute()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var more []sdk.Group
	if _, err := res.Next(&more); err != nil {
		t.Errorf("the SDK's next page noticed the cancelled context, %v: the trap is gone", err)
	}

	before := len(w.Requests())
	ctx, cancel = context.WithTimeout(w.as(oktatest.Frank), 300*time.Millisecond)
	defer cancel()
	w.Fail(faults.Fault{Match: "/groups", Delay: 200 * time.Millisecond})
	began := time.Now()
	_, err = w.client.UserGroups(ctx, oktatest.Alice, 0)
	if okta.KindOf(err) != okta.KindTimeout || time.Since(began) > time.Second || len(w.Requests())-before > 2 {
		t.Errorf("after %v and %d requests: %v", time.Since(began), len(w.Requests())-before, err)
	}
}

func TestTrapJoinedLinks(t *testing.T) {
	org := oktatest.New(oktatest.Options{PageSize: 1})
	w := serve(t, org, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { // as HTTP proxies join them
		rec := httptest.NewRecorder()
		org.ServeHTTP(rec, r)
		maps.Copy(rw.Header(), rec.Header())
		if links := rec.Header()["Link"]; len(links) > 1 {
			rw.Header().Set("Link", strings.Join(links, ", "))
		}
		rw.WriteHeader(rec.Code)
		_, _ = rec.Body.WriteTo(rw)
	}))
	_, res, err := w.naive(t, oktatest.Frank).UserAPI.ListUserGroups(t.Context(), oktatest.Alice).Execute()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(res.NextPage(), "after=") {
		t.Errorf("the SDK's next page is %q: the trap is gone", res.NextPage())
	}
	if p, err := w.client.UserGroups(w.as(oktatest.Frank), oktatest.Alice, 0); err != nil || len(p.Items) != 3 {
		t.Errorf("%d groups, %v", len(p.Items), err)
	}
}

// The reason why factors, apps and log entries are decoded by us.
func TestTrapDecodersLoseFactorsAppsAndLogEntries(t *testing.T) {
	w := startUnchecked(t, oktatest.Options{})
	plain, ctx := w.naive(t, oktatest.Frank), w.as(oktatest.Frank)

	w.AddFactor(oktatest.Alice, "hologram", "ACME")
	factors, _, err := plain.UserFactorAPI.ListFactors(t.Context(), oktatest.Alice).Execute()
	if err != nil || len(factors) != 4 || factors[3].GetActualInstance() != nil {
		t.Errorf("the SDK reads %v, %v: the trap is gone", factors, err)
	}
	p, err := w.client.UserFactors(ctx, oktatest.Alice)
	if err != nil || len(p.Items) != 4 || p.Items[3].Type != "hologram" {
		t.Errorf("factors: %+v, %v", p.Items, err)
	}

	w.Fail(faults.Fault{Match: "/apps", Status: 200, Body: `[{"id":"` + oktatest.Figma + `","name":"figma","label":"Figma","status":"ACTIVE","signOnMode":"HOLOGRAM"}]`})
	apps, _, err := plain.ApplicationAPI.ListApplications(t.Context()).Execute()
	if err != nil || len(apps) != 1 || apps[0].GetActualInstance() != nil {
		t.Errorf("the SDK reads %v, %v: the trap is gone", apps, err)
	}
	want := []okta.App{{ID: oktatest.Figma, Name: "figma", Label: "Figma", Status: "ACTIVE"}}
	if p, err := w.client.FindApps(ctx, "fig", 10); err != nil || !slices.Equal(p.Items, want) {
		t.Errorf("apps: %+v, %v", p.Items, err)
	}

	// An autonomous system number has 32 bits, an int32 has 31.
	w.Fail(faults.Fault{Match: "/logs", Status: 200, Body: `[{"uuid":"u","eventType":"user.session.start","securityContext":{"asNumber":4200000000}}]`})
	if _, _, err := plain.SystemLogAPI.ListLogEvents(t.Context()).Execute(); err == nil {
		t.Error("the SDK reads the log entry: the trap is gone")
	}
	if p, err := w.client.UserActivity(ctx, oktatest.Alice, 10); err != nil || len(p.Items) != 1 || p.Items[0].Type != "user.session.start" {
		t.Errorf("log: %+v, %v", p.Items, err)
	}
}

// A list that names another host, another path or itself as its next page is
// not followed there.
func TestNextPageStaysAtHome(t *testing.T) {
	var stranger atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stranger.Add(1) }))
	defer other.Close()
	const path = "/api/v1/users/" + oktatest.Alice + "/groups"
	for _, c := range []struct {
		name, link string
		want       okta.Kind
		hits       int
	}{
		{"another host", other.URL + path + "?after=x", "", 2},
		{"another path", "/api/v1/users?after=x", okta.KindGarbled, 1},
		{"a longer path", "/evil" + path + "?after=x", okta.KindGarbled, 1},
		{"up", "/api/v1/../../admin?after=x", okta.KindGarbled, 1},
		{"no query", path, okta.KindGarbled, 1},
		{"no URL", "http://[", okta.KindGarbled, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			hits := 0
			home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hits++
				if r.URL.Query().Get("after") == "" {
					w.Header().Add("Link", "<"+c.link+`>; rel="next"`)
				}
				_, _ = io.WriteString(w, `[]`)
			}))
			defer home.Close()
			_, err := newClient(t, home.URL, okta.Options{}).UserGroups(okta.WithToken(t.Context(), secret.New("t")), oktatest.Alice, 0)
			if okta.KindOf(err) != c.want || hits != c.hits || stranger.Load() != 0 {
				t.Errorf("%d hits at home, %d elsewhere, %v", hits, stranger.Load(), err)
			}
		})
	}
	t.Run("in a circle", func(t *testing.T) {
		home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Link", "<"+path+`?after=x>; rel="next"`)
			_, _ = io.WriteString(w, `[]`)
		}))
		defer home.Close()
		if _, err := newClient(t, home.URL, okta.Options{}).UserGroups(okta.WithToken(t.Context(), secret.New("t")), oktatest.Alice, 0); okta.KindOf(err) != okta.KindGarbled {
			t.Errorf("got %v", err)
		}
	})
}
