// Package fault defines errors that hold a fixed sentence for people beside the cause, which only the log sees.
//
// An [Error] carries a fixed sentence for a person (and for the model, which repeats what it reads) beside the cause,
// which goes to the log alone. Whatever is not an *Error is answered with a neutral sentence and a reference id under
// which the log holds the whole of it.
package fault

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
)

// Kind is the class of an outcome, the same word for user, log and metric.
type Kind string

// The kinds. They are different outcomes and are never folded into one another.
const (
	Invalid         Kind = "invalid"         // the caller's words do not make a request
	Unauthenticated Kind = "unauthenticated" // we do not know who is asking
	Denied          Kind = "denied"          // we know who, and they may not
	Pending         Kind = "pending"         // waiting for a person
	Rejected        Kind = "rejected"        // the person said no
	Expired         Kind = "expired"         // nobody said anything in time
	NotFound        Kind = "not_found"       // no such thing, as far as this person may see
	Conflict        Kind = "conflict"        // the state of things does not allow it now
	Upstream        Kind = "upstream"        // a system we depend on did not answer as it should
	Internal        Kind = "internal"        // our own mistake or configuration
)

// Action is what a person can do in the page to mend a fault, where there is a button for it.
type Action string

// The actions.
const (
	NoAction    Action = ""
	ConnectOkta Action = "connect_okta" // connect the Okta account, for the first time or again
)

// Error is an outcome with something to say.
type Error struct {
	Kind   Kind
	Say    string // for the outside alone: what was wrong and what to do; may name what the person asked for
	Err    error  // the cause, for the log
	Action Action // what mends it, if the page has a button for that
}

// New makes an Error; cause may be nil.
func New(kind Kind, say string, cause error) *Error { return &Error{Kind: kind, Say: say, Err: cause} }

// Error is what the log shows: the kind and the cause. Say never goes to the log, as it may name people and groups.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Kind) + ": no cause"
	}
	return string(e.Kind) + ": " + e.Err.Error()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first *Error in err's chain; [Internal] if there is none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// WithAction returns a copy of e that offers the action.
func (e *Error) WithAction(action Action) *Error {
	offering := *e
	offering.Action = action
	return &offering
}

// ActionOf is the action of the first *Error in err's chain; [NoAction] if there is none.
func ActionOf(err error) Action {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Action
	}
	return NoAction
}

// ours says which kinds are worth an alarm: not the caller's mistakes, not a person's decisions.
func (k Kind) ours() bool { return k == Upstream || k == Internal }

// referred is an error that has its reference id already.
type referred struct {
	error

	ref string
}

func (r *referred) Unwrap() error { return r.error }

// Refer gives err the reference id under which [Answer] will log it, so that a record made before the answer can name it too.
// The id is "" for kinds whose reference people are not shown. A nil err is returned as it is.
func Refer(err error) (ref string, _ error) {
	if err == nil || !KindOf(err).ours() {
		return "", err
	}
	if r, ok := errors.AsType[*referred](err); ok {
		return r.ref, err
	}
	ref = newReference()
	return ref, &referred{err, ref}
}

func newReference() string { return rand.Text()[:10] }

// Answer logs err once, under a reference id, and returns the sentence for the outside together with that id. The
// sentence of an [Upstream] or [Internal] error ends with the reference, so that whoever reads it can quote it.
func Answer(ctx context.Context, log *slog.Logger, err error) (say, ref string) {
	kind := KindOf(err)
	ref = newReference()
	if r, ok := errors.AsType[*referred](err); ok {
		ref = r.ref
	}
	level := slog.LevelInfo
	if kind.ours() {
		level = slog.LevelError
	}
	log.LogAttrs(ctx, level, "answered with a fault", slog.String("kind", string(kind)), slog.String("ref", ref), slog.Any("err", err))

	say = "Something went wrong on our side. Please try again. If it happens again, tell your administrator the reference."
	if e, ok := errors.AsType[*Error](err); ok && e.Say != "" {
		say = e.Say
	}
	if kind.ours() {
		say += " (reference " + ref + ")"
	}
	return say, ref
}
