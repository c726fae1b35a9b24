// Package access admits a principal: it reads the stored session, asks fga-authorizer for permission, and gives the
// session's own Okta token.
//
// Who it is comes from the stored session alone; whether they may comes from fga-authorizer; and the token Okta sees is
// that same session's. The three are one value, so that one person's permission can never meet another's token:
//
//	Enforcer.Admit          session row ∥ calls counted ∥ what can be decided before Okta is touched
//	Enforcer.WithOktaToken  a context whose calls Okta receives with the principal's own token
//	Admission.Authorize     the operation on the very object, once its id is known
package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
)

// Sessions reads who is signed in.
type Sessions interface {
	Session(ctx context.Context, id session.ID) (session.Session, error)
}

// Vault proves stored sessions and gives the person's Okta token.
type Vault interface {
	// Verify returns an error unless the session is as it was when its tokens were sealed: same id, owner and e-mail address.
	Verify(ctx context.Context, s session.Session) error
	// Token returns a token of the very person who signed in, and sets the session's OktaUserID and OktaLogin.
	Token(ctx context.Context, s *session.Session) (secret.String, error)
	// Renew is Token without the cached one.
	Renew(ctx context.Context, s *session.Session) (secret.String, error)
}

// Authorizer answers checks: one decision each, in their order.
type Authorizer interface {
	Ask(ctx context.Context, r fga.Request) ([]fga.Decision, error)
}

// Enforcer finds out who calls and enforces what they may do. Its fields are set once; it is safe for concurrent use.
type Enforcer struct {
	Sessions   Sessions
	Vault      Vault
	Authorizer Authorizer
	Claim      fga.Claim
	Now        func() time.Time
	// Count, if set, counts a call in a session, and refuses it where there were too many.
	Count func(context.Context, session.ID) error
	// Identified, if set, is called with who calls, as soon as that is known and beside everything else.
	Identified func(context.Context, session.Subject)
	// Prepare, if set, fetches what the first call will need after the row and the checks, while these are read. It is
	// called once, beside them; what it could not fetch is fetched when needed.
	Prepare func(context.Context)

	first sync.Once
	mu    sync.Mutex
	known map[session.ID]known
}

// known is what never changes about a session, so that a warm function may start from it. Whether the session still
// lives is always read.
type known struct {
	owner      session.Person
	oktaUserID string
}

// maxKnown bounds the memory; a function that has seen more sessions forgets them all and learns anew.
const maxKnown = 1000

// Principal is one signed-in person in one live session.
type Principal struct {
	Session session.Session
	User    string // the FGA user
}

// Me is the word for the person who is signed in.
const Me = "me"

// IsMe says whether people mean themselves by text: nothing, "me", or their own verified address.
func (p Principal) IsMe(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "" || text == Me || text == "myself" ||
		(p.Session.Owner.EmailVerified && text == strings.ToLower(p.Session.Owner.Email)) ||
		(p.Session.OktaUserID != "" && text == strings.ToLower(p.Session.OktaUserID))
}

// OktaUserID is the principal's own Okta user id. It is in the session once [Enforcer.WithOktaToken] has been called in it; an
// error before that.
func (p Principal) OktaUserID() (okta.UserID, error) {
	if p.Session.OktaUserID == "" {
		return "", errors.New("the principal's own Okta id is not known before there was a token")
	}
	return okta.UserID(p.Session.OktaUserID), nil
}

// Admission is what is known and allowed in one call of one principal.
type Admission struct {
	Principal Principal

	enforcer   *Enforcer
	higher     bool            // a change: the authorization service skips its caches
	allowed    map[string]bool // the checks that were allowed in this call
	authorized bool            // the operation on its very object is among them
	refused    error           // why Admit refused
}

// Admit says who calls, from the session row, and refuses whoever has no live session or may not make the call. Where the
// enforcer knows the session from before, the row and the checks are read side by side.
//
// An admission is returned with a refusal too, with the principal as far as it is known, so that the refusal can be recorded.
// Nothing can be authorized with it. Errors: fault.Unauthenticated, fault.Denied, fault.Upstream where that could not be found
// out, fault.Conflict for too many calls.
func (e *Enforcer) Admit(ctx context.Context, call actiongroup.Call) (*Admission, error) {
	a := &Admission{enforcer: e, higher: call.Function.Elevated}
	a.refused = e.admit(ctx, call, a)
	return a, a.refused
}

func (e *Enforcer) admit(ctx context.Context, call actiongroup.Call, a *Admission) error {
	id, err := session.ParseID(call.SessionID)
	if err != nil {
		return err
	}
	if e.Prepare != nil {
		e.first.Do(func() { parallel.Go(func() error { e.Prepare(context.WithoutCancel(ctx)); return nil }) })
	}
	counted := parallel.Go(func() error {
		if e.Count == nil {
			return nil
		}
		return e.Count(ctx, id)
	})
	guess, early := e.recall(id)
	var principal Principal
	identified := parallel.Go(func() (err error) {
		principal, err = e.Identify(ctx, id)
		return err
	})
	var verdict error
	if early { // in this goroutine, because what it asks takes longest
		e.identified(ctx, guess)
		verdict = a.meet(ctx, requirementOf(call, guess))
	}
	if err := <-identified; err != nil {
		return err
	}
	a.Principal = principal
	if !early || guess.User != principal.User || guess.Session.OktaUserID != principal.Session.OktaUserID {
		e.identified(ctx, principal)
		a.allowed = nil // what the guess was allowed
		verdict = a.meet(ctx, requirementOf(call, principal))
	}
	if err := <-counted; err != nil {
		return err
	}
	return verdict
}

