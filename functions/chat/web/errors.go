package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
)

// signedIn adapts a handler for signed-in people. A browser that is not signed in gets 401 under /api/, elsewhere the page with
// the sign-in button. The error of the handler is answered by [App.fail].
func (a *App) signedIn(handle func(http.ResponseWriter, *http.Request, session.Login) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l, err := a.currentLogin(r)
		if fault.KindOf(err) == fault.Unauthenticated && !isAPI(r) {
			redirectHome(w, r, "")
			return
		}
		if err == nil && isAPI(r) {
			err = a.polls.check(l.Key, a.Now())
		}
		if err == nil {
			err = handle(w, r, l)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	}
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// redirectHome sends the browser to our page; the fragment, such as "#connected", makes the page show a notice.
func redirectHome(w http.ResponseWriter, r *http.Request, fragment string) {
	http.Redirect(w, r, siteOf(r).url("/")+fragment, http.StatusSeeOther) //nolint:gosec // our own page
}

// apiError is the body of an error under /api/ and the data of the event "error".
type apiError struct {
	Message string `json:"message"`
	Ref     string `json:"ref"`
}

// limitError is the cause of a request that was refused for its size, type or frequency. It carries the HTTP status.
type limitError struct {
	status     int
	retryAfter string // header Retry-After in seconds, "" for none
}

func (e *limitError) Error() string { return http.StatusText(e.status) }

func limited(status int, say string) error {
	return fault.New(fault.Invalid, say, &limitError{status: status})
}

// status returns the HTTP status for an error.
func status(err error) int {
	if e, ok := errors.AsType[*limitError](err); ok {
		return e.status
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied, fault.Rejected:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Pending:
		return http.StatusConflict
	case fault.Expired:
		return http.StatusGone
	case fault.Upstream:
		return http.StatusBadGateway
	case fault.Internal:
	}
	return http.StatusInternalServerError
}

// logError logs err and returns its sentence and reference. The page shows the reference beside the sentence, not within it.
func (a *App) logError(ctx context.Context, err error) apiError {
	say, ref := fault.Answer(ctx, a.Log, err)
	return apiError{Message: strings.TrimSuffix(say, " (reference "+ref+")"), Ref: ref}
}

// fail logs err and answers with it: JSON under /api/, a page elsewhere.
func (a *App) fail(w http.ResponseWriter, r *http.Request, err error) {
	answer := a.logError(r.Context(), err)
	code := status(err)
	if e, ok := errors.AsType[*limitError](err); ok && e.retryAfter != "" {
		w.Header().Set("Retry-After", e.retryAfter)
	}
	if isAPI(r) {
		writeJSON(w, code, answer)
		return
	}
	a.render(w, code, "message", messagePage{Title: title(code), Say: answer.Message, Ref: answer.Ref})
}

func title(code int) string {
	switch {
	case code == http.StatusNotFound:
		return "Page not found"
	case code == http.StatusForbidden:
		return "Not allowed"
	case code == http.StatusUnauthorized:
		return "Sign-in failed"
	case code >= http.StatusInternalServerError:
		return "Something went wrong"
	}
	return "That did not work"
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		writeJSON(w, http.StatusMethodNotAllowed, apiError{Message: "This address accepts " + allow + " only."})
	}
}

func (a *App) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, fault.New(fault.NotFound, "There is no such page.", nil))
}
