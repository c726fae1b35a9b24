package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"

	"github.com/steward-iam/steward/functions/chat/web"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/lambdainvoke"
	"github.com/steward-iam/steward/shared/session"
)

// runtime returns the client of the agent runtime.
func runtime(cfg settings, from aws.Config) agent.Runtime {
	if cfg.Runtime == runtimeClassic {
		return agent.NewClassic(bedrockagentruntime.NewFromConfig(from), cfg.AgentID, cfg.AgentAlias)
	}
	return agent.NewHarness(from, cfg.HarnessARN, tools{
		invoke:    lambdainvoke.New(from).Invoke,
		functions: map[string]string{catalogue.GroupOkta: cfg.OktaGroups, catalogue.GroupCIBA: cfg.CIBA},
	})
}

// tools runs the tool calls of a harness: it invokes the function of the action group with the event that Classic would send. The
// session id of the event is that of the turn, not one from the model.
type tools struct {
	invoke    func(ctx context.Context, function string, payload []byte) (answer []byte, functionError string, err error)
	functions map[string]string // action group to function name
}

// Run implements agent.ToolRunner.
func (t tools) Run(ctx context.Context, call actiongroup.Event) (actiongroup.Response, error) {
	name, ok := t.functions[call.ActionGroup]
	if !ok {
		return actiongroup.Response{}, fault.New(fault.Internal, "", fmt.Errorf("no function for action group %.40q", call.ActionGroup))
	}
	payload, err := json.Marshal(call)
	if err != nil {
		return actiongroup.Response{}, fmt.Errorf("encode the event of %s: %w", call.Function, err)
	}
	answer, functionError, err := t.invoke(ctx, name, payload)
	if err != nil {
		return actiongroup.Response{}, fault.New(fault.Upstream, "I cannot reach this tool at the moment.", err)
	}
	if functionError != "" {
		return actiongroup.Response{}, fault.New(fault.Upstream, "This tool failed. I do not know whether it had an effect.", fmt.Errorf("function %s failed: %s", name, functionError))
	}
	var out actiongroup.Response
	if err := json.Unmarshal(answer, &out); err != nil || out.Text() == "" {
		return actiongroup.Response{}, fault.New(fault.Upstream, "This tool gave an invalid answer.", errors.New("answer of function "+name+" is not a response"))
	}
	return out, nil
}

// limits implements web.Limits with the table.
type limits struct{ table *dynamo.Limits }

// OfOwner adds one and returns how long the owner has to wait.
func (l limits) OfOwner(ctx context.Context, owner session.Subject, limit web.Limit, now time.Time) (time.Duration, error) {
	return l.table.OfOwner(ctx, owner, dynamo.Limit(limit), now)
}
