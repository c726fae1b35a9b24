// Package fault defines errors that hold a fixed sentence for people beside the cause, which only the log sees.
//
// An [Error] has a fixed sentence for the person, and for the model, which repeats what it reads. Its cause is written to the log
// only. Any other error is answered with a neutral sentence and a reference id, by which the log entry is found.
package fault

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
)

// Kind is the class of a fault. Answers, logs and metrics use the same word.
type Kind string

// The kinds.
const (
	Invalid         Kind = "invalid"         // the request is not valid
	Unauthenticated Kind = "unauthenticated" // nobody is signed in
	Denied          Kind = "denied"          // the person lacks the permission
	Pending         Kind = "pending"         // waiting for a person
	Rejected        Kind = "rejected"        // the person, or proof of the person, said no
	Expired         Kind = "expired"         // the person did not answer in time
	NotFound        Kind = "not_found"       // no such object, or the person may not see it
	Conflict        Kind = "conflict"        // the current state does not allow it
	Upstream        Kind = "upstream"        // another system failed or could not be asked
	Internal        Kind = "internal"        // a defect or wrong configuration of Steward
)

// Action is the button of the page that helps with a fault.
type Action string

// The actions.
const (
	NoAction    Action = ""
	ConnectOkta Action = "connect_okta" // connect the Okta account, for the first time or again
)

// Error is a fault.
type Error struct {
	Kind   Kind
	Say    string // for the person: what is wrong and what to do. It may name people and groups, so it is never logged
	Err    error  // the cause, for the log
	Action Action // NoAction for most faults
}

// New returns an Error; cause may be nil.
func New(kind Kind, say string, cause error) *Error { return &Error{Kind: kind, Say: say, Err: cause} }

// Error returns the kind and the cause, for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Kind) + ": no cause"
	}
	return string(e.Kind) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, [Internal] if there is none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// WithAction returns a copy of e with the action.
func (e *Error) WithAction(action Action) *Error {
	withAction := *e
	withAction.Action = action
	return &withAction
}

// ActionOf returns the action of the first *Error in err's chain, [NoAction] if there is none.
func ActionOf(err error) Action {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Action
	}
	return NoAction
}

// operational reports whether the kind is a failure that an operator should see, not a mistake or decision of a person.
func (k Kind) operational() bool { return k == Upstream || k == Internal }

// withReference is an error with a reference id.
type withReference struct {
	error

	ref string
}

func (r *withReference) Unwrap() error { return r.error }

// Refer returns the reference id with which [Answer] will log the returned error, so that an audit entry made before the answer
// can name it. The id is "" for kinds whose answer shows no reference.
func Refer(err error) (ref string, _ error) {
	if err == nil || !KindOf(err).operational() {
		return "", err
	}
	if r, ok := errors.AsType[*withReference](err); ok {
		return r.ref, err
	}
	ref = newReference()
	return ref, &withReference{err, ref}
}

func newReference() string { return rand.Text()[:10] }

// Answer logs err with a reference id and returns the sentence for the person and that id. The sentence of an [Upstream] or
// [Internal] error ends with the reference.
func Answer(ctx context.Context, log *slog.Logger, err error) (say, ref string) {
	kind := KindOf(err)
	ref = newReference()
	if r, ok := errors.AsType[*withReference](err); ok {
		ref = r.ref
	}
	level := slog.LevelInfo
	if kind.operational() {
		level = slog.LevelError
	}
	log.LogAttrs(ctx, level, "answered with a fault", slog.String("kind", string(kind)), slog.String("ref", ref), slog.Any("err", err))

	say = "Something went wrong on our side. Please try again. If it happens again, tell your administrator the reference."
	if e, ok := errors.AsType[*Error](err); ok && e.Say != "" {
		say = e.Say
	}
	if kind.operational() {
		say += " (reference " + ref + ")"
	}
	return say, ref
}
