package ciba_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	clientID = "steward-local"
	alice    = "oidc|okta-corp|00ualice000000000001"
	bob      = "oidc|okta-corp|00ubob00000000000002"
	message  = "Reset password of alice at example.com. Code K7QX"
)

// phone is a tenant with alice's phone, on a clock that the test moves.
type phone struct {
	*auth0test.Server
	ciba.Client
	t      *testing.T
	offset atomic.Int64
}

func (p *phone) now() time.Time { return time.Now().Add(time.Duration(p.offset.Load())) }

func start(t *testing.T, change ...func(*auth0test.Options)) *phone {
	t.Helper()
	p := &phone{t: t}
	o := auth0test.Options{
		Now: p.now, Clients: []auth0test.Client{auth0test.WebApp(clientID, "s3cr3t-synthetic", "http://localhost/callback")},
		People: []auth0test.Person{
			{Email: "alice@example.com", EmailVerified: true, OktaUserID: "00ualice000000000001", PushEnrolled: true},
			{Email: "bob@example.com", EmailVerified: true, OktaUserID: "00ubob00000000000002", PushEnrolled: true},
		},
	}
	for _, c := range change {
		c(&o)
	}
	p.Server = auth0test.Start(t, o)
	p.Auth0 = clientOf(p.URL, p.now)
	return p
}

func clientOf(issuer string, now func() time.Time) *auth0.Client {
	u, err := url.Parse(issuer)
	if err != nil {
		panic(err)
	}
	return auth0.New(auth0.Config{Issuer: u, ClientID: clientID, Now: now, Secret: func(context.Context) (secret.String, error) { return secret.New("s3cr3t-synthetic"), nil }})
}

func (p *phone) push() ciba.Started {
	p.t.Helper()
	s, err := p.Start(p.t.Context(), ciba.Request{Subject: alice, Message: reset, Expiry: ciba.Expiry})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// Auth0's JavaScript SDK is the reference for what is posted; see infra/conformance/auth0.
func TestStartPostsWhatAuth0sOwnClientPosts(t *testing.T) {
	raw, err := os.ReadFile("../../infra/conformance/auth0/testdata/bc-authorize.json")
	if err != nil {
		t.Fatal(err)
	}
	var theirs map[string]string
	if err := json.Unmarshal(raw, &theirs); err != nil {
		t.Fatal(err)
	}
	p := start(t)
	s := p.push()
	if s.AuthReqID.IsZero() || s.Expiry != ciba.Expiry || s.Interval != 5*time.Second {
		t.Errorf("started %+v", s)
	}
	requests := p.Requests()
	ours := requests[len(requests)-1].Form
	got, want := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs))
	if !slices.Equal(got, want) {
		t.Errorf("we post %q, the SDK %q", got, want)
	}
	for _, field := range []string{"login_hint", "requested_expiry"} {
		if got := strings.ReplaceAll(ours[field], p.Issuer(), "https://acme.us.auth0.com/"); got != theirs[field] {
			t.Errorf("%s is %q, the SDK's %q", field, got, theirs[field])
		}
	}
	if ours["scope"] != "openid" { // a refresh token is not wanted, and with it nothing that could be kept
		t.Errorf("scope %q", ours["scope"])
	}
	if push := p.Pushes(); len(push) != 1 || push[0].BindingMessage != message || push[0].User != alice {
		t.Errorf("pushes %+v", push)
	}
}

// reset is the change that most tests ask about.
var reset = ciba.Message{
	Operation: "reset_password", Phrase: "Reset the password of {target}", Code: "K7QX",
	Names: []label.Name{{Place: "target", Word: "person", Text: "alice@example.com", Mark: "#AAAA"}},
}

func TestRichAuthorizationDetails(t *testing.T) {
	const kind, api = "urn:auth0:schemas:authorization-details:v1:steward", "https://steward.test/api"
	p := start(t, func(o *auth0test.Options) {
		o.APIs = []auth0test.ResourceServer{{Name: "Steward", Identifier: api, AuthorizationDetails: []auth0test.DetailsType{{Type: kind}}}}
	})
	p.DetailType, p.Audience = kind, api
	if _, err := p.Start(t.Context(), ciba.Request{Subject: alice, Message: reset, Instruction: "Reset the password of alice", Expiry: ciba.Expiry}); err != nil {
		t.Fatal(err)
	}
	if got := string(p.Pushes()[0].Details); got != `[{"instruction":"Reset the password of alice","properties":{"change":{"display":true,"display_order":1,"name":"Change","value":"`+message+`"},"target":{"display":true,"display_order":2,"name":"Person","value":"alice@example.com"}},"type":"`+kind+`"}]` {
		t.Errorf("details %s", got)
	}
}

