package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/steward-iam/steward/infra/local/run"
)

var screenshots = flag.String("screenshots", "", "folder for the screenshots; build/screenshots of the repository by default")

// patience is how long a page may take to show what it should.
const patience = 30 * time.Second

var stopBrowser = func() {}

// chromium is the one browser of all tests. Every test is a new person in it: a browser context of its own.
var chromium = sync.OnceValues(func() (context.Context, error) {
	dir, err := os.MkdirTemp("", "steward-chromium-")
	if err != nil {
		return nil, err
	}
	options := chromedp.DefaultExecAllocatorOptions[:]
	for _, name := range []string{
		"no-sandbox", "disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "hide-scrollbars",
	} {
		options = append(options, chromedp.Flag(name, true))
	}
	options = append(options, chromedp.UserDataDir(dir), chromedp.WindowSize(1280, 800))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopContext := chromedp.NewContext(alloc)
	stopBrowser = func() {
		_ = chromedp.Cancel(ctx) // waits for the browser
		stopContext()
		stopAlloc()
		_ = os.RemoveAll(dir)
	}
	return ctx, chromedp.Do(ctx)
})

// browser is a tab.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser is a tab of somebody who was never here before. Without Chromium the test is skipped, but not in CI.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	found := false
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell", "chrome"} {
		if _, err := exec.LookPath(name); err == nil {
			found = true
		}
	}
	switch {
	case !found && os.Getenv("CI") == "true":
		t.Fatal("Chromium is not installed")
	case !found:
		t.Skip("Chromium is not installed: nobody looked at the page")
	}
	parent, err := chromium()
	if err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &browser{t, ctx}
	b.do(chromedp.EmulateViewport(1280, 800))
	b.look("light")
	return b
}

// tab is another tab of the same person.
func (b *browser) tab() *browser {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	other := &browser{b.t, ctx}
	other.do(chromedp.EmulateViewport(1280, 800))
	return other
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx); err != nil { // opens the tab, which is to outlive the timeout
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page says:\n%s", err, b.text("body"))
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

func (b *browser) click(css string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(css), chromedp.NodeVisible))
}

// look chooses light or dark.
func (b *browser) look(scheme string) {
	b.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

// eval is what a JavaScript expression comes to.
func eval[T any](b *browser, expression string, opts ...chromedp.EvaluateOption) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, opts...))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func quote(s string) string {
	raw, _ := json.Marshal(s) // a string always encodes
	return string(raw)
}

// text is what the elements that match show, one a line.
func (b *browser) text(css string) string {
	b.t.Helper()
	return eval[string](b, `[...document.querySelectorAll(`+quote(css)+`)].map((e) => e.innerText).join("\n")`)
}

// await waits until a JavaScript expression is true, also over the loading of another page.
func (b *browser) await(what, expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(40 * time.Millisecond) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain: %s (%v); the page says:\n%s", what, err, b.text("body"))
		}
	}
}

// awaitText waits until some element that matches shows a text.
func (b *browser) awaitText(css, text string) {
	b.t.Helper()
	b.await(css+" shows "+text, `[...document.querySelectorAll(`+quote(css)+`)].some((e) => e.innerText.includes(`+quote(text)+`))`)
}

// signIn goes from the page of somebody signed out through the login to the chat.
func (b *browser) signIn(f *run.Fleet, email string) {
	b.t.Helper()
	b.open(f.ChatURL)
	b.click("[data-testid=login]")
	b.await("the login page", `document.querySelector('[data-person="`+email+`"]')`)
	b.click(`[data-person="` + email + `"]`)
	b.await("the chat", `location.href.startsWith(`+quote(f.ChatURL)+`) && document.querySelector("[data-testid=message]")`)
}

// ask types a message, sends it with Enter, waits for the whole answer and returns its text.
func (b *browser) ask(message string) string {
	b.t.Helper()
	n := eval[int](b, `document.querySelectorAll(".answer").length`)
	b.do(chromedp.SendKeys(chromedp.CSS("[data-testid=message]"), message+"\r"))
	b.await("an answer to "+message, `document.querySelectorAll(".answer").length > `+strconv.Itoa(n)+` && !document.querySelector(".answer.live")`)
	return eval[string](b, `[...document.querySelectorAll(".answer")].at(-1).innerText`)
}

// shot keeps what the tab shows as <name>.png.
func (b *browser) shot(name string) {
	b.t.Helper()
	raw, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	dir := *screenshots
	if dir == "" {
		root, err := run.Root()
		if err != nil {
			b.t.Fatal(err)
		}
		dir = filepath.Join(root, "build", "screenshots")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// overflow is by how many pixels the page is wider than the window.
func (b *browser) overflow() int {
	b.t.Helper()
	return eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
}

func contains(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s: got %q, want %q in it", what, got, w)
		}
	}
}
