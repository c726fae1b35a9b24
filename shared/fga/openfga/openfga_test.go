package openfga_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	erin   = "user:erin@example.com"
	canary = "canary-client-secret"
)

// handlerTransport calls a handler without a network, so that time can be faked.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	type result struct {
		res *http.Response
	}
	done := make(chan result, 1)
	go func() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		done <- result{rec.Result()}
	}()
	select {
	case out := <-done:
		return out.res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// world is a store in which erin may list groups, behind a token endpoint.
type world struct {
	fake   *fgatest.Fake
	secret secret.String // as it was first read
	stored secret.String // as it is now
	asked  int           // for the client secret
	fresh  int           // for the client secret, past the cache
	config openfga.Config
}

func newWorld() *world {
	w := &world{
		fake:   fgatest.New(fga.Tuple{User: erin, Relation: fga.ReadOkta, Object: fga.Groups}),
		secret: secret.New(canary), stored: secret.New(canary),
	}
	w.fake.Issuer = &fgatest.Issuer{ClientID: "steward-fga", ClientSecret: w.secret, Audience: "https://api.us1.fga.dev/", Lifetime: time.Hour}
	w.config = openfga.Config{
		APIURL: mustURL("https://api.us1.fga.dev"), StoreID: fgatest.StoreID, ModelID: fgatest.ModelID,
		Transport: handlerTransport{w.fake},
		Credentials: &openfga.Credentials{
			Issuer: mustURL("https://auth.fga.dev/"), Audience: "https://api.us1.fga.dev/", ClientID: "steward-fga",
			Secret:      func(context.Context) (secret.String, error) { w.asked++; return w.secret, nil },
			FreshSecret: func(context.Context) (secret.String, error) { w.fresh++; return w.stored, nil },
		},
	}
	return w
}

func (w *world) client(t *testing.T) *openfga.Client {
	t.Helper()
	c, err := openfga.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	one  = fga.Request{Checks: []fga.Check{fga.ForArea(erin, fga.ReadOkta, fga.Groups)}}
	many = fga.Request{Checks: []fga.Check{
		fga.ForArea(erin, fga.ReadOkta, fga.Groups),
		fga.ForArea(erin, fga.ReadOkta, fga.Users),
		fga.ForUser(erin, "can_list_groups", "00uerin000000000005x", true),
	}, Higher: true}
)

func TestAsk(t *testing.T) {
	w := newWorld()
	c := w.client(t)
	for name, tc := range map[string]struct {
		request fga.Request
		want    []fga.Decision
		path    string
		level   string
	}{
		"one":  {one, []fga.Decision{fga.Allowed}, "check", "MINIMIZE_LATENCY"},
		"many": {many, []fga.Decision{fga.Allowed, fga.Denied, fga.Allowed}, "batch-check", "HIGHER_CONSISTENCY"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Ask(t.Context(), tc.request)
			if diff := cmp.Diff(fga.Response{Decisions: tc.want, ModelID: fgatest.ModelID}, got); err != nil || diff != "" {
				t.Errorf("Ask: %v (-want +got):\n%s", err, diff)
			}
			calls := w.fake.Calls()
			call := calls[len(calls)-1]
			if !strings.HasSuffix(call.Path, "/stores/"+fgatest.StoreID+"/"+tc.path) || call.ModelID != fgatest.ModelID || call.Consistency != tc.level {
				t.Errorf("sent %+v", call)
			}
			if diff := cmp.Diff(tc.request.Checks, call.Checks); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
	if w.fake.Issuer.Calls() != 1 || w.asked != 1 {
		t.Errorf("token endpoint called %d times, client secret asked %d times, want once each", w.fake.Issuer.Calls(), w.asked)
	}
}

// TestTroubles: whatever goes wrong, both forms of the question end as Unknown with a reason, after at most two calls,
// in time, and without a word of the secret, the token or the person in the error.
func TestTroubles(t *testing.T) {
	for name, tc := range map[string]struct {
		faults []faults.Fault
		token  faults.Fault // of the token endpoint
		setup  func(*world)
		reason fga.Reason
		calls  int // to the API
		tokens int
	}{
		"500":                  {faults: []faults.Fault{{Status: 500, Body: `{"code":"internal_error","message":"erin@example.com"}`}}, reason: fga.ReasonUpstream, calls: 2, tokens: 1},
		"501":                  {faults: []faults.Fault{{Status: 501}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"503 and a page":       {faults: []faults.Fault{{Status: 503, Body: "<html>"}}, reason: fga.ReasonUpstream, calls: 2, tokens: 1},
		"429 at once again":    {faults: []faults.Fault{{Status: 429, Header: http.Header{"Retry-After": {"0"}}}}, reason: fga.ReasonThrottled, calls: 2, tokens: 1},
		"429 for half an hour": {faults: []faults.Fault{{Status: 429, Header: http.Header{"Retry-After": {"1800"}}}}, reason: fga.ReasonThrottled, calls: 1, tokens: 1},
		"429 until a date":     {faults: []faults.Fault{{Status: 429, Header: http.Header{"Retry-After": {"Wed, 21 Oct 2026 07:28:00 GMT"}}}}, reason: fga.ReasonThrottled, calls: 1, tokens: 1},
		"400":                  {faults: []faults.Fault{{Status: 400, Body: `{"code":"validation_error","message":"erin@example.com"}`}}, reason: fga.ReasonRefused, calls: 1, tokens: 1},
		"403":                  {faults: []faults.Fault{{Status: 403, Body: `{"code":"forbidden","message":"no"}`}}, reason: fga.ReasonCredentials, calls: 1, tokens: 1},
		"401 for ever":         {faults: []faults.Fault{{Status: 401, Body: `{"code":"unauthenticated"}`}}, reason: fga.ReasonCredentials, calls: 2, tokens: 2},
		"garbage":              {faults: []faults.Fault{{Status: 200, Body: "allowed"}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"nothing":              {faults: []faults.Fault{{Status: 200}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"an empty object":      {faults: []faults.Fault{{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{}`}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"allowed as text":      {faults: []faults.Fault{{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"allowed":"true","result":{"0":{"allowed":"true"}}}`}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"ids we did not send":  {faults: []faults.Fault{{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"result":{"00":{"allowed":true},"7":{"allowed":true}}}`}}, reason: fga.ReasonUpstream, calls: 1, tokens: 1},
		"a hang":               {faults: []faults.Fault{{Delay: time.Hour}}, reason: fga.ReasonTimeout, calls: 1, tokens: 1},
		"no such model":        {setup: func(w *world) { w.config.ModelID = "01KAFGATESTM0DE1000000000X" }, reason: fga.ReasonRefused, calls: 1, tokens: 1},
		"no such store":        {setup: func(w *world) { w.config.StoreID = "01KAFGATESTST0RE000000000X" }, reason: fga.ReasonRefused, calls: 1, tokens: 1},
		"wrong client secret":  {setup: func(w *world) { w.secret, w.stored = secret.New(canary+"-old"), secret.New(canary+"-old") }, reason: fga.ReasonCredentials, tokens: 1},
		"wrong audience":       {setup: func(w *world) { w.config.Credentials.Audience = "https://api.us1.fga.dev" }, reason: fga.ReasonCredentials, tokens: 1},
		"no client secret": {setup: func(w *world) {
			w.config.Credentials.Secret = func(context.Context) (secret.String, error) { return secret.String{}, errors.New("empty") }
		}, reason: fga.ReasonCredentials},
		"token endpoint 500":     {token: faults.Fault{Status: 500}, reason: fga.ReasonUpstream, tokens: 1},
		"token endpoint 429":     {token: faults.Fault{Status: 429}, reason: fga.ReasonThrottled, tokens: 1},
		"token endpoint garbage": {token: faults.Fault{Status: 200, Body: "token"}, reason: fga.ReasonUpstream, tokens: 1},
		"token without a token":  {token: faults.Fault{Status: 200, Body: `{"token_type":"Bearer"}`}, reason: fga.ReasonUpstream, tokens: 1},
		"token of another type":  {token: faults.Fault{Status: 200, Body: `{"access_token":"x","token_type":"mac"}`}, reason: fga.ReasonUpstream, tokens: 1},
		"token redirect":         {token: faults.Fault{Status: 307, Header: http.Header{"Location": {"https://elsewhere.example/"}}}, reason: fga.ReasonUpstream, tokens: 1},
		"token endpoint hangs":   {token: faults.Fault{Delay: time.Hour}, reason: fga.ReasonTimeout, tokens: 1},
	} {
		for form, request := range map[string]fga.Request{"one": one, "many": many} {
			t.Run(name+"/"+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					if tc.setup != nil {
						tc.setup(w)
					}
					w.fake.Fail(tc.faults...)
					w.fake.Issuer.Fail(tc.token)
					began := time.Now()
					got, err := w.client(t).Ask(t.Context(), request)
					if took := time.Since(began); took > 4*time.Second {
						t.Errorf("took %s", took)
					}
					if err == nil || got.Reason != tc.reason {
						t.Errorf("reason %q, err %v, want reason %q", got.Reason, err, tc.reason)
					}
					for i, d := range got.Decisions {
						if d != fga.Unknown {
							t.Errorf("decision %d is %s", i, d)
						}
					}
					if len(got.Decisions) != len(request.Checks) {
						t.Errorf("%d decisions to %d checks", len(got.Decisions), len(request.Checks))
					}
					if n := len(w.fake.Calls()); n != tc.calls {
						t.Errorf("%d calls to the API, want %d", n, tc.calls)
					}
					if n := w.fake.Issuer.Calls(); n != tc.tokens {
						t.Errorf("%d tokens asked for, want %d", n, tc.tokens)
					}
					if text := errorText(err); strings.Contains(text, canary) || strings.Contains(text, "fga-") || strings.Contains(text, "erin@") {
						t.Errorf("error tells too much: %s", text)
					}
					time.Sleep(2 * time.Hour) // what hangs, ends
				})
			})
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRetryHelps: one failure is not noticed.
func TestRetryHelps(t *testing.T) {
	for name, fault := range map[string]faults.Fault{
		"500":          {Status: 500},
		"429":          {Status: 429, Header: http.Header{"Retry-After": {"1"}}},
		"401":          {Status: 401},
		"429, no hint": {Status: 429, Header: http.Header{"Retry-After": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				fault.Times = 1
				w.fake.Fail(fault)
				got, err := w.client(t).Ask(t.Context(), many)
				if err != nil || got.Decisions[0] != fga.Allowed || len(w.fake.Calls()) != 2 {
					t.Errorf("Ask() = %v, %v after %d calls", got, err, len(w.fake.Calls()))
				}
			})
		})
	}
}

// TestBatchItemError: one check that OpenFGA refuses leaves the others standing.
func TestBatchItemError(t *testing.T) {
	w := newWorld()
	request := fga.Request{Checks: append([]fga.Check{fga.ForArea(erin, "no_such_relation", fga.Groups)}, many.Checks...)}
	got, err := w.client(t).Ask(t.Context(), request)
	want := fga.Response{
		Decisions: []fga.Decision{fga.Unknown, fga.Allowed, fga.Denied, fga.Allowed},
		ModelID:   fgatest.ModelID, Reason: fga.ReasonRefused,
	}
	if diff := cmp.Diff(want, got); err == nil || diff != "" {
		t.Errorf("Ask: %v (-want +got):\n%s", err, diff)
	}
}

// TestTokenLife: a token is kept until shortly before its end, replaced when the API refuses it, and fetched once for
// many who ask together.
func TestTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fake.Issuer.Fail(faults.Fault{Delay: 100 * time.Millisecond})
		c := w.client(t)
		tokens := func(when string, want int) {
			t.Helper()
			got, err := c.Ask(t.Context(), one)
			if err != nil || got.Decisions[0] != fga.Allowed {
				t.Errorf("%s: %v, %v", when, got, err)
			}
			if n := w.fake.Issuer.Calls(); n != want {
				t.Errorf("%s: %d tokens, want %d", when, n, want)
			}
		}
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { _, _ = c.Ask(t.Context(), many) })
		}
		group.Wait()
		tokens("twenty at once", 1)
		time.Sleep(58 * time.Minute)
		tokens("two minutes before the end", 1)
		time.Sleep(90 * time.Second)
		tokens("half a minute before the end", 2)
		w.fake.Issuer.Revoke()
		tokens("revoked", 3)
		tokens("and on", 3)
		w.fake.Issuer.Revoke()
		for range 20 {
			group.Go(func() { _, _ = c.Ask(t.Context(), many) })
		}
		group.Wait()
		tokens("revoked under twenty at once", 4)

		// Whoever gives up does not take the token from those who wait.
		w.fake.Issuer.Revoke()
		time.Sleep(2 * time.Hour)
		hasty, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		group.Go(func() {
			if got, err := c.Ask(hasty, one); got.Reason != fga.ReasonTimeout {
				t.Errorf("hasty: %v, %v", got, err)
			}
		})
		time.Sleep(5 * time.Millisecond)
		tokens("beside one who gave up", 5)
		group.Wait()
	})
}

// TestARotatedSecretIsReadAnew: a refused client secret is read past the cache, and the same question is then answered.
func TestARotatedSecretIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fake.Issuer.ClientSecret = secret.New("rotated")
		c := w.client(t)
		asks := func(what string, reason fga.Reason, tokens, fresh int) {
			t.Helper()
			if got, err := c.Ask(t.Context(), one); got.Reason != reason || w.fake.Issuer.Calls() != tokens || w.fresh != fresh {
				t.Errorf("%s: %v, %v after %d tokens and %d readings, want reason %q after %d and %d", what, got, err, w.fake.Issuer.Calls(), w.fresh, reason, tokens, fresh)
			}
		}
		asks("rotated at the issuer alone", fga.ReasonCredentials, 1, 1)
		w.stored = secret.New("rotated")
		asks("within a minute", fga.ReasonCredentials, 2, 1)
		time.Sleep(time.Minute)
		asks("a minute later", "", 4, 2)
		asks("from then on", "", 4, 2)
	})
}

// TestOnTheWire goes through a listener, with our own transport: resets, and an OpenFGA that wants no token.
func TestOnTheWire(t *testing.T) {
	fake := fgatest.New(fga.Tuple{User: erin, Relation: fga.ReadOkta, Object: fga.Groups})
	server := httptest.NewServer(fake)
	defer server.Close()
	c, err := openfga.New(openfga.Config{APIURL: mustURL(server.URL + "/"), StoreID: fgatest.StoreID, ModelID: fgatest.ModelID})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := c.Ask(t.Context(), many); err != nil || got.Decisions[0] != fga.Allowed {
			t.Errorf("Ask() = %v, %v", got, err)
		}
	}
	if call := fake.Calls()[0]; call.Authorization != "" {
		t.Error("a token nobody asked for was sent")
	}
	fake.Fail(faults.Fault{Reset: true, Times: 1})
	if got, err := c.Ask(t.Context(), many); err != nil || got.Decisions[0] != fga.Allowed {
		t.Errorf("one reset: %v, %v", got, err)
	}
	fake.Fail(faults.Fault{Reset: true})
	if got, err := c.Ask(t.Context(), many); got.Reason != fga.ReasonUpstream {
		t.Errorf("resets: %v, %v", got, err)
	}
	fake.Fail(faults.Fault{Delay: 10 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if got, err := c.Ask(ctx, one); got.Reason != fga.ReasonTimeout || time.Since(began) > 2*time.Second {
		t.Errorf("hang: %v, %v after %s", got, err, time.Since(began))
	}
	server.Close()
	if got, err := c.Ask(t.Context(), one); got.Reason != fga.ReasonUpstream {
		t.Errorf("nobody there: %v, %v", got, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*openfga.Config){
		"no store":         func(c *openfga.Config) { c.StoreID = "" },
		"no model":         func(c *openfga.Config) { c.ModelID = "" },
		"store not a ULID": func(c *openfga.Config) { c.StoreID = "main" },
		"model not a ULID": func(c *openfga.Config) { c.ModelID = "latest" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			change(&w.config)
			if _, err := openfga.New(w.config); err == nil {
				t.Error("New() takes it")
			}
		})
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
