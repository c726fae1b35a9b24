// Package okta reads and changes users, groups and apps of an Okta org, with the token of the person who asks.
//
// The requests, and the types of users and groups, are those of
// github.com/okta/okta-sdk-golang/v5. One SDK client is made once, over a
// [http.RoundTripper] of ours:
//
//	Client.AddToGroup ─▶ SDK (paths, parameters, bodies) ─▶ our transport ─▶ Okta
//	       ▲                    │ users and groups              │ one Authorization header, from the context
//	       └────────────────────┴──── status, request id ───────┘ retries, waits, limits, errors, next pages
//
// The SDK is given a success or one plain error, never a failure of Okta or of
// the network, so its retry loop (endless on a closed connection, POST
// included) has nothing to retry. It is given no link to a next page, because
// its paging forgets the caller's context. It is given no body where its types
// lose something (apps, factors, app links, log entries: see [decode]) or where
// the answer is not needed. Its configuration is built field by field and not
// through sdk.NewConfiguration, which reads ~/.okta/okta.yaml, .okta.yaml and
// OKTA_* variables and drops the port of the org URL.
//
// The token comes with the context of each call:
//
//	ctx = okta.WithToken(ctx, token)
//	me, meta, err := client.Me(ctx)
//
// Every error is an [*Error]; [Fault] turns it into an answer for people.
//
// Wire reference: https://developer.okta.com/docs/reference/core-okta-api/ and
// https://developer.okta.com/docs/api/openapi/okta-management/guides/overview/.
package okta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"

	"github.com/steward-iam/steward/shared/secret"
)

// Options configure a [Client].
type Options struct {
	// OrgURL is the org's address, such as https://example.okta.com. A port
	// and a path prefix are kept.
	OrgURL *url.URL
	// Transport carries the requests. Default: a transport of its own with
	// the standard settings.
	Transport http.RoundTripper
	// TryTimeout bounds one request, Timeout a whole call with its waits,
	// repeats and pages; a nearer deadline of the context wins. Defaults: 8 s
	// and 25 s.
	TryTimeout, Timeout time.Duration
	// Now is the clock, for the window of the System Log. Default: time.Now.
	Now func() time.Time
}

// Client speaks to one Okta org, for many people at a time.
type Client struct {
	api     *sdk.APIClient
	timeout time.Duration
	now     func() time.Time
}

// New returns a client for an org. It reads neither environment nor files.
func New(o Options) (*Client, error) {
	if o.OrgURL == nil || o.OrgURL.Host == "" || (o.OrgURL.Scheme != "https" && o.OrgURL.Scheme != "http") {
		return nil, errors.New("okta: the org URL must be an absolute http(s) URL")
	}
	if o.Transport == nil {
		t, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, errors.New("okta: http.DefaultTransport was replaced; pass a Transport")
		}
		t = t.Clone()
		t.MaxIdleConnsPerHost = 16 // Okta's default of concurrent requests for one org is 75
		o.Transport = t
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	base := url.URL{Scheme: o.OrgURL.Scheme, Host: o.OrgURL.Host, Path: strings.TrimSuffix(o.OrgURL.Path, "/")}
	_, traces := o.Transport.(*http.Transport)
	wire := &transport{next: o.Transport, traces: traces, try: cmp.Or(o.TryTimeout, 8*time.Second)}
	cfg := &sdk.Configuration{
		Servers:    sdk.ServerConfigurations{{URL: base.String()}},
		HTTPClient: &http.Client{Transport: wire},
	}
	cfg.Okta.Client.AuthorizationMode = "Bearer" // with no token: the transport sets the person's
	return &Client{
		api:     sdk.NewAPIClient(cfg),
		timeout: cmp.Or(o.Timeout, 25*time.Second),
		now:     o.Now,
	}, nil
}

// TokenSource gives the access token of the person on whose behalf calls are made. It is safe for concurrent use.
type TokenSource interface {
	// Token is the token to send.
	Token() secret.String
	// Renew returns the token to repeat a call with whose token Okta refused. It may be the same one.
	Renew(ctx context.Context, refused secret.String) (secret.String, error)
}

