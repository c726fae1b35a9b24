package awstest

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what SQS clients verify
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Queue describes an SQS standard queue. Durations are whole seconds.
type Queue struct {
	Name              string
	VisibilityTimeout time.Duration // 30 s if zero
	DeadLetter        string        // name of the dead-letter queue; empty if none
	MaxReceiveCount   int           // receives before a message goes there
}

const sqsErrors = "com.amazonaws.sqs"

func sqsError(code, query, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, namespace: sqsErrors, code: code, query: query, message: message}
}

func invalidParameter(format string, args ...any) *apiError {
	return &apiError{
		status: http.StatusBadRequest, namespace: "com.amazon.coral.service",
		code: "InvalidParameterValueException", query: "InvalidParameterValue", message: fmt.Sprintf(format, args...),
	}
}

func missingParameter(name string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, namespace: "com.amazon.coral.service", code: "MissingRequiredParameterException",
		query: "MissingParameter", message: "The request must contain the parameter " + name + ".",
	}
}

// Limits of SQS.
const (
	maxDelay      = 900 * time.Second
	maxVisibility = 12 * time.Hour
	maxWait       = 20 * time.Second
	maxReceive    = 10
	maxMessage    = 1 << 20
	retention     = 4 * 24 * time.Hour
)

// queues is all queues of the account.
type queues struct {
	opts   Options
	chaos  *faults.Chaos
	closed chan struct{} // ends long polls

	mu     sync.Mutex
	byName map[string]*queue
}

type queue struct {
	Queue
	changed chan struct{} // closed, and replaced, when a message may have become visible
	next    int           // serial number of messages and receipts
	msgs    []*message
}

// message is one copy of a message in a queue.
type message struct {
	serial   int
	id, body string
	sent     time.Time
	visible  time.Time // from then on it may be received
	receives int
	first    time.Time // of its receives
	receipt  int       // serial of the newest receipt handle; 0 before the first receive
	from     string    // ARN of the queue it died in
}

func newQueues(opts Options, m *faults.Chaos) *queues {
	q := &queues{opts: opts, chaos: m, closed: make(chan struct{}), byName: map[string]*queue{}}
	for _, described := range opts.Queues {
		described.VisibilityTimeout = cmp.Or(described.VisibilityTimeout, 30*time.Second)
		q.byName[described.Name] = &queue{Queue: described, changed: make(chan struct{})}
	}
	return q
}

func (q *queues) close() { close(q.closed) }

func (q *queues) arn(name string) string {
	return fmt.Sprintf("arn:aws:sqs:%s:%s:%s", q.opts.Region, q.opts.Account, name)
}

