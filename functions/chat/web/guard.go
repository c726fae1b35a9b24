package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/steward-iam/steward/shared/fault"
)

// recovering turns a panic into an answer. Under lambdaurl a handler runs in a goroutine of its own, where an
// unrecovered panic ends the process and the request hangs.
func (a *App) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &watched{ResponseWriter: w}
		defer func() { //nolint:contextcheck // the request carries it
			v := recover()
			if v == nil {
				return
			}
			err := fault.New(fault.Internal, "", fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
			if !seen.begun {
				a.fail(seen, r, err)
				return
			}
			// The answer has begun; a stream can still say what happened, anything else just ends here.
			said := a.spoken(r.Context(), err)
			if strings.HasPrefix(w.Header().Get("Content-Type"), eventStream) {
				s := &stream{w: w}
				_ = s.send("error", said)
				_ = s.send("done", struct{}{})
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// watched knows whether an answer has begun.
type watched struct {
	http.ResponseWriter
	begun bool
}

func (w *watched) WriteHeader(code int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(code)
}

func (w *watched) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// guard is before every route that knows people.
func (a *App) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := a.at(r.Context())
		secure(w.Header(), s)
		if err != nil {
			a.fail(w, r, fault.New(fault.Internal, "Steward does not know its own address yet. Please try again in a minute.", err))
			return
		}
		takeCookies(r)
		r = r.WithContext(context.WithValue(r.Context(), siteKey{}, s))
		if err := a.sameSite(r, s); err != nil {
			a.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// takeCookies reads the cookies of the event where the function URL did not also send them as a header: lambdaurl
// carries over the headers only.
func takeCookies(r *http.Request) {
	if event, ok := lambdaurl.RequestFromContext(r.Context()); ok && r.Header.Get("Cookie") == "" && len(event.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
}

// sameSite refuses what another site makes a browser send: every cross-origin request that may change something, and
// every cross-origin read under /api/. The cookie's SameSite attribute already holds back most of it, though not what
// comes from another port of the same host.
func (a *App) sameSite(r *http.Request, s *site) error {
	refused := func(err error) error {
		return fault.New(fault.Denied, "This request came from another site, so it was refused.", err)
	}
	if r.Header.Get("Origin") != s.origin() {
		if err := a.cross.Check(r); err != nil {
			return refused(err)
		}
	}
	if strings.HasPrefix(r.URL.Path, "/api/") && elsewhere(r) {
		return refused(fmt.Errorf("api request with Sec-Fetch-Site %.20q", r.Header.Get("Sec-Fetch-Site")))
	}
	return nil
}

// elsewhere says whether a page of another site made the browser send the request, as the browser itself tells (Fetch Metadata
// Request Headers, Sec-Fetch-Site). What does not tell is no browser of today, or somebody at a command line.
func elsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return true
}

// startedElsewhere sends the browser to the page with the button where another site made it come: a visit to Auth0 is started by
// the person alone. Of the other GET routes none changes anything without a flow of this browser that matches.
func (a *App) startedElsewhere(w http.ResponseWriter, r *http.Request) bool {
	if elsewhere(r) {
		http.Redirect(w, r, siteOf(r).url("/"), http.StatusSeeOther) //nolint:gosec // our own page
		return true
	}
	return false
}

// policy is the content security policy. Signing out posts a form that redirects to Auth0, which form-action covers.
func policy(issuer string) string {
	form := "'self'"
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		form += " " + u.Scheme + "://" + u.Host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action " + form +
		"; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// secure sets the headers of every answer but static files.
func secure(h http.Header, s *site) {
	csp := policy("")
	if s != nil {
		csp = s.csp
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	if s != nil && s.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