type tokenKey struct{}

// WithTokenSource returns a context whose calls are made with the tokens of a
// source. If Okta refuses a token, that request is repeated with a renewed one,
// once: with a refused token nothing has been done.
func WithTokenSource(ctx context.Context, source TokenSource) context.Context {
	return context.WithValue(ctx, tokenKey{}, source)
}

// WithToken returns a context whose calls are made with one access token. An
// empty token is no token: calls are then refused before anything is sent.
func WithToken(ctx context.Context, token secret.String) context.Context {
	return WithTokenSource(ctx, fixedToken{token})
}

// fixedToken is a source of one token.
type fixedToken struct{ token secret.String }

func (f fixedToken) Token() secret.String { return f.token }

func (f fixedToken) Renew(context.Context, secret.String) (secret.String, error) {
	return f.token, errNotRenewable
}

// errNotRenewable is the answer of a source that has one token only.
var errNotRenewable = errors.New("okta: there is no other token")

// sourceOf returns the token source of a context and its token, if that can be sent.
func sourceOf(ctx context.Context) (TokenSource, secret.String, bool) {
	source, ok := ctx.Value(tokenKey{}).(TokenSource)
	if !ok {
		return nil, secret.String{}, false
	}
	token := source.Token()
	return source, token, sendable(token)
}

// sendable reports whether a token can be the value of a header.
func sendable(token secret.String) bool {
	bad := func(r rune) bool { return r <= ' ' || r > '~' }
	return !token.IsZero() && !strings.ContainsFunc(token.Reveal(), bad)
}

// Meta is what Okta sent beside the body of an answer.
type Meta struct {
	// RequestID is Okta's X-Okta-Request-Id, the key for its support and the
	// transaction id in its System Log. Of a list: that of the last page.
	RequestID string
}

// Page is a list, up to the limit that was asked for.
type Page[T any] struct {
	Items []T
	More  bool // the list has more items than these
	Meta  Meta
}

// operation describes one method of [Client] to the code that all methods share.
type operation struct {
	name string
	ids  []id
	// change marks a call that alters something in Okta.
	change bool
	// repeatable marks a call that may be sent again although it may have been carried out already, because the
	// second time changes nothing.
	repeatable bool
	// transition marks a change of a person's status: a 400 then means that the present status does not allow it.
	transition bool
}

// id is an Okta id on its way into a path. [Client.call] refuses one that is not valid.
type id interface {
	Valid() bool
	String() string
}

func read(name string, ids ...id) operation {
	return operation{name: name, ids: ids, repeatable: true}
}

func set(name string, ids ...id) operation {
	return operation{name: name, ids: ids, change: true, repeatable: true}
}

func change(name string, ids ...id) operation {
	return operation{name: name, ids: ids, change: true}
}

func transition(name string, ids ...id) operation {
	return operation{name: name, ids: ids, change: true, transition: true}
}

var errNotJSON = errors.New("the answer is not the JSON it should be") // the SDK's own error quotes the body

// call makes one request through the SDK and records it in x. Its error is an *Error.
func (c *Client) call(ctx context.Context, x *exchange, execute func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for _, id := range x.op.ids {
		if !id.Valid() {
			return x.fail(KindInvalid, errors.New("not an Okta id"))
		}
	}
	err := execute(context.WithValue(ctx, exchangeKey{}, x))
	switch {
	case x.err != nil:
		return x.err
	case x.status == 0 && ctx.Err() != nil:
		return x.fail(KindTimeout, ctx.Err())
	case x.status == 0: // the SDK refused to build the request
		return x.fail(KindInvalid, err)
	case err != nil: // Okta succeeded, and the SDK could not decode its answer
		return x.fail(KindGarbled, errNotJSON)
	}
	return nil
}

