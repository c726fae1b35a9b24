package auth0test

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"initial": func(p *Person) string { return strings.ToUpper(displayName(p)[:1]) },
	"display": displayName,
	"clock":   func(seconds int) string { return fmt.Sprintf("%d:%02d", seconds/60, seconds%60) },
}).ParseFS(web, "web/*.html"))

func displayName(p *Person) string {
	for _, s := range []string{p.Name, p.Email} {
		if s != "" {
			return s
		}
	}
	return "?"
}

var (
	codeAtEnd     = regexp.MustCompile(`(?:^|[ ,:.#])([A-Z0-9]{4,8})$`)
	codeAfterMark = regexp.MustCompile(`(?:#|[Cc]ode[ :]+)([A-Za-z0-9-]{3,10})`)
)

// approvalCode finds the short code in a binding message, to show it large.
func approvalCode(message string) string {
	for _, re := range []*regexp.Regexp{codeAtEnd, codeAfterMark} {
		if m := re.FindStringSubmatch(message); m != nil {
			return m[1]
		}
	}
	return ""
}

func page(w http.ResponseWriter, status int, name string, data map[string]any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name+".html", data); err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	// No form-action: a browser would apply it to the redirect back to the application, too.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' https: data:; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser went away: nobody left to tell
}

func errorPage(w http.ResponseWriter, status int, code, text string) {
	page(w, status, "message", map[string]any{"Title": "Oops, something went wrong", "Text": text, "Code": code})
}

func assets() http.Handler {
	files := http.FileServerFS(web)
	return http.StripPrefix("/assets/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "tenant.css", "phone.js":
			r.URL.Path = "/web/" + r.URL.Path
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			files.ServeHTTP(w, r)
		default:
			http.Error(w, "Not Found", http.StatusNotFound)
		}
	}))
}

// writeCachedJSON is writeJSON for documents the caller may cache.
func writeCachedJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // the caller went away: nobody left to tell
}

// card is a push as the phone page draws it.
type card struct {
	Push
	Code        string     `json:"code"`
	SecondsLeft int        `json:"seconds_left"`
	Facts       []cardFact `json:"facts,omitempty"`
}

type cardFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (t *Tenant) cards(email string) []card {
	all := []card{}
	for _, p := range t.pushes(email) {
		all = append([]card{{Push: p, Code: approvalCode(p.BindingMessage), SecondsLeft: max(0, seconds(p.ExpiresAt.Sub(t.now()))), Facts: facts(p.Details)}}, all...)
	}
	return all[:min(len(all), 50)]
}

// facts reads the properties of details in Auth0's schema, as the Guardian app shows them.
func facts(details json.RawMessage) []cardFact {
	var list []struct {
		Instruction string `json:"instruction"`
		Properties  map[string]struct {
			Display bool   `json:"display"`
			Name    string `json:"name"`
			Order   int    `json:"display_order"`
			Value   string `json:"value"`
		} `json:"properties"`
	}
	if json.Unmarshal(details, &list) != nil { // free-form details are for an app of one's own
		return nil
	}
	var shown []cardFact
	for _, d := range list {
		if d.Instruction != "" {
			shown = append(shown, cardFact{"", d.Instruction})
		}
		for order := range 11 {
			for _, p := range d.Properties {
				if p.Display && p.Order == order {
					shown = append(shown, cardFact{p.Name, p.Value})
				}
			}
		}
	}
	return shown
}

// phonePage looks like a phone with its notifications; ?user= shows one person's.
func (t *Tenant) phonePage(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	cards := t.cards(user)
	page(w, http.StatusOK, "phone", map[string]any{
		"Title": "Phone", "User": user, "People": t.people(), "Cards": cards, "Clock": t.now().Format("15:04"), "Any": len(cards) > 0,
	})
}

func (t *Tenant) phonePushes(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"pushes": t.cards(r.URL.Query().Get("user")), "now": t.now().UTC().Format(time.RFC3339)})
}

// phoneDecide is a press on Approve or Deny: by the page's script, which wants JSON, or by a plain form.
func (t *Tenant) phoneDecide(w http.ResponseWriter, r *http.Request) {
	err := t.decide(r.PathValue("id"), r.PostFormValue("decision"))
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		if err != nil {
			writeJSON(w, http.StatusConflict, map[string]string{"message": "This request can no longer be answered."})
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, "/phone?user="+template.URLQueryEscaper(r.PostFormValue("user")), http.StatusSeeOther) //nolint:gosec // a path of ours
}
