package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/steward-iam/steward/infra/local/control"
	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/infra/local/runtimeapi"
	"github.com/steward-iam/steward/shared/fake/auth0test"
)

type phone struct{ pushes []auth0test.Push }

func (p *phone) Pushes() []auth0test.Push { return append([]auth0test.Push{}, p.pushes...) }

func (p *phone) Decide(id, decision string) error {
	for i := range p.pushes {
		if p.pushes[i].ID == id && p.pushes[i].Status == "pending" {
			p.pushes[i].Status = decision
			return nil
		}
	}
	return errors.New("decided already")
}

func TestControl(t *testing.T) {
	lambda, err := runtimeapi.New(runtimeapi.Options{}, runtimeapi.Function{Name: "chat", Bootstrap: "bootstrap"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lambda.Close() })
	var resets int
	h := &control.Handler{
		Phone: &phone{[]auth0test.Push{{ID: "cns_1", Status: "pending", BindingMessage: "reset_password,dave,K7Q2"}}},
		Proxy: new(faultproxy.Proxy), Lambda: lambda,
		Reset: func(context.Context) error { resets++; return nil },
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/pushes", "", 200, `"binding_message":"reset_password,dave,K7Q2"`},
		{"POST", "/pushes/cns_1", `{"decision":"maybe"}`, 400, "approve"},
		{"POST", "/pushes/cns_1", `not json`, 400, "error"},
		{"POST", "/pushes/cns_1", `{"decision":"approve","more":1}`, 400, "more"},
		{"POST", "/pushes/cns_9", `{"decision":"approve"}`, 404, "no such push"},
		{"POST", "/pushes/cns_1", `{"decision":"approve"}`, 200, `"status":"approve"`},
		{"POST", "/pushes/cns_1", `{"decision":"deny"}`, 409, "decided already"},
		{"GET", "/requests?service=okta", "", 200, "[]"},
		{"GET", "/requests?service=mail", "", 400, "auth0, okta, fga, aws"},
		{"POST", "/faults", `{"service":"okta","match":"GET /api/v1","status":429,"times":2}`, 200, `"times":2`},
		{"POST", "/faults", `{"service":"okta"}`, 400, "does nothing"},
		{"GET", "/faults", "", 200, `"status":429`},
		{"POST", "/faults", `{"service":"aws","delay_ms":20}`, 200, `"delay_ms":20`},
		{"GET", "/faults", "", 200, `"delay_ms":20`},
		{"DELETE", "/faults", "", 200, "{}"},
		{"GET", "/faults", "", 200, "[]"},
		{"GET", "/logs?function=chat", "", 200, "[]"},
		{"GET", "/stats", "", 200, `"function":"chat","instances":0`},
		{"POST", "/kill", `{"function":"chat"}`, 200, `{"killed":0}`},
		{"POST", "/kill", `{"function":"other"}`, 404, "chat"},
		{"POST", "/reset", "", 200, "{}"},
		{"GET", "/nothing", "", 404, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "http://localhost:3005"+tt.path, strings.NewReader(tt.body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", tt.method, tt.path, tt.body, w.Code, w.Body, tt.status, tt.want)
		}
		if w.Code != 404 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %s is not JSON", tt.method, tt.path, w.Body)
		}
	}
	if resets != 1 {
		t.Errorf("got %d resets, want 1", resets)
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	h := &control.Handler{Phone: &phone{}, Proxy: new(faultproxy.Proxy)}
	for name, change := range map[string]func(*http.Request){
		"cross-site post":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"other origin":      func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"name that rebinds": func(r *http.Request) { r.Host = "evil.example:3005" },
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost:3005/reset", nil)
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, w.Code)
		}
	}
}
