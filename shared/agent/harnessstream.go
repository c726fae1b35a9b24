package agent

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/smithy-go/middleware"
)

// stream starts an InvokeHarness call and returns its stream, which ends with ctx. What the service refuses is the error of the
// stream.
//
// The SDK (bedrockagentcore v1.56.4) runs the call in a goroutine and waits until it is sent, and for nothing else: a call that
// fails before that, for want of credentials or because ctx has ended, would never return. So a middleware reports such an error.
// The SDK also leaves a goroutine behind with every call; AWS ends the process before that adds up.
func (h *Harness) stream(ctx context.Context, in *bedrockagentcore.InvokeHarnessInput) (*bedrockagentcore.InvokeHarnessEventStream, error) {
	type result struct {
		out *bedrockagentcore.InvokeHarnessOutput
		err error
	}
	ended := make(chan result, 2)
	var sent atomic.Bool
	report := func(s *middleware.Stack) error {
		note := middleware.DeserializeMiddlewareFunc("NoteSent", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			sent.Store(true)
			return next.HandleDeserialize(ctx, in)
		})
		if err := s.Deserialize.Add(note, middleware.Before); err != nil {
			return err
		}
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("ReportNotSent", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			if !sent.Load() {
				ended <- result{err: err}
			}
			return out, metadata, err
		}), middleware.Before)
	}
	go func() {
		out, err := h.client.InvokeHarness(ctx, in, func(o *bedrockagentcore.Options) { o.APIOptions = append(o.APIOptions, report) })
		ended <- result{out, err}
	}()
	select {
	case r := <-ended:
		if r.err != nil {
			return nil, r.err
		}
		return r.out.GetStream(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
