package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/shared/fault"
)

// apiError is how a fault looks under /api/ and in the event "error".
type apiError struct {
	Message string `json:"message"`
	Ref     string `json:"ref"`
}

// limitError is a request refused for its size, shape or frequency. It carries the HTTP status that says so exactly.
type limitError struct {
	status int
	retry  string // Retry-After, seconds
	cause  error
}

func (e *limitError) Error() string { return http.StatusText(e.status) }
func (e *limitError) Unwrap() error { return e.cause }

func limited(status int, say string) error {
	return fault.New(fault.Invalid, say, &limitError{status: status})
}

// status is the HTTP status of an error.
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

// spoken logs err and puts it into a sentence and its reference, which every answer of ours shows beside the sentence.
func (a *App) spoken(ctx context.Context, err error) apiError {
	say, ref := fault.Answer(ctx, a.Log, err)
	return apiError{Message: strings.TrimSuffix(say, " (reference "+ref+")"), Ref: ref}
}

// fail answers with an error: JSON under /api/, a page elsewhere.
func (a *App) fail(w http.ResponseWriter, r *http.Request, err error) {
	said := a.spoken(r.Context(), err)
	code := status(err)
	if e, ok := errors.AsType[*limitError](err); ok && e.retry != "" {
		w.Header().Set("Retry-After", e.retry)
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, code, said)
		return
	}
	a.render(w, code, "message", messagePage{Title: title(code), Say: said.Message, Ref: said.Ref})
}

func title(code int) string {
	switch {
	case code == http.StatusNotFound:
		return "Nothing here"
	case code == http.StatusForbidden:
		return "Refused"
	case code == http.StatusUnauthorized:
		return "Signing in did not work"
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
		writeJSON(w, http.StatusMethodNotAllowed, apiError{Message: "This address takes " + allow + " only."})
	}
}

func (a *App) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, fault.New(fault.NotFound, "There is no such page.", nil))
}
