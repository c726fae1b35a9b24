package dynamo_test

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/dynamo/storetest"
	"github.com/steward-iam/steward/shared/fake/awstest"
)

func at(endpoint string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1",
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 8, 20*time.Millisecond, ratelimit.None
		}),
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("test", "test", "")),
	})
}

// The emulator makes chaos here: it throttles, cuts pages short and lets the index lag.
func TestStoreContract(t *testing.T) {
	srv := awstest.New(awstest.Options{})
	web := httptest.NewServer(srv)
	t.Cleanup(web.Close)
	storetest.Run(t, at(web.URL))
}

// The same against a DynamoDB we did not write, where one is running: see .ci/moto.
func TestStoreContractElsewhere(t *testing.T) {
	endpoint := os.Getenv("AWSTEST_ENDPOINT")
	if endpoint == "" {
		t.Skip("AWSTEST_ENDPOINT names no other DynamoDB; .ci/moto runs this against moto's server")
	}
	storetest.Run(t, at(endpoint))
}

// A row in which somebody changed the type of an attribute is named, and not read as if the attribute were empty.
func TestAnEntryThatCannotBeReadIsNamed(t *testing.T) {
	altered := row(map[string]string{"subject": "sub-1", "id": "entry-1", "kind": "outcome"}, nil)
	altered["reason"] = &types.AttributeValueMemberBOOL{Value: true}
	_, err := dynamo.AuditEntry(altered)
	if err == nil || !strings.Contains(err.Error(), "entry entry-1 of sub-1") {
		t.Errorf("got %v", err)
	}
}
