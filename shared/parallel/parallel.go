// Package parallel runs functions side by side. A panic in one of them becomes its error: in a goroutine it would end the
// whole process, and with it the work of everybody else.
//
// golang.org/x/sync/errgroup does not fit here: it returns the error that came first in time, so that the same failures
// give different answers, and it panics again in the waiting goroutine.
package parallel

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// Do runs all steps side by side, waits for every one of them, and returns the first error in the order of the steps.
func Do(steps ...func() error) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		wg.Go(func() { errs[i] = Recover(step) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Go starts step in a goroutine. The channel receives its error, or nil, once; nobody has to read it.
func Go(step func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- Recover(step) }()
	return done
}

// Recover calls step and returns its error. A panic of step is returned as an error with the stack, for the log alone.
func Recover(step func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return step()
}
