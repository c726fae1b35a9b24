package e2e

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/session"
)

const sessionTable = run.SessionTable

// handlerTransport calls a handler without a port, past the fault proxy.
type handlerTransport struct{ http.Handler }

func (d handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// rows reads and changes the tables of a run.
type rows struct {
	*dynamodb.Client
	approvals *dynamo.Approvals
}

func tables(f *run.Fleet) rows {
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(f.AWSURL), Credentials: aws.AnonymousCredentials{}, HTTPClient: &http.Client{Transport: handlerTransport{f.AWS}},
	})
	return rows{client, dynamo.NewApprovals(client, sessionTable)}
}

// of are the approvals of a person, newest first.
func (r rows) of(t *testing.T, subject string) []approval.Approval {
	t.Helper()
	all, err := r.approvals.ByOwner(t.Context(), session.Subject(subject), 200)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func millis(at time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(at.UnixMilli(), 10)}
}

func (r rows) update(t *testing.T, a approval.Approval, set, condition string, values map[string]types.AttributeValue) bool {
	t.Helper()
	_, err := r.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(sessionTable),
		Key: map[string]types.AttributeValue{
			"session_id": &types.AttributeValueMemberS{Value: string(a.SessionID)}, "item": &types.AttributeValueMemberS{Value: "approval#" + a.ID},
		},
		UpdateExpression: aws.String("SET " + set), ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
	})
	if err != nil && !strings.Contains(err.Error(), "ConditionalCheckFailed") {
		t.Fatal(err)
	}
	return err == nil
}

// expireSoon makes an approval as old as one that nobody answered: five minutes pass for it at once, on the phone and in the table.
func expireSoon(t *testing.T, f *run.Fleet, push auth0test.Push) {
	t.Helper()
	r := tables(f)
	for _, a := range r.of(t, push.User) {
		if !strings.HasSuffix(push.BindingMessage, ". Code "+a.Code) || a.Status != approval.Pending {
			continue
		}
		r.update(t, a, "request_expires_at = :expires", "attribute_exists(auth_req_id)", map[string]types.AttributeValue{":expires": millis(time.Now())})
	}
	if err := f.Tenant.Expire(push.ID); err != nil {
		t.Fatal(err)
	}
}
