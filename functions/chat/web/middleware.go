package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/parallel"
)

// recoverPanic answers a panic with an error. lambdaurl runs a handler in its own goroutine, where a panic that is not recovered
// ends the process and leaves the request without an answer.
func (a *App) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &responseTracker{ResponseWriter: w}
		err := parallel.Recover(func() error {
			next.ServeHTTP(tracked, r)
			return nil
		})
		switch {
		case err == nil:
		case !tracked.started:
			a.fail(tracked, r, fault.New(fault.Internal, "", err))
		default: // part of the answer is sent: only a stream can still take an error
			answer := a.logError(r.Context(), err)
			if w.Header().Get("Content-Type") == eventStream {
				s := &stream{w: w}
				_ = s.send("error", answer)
				_ = s.send("done", turnEnd{})
			}
		}
	})
}

// responseTracker notes whether a part of the response was written.
type responseTracker struct {
	http.ResponseWriter
	started bool
}

func (w *responseTracker) WriteHeader(code int) {
	w.started = true
	w.ResponseWriter.WriteHeader(code)
}

func (w *responseTracker) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *responseTracker) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// protect sets the headers, reads the cookies and refuses requests from other sites, for every route but static files and health.
func (a *App) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := a.loadSite(r.Context())
		setSecurityHeaders(w.Header(), s)
		if err != nil {
			a.fail(w, r, fault.New(fault.Internal, "Steward does not have its own address yet. Please try again in a minute.", err))
			return
		}
		readEventCookies(r)
		r = r.WithContext(context.WithValue(r.Context(), siteKey{}, s))
		if err := a.checkOrigin(r, s); err != nil {
			a.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readEventCookies adds the cookies of the function URL's event to the request, as lambdaurl copies only the headers.
func readEventCookies(r *http.Request) {
	if event, ok := lambdaurl.RequestFromContext(r.Context()); ok && r.Header.Get("Cookie") == "" && len(event.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
}

// checkOrigin refuses a request that the page of another site caused: any that may change something, and any under /api/. The
// cookie's SameSite attribute already stops most of them, but not those from another port of the same host.
func (a *App) checkOrigin(r *http.Request, s *site) error {
	var err error
	if r.Header.Get("Origin") != s.origin() {
		err = a.crossOrigin.Check(r)
	}
	if err == nil && isAPI(r) && crossSite(r) {
		err = fmt.Errorf("api request with Sec-Fetch-Site %.20q", r.Header.Get("Sec-Fetch-Site"))
	}
	if err != nil {
		return fault.New(fault.Denied, "I refused this request because it came from another site.", err)
	}
	return nil
}

// crossSite reports whether the page of another site made the browser send the request (Fetch Metadata Request Headers,
// Sec-Fetch-Site). All current browsers send the header; it is absent in requests from a command line.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return true
}

// ownSiteOnly sends a browser that comes from another site to our page, so that only the person starts a visit to Auth0. No other
// GET route changes anything without a matching flow cookie.
func ownSiteOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if crossSite(r) {
			redirectHome(w, r, "")
			return
		}
		next(w, r)
	}
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

// setSecurityHeaders sets the headers of every answer but static files.
func setSecurityHeaders(h http.Header, s *site) {
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
