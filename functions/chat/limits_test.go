package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/shared/dynamo"
)

// tooMany requires the answer 429 and returns its Retry-After.
func (b *browser) tooMany(got answer) time.Duration {
	b.t.Helper()
	got.wants(b.t, 429, "You are asking too often. Please ")
	seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		b.t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

// TestQuestionsOfAPersonAreCounted: twenty a minute and five hundred a day, over all browsers and processes.
func TestQuestionsOfAPersonAreCounted(t *testing.T) {
	const question = "What am I allowed to do?"
	w := begin(t)
	other := httptest.NewServer(w.process(w.env)) // another instance of the function
	t.Cleanup(other.Close)
	one, two := w.browser().signIn(alice), w.browser().signIn(alice)
	elsewhere := func(b *browser) answer {
		return b.do(http.MethodPost, other.URL+"/api/chat", `{"message":"`+question+`"}`, "Content-Type", "application/json")
	}
	for i := range 20 {
		switch i % 3 {
		case 0:
			one.ask(question).wants(t, 200)
		case 1:
			two.ask(question).wants(t, 200)
		default:
			elsewhere(two).wants(t, 200)
		}
	}
	one.tooMany(one.ask(question))
	two.tooMany(two.ask(question))
	wait := two.tooMany(elsewhere(two))
	w.browser().signIn(bob).ask(question).wants(t, 200)
	w.forward(wait)
	one.ask(question).wants(t, 200)

	table := dynamo.NewLimits(dynamodb.NewFromConfig(w.from), "sessions")
	for {
		wait, err := table.OfOwner(t.Context(), aliceSub, dynamo.Limit{Name: "questions a day", Most: 500, Window: 24 * time.Hour}, w.clock())
		if err != nil {
			t.Fatal(err)
		}
		if wait > 0 {
			break
		}
	}
	wait = one.tooMany(one.ask(question))
	if midnight := w.clock().Truncate(24 * time.Hour).Add(24 * time.Hour); midnight.Sub(w.clock().Add(wait)).Abs() > time.Second {
		t.Errorf("wait %s, want until midnight in UTC", wait)
	}
	one.get("/api/approvals").wants(t, 200)
}

func TestNewChatsConnectionsAndCodesAreCounted(t *testing.T) {
	for name, try := range map[string]func(b *browser) answer{
		"new chats":  func(b *browser) answer { return b.do(http.MethodPost, "/api/chat/new", "") },
		"connect":    func(b *browser) answer { return b.get("/connect") },
		"disconnect": func(b *browser) answer { return b.do(http.MethodPost, "/disconnect", "") },
		"link tries": func(b *browser) answer {
			form := url.Values{"session": {"301234567890123"}, "code": {"AAAA-AAAA"}}
			return b.do(http.MethodPost, "/link", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, func(env map[string]string) { env["CONSOLE_LINKING"] = "on" })
			one, two := w.browser().signIn(alice), w.browser().signIn(alice)
			for range 5 {
				for _, b := range []*browser{one, two} {
					if got := try(b); got.StatusCode == 429 || got.StatusCode >= 500 {
						t.Fatalf("got %d", got.StatusCode)
					}
				}
			}
			calls := w.calls(func() { one.tooMany(try(one)) })
			if calls != 0 {
				t.Errorf("%d calls of Auth0 for what is refused", calls)
			}
			w.forward(two.tooMany(try(two)))
			if got := try(one); got.StatusCode == 429 {
				t.Error("still refused when the time is over")
			}
		})
	}
}
