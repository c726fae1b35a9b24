package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// card is the newest approval's card, or one in a state.
func card(status string) string {
	return `[data-testid="approval-card"][data-status="` + status + `"]`
}

// resets are the password resets Okta was asked for.
func resets(f *run.Fleet) (all []faults.Request) {
	for _, r := range f.Org.Requests() {
		if strings.HasSuffix(r.Path, "/lifecycle/reset_password") {
			all = append(all, r)
		}
	}
	return all
}

// TestWalkthrough is what a newcomer does with Steward, in a browser, under both agent runtimes.
func TestWalkthrough(t *testing.T) {
	for _, runtime := range []string{"classic", "harness"} {
		t.Run(runtime, func(t *testing.T) {
			f := start(t, run.Options{AgentRuntime: runtime, PollInterval: time.Second})
			b := newBrowser(t)
			shot := func(b *browser, name string) {
				if runtime == "classic" {
					b.shot(name)
				}
			}

			// Signed out, and in.
			b.open(f.ChatURL)
			b.awaitText("h1", "Okta work")
			shot(b, "signed-out")
			b.signIn(f, "alice@example.com")
			shot(b, "signed-in")

			// Her groups, and how the answer came about.
			groups := b.ask("Give me Okta groups for a user - alice@example.com")
			contains(t, "groups", groups, "Everyone", "Engineering")
			b.click(".answer:last-child summary")
			b.await("the steps", `document.querySelector(".answer:last-child details[open] .step")`)
			shot(b, "groups")

			// A change: the same code in the chat and on the phone.
			asked := b.ask("How do I reset my password?")
			b.await("a card that waits", `document.querySelector('`+card("pending")+`')`)
			code := eval[string](b, `document.querySelector('`+card("pending")+`').dataset.code`)
			contains(t, "what was text on asking", asked, code)
			shot(b, "waiting")
			if n := len(resets(f)); n != 0 {
				t.Errorf("Okta was asked for %d resets before the approval", n)
			}
			phone := b.tab()
			phone.open(f.Auth0URL + "/phone?user=alice@example.com")
			phone.awaitText(".push .code", code)
			phone.do(chromedp.EmulateViewport(420, 640))
			shot(phone, "phone")
			phone.click(`[data-decision="approve"]`)
			phone.await("the phone says approved", `document.querySelector('.push[data-status="approved"]')`)

			// The card and the conversation tell by themselves.
			b.do(chromedp.Evaluate[chromedp.Void](`void (window.untouched = true)`))
			b.await("the card is done", `document.querySelector('`+card("done")+`')`)
			b.await("the conversation tells", `document.querySelector('[data-testid="outcome"][data-status="done"]')`)
			if !eval[bool](b, `window.untouched === true`) {
				t.Error("the page was loaded again")
			}
			shot(b, "done")
			done := resets(f)
			token := ""
			for _, r := range f.Org.Requests() {
				if r.Actor == oktatest.Alice && r.Method == "GET" {
					token = r.TokenSHA256
				}
			}
			if len(done) != 1 || done[0].Path != "/api/v1/users/"+oktatest.Alice+"/lifecycle/reset_password" || done[0].Actor != oktatest.Alice || token == "" {
				t.Errorf("Okta got %+v, want one reset of alice's password with alice's own token", done)
			}
			if n := f.Org.MailCount(oktatest.Alice, oktatest.MailResetPassword); n != 1 {
				t.Errorf("alice got %d mails, want 1", n)
			}

			// Asked about it, the agent answers from fact.
			contains(t, "did it work", b.ask("Did it work?"), "done")

			// Without the tuple, no groups.
			change(t, f, "deletes", tuple("user:alice@example.com", "read_okta", "okta:groups"))
			before := len(f.Org.Requests())
			refusal := b.ask("What are my Okta groups?")
			contains(t, "refusal", refusal, "not allowed")
			if strings.Contains(refusal, "Engineering") {
				t.Errorf("refused, but the groups are shown: %q", refusal)
			}
			if n := len(f.Org.Requests()) - before; n != 0 {
				t.Errorf("Okta was asked %d times for somebody who may not", n)
			}
			shot(b, "not-allowed")

			// The trail tells all of it.
			b.click("[data-testid=activity]")
			b.await("the trail", `document.querySelectorAll('[data-testid="activity-entry"]').length >= 4`)
			trail := b.text(`[data-testid="activity-entry"]`)
			contains(t, "activity", trail, "You signed in.", "You looked up the groups of alice@example.com.", "You reset the password of alice@example.com",
				". Approved on your phone ", ", done ", "you were not allowed to.", done[0].RequestID[:8])
			shot(b, "activity")

			// A reload loses nothing; the dark look.
			b.look("dark")
			b.do(chromedp.Reload())
			b.awaitText(".answer", "Engineering")
			if text := b.text(".trace summary"); strings.Count(text, " ms") > strings.Count(text, "How I got this") {
				t.Errorf("a step's time is told twice: %q", text)
			}
			b.await("the card is back", `document.querySelector('`+card("done")+`')`)
			shot(b, "dark")

			// Out; and going back shows nothing.
			b.look("light")
			b.click("[data-testid=logout]")
			b.await("signed out", `location.href.startsWith(`+quote(f.ChatURL)+`) && document.querySelector("[data-testid=login]")`)
			if n := eval[int](b, `sessionStorage.length`); n != 0 {
				t.Errorf("%d things of the conversation stay in the browser", n)
			}
			b.open(f.ChatURL + "/api/activity")
			contains(t, "API when signed out", b.text("body"), "sign in")
		})
	}
}