// Authorize wants every check allowed. It asks those alone that have not been allowed in this call. Once it has succeeded the
// operation counts as authorized, see [Admission.Authorized]. Errors: fault.Denied, fault.Upstream where a check could not be
// asked, and what Admit refused with.
func (a *Admission) Authorize(ctx context.Context, checks ...fga.Check) error {
	if a.refused != nil {
		return a.refused
	}
	if len(checks) == 0 {
		return errors.New("authorize: no check was given")
	}
	r := requirement{exact: true}
	for _, c := range checks {
		if !a.allowed[key(c)] {
			r.anyOf = append(r.anyOf, []fga.Check{c})
		}
	}
	return a.meet(ctx, r)
}

// Authorized says whether the operation on its very object has been allowed.
func (a *Admission) Authorized() bool { return a.authorized }

// meet asks for a requirement and remembers what was allowed.
func (a *Admission) meet(ctx context.Context, r requirement) error {
	allowed, err := a.enforcer.ask(ctx, r.anyOf, a.higher)
	if a.allowed == nil {
		a.allowed = map[string]bool{}
	}
	for _, c := range allowed {
		a.allowed[key(c)] = true
	}
	a.authorized = err == nil && r.exact
	return err
}

// key tells checks apart, contextual tuples included.
func key(c fga.Check) string { return fmt.Sprintf("%q %q", c.Tuple, c.Contextual) }

func (e *Enforcer) identified(ctx context.Context, p Principal) {
	if e.Identified != nil {
		parallel.Go(func() error { e.Identified(context.WithoutCancel(ctx), p.Session.Owner.Subject); return nil })
	}
}

// Identify reads the session row, compares it with the clock, and has the vault prove that it is as it was sealed: a row alone is
// not believed.
func (e *Enforcer) Identify(ctx context.Context, id session.ID) (Principal, error) {
	s, err := e.Sessions.Session(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	if !s.Live(e.Now()) {
		return Principal{}, session.NotSignedIn(errors.New("the session has expired"))
	}
	if err := e.Vault.Verify(ctx, s); err != nil {
		return Principal{}, err
	}
	user, err := e.Claim.User(string(s.Owner.Subject), s.Owner.Email, s.Owner.EmailVerified)
	if err != nil {
		return Principal{}, err
	}
	e.remember(s)
	return Principal{Session: s, User: user}, nil
}

func (e *Enforcer) recall(id session.ID) (Principal, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.known[id]
	if !ok {
		return Principal{}, false
	}
	user, err := e.Claim.User(string(k.owner.Subject), k.owner.Email, k.owner.EmailVerified)
	if err != nil {
		return Principal{}, false
	}
	return Principal{Session: session.Session{ID: id, Owner: k.owner, OktaUserID: k.oktaUserID}, User: user}, true
}

func (e *Enforcer) remember(s session.Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || len(e.known) >= maxKnown {
		e.known = map[session.ID]known{}
	}
	e.known[s.ID] = known{owner: s.Owner, oktaUserID: s.OktaUserID}
}

// What a refused person reads. They are different outcomes.
const (
	sayDenied   = "You are not allowed to do this. If you should be, ask your administrator for the permission."
	sayCouldNot = "I could not check whether you may do this, so I did nothing. Please try again in a minute."
)

// ask wants one allowed check in each group, and returns the checks that were allowed.
func (e *Enforcer) ask(ctx context.Context, groups [][]fga.Check, higher bool) (allowed []fga.Check, _ error) {
	var checks []fga.Check
	for _, group := range groups {
		checks = append(checks, group...)
	}
	if len(checks) == 0 {
		return nil, nil
	}
	decisions, cause := e.Authorizer.Ask(ctx, fga.Request{Checks: checks, Higher: higher})
	if len(decisions) != len(checks) {
		return nil, fault.New(fault.Upstream, sayCouldNot, cause)
	}
	for i, got := range decisions {
		if got == fga.Allowed {
			allowed = append(allowed, checks[i])
		}
	}
	for _, group := range groups {
		if err := oneAllowed(decisions[:len(group)], group, cause); err != nil {
			return allowed, err
		}
		decisions = decisions[len(group):]
	}
	return allowed, nil
}

// oneAllowed wants one allowed. Where none is, one that could not be asked makes the whole "could not check".
func oneAllowed(decisions []fga.Decision, checks []fga.Check, cause error) error {
	unknown := false
	for _, got := range decisions {
		switch got {
		case fga.Allowed:
			return nil
		case fga.Denied:
		default:
			unknown = true
		}
	}
	if unknown {
		return fault.New(fault.Upstream, sayCouldNot, fmt.Errorf("check %s on %s: %w", checks[0].Relation, checks[0].Object, cause))
	}
	return fault.New(fault.Denied, sayDenied, fmt.Errorf("check %s on %s: denied", checks[0].Relation, checks[0].Object))
}

// Authorize wants every check allowed, outside of a call. Higher skips the caches of the authorization service: for changes.
func (e *Enforcer) Authorize(ctx context.Context, higher bool, checks ...fga.Check) error {
	var groups [][]fga.Check
	for _, c := range checks {
		groups = append(groups, []fga.Check{c})
	}
	_, err := e.ask(ctx, groups, higher)
	return err
}

// Decide asks and returns each decision, to show a person what they may do.
func (e *Enforcer) Decide(ctx context.Context, checks []fga.Check) ([]fga.Decision, error) {
	decisions, err := e.Authorizer.Ask(ctx, fga.Request{Checks: checks})
	if err != nil || len(decisions) != len(checks) {
		return nil, fault.New(fault.Upstream, sayCouldNot, err)
	}
	return decisions, nil
}
