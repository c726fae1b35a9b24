package openfga

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/secret"
)

// Credentials get the machine token: the client credentials grant (RFC 6749, section 4.4) with Auth0's audience.
type Credentials struct {
	Issuer   *url.URL // a host alone stands for its /oauth/token
	Audience string   // at Auth0 FGA the API's URL with a slash at its end
	ClientID string
	// Secret returns the client secret. It is called before each fetch of a token, so it should remember.
	Secret func(context.Context) (secret.String, error)
	// FreshSecret reads the client secret past any cache. It is called, at most once a minute, when the issuer refuses the one
	// we have; with another one the token is asked for once more. Nil if a changed secret needs a new process.
	FreshSecret func(context.Context) (secret.String, error)
}

const (
	tokenTimeout  = 3 * time.Second
	tokenMargin   = time.Minute     // a token is renewed this long before it ends, or a tenth of its life if that is less
	tokenFallback = 5 * time.Minute // the life of a token that does not say when it ends

	noClientSecret = "no client secret"
)

// token is a machine token and when to renew it.
type token struct {
	secret.String

	renew time.Time
}

// tokens keeps one machine token for the process.
type tokens struct {
	config  clientcredentials.Config // without the secret
	secret  *secret.Rotating
	http    *http.Client
	current cached.Value[token]
}

func newTokens(c Credentials, transport http.RoundTripper) *tokens {
	endpoint := *c.Issuer
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/oauth/token"
	}
	t := &tokens{
		config: clientcredentials.Config{
			ClientID: c.ClientID, TokenURL: endpoint.String(), AuthStyle: oauth2.AuthStyleInParams,
			EndpointParams: url.Values{"audience": {c.Audience}},
		},
		secret: secret.NewRotating(c.Secret, c.FreshSecret, nil),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
		},
	}
	t.current = cached.Value[token]{Fetch: t.fetch, Timeout: tokenTimeout, Expires: func(t token) time.Time { return t.renew }}
	return t
}

// get returns a token that is good for a while. The error is a [*tokenError].
func (t *tokens) get(ctx context.Context) (secret.String, error) {
	got, err := t.current.Get(ctx)
	if _, ok := errors.AsType[*tokenError](err); err != nil && !ok {
		err = &tokenError{err: err}
	}
	return got.String, err
}

// drop forgets a token that the API has refused.
func (t *tokens) drop(refused secret.String) {
	t.current.Forget(func(kept token) bool { return kept.Equal(refused) })
}

// fetch asks for a token, and once more if the client secret is refused and has been replaced.
func (t *tokens) fetch(ctx context.Context) (token, error) {
	key, err := t.secret.Get(ctx)
	if err != nil {
		return token{}, &tokenError{code: noClientSecret, err: err}
	}
	got, err := t.request(ctx, key)
	if e, ok := errors.AsType[*tokenError](err); ok && (e.status == http.StatusUnauthorized || e.code == "invalid_client") {
		if another, ok := t.secret.Another(ctx, key); ok {
			return t.request(ctx, another)
		}
	}
	return got, err
}

func (t *tokens) request(ctx context.Context, key secret.String) (token, error) {
	config := t.config
	config.ClientSecret = key.Reveal()
	got, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.http))
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // its own text quotes the answer
		return token{}, &tokenError{status: e.Response.StatusCode, code: e.ErrorCode}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return token{}, &tokenError{err: e.Err}
	}
	if err != nil || !strings.EqualFold(got.Type(), "bearer") {
		return token{}, &tokenError{status: http.StatusOK, err: errors.New("the answer is no bearer token")}
	}
	life := tokenFallback
	if !got.Expiry.IsZero() {
		life = time.Until(got.Expiry)
	}
	return token{secret.New(got.AccessToken), time.Now().Add(life - min(tokenMargin, life/10))}, nil
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
