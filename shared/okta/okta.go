// Package okta reads and changes users, groups and apps of an Okta org, with the token of the person who asks.
//
// The requests are those of github.com/okta/okta-sdk-golang/v5. One SDK client
// is made once, over a [http.RoundTripper] of ours that owns the wire:
//
//	Client.AddToGroup ─▶ SDK (paths, parameters, bodies) ─▶ our transport ─▶ Okta
//	       ▲                                                   │ one Authorization header, from the context
//	       └──── status, request id, body, links ──────────────┘ retries, waits, limits, errors
//
// The SDK gets to see success without a body, or a plain error, and nothing
// else. So its retry loop (endless on a closed connection, POST included) has
// nothing to retry, its paging (which forgets the caller's context) nothing to
// follow, and its oneOf decoders (which turn a factor or app of a type they do
// not know into nothing) nothing to lose. Its configuration is built field by
// field and not through sdk.NewConfiguration, which reads ~/.okta/okta.yaml,
// .okta.yaml and OKTA_* variables and drops the port of the org URL.
//
// The token comes with the context of each call:
//
//	ctx = okta.WithToken(ctx, token)
//	me, meta, err := client.Me(ctx)
//
// Every error is an [*Error]; [Fault] says what an outsider may know of it.
//
// Wire reference: https://developer.okta.com/docs/reference/core-okta-api/ and
// https://developer.okta.com/docs/api/openapi/okta-management/guides/overview/.
package okta

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"

	"github.com/steward-iam/steward/shared/secret"
)

// Options shape a [Client].
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
	wire    *transport
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
		wire:    wire,
		timeout: cmp.Or(o.Timeout, 25*time.Second),
		now:     o.Now,
	}, nil
}

type tokenKey struct{}

// WithToken returns a context whose calls are made with a person's Okta access
// token. An empty token is no token: calls are then refused before anything is
// sent.
func WithToken(ctx context.Context, token secret.String) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// tokenOf returns the bearer token of a context if it is one that can be sent.
func tokenOf(ctx context.Context) (secret.String, bool) {
	t, _ := ctx.Value(tokenKey{}).(secret.String)
	bad := func(r rune) bool { return r <= ' ' || r > '~' }
	return t, !t.IsZero() && !strings.ContainsFunc(t.Reveal(), bad)
}

// Meta is what came along with an answer.
type Meta struct {
	// RequestID is Okta's X-Okta-Request-Id, the key for its support and the
	// transaction id in its System Log. Of a list: that of the last page.
	RequestID string
}

// Page is a list, or as much of it as was asked for.
type Page[T any] struct {
	Items []T
	More  bool // there are more than these
	Meta  Meta
}

// operation is one way of calling Okta.
type operation struct {
	name string
	// change marks what alters something in Okta.
	change bool
	// repeatable marks what may be sent again after it was perhaps carried
	// out: the second answer is the same as the first.
	repeatable bool
	// badRequest is what a 400 means here. Default: KindInvalid.
	badRequest Kind
}

func read(name string) operation   { return operation{name: name, repeatable: true} }
func set(name string) operation    { return operation{name: name, change: true, repeatable: true} }
func change(name string) operation { return operation{name: name, change: true} }
func lifecycle(name string) operation {
	return operation{name: name, change: true, badRequest: KindState}
}

// call lets the SDK make one request and returns what our transport saw.
func (c *Client) call(ctx context.Context, op operation, send func(context.Context) error) (*exchange, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	x := &exchange{op: op}
	if _, ok := tokenOf(ctx); !ok {
		return x, x.fail(KindToken, errors.New("no access token in the context"))
	}
	err := send(context.WithValue(ctx, exchangeKey{}, x))
	switch {
	case x.err != nil:
		return x, x.err
	case x.status == 0 && ctx.Err() != nil:
		return x, x.fail(KindTimeout, ctx.Err())
	case x.status == 0: // the SDK refused to build the request
		return x, x.fail(KindInvalid, err)
	}
	return x, nil // the transport accepted it, whatever the SDK thinks of an empty body
}

// do is call for what is answered with no body worth reading.
func (c *Client) do(ctx context.Context, op operation, send func(context.Context) error) (Meta, error) {
	x, err := c.call(ctx, op, send)
	return x.meta(), err
}

// one is call for what is answered with one object.
func one[W, T any](ctx context.Context, c *Client, op operation, convert func(W) T, send func(context.Context) error) (T, Meta, error) {
	var zero T
	x, err := c.call(ctx, op, send)
	if err != nil {
		return zero, x.meta(), err
	}
	var w W
	if err := x.decode(&w); err != nil {
		return zero, x.meta(), err
	}
	return convert(w), x.meta(), nil
}

// The largest page most lists give, and the most this client gathers.
const (
	pageSize = 200
	maxItems = 10000
)

// pages gathers a list from as many pages as it takes. A limit of 0 means all.
// send is given the page size to ask for.
func pages[W, T any](ctx context.Context, c *Client, op operation, limit int, convert func(W) T,
	send func(ctx context.Context, size int32) error,
) (Page[T], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if limit <= 0 || limit > maxItems {
		limit = maxItems
	}
	p := Page[T]{Items: []T{}}
	x, err := c.call(ctx, op, func(ctx context.Context) error { return send(ctx, int32(min(limit+1, pageSize))) }) //nolint:gosec // at most 200
	seen := map[string]bool{}
	for {
		p.Meta = x.meta()
		if err != nil {
			return p, err
		}
		var items []W
		if err := x.decode(&items); err != nil {
			return p, err
		}
		for _, w := range items {
			if len(p.Items) == limit {
				p.More = true
				return p, nil
			}
			p.Items = append(p.Items, convert(w))
		}
		next, err2 := x.next()
		if err2 != nil {
			return p, err2
		}
		if next == "" {
			return p, nil
		}
		if len(p.Items) == limit {
			p.More = true
			return p, nil
		}
		if seen[next] {
			return p, x.fail(KindGarbled, errors.New("the pages of the list go in a circle"))
		}
		seen[next] = true
		x, err = c.follow(ctx, x, next)
	}
}

// follow gets another page of a list: the same path at our own address, with
// the query the last page named.
func (c *Client) follow(ctx context.Context, last *exchange, query string) (*exchange, error) {
	x := &exchange{op: last.op}
	u := *last.url
	u.RawQuery = query
	req, err := http.NewRequestWithContext(context.WithValue(ctx, exchangeKey{}, x), http.MethodGet, u.String(), nil)
	if err != nil {
		return x, x.fail(KindGarbled, errors.New("the next page has no usable address"))
	}
	res, err := c.wire.RoundTrip(req)
	if err != nil {
		return x, x.err
	}
	_ = res.Body.Close() // empty: the exchange has the body
	return x, nil
}