// find finds a queue by its URL, of whatever host.
func (q *queues) find(url string) (*queue, error) {
	if url == "" {
		return nil, missingParameter("QueueUrl")
	}
	name := url[strings.LastIndexByte(url, '/')+1:]
	if found := q.byName[name]; found != nil {
		return found, nil
	}
	return nil, sqsError("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}

// wake ends the waiting of long polls, so that they look again.
func (qu *queue) wake() {
	close(qu.changed)
	qu.changed = make(chan struct{})
}

func (qu *queue) add(m *message) {
	qu.next++
	m.serial = qu.next
	qu.msgs = append(qu.msgs, m)
	qu.wake()
}

func (qu *queue) drop(m *message) {
	qu.msgs = slices.DeleteFunc(qu.msgs, func(x *message) bool { return x == m })
}

// take takes up to n visible messages, and buries those received too often.
func (q *queues) take(qu *queue, n int, visibility time.Duration) []*message {
	now := q.opts.Now()
	qu.msgs = slices.DeleteFunc(qu.msgs, func(m *message) bool { return now.Sub(m.sent) >= retention })
	if n > 1 && q.chaos.OneIn(3) { // a short poll asks only some of the servers
		n = q.chaos.UpTo(n)
	}
	var taken []*message
	for _, m := range slices.Clone(qu.msgs) {
		if len(taken) == n {
			break
		}
		if m.visible.After(now) {
			continue
		}
		if dead := q.byName[qu.DeadLetter]; dead != nil && m.receives >= qu.MaxReceiveCount {
			qu.drop(m)
			m.from, m.visible, m.receipt = q.arn(qu.Name), now, 0
			dead.add(m)
			continue
		}
		m.receives++
		if m.first.IsZero() {
			m.first = now
		}
		m.visible = now.Add(visibility)
		qu.next++
		m.receipt = qu.next
		received := *m // what the receiver sees stays as it is
		taken = append(taken, &received)
		if q.chaos.OneIn(10) { // at least once: another server kept a copy
			duplicate := *m
			duplicate.visible = now.Add(time.Second)
			qu.add(&duplicate)
		}
	}
	return taken
}

// receive takes messages, waiting for the first for a while.
//
// Each wait has one timer, for the nearer of the next look and the end of the poll, and the end is read from the clock. A
// second timer would be due, and not yet received from, when the first one wakes a poller. In a synctest bubble that is
// fatal under the race detector: a receive from a due channel timer runs that timer at once, on the goroutine's own
// thread but with the one race context of the bubble, and two pollers at once corrupt it (timer.maybeRunChan and
// timer.unlockAndRun in Go's runtime). The process then ends with SIGSEGV in whatever timer function is started next.
func (q *queues) receive(ctx context.Context, qu *queue, n int, visibility, wait time.Duration) []*message {
	began := time.Now()
	for {
		q.mu.Lock()
		taken := q.take(qu, n, visibility)
		changed, sleep := qu.changed, qu.untilVisible(q.opts.Now())
		q.mu.Unlock()
		left := wait - time.Since(began)
		if len(taken) > 0 || left <= 0 {
			return taken
		}
		again := time.NewTimer(min(sleep, left))
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
		case <-q.closed:
			wait = 0
		}
		again.Stop()
		if ctx.Err() != nil {
			return nil // taken now, a message would be lost until it is visible again
		}
	}
}

// untilVisible is when to look again: when the next message becomes visible, or
// after a moment, since the clock may be set by hand.
func (qu *queue) untilVisible(now time.Time) time.Duration {
	sleep := time.Second
	for _, m := range qu.msgs {
		sleep = min(sleep, max(m.visible.Sub(now), time.Millisecond))
	}
	return sleep
}

// handle is the receipt handle of a receive. It is opaque to clients.
func (qu *queue) handle(m *message) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d %d", qu.Name, m.serial, m.receipt))
}

// delete deletes the message of a receipt handle. An old handle succeeds and
// deletes nothing, which SQS reserves the right to.
func (q *queues) delete(qu *queue, handle string) error {
	if handle == "" {
		return missingParameter("ReceiptHandle")
	}
	invalid := sqsError("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", `The input receipt handle "`+handle+`" is not a valid receipt handle.`)
	plain, err := base64.StdEncoding.DecodeString(handle)
	fields := strings.Fields(string(plain))
	if err != nil || len(fields) != 3 || fields[0] != qu.Name {
		return invalid
	}
	serial, err1 := strconv.Atoi(fields[1])
	receipt, err2 := strconv.Atoi(fields[2])
	if err1 != nil || err2 != nil {
		return invalid
	}
	qu.msgs = slices.DeleteFunc(qu.msgs, func(m *message) bool { return m.serial == serial && m.receipt == receipt })
	return nil
}

func (s *Server) sqsOperations(ops map[string]operation) {
	for name, f := range map[string]operation{
		"GetQueueAttributes": onQueues(s, (*queues).getQueueAttributes),
		"SendMessage":        onQueues(s, (*queues).sendMessage),
		"DeleteMessage":      onQueues(s, (*queues).deleteMessage),
		"ReceiveMessage":     op(s.receiveMessage),
	} {
		ops["sqs."+name] = f
	}
}

// onQueues runs an operation while nothing else touches the queues.
func onQueues[In any](s *Server, f func(*queues, *In) (any, error)) operation {
	return op(func(_ context.Context, in *In) (any, error) {
		_, q, _ := s.state()
		q.mu.Lock()
		defer q.mu.Unlock()
		return f(q, in)
	})
}

