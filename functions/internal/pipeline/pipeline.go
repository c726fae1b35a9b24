// Package pipeline is the one way from a call of the agent to its answer, for every function that acts for a person.
//
// [Pipeline.Handle] and [Pipeline.answer] are that way from top to bottom. What differs between operations is in their rows, package
// operation; what differs between the functions is which rows they have, and who asks for approval.
package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
)

// Approver asks a person to approve a change, and returns at once with the answer for the agent. It records the decision before
// it asks.
type Approver interface {
	Ask(ctx context.Context, p access.Principal, in operation.Input) (string, error)
}

// Pipeline answers the calls of one action group.
type Pipeline struct {
	group    string
	rows     map[string]operation.Row
	approver Approver
	enforcer *access.Enforcer
	okta     *okta.Client
	trail    Trail
	hint     SignInHint
	log      *slog.Logger
	now      func() time.Time
}

// New makes the pipeline of an action group. It refuses rows that do not fit the catalogue: an operation of the group without a row,
// a row twice or without an operation, and a row that lacks a step or has one too many. The approver may be nil for a group without
// changes.
func New(c *Clients, group string, approver Approver, log *slog.Logger, now func() time.Time, rows ...operation.Row) (*Pipeline, error) {
	p := &Pipeline{
		group: group, rows: map[string]operation.Row{}, approver: approver, enforcer: c.Enforcer, okta: c.Okta,
		trail: Trail{Recorder: c.Audit, Log: log, Now: now}, hint: c.SignIn, log: log, now: now,
	}
	var errs []error
	for _, row := range rows {
		if _, twice := p.rows[row.ID]; twice {
			errs = append(errs, fmt.Errorf("operation %q has two rows", row.ID))
		}
		p.rows[row.ID] = row
	}
	known := 0
	for _, f := range catalogue.Functions() {
		if f.Group != group {
			continue
		}
		if f.Elevated && approver == nil {
			errs = append(errs, fmt.Errorf("function %q has changes, and nobody to ask for approval", f.Name))
		}
		for _, op := range f.Operations {
			row, ok := p.rows[op.ID]
			if !ok {
				errs = append(errs, fmt.Errorf("operation %q has no row", op.ID))
				continue
			}
			known++
			errs = append(errs, row.Validate(f, op))
		}
	}
	if known != len(p.rows) {
		errs = append(errs, fmt.Errorf("action group %q has %d operations, and rows for %d", group, known, len(p.rows)))
	}
	return p, errors.Join(errs...)
}

// Margin is what is kept of a function's time for answering.
const Margin = 1500 * time.Millisecond

// Handle answers one call of the agent. Refusals, failures and panics are answers too: a Go error would end the person's turn
// without a word.
func (p *Pipeline) Handle(ctx context.Context, payload json.RawMessage) (actiongroup.Response, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-Margin))
		defer cancel()
	}
	var event actiongroup.Event
	var text string
	err := parallel.Recover(func() (err error) {
		if event, err = actiongroup.Decode(payload); err == nil {
			text, err = p.answer(ctx, event)
		}
		return err
	})
	if err != nil {
		say, _ := fault.Answer(ctx, About(p.log, err), p.hint.Explain(ctx, event, err))
		return event.Reprompt(say).WithAction(fault.ActionOf(err)), nil
	}
	return event.Answer(text), nil
}

// answer is the path of every call, read or change.
func (p *Pipeline) answer(ctx context.Context, event actiongroup.Event) (string, error) {
	// 1 decode: only what the catalogue declares
	call, err := event.Call(p.group)
	if err != nil {
		return "", err
	}
	row := p.rows[call.Operation.ID]

	// 2 identify, and 3a authorize what must hold before Okta is touched
	admission, err := p.enforcer.Admit(ctx, call)
	principal := &admission.Principal
	record := p.trail.begin(admission, call)
	if err != nil {
		return "", record.failed(ctx, err)
	}
	if row.Own != nil {
		return row.Own(ctx, *principal, call)
	}

	// 4 resolve what people say to one id each, with the person's own token
	ctx, err = p.enforcer.WithOktaToken(ctx, principal)
	if err != nil {
		return "", record.failed(ctx, err)
	}
	in, err := row.Resolve(ctx, p.okta, *principal, call)
	in.Call = call
	if err == nil {
		err = in.Validate(call.Operation)
	}
	if err != nil {
		return "", record.failed(ctx, err)
	}
	record.resolved(in)

	// 3b authorize the operation on the very object
	checks, err := checksOf(*principal, row, in)
	if err == nil {
		err = admission.Authorize(ctx, checks...)
	}
	if err != nil {
		return "", record.failed(ctx, err)
	}

	// 5 decide: a change that can work needs a person's approval. Once they have given it, approval-worker acts
	if call.Function.Elevated {
		if err := row.Possible(ctx, p.okta, in); err != nil {
			return "", record.failed(ctx, err)
		}
		return p.approver.Ask(ctx, *principal, in)
	}

	// 6 act, and 7 record the decision beside it: the answer needs both
	var text string
	var meta okta.Meta
	err = parallel.Do(
		func() error { return record.decided(ctx) },
		func() (err error) { text, meta, err = row.Read(ctx, p.okta, in); return err },
	)
	if err != nil {
		return "", record.failed(ctx, err)
	}

	// 8 answer
	p.log.InfoContext(ctx, "read okta", "operation", row.ID, "target", in.Object.ID, "audit_id", record.decisionID, "okta_request_id", meta.RequestID)
	return text, nil
}

// checksOf are what must be allowed on the object itself. Whose account it is follows from the session, not from the row.
func checksOf(p access.Principal, row operation.Row, in operation.Input) ([]fga.Check, error) {
	op, id := in.Call.Operation, in.Object.ID
	if op.Target == catalogue.TargetArea {
		id = string(op.Area)
	}
	relations := []string{op.Relation}
	if row.Also != nil {
		relations = append(relations, row.Also(in)...)
	}
	checks := make([]fga.Check, len(relations))
	for i, relation := range relations {
		var err error
		if checks[i], err = fga.For(p.User, relation, string(op.Target), id, id == p.Session.OktaUserID); err != nil {
			return nil, err
		}
	}
	return checks, nil
}

// About is log with the facts of err that alarms count.
func About(log *slog.Logger, err error) *slog.Logger {
	if e, ok := errors.AsType[*okta.Error](err); ok {
		return log.With("okta_status", e.Status, "okta_request_id", e.RequestID)
	}
	return log
}
