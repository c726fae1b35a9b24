package okta

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/fault"
)

// Kind is the reason why a call failed.
type Kind string

// The kinds of failure, each of which needs a different reaction.
const (
	// KindToken: Okta does not accept the token, or there was none. Drop a
	// cached token, fetch another, try once more.
	KindToken Kind = "token"
	// KindScope: the token is good but lacks a scope (insufficient_scope).
	KindScope Kind = "scope"
	// KindRole: the person's own Okta admin role does not reach this far.
	KindRole Kind = "role"
	// KindInvalid: the request is not one that Okta accepts.
	KindInvalid Kind = "invalid"
	// KindNotFound: the object does not exist, or this person may not see it.
	KindNotFound Kind = "not_found"
	// KindState: the object's present state does not allow the change.
	KindState Kind = "state"
	// KindConflict: another change is under way, or the object is already as asked.
	KindConflict Kind = "conflict"
	// KindUnsupported: this kind of object cannot be changed this way.
	KindUnsupported Kind = "unsupported"
	// KindRateLimited: too many requests, until Error.Reset.
	KindRateLimited Kind = "rate_limited"
	// KindUnavailable: Okta answered with a server error.
	KindUnavailable Kind = "unavailable"
	// KindTimeout: no answer within the time-out.
	KindTimeout Kind = "timeout"
	// KindUnreachable: no connection, or one that broke.
	KindUnreachable Kind = "unreachable"
	// KindGarbled: the answer is not one of Okta's API.
	KindGarbled Kind = "garbled"
)

// Error is a failed call. Its text holds ids and codes only, never text from
// Okta's answer.
type Error struct {
	Op        string    // the method of Client
	Kind      Kind      //
	Status    int       // HTTP status; 0 if there was no answer
	Code      string    // Okta's errorCode, E0000007
	RequestID string    // X-Okta-Request-Id
	Reset     time.Time // KindRateLimited: when requests are accepted again, if known
	Err       error     // the cause, if it was not Okta's answer

	unknown bool
}

// Error returns the text for the log.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "okta %s: %s", e.Op, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, ", status %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ", code %s", e.Code)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, ", request %s", e.RequestID)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// renewalError is why a refused token could not be renewed.
type renewalError struct{ error }

func (e *renewalError) Unwrap() error { return e.error }

// KindOf returns the kind of the first *Error in err's chain, or "".
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// RequestID returns Okta's id of the failed request, or "".
func RequestID(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RequestID
	}
	return ""
}

// Unknown reports whether the change may have been made in spite of err. Read
// the state before repeating it.
func Unknown(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.unknown
}

// classify returns the kind of an answer other than success. It needs status,
// header and code together: a 401 may be about a feature of the org, a 403 about
// the scope, the role or the state.
func classify(op operation, status int, code string, h http.Header) Kind {
	switch code {
	case "E0000015", "E0000022", "E0000023", "E0000060":
		return KindUnsupported
	case "E0000016", "E0000017", "E0000032", "E0000034", "E0000035", "E0000036", "E0000038",
		"E0000056", "E0000069", "E0000117", "E0000119":
		return KindState
	case "E0000062", "E0000112", "E0000239":
		return KindConflict
	}
	challenge := strings.Join(h.Values("WWW-Authenticate"), ", ")
	switch {
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case status == http.StatusUnauthorized, code == "E0000005",
		status == http.StatusForbidden && strings.Contains(challenge, "invalid_token"):
		return KindToken
	case status == http.StatusForbidden && strings.Contains(challenge, "insufficient_scope"):
		return KindScope
	case status == http.StatusForbidden:
		return KindRole
	case status == http.StatusNotFound && code == "":
		return KindGarbled // not from Okta: a wrong address, or a proxy
	case status == http.StatusNotFound:
		return KindNotFound
	case status == http.StatusConflict, status == http.StatusLocked:
		return KindConflict
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return KindUnsupported
	case status >= 500:
		return KindUnavailable
	case status == http.StatusBadRequest && op.transition:
		return KindState
	case status >= 400:
		return KindInvalid
	}
	return KindGarbled // 1xx, 3xx: Okta's API does not answer so
}

// isErrorCode reports whether s is an error code of Okta, such as E0000007. Other
// text of an answer does not get into errors and logs.
func isErrorCode(s string) bool {
	return len(s) == 8 && s[0] == 'E' && strings.Trim(s[1:], "0123456789") == ""
}

// answers are what people are told about each kind of failure.
var answers = map[Kind]struct {
	kind fault.Kind
	say  string
}{
	KindToken: {fault.Unauthenticated, "Okta does not accept your connection any more. Please connect Okta again."},
	KindScope: {fault.Denied, "Your Okta connection lacks a permission for this. " +
		"Please connect Okta again, or ask an Okta administrator to grant the scope."},
	KindRole:        {fault.Denied, "Okta refused: your own Okta role does not allow this."},
	KindInvalid:     {fault.Invalid, "Okta refused this as invalid."},
	KindNotFound:    {fault.NotFound, "Okta has nothing with that id, or does not show it to you."},
	KindState:       {fault.Conflict, "Okta refused: the current status does not allow this."},
	KindConflict:    {fault.Conflict, "Okta refused: this is already so, or another change is still running."},
	KindUnsupported: {fault.Invalid, "Okta does not allow this kind of object to be changed this way."},
	KindRateLimited: {fault.Upstream, "Okta is receiving too many requests right now. Please try again in a minute."},
	KindUnavailable: {fault.Upstream, "Okta reports a problem of its own. Please try again later."},
	KindTimeout:     {fault.Upstream, "Okta did not answer in time."},
	KindUnreachable: {fault.Upstream, "I could not reach Okta."},
	KindGarbled:     {fault.Upstream, "Okta gave an invalid answer. Please try again later."},
}

// Fault turns an error of this package into a *fault.Error for people. Other
// errors are returned unchanged, those of a token source included.
func Fault(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	if renewal, ok := errors.AsType[*renewalError](err); ok {
		return renewal.error
	}
	answer := answers[e.Kind]
	if e.unknown {
		answer.say += " I do not know whether the change was made; please look before you repeat it."
	}
	action := fault.NoAction
	if e.Kind == KindToken || e.Kind == KindScope {
		action = fault.ConnectOkta
	}
	return fault.New(answer.kind, answer.say, err).WithAction(action)
}