// What Auth0 says was approved is compared with what was asked.
func TestApprovedDetailsAreThoseAsked(t *testing.T) {
	const kind, api = "urn:auth0:schemas:authorization-details:v1:steward", "https://steward.test/api"
	asked := ciba.Request{Subject: alice, Message: reset, Instruction: "Reset the password of alice", Expiry: ciba.Expiry}
	for name, tc := range map[string]struct {
		configured string
		change     func(*ciba.Request)
		approved   bool
	}{
		"the same":          {kind, func(*ciba.Request) {}, true},
		"another sentence":  {kind, func(r *ciba.Request) { r.Instruction = "Suspend bob" }, false},
		"another operation": {kind, func(r *ciba.Request) { r.Message.Phrase = "Suspend {target}" }, false},
		"another type":      {kind + "2", func(*ciba.Request) {}, false},
		"no longer wanted":  {"", func(r *ciba.Request) { r.Instruction = "Suspend bob" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, func(o *auth0test.Options) {
				o.APIs = []auth0test.ResourceServer{{Name: "Steward", Identifier: api, AuthorizationDetails: []auth0test.DetailsType{{Type: kind}}}}
			})
			p.DetailType, p.Audience = kind, api
			s, err := p.Start(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			_ = p.Decide(p.Pushes()[0].ID, "approve")
			p.offset.Add(int64(s.Interval))
			now := asked
			tc.change(&now)
			p.DetailType = tc.configured
			got, err := p.Poll(t.Context(), s.AuthReqID, now, p.now(), s.Interval)
			if (err == nil && got.Outcome == ciba.Approved) != tc.approved || !tc.approved && fault.KindOf(err) != fault.Rejected {
				t.Errorf("got %+v, %v, want approved %t", got, err, tc.approved)
			}
		})
	}
}

// A tenant that takes no blanks gets the form without.
func TestATenantWithoutBlanks(t *testing.T) {
	p := start(t)
	p.Configure(func(s *auth0test.Settings) { s.Guardian.RefuseBlanks = true })
	ask := ciba.Request{Subject: alice, Message: reset, Expiry: ciba.Expiry}
	if _, err := p.Start(t.Context(), ask); fault.KindOf(err) != fault.Internal {
		t.Errorf("a sentence: %v", err)
	}
	p.Style = ciba.StyleToken
	if _, err := p.Start(t.Context(), ask); err != nil || p.Pushes()[0].BindingMessage != "reset_password:alice-at-example.com#K7QX" {
		t.Errorf("%v, pushes %+v", err, p.Pushes())
	}
}

