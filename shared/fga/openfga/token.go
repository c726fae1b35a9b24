package openfga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/secret"
)

// Credentials get the machine token: the client credentials grant (RFC 6749, section 4.4) with Auth0's audience.
type Credentials struct {
	Issuer   *url.URL // a host alone stands for its /oauth/token
	Audience string   // at Auth0 FGA the API's URL with a slash at its end
	ClientID string
	// Secret gives the client secret. It is asked before each token, so it should remember.
	Secret func(context.Context) (secret.String, error)
	// Forget, if set, is told that the secret was refused, so that a rotated one is read next time.
	Forget func()
}

const (
	tokenTimeout   = 3 * time.Second
	tokenMargin    = time.Minute     // a token is renewed this long before it ends, or a tenth of its life if that is less
	tokenFallback  = 5 * time.Minute // the life of a token that does not tell
	maxTokenAnswer = 64 << 10

	noClientSecret = "no client secret"
)

// tokens keeps one machine token for the process. However many ask at once, one fetch is made; it does not end with
// the request that began it, since the others wait for it too.
type tokens struct {
	Credentials

	endpoint string
	http     *http.Client
	now      func() time.Time

	mu      sync.Mutex
	current secret.String
	until   time.Time
	flight  *flight
}

type flight struct {
	done  chan struct{}
	token secret.String
	err   error
}

func newTokens(c Credentials, transport http.RoundTripper, now func() time.Time) *tokens {
	endpoint := *c.Issuer
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/oauth/token"
	}
	return &tokens{
		Credentials: c,
		endpoint:    endpoint.String(),
		now:         now,
		http: &http.Client{
			Transport:     transport,
			Timeout:       tokenTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
		},
	}
}

// get returns a token that is good for a while.
func (t *tokens) get(ctx context.Context) (secret.String, error) {
	t.mu.Lock()
	if !t.current.IsZero() && t.now().Before(t.until) {
		defer t.mu.Unlock()
		return t.current, nil
	}
	f := t.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		t.flight = f
		go t.land(context.WithoutCancel(ctx), f)
	}
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return secret.String{}, &tokenError{err: ctx.Err()}
	}
}

func (t *tokens) land(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, life, err := t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight = nil
	if err == nil {
		// A frozen process stops the monotonic clock; only the wall clock knows how old a token is.
		t.current, t.until = token, t.now().Round(0).Add(life-min(tokenMargin, life/10))
	}
	f.token, f.err = token, err
	close(f.done)
}

// drop forgets token if it is still the current one.
func (t *tokens) drop(token secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Equal(token) {
		t.current = secret.String{}
	}
}

func (t *tokens) fetch(ctx context.Context) (secret.String, time.Duration, error) {
	fail := func(status int, code string, err error) (secret.String, time.Duration, error) {
		return secret.String{}, 0, &tokenError{status: status, code: code, err: err}
	}
	clientSecret, err := t.Secret(ctx)
	if err != nil {
		return fail(0, noClientSecret, err)
	}
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {t.ClientID},
		"client_secret": {clientSecret.Reveal()},
		"audience":      {t.Audience},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return fail(0, "", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := t.http.Do(req)
	if err != nil {
		return fail(0, "", cause(err))
	}
	defer res.Body.Close() //nolint:errcheck // only read
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer))
	if err != nil {
		return fail(res.StatusCode, "", err)
	}
	if json.Unmarshal(body, &answer) != nil {
		err = errors.New("answer is not the JSON of a token") // the body is not shown: it may hold one
	}
	switch {
	case res.StatusCode != http.StatusOK:
		if res.StatusCode == http.StatusUnauthorized && t.Forget != nil {
			t.Forget()
		}
		return fail(res.StatusCode, answer.Error, nil)
	case err != nil:
		return fail(res.StatusCode, "", err)
	case answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, "bearer"):
		return fail(res.StatusCode, "", errors.New("answer holds no bearer token"))
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	if life <= 0 {
		life = tokenFallback
	}
	return secret.New(answer.AccessToken), life, nil
}

// tokenError says why there is no machine token.
type tokenError struct {
	status int    // of the token endpoint, 0 if it did not answer
	code   string // its error code
	err    error
}

func (e *tokenError) Error() string {
	s := "no machine token"
	if e.status != 0 {
		s = fmt.Sprintf("%s: token endpoint answered %d %s", s, e.status, e.code)
	} else if e.code != "" {
		s += ": " + e.code
	}
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

func (e *tokenError) Unwrap() error { return e.err }

// reason: a client that Auth0 refuses or that has no secret is a matter of our credentials; all else is the wire.
func (e *tokenError) reason() fga.Reason {
	if n, ok := errors.AsType[net.Error](e.err); errors.Is(e.err, context.DeadlineExceeded) || ok && n.Timeout() {
		return fga.ReasonTimeout
	}
	if e.code == noClientSecret {
		return fga.ReasonCredentials
	}
	switch e.status {
	case http.StatusTooManyRequests:
		return fga.ReasonThrottled
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fga.ReasonCredentials
	}
	return fga.ReasonUpstream
}
