// Package parameter reads one value from AWS Systems Manager Parameter Store: the address of the app, which is known only
// after the deployment has made it.
//
// It signs and sends GetParameter by itself. The SDK's client for the service builds a description of its hundreds of
// operations before main, 4 ms of every cold start, for the one call that is made once.
//
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
package parameter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	timeout  = 4 * time.Second // all attempts together
	attempts = 3
	maxBody  = 64 << 10
)

// Store reads parameters. It is safe for concurrent use.
type Store struct{ cfg aws.Config }

// New makes a Store and calls nobody.
func New(cfg aws.Config) *Store { return &Store{cfg: cfg} }

// refused is an answer that is not the value.
type refused struct {
	status int
	code   string
}

func (e *refused) Error() string { return fmt.Sprintf("answered %d %s", e.status, e.code) }

// again says whether the same call may be answered better in a moment.
func (e *refused) again() bool {
	return e.status >= 500 || strings.HasPrefix(e.code, "Throttl") || e.code == "TooManyUpdates"
}

// Get returns the value of the parameter.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		value, err := s.get(ctx, name)
		if err == nil {
			return value, nil
		}
		answer, answered := errors.AsType[*refused](err)
		if attempt == attempts || ctx.Err() != nil || answered && !answer.again() {
			return "", fmt.Errorf("read parameter %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
}

func (s *Store) get(ctx context.Context, name string) (string, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"Name": name})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonSSM.GetParameter")
	if s.cfg.Credentials == nil {
		return "", errors.New("no AWS credentials")
	}
	credentials, err := s.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("AWS credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "ssm", s.cfg.Region, time.Now()); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	var client aws.HTTPClient = http.DefaultClient
	if s.cfg.HTTPClient != nil {
		client = s.cfg.HTTPClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", err
	}
	var wire struct {
		Type      string `json:"__type"`
		Parameter struct{ Value string }
	}
	unreadable := json.Unmarshal(answer, &wire)
	if resp.StatusCode != http.StatusOK {
		return "", &refused{status: resp.StatusCode, code: wire.Type[strings.LastIndexByte(wire.Type, '#')+1:]}
	}
	if unreadable != nil || wire.Parameter.Value == "" {
		return "", errors.New("the answer has no value")
	}
	return wire.Parameter.Value, nil
}

// endpoint is where the SDK would send the call: a configured address, of the service first, or the region's.
func (s *Store) endpoint(ctx context.Context) (string, error) {
	for _, source := range s.cfg.ConfigSources {
		if p, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		}); ok {
			if to, found, err := p.GetServiceBaseEndpoint(ctx, "SSM"); err != nil || found {
				return to, err
			}
		}
	}
	if s.cfg.BaseEndpoint != nil {
		return *s.cfg.BaseEndpoint, nil
	}
	if s.cfg.Region == "" {
		return "", errors.New("no AWS region")
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(s.cfg.Region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return "https://ssm." + s.cfg.Region + "." + domain, nil
}