type none struct{}

// getQueueAttributes says that a queue is there; the attributes themselves are not implemented.
func (q *queues) getQueueAttributes(in *struct {
	QueueURL string `json:"QueueUrl"`
},
) (any, error) {
	_, err := q.find(in.QueueURL)
	return none{}, err
}

func (q *queues) sendMessage(in *struct {
	QueueURL     string `json:"QueueUrl"`
	MessageBody  string
	DelaySeconds int
},
) (any, error) {
	qu, err := q.find(in.QueueURL)
	delay := time.Duration(in.DelaySeconds) * time.Second
	switch {
	case err != nil:
		return nil, err
	case in.MessageBody == "":
		return nil, missingParameter("MessageBody")
	case !allowed(in.MessageBody):
		return nil, sqsError("InvalidMessageContents", "InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case len(in.MessageBody) > maxMessage:
		return nil, invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage)
	case delay < 0 || delay > maxDelay:
		return nil, invalidParameter("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", in.DelaySeconds)
	}
	now := q.opts.Now()
	m := &message{id: newID(q.chaos), body: in.MessageBody, sent: now, visible: now.Add(delay)}
	qu.add(m)
	return map[string]any{"MessageId": m.id, "MD5OfMessageBody": digest(m.body)}, nil
}

// allowed says whether SQS takes the text: valid UTF-8 without control
// characters but tab, line feed and carriage return.
func allowed(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

func digest(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // what SQS clients verify
	return hex.EncodeToString(sum[:])
}

// receiveMessage does not hold the queues while it waits.
func (s *Server) receiveMessage(ctx context.Context, in *struct {
	QueueURL                    string `json:"QueueUrl"`
	MessageSystemAttributeNames []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             int
},
) (any, error) {
	_, q, _ := s.state()
	q.mu.Lock()
	qu, err := q.find(in.QueueURL)
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, visibility, wait := 1, qu.VisibilityTimeout, time.Duration(in.WaitTimeSeconds)*time.Second
	if in.MaxNumberOfMessages != nil {
		n = *in.MaxNumberOfMessages
	}
	if in.VisibilityTimeout != nil {
		visibility = time.Duration(*in.VisibilityTimeout) * time.Second
	}
	switch {
	case n < 1 || n > maxReceive:
		return nil, invalidParameter("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.", n)
	case visibility < 0 || visibility > maxVisibility:
		return nil, invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.", *in.VisibilityTimeout)
	case wait < 0 || wait > maxWait:
		return nil, invalidParameter("Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.", in.WaitTimeSeconds)
	}
	var out []map[string]any
	for _, m := range q.receive(ctx, qu, n, visibility, wait) {
		wire := map[string]any{"MessageId": m.id, "ReceiptHandle": qu.handle(m), "Body": m.body, "MD5OfBody": digest(m.body)}
		system := m.system()
		if !slices.Contains(in.MessageSystemAttributeNames, "All") {
			maps.DeleteFunc(system, func(k, _ string) bool { return !slices.Contains(in.MessageSystemAttributeNames, k) })
		}
		if len(system) > 0 {
			wire["Attributes"] = system
		}
		out = append(out, wire)
	}
	if out == nil {
		return none{}, nil
	}
	return map[string]any{"Messages": out}, nil
}

// system are the message's system attributes.
func (m *message) system() map[string]string {
	attributes := map[string]string{
		"SenderId":                         "AIDAAWSTESTAWSTESTAWS",
		"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.first.UnixMilli(), 10),
	}
	if m.from != "" {
		attributes["DeadLetterQueueSourceArn"] = m.from
	}
	return attributes
}

func (q *queues) deleteMessage(in *struct {
	QueueURL      string `json:"QueueUrl"`
	ReceiptHandle string
},
) (any, error) {
	qu, err := q.find(in.QueueURL)
	if err == nil {
		err = q.delete(qu, in.ReceiptHandle)
	}
	return none{}, err
}
