package runtimeapi

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// pool is a function and its instances.
type pool struct {
	lambda *Lambda
	fn     Function

	mu     sync.Mutex
	closed bool
	all    map[*instance]bool
	idle   []*instance   // the longest unused first; the last is taken, as AWS prefers warm ones
	queue  []*invocation // wait for a free instance
	stats  Stats
}

// dispatch gives inv to an idle instance, a new one, or the queue.
func (p *pool) dispatch(inv *invocation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.assign(inv)
}

func (p *pool) assign(inv *invocation) error {
	if p.closed {
		return errClosed
	}
	if n := len(p.idle); n > 0 {
		i := p.idle[n-1]
		p.idle = p.idle[:n-1]
		i.thaw()
		i.work <- inv // has room: an idle instance has no work
		return nil
	}
	if len(p.all) >= p.lambda.opts.MaxInstances {
		p.queue = append(p.queue, inv)
		return nil
	}
	i, err := start(p, inv)
	if err != nil {
		return err
	}
	p.stats.ColdStarts++
	p.all[i] = true
	return nil
}

// release says that i has answered and takes other work, which it finds when it polls. It gets what is queued.
func (p *pool) release(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.all[i] {
		return
	}
	if len(p.queue) > 0 {
		inv := p.queue[0]
		p.queue = p.queue[1:]
		i.work <- inv
		return
	}
	i.idleSince = time.Now()
	p.idle = append(p.idle, i)
}

// rest freezes i, which polls, if there is nothing to do for it.
func (p *pool) rest(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.idle, i) {
		i.freeze()
	}
}

// remove forgets an instance whose process has ended, and finds another for the work it was given but never took.
func (p *pool) remove(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, i)
	p.dropIdle(i)
	select {
	case inv := <-i.work:
		if !i.polled.Load() {
			inv.fail(i.initFailure(inv))
		} else if err := p.assign(inv); err != nil {
			inv.fail(asFailure(err))
		}
	default:
	}
	if len(p.queue) > 0 && len(p.all) < p.lambda.opts.MaxInstances {
		inv := p.queue[0]
		p.queue = p.queue[1:]
		if err := p.assign(inv); err != nil {
			inv.fail(asFailure(err))
		}
	}
}

func asFailure(err error) *FunctionError {
	var failed *FunctionError
	if errors.As(err, &failed) {
		return failed
	}
	return failure("Runtime.ExitError", err.Error())
}

func (p *pool) dropIdle(i *instance) {
	p.idle = slices.DeleteFunc(p.idle, func(other *instance) bool { return other == i })
}

// idleSince takes out of service, and returns, the instances idle since before t.
func (p *pool) idleSince(t time.Time) (old []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 && p.idle[0].idleSince.Before(t) {
		p.idle[0].expected.Store(true)
		old, p.idle = append(old, p.idle[0]), p.idle[1:]
	}
	return old
}

func (p *pool) instances() (all []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		p.dropIdle(i)
		i.expected.Store(true)
		all = append(all, i)
	}
	return all
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, inv := range p.queue {
		inv.fail(failure("Runtime.ExitError", errClosed.Error()))
	}
	p.queue = nil
}

func (p *pool) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

func (p *pool) report() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		p.stats.PeakRSS = max(p.stats.PeakRSS, i.peakRSS())
	}
	s := p.stats
	s.Function, s.Instances = p.fn.Name, len(p.all)
	return s
}
