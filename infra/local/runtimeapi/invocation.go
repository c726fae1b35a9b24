package runtimeapi

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// invocation is one call on its way through an instance. Its outcome is settled, and told to the caller, when the whole answer is
// there or the instance has failed.
type invocation struct {
	id      string
	trace   string
	payload []byte

	begun       sync.Once
	answered    chan struct{} // closed when the answer begins or is known not to come
	contentType string        // set before answered is closed
	failed      *FunctionError
	body        *io.PipeReader
	pipe        *io.PipeWriter

	mu      sync.Mutex
	settled bool
	outcome *FunctionError // nil is success
}

func newInvocation(payload []byte) *invocation {
	inv := &invocation{
		id:       uuid(),
		trace:    fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", time.Now().Unix(), random(12), random(8)),
		payload:  payload,
		answered: make(chan struct{}),
	}
	inv.body, inv.pipe = io.Pipe()
	return inv
}

// begin says that an answer of that type starts. It is false when there was one already.
func (inv *invocation) begin(contentType string) (first bool) {
	inv.begun.Do(func() {
		inv.contentType, first = contentType, true
		close(inv.answered)
	})
	return first
}

// settle fixes the outcome, nil for success, unless it was fixed before.
func (inv *invocation) settle(outcome *FunctionError) (first bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.settled {
		return false
	}
	inv.settled, inv.outcome = true, outcome
	return true
}

// tell gives the caller the outcome, half way through the answer if that had begun.
func (inv *invocation) tell() {
	inv.begun.Do(func() {
		inv.failed = inv.outcome
		close(inv.answered)
	})
	if inv.outcome == nil {
		_ = inv.pipe.Close() // never fails
		return
	}
	_ = inv.pipe.CloseWithError(inv.outcome) // never fails
}

// fail settles and tells, for an invocation no instance works on.
func (inv *invocation) fail(why *FunctionError) {
	if inv.settle(why) {
		inv.tell()
	}
}

// abandon says that nobody reads the answer any more.
func (inv *invocation) abandon() { _ = inv.body.Close() }

// copy passes the answer on as it comes. A reader that went away is no reason to stop: the function goes on.
func (inv *invocation) copy(from io.Reader) error {
	buf, gone := make([]byte, 32<<10), false
	for {
		n, err := from.Read(buf)
		if n > 0 && !gone {
			_, werr := inv.pipe.Write(buf[:n])
			gone = werr != nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// failure is an error in the words of the service.
func failure(kind, message string) *FunctionError {
	body, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	if err != nil { // two strings always encode
		panic(err)
	}
	return &FunctionError{Kind: "Unhandled", Payload: body}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func uuid() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
