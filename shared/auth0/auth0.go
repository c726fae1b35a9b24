// Package auth0 is the client of an Auth0 tenant: sign-in, refresh, revocation, Token Vault exchange, Connected
// Accounts.
//
// go-oidc does discovery and the usual checks of an id_token. Keys are fetched and claims are decoded here. The token endpoint is
// called without golang.org/x/oauth2, because status, code and Retry-After of an error are needed: Auth0 uses access_denied for a
// wrong client secret (401), a policy (403), a rate limit (429) and a person's refusal.
package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Endpoint is a path below the issuer. Auth0 documents these paths as fixed, so a token request needs no discovery.
type Endpoint string

// The endpoints that take the client's credentials.
const (
	EndpointToken       Endpoint = "oauth/token" //nolint:gosec // a path
	EndpointRevoke      Endpoint = "oauth/revoke"
	EndpointBackchannel Endpoint = "bc-authorize"
)

const (
	timeout = 8 * time.Second // of one call
	maxBody = 1 << 20
)

// Config is what a Client needs.
type Config struct {
	Issuer   *url.URL // https://tenant/; a missing trailing slash is added
	ClientID string
	Secret   func(context.Context) (secret.String, error) // the client secret, fetched when first needed
	// FreshSecret reads the client secret without a cache. It is called, at most once a minute, when the tenant refuses the
	// secret in use; if it returns another one, the call is repeated with that. If it is nil, a changed secret needs a new
	// process.
	FreshSecret func(context.Context) (secret.String, error)
	HTTP        *http.Client     // nil for a client with a timeout of 8 s
	Now         func() time.Time // nil for time.Now
}

// Client is one application at one tenant. It is safe for concurrent use.
type Client struct {
	issuer   string
	clientID string
	secret   *secret.Rotating
	http     *http.Client
	now      func() time.Time
	provider cached.Value[*provider]
}

// New makes a Client. It makes no call.
func New(cfg Config) *Client {
	c := &Client{
		issuer:   strings.TrimSuffix(cfg.Issuer.String(), "/") + "/",
		clientID: cfg.ClientID,
		secret:   secret.NewRotating(cfg.Secret, cfg.FreshSecret, cfg.Now),
		http:     cfg.HTTP,
		now:      cfg.Now,
	}
	if c.http == nil {
		c.http = &http.Client{Timeout: timeout}
	}
	if c.now == nil {
		c.now = time.Now
	}
	// Following a redirect of the token endpoint would send the client secret to another host.
	noRedirects := *c.http
	noRedirects.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &noRedirects
	c.provider = cached.Value[*provider]{Fetch: c.fetchProvider, Timeout: timeout}
	return c
}

// Issuer returns the tenant's issuer identifier, with a trailing slash.
func (c *Client) Issuer() string { return c.issuer }

// ClientID returns the application's client_id.
func (c *Client) ClientID() string { return c.clientID }

// Error is an error answer of the tenant. Description is Auth0's text, which is never shown to a person.
type Error struct {
	Status      int
	Code        string        // error
	Description string        // error_description
	RetryAfter  time.Duration // header Retry-After, 0 if absent
	Interval    time.Duration // CIBA: the new interval of slow_down, 0 if absent
}

// Error returns status and code. The description is left out, as it may hold personal data.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("auth0 answered %d", e.Status)
	}
	return fmt.Sprintf("auth0 answered %d %s", e.Status, e.Code)
}

// LogValue returns status and code.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("status", e.Status), slog.String("error", e.Code))
}

// RateLimited reports whether the tenant refused the call because of a rate limit, in any of the forms that Auth0 uses.
func (e *Error) RateLimited() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == "too_many_requests" || strings.EqualFold(e.Description, "Too Many Requests")
}

// Misconfigured reports whether the cause is the configuration of the application, which only an administrator can change.
func (e *Error) Misconfigured() bool {
	switch e.Code {
	case "unauthorized_client", "unsupported_grant_type", "invalid_scope", "mfa_required", "invalid_target":
		return true
	}
	return e.clientRefused()
}

