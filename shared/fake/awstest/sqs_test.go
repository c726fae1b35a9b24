package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

// within gives a bubble its own account, reached in process.
func within(t *testing.T, opts awstest.Options, do func(t *testing.T, s *awstest.Server, c subject, url *string)) {
	synctest.Test(t, func(t *testing.T) {
		opts.Queues = append(opts.Queues, awstest.Queue{Name: "approvals", DeadLetter: "dead", MaxReceiveCount: 3}, awstest.Queue{Name: "dead"})
		s := awstest.New(opts)
		const base = "http://aws.test"
		do(t, s, subject{clients: dial(base, inProcess{s})}, aws.String(s.QueueURL(base, "approvals")))
	})
}

func TestDelaysAreKeptToTheSecond(t *testing.T) {
	within(t, awstest.Options{NoChaos: true}, func(t *testing.T, _ *awstest.Server, c subject, url *string) {
		start := time.Now()
		c.send(t, url, "last", 900)
		c.send(t, url, "first", 5)
		got := map[string]time.Duration{}
		for len(got) < 2 && time.Since(start) < time.Hour {
			for _, m := range c.receive(t, url, 7200, 20) {
				got[*m.Body] = time.Since(start)
			}
		}
		if want := map[string]time.Duration{"first": 5 * time.Second, "last": 900 * time.Second}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestLongPollsWaitAndWake(t *testing.T) {
	within(t, awstest.Options{NoChaos: true}, func(t *testing.T, _ *awstest.Server, c subject, url *string) {
		start := time.Now()
		if got := c.receive(t, url, 30, 20); len(got) != 0 || time.Since(start) != 20*time.Second {
			t.Errorf("empty: got %v after %v, want nothing after 20s", bodies(got), time.Since(start))
		}
		start = time.Now()
		if got := c.receive(t, url, 30, 0); len(got) != 0 || time.Since(start) != 0 {
			t.Errorf("short poll: got %v after %v, want nothing at once", bodies(got), time.Since(start))
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			c.send(t, url, "a", 0)
		}()
		if got := c.receive(t, url, 30, 20); len(got) != 1 || time.Since(start) != 300*time.Millisecond {
			t.Errorf("got %v after %v, want the message when it came", bodies(got), time.Since(start))
		}
		// Invisible for 30 s, then there again, once more counted.
		got := c.receive(t, url, 30, 20)
		got = append(got, c.receive(t, url, 30, 20)...)
		if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != "2" || time.Since(start) != 30*time.Second+300*time.Millisecond {
			t.Errorf("got %+v after %v, want the message again after its visibility timeout", got, time.Since(start))
		}
	})
}

func TestMessagesMayComeTwice(t *testing.T) {
	within(t, awstest.Options{Chaos: 5}, func(t *testing.T, _ *awstest.Server, c subject, url *string) {
		for i := range 40 {
			c.send(t, url, fmt.Sprint(i), 0)
		}
		seen := map[string]int{}
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
			for _, m := range c.receive(t, url, 30, 20) {
				seen[*m.Body]++
				if _, err := c.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(seen) != 40 || !slices.ContainsFunc(slices.Collect(maps.Values(seen)), func(n int) bool { return n > 1 }) {
			t.Errorf("got %v, want all 40 and some of them twice", seen)
		}
	})
}

// worker is a function under a poller, and what it was given.
type worker struct {
	mu     sync.Mutex
	given  map[string]int
	answer func(e events.SQSEvent) (string, string, error)
}

func (w *worker) invoke(_ context.Context, name string, payload []byte) ([]byte, string, error) {
	var e events.SQSEvent
	if err := json.Unmarshal(payload, &e); err != nil || name != "approval-worker" {
		return nil, "", fmt.Errorf("%s given %s: %w", name, payload, err)
	}
	w.mu.Lock()
	for _, r := range e.Records {
		w.given[r.Body]++
	}
	w.mu.Unlock()
	out, functionError, err := w.answer(e)
	return []byte(out), functionError, err
}

func TestPoller(t *testing.T) {
	failing := func(body string) func(events.SQSEvent) (string, string, error) {
		return func(e events.SQSEvent) (string, string, error) {
			answer := events.SQSEventResponse{}
			for _, r := range e.Records {
				if r.Body == body {
					answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
				}
			}
			out, err := json.Marshal(answer)
			return string(out), "", err
		}
	}
	always := func(out, functionError string, err error) func(events.SQSEvent) (string, string, error) {
		return func(events.SQSEvent) (string, string, error) { return out, functionError, err }
	}
	// With three receives a message is dead.
	for name, c := range map[string]struct {
		partial bool
		answer  func(events.SQSEvent) (string, string, error)
		a, b    int // how often messages a and b are given
	}{
		"all well":                      {true, failing(""), 1, 1},
		"one failed":                    {true, failing("b"), 1, 3},
		"partial answers not asked for": {false, failing("b"), 1, 1},
		"empty answer":                  {true, always("", "", nil), 1, 1},
		"null":                          {true, always("null", "", nil), 1, 1},
		"null list":                     {true, always(`{"batchItemFailures":null}`, "", nil), 1, 1},
		"empty object":                  {true, always(`{}`, "", nil), 1, 1},
		"not an object":                 {true, always(`"ok"`, "", nil), 3, 3},
		"another object":                {true, always(`{"failures":[]}`, "", nil), 3, 3},
		"empty identifier":              {true, always(`{"batchItemFailures":[{"itemIdentifier":""}]}`, "", nil), 3, 3},
		"null identifier":               {true, always(`{"batchItemFailures":[{"itemIdentifier":null}]}`, "", nil), 3, 3},
		"bad key":                       {true, always(`{"batchItemFailures":[{"id":"x"}]}`, "", nil), 3, 3},
		"identifier of no message":      {true, always(`{"batchItemFailures":[{"itemIdentifier":"x"}]}`, "", nil), 3, 3},
		"any answer without partial":    {false, always(`"ok"`, "", nil), 1, 1},
		"function error":                {true, always(`{"errorMessage":"no"}`, "Unhandled", nil), 3, 3},
		"function cannot be invoked":    {false, always("", "", errors.New("throttled")), 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := &worker{given: map[string]int{}, answer: c.answer}
			within(t, awstest.Options{NoChaos: true, Invoke: w.invoke}, func(t *testing.T, s *awstest.Server, sub subject, url *string) {
				sub.send(t, url, "a", 0)
				sub.send(t, url, "b", 0)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				err := s.Poll(ctx, awstest.Poller{Queue: "approvals", Function: "approval-worker", ReportBatchItemFailures: c.partial})
				if err != nil {
					t.Fatal(err)
				}
				if want := map[string]int{"a": c.a, "b": c.b}; !maps.Equal(w.given, want) {
					t.Errorf("given %v, want %v", w.given, want)
				}
				dead := sub.receive(t, aws.String(s.QueueURL(sub.base, "dead")), 30, 0)
				if want := max(c.a-2, 0) + max(c.b-2, 0); len(dead) != want {
					t.Errorf("got %v dead, want %d", bodies(dead), want)
				}
				for _, m := range dead {
					if m.Attributes["DeadLetterQueueSourceArn"] != s.QueueARN("approvals") {
						t.Errorf("dead letter of %v", m.Attributes)
					}
				}
			})
		})
	}
}

func TestEventOfThePoller(t *testing.T) {
	var got events.SQSMessage
	w := &worker{given: map[string]int{}, answer: func(e events.SQSEvent) (string, string, error) {
		got = e.Records[0]
		return "", "", nil
	}}
	within(t, awstest.Options{NoChaos: true, Invoke: w.invoke}, func(t *testing.T, s *awstest.Server, sub subject, url *string) {
		sent := time.Now()
		_, err := sub.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: url, MessageBody: aws.String("hello"), DelaySeconds: 5,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Poll(ctx, awstest.Poller{Queue: "approvals", Function: "approval-worker"}); err != nil {
			t.Fatal(err)
		}
		if got.Body != "hello" || got.Md5OfBody != "5d41402abc4b2a76b9719d911017c592" || got.EventSource != "aws:sqs" ||
			got.EventSourceARN != s.QueueARN("approvals") || got.AWSRegion != "us-east-1" || got.MessageId == "" || got.ReceiptHandle == "" {
			t.Errorf("got %+v", got)
		}
		want := map[string]string{
			"ApproximateReceiveCount": "1", "SenderId": got.Attributes["SenderId"],
			"SentTimestamp": fmt.Sprint(sent.UnixMilli()), "ApproximateFirstReceiveTimestamp": fmt.Sprint(sent.Add(5 * time.Second).UnixMilli()),
		}
		if !maps.Equal(got.Attributes, want) {
			t.Errorf("attributes: got %v, want %v", got.Attributes, want)
		}
	})
}

func TestPollNeedsItsQueueAndAFunction(t *testing.T) {
	s := awstest.New(awstest.Options{NoChaos: true})
	if err := s.Poll(t.Context(), awstest.Poller{Queue: "none"}); err == nil {
		t.Error("without Invoke: no error")
	}
	s = awstest.New(awstest.Options{NoChaos: true, Invoke: func(context.Context, string, []byte) ([]byte, string, error) { return nil, "", nil }})
	if err := s.Poll(t.Context(), awstest.Poller{Queue: "none"}); err == nil {
		t.Error("of no queue: no error")
	}
}
