// Package plan brings an Auth0 tenant, an FGA store and Secrets Manager to the state that steward.yaml describes.
//
// [New] only reads: it compares what is there with what is wanted and answers a [Plan], a list of steps to show to a person.
// [Plan.Apply] carries out those that change something, in an order in which each finds what it needs. Nothing is remembered
// between two runs but what the tenants themselves hold, so a run that broke off half-way is finished by the next one.
//
// What setup did not make it does not touch: an application is recognised by its metadata, tuples are only ever added, options
// of a connection that steward.yaml says nothing about stay as they are.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/secret"
)

// Action is what a step does.
type Action string

// The actions.
const (
	Nothing Action = "as wanted"
	Create  Action = "create"
	Update  Action = "update"
	Later   Action = "later" // cannot be done now; the step says why
)

// Step is one thing of one tenant.
type Step struct {
	Resource string
	Action   Action
	Details  []string // what is different, in words
	apply    func(context.Context) error
}

// Plan is what is to be done.
type Plan struct {
	Steps []Step
	// Notes are for people to do: what no API can set.
	Notes []string

	tenants *tenants
}

// SecretStore is AWS Secrets Manager.
type SecretStore interface {
	// Value is the current value of a secret, empty if it has none. ErrNoSecret means that there is no such secret.
	Value(ctx context.Context, nameOrARN string) (secret.String, error)
	Put(ctx context.Context, nameOrARN string, value secret.String) error
}

// ErrNoSecret is a [SecretStore]'s answer for a secret that does not exist.
var ErrNoSecret = errors.New("there is no such secret")

// Options are how the tenants are reached.
type Options struct {
	File      tenant.File
	Secrets   tenant.Secrets
	Store     SecretStore // nil where AWS is not at hand
	Transport *reach.Transport
}

// tenants is what is known of the tenants: found while planning, completed while applying.
type tenants struct {
	Options

	http *http.Client

	auth0 *auth0
	fga   *fgaStore
}

// New reads what is there and plans what is to be done. It changes nothing.
func New(ctx context.Context, o Options) (*Plan, error) {
	if o.Transport == nil {
		o.Transport = &reach.Transport{}
	}
	w := &tenants{Options: o, http: o.Transport.Client()}
	p := &Plan{tenants: w}
	// Both tenants are asked before anything is planned, so that a person hears of every fault at once.
	if err := errors.Join(w.openAuth0(ctx), w.openFGA(ctx)); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *Plan) error{
		w.planAPI, w.planClient, w.planClientSecret, w.planGrants, w.planConnection, w.planEnabled, w.planPush, w.planPolicy,
		w.planStore, w.planModel, w.planTuples, w.planCheckerSecret, w.planOkta,
	} {
		if err := read(ctx, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) add(s Step) { p.Steps = append(p.Steps, s) }

func (p *Plan) create(resource string, details []string, apply func(context.Context) error) {
	p.add(Step{Resource: resource, Action: Create, Details: details, apply: apply})
}

// update adds a step that makes up for the differences; without any there is nothing to do.
func (p *Plan) update(resource string, differences []string, apply func(context.Context) error) {
	s := Step{Resource: resource, Action: Nothing}
	if len(differences) > 0 {
		s = Step{Resource: resource, Action: Update, Details: differences, apply: apply}
	}
	p.add(s)
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// Changes is how many steps change something.
func (p *Plan) Changes() (n int) {
	for _, s := range p.Steps {
		if s.Action == Create || s.Action == Update {
			n++
		}
	}
	return n
}

// Print shows the plan.
func (p *Plan) Print(out io.Writer) {
	for _, s := range p.Steps {
		mark := map[Action]string{Nothing: " ", Create: "+", Update: "~", Later: "!"}[s.Action]
		_, _ = fmt.Fprintf(out, "%s %-9s  %s\n", mark, s.Action, s.Resource)
		for _, d := range s.Details {
			_, _ = fmt.Fprintf(out, "               %s\n", d)
		}
	}
}

// Result is what there is to tell when all is done: the values that go into cdk.json.
type Result struct {
	Issuer, ClientID, Connection string
	FGAStoreID, FGAModelID       string
}

// Result names what was found or made.
func (p *Plan) Result() Result {
	w := p.tenants
	return Result{Issuer: w.auth0.issuer, ClientID: w.auth0.clientID, Connection: w.File.Auth0.Connection.Name, FGAStoreID: w.fga.storeID, FGAModelID: w.fga.modelID}
}

// Interrupted says how far a run came.
type Interrupted struct {
	Done   []Step
	Failed Step
	Left   int // steps that were not begun
	Err    error
}

func (i *Interrupted) Error() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s the %s did not work: %s.\n", verb(i.Failed.Action), i.Failed.Resource, say(i.Err))
	if len(i.Done) == 0 {
		b.WriteString("Nothing had been changed before.")
	} else {
		b.WriteString("Already changed, and left as it is:")
		for _, s := range i.Done {
			_, _ = fmt.Fprintf(&b, "\n  %s (%s)", s.Resource, past(s.Action))
		}
	}
	_, _ = fmt.Fprintf(&b, "\nNot begun: %d. Run `make setup` again: it goes on from here.", i.Left)
	return b.String()
}

func (i *Interrupted) Unwrap() error { return i.Err }

func verb(a Action) string {
	if a == Create {
		return "Creating"
	}
	return "Updating"
}

func past(a Action) string {
	if a == Create {
		return "created"
	}
	return "updated"
}

// say is an error in words.
func say(err error) string {
	if t, ok := errors.AsType[*reach.Problem](err); ok {
		return strings.TrimSuffix(t.Say, ".")
	}
	if text, ok := reach.Explain(err); ok {
		return text
	}
	return err.Error()
}

// Apply carries out what changes something, and stops at the first step that fails. Its error is then an [*Interrupted].
func (p *Plan) Apply(ctx context.Context, progress io.Writer) error {
	var done []Step
	left := p.Changes()
	for _, s := range p.Steps {
		if s.Action != Create && s.Action != Update {
			continue
		}
		left--
		if err := s.apply(ctx); err != nil {
			return &Interrupted{Done: done, Failed: s, Left: left, Err: err}
		}
		done = append(done, s)
		_, _ = fmt.Fprintf(progress, "%s  %s\n", past(s.Action), s.Resource)
	}
	return nil
}
