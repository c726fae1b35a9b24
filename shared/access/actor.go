// Package access admits a principal: it reads the stored session, asks fga-authorizer for permission, and gives the
// session's own Okta token.
//
// Who it is comes from the stored session alone; whether they may comes from fga-authorizer; and the token Okta sees is
// that same session's. The three are one value, so that one person's permission can never meet another's token:
//
//	Enter       session row ∥ calls counted ∥ what can be decided before Okta is touched
//	Authorize   the exact operation on the exact object, once it is known
//	AtOkta      calls Okta with the person's token, renewed once if Okta refuses it
package access

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
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

// Desk is where people are received. Its fields are set once; it is safe for concurrent use.
type Desk struct {
	Sessions   Sessions
	Vault      Vault
	Authorizer Authorizer
	Claim      fga.Claim
	Now        func() time.Time
	// Count, if set, counts a call in a session, and refuses it where there were too many.
	Count func(context.Context, session.ID) error
	// Identified, if set, is told who calls, as soon as that is known and beside everything else.
	Identified func(context.Context, session.Subject)
	// Prepare, if set, fetches what the first person will need after the row and the checks, while these are read. It is
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

// Actor is one signed-in person in one live session.
type Actor struct {
	Session session.Session
	User    string // the FGA user
}

// Me is the word for the person who is signed in.
const Me = "me"

// IsMe says whether people mean themselves by text: nothing, "me", or their own verified address.
func (a Actor) IsMe(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "" || text == Me || text == "myself" ||
		(a.Session.Owner.EmailVerified && text == strings.ToLower(a.Session.Owner.Email)) ||
		(a.Session.OktaUserID != "" && text == strings.ToLower(a.Session.OktaUserID))
}

// Gate is what must hold before Okta is touched: in each group of checks at least one. Exact says that the gate already
// asks for the operation on its very object, so that nothing is left to ask.
type Gate struct {
	Groups [][]fga.Check
	Higher bool
	Exact  bool
}

// gateOf derives the gate of a call from the catalogue. Naming somebody or something is itself a read of its area; acting
// on oneself needs no look-up, but either self-service or that same read.
func gateOf(call actiongroup.Call, a Actor) Gate {
	op := call.Operation
	g := Gate{Higher: call.Function.Elevated}
	lookUp := func(area catalogue.Area) {
		g.Groups = append(g.Groups, []fga.Check{fga.ForArea(a.User, fga.ReadOkta, fga.TypeOkta+":"+string(area))})
	}
	switch op.Target {
	case catalogue.TargetNone:
		g.Exact = true
	case catalogue.TargetArea:
		g.Exact = true
		g.Groups = [][]fga.Check{{fga.ForArea(a.User, op.Relation, fga.TypeOkta+":"+string(op.Area))}}
		return g
	case catalogue.TargetUser:
		switch {
		case !a.IsMe(call.Arg("user")): // whatever is done with them, it begins with looking up a person
			lookUp(catalogue.AreaUsers)
		case a.Session.OktaUserID != "":
			g.Exact = true
			g.Groups = [][]fga.Check{{fga.ForUser(a.User, op.Relation, a.Session.OktaUserID, true)}}
		default:
			g.Groups = [][]fga.Check{{
				fga.ForArea(a.User, fga.SelfService, fga.Org),
				fga.ForArea(a.User, fga.ReadOkta, fga.TypeOkta+":"+string(op.Area)),
			}}
		}
	case catalogue.TargetGroup, catalogue.TargetApp:
		lookUp(op.Area)
		// The other party of a change is named too.
		if u := call.Arg("user"); u != "" && !a.IsMe(u) {
			lookUp(catalogue.AreaUsers)
		}
		if op.Target == catalogue.TargetApp && call.Arg("group") != "" {
			lookUp(catalogue.AreaGroups)
		}
	}
	return g
}

// Enter says who calls, from the session row, and refuses whoever has no live session or may not make the call. Exact
// tells whether the operation on its object has been authorized already. Where the function knows the session from
// before, the row and the checks are read side by side.
//
// The actor is returned with a refusal too, as far as it is known, so that the refusal can be recorded.
func (d *Desk) Enter(ctx context.Context, call actiongroup.Call) (a Actor, exact bool, err error) {
	id, err := session.ParseID(call.SessionID)
	if err != nil {
		return Actor{}, false, err
	}
	if d.Prepare != nil {
		d.first.Do(func() { go d.Prepare(context.WithoutCancel(ctx)) })
	}
	counted := beside(func() error {
		if d.Count == nil {
			return nil
		}
		return d.Count(ctx, id)
	})
	guess, early := d.recall(id)
	guessed := gateOf(call, guess)
	if early {
		d.identified(ctx, guess)
	}
	identified := beside(func() (err error) {
		a, err = d.Identify(ctx, id)
		return err
	})
	var verdict error
	if early { // here, because what it asks takes longest
		verdict = d.pass(ctx, guessed)
	}
	if err := <-identified; err != nil {
		return Actor{}, false, err
	}
	if !early || guess.User != a.User || guess.Session.OktaUserID != a.Session.OktaUserID {
		d.identified(ctx, a)
		guessed = gateOf(call, a)
		verdict = d.pass(ctx, guessed)
	}
	if err := <-counted; err != nil {
		return a, guessed.Exact, err
	}
	return a, guessed.Exact, verdict
}

// beside runs step in a goroutine of its own. A step that panics has failed: left alone it would end the process, and with it the
// person's turn.
func beside(step func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
			done <- err
		}()
		err = step()
	}()
	return done
}

