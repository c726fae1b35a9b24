package faultproxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// The observers see a request before and after its effect, and the whole exchange; the phone, a page for people, is in no journal.
func TestObservers(t *testing.T) {
	var p faultproxy.Proxy
	var seen []string
	var kept []faultproxy.Exchange
	p.Record(func(e faultproxy.Exchange) { kept = append(kept, e) })
	p.Watch(func(service string, after bool) {
		seen = append(seen, service+map[bool]string{false: " before", true: " after"}[after])
	})
	h := p.Wrap(faults.Auth0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, "effect")
		_, _ = io.Copy(w, r.Body)
	}))
	for _, path := range []string{"/oauth/token", "/phone/pushes"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("code=x")))
		if w.Body.String() != "code=x" {
			t.Errorf("%s: the service got %q", path, w.Body)
		}
	}
	if want := []string{"auth0 before", "effect", "auth0 after", "effect"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	if len(kept) != 1 || string(kept[0].Request) != "code=x" || string(kept[0].Response) != "code=x" || len(p.Requests()) != 1 {
		t.Errorf("got %+v and %d entries", kept, len(p.Requests()))
	}
}

// With a latency an answer begins so long after its request, work included; what runs code of its own begins so late instead.
func TestLatency(t *testing.T) {
	const latency = 150 * time.Millisecond
	for name, tc := range map[string]struct {
		service, target string
		late            bool // the work, not only the answer
	}{
		"a service":     {faults.Okta, "", false},
		"a table":       {faults.AWS, "DynamoDB_20120810.GetItem", false},
		"an invocation": {faults.AWS, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var worked time.Duration
			begun := time.Now()
			h := (&faultproxy.Proxy{Latency: latency}).Wrap(tc.service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				worked = time.Since(begun)
				w.WriteHeader(http.StatusNoContent)
			}))
			r := httptest.NewRequest(http.MethodPost, "/x", nil)
			r.Header.Set("X-Amz-Target", tc.target)
			h.ServeHTTP(httptest.NewRecorder(), r)
			if took := time.Since(begun); took < latency {
				t.Errorf("answered after %v, want %v", took, latency)
			}
			if (worked >= latency) != tc.late {
				t.Errorf("worked after %v", worked)
			}
		})
	}
}
