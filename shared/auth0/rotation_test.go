package auth0_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// rotation is a tenant, the place that keeps its client secret, and a client with a cache before that place.
type rotation struct {
	*auth0test.Server
	client *auth0.Client
	stored atomic.Pointer[string] // nil: it cannot be read
	read   atomic.Int32           // how often, past the cache
	now    atomic.Pointer[time.Time]
}

func rotating(t *testing.T, change func(*auth0test.Options)) *rotation {
	t.Helper()
	o := auth0test.Options{
		Clients: []auth0test.Client{auth0test.WebApp(clientID, clientSecret, callback)},
		People:  []auth0test.Person{{Email: alice, EmailVerified: true, OktaUserID: "00ualice000000000001"}},
	}
	change(&o)
	r := &rotation{Server: auth0test.Start(t, o)}
	r.store(clientSecret)
	now := time.Now()
	r.now.Store(&now)
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.client = auth0.New(auth0.Config{
		Issuer: u, ClientID: clientID, Now: func() time.Time { return *r.now.Load() },
		Secret: func(context.Context) (secret.String, error) { return secret.New(clientSecret), nil },
		FreshSecret: func(context.Context) (secret.String, error) {
			r.read.Add(1)
			if s := r.stored.Load(); s != nil {
				return secret.New(*s), nil
			}
			return secret.String{}, errors.New("the store is away")
		},
	})
	return r
}

func (r *rotation) store(s string) { r.stored.Store(&s) }

func (r *rotation) atAuth0(s string) {
	r.Configure(func(settings *auth0test.Settings) { settings.Clients[clientID].Secret = s })
}

func (r *rotation) forward(d time.Duration) {
	now := r.now.Load().Add(d)
	r.now.Store(&now)
}

func (r *rotation) refresh(t *testing.T) error {
	t.Helper()
	_, err := r.client.Refresh(t.Context(), secret.New(r.SignIn(clientID, alice)), "", "")
	return err
}

func TestChangedClientSecretIsReadAgain(t *testing.T) {
	for name, change := range map[string]func(*auth0test.Options){
		"access_denied":  func(*auth0test.Options) {},
		"invalid_client": func(o *auth0test.Options) { o.InvalidClient = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := rotating(t, change)
			wants := func(what string, kind fault.Kind, read int32) {
				t.Helper()
				err := r.refresh(t)
				if err != nil {
					err = auth0.Fault(err)
				}
				if fault.KindOf(err) != kind || r.read.Load() != read {
					t.Fatalf("%s: %v after %d readings, want %q after %d", what, err, r.read.Load(), kind, read)
				}
			}
			wants("the cached one is good", "", 0)

			r.atAuth0("changed-1")
			wants("changed at Auth0 alone", fault.Internal, 1)
			wants("within a minute", fault.Internal, 1)
			r.store("changed-1")
			wants("still within a minute", fault.Internal, 1)
			r.forward(time.Minute)
			wants("a minute later", "", 2)
			wants("from then on", "", 2)

			r.atAuth0("changed-2")
			r.stored.Store(nil)
			r.forward(time.Minute)
			wants("the store is away", fault.Internal, 3)
			r.store("changed-2")
			r.forward(time.Minute)
			wants("it is back", "", 4)
		})
	}
}

func TestConcurrentCallsReadTheSecretOnce(t *testing.T) {
	r := rotating(t, func(*auth0test.Options) {})
	r.atAuth0("changed-1")
	r.store("changed-1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := r.refresh(t); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.read.Load(); n != 1 {
		t.Errorf("read %d times", n)
	}
}

// What is no refusal of the credentials is asked once, and the secret is not read for it.
func TestOtherRefusalsReadNoSecret(t *testing.T) {
	for body, status := range map[string]int{
		`{"error":"access_denied","error_description":"Denied by policy"}`:  403,
		`{"error":"access_denied","error_description":"Too Many Requests"}`: 429,
		`{"error":"invalid_grant"}`:                                         403,
		`{"error":"unauthorized_client"}`:                                   403,
		`<html>`:                                                            503,
	} {
		var calls atomic.Int32
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		u, err := url.Parse(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		c := auth0.New(auth0.Config{
			Issuer: u, ClientID: clientID, Secret: func(context.Context) (secret.String, error) { return secret.New("a"), nil },
			FreshSecret: func(context.Context) (secret.String, error) {
				t.Errorf("%d %s: the secret was read anew", status, body)
				return secret.New("b"), nil
			},
		})
		if _, err := c.Refresh(t.Context(), secret.New("refresh"), "", ""); err == nil || calls.Load() != 1 {
			t.Errorf("%d %s: %v after %d calls", status, body, err, calls.Load())
		}
		web.Close()
	}
}
