package tenant

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/steward-iam/steward/shared/secret"
)

// Ref says where a secret is:
//
//	env:NAME                    an environment variable
//	secretsmanager:NAME-OR-ARN  AWS Secrets Manager
type Ref string

// Secret is the name or ARN of a secret in AWS Secrets Manager that setup fills.
type Secret string

var (
	envRef     = regexp.MustCompile(`^env:[A-Za-z_][A-Za-z0-9_]*$`)
	managerRef = regexp.MustCompile(`^secretsmanager:[A-Za-z0-9/_+=.@:-]{1,512}$`)
	secretName = regexp.MustCompile(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$`)

	errRef = errors.New("want a reference to a secret, env:NAME or secretsmanager:NAME, and never the secret itself")
)

func parseRef(s string) (Ref, error) {
	if !envRef.MatchString(s) && !managerRef.MatchString(s) {
		return "", errRef
	}
	return Ref(s), nil
}

// UnmarshalYAML refuses everything but a reference, without repeating it.
func (r *Ref) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := parseRef(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, errRef)}}
	}
	*r = parsed
	return nil
}

// UnmarshalYAML refuses everything but a name or an ARN.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || !secretName.MatchString(n.Value) || looksSecret(n.Value) {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want the name or the ARN of a secret in AWS Secrets Manager", n.Line)}}
	}
	*s = Secret(n.Value)
	return nil
}

// Secrets reads what references point to.
type Secrets struct {
	Env     func(string) (string, bool)
	Manager func(ctx context.Context, nameOrARN string) (secret.String, error) // nil where AWS is not at hand
}

// Get is the secret behind a reference.
func (s Secrets) Get(ctx context.Context, r Ref) (secret.String, error) {
	kind, name, _ := strings.Cut(string(r), ":")
	switch kind {
	case "env":
		value, _ := s.Env(name)
		if strings.TrimSpace(value) == "" {
			return secret.String{}, fmt.Errorf("the environment variable %s is empty, and steward.yaml wants a secret there", name)
		}
		return secret.New(strings.TrimSpace(value)), nil
	case "secretsmanager":
		if s.Manager == nil {
			return secret.String{}, fmt.Errorf("the secret %s cannot be read: AWS is not at hand", name)
		}
		return s.Manager(ctx, name)
	}
	return secret.String{}, errRef
}
