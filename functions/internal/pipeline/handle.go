package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fault"
)

// Margin is what is kept of a function's time for answering.
const Margin = 1500 * time.Millisecond

// Handle is what surrounds the path of every action-group function: decode, keep time for an answer, take the path, and
// answer in the agent's envelope. It never returns an error: an error would end the person's turn without a word.
func Handle(ctx context.Context, log *slog.Logger, door Door, payload []byte, path func(context.Context, actiongroup.Event) (string, error)) (response actiongroup.Response, _ error) {
	event, err := actiongroup.Decode(payload)
	defer func() {
		if r := recover(); r != nil {
			log.ErrorContext(ctx, "panic", "value", fmt.Sprint(r), "stack", string(debug.Stack()))
			response = event.Reprompt("Something went wrong on our side. Please try again.")
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-Margin))
		defer cancel()
	}
	var text string
	if err == nil {
		text, err = path(ctx, event)
	}
	if err != nil {
		say, _ := fault.Answer(ctx, About(log, err), door.Words(ctx, event, err))
		return event.Reprompt(say).WithAction(fault.ActionOf(err)), nil
	}
	return event.Answer(text), nil
}
