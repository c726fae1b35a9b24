package awstest

import (
	"context"
	"crypto/md5" //nolint:gosec // what SQS clients verify
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
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
	VisibilityTimeout time.Duration // 30 s if zero; negative is none
	Delay             time.Duration
	ReceiveWait       time.Duration // default of WaitTimeSeconds
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
	created time.Time
	changed chan struct{} // closed, and replaced, when a message may have become visible
	next    int           // serial number of messages and receipts
	msgs    []*message
}

// message is one copy of a message in a queue.
type message struct {
	serial     int
	id, body   string
	attributes map[string]messageAttribute
	sent       time.Time
	visible    time.Time // from then on it may be received
	receives   int
	first      time.Time // of its receives
	receipt    int       // serial of the newest receipt handle; 0 before the first receive
	from       string    // ARN of the queue it died in
}

type messageAttribute struct {
	DataType    string
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

func newQueues(opts Options, m *faults.Chaos) *queues {
	q := &queues{opts: opts, chaos: m, closed: make(chan struct{}), byName: map[string]*queue{}}
	for _, described := range opts.Queues {
		q.create(described)
	}
	return q
}

func (q *queues) close() { close(q.closed) }

func (q *queues) create(described Queue) {
	switch {
	case described.VisibilityTimeout == 0:
		described.VisibilityTimeout = 30 * time.Second
	case described.VisibilityTimeout < 0:
		described.VisibilityTimeout = 0
	}
	q.byName[described.Name] = &queue{Queue: described, created: q.opts.Now(), changed: make(chan struct{})}
}

func (q *queues) arn(name string) string {
	return fmt.Sprintf("arn:aws:sqs:%s:%s:%s", q.opts.Region, q.opts.Account, name)
}

// find finds a queue by its URL, of whatever host, and notes it on the call.
func (q *queues) find(c *call, url string) (*queue, error) {
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
		if grave := q.byName[qu.DeadLetter]; grave != nil && m.receives >= qu.MaxReceiveCount {
			qu.drop(m)
			m.from, m.visible, m.receipt = q.arn(qu.Name), now, 0
			grave.add(m)
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
			twin := *m
			twin.visible = now.Add(time.Second)
			qu.add(&twin)
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

// held finds the message a receipt handle is for. It is nil if that message is
// gone; newest says whether the handle is its newest.
func (qu *queue) held(handle string) (m *message, newest bool, err error) {
	if handle == "" {
		return nil, false, missingParameter("ReceiptHandle")
	}
	invalid := sqsError("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", `The input receipt handle "`+handle+`" is not a valid receipt handle.`)
	plain, err := base64.StdEncoding.DecodeString(handle)
	if err != nil {
		return nil, false, invalid
	}
	fields := strings.Fields(string(plain))
	if len(fields) != 3 || fields[0] != qu.Name {
		return nil, false, invalid
	}
	serial, err1 := strconv.Atoi(fields[1])
	receipt, err2 := strconv.Atoi(fields[2])
	if err1 != nil || err2 != nil {
		return nil, false, invalid
	}
	for _, m := range qu.msgs {
		if m.serial == serial {
			return m, m.receipt == receipt, nil
		}
	}
	return nil, false, nil
}

// delete deletes the message of a receipt handle. An old handle succeeds and
// deletes nothing, which SQS reserves the right to.
func (q *queues) delete(qu *queue, handle string) error {
	m, newest, err := qu.held(handle)
	if err == nil && m != nil && newest {
		qu.drop(m)
	}
	return err
}

func (s *Server) sqsOperations(ops map[string]operation) {
	for name, f := range map[string]operation{
		"CreateQueue":             onQueues(s, (*queues).createQueue),
		"GetQueueUrl":             onQueues(s, (*queues).getQueueURL),
		"GetQueueAttributes":      onQueues(s, (*queues).getQueueAttributes),
		"SetQueueAttributes":      onQueues(s, (*queues).setQueueAttributes),
		"DeleteQueue":             onQueues(s, (*queues).deleteQueue),
		"PurgeQueue":              onQueues(s, (*queues).purgeQueue),
		"SendMessage":             onQueues(s, (*queues).sendMessage),
		"DeleteMessage":           onQueues(s, (*queues).deleteMessage),
		"ChangeMessageVisibility": onQueues(s, (*queues).changeMessageVisibility),
		"ReceiveMessage":          op(s.receiveMessage),
	} {
		ops["sqs."+name] = f
	}
}

// onQueues runs an operation while nothing else touches the queues.
func onQueues[In any](s *Server, f func(*queues, *call, *In) (any, error)) operation {
	return op(func(_ context.Context, c *call, in *In) (any, error) {
		_, q, _ := s.state()
		q.mu.Lock()
		defer q.mu.Unlock()
		return f(q, c, in)
	})
}

type queueInput struct {
	QueueURL string `json:"QueueUrl"`
}

type none struct{}

func (q *queues) url(c *call, name string) string {
	return "http://" + c.host + "/" + q.opts.Account + "/" + name
}

var queueName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$`)

func (q *queues) createQueue(c *call, in *struct {
	QueueName  string
	Attributes map[string]string
},
) (any, error) {
	if !queueName.MatchString(in.QueueName) {
		return nil, invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	described := Queue{Name: in.QueueName}
	if err := q.configure(&described, in.Attributes); err != nil {
		return nil, err
	}
	old := q.byName[in.QueueName]
	if old == nil {
		q.create(described)
	} else {
		same := old.Queue
		err := q.configure(&same, in.Attributes)
		same.VisibilityTimeout = max(same.VisibilityTimeout, 0)
		if err != nil || same != old.Queue {
			return nil, sqsError("QueueNameExists", "QueueAlreadyExists", "A queue already exists with the same name and a different value for attributes.")
		}
	}
	return map[string]any{"QueueUrl": q.url(c, in.QueueName)}, nil
}

// configure sets the attributes of a queue.
func (q *queues) configure(qu *Queue, attributes map[string]string) error {
	for name, text := range attributes {
		bad := sqsError("InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter "+name+".")
		seconds := func(most time.Duration) (time.Duration, error) {
			n, err := strconv.Atoi(text)
			d := time.Duration(n) * time.Second
			if err != nil || d < 0 || d > most {
				return 0, bad
			}
			return d, nil
		}
		var err error
		switch name {
		case "VisibilityTimeout":
			if qu.VisibilityTimeout, err = seconds(maxVisibility); err == nil && qu.VisibilityTimeout == 0 {
				qu.VisibilityTimeout = -1
			}
		case "DelaySeconds":
			qu.Delay, err = seconds(maxDelay)
		case "ReceiveMessageWaitTimeSeconds":
			qu.ReceiveWait, err = seconds(maxWait)
		case "RedrivePolicy":
			qu.DeadLetter, qu.MaxReceiveCount, err = q.redrive(text)
		default:
			return notPlayed("queue attribute " + name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queues) redrive(text string) (deadLetter string, most int, err error) {
	if text == "" {
		return "", 0, nil
	}
	var policy struct {
		DeadLetterTargetArn string          `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.RawMessage `json:"maxReceiveCount"` // a number, as a string too
	}
	refused := invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map.", text)
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return "", 0, refused
	}
	most, err = strconv.Atoi(strings.Trim(string(policy.MaxReceiveCount), `"`))
	if err != nil || most < 1 || most > 1000 {
		return "", 0, invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: %s, valid values are from 1 to 1000 both inclusive.", text, policy.MaxReceiveCount)
	}
	name := policy.DeadLetterTargetArn[strings.LastIndexByte(policy.DeadLetterTargetArn, ':')+1:]
	if q.byName[name] == nil || policy.DeadLetterTargetArn != q.arn(name) {
		return "", 0, invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", text)
	}
	return name, most, nil
}

