package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
	"github.com/steward-iam/steward/shared/session"
)

//go:embed templates
var templates embed.FS

// loadPages returns a function that parses the templates at its first call, as not every process serves a page.
func loadPages(static func() *assets) func() *template.Template {
	return sync.OnceValue(func() *template.Template {
		return template.Must(template.New("").Funcs(template.FuncMap{"asset": static().path}).ParseFS(templates, "templates/*.html"))
	})
}

// signedOutPage has the sign-in button.
type signedOutPage struct {
	Title string
	Ended bool // the browser had a login that has ended
}

// messagePage shows one sentence and, for an error, its reference.
type messagePage struct {
	Title string
	Say   string
	Ref   string
}

// wrongAccountPage says that another person's Okta account was connected.
type wrongAccountPage struct {
	Title   string
	Account string // the login of the connected account
	Needed  string // the account of the person who signed in
	Kept    bool   // the account could not be disconnected
	Ref     string
}

// chatPage is the page of a signed-in person.
type chatPage struct {
	Title        string
	Name         string // the person's first name
	Account      string // the e-mail address, or else the subject
	Initials     string
	Okta         oktaAccount
	Conversation string // the key under which the page stores this conversation
	Look, Change []string
	MaxMessage   int
}

// page shows the chat to a signed-in person and the sign-in button to everybody else.
func (a *App) page(w http.ResponseWriter, r *http.Request) {
	l, err := a.currentLogin(r)
	if fault.KindOf(err) == fault.Unauthenticated {
		s := siteOf(r)
		_, noCookie := r.Cookie(s.login)
		if noCookie == nil {
			http.SetCookie(w, s.cookie(s.login, "", 0))
		}
		a.render(w, http.StatusOK, "signed-out", signedOutPage{Title: "Steward", Ended: noCookie == nil})
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	look, change := suggestions()
	a.render(w, http.StatusOK, "chat", chatPage{
		Title: "Steward", Name: firstName(l.Owner), Account: accountOf(l.Owner), Initials: initials(l.Owner),
		Okta: a.okta(r.Context(), l), Conversation: conversationKey(l.Current), Look: look, Change: change, MaxMessage: maxMessage,
	})
}

func (a *App) render(w http.ResponseWriter, code int, name string, data any) {
	var b bytes.Buffer
	if err := a.pages().ExecuteTemplate(&b, name, data); err != nil {
		a.Log.Error("page does not render", "page", name, "err", err)
		http.Error(w, "Something went wrong on our side. Please try again.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes())
}

// shownName removes characters from a name that are invisible or change the direction of the text around it.
func shownName(name string) string {
	clean, _ := label.Clean(name)
	return clean
}

// conversationKey is a hash of the session id, which itself never reaches the browser.
func conversationKey(id session.ID) string {
	sum := sha256.Sum256([]byte("conversation " + id))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func accountOf(p session.Person) string {
	if p.Email != "" {
		return p.Email
	}
	return string(p.Subject)
}

func firstName(p session.Person) string {
	name := strings.TrimSpace(p.Name)
	if name == "" || strings.Contains(name, "@") {
		name, _, _ = strings.Cut(accountOf(p), "@")
		if strings.Contains(name, "|") {
			return "there"
		}
	}
	return clip(strings.Fields(name)[0], 40)
}

func initials(p session.Person) string {
	name := strings.TrimSpace(p.Name)
	if name == "" {
		name = accountOf(p)
	}
	var out []rune
	for _, word := range strings.Fields(name) {
		out = append(out, []rune(strings.ToUpper(word))[0])
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return string(out)
}

// suggestions returns the first example of each function: reads in look, changes in change.
func suggestions() (look, change []string) {
	for _, f := range catalogue.Functions() {
		if len(f.Examples) == 0 || f.Name == "check_approval" {
			continue
		}
		if f.Elevated {
			change = append(change, f.Examples[0])
		} else {
			look = append(look, f.Examples[0])
		}
	}
	return look[:min(len(look), 4)], change[:min(len(change), 4)]
}
