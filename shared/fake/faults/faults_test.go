package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// serve is a service behind an engine that answers every request with its body.
func serve(t *testing.T, e *faults.Engine, service string) (url string, effects *int) {
	t.Helper()
	effects = new(int)
	s := httptest.NewServer(e.Wrap(service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*effects++
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	})))
	t.Cleanup(s.Close)
	return s.URL, effects
}

func send(t *testing.T, method, url, body string, header ...string) (status int, answer string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	return res.StatusCode, string(got), err
}

func TestJournalHoldsNoSecret(t *testing.T) {
	const canary = "c4nary-secret"
	var e faults.Engine
	auth0, _ := serve(t, &e, faults.Auth0)
	okta, _ := serve(t, &e, faults.Okta)
	aws, _ := serve(t, &e, faults.AWS)
	form := "grant_type=refresh_token&client_secret=" + canary + "&refresh_token=" + canary + "&audience=x"
	if _, got, _ := send(t, "POST", auth0+"/oauth/token?state="+canary, form, "Content-Type", "application/x-www-form-urlencoded"); got != form {
		t.Errorf("the service got the body %q, want %q", got, form)
	}
	for range 2 {
		_, _, _ = send(t, "PUT", okta+"/api/v1/groups/1?limit=2", `{"profile":{"name":"x"}}`, "Authorization", "Bearer "+canary)
	}
	_, _, _ = send(t, "POST", aws+"/", `{"TableName":"bedrock-sessions","Item":{}}`, "X-Amz-Target", "DynamoDB_20120810.PutItem", "Authorization", "AWS4-HMAC-SHA256 "+canary)

	all := e.Requests()
	if s := fmt.Sprintf("%+v", all); strings.Contains(s, canary) {
		t.Errorf("a secret was kept: %s", s)
	}
	if len(all) != 4 || all[3].Seq != 4 {
		t.Fatalf("got %d requests, want 4 in order", len(all))
	}
	got := e.Requests(faults.Okta)
	if len(got) != 2 || got[0].TokenSHA256 == "" || got[0].TokenSHA256 != got[1].TokenSHA256 {
		t.Errorf("got %+v, want the same token twice", got)
	}
	want := faults.Request{Seq: 4, Service: "aws", Method: "POST", Path: "/", Target: "DynamoDB_20120810.PutItem", Resource: "bedrock-sessions", Status: 202}
	if diff := cmp.Diff(want, all[3], cmpopts.IgnoreFields(faults.Request{}, "At", "DurationMS")); diff != "" {
		t.Errorf("AWS call (-want +got):\n%s", diff)
	}
	if f := all[0].Form; f["grant_type"] != "refresh_token" || f["client_secret"] != f["refresh_token"] || !strings.HasPrefix(f["client_secret"], "sha256:") {
		t.Errorf("got form %v", f)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name        string
		fault       faults.Fault
		path        string
		target      string
		wantStatus  int
		want        string
		wantEffects int
	}{
		{name: "status and body", fault: faults.Fault{Status: 503, Body: "down"}, wantStatus: 503, want: "down"},
		{name: "status alone has the service's body", fault: faults.Fault{Status: 500}, wantStatus: 500, want: `{"__type":"InternalServerError","message":"Internal server error"}`},
		{name: "garbage", fault: faults.Fault{Body: "<<<"}, wantStatus: 200, want: "<<<"},
		{name: "slow", fault: faults.Fault{Delay: 30 * time.Millisecond}, wantStatus: 202, want: "in", wantEffects: 1},
		{name: "after the effect", fault: faults.Fault{Status: 500, Body: "late", After: true}, wantStatus: 500, want: "late", wantEffects: 1},
		{name: "matches the path", fault: faults.Fault{Match: "POST /queue", Status: 418}, path: "/queue/1", wantStatus: 418},
		{name: "other path", fault: faults.Fault{Match: "POST /queue", Status: 418}, wantStatus: 202, want: "in", wantEffects: 1},
		{name: "matches the target", fault: faults.Fault{Match: "PutItem", Status: 418}, target: "DynamoDB_20120810.PutItem", wantStatus: 418},
		{name: "other target", fault: faults.Fault{Match: "PutItem", Status: 418}, target: "DynamoDB_20120810.GetItem", wantStatus: 202, want: "in", wantEffects: 1},
		{name: "matches the name", fault: faults.Fault{Match: "dynamodb PutItem", Status: 418}, target: "DynamoDB_20120810.PutItem", wantStatus: 418},
		{name: "not the first", fault: faults.Fault{Nth: 2, Status: 418}, wantStatus: 202, want: "in", wantEffects: 1},
		{name: "other service", fault: faults.Fault{Service: faults.Okta, Status: 418}, wantStatus: 202, want: "in", wantEffects: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e faults.Engine
			url, effects := serve(t, &e, faults.AWS)
			if tt.fault.Service == "" {
				tt.fault.Service = faults.AWS
			}
			e.Add(tt.fault)
			begun := time.Now()
			status, got, err := send(t, "POST", url+tt.path, "in", "X-Amz-Target", tt.target)
			if err != nil || status != tt.wantStatus || tt.want != "" && got != tt.want || *effects != tt.wantEffects {
				t.Errorf("got %d %q %v and %d effects, want %d %q and %d", status, got, err, *effects, tt.wantStatus, tt.want, tt.wantEffects)
			}
			if d := time.Since(begun); d < tt.fault.Delay {
				t.Errorf("answered after %v", d)
			}
		})
	}
}

