package faults

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// Chaos is a replayable source of what real services do now and then: refuse a first attempt, cut a page short, deliver twice.
// Everything is drawn from one seed, so the same requests in the same order meet the same.
type Chaos struct {
	Seed uint64
	Off  bool // never, which still leaves a source of numbers

	mu  sync.Mutex
	rng *rand.Rand
}

// NewChaos makes a source from a seed, or from one of its own choice for 0.
func NewChaos(seed uint64, off bool) *Chaos {
	if seed == 0 {
		var b [8]byte
		_, _ = crand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:]) | 1
	}
	return &Chaos{Seed: seed, Off: off, rng: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // wanted: it can be replayed
}

// OneIn is true once in n times, and never if the chaos is off.
func (c *Chaos) OneIn(n int) bool { return !c.Off && c.UpTo(n) == 1 }

// UpTo is a number from 1 to n.
func (c *Chaos) UpTo(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return 1 + c.rng.IntN(n)
}

// Uint64 is any number.
func (c *Chaos) Uint64() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.Uint64()
}
