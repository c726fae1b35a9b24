// Package auth0 is the client of an Auth0 tenant: sign-in, refresh, revocation, Token Vault exchange, Connected
// Accounts.
//
// Discovery and the usual checks of an id_token are go-oidc's work; keys are fetched and claims are decoded here, exactly. The token endpoint is called by hand, since an error's status, code and
// Retry-After decide together what it means: Auth0 uses access_denied for a wrong secret (401), a policy (403), a rate
// limit (429) and a person's refusal.
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
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

// Endpoint is a path below the issuer. Auth0 documents them as fixed, so that a first token needs no discovery.
type Endpoint string

// The endpoints that take the client's credentials.
const (
	EndpointToken       Endpoint = "oauth/token" //nolint:gosec // a path
	EndpointRevoke      Endpoint = "oauth/revoke"
	EndpointBackchannel Endpoint = "bc-authorize"
)

const (
	timeout = 8 * time.Second // one call; a Lambda's own deadline may come first
	maxBody = 1 << 20
)

// Config is what a Client needs.
type Config struct {
	Issuer   *url.URL // https://tenant/, the trailing slash is added where it lacks
	ClientID string
	Secret   func(context.Context) (secret.String, error) // the client secret, fetched when first needed
	// FreshSecret reads the client secret past any cache. It is asked, at most once a minute, when the tenant no longer takes
	// the secret we have; with another one the call is made once more. nil if a secret that was changed needs a new process.
	FreshSecret func(context.Context) (secret.String, error)
	HTTP        *http.Client     // nil for one with a sane timeout
	Now         func() time.Time // nil for time.Now
}

// Client is one application at one tenant. It is safe for concurrent use.
type Client struct {
	issuer   string
	clientID string
	secret   clientSecret
	http     *http.Client
	now      func() time.Time

	mu       sync.Mutex
	provider *provider
}

// New makes a Client. Nothing is fetched yet.
func New(cfg Config) *Client {
	c := &Client{
		issuer:   strings.TrimSuffix(cfg.Issuer.String(), "/") + "/",
		clientID: cfg.ClientID,
		secret:   clientSecret{cached: cfg.Secret, fresh: cfg.FreshSecret},
		http:     cfg.HTTP,
		now:      cfg.Now,
	}
	if c.http == nil {
		c.http = &http.Client{Timeout: timeout}
	}
	if c.now == nil {
		c.now = time.Now
	}
	// A token endpoint that redirects would be sent the client secret elsewhere.
	own := *c.http
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	return c
}

// Issuer is the tenant's issuer identifier, with its trailing slash.
func (c *Client) Issuer() string { return c.issuer }

// ClientID is the application's client_id.
func (c *Client) ClientID() string { return c.clientID }

// Error is a refusal in the tenant's own words. Description is Auth0's text: for the log, never for a person.
type Error struct {
	Status      int
	Code        string        // error
	Description string        // error_description
	RetryAfter  time.Duration // of the header, 0 if absent
	Interval    time.Duration // CIBA: the new interval of slow_down, 0 if absent
}

// Error shows status and code; the description may hold personal data and is left to LogValue's reader to ask for.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("auth0 answered %d", e.Status)
	}
	return fmt.Sprintf("auth0 answered %d %s", e.Status, e.Code)
}

// LogValue groups the facts.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("status", e.Status), slog.String("error", e.Code))
}

// RateLimited says whether the tenant asked us to slow down, in any of the forms it uses.
func (e *Error) RateLimited() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == "too_many_requests" || strings.EqualFold(e.Description, "Too Many Requests")
}

// Misconfigured says whether the refusal is about the application's own settings, which no user can mend.
func (e *Error) Misconfigured() bool {
	switch e.Code {
	case "unauthorized_client", "unsupported_grant_type", "invalid_scope", "mfa_required", "invalid_target":
		return true
	}
	return e.clientRefused()
}

// clientRefused says whether the tenant does not take the client's credentials, in either of the forms it uses.
func (e *Error) clientRefused() bool {
	return e.Code == "invalid_client" || e.Code == "access_denied" && (e.Status == http.StatusUnauthorized || e.Description == "Unauthorized")
}

const (
	sayAuth0Down   = "Auth0 did not answer. Please try again in a minute."
	sayAuth0Busy   = "Auth0 is busy. Please try again in a minute."
	sayMisconfig   = "Steward's connection to Auth0 is not set up right. Please tell your administrator; nothing was changed."
	saySignInAgain = "Your sign-in has ended. Please sign in again."
)

// Fault turns a refusal that has no meaning of its own in a flow into a fault.
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

// Form posts a form with the client's credentials (client_secret_post) and decodes a 2xx answer into into. A refusal
// is an *[Error]; anything else means that the tenant could not be asked. Refused credentials are read anew, and the call is
// made once more if they were changed: a tenant looks at them before anything else, so that nothing has happened yet.
func (c *Client) Form(ctx context.Context, endpoint Endpoint, form url.Values, into any) error {
	key, err := c.secret.get(ctx)
	if err != nil {
		return err
	}
	err = c.post(ctx, endpoint, form, key, into)
	if e, ok := errors.AsType[*Error](err); ok && e.clientRefused() {
		if changed := c.secret.changed(ctx, key, c.now()); !changed.IsZero() {
			return c.post(ctx, endpoint, form, changed, into)
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
		// url.Error repeats the URL, which holds nothing secret here; the body is not part of it.
		return fmt.Errorf("auth0: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("auth0: read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp, body)
	}
	if into == nil {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		return fmt.Errorf("auth0: answered %d with %q, want JSON", resp.StatusCode, kind)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("auth0: the answer is not the JSON it should be")
	}
	return nil
}

// refusal reads OAuth errors and the My Account API's problem documents alike; a proxy's HTML gives an Error without a code.
func refusal(resp *http.Response, body []byte) *Error {
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

// seconds bounds a duration that a server sent: not negative, at most a day.
func seconds(n float64) time.Duration {
	return time.Duration(min(max(n, 0), 86400) * float64(time.Second))
}
