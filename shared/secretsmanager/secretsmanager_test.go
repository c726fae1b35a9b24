package secretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/secretsmanager"
)

const (
	arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:steward/fga-client-AbCdEf"
	canary = "canary-value"
)

// client calls a handler without a network, so that the pauses between attempts are those of a faked clock.
type client struct{ http.Handler }

func (c client) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result(), nil
}

// source reads from a Secrets Manager that answers with answer.
func source(t *testing.T, answer http.HandlerFunc) *secretsmanager.Source {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Amz-Target"); got != "secretsmanager.GetSecretValue" {
			t.Errorf("target %q", got)
		}
		var in struct{ SecretId string } //nolint:revive // AWS's spelling
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasPrefix(in.SecretId, "arn:") {
			t.Errorf("asked for %q, %v", in.SecretId, err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer(w, r)
	})
	return secretsmanager.New(aws.Config{
		Region: "eu-central-1", HTTPClient: client{handler}, Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
	})
}

func value(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"ARN": arn, "Name": "steward/fga-client", "SecretString": s})
	}
}

// TestGetOnce: that one fetch is made for many who ask together is shown in package cached.
func TestGetOnce(t *testing.T) {
	calls := map[string]int{}
	s := source(t, func(w http.ResponseWriter, r *http.Request) {
		calls[r.Header.Get("X-Amz-Target")]++
		value(canary+"\n")(w, r)
	})
	for _, id := range []string{arn, arn, strings.Replace(arn, "fga", "auth0", 1), arn} {
		if got, err := s.Get(t.Context(), id); err != nil || got.Reveal() != canary {
			t.Errorf("Get() = %q, %v", got.Reveal(), err)
		}
	}
	if n := calls["secretsmanager.GetSecretValue"]; n != 2 {
		t.Errorf("%d calls for two secrets, want one each", n)
	}
}

// TestFresh holds that a rotated value is learnt when asked for, by later readers too, and that a failure keeps the old one.
func TestFresh(t *testing.T) { synctest.Test(t, testFresh) }

func testFresh(t *testing.T) {
	now, down := canary, false
	s := source(t, func(w http.ResponseWriter, r *http.Request) {
		if down {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		value(now)(w, r)
	})
	wants := func(get func(context.Context, string) (secret.String, error), want string) {
		t.Helper()
		if got, err := get(t.Context(), arn); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
		}
	}
	wants(s.Get, canary)
	now = "another-value"
	wants(s.Get, canary)
	wants(s.Fresh, "another-value")
	wants(s.Get, "another-value")
	down = true
	if _, err := s.Fresh(t.Context(), arn); fault.KindOf(err) != fault.Upstream {
		t.Errorf("while AWS is down: %v", err)
	}
	wants(s.Get, "another-value")
}

func TestGetFails(t *testing.T) {
	problem := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", code)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"__type":"`+code+`","Message":"m"}`)
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
		say    string
	}{
		"never filled":    {problem(400, "ResourceNotFoundException"), fault.Internal, "the secret steward/fga-client has no value yet"},
		"filled with air": {value(" \n"), fault.Internal, "the secret steward/fga-client has no value yet"},
		"not allowed":     {problem(400, "AccessDeniedException"), fault.Upstream, "could not read"},
		"throttled":       {problem(400, "ThrottlingException"), fault.Upstream, "could not read"},
		"down":            {problem(500, "InternalServiceError"), fault.Upstream, "could not read"},
		"garbage":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, canary) }, fault.Upstream, "could not read"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := true
				s := source(t, func(w http.ResponseWriter, r *http.Request) {
					if failing {
						tc.answer(w, r)
						return
					}
					value(canary)(w, r)
				})
				got, err := s.Get(t.Context(), arn)
				e, _ := errors.AsType[*fault.Error](err)
				if e == nil || e.Kind != tc.kind || !strings.Contains(e.Say, tc.say) || !got.IsZero() {
					t.Fatalf("Get() = %v, %v, want kind %s saying %q", got, err, tc.kind, tc.say)
				}
				if strings.Contains(e.Say+err.Error(), canary) || strings.Contains(e.Say, "123456789012") {
					t.Errorf("tells too much: %s / %v", e.Say, err)
				}
				failing = false
				if got, err := s.Get(t.Context(), arn); err != nil || got.Reveal() != canary {
					t.Errorf("a failure is remembered: %v", err)
				}
			})
		})
	}
}

// TestACallerWhoGivesUpGetsAFault: the fetch goes on for the others, see package cached.
func TestACallerWhoGivesUpGetsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := source(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			value(canary)(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Get(ctx, arn); fault.KindOf(err) != fault.Upstream || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get() = %v", err)
		}
		if got, err := s.Get(t.Context(), arn); err != nil || got.Reveal() != canary {
			t.Errorf("Get() with more time = %v", err)
		}
	})
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		arn: "steward/fga-client",
		"arn:aws:secretsmanager:eu-central-1:123456789012:secret:plain": "plain",
		"steward/fga-client": "steward/fga-client",
	} {
		if got := secretsmanager.Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
}
