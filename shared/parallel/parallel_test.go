package parallel_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/steward-iam/steward/shared/parallel"
)

func TestDoReturnsTheFirstErrorInOrder(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	ended := make(chan struct{})
	err := parallel.Do(
		func() error { return nil },
		func() error { <-ended; return first },
		func() error { close(ended); return second },
	)
	if !errors.Is(err, first) {
		t.Errorf("Do() = %v, want the error of the earlier step although it ended later", err)
	}
	if err := parallel.Do(); err != nil {
		t.Errorf("Do() of nothing = %v", err)
	}
}

func TestDoWaitsForEveryStep(t *testing.T) {
	release := make(chan struct{})
	var ended atomic.Bool
	_ = parallel.Do(
		func() error { defer close(release); return errors.New("failed") },
		func() error { <-release; ended.Store(true); return nil },
	)
	if !ended.Load() {
		t.Error("Do() returned before the second step had ended")
	}
}

func boom() error { panic("out of range") }

func TestAPanicBecomesAnErrorWithItsStack(t *testing.T) {
	for name, run := range map[string]func(func() error) error{
		"Do":      func(step func() error) error { return parallel.Do(func() error { return nil }, step) },
		"Go":      func(step func() error) error { return <-parallel.Go(step) },
		"Recover": parallel.Recover,
	} {
		if err := run(boom); err == nil || !strings.Contains(err.Error(), "panic: out of range") || !strings.Contains(err.Error(), "parallel_test.boom") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
