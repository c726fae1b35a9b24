// Package queue sends approvals to the SQS queue that approval-worker reads.
package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/fault"
)

// maxDelay is the longest delay SQS knows.
const maxDelay = 15 * time.Minute

// Queue is one queue. It is safe for concurrent use.
type Queue struct {
	client *sqs.Client
	url    string
}

// New sends to the queue at url.
func New(cfg aws.Config, url string) *Queue {
	return &Queue{client: sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.Retryer = awsconfig.Retryer() }), url: url}
}

// Send makes m visible to the worker after delay, and not before: SQS counts whole seconds.
func (q *Queue) Send(ctx context.Context, m approval.Message, delay time.Duration) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	seconds := (min(max(delay, 0), maxDelay) + time.Second - 1) / time.Second
	_, err = q.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String(string(body)), DelaySeconds: int32(seconds), //nolint:gosec // at most 900
	})
	if err != nil {
		return fault.New(fault.Upstream, "I could not start the change. Nothing has changed. Please try again in a minute.", fmt.Errorf("send message: %w", err))
	}
	return nil
}