func TestFaultTimes(t *testing.T) {
	var e faults.Engine
	url, _ := serve(t, &e, faults.FGA)
	e.Add(faults.Fault{Service: faults.FGA, Status: 429, Times: 2})
	var got []int
	for range 3 {
		status, _, _ := send(t, "POST", url, "")
		got = append(got, status)
	}
	if diff := cmp.Diff([]int{429, 429, 202}, got); diff != "" {
		t.Error(diff)
	}
	if len(e.Faults()) != 0 {
		t.Error("the fault is still armed")
	}
	if r := e.Requests(faults.FGA); !r[0].Fault || r[2].Fault {
		t.Errorf("got %+v, want the first to be marked and the last not", r)
	}
}

func TestReset(t *testing.T) {
	var e faults.Engine
	url, effects := serve(t, &e, faults.Okta)
	e.Add(faults.Fault{Service: faults.Okta, Reset: true})
	if _, _, err := send(t, "POST", url, ""); err == nil || *effects != 0 {
		t.Errorf("got error %v and %d effects, want a dropped connection", err, *effects)
	}
	e.Fail()
	if status, _, err := send(t, "POST", url, ""); status != 202 {
		t.Errorf("afterwards: got %d, %v", status, err)
	}
}

func TestFaultCheck(t *testing.T) {
	for _, f := range []faults.Fault{
		{Service: "mail", Status: 500},
		{Service: faults.AWS},
		{Service: faults.AWS, Status: 99},
		{Service: faults.AWS, Status: 500, Times: -1},
	} {
		if err := f.Check(); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

// Faults are used in order; one that does nothing lets a request pass, and what a stream meets travels with the request.
func TestFaultsAreUsedInOrder(t *testing.T) {
	var e faults.Engine
	var streamed []int
	h := e.Wrap(faults.AWS, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, _ := faults.InStream(r.Context())
		streamed = append(streamed, f.Chunk)
	}))
	e.Fail(faults.Fault{Times: 1}, faults.Fault{Reset: true, Chunk: 3, Times: 1}, faults.Fault{Status: 500, Header: http.Header{"X-Amzn-Errortype": {"Busy"}}})
	var got []string
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		got = append(got, fmt.Sprint(w.Code, w.Header().Get("X-Amzn-Errortype")))
	}
	if diff := cmp.Diff([]string{"200", "200", "500Busy"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 3}, streamed); diff != "" {
		t.Error(diff)
	}
}

// The same seed makes the same chaos; switched off there is none.
func TestChaosIsReplayable(t *testing.T) {
	draw := func(c *faults.Chaos) (all []bool) {
		for range 64 {
			all = append(all, c.OneIn(3))
		}
		return all
	}
	first := faults.NewChaos(0, false)
	if diff := cmp.Diff(draw(first), draw(faults.NewChaos(first.Seed, false))); diff != "" {
		t.Error(diff)
	}
	if slices.Contains(draw(faults.NewChaos(first.Seed, true)), true) {
		t.Error("chaos that is off")
	}
}
