package awstest_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

// An account with one secret, and the SDK's own client calling it. Programs that
// load the SDK's default configuration need no more than AWS_ENDPOINT_URL.
func ExampleNew() {
	account := awstest.New(awstest.Options{Secrets: map[string]string{"auth0-client": "s3cret"}, NoChaos: true})
	server := httptest.NewServer(account)
	defer server.Close()

	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})
	out, err := client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(account.SecretARN("auth0-client")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*out.SecretString)
	for _, r := range account.Requests() {
		fmt.Println(r.Name(), r.Status)
	}
	// Output:
	// s3cret
	// secretsmanager GetSecretValue 200
}
