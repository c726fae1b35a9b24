package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// inside is what a person must never be shown of a failure.
var inside = regexp.MustCompile(`(?i)localhost|127\.0\.0\.1|dial tcp|\bEOF\b|reset by peer|exception|goroutine|panic|\.go:|<<<|https?://|unmarshal|invalid character|context deadline|arn:aws`)

// The ways a dependency fails; that of a timeout is a delay no caller waits for.
var ways = []faults.Fault{
	{Status: http.StatusInternalServerError},
	{Status: http.StatusTooManyRequests},
	{Body: "<<<"},
	{Reset: true},
	{Reset: true, After: true},
	{Status: http.StatusInternalServerError, After: true},
	{Delay: time.Minute},
}

// What the change of an Okta object depends on.
var dependencies = []faults.Fault{
	{Service: faults.Auth0, Match: "POST /oauth/token"},
	{Service: faults.Auth0, Match: "POST /bc-authorize"},
	{Service: faults.Okta},
	{Service: faults.FGA, Match: "check"},
	{Service: faults.AWS, Match: "DynamoDB_20120810.GetItem"},
	{Service: faults.AWS, Match: "DynamoDB_20120810.PutItem"},
	{Service: faults.AWS, Match: "DynamoDB_20120810.UpdateItem"},
	{Service: faults.AWS, Match: "AmazonSQS.SendMessage"},
	{Service: faults.AWS, Match: "/functions/fga-authorizer/"},
}

// TestApprovalsSurviveFaults lets what the worker depends on fail in every way, time after time, while approvals are in flight.
func TestApprovalsSurviveFaults(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	faster := fleet.Steward()
	faster.Queue.VisibilityTimeout = 3 * time.Second
	for i := range faster.Functions {
		if faster.Functions[i].Name == fleet.ApprovalWorker {
			faster.Functions[i].Timeout = 6 * time.Second // so that it gives up earlier on what does not answer
		}
	}
	f := start(t, run.Options{Fleet: faster, PollInterval: time.Second, PushLimit: -1})
	all := ask(t, f, random, 6, 4)
	storm := make(chan struct{})
	go func() {
		defer close(storm)
		for !polled(f) && t.Context().Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
		var order []int
		for i := range 3 * len(dependencies) {
			if i%len(dependencies) == 0 { // each of them as often as any other
				order = random.Perm(len(dependencies))
			}
			fault, at := ways[random.IntN(len(ways))], dependencies[order[i%len(dependencies)]]
			fault.Service, fault.Match, fault.Times = at.Service, at.Match, 3
			f.Proxy.Add(fault)
			time.Sleep(600 * time.Millisecond)
		}
		f.Proxy.Fail()
	}()
	if !awaitEnds(t, f, all, func() time.Time { return time.Time{} }, 150*time.Second) {
		t.Error("not all of them ended")
	}
	<-storm
	hit := 0
	for _, r := range f.Proxy.Requests() {
		if r.Fault {
			hit++
		}
	}
	t.Logf("%d approvals, %d requests went wrong", len(all), hit)
	// How many of the faults are met is a matter of chance; that they were met at all is what makes this a test.
	if hit < len(all)/2 {
		t.Error("hardly anything went wrong")
	}
	ends := map[string]int{}
	for _, a := range all {
		check(t, f, a)
		for _, row := range tables(f).of(t, string(a.Owner)) {
			if row.ID == a.ID {
				ends[string(row.Status)]++
			}
		}
	}
	t.Logf("%v", ends)
}

