package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/steward-iam/steward/shared/okta"
)

// Together takes all steps side by side and waits for every one of them. Of several failures the first in order is
// told. A step that panics has failed: left alone it would end the process, and with it the person's turn.
func Together(steps ...func() error) error {
	errs := make([]error, len(steps))
	done := make(chan int)
	for i, step := range steps {
		go func() {
			defer func() {
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
				}
				done <- i
			}()
			errs[i] = step()
		}()
	}
	for range steps {
		<-done
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// About is log with the facts of err that alarms count.
func About(log *slog.Logger, err error) *slog.Logger {
	if e, ok := errors.AsType[*okta.Error](err); ok {
		return log.With("okta_status", e.Status, "okta_request_id", e.RequestID)
	}
	return log
}
