package okta

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/fault"
)

// Kind is why a call came to nothing.
type Kind string

// The kinds of failure. They need different answers, so they are kept apart.
const (
	// KindToken: Okta does not take the token (or there was none). Drop a
	// cached one, fetch another, try once more.
	KindToken Kind = "token"
	// KindScope: the token is good but lacks a scope (insufficient_scope).
	KindScope Kind = "scope"
	// KindRole: the person's own Okta admin role does not reach this far.
	KindRole Kind = "role"
	// KindInvalid: what was asked is not something Okta takes.
	KindInvalid Kind = "invalid"
	// KindNotFound: no such object, for this person.
	KindNotFound Kind = "not_found"
	// KindState: the object's present state does not allow it.
	KindState Kind = "state"
	// KindConflict: something else is going on, or it is so already.
	KindConflict Kind = "conflict"
	// KindUnsupported: this kind of object cannot be changed this way.
	KindUnsupported Kind = "unsupported"
	// KindRateLimited: too many requests, until Error.Reset.
	KindRateLimited Kind = "rate_limited"
	// KindUnavailable: Okta answered that it is in trouble.
	KindUnavailable Kind = "unavailable"
	// KindTimeout: no answer in the time there was.
	KindTimeout Kind = "timeout"
	// KindUnreachable: no connection, or one that broke.
	KindUnreachable Kind = "unreachable"
	// KindGarbled: an answer that makes no sense.
	KindGarbled Kind = "garbled"
)

// Error is a call that came to nothing. Its text holds ids and codes only,
// never what Okta wrote.
type Error struct {
	Op        string    // the method of Client
	Kind      Kind      //
	Status    int       // HTTP status; 0 if there was no answer
	Code      string    // Okta's errorCode, E0000007
	RequestID string    // X-Okta-Request-Id
	Reset     time.Time // KindRateLimited: when to come again, if known
	Err       error     // the cause, when it was not Okta's answer

	unknown bool
}

// Error is for the log.
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

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Unknown says that a change may have happened although no answer says so.
// Read the state before repeating it.
func (e *Error) Unknown() bool { return e.unknown }

// KindOf is the kind of the first *Error in err's chain; "" if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// RequestID is Okta's id of the request that err tells of; "" if there is none.
func RequestID(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RequestID
	}
	return ""
}

// Unknown says whether err leaves open if a change happened.
func Unknown(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.unknown
}

// classify reads status, header and code together: a 401 may be about a
// feature, a 403 about the scope, the role or the state.
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
		return KindGarbled // not Okta's own: a wrong address, or a proxy
	case status == http.StatusNotFound:
		return KindNotFound
	case status == http.StatusConflict, status == http.StatusLocked:
		return KindConflict
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return KindUnsupported
	case status >= 500:
		return KindUnavailable
	case status == http.StatusBadRequest && op.badRequest != "":
		return op.badRequest
	case status >= 400:
		return KindInvalid
	}
	return KindGarbled // 1xx, 3xx: nothing Okta's API answers
}

// isErrorCode guards what of a foreign body gets into errors and logs.
func isErrorCode(s string) bool {
	return len(s) == 8 && s[0] == 'E' && strings.Trim(s[1:], "0123456789") == ""
}

// Fault turns an error of this package into what may be said about it; other
// errors are returned as they are.
func Fault(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	kind, say, action := fault.Upstream, "Okta gave an answer that makes no sense. Please try again later.", fault.NoAction
	if e.Kind == KindToken || e.Kind == KindScope {
		action = fault.ConnectOkta
	}
	switch e.Kind {
	case KindToken:
		kind, say = fault.Unauthenticated, "Okta does not accept your connection any more. Please connect Okta again."
	case KindScope:
		kind, say = fault.Denied, "Your Okta connection was not granted what this needs. Connect Okta again, or ask an Okta administrator to grant the scope."
	case KindRole:
		kind, say = fault.Denied, "Okta refused: your own Okta role does not allow this."
	case KindInvalid:
		kind, say = fault.Invalid, "Okta does not accept this as it was given."
	case KindNotFound:
		kind, say = fault.NotFound, "Okta knows nothing by that id, or does not show it to you."
	case KindState:
		kind, say = fault.Conflict, "Okta refused: the present status does not allow this."
	case KindConflict:
		kind, say = fault.Conflict, "Okta refused: it is so already, or another change is still going on."
	case KindUnsupported:
		kind, say = fault.Invalid, "Okta does not allow this kind of object to be changed this way."
	case KindRateLimited:
		say = "Okta is receiving too many requests right now. Please try again in a minute."
	case KindUnavailable:
		say = "Okta reports a problem of its own. Please try again later."
	case KindTimeout:
		say = "Okta did not answer in time."
	case KindUnreachable:
		say = "Okta could not be reached."
	case KindGarbled:
	}
	if e.unknown {
		say += " Whether the change was made is not known; please look before you repeat it."
	}
	return fault.New(kind, say, err).WithAction(action)
}