// TestFailedRequestsChangeNothing lets each dependency fail while a change is asked for: a sentence, nothing from inside, no change; and
// what is not on the phone does not stay pending.
func TestFailedRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	f := start(t, run.Options{PushLimit: -1})
	people := admins(t, f, len(dependencies))
	for i, at := range dependencies {
		for _, fault := range ways[:4] { // the rest of the ways take their time, and run's own tests take it
			if at.Match == "POST /oauth/token" {
				f.Tenant.ExpireOktaTokens()
			}
			fault.Service, fault.Match = at.Service, at.Match
			f.Proxy.Add(fault)
			failure(t, f, people[i].chat, "Reset the password of erin@example.com", fmt.Sprintf("%+v", fault))
			f.Proxy.Fail()
			for _, row := range tables(f).of(t, people[i].subject) { // another time it is another request
				if row.Status == approval.Pending {
					tables(f).expireAt(t, &row, time.Now())
				}
			}
		}
	}
	if mails := f.Org.Mails(); len(mails) != 0 {
		t.Errorf("got mails %+v, want none", mails)
	}
}

// TestPermissionsDecideEveryFunction asks for everything the catalogue has as somebody with one tuple, and as somebody with none.
func TestPermissionsDecideEveryFunction(t *testing.T) {
	f := start(t, run.Options{})
	questions := []struct {
		ask, knows string // what an answer would hold
		erin       bool
	}{
		{"What are my Okta groups?", "Everyone", true},
		{"Give me Okta groups for a user - erin@example.com", "Everyone", true},
		{"Give me Okta groups for a user - alice@example.com", "Engineering", false},
		{"Find groups named Fin", "Finance", true},
		{"Who is in Engineering?", "carol@example.com", false},
		{"Find people named Sam", "sam.taylor", false},
		{"Show the account of carol@example.com", "ACTIVE", false},
		{"Show my account", "ACTIVE", false},
		{"Add dave@example.com to Finance", "code", false},
		{"Remove alice@example.com from Engineering", "code", false},
		{"Reset my password", "code", false},
		{"Reset the password of alice@example.com", "code", false},
		{"Suspend alice@example.com", "code", false},
		{"Create a group Pirates", "code", false},
		{"Rename the group Finance to Treasure", "code", false},
		{"Delete the group Finance", "code", false},
		{"Assign alice@example.com to the app Salesforce", "code", false},
	}
	for _, name := range []string{"erin", "dave"} {
		var v *chatclient.Client
		for i, q := range questions {
			if i%8 == 0 { // one sign-in may not ask so much at once
				v = signIn(t, f, name+"@example.com")
			}
			before := len(f.Org.Requests())
			text := say(t, v, q.ask)
			may := q.erin && name == "erin"
			if strings.Contains(text, q.knows) != may || may == strings.Contains(text, "not allowed") {
				t.Errorf("%s, %s: got %q; may: %v", name, q.ask, text, may)
			}
			if name == "dave" && len(f.Org.Requests()) != before {
				t.Errorf("dave, %s: Okta was asked", q.ask)
			}
		}
	}
	if pushes := f.Tenant.Pushes(); len(pushes) != 0 {
		t.Errorf("got pushes %+v, want none", pushes)
	}
	for _, r := range f.Org.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("Okta got %s %s", r.Method, r.Path)
		}
	}
}

// TestHelpdeskCannotChangeAProtectedPerson has bob of the helpdesk ask for an administrator's account, and for another one.
func TestHelpdeskCannotChangeAProtectedPerson(t *testing.T) {
	f := start(t, run.Options{})
	bob := signIn(t, f, "bob@example.com")
	for _, ask := range []string{
		"Reset the MFA factors of frank@example.com", "Reset the password of frank@example.com", "Sign frank@example.com out of every session",
	} {
		if text := say(t, bob, ask); !strings.Contains(text, "not allowed") {
			t.Errorf("%s: got %q", ask, text)
		}
	}
	if pushes := f.Tenant.Pushes(); len(pushes) != 0 {
		t.Errorf("got pushes %+v, want none", pushes)
	}
	if text := say(t, bob, "Show the account of frank@example.com"); !strings.Contains(text, "ACTIVE") {
		t.Errorf("reading the account: got %q", text)
	}
	if text := say(t, bob, "Reset the MFA factors of dave@example.com"); !strings.Contains(text, "code") {
		t.Errorf("somebody who is not protected: got %q", text)
	}
}