func (q *queues) getQueueURL(c *call, in *struct{ QueueName string }) (any, error) {
	qu, err := q.find(c, in.QueueName)
	if err != nil {
		return nil, err
	}
	return map[string]any{"QueueUrl": q.url(c, qu.Name)}, nil
}

func (q *queues) getQueueAttributes(c *call, in *struct {
	QueueURL       string `json:"QueueUrl"`
	AttributeNames []string
},
) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	now := q.opts.Now()
	var visible, hidden, delayed int
	for _, m := range qu.msgs {
		switch {
		case !m.visible.After(now):
			visible++
		case m.receives > 0:
			hidden++
		default:
			delayed++
		}
	}
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	all := map[string]string{
		"QueueArn":                              q.arn(qu.Name),
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
		"CreatedTimestamp":                      strconv.FormatInt(qu.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(qu.created.Unix(), 10),
		"VisibilityTimeout":                     seconds(qu.VisibilityTimeout),
		"DelaySeconds":                          seconds(qu.Delay),
		"ReceiveMessageWaitTimeSeconds":         seconds(qu.ReceiveWait),
		"MaximumMessageSize":                    strconv.Itoa(maxMessage),
		"MessageRetentionPeriod":                seconds(retention),
	}
	if qu.DeadLetter != "" {
		all["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":"%s","maxReceiveCount":%d}`, q.arn(qu.DeadLetter), qu.MaxReceiveCount)
	}
	if len(in.AttributeNames) == 0 {
		return none{}, nil
	}
	wanted := map[string]string{}
	for _, name := range in.AttributeNames {
		v, ok := all[name]
		switch {
		case name == "All":
			wanted = all
		case ok:
			wanted[name] = v
		case name != "RedrivePolicy":
			return nil, sqsError("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
		}
	}
	return map[string]any{"Attributes": wanted}, nil
}

func (q *queues) setQueueAttributes(c *call, in *struct {
	QueueURL   string `json:"QueueUrl"`
	Attributes map[string]string
},
) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	described := qu.Queue
	if err := q.configure(&described, in.Attributes); err != nil {
		return nil, err
	}
	qu.VisibilityTimeout = max(described.VisibilityTimeout, 0)
	qu.Delay, qu.ReceiveWait = described.Delay, described.ReceiveWait
	qu.DeadLetter, qu.MaxReceiveCount = described.DeadLetter, described.MaxReceiveCount
	return none{}, nil
}

func (q *queues) deleteQueue(c *call, in *queueInput) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	delete(q.byName, qu.Name)
	return none{}, nil
}

func (q *queues) purgeQueue(c *call, in *queueInput) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	qu.msgs = nil
	return none{}, nil
}

func (q *queues) sendMessage(c *call, in *struct {
	QueueURL          string `json:"QueueUrl"`
	MessageBody       *string
	DelaySeconds      *int
	MessageAttributes map[string]messageAttribute
},
) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	switch {
	case in.MessageBody == nil || *in.MessageBody == "":
		return nil, missingParameter("MessageBody")
	case !allowed(*in.MessageBody):
		return nil, sqsError("InvalidMessageContents", "InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	size := len(*in.MessageBody)
	for name, a := range in.MessageAttributes {
		if err := a.check(name); err != nil {
			return nil, err
		}
		size += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			size += len(*a.StringValue)
		}
	}
	if size > maxMessage {
		return nil, invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage)
	}
	delay := qu.Delay
	if in.DelaySeconds != nil {
		delay = time.Duration(*in.DelaySeconds) * time.Second
		if delay < 0 || delay > maxDelay {
			return nil, invalidParameter("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *in.DelaySeconds)
		}
	}
	now := q.opts.Now()
	m := &message{id: newID(q.chaos), body: *in.MessageBody, attributes: in.MessageAttributes, sent: now, visible: now.Add(delay)}
	qu.add(m)
	out := map[string]any{"MessageId": m.id, "MD5OfMessageBody": digest(m.body)}
	if len(m.attributes) > 0 {
		out["MD5OfMessageAttributes"] = attributeDigest(m.attributes)
	}
	return out, nil
}

// allowed says whether SQS takes the text: valid UTF-8 without control
// characters but tab, line feed and carriage return.
func allowed(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

func (a messageAttribute) check(name string) error {
	base, _, _ := strings.Cut(a.DataType, ".")
	binary := base == "Binary"
	switch {
	case base != "String" && base != "Number" && !binary:
		return invalidParameter("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
	case binary && len(a.BinaryValue) == 0, !binary && (a.StringValue == nil || *a.StringValue == ""):
		return invalidParameter("The message attribute '%s' must contain a non-empty message attribute value for message attribute type '%s'.", name, base)
	}
	return nil
}

func digest(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // what SQS clients verify
	return hex.EncodeToString(sum[:])
}

// attributeDigest is MD5OfMessageAttributes ("Calculating the MD5 message digest
// for message attributes" in the SQS Developer Guide).
func attributeDigest(attributes map[string]messageAttribute) string {
	h := md5.New() //nolint:gosec // what SQS clients verify
	part := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s))) //nolint:gosec // at most maxMessage
		_, _ = h.Write(n[:])
		_, _ = io.WriteString(h, s)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		part(name)
		part(a.DataType)
		if a.StringValue != nil {
			_, _ = h.Write([]byte{1})
			part(*a.StringValue)
		} else {
			_, _ = h.Write([]byte{2})
			part(string(a.BinaryValue))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

type receiveInput struct {
	QueueURL                    string `json:"QueueUrl"`
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
}

// receiveMessage does not hold the queues while it waits.
func (s *Server) receiveMessage(ctx context.Context, c *call, in *receiveInput) (any, error) {
	_, q, _ := s.state()
	q.mu.Lock()
	qu, err := q.find(c, in.QueueURL)
	var set Queue
	if err == nil {
		set = qu.Queue
	}
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, visibility, wait := 1, set.VisibilityTimeout, set.ReceiveWait
	if in.MaxNumberOfMessages != nil {
		if n = *in.MaxNumberOfMessages; n < 1 || n > maxReceive {
			return nil, invalidParameter("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.", n)
		}
	}
	if in.VisibilityTimeout != nil {
		if visibility, err = visibilityTimeout(*in.VisibilityTimeout); err != nil {
			return nil, err
		}
	}
	if in.WaitTimeSeconds != nil {
		wait = time.Duration(*in.WaitTimeSeconds) * time.Second
		if wait < 0 || wait > maxWait {
			return nil, invalidParameter("Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.", *in.WaitTimeSeconds)
		}
	}
	names := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	var out []map[string]any
	for _, m := range q.receive(ctx, qu, n, visibility, wait) {
		wire := map[string]any{"MessageId": m.id, "ReceiptHandle": qu.handle(m), "Body": m.body, "MD5OfBody": digest(m.body)}
		system := m.system()
		if !slices.Contains(names, "All") {
			maps.DeleteFunc(system, func(k, _ string) bool { return !slices.Contains(names, k) })
		}
		if len(system) > 0 {
			wire["Attributes"] = system
		}
		if wanted := wantedAttributes(m.attributes, in.MessageAttributeNames); len(wanted) > 0 {
			wire["MessageAttributes"], wire["MD5OfMessageAttributes"] = wanted, attributeDigest(wanted)
		}
		out = append(out, wire)
	}
	if out == nil {
		return none{}, nil
	}
	return map[string]any{"Messages": out}, nil
}

func visibilityTimeout(seconds int) (time.Duration, error) {
	d := time.Duration(seconds) * time.Second
	if d < 0 || d > maxVisibility {
		return 0, invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.", seconds)
	}
	return d, nil
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

// wantedAttributes are those named: by name, by prefix ("foo.*") or all.
func wantedAttributes(attributes map[string]messageAttribute, names []string) map[string]messageAttribute {
	wanted := map[string]messageAttribute{}
	for k, a := range attributes {
		if slices.ContainsFunc(names, func(n string) bool {
			prefix, isPrefix := strings.CutSuffix(n, ".*")
			return n == "All" || n == ".*" || n == k || isPrefix && strings.HasPrefix(k, prefix)
		}) {
			wanted[k] = a
		}
	}
	return wanted
}

type receiptInput struct {
	QueueURL      string `json:"QueueUrl"`
	ReceiptHandle string
}

func (q *queues) deleteMessage(c *call, in *receiptInput) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err == nil {
		err = q.delete(qu, in.ReceiptHandle)
	}
	return none{}, err
}

func (q *queues) changeMessageVisibility(c *call, in *struct {
	QueueURL          string `json:"QueueUrl"`
	ReceiptHandle     string
	VisibilityTimeout *int
},
) (any, error) {
	qu, err := q.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if in.VisibilityTimeout == nil {
		return nil, missingParameter("VisibilityTimeout")
	}
	visibility, err := visibilityTimeout(*in.VisibilityTimeout)
	if err != nil {
		return nil, err
	}
	m, newest, err := qu.held(in.ReceiptHandle)
	now := q.opts.Now()
	switch {
	case err != nil:
		return nil, err
	case m == nil || !newest:
		return nil, invalidParameter("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", in.ReceiptHandle)
	case !m.visible.After(now):
		return nil, sqsError("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "The message referred to is not in flight.")
	}
	m.visible = now.Add(visibility)
	qu.wake()
	return none{}, nil
}
