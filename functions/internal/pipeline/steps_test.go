package pipeline_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipeline"
)

func TestTogether(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	fails := func(err error) func() error { return func() error { return err } }
	for name, tc := range map[string]struct {
		steps []func() error
		want  error
	}{
		"none":              {nil, nil},
		"all well":          {[]func() error{fails(nil), fails(nil)}, nil},
		"one fails":         {[]func() error{fails(nil), fails(second)}, second},
		"the first is told": {[]func() error{fails(first), fails(second)}, first},
	} {
		if err := pipeline.Together(tc.steps...); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	var others atomic.Bool
	err := pipeline.Together(func() error { panic("oh no") }, func() error { others.Store(true); return nil })
	if err == nil || !strings.Contains(err.Error(), "oh no") || !others.Load() {
		t.Errorf("a panic gives %v, and the others ran: %t", err, others.Load())
	}
}
