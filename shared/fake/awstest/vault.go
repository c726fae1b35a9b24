package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	name, arn        string
	created, changed time.Time
	versions         map[string]secretVersion // by id
	stages           map[string]string        // staging label to version id
}

type secretVersion struct {
	text    *string
	binary  []byte
	created time.Time
}

const (
	current   = "AWSCURRENT"
	previous  = "AWSPREVIOUS"
	maxSecret = 65536
)

func newVault(opts Options) *vault {
	v := &vault{opts: opts, started: opts.Now(), secrets: map[string]*storedSecret{}}
	for name, text := range opts.Secrets {
		s := &storedSecret{
			name: name, arn: secretARN(opts, name), created: v.started, changed: v.started,
			versions: map[string]secretVersion{}, stages: map[string]string{},
		}
		if text != "" {
			s.put(fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:32], secretVersion{text: &text, created: v.started}, []string{current})
		}
		v.secrets[name] = s
	}
	return v
}

func secretARN(opts Options, name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", opts.Region, opts.Account, name, base32.StdEncoding.EncodeToString(sum[:])[:6])
}

// put adds a version under staging labels, taking them from other versions.
func (s *storedSecret) put(id string, v secretVersion, stages []string) {
	s.versions[id] = v
	for _, stage := range stages {
		if old, ok := s.stages[stage]; ok && stage == current && old != id {
			s.stages[previous] = old
		}
		s.stages[stage] = id
	}
}

// labels are the staging labels of a version.
func (s *storedSecret) labels(id string) []string {
	var ls []string
	for _, stage := range slices.Sorted(maps.Keys(s.stages)) {
		if s.stages[stage] == id {
			ls = append(ls, stage)
		}
	}
	return ls
}

func notFound(message string) error {
	return &apiError{status: http.StatusBadRequest, code: "ResourceNotFoundException", message: message}
}

// secret finds a secret by name, ARN, or ARN without its last six characters.
func (v *vault) secret(c *call, id string) (*storedSecret, error) {
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

func onVault[In any](s *Server, f func(*vault, *call, *In) (any, error)) operation {
	return op(func(_ context.Context, c *call, in *In) (any, error) {
		_, _, v := s.state()
		v.mu.Lock()
		defer v.mu.Unlock()
		return f(v, c, in)
	})
}

func (v *vault) getSecretValue(c *call, in *struct {
	SecretID     string `json:"SecretId"`
	VersionID    string `json:"VersionId"`
	VersionStage string
},
) (any, error) {
	s, err := v.secret(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	id := in.VersionID
	if id == "" {
		if in.VersionStage == "" {
			in.VersionStage = current
		}
		id = s.stages[in.VersionStage]
	}
	version, ok := s.versions[id]
	switch {
	case !ok && in.VersionID != "":
		return nil, notFound("Secrets Manager can't find the specified secret value for VersionId: " + in.VersionID)
	case !ok:
		return nil, notFound("Secrets Manager can't find the specified secret value for staging label: " + in.VersionStage)
	case in.VersionID != "" && in.VersionStage != "" && s.stages[in.VersionStage] != id:
		return nil, &apiError{status: http.StatusBadRequest, code: "InvalidRequestException", message: "You provided a VersionStage that is not associated to the provided VersionId."}
	}
	out := map[string]any{
		"ARN": s.arn, "Name": s.name, "VersionId": id, "VersionStages": s.labels(id), "CreatedDate": epoch(version.created),
	}
	if version.text != nil {
		out["SecretString"] = *version.text
	} else {
		out["SecretBinary"] = version.binary
	}
	return out, nil
}

func (v *vault) putSecretValue(c *call, in *struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	SecretString       *string
	SecretBinary       []byte
	VersionStages      []string
},
) (any, error) {
	s, err := v.secret(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	invalid := func(message string) error {
		return &apiError{status: http.StatusBadRequest, code: "InvalidParameterException", message: message}
	}
	id := in.ClientRequestToken
	switch {
	case (in.SecretString == nil) == (in.SecretBinary == nil):
		return nil, invalid("You must provide either SecretString or SecretBinary.")
	case in.SecretString != nil && len(*in.SecretString) > maxSecret, len(in.SecretBinary) > maxSecret:
		return nil, invalid("The secret value is longer than 65536 bytes.")
	case len(id) < 32 || len(id) > 64:
		return nil, invalid("ClientRequestToken must be 32-64 characters long.")
	}
	if len(in.VersionStages) == 0 {
		in.VersionStages = []string{current}
	}
	now := v.opts.Now()
	version := secretVersion{in.SecretString, in.SecretBinary, now}
	if old, ok := s.versions[id]; ok {
		same := string(old.binary) == string(version.binary) &&
			(old.text == nil) == (version.text == nil) && (old.text == nil || *old.text == *version.text)
		if !same {
			return nil, &apiError{status: http.StatusBadRequest, code: "ResourceExistsException", message: "You can't use ClientRequestToken " + id + " because that value is already in use for a version of secret " + s.arn + "."}
		}
	} else {
		s.put(id, version, in.VersionStages)
		s.changed = now
	}
	return map[string]any{"ARN": s.arn, "Name": s.name, "VersionId": id, "VersionStages": s.labels(id)}, nil
}

func (v *vault) describeSecret(c *call, in *struct {
	SecretID string `json:"SecretId"`
},
) (any, error) {
	s, err := v.secret(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"ARN": s.arn, "Name": s.name, "CreatedDate": epoch(s.created), "LastChangedDate": epoch(s.changed),
	}
	stages := map[string][]string{}
	for id := range s.versions {
		if labels := s.labels(id); labels != nil { // versions without a label are deprecated and left out
			stages[id] = labels
		}
	}
	if len(stages) > 0 {
		out["VersionIdsToStages"] = stages
	}
	return out, nil
}

func (v *vault) getParameter(c *call, in *struct {
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