func (d *Desk) identified(ctx context.Context, a Actor) {
	if d.Identified != nil {
		beside(func() error { d.Identified(context.WithoutCancel(ctx), a.Session.Owner.Subject); return nil })
	}
}

// Identify reads the session row, compares it with the clock, and has the vault prove that it is as it was sealed: a row alone is
// not believed.
func (d *Desk) Identify(ctx context.Context, id session.ID) (Actor, error) {
	s, err := d.Sessions.Session(ctx, id)
	if err != nil {
		return Actor{}, err
	}
	if !s.Live(d.Now()) {
		return Actor{}, session.NotSignedIn(errors.New("the session has expired"))
	}
	if err := d.Vault.Verify(ctx, s); err != nil {
		return Actor{}, err
	}
	user, err := d.Claim.User(string(s.Owner.Subject), s.Owner.Email, s.Owner.EmailVerified)
	if err != nil {
		return Actor{}, err
	}
	d.remember(s)
	return Actor{Session: s, User: user}, nil
}

func (d *Desk) recall(id session.ID) (Actor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.known[id]
	if !ok {
		return Actor{}, false
	}
	user, err := d.Claim.User(string(k.owner.Subject), k.owner.Email, k.owner.EmailVerified)
	if err != nil {
		return Actor{}, false
	}
	return Actor{Session: session.Session{ID: id, Owner: k.owner, OktaUserID: k.oktaUserID}, User: user}, true
}

func (d *Desk) remember(s session.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxKnown {
		d.known = map[session.ID]known{}
	}
	d.known[s.ID] = known{owner: s.Owner, oktaUserID: s.OktaUserID}
}

// What a refused person reads. They are different outcomes.
const (
	sayDenied   = "You are not allowed to do this. If you should be, ask your administrator for the permission."
	sayCouldNot = "Whether you may do this could not be checked, so nothing was done. Please try again in a minute."
)

func (d *Desk) pass(ctx context.Context, g Gate) error {
	var checks []fga.Check
	for _, group := range g.Groups {
		checks = append(checks, group...)
	}
	if len(checks) == 0 {
		return nil
	}
	decisions, cause := d.Authorizer.Ask(ctx, fga.Request{Checks: checks, Higher: g.Higher})
	if len(decisions) != len(checks) {
		return fault.New(fault.Upstream, sayCouldNot, cause)
	}
	for _, group := range g.Groups {
		if err := anyOf(decisions[:len(group)], group, cause); err != nil {
			return err
		}
		decisions = decisions[len(group):]
	}
	return nil
}

// anyOf wants one allowed. Where none is, one that could not be asked makes the whole "could not check".
func anyOf(decisions []fga.Decision, checks []fga.Check, cause error) error {
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

// Authorize wants every check allowed. Higher skips the caches of the authorization service: for changes.
func (d *Desk) Authorize(ctx context.Context, higher bool, checks ...fga.Check) error {
	g := Gate{Higher: higher}
	for _, c := range checks {
		g.Groups = append(g.Groups, []fga.Check{c})
	}
	return d.pass(ctx, g)
}

// Decide asks and returns each decision, for telling a person what they may do.
func (d *Desk) Decide(ctx context.Context, checks []fga.Check) ([]fga.Decision, error) {
	decisions, err := d.Authorizer.Ask(ctx, fga.Request{Checks: checks})
	if err != nil || len(decisions) != len(checks) {
		return nil, fault.New(fault.Upstream, sayCouldNot, err)
	}
	return decisions, nil
}

// AtOkta runs call with the person's token in its context; from then on a knows the person's own Okta id and login. If Okta
// refuses the token, a new one is exchanged and call runs once more: a refused token means that nothing was done.
func (d *Desk) AtOkta(ctx context.Context, a *Actor, call func(context.Context) error) error {
	token, err := d.Vault.Token(ctx, &a.Session)
	if err != nil {
		return err
	}
	d.remember(a.Session)
	err = call(okta.WithToken(ctx, token))
	if okta.KindOf(err) != okta.KindToken {
		return okta.Fault(err)
	}
	token, err = d.Vault.Renew(ctx, &a.Session)
	if err != nil {
		return err
	}
	return okta.Fault(call(okta.WithToken(ctx, token)))
}

// Fresh is a token exchanged right now, for what is done after a wait.
func (d *Desk) Fresh(ctx context.Context, a *Actor) (secret.String, error) {
	return d.Vault.Renew(ctx, &a.Session)
}

// Own is the actor's own Okta id. It is known within AtOkta.
func (d *Desk) Own(_ context.Context, a *Actor) (okta.UserID, error) {
	if a.Session.OktaUserID == "" {
		return "", errors.New("the person's own Okta id is asked for before there was a token")
	}
	return okta.UserID(a.Session.OktaUserID), nil
}
