package awstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Poller stands for Lambda's event source mapping of a queue to a function: it
// receives messages in batches, invokes the function with them, deletes those
// the function dealt with and leaves the others to come back when their
// visibility timeout is over.
type Poller struct {
	Queue    string
	Function string
	// BatchSize is how many messages an invocation gets at most; 10 if zero.
	BatchSize int
	// MaximumConcurrency is how many invocations run at the same time; 5 if zero.
	MaximumConcurrency int
	// ReportBatchItemFailures has the function's answer name the messages that
	// failed: {"batchItemFailures":[{"itemIdentifier":"…"}]}. Without it, an
	// invocation fails or succeeds as a whole.
	ReportBatchItemFailures bool
}

// Poll polls until ctx is done, and returns when the last invocation has ended.
// It uses the server's Invoke hook. Each batch that failed as a whole is logged.
func (s *Server) Poll(ctx context.Context, p Poller) error {
	if s.opts.Invoke == nil {
		return errors.New("polling needs Options.Invoke")
	}
	if p.BatchSize == 0 {
		p.BatchSize = maxReceive
	}
	if p.MaximumConcurrency == 0 {
		p.MaximumConcurrency = 5
	}
	_, q, _ := s.state()
	if _, _, err := q.queueNamed(p.Queue); err != nil {
		return fmt.Errorf("poll queue %q: %w", p.Queue, err)
	}
	var workers sync.WaitGroup
	for range p.MaximumConcurrency {
		workers.Go(func() {
			for ctx.Err() == nil {
				s.pollOnce(ctx, p)
			}
		})
	}
	workers.Wait()
	return nil
}

// queueNamed finds a queue and its settings of now.
func (q *queues) queueNamed(name string) (*queue, Queue, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	qu, err := q.find(name)
	if err != nil {
		return nil, Queue{}, err
	}
	return qu, qu.Queue, nil
}

// pollOnce receives one batch, if one comes, and has it dealt with.
func (s *Server) pollOnce(ctx context.Context, p Poller) {
	_, q, _ := s.state() // anew each time: a Reset brings new queues
	qu, set, err := q.queueNamed(p.Queue)
	if err != nil {
		_ = faults.Wait(ctx, time.Second)
		return
	}
	batch := q.receive(ctx, qu, p.BatchSize, set.VisibilityTimeout, maxWait)
	if len(batch) == 0 {
		return
	}
	failed, err := s.process(ctx, p, q, qu, batch)
	if err != nil {
		s.opts.Log.InfoContext(ctx, "batch failed", "queue", p.Queue, "function", p.Function, "messages", len(batch), "err", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range batch {
		if err == nil && !failed[m.id] {
			_ = q.delete(qu, qu.handle(m)) // our own handle
		}
	}
}

// process invokes the function and says which messages failed, or that all did.
func (s *Server) process(ctx context.Context, p Poller, q *queues, qu *queue, batch []*message) (failed map[string]bool, err error) {
	event := sqsEvent{}
	for _, m := range batch {
		event.Records = append(event.Records, q.sqsRecord(qu, m))
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	out, functionError, err := s.opts.Invoke(ctx, p.Function, payload)
	switch {
	case err != nil:
		return nil, err
	case functionError != "":
		return nil, fmt.Errorf("function error %s", functionError)
	case !p.ReportBatchItemFailures:
		return nil, nil
	}
	return itemFailures(out, batch)
}

// itemFailures reads a partial batch answer. Nothing, null and an empty or null
// list are complete success; anything malformed, an empty or unknown message id
// included, is complete failure ("Implementing partial batch responses" in the
// Lambda Developer Guide).
func itemFailures(out []byte, batch []*message) (map[string]bool, error) {
	if len(out) == 0 {
		return nil, nil
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("answer is not a batch response: %w", err)
	}
	var list []map[string]*string
	if raw, ok := answer["batchItemFailures"]; ok {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("batchItemFailures is not a list of failures: %w", err)
		}
	} else if len(answer) > 0 {
		return nil, errors.New("answer has no batchItemFailures")
	}
	known, failed := map[string]bool{}, map[string]bool{}
	for _, m := range batch {
		known[m.id] = true
	}
	for _, f := range list {
		id := f["itemIdentifier"]
		if id == nil || !known[*id] {
			return nil, errors.New("itemIdentifier is missing, empty or of no message in the batch")
		}
		failed[*id] = true
	}
	return failed, nil
}

// The event a function gets ("Example Amazon SQS message event" in the Lambda
// Developer Guide).
type (
	sqsEvent struct {
		Records []sqsRecord `json:"Records"`
	}
	sqsRecord struct {
		MessageID         string            `json:"messageId"`
		ReceiptHandle     string            `json:"receiptHandle"`
		Body              string            `json:"body"`
		Attributes        map[string]string `json:"attributes"`
		MessageAttributes struct{}          `json:"messageAttributes"`
		MD5OfBody         string            `json:"md5OfBody"`
		EventSource       string            `json:"eventSource"`
		EventSourceARN    string            `json:"eventSourceARN"`
		AWSRegion         string            `json:"awsRegion"`
	}
)

func (q *queues) sqsRecord(qu *queue, m *message) sqsRecord {
	return sqsRecord{
		MessageID: m.id, ReceiptHandle: qu.handle(m), Body: m.body, MD5OfBody: digest(m.body), Attributes: m.system(),
		EventSource: "aws:sqs", EventSourceARN: q.arn(qu.Name), AWSRegion: q.opts.Region,
	}
}
