package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/fake/oktatest"
)

// accountsDeleted are the connected accounts that Auth0 was asked to delete, and did.
func accountsDeleted(f *run.Fleet) (n int) {
	for _, r := range f.Tenant.Requests() {
		if r.Method == http.MethodDelete && strings.HasPrefix(r.Path, "/me/v1/connected-accounts/accounts/cac_") && r.Status == http.StatusNoContent {
			n++
		}
	}
	return n
}

// TestAnotherPersonsOktaAccountIsRefused is the story of alice, in whose browser frank is signed in to Okta: she connects his account, is told, and
// nothing is done with it. Then she connects her own, sees it, and disconnects it.
func TestAnotherPersonsOktaAccountIsRefused(t *testing.T) {
	f := start(t, run.Options{NotConnected: true})
	b := newBrowser(t)
	b.signIn(f, "alice@example.com")
	connect := func(email string) {
		t.Helper()
		b.click("[data-testid=connect-card] a")
		b.await("the consent page", `document.querySelector("#account")`)
		b.do(chromedp.Evaluate[chromedp.Void](`void (document.querySelector("#account").value = ` + quote(email) + `)`))
		b.click("#approve")
	}

	b.await("the offer to connect", `document.querySelector("[data-testid=connect-card]")`)
	b.shot("connect")
	connect("frank@example.com")
	b.await("the page about the account", `document.querySelector("[data-testid=wrong-account]")`)
	contains(t, "the page", b.text("main"), "the Okta account of frank@example.com", "signed in as alice@example.com", "I disconnected it")
	b.shot("wrong-account")
	if n := accountsDeleted(f); n != 1 {
		t.Errorf("%d accounts were deleted from the vault, want frank's", n)
	}
	b.click("main .button")
	b.await("the offer to connect again", `document.querySelector("[data-testid=connect-card]")`)
	asked := b.ask("What are my Okta groups?")
	contains(t, "without an account", asked, "not connected")
	for _, r := range f.Org.Requests() {
		if r.Actor == oktatest.Frank && (r.Method != http.MethodGet || r.Path != "/api/v1/users/me") {
			t.Errorf("with frank's token: %s %s", r.Method, r.Path)
		}
	}

	b.open(f.ChatURL)
	connect("alice@example.com")
	b.await("the chat, connected", `document.querySelector("[data-testid=okta-state]")`)
	contains(t, "her groups", b.ask("What are my Okta groups?"), "Everyone", "Engineering")

	b.click("[data-testid=account-toggle]")
	b.awaitText("[data-testid=okta-account]", "connected since")
	contains(t, "the account menu", b.text("[data-testid=account]"), "Signed in as", "alice@example.com", "Disconnect Okta")
	if eval[string](b, `document.querySelector("[data-testid=account-toggle]").getAttribute("aria-expanded")`) != "true" {
		t.Error("the menu is open, and aria-expanded does not say so")
	}
	b.shot("account-menu")
	b.look("dark")
	b.shot("account-menu-dark")
	b.look("light")
	b.do(chromedp.EmulateViewport(375, 720))
	if n := b.overflow(); n > 0 {
		t.Errorf("the page is %d pixels wider than the phone", n)
	}
	b.shot("account-menu-phone")
	b.look("dark")
	b.shot("account-menu-phone-dark")
	b.look("light")
	b.do(chromedp.EmulateViewport(1280, 800))
	b.do(chromedp.KeyEvent("\x1b"))
	b.await("Escape closes the menu", `document.querySelector("#account").hidden && document.activeElement.id === "account-toggle"`)

	b.click("[data-testid=account-toggle]")
	b.click("[data-testid=disconnect]")
	b.await("the offer to connect", `document.querySelector("[data-testid=connect-card]")`)
	b.awaitText(".toast", "Your Okta account is disconnected")
	if n := accountsDeleted(f); n != 2 {
		t.Errorf("%d accounts were deleted from the vault, want alice's too", n)
	}
	contains(t, "after disconnecting", b.ask("What are my Okta groups?"), "not connected")
}
