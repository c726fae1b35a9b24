package pipelinetest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/queue"
	"github.com/steward-iam/steward/shared/session"
)

// Asked leaves behind what the ciba function does: an approval that is pending, a push on the phone, a message in line.
// change says what is asked for.
func (w *World) Asked(id session.ID, name string, change approval.Approval) approval.Approval {
	w.T.Helper()
	ctx, now := w.T.Context(), w.Now()
	a := change
	a.ID, a.SessionID, a.Owner = approval.NewID(now), id, Subject(name)
	a.ExpiresAt, a.Code, a.Status, a.CreatedAt, a.ChangedAt = now.Add(ciba.Expiry).UTC().Truncate(time.Second), approval.NewCode(), approval.Pending, now, now
	a.Summary = approval.Sentence(a.Operation, a.Target, a.Member, a.Args)
	a.Front = session.FrontChat
	key, err := w.Phone().ApprovalKey(w.clients)(ctx)
	must(w.T, err)
	must(w.T, a.Ask(key))
	a, fresh, err := w.clients.Approvals.Create(ctx, a, now)
	must(w.T, err)
	if !fresh {
		w.T.Fatalf("%s is in flight already", a.Operation)
	}
	must(w.T, queue.New(w.clients.AWS, w.Env["APPROVAL_QUEUE_URL"]).Send(ctx, approval.Message{SessionID: id, ApprovalID: a.ID}, 6*time.Second))
	started, err := (&ciba.Client{Auth0: w.clients.Auth0}).Start(ctx, pipeline.Question(a, now))
	must(w.T, err)
	sealer, err := w.clients.Sealer(ctx)
	must(w.T, err)
	sealed, err := sealer.Seal(started.AuthReqID, a.SealPurpose()...)
	must(w.T, err)
	saved, err := a.SaveRequest(sealed, started.Interval, now.Add(started.Expiry))
	must(w.T, err)
	a, err = w.clients.Approvals.Transition(ctx, saved)
	must(w.T, err)
	return a
}

// Approval reads an approval as it is now.
func (w *World) Approval(a approval.Approval) approval.Approval {
	w.T.Helper()
	a, err := w.clients.Approvals.Approval(w.T.Context(), a.SessionID, a.ID)
	must(w.T, err)
	return a
}

// Consume is how the worker is called.
type Consume = func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)

// Deliver hands the messages that are due to a worker, and deletes those that it dealt with, if it lives. It says how
// many there were.
func (w *World) Deliver(ctx context.Context, consume Consume) int {
	w.T.Helper()
	client, url := w.Queue()
	out, err := client.ReceiveMessage(w.T.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10}) //nolint:contextcheck // the queue outlives the worker
	must(w.T, err)
	if len(out.Messages) == 0 {
		return 0
	}
	var event events.SQSEvent
	for _, m := range out.Messages {
		event.Records = append(event.Records, events.SQSMessage{MessageId: aws.ToString(m.MessageId), Body: aws.ToString(m.Body)})
	}
	response, err := consume(ctx, event)
	if err != nil {
		w.T.Errorf("the worker returned an error, which brings back the whole batch: %v", err)
	}
	failed := map[string]bool{}
	for _, f := range response.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	for _, m := range out.Messages {
		if ctx.Err() == nil && !failed[aws.ToString(m.MessageId)] {
			_, err := client.DeleteMessage(w.T.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}) //nolint:contextcheck // as above
			must(w.T, err)
		}
	}
	return len(out.Messages)
}

// Settle lets time pass and delivers until a has come to its end; meanwhile is called between two deliveries.
func (w *World) Settle(consume Consume, a approval.Approval, meanwhile func()) approval.Approval {
	w.T.Helper()
	for range 300 { // of five seconds each
		if a = w.Approval(a); a.Status.Final() {
			return a
		}
		if meanwhile != nil {
			meanwhile()
		}
		if w.Deliver(w.T.Context(), consume) == 0 {
			w.Forward(5 * time.Second)
		}
	}
	w.T.Fatalf("approval of %s stays %s", a.Operation, a.Status)
	return a
}

// Drain lets eight minutes pass, longer than any message stays away, and delivers whatever still comes.
func (w *World) Drain(consume Consume) {
	w.T.Helper()
	for range 8 {
		w.Forward(time.Minute)
		for w.Deliver(w.T.Context(), consume) > 0 {
		}
	}
}

// Alter overwrites one text of an approval's row behind everybody's back.
func (w *World) Alter(a approval.Approval, attribute, value string) {
	w.T.Helper()
	w.alter(a.SessionID, "approval#"+a.ID, attribute, value)
}

// Remove removes attributes from an approval's row, which the version before did not write.
func (w *World) Remove(a approval.Approval, attributes ...string) {
	w.T.Helper()
	_, err := dynamodb.NewFromConfig(w.clients.AWS).UpdateItem(w.T.Context(), &dynamodb.UpdateItemInput{
		TableName:        aws.String(w.Env["SESSION_TABLE_NAME"]),
		Key:              map[string]types.AttributeValue{"session_id": &types.AttributeValueMemberS{Value: string(a.SessionID)}, "item": &types.AttributeValueMemberS{Value: "approval#" + a.ID}},
		UpdateExpression: aws.String("REMOVE " + strings.Join(attributes, ", ")),
	})
	must(w.T, err)
}

// AlterSession overwrites one text of a session's row behind everybody's back.
func (w *World) AlterSession(id session.ID, attribute, value string) {
	w.T.Helper()
	w.alter(id, "session", attribute, value)
}

func (w *World) alter(id session.ID, item, attribute, value string) {
	w.T.Helper()
	_, err := dynamodb.NewFromConfig(w.clients.AWS).UpdateItem(w.T.Context(), &dynamodb.UpdateItemInput{
		TableName:                aws.String(w.Env["SESSION_TABLE_NAME"]),
		Key:                      map[string]types.AttributeValue{"session_id": &types.AttributeValueMemberS{Value: string(id)}, "item": &types.AttributeValueMemberS{Value: item}},
		UpdateExpression:         aws.String("SET #a = :v"),
		ExpressionAttributeNames: map[string]string{"#a": attribute}, ExpressionAttributeValues: map[string]types.AttributeValue{":v": &types.AttributeValueMemberS{Value: value}},
	})
	must(w.T, err)
}

// IDToken is a genuine id_token of a person, issued now to this application or to "other-app".
func (w *World) IDToken(name, client string) string {
	w.T.Helper()
	form := url.Values{
		"grant_type": {"refresh_token"}, "client_id": {client}, "client_secret": {clientSecret}, "refresh_token": {w.Auth0.SignIn(client, email(name))},
	}
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodPost, w.Env["AUTH0_ISSUER_URL"]+"oauth/token", strings.NewReader(form.Encode()))
	must(w.T, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	must(w.T, err)
	defer resp.Body.Close()
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	must(w.T, json.NewDecoder(resp.Body).Decode(&tokens))
	if tokens.IDToken == "" {
		w.T.Fatalf("no id_token, status %d", resp.StatusCode)
	}
	return tokens.IDToken
}
