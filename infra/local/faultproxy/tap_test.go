package faultproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/steward-iam/steward/infra/local/faultproxy"
)

// serve is a service behind a tap that answers every request with its body.
func serve(t *testing.T, tp *faultproxy.Tap, service string) (url string, effects *int) {
	t.Helper()
	effects = new(int)
	s := httptest.NewServer(tp.Wrap(service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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

func TestKeepsWhatWasReceivedWithoutSecrets(t *testing.T) {
	const canary = "c4nary-secret"
	var tp faultproxy.Tap
	auth0, _ := serve(t, &tp, faultproxy.Auth0)
	okta, _ := serve(t, &tp, faultproxy.Okta)
	aws, _ := serve(t, &tp, faultproxy.AWS)
	form := "grant_type=refresh_token&client_secret=" + canary + "&refresh_token=" + canary + "&audience=x"
	if _, got, _ := send(t, "POST", auth0+"/oauth/token?state="+canary, form, "Content-Type", "application/x-www-form-urlencoded"); got != form {
		t.Errorf("the service got the body %q, want %q", got, form)
	}
	for range 2 {
		_, _, _ = send(t, "PUT", okta+"/api/v1/groups/1?limit=2", `{"profile":{"name":"x"}}`, "Authorization", "Bearer "+canary)
	}
	_, _, _ = send(t, "POST", aws+"/", `{"TableName":"bedrock-sessions","Item":{}}`, "X-Amz-Target", "DynamoDB_20120810.PutItem", "Authorization", "AWS4-HMAC-SHA256 "+canary)
	_, _, _ = send(t, "GET", auth0+"/phone/pushes", "")

	all := tp.Requests("")
	if s := fmt.Sprintf("%+v", all); strings.Contains(s, canary) {
		t.Errorf("a secret was kept: %s", s)
	}
	if len(all) != 4 || all[3].Seq != 4 {
		t.Fatalf("got %d requests, want 4 in order", len(all))
	}
	got := tp.Requests(faultproxy.Okta)
	if len(got) != 2 || got[0].TokenSHA256 == "" || got[0].TokenSHA256 != got[1].TokenSHA256 {
		t.Errorf("got %+v, want the same token twice", got)
	}
	want := faultproxy.Request{Seq: 4, Service: "aws", Method: "POST", Path: "/", Target: "DynamoDB_20120810.PutItem", Resource: "bedrock-sessions", Status: 202}
	if diff := cmp.Diff(want, all[3], cmpopts.IgnoreFields(faultproxy.Request{}, "At", "DurationMS")); diff != "" {
		t.Errorf("AWS call (-want +got):\n%s", diff)
	}
	if f := all[0].Form; f["grant_type"] != "refresh_token" || f["client_secret"] != f["refresh_token"] || !strings.HasPrefix(f["client_secret"], "sha256:") {
		t.Errorf("got form %v", f)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name        string
		fault       faultproxy.Fault
		path        string
		target      string
		wantStatus  int
		want        string
		wantEffects int
	}{
		{name: "status and body", fault: faultproxy.Fault{Status: 503, Body: "down"}, wantStatus: 503, want: "down"},
		{name: "status alone has the service's body", fault: faultproxy.Fault{Status: 500}, wantStatus: 500, want: `{"__type":"InternalServerError","message":"Internal server error"}`},
		{name: "garbage", fault: faultproxy.Fault{Body: "<<<"}, wantStatus: 200, want: "<<<"},
		{name: "slow", fault: faultproxy.Fault{DelayMS: 30}, wantStatus: 202, want: "in", wantEffects: 1},
		{name: "after the effect", fault: faultproxy.Fault{Status: 500, Body: "late", After: true}, wantStatus: 500, want: "late", wantEffects: 1},
		{name: "matches the path", fault: faultproxy.Fault{Match: "POST /queue", Status: 418}, path: "/queue/1", wantStatus: 418},
		{name: "other path", fault: faultproxy.Fault{Match: "POST /queue", Status: 418}, wantStatus: 202, want: "in", wantEffects: 1},
		{name: "matches the target", fault: faultproxy.Fault{Match: "PutItem", Status: 418}, target: "DynamoDB_20120810.PutItem", wantStatus: 418},
		{name: "other target", fault: faultproxy.Fault{Match: "PutItem", Status: 418}, target: "DynamoDB_20120810.GetItem", wantStatus: 202, want: "in", wantEffects: 1},
		{name: "other service", fault: faultproxy.Fault{Service: faultproxy.Okta, Status: 418}, wantStatus: 202, want: "in", wantEffects: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tp faultproxy.Tap
			url, effects := serve(t, &tp, faultproxy.AWS)
			if tt.fault.Service == "" {
				tt.fault.Service = faultproxy.AWS
			}
			if err := tp.Add(tt.fault); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			status, got, err := send(t, "POST", url+tt.path, "in", "X-Amz-Target", tt.target)
			if err != nil || status != tt.wantStatus || tt.want != "" && got != tt.want || *effects != tt.wantEffects {
				t.Errorf("got %d %q %v and %d effects, want %d %q and %d", status, got, err, *effects, tt.wantStatus, tt.want, tt.wantEffects)
			}
			if d := time.Since(begun); d < time.Duration(tt.fault.DelayMS)*time.Millisecond {
				t.Errorf("answered after %v", d)
			}
		})
	}
}

func TestFaultHitsSoManyTimes(t *testing.T) {
	var tp faultproxy.Tap
	url, _ := serve(t, &tp, faultproxy.FGA)
	if err := tp.Add(faultproxy.Fault{Service: faultproxy.FGA, Status: 429, Times: 2}); err != nil {
		t.Fatal(err)
	}
	var got []int
	for range 3 {
		status, _, _ := send(t, "POST", url, "")
		got = append(got, status)
	}
	if diff := cmp.Diff([]int{429, 429, 202}, got); diff != "" {
		t.Error(diff)
	}
	if len(tp.Faults()) != 0 {
		t.Error("the fault is still armed")
	}
	if r := tp.Requests(faultproxy.FGA); !r[0].Fault || r[2].Fault {
		t.Errorf("got %+v, want the first to be marked and the last not", r)
	}
}

func TestReset(t *testing.T) {
	var tp faultproxy.Tap
	url, effects := serve(t, &tp, faultproxy.Okta)
	_ = tp.Add(faultproxy.Fault{Service: faultproxy.Okta, Reset: true})
	if _, _, err := send(t, "POST", url, ""); err == nil || *effects != 0 {
		t.Errorf("got error %v and %d effects, want a dropped connection", err, *effects)
	}
	tp.Clear()
	if status, _, err := send(t, "POST", url, ""); status != 202 {
		t.Errorf("after Clear: got %d, %v", status, err)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	for _, f := range []faultproxy.Fault{
		{Service: "mail", Status: 500},
		{Service: faultproxy.AWS},
		{Service: faultproxy.AWS, Status: 99},
		{Service: faultproxy.AWS, Status: 500, Times: -1},
	} {
		if err := new(faultproxy.Tap).Add(f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

// With a latency an answer begins so long after its request, work included; what runs code of its own begins so late instead.
func TestLatency(t *testing.T) {
	const latency = 150 * time.Millisecond
	for name, tc := range map[string]struct {
		service, target string
		late            bool // the work, not only the answer
	}{
		"a service":     {faultproxy.Okta, "", false},
		"a table":       {faultproxy.AWS, "DynamoDB_20120810.GetItem", false},
		"an invocation": {faultproxy.AWS, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var worked time.Duration
			begun := time.Now()
			h := (&faultproxy.Tap{Latency: latency}).Wrap(tc.service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
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