// A push sent before details were configured is approved without any.
func TestDetailsMayBeMissing(t *testing.T) {
	p := start(t)
	s := p.push()
	p.DetailType, p.Audience = "urn:auth0:schemas:authorization-details:v1:steward", "https://steward.test/api"
	_ = p.Decide(p.Pushes()[0].ID, "approve")
	p.offset.Add(int64(s.Interval))
	if got, err := p.Poll(t.Context(), s.AuthReqID, ciba.Request{Subject: alice}, p.now(), s.Interval); err != nil || got.Outcome != ciba.Approved {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOutcomes(t *testing.T) {
	for style, status := range map[string]auth0test.PollStatus{"400": auth0test.PollStatus400, "403 and 429": auth0test.PollStatusDevice} {
		for _, spec := range []bool{false, true} {
			t.Run(style, func(t *testing.T) {
				p := start(t, func(o *auth0test.Options) { o.PollStatus, o.SpecExpiry, o.PushLimit = status, spec, -1 })
				poll := func(s ciba.Started, want ciba.Answer) {
					t.Helper()
					got, err := p.Poll(t.Context(), s.AuthReqID, ciba.Request{Subject: alice}, p.now(), s.Interval)
					if err != nil || got != want {
						t.Errorf("got %+v, %v, want %+v", got, err, want)
					}
				}
				forward := func(d time.Duration) { p.offset.Add(int64(d)) }
				s := p.push()
				forward(5 * time.Second)
				poll(s, ciba.Answer{Outcome: ciba.Waiting, Interval: 5 * time.Second})
				poll(s, ciba.Answer{Outcome: ciba.Waiting, Interval: 10 * time.Second}) // too fast
				_ = p.Decide(p.Pushes()[0].ID, "approve")
				forward(10 * time.Second)
				poll(s, ciba.Answer{Outcome: ciba.Approved})
				forward(10 * time.Second)
				poll(s, ciba.Answer{Outcome: ciba.Lost, Interval: 5 * time.Second}) // used

				denied := p.push()
				_ = p.Decide(p.Pushes()[1].ID, "deny")
				forward(5 * time.Second)
				poll(denied, ciba.Answer{Outcome: ciba.Refused})
				expired := p.push()
				forward(ciba.Expiry + time.Second)
				over := ciba.Refused
				if spec {
					over = ciba.Expired
				}
				poll(expired, ciba.Answer{Outcome: over})
				poll(ciba.Started{AuthReqID: secret.New("unknown"), Interval: 5 * time.Second}, ciba.Answer{Outcome: ciba.Lost, Interval: 5 * time.Second})
			})
		}
	}
}

// A tenant may wait for a shorter time than it is asked to; the caller's clock must know.
func TestShorterExpiryIsReturned(t *testing.T) {
	p := start(t, func(o *auth0test.Options) { o.PushExpiry = 40 * time.Second })
	s := p.push()
	if s.Expiry != 40*time.Second {
		t.Errorf("it waits for %s, want 40 s", s.Expiry)
	}
	p.offset.Add(int64(s.Expiry))
	if got, err := p.Poll(t.Context(), s.AuthReqID, ciba.Request{Subject: alice}, p.now(), s.Interval); err != nil || got.Outcome != ciba.Refused {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnotherPersonsApprovalIsRejected(t *testing.T) {
	for name, tc := range map[string]struct {
		subject string
		started time.Duration // after the real start
	}{
		"another subject": {bob, 0}, "no subject": {"", 0}, "a prefix": {alice[:10], 0}, "an older approval": {alice, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			s := p.push()
			_ = p.Decide(p.Pushes()[0].ID, "approve")
			p.offset.Add(int64(5 * time.Second))
			got, err := p.Poll(t.Context(), s.AuthReqID, ciba.Request{Subject: tc.subject}, p.now().Add(tc.started), s.Interval)
			if fault.KindOf(err) != fault.Rejected || got != (ciba.Answer{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// answering is a tenant that gives one answer to everything.
func answering(t *testing.T, status int, header http.Header, body string) *ciba.Client {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(web.Close)
	return &ciba.Client{Auth0: clientOf(web.URL, nil)}
}

func TestPollReadsStatusAndCodeTogether(t *testing.T) {
	waiting := func(d time.Duration) ciba.Answer { return ciba.Answer{Outcome: ciba.Waiting, Interval: d} }
	after := func(s string) http.Header { return http.Header{"Retry-After": {s}} }
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   ciba.Answer
		kind   fault.Kind
	}{
		"pending":                     {400, nil, `{"error":"authorization_pending"}`, waiting(5 * time.Second), ""},
		"pending, as the device flow": {403, nil, `{"error":"authorization_pending"}`, waiting(5 * time.Second), ""},
		"slow_down without a number":  {400, nil, `{"error":"slow_down"}`, waiting(10 * time.Second), ""},
		"slow_down, body":             {400, nil, `{"error":"slow_down","interval":17}`, waiting(17 * time.Second), ""},
		"slow_down, header":           {429, after("23"), `{"error":"slow_down","interval":17}`, waiting(23 * time.Second), ""},
		"slow_down, less than before": {400, nil, `{"error":"slow_down","interval":1}`, waiting(5 * time.Second), ""},
		"slow_down, absurd":           {400, nil, `{"error":"slow_down","interval":86400}`, waiting(time.Minute), ""},
		"rate limit":                  {429, after("30"), `{"error":"too_many_requests"}`, waiting(30 * time.Second), ""},
		"rate limit as access_denied": {429, nil, `{"error":"access_denied","error_description":"Too Many Requests"}`, waiting(10 * time.Second), ""},
		"denied":                      {400, nil, `{"error":"access_denied","error_description":"The end-user denied the authorization request or it has been expired"}`, ciba.Answer{Outcome: ciba.Refused}, ""},
		"denied, as the device flow":  {403, nil, `{"error":"access_denied","error_description":"The end-user denied the authorization request or it has been expired"}`, ciba.Answer{Outcome: ciba.Refused}, ""},
		"expired, as the spec":        {400, nil, `{"error":"expired_token"}`, ciba.Answer{Outcome: ciba.Expired}, ""},
		"wrong secret is no denial":   {401, nil, `{"error":"access_denied","error_description":"Unauthorized"}`, ciba.Answer{}, fault.Internal},
		"wrong secret, as documented": {401, nil, `{"error":"invalid_client"}`, ciba.Answer{}, fault.Internal},
		"grant off":                   {403, nil, `{"error":"unauthorized_client"}`, ciba.Answer{}, fault.Internal},
		"used or unknown":             {403, nil, `{"error":"invalid_grant"}`, ciba.Answer{Outcome: ciba.Lost, Interval: 5 * time.Second}, ""},
		"down":                        {503, nil, `<html>`, ciba.Answer{}, fault.Upstream},
		"garbage":                     {200, nil, `{"id_token":`, ciba.Answer{}, fault.Upstream},
		"approved, but keys are away": {200, nil, `{"id_token":"a.b.c"}`, ciba.Answer{Outcome: ciba.Lost, Interval: 5 * time.Second}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answering(t, tc.status, tc.header, tc.body).Poll(t.Context(), secret.New("id-canary"), ciba.Request{Subject: alice}, time.Now(), 5*time.Second)
			if got != tc.want || fault.KindOf(err) != tc.kind {
				t.Errorf("got %+v, %v, want %+v, %q", got, err, tc.want, tc.kind)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the log would have the auth_req_id: %v", err)
			}
		})
	}
}

func TestStartReadsStatusAndCodeTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   ciba.Started
		kind   fault.Kind
		says   string
	}{
		"accepted":              {200, `{"auth_req_id":"x","expires_in":300,"interval":5}`, ciba.Started{Expiry: 300 * time.Second, Interval: 5 * time.Second}, "", ""},
		"without the numbers":   {200, `{"auth_req_id":"x"}`, ciba.Started{Expiry: 300 * time.Second, Interval: 5 * time.Second}, "", ""},
		"with other numbers":    {200, `{"auth_req_id":"x","expires_in":60,"interval":0.1}`, ciba.Started{Expiry: time.Minute, Interval: time.Second}, "", ""},
		"an absurd number":      {200, `{"auth_req_id":"x","expires_in":1e300,"interval":1e300}`, ciba.Started{Expiry: 300 * time.Second, Interval: time.Minute}, "", ""},
		"half a second":         {200, `{"auth_req_id":"x","expires_in":0.5}`, ciba.Started{Expiry: 500 * time.Millisecond, Interval: 5 * time.Second}, "", ""},
		"negative numbers":      {200, `{"auth_req_id":"x","expires_in":-1,"interval":-1}`, ciba.Started{Expiry: 300 * time.Second, Interval: 5 * time.Second}, "", ""},
		"longer than asked":     {200, `{"auth_req_id":"x","expires_in":9999,"interval":600}`, ciba.Started{Expiry: 300 * time.Second, Interval: time.Minute}, "", ""},
		"not enrolled":          {400, `{"error":"invalid_request","error_description":"x"}`, ciba.Started{}, fault.Conflict, "no push notifications"},
		"message refused":       {400, `{"error":"invalid_request","error_description":"binding_message contains invalid characters"}`, ciba.Started{}, fault.Internal, "refused the message"},
		"message refused, CIBA": {400, `{"error":"invalid_binding_message"}`, ciba.Started{}, fault.Internal, "refused the message"},
		"unknown user":          {400, `{"error":"unknown_user_id"}`, ciba.Started{}, fault.Unauthenticated, "sign in again"},
		"too often":             {429, `{"error":"too_many_requests"}`, ciba.Started{}, fault.Conflict, "too many requests"},
		"wrong secret":          {401, `{"error":"access_denied","error_description":"Unauthorized"}`, ciba.Started{}, fault.Internal, "not set up correctly"},
		"grant off":             {403, `{"error":"unauthorized_client"}`, ciba.Started{}, fault.Internal, "not set up correctly"},
		"down":                  {500, `x`, ciba.Started{}, fault.Upstream, "did not answer"},
		"an answer without id":  {200, `{}`, ciba.Started{}, fault.Upstream, "could not send the request"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answering(t, tc.status, nil, tc.body).Start(t.Context(), ciba.Request{Subject: alice, Message: reset, Expiry: ciba.Expiry})
			got.AuthReqID = secret.String{}
			if got != tc.want || fault.KindOf(err) != tc.kind {
				t.Errorf("got %+v, %v, want %+v, %q", got, err, tc.want, tc.kind)
			}
			if f, ok := errors.AsType[*fault.Error](err); ok && !strings.Contains(f.Say, tc.says) {
				t.Errorf("it says %q, want %q", f.Say, tc.says)
			}
		})
	}
}
