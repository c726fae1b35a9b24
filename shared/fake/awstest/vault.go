package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// vault is the account's secrets (Secrets Manager) and parameters (SSM).
type vault struct {
	opts Options

	mu      sync.Mutex
	started time.Time
	secrets map[string]*storedSecret // by name
}

// storedSecret is a secret and its versions.
type storedSecret struct {
	name, arn string
	changed   time.Time
	versions  map[string]string // text by version id
	current   string            // version id; empty before the first value
}

const maxSecret = 65536

func newVault(opts Options) *vault {
	v := &vault{opts: opts, started: opts.Now(), secrets: map[string]*storedSecret{}}
	for name, text := range opts.Secrets {
		s := &storedSecret{name: name, arn: secretARN(opts, name), changed: v.started, versions: map[string]string{}}
		if text != "" {
			s.current = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:32]
			s.versions[s.current] = text
		}
		v.secrets[name] = s
	}
	return v
}

func secretARN(opts Options, name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", opts.Region, opts.Account, name, base32.StdEncoding.EncodeToString(sum[:])[:6])
}

func notFound(message string) error {
	return &apiError{status: http.StatusBadRequest, code: "ResourceNotFoundException", message: message}
}

// secret finds a secret by name, ARN, or ARN without its last six characters.
func (v *vault) secret(id string) (*storedSecret, error) {
	if id == "" {
		return nil, &apiError{status: http.StatusBadRequest, code: "ValidationException", message: "1 validation error detected: Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1"}
	}
	for _, s := range v.secrets {
		if id == s.name || id == s.arn || id == s.arn[:len(s.arn)-7] {
			return s, nil
		}
	}
	return nil, notFound("Secrets Manager can't find the specified secret.")
}

func (s *Server) vaultOperations(ops map[string]operation) {
	ops["secretsmanager.GetSecretValue"] = onVault(s, (*vault).getSecretValue)
	ops["secretsmanager.PutSecretValue"] = onVault(s, (*vault).putSecretValue)
	ops["secretsmanager.DescribeSecret"] = onVault(s, (*vault).describeSecret)
	ops["ssm.GetParameter"] = onVault(s, (*vault).getParameter)
}

func onVault[In any](s *Server, f func(*vault, *In) (any, error)) operation {
	return op(func(_ context.Context, in *In) (any, error) {
		_, _, v := s.state()
		v.mu.Lock()
		defer v.mu.Unlock()
		return f(v, in)
	})
}

type secretInput struct {
	SecretID string `json:"SecretId"`
}

func (v *vault) getSecretValue(in *secretInput) (any, error) {
	s, err := v.secret(in.SecretID)
	switch {
	case err != nil:
		return nil, err
	case s.current == "":
		return nil, notFound("Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
	}
	return map[string]any{
		"ARN": s.arn, "Name": s.name, "VersionId": s.current, "VersionStages": []string{"AWSCURRENT"}, "CreatedDate": epoch(s.changed),
		"SecretString": s.versions[s.current],
	}, nil
}

func (v *vault) putSecretValue(in *struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	SecretString       string
},
) (any, error) {
	s, err := v.secret(in.SecretID)
	invalid := func(code, message string) error {
		return &apiError{status: http.StatusBadRequest, code: code, message: message}
	}
	id := in.ClientRequestToken
	old, known := s.text(id)
	switch {
	case err != nil:
		return nil, err
	case in.SecretString == "":
		return nil, invalid("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
	case len(in.SecretString) > maxSecret:
		return nil, invalid("InvalidParameterException", "The secret value is longer than 65536 bytes.")
	case len(id) < 32 || len(id) > 64:
		return nil, invalid("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
	case known && old != in.SecretString:
		return nil, invalid("ResourceExistsException", "You can't use ClientRequestToken "+id+" because that value is already in use for a version of secret "+s.arn+".")
	case !known:
		s.versions[id], s.current, s.changed = in.SecretString, id, v.opts.Now()
	}
	return map[string]any{"ARN": s.arn, "Name": s.name, "VersionId": id, "VersionStages": []string{"AWSCURRENT"}}, nil
}

func (s *storedSecret) text(id string) (string, bool) {
	if s == nil {
		return "", false
	}
	text, ok := s.versions[id]
	return text, ok
}

func (v *vault) describeSecret(in *secretInput) (any, error) {
	s, err := v.secret(in.SecretID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"ARN": s.arn, "Name": s.name, "CreatedDate": epoch(v.started), "LastChangedDate": epoch(s.changed)}, nil
}

func (v *vault) getParameter(in *struct {
	Name           string
	WithDecryption bool
},
) (any, error) {
	name := in.Name
	if _, after, isARN := strings.Cut(name, ":parameter"); isARN {
		name = after
		if _, ok := v.opts.Parameters[name]; !ok {
			name = strings.TrimPrefix(name, "/")
		}
	}
	text, ok := v.opts.Parameters[name]
	if !ok {
		return nil, &apiError{status: http.StatusBadRequest, code: "ParameterNotFound"}
	}
	return map[string]any{"Parameter": map[string]any{
		"ARN":  fmt.Sprintf("arn:aws:ssm:%s:%s:parameter/%s", v.opts.Region, v.opts.Account, strings.TrimPrefix(name, "/")),
		"Name": name, "Type": "String", "Value": text, "Version": 1, "DataType": "text", "LastModifiedDate": epoch(v.started),
	}}, nil
}
