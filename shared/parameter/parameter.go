// Package parameter reads one value from AWS Systems Manager Parameter Store.
//
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
package parameter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/steward-iam/steward/shared/awsconfig"
)

const timeout = 4 * time.Second // all attempts together

// Store reads parameters. It is safe for concurrent use.
type Store struct{ client *awsconfig.Client }

// New makes a Store and calls nobody.
func New(cfg aws.Config) *Store {
	return &Store{client: awsconfig.New(cfg, awsconfig.Service{ID: "SSM", Name: "ssm"}, nil)}
}

// Get returns the value of the parameter.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out struct {
		Parameter struct{ Value string }
	}
	err := s.client.JSON(ctx, "AmazonSSM.GetParameter", map[string]string{"Name": name}, &out)
	if err == nil && out.Parameter.Value == "" {
		err = errors.New("the answer has no value")
	}
	if err != nil {
		return "", fmt.Errorf("read parameter %s: %w", name, err)
	}
	return out.Parameter.Value, nil
}
