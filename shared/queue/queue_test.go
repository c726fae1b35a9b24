package queue_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/queue"
)

func TestSend(t *testing.T) {
	var offset atomic.Int64
	srv := awstest.New(awstest.Options{NoChaos: true, Queues: []awstest.Queue{{Name: "approvals"}}, Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	var down atomic.Bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "{}", http.StatusServiceUnavailable)
			return
		}
		srv.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	cfg := aws.Config{
		BaseEndpoint: &web.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1,
	}
	url := srv.QueueURL(web.URL, "approvals")
	q := queue.New(cfg, url)
	client := sqs.NewFromConfig(cfg)
	for name, tc := range map[string]struct{ delay, visible time.Duration }{
		"at once":         {0, 0},
		"never before":    {-time.Hour, 0},
		"later":           {7 * time.Second, 7 * time.Second},
		"in part seconds": {5100 * time.Millisecond, 6 * time.Second},
		"too long":        {time.Hour, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			want := approval.Message{SessionID: "s", ApprovalID: name, Lost: 1}
			if err := q.Send(t.Context(), want, tc.delay); err != nil {
				t.Fatal(err)
			}
			receive := func() []byte {
				out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
				if err != nil {
					t.Fatal(err)
				}
				if len(out.Messages) == 0 {
					return nil
				}
				_, _ = client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: out.Messages[0].ReceiptHandle})
				return []byte(*out.Messages[0].Body)
			}
			if tc.visible > 0 {
				offset.Add(int64(tc.visible - time.Second))
				if got := receive(); got != nil {
					t.Errorf("too early: %s", got)
				}
			}
			offset.Add(int64(2 * time.Second))
			var got approval.Message
			if err := json.Unmarshal(receive(), &got); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
	down.Store(true)
	if err := q.Send(t.Context(), approval.Message{}, 0); fault.KindOf(err) != fault.Upstream {
		t.Errorf("down: %v", err)
	}
}
