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
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// fetchTimeout bounds one fetch, repetitions included.
const fetchTimeout = 4 * time.Second

// Source reads and remembers secret values. It is safe for concurrent use; however many ask for the same secret at
// once, AWS is asked once. Failures are not remembered.
type Source struct {
	client *awsconfig.Client

	mu      sync.Mutex
	known   map[string]secret.String
	reading map[string]*reading // under way, by ARN
}

// reading is one fetch that any number of callers may wait for.
type reading struct {
	done  chan struct{} // closed when value and err are final
	value secret.String
	err   error
}

// New makes a Source and asks for nothing.
func New(cfg aws.Config) *Source {
	service := awsconfig.Service{ID: "Secrets Manager", Name: "secretsmanager"}
	return &Source{client: awsconfig.New(cfg, service, nil), known: map[string]secret.String{}, reading: map[string]*reading{}}
}

// Get returns the value of the secret with the given ARN as it was when first read, without the blanks that pasting
// leaves around it. The error is a fault of kind Internal if the secret has no value, of kind Upstream if it could not
// be read.
func (s *Source) Get(ctx context.Context, arn string) (secret.String, error) {
	s.mu.Lock()
	value, ok := s.known[arn]
	s.mu.Unlock()
	if ok {
		return value, nil
	}
	return s.Fresh(ctx, arn)
}

// Fresh returns the value that AWS has now, with the errors of [Source.Get], which returns this value from then on. It
// is for a value that turned out to be refused: it may have been rotated. If AWS cannot be asked, what was read before
// stays.
func (s *Source) Fresh(ctx context.Context, arn string) (secret.String, error) {
	s.mu.Lock()
	r, ok := s.reading[arn]
	if !ok {
		r = &reading{done: make(chan struct{})}
		s.reading[arn] = r
		go s.read(context.WithoutCancel(ctx), arn, r) // others may be waiting when this caller gives up
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		return secret.String{}, unreadable(arn, ctx.Err())
	}
}

// Forget makes the next Get ask AWS again, for a value that turned out to be refused: it may have been rotated.
func (s *Source) Forget(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, arn)
}

func (s *Source) read(ctx context.Context, arn string, r *reading) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r.value, r.err = s.fetch(ctx, arn)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reading, arn)
	if r.err == nil {
		s.known[arn] = r.value
	}
	close(r.done)
}

func (s *Source) fetch(ctx context.Context, arn string) (secret.String, error) {
	var out struct{ SecretString string }
	if err := s.client.JSON(ctx, "secretsmanager.GetSecretValue", map[string]string{"SecretId": arn}, &out); err != nil {
		// The answer both to a secret without a version and to an ARN that names none.
		if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "ResourceNotFoundException" {
			return secret.String{}, empty(arn, err)
		}
		return secret.String{}, unreadable(arn, err)
	}
	value := secret.New(strings.TrimSpace(out.SecretString))
	if value.IsZero() {
		return secret.String{}, empty(arn, nil)
	}
	return value, nil
}

func empty(arn string, cause error) error {
	return fault.New(fault.Internal,
		fmt.Sprintf("Steward is not fully set up: the secret %s has no value yet. Whoever runs it puts the value into AWS Secrets Manager.", Name(arn)),
		fmt.Errorf("secret %s has no value yet: %w", arn, errOr(cause, errors.New("it is empty"))))
}

func unreadable(arn string, cause error) error {
	return fault.New(fault.Upstream, "A setting of Steward could not be read just now. Please try again in a moment.", fmt.Errorf("read secret %s: %w", arn, cause))
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
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
