// Package oktaspec checks exchanges with Okta, ours and the fake's, against the OpenAPI document that Okta publishes
// (2024.06.1). The document comes with the okta-sdk-golang module, so it is in the module cache and needs no network.
//
// Where live answers are known to differ from the document, the difference is a
// named waiver; everything else is an error of the test.
package oktaspec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const base = "https://spec.okta.test"

var load = sync.OnceValues(func() (routers.Router, error) {
	dir, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/okta/okta-sdk-golang/v5").Output()
	if err != nil {
		return nil, fmt.Errorf("find the okta-sdk-golang module: %w", err)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(strings.TrimSpace(string(dir)),
		".generator", "okta-management-APIs-oasv3-noEnums-inheritance.yaml"))
	if err != nil {
		return nil, fmt.Errorf("load Okta's OpenAPI document: %w", err)
	}
	doc.Servers = openapi3.Servers{{URL: base}}
	for path := range doc.Paths.Map() {
		kept := false
		for _, p := range []string{"/api/v1/users", "/api/v1/groups", "/api/v1/apps", "/api/v1/logs"} {
			kept = kept || path == p || strings.HasPrefix(path, p+"/")
		}
		if !kept {
			doc.Paths.Delete(path)
		}
	}
	return gorillamux.NewRouter(doc)
})

// waiver is one way in which Okta is known to differ from its document.
type waiver struct {
	name    string
	applies func(method, path string, status int) bool
}

var statusWaivers = []waiver{
	{"no 401 is declared for any operation", func(_, _ string, status int) bool { return status == 401 }},
	{"no 5xx is declared for any operation", func(_, _ string, status int) bool { return status >= 500 }},
	{"no 405 is declared for any operation", func(_, _ string, status int) bool { return status == 405 }},
	{"400 for a bad search, filter, limit or cursor is not declared on lists", func(m, _ string, status int) bool { return status == 400 && m == http.MethodGet }},
	{"400 on suspend, unsuspend and a missing sendEmail is not declared in this edition", func(_, p string, status int) bool {
		return status == 400 && strings.Contains(p, "/lifecycle/")
	}},
	{"404 for a user unknown to the org is not declared on assigning an app", func(m, p string, status int) bool {
		return status == 404 && m == http.MethodPost && strings.HasSuffix(p, "/users")
	}},
	{"E0000062, already assigned, is a 409 and not declared", func(m, p string, status int) bool {
		return status == 409 && m == http.MethodPost && strings.HasPrefix(p, "/api/v1/apps/")
	}},
}

// nulls are properties that are null in live answers and not nullable in the
// document; they are left out before validation, wherever a path ends so.
var nulls = []string{
	"profile.description",            // groups
	"externalId",                     // app users
	"accessibility.errorRedirectUrl", // apps
	// System Log entries, whose optional parts are null throughout.
	"legacyEventType", "detailEntry", "client.id", "client.geographicalContext", "outcome.reason",
	"securityContext.asNumber", "securityContext.asOrg", "securityContext.isp", "securityContext.domain", "securityContext.isProxy",
	"authenticationContext.interface", "authenticationContext.issuer", "authenticationContext.authenticationProvider",
	"authenticationContext.credentialProvider", "authenticationContext.credentialType",
}

// Handler passes requests on to next and holds each exchange against the
// document.
func Handler(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	router, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("request body: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if p := recover(); p != nil { // a dropped connection is no exchange
				panic(p)
			}
			for _, problem := range check(router, r, body, rec) {
				t.Errorf("%s %s → %d: %s", r.Method, r.URL, rec.status, problem)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// check says what is wrong with an exchange.
func check(router routers.Router, r *http.Request, body []byte, rec *recorder) (problems []string) {
	problems = append(problems, headers(rec)...)

	u, err := url.Parse(base + r.URL.RequestURI())
	if err != nil {
		return append(problems, err.Error())
	}
	req := r.Clone(r.Context())
	req.URL, req.Host, req.Body = u, u.Host, io.NopCloser(bytes.NewReader(body))
	route, params, err := router.FindRoute(req)
	if err != nil {
		if rec.status == 404 || rec.status == 405 {
			return problems
		}
		return append(problems, "not in the document: "+err.Error())
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	// What the org refuses as malformed need not conform.
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil && rec.status != 400 {
		problems = append(problems, "request: "+err.Error())
	}
	for _, w := range statusWaivers {
		if w.applies(r.Method, r.URL.Path, rec.status) {
			return problems
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: rec.status, Header: rec.Header(), Options: options,
	}
	out.SetBodyBytes(withoutNulls(rec.body.Bytes()))
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		problems = append(problems, "response: "+err.Error())
	}
	return problems
}

// headers checks what every answer of Okta carries.
func headers(rec *recorder) (problems []string) {
	h := rec.Header()
	for _, name := range []string{"Date", "X-Okta-Request-Id", "Cache-Control"} {
		if h.Get(name) == "" {
			problems = append(problems, "no "+name)
		}
	}
	if _, ok := h["X-Rate-Limit-Reset"]; !ok && rec.status != 401 && rec.status < 500 && rec.status != 400 {
		problems = append(problems, "no X-Rate-Limit-Reset")
	}
	if ct := h.Get("Content-Type"); rec.body.Len() > 0 && ct != "application/json" {
		problems = append(problems, "Content-Type "+ct)
	}
	if rec.status >= 400 {
		var e struct {
			Code   string `json:"errorCode"`
			ID     string `json:"errorId"`
			Causes []any  `json:"errorCauses"`
		}
		if err := json.Unmarshal(rec.body.Bytes(), &e); err != nil || len(e.Code) != 8 || !strings.HasPrefix(e.ID, "oae") || e.Causes == nil {
			problems = append(problems, "not an Okta error: "+rec.body.String())
		}
	}
	return problems
}

func withoutNulls(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	strip(v, "")
	out, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return out
}

func strip(v any, path string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			strip(e, path)
		}
	case map[string]any:
		for k, e := range v {
			p := path + "." + k
			if e != nil {
				strip(e, p)
				continue
			}
			for _, n := range nulls {
				if strings.HasSuffix(p, "."+n) {
					delete(v, k)
				}
			}
		}
	}
}