// do makes a request whose answer has no body worth reading. The SDK does not see the body, which may hold a link or
// a password.
func (c *Client) do(ctx context.Context, op operation, execute func(context.Context) error) (Meta, error) {
	x := &exchange{op: op, hideBody: true}
	err := c.call(ctx, x, execute)
	return x.meta(), err
}

type request interface {
	Execute() (*sdk.APIResponse, error)
}

// doOne is do for an SDK method that takes the one id of the operation, doTwo for one that takes its two ids.
func doOne[R request](ctx context.Context, c *Client, op operation, build func(context.Context, string) R) (Meta, error) {
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := build(ctx, op.ids[0].String()).Execute()
		return err
	})
}

func doTwo[R request](ctx context.Context, c *Client, op operation, build func(_ context.Context, id1, id2 string) R) (Meta, error) {
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := build(ctx, op.ids[0].String(), op.ids[1].String()).Execute()
		return err
	})
}

// doByMail is doOne for a request that makes a link for the person. Okta mails the link if it is asked to, and would
// return it otherwise.
func doByMail[M any, R interface {
	SendEmail(bool) R
	Execute() (M, *sdk.APIResponse, error)
}](ctx context.Context, c *Client, op operation, build func(context.Context, string) R) (Meta, error) {
	return c.do(ctx, op, func(ctx context.Context) error {
		_, _, err := build(ctx, op.ids[0].String()).SendEmail(true).Execute()
		return err
	})
}

// one makes a request that is answered with one object M.
func one[M, T any](ctx context.Context, c *Client, op operation, convert func(*M) T,
	execute func(context.Context) (*M, *sdk.APIResponse, error),
) (T, Meta, error) {
	var (
		model  *M
		result T
		x      = &exchange{op: op}
	)
	err := c.call(ctx, x, func(ctx context.Context) (err error) { model, _, err = execute(ctx); return err })
	if err == nil && model == nil {
		err = x.fail(KindGarbled, errNotJSON)
	}
	if err == nil {
		result = convert(model)
	}
	return result, x.meta(), err
}

// The largest page most lists give, and the most this client gathers.
const (
	pageSize = 200
	maxItems = 10000
)

// pages gathers a list of M from as many pages as it takes. A limit of 0 means all. Each page is one execute with the
// page size to ask for; the transport puts the query that Okta gave for the next page in place of the SDK's.
func pages[M, T any](ctx context.Context, c *Client, op operation, limit int, convert func(*M) T,
	execute func(ctx context.Context, size int32) ([]M, *sdk.APIResponse, error),
) (Page[T], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if limit <= 0 || limit > maxItems {
		limit = maxItems
	}
	size := int32(min(limit+1, pageSize)) //nolint:gosec // at most 200
	page := Page[T]{Items: []T{}}
	seen := map[string]bool{}
	for query := ""; ; {
		var models []M
		x := &exchange{op: op, query: query}
		err := c.call(ctx, x, func(ctx context.Context) (err error) { models, _, err = execute(ctx, size); return err })
		switch {
		case err != nil:
		case models == nil: // an empty body, or null
			err = x.fail(KindGarbled, errNotJSON)
		default:
			query, err = x.next()
		}
		page.Meta = x.meta()
		if err != nil {
			return page, err
		}
		fit := min(len(models), limit-len(page.Items))
		for i := range models[:fit] {
			page.Items = append(page.Items, convert(&models[i]))
		}
		page.More = fit < len(models)
		if page.More || query == "" {
			return page, nil
		}
		if seen[query] {
			return page, x.fail(KindGarbled, errors.New("the pages of the list repeat"))
		}
		seen[query] = true
	}
}

// decode executes a request and decodes its answer as a W, because the SDK's own type M loses something. The SDK does
// not see the body.
func decode[W, M any](ctx context.Context, execute func() (M, *sdk.APIResponse, error)) (W, *sdk.APIResponse, error) {
	var result W
	x := exchangeOf(ctx)
	x.hideBody = true
	_, res, err := execute()
	if err == nil {
		err = json.Unmarshal(x.body, &result)
	}
	return result, res, err
}