// TestDeniedAndExpiredApprovalsChangeNothing lets the phone deny, and lets nobody answer; a second browser of the same person sees the same.
func TestDeniedAndExpiredApprovalsChangeNothing(t *testing.T) {
	f := start(t, run.Options{PollInterval: time.Second})
	one, two := newBrowser(t), newBrowser(t)
	one.signIn(f, "alice@example.com")
	two.signIn(f, "alice@example.com")
	for i, tt := range []struct{ end, shows string }{{"denied", "Denied on your phone"}, {"expired", "Expired without an answer"}} {
		one.ask("Reset my password")
		one.await("a card that waits", `document.querySelector('`+card("pending")+`')`)
		code := eval[string](one, `document.querySelector('`+card("pending")+`').dataset.code`)
		two.do(chromedp.Reload())
		two.await("the same card", `document.querySelector('`+card("pending")+`[data-code="`+code+`"]')`)
		push := f.Tenant.Pushes()[i]
		if !strings.Contains(push.BindingMessage, code) {
			t.Errorf("the phone shows %q, the chat %s", push.BindingMessage, code)
		}
		if tt.end == "denied" {
			if err := f.Tenant.Decide(push.ID, "deny"); err != nil {
				t.Fatal(err)
			}
		} else {
			expireSoon(t, f, push)
		}
		for name, b := range map[string]*browser{"first": one, "second": two} {
			b.await("the "+name+" browser shows the end", `document.querySelector('`+card(tt.end)+`[data-code="`+code+`"]')`)
			contains(t, name+" browser", b.text(card(tt.end)), tt.shows)
		}
	}
	if n := len(resets(f)); n != 0 {
		t.Errorf("Okta got %d resets, want none", n)
	}
}

// TestNamesAreShownAsText gives groups and people names that would run as HTML.
func TestNamesAreShownAsText(t *testing.T) {
	f := start(t, run.Options{})
	markup := []string{`<img src=x onerror="window.owned=1">`, `</script><script>window.owned=1</script>`, "**bold** `code` [a](javascript:window.owned=1)"}
	for _, name := range markup {
		f.Org.AddGroup(name, `<svg onload="window.owned=1">`, oktatest.OktaGroup, oktatest.Alice)
	}
	b := newBrowser(t)
	b.signIn(f, "alice@example.com")
	text := b.ask("What are my Okta groups?")
	contains(t, "the names as text", text, "<img src=x onerror=", "</script><script>window.owned=1</script>", "[a](javascript:window.owned=1)", "<svg onload=")
	b.click(".answer:last-child summary")
	b.ask(`<b>find groups</b> named "<i onclick=window.owned=1>"`)
	contains(t, "the question as text", b.text(".say"), `<b>find groups</b>`)
	if eval[bool](b, `Boolean(window.owned) || document.querySelector("#log img, #log script, #log a[href^=javascript], #log i[onclick], #log svg[onload]") !== null`) {
		t.Error("a name became markup")
	}
	csp := eval[string](b, `fetch("/").then((r) => r.headers.get("Content-Security-Policy"))`, chromedp.EvalAwaitPromise)
	if csp == "" || strings.Contains(csp, "unsafe-inline") {
		t.Errorf("content security policy %q", csp)
	}
}

// TestKeyboardAndNarrowWindow uses nothing but keys, in a window as wide as a phone.
func TestKeyboardAndNarrowWindow(t *testing.T) {
	f := start(t, run.Options{PollInterval: time.Second})
	b := newBrowser(t)
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	keys := func(keys string) { t.Helper(); b.do(chromedp.KeyEvent(keys)) }
	until := func(what, selector string) {
		t.Helper()
		for range 20 {
			if keys("\t"); eval[bool](b, `document.activeElement.matches(`+quote(selector)+`)`) {
				return
			}
		}
		t.Fatalf("%s is not reached with the Tab key", what)
	}
	fits := func(where string) {
		t.Helper()
		if by := b.overflow(); by > 0 {
			t.Errorf("%s is %d px wider than the phone", where, by)
		}
	}

	b.open(f.ChatURL)
	fits("signed out")
	b.shot("phone-width-signed-out")
	until("Sign in", "[data-testid=login]")
	keys("\r")
	b.await("the login page", `document.querySelector('[data-person="bob@example.com"]')`)
	until("bob", `[data-person="bob@example.com"]`)
	keys("\r")
	b.await("the chat", `document.activeElement && document.activeElement.id === "message"`)
	fits("welcome")
	keys("Reset the password of dave@example.com")
	keys("\r")
	b.awaitText(".answer:not(.live)", "phone")
	b.awaitText(".notice", "waits for your phone")
	fits("conversation")
	b.shot("phone-width")
	until("Show", ".notice button")
	keys("\r")
	b.await("the panel", `document.querySelector("#panel.open")`)
	fits("approvals")
	until("Cancel", "[data-testid=cancel]")
	b.await("the panel is still", `document.getAnimations().length === 0`)
	b.shot("phone-width-approval")
	keys("\r")
	b.await("the card is cancelled", `document.querySelector('`+card("cancelled")+`')`)
	keys("\x1b")
	b.await("the panel is closed", `!document.querySelector("#panel.open")`)
	if len(resets(f)) != 0 {
		t.Error("cancelled, and yet reset")
	}
	if pushes := f.Tenant.Pushes(); len(pushes) != 1 || !slices.Contains([]string{"pending", "denied", "expired"}, pushes[0].Status) {
		t.Errorf("got pushes %s", fmt.Sprint(pushes))
	}
}