// clientRefused reports whether the tenant refused the client's credentials, in either of the forms that Auth0 uses.
func (e *Error) clientRefused() bool {
	return e.Code == "invalid_client" || e.Code == "access_denied" && (e.Status == http.StatusUnauthorized || e.Description == "Unauthorized")
}

const (
	sayAuth0Down   = "Auth0 did not answer. Please try again in a minute."
	sayAuth0Busy   = "Auth0 is busy. Please try again in a minute."
	sayMisconfig   = "Steward's connection to Auth0 is not set up correctly. Please tell your administrator."
	saySignInAgain = "Your sign-in has ended. Please sign in again."
)

// Fault returns the fault for an error of a call: fault.Upstream if the tenant could not be asked or is busy,
// fault.Unauthenticated for invalid_grant, and fault.Internal for all others, as they come from the configuration. A *fault.Error
// is returned as it is.
func Fault(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return fault.New(fault.Upstream, sayAuth0Down, err)
	case e.RateLimited():
		return fault.New(fault.Upstream, sayAuth0Busy, err)
	case e.Misconfigured():
		return fault.New(fault.Internal, sayMisconfig, err)
	case e.Code == "invalid_grant":
		return fault.New(fault.Unauthenticated, saySignInAgain, err)
	case e.Status >= 500 || e.Code == "":
		return fault.New(fault.Upstream, sayAuth0Down, err)
	}
	return fault.New(fault.Internal, sayMisconfig, err)
}

// Form posts a form with the client's credentials (client_secret_post) and decodes a 2xx answer into into. An error answer is an
// *[Error]; any other error means that the tenant could not be asked. If the tenant refuses the credentials and the client secret
// has changed meanwhile, the call is repeated with the new one. That is safe, as a tenant checks the credentials before it does
// anything else.
func (c *Client) Form(ctx context.Context, endpoint Endpoint, form url.Values, into any) error {
	key, err := c.secret.Get(ctx)
	if err != nil {
		return err
	}
	err = c.post(ctx, endpoint, form, key, into)
	if e, ok := errors.AsType[*Error](err); ok && e.clientRefused() {
		if another, ok := c.secret.Another(ctx, key); ok {
			return c.post(ctx, endpoint, form, another, into)
		}
	}
	return err
}

func (c *Client) post(ctx context.Context, endpoint Endpoint, form url.Values, key secret.String, into any) error {
	form.Set("client_id", c.clientID)
	form.Set("client_secret", key.Reveal())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.issuer+string(endpoint), strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("auth0 %s: %w", endpoint, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return c.do(req, into)
}

func (c *Client) do(req *http.Request, into any) error {
	resp, err := c.http.Do(req)
	if err != nil {
		// url.Error contains the URL, which holds no secret here, and not the body.
		return fmt.Errorf("auth0: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("auth0: read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return errorOf(resp, body)
	}
	if into == nil {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		return fmt.Errorf("auth0: answered %d with %q, want JSON", resp.StatusCode, kind)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("auth0: the answer is not valid JSON")
	}
	return nil
}

// errorOf decodes an error answer: of OAuth, or a problem document of the My Account API. For anything else, such as the HTML of
// a proxy, the code is empty.
func errorOf(resp *http.Response, body []byte) *Error {
	var wire struct {
		Code        string  `json:"error"`
		Description string  `json:"error_description"`
		Interval    float64 `json:"interval"`
		Type        string  `json:"type"`
		Title       string  `json:"title"`
	}
	_ = json.Unmarshal(body, &wire)
	e := &Error{Status: resp.StatusCode, Code: wire.Code, Description: wire.Description, Interval: seconds(wire.Interval)}
	if e.Code == "" {
		e.Code, e.Description = wire.Title, wire.Type
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = seconds(float64(n))
	}
	return e
}

// seconds converts a number of seconds from a server, limited to 0 to 24 hours.
func seconds(n float64) time.Duration {
	return time.Duration(min(max(n, 0), 86400) * float64(time.Second))
}
