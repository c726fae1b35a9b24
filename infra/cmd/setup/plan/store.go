package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/secret"
)

// SecretsManager is AWS Secrets Manager as a [SecretStore].
type SecretsManager struct{ Client *secretsmanager.Client }

// Value is the current value.
func (s SecretsManager) Value(ctx context.Context, id string) (secret.String, error) {
	out, err := s.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err == nil {
		return secret.New(strings.TrimSpace(aws.ToString(out.SecretString))), nil
	}
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		return secret.String{}, s.trouble("secretsmanager:GetSecretValue", id, err)
	}
	// The answer both to a secret without a value and to no secret at all.
	_, err = s.Client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return secret.String{}, ErrNoSecret
	}
	return secret.String{}, s.trouble("secretsmanager:DescribeSecret", id, err)
}

// Put stores a value.
func (s SecretsManager) Put(ctx context.Context, id string, value secret.String) error {
	_, err := s.Client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String(value.Reveal())})
	return s.trouble("secretsmanager:PutSecretValue", id, err)
}

func (s SecretsManager) trouble(action, id string, err error) error {
	if err == nil {
		return nil
	}
	text := fmt.Sprintf("AWS Secrets Manager cannot be asked for %s", id)
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		text += fmt.Sprintf(" (%s); the credentials need %s there", api.ErrorCode(), action)
	} else {
		text += "; are there AWS credentials (AWS_PROFILE) and a region (AWS_REGION)?"
	}
	return &reach.Problem{Say: text, Err: err}
}
