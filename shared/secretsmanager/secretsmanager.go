// Package secretsmanager reads secret values from AWS Secrets Manager and remembers them.
//
//	secrets := secretsmanager.New(awsConfig)
//	value, err := secrets.Get(ctx, cfg.ClientSecretARN)   // asks AWS the first time, remembers afterwards
//	value, err = secrets.Fresh(ctx, cfg.ClientSecretARN) // asks AWS whatever is remembered
//
// A secret that exists but was never filled is the one thing a person can put right, so the error names it.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// fetchTimeout bounds one fetch, repetitions included.
const fetchTimeout = 4 * time.Second

// Source reads and remembers secret values. It is safe for concurrent use; however many ask for the same secret at
// once, AWS is asked once. Failures are not remembered.
type Source struct {
	client *secretsmanager.Client

	mu     sync.Mutex
	values map[string]*cached.Value[secret.String] // by ARN
}

// New makes a Source and asks for nothing.
func New(cfg aws.Config) *Source {
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Retryer = awsconfig.Retryer() })
	return &Source{client: client, values: map[string]*cached.Value[secret.String]{}}
}

// Get returns the value of the secret with the given ARN as it was when first read, without the blanks that pasting
// leaves around it. The error is a fault of kind Internal if the secret has no value, of kind Upstream if it could not
// be read.
func (s *Source) Get(ctx context.Context, arn string) (secret.String, error) {
	value, err := s.value(arn).Get(ctx)
	return value, explain(arn, err)
}

// Fresh returns the value that AWS has now, with the errors of [Source.Get], which returns this value from then on. It
// is for a value that turned out to be refused: it may have been rotated. If AWS cannot be asked, what was read before
// stays.
func (s *Source) Fresh(ctx context.Context, arn string) (secret.String, error) {
	value, err := s.value(arn).Fresh(ctx)
	return value, explain(arn, err)
}

func (s *Source) value(arn string) *cached.Value[secret.String] {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[arn]
	if !ok {
		v = &cached.Value[secret.String]{Timeout: fetchTimeout, Fetch: func(ctx context.Context) (secret.String, error) { return s.fetch(ctx, arn) }}
		s.values[arn] = v
	}
	return v
}

func (s *Source) fetch(ctx context.Context, arn string) (secret.String, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		// The answer both to a secret without a version and to an ARN that names none.
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
			return secret.String{}, empty(arn, err)
		}
		return secret.String{}, err
	}
	value := secret.New(strings.TrimSpace(aws.ToString(out.SecretString)))
	if value.IsZero() {
		return secret.String{}, empty(arn, errors.New("it is empty"))
	}
	return value, nil
}

// explain makes a fault of what kept a value from being read, a caller who gave up included.
func explain(arn string, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok || err == nil {
		return err
	}
	return fault.New(fault.Upstream, "I could not read a setting of Steward. Please try again in a moment.", fmt.Errorf("read secret %s: %w", arn, err))
}

func empty(arn string, cause error) error {
	return fault.New(fault.Internal,
		fmt.Sprintf("Steward is not fully set up: the secret %s has no value yet. Whoever runs it puts the value into AWS Secrets Manager.", Name(arn)),
		fmt.Errorf("secret %s has no value yet: %w", arn, cause))
}

// suffix is what Secrets Manager adds to a name to make an ARN: a hyphen and six letters or digits.
const suffix = len("-AbCdEf")

// Name is the name of the secret in an ARN, as a person finds it in the console; anything else is returned as it is.
func Name(arn string) string {
	_, name, ok := strings.Cut(arn, ":secret:")
	if !ok {
		return arn
	}
	if cut := len(name) - suffix; cut >= 0 && name[cut] == '-' && strings.IndexFunc(name[cut+1:], other) < 0 {
		return name[:cut]
	}
	return name
}

func other(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
}
