// Package reach is the HTTP client of setup and doctor: it waits out rate limits and explains network errors.
package reach

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	attempts = 5
	longest  = 90 * time.Second // a longer wait is somebody else's turn
	timeout  = 30 * time.Second
)

// Problem is an error with a sentence for the person at the terminal: what is wrong, and what to do.
type Problem struct {
	Say string
	Err error
}

func (t *Problem) Error() string { return t.Say }
func (t *Problem) Unwrap() error { return t.Err }

// Transport is a RoundTripper that waits out rate limits: a 429 is sent again after its Retry-After or X-RateLimit-Reset. Such
// an answer changed nothing, so every method may be repeated. Nothing else is.
type Transport struct {
	Base   http.RoundTripper // nil is the default
	Now    func() time.Time  // nil is time.Now
	Sleep  func(context.Context, time.Duration) error
	OnWait func(host string, wait time.Duration) // called before every wait; may be nil
	// Plain are the hosts (with port) that are spoken to over http although an SDK insists on https. Loopback addresses alone.
	Plain map[string]bool
}

// RoundTrip sends a request, and again after a 429.
func (p *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.Plain[r.URL.Host] && config.Loopback(r.URL.Hostname()) {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
	}
	base := p.Base
	if base == nil {
		base = http.DefaultTransport
	}
	for attempt := 1; ; attempt++ {
		resp, err := base.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests || attempt == attempts || r.Body != nil && r.GetBody == nil {
			return resp, err
		}
		wait := p.wait(resp.Header, attempt)
		if wait > longest {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
		_ = resp.Body.Close()
		if p.OnWait != nil {
			p.OnWait(r.URL.Host, wait)
		}
		if err := p.sleep(r.Context(), wait); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func (p *Transport) wait(h http.Header, attempt int) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	for _, name := range []string{"X-Ratelimit-Reset", "X-Rate-Limit-Reset"} {
		if n, err := strconv.ParseInt(h.Get(name), 10, 64); err == nil {
			return max(time.Unix(n, 0).Sub(now()), time.Second)
		}
	}
	return time.Duration(attempt) * time.Second
}

func (p *Transport) sleep(ctx context.Context, d time.Duration) error {
	if p.Sleep != nil {
		return p.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Client is an HTTP client over p that follows no redirect: a secret goes nowhere else.
func (p *Transport) Client() *http.Client {
	return &http.Client{Transport: p, Timeout: attempts * (timeout + longest/attempts), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Explain says why somebody could not be reached; ok is false if err is no such thing.
func Explain(err error) (say string, ok bool) {
	host := "the network"
	if u, is := errors.AsType[*url.Error](err); is {
		if parsed, err := url.Parse(u.URL); err == nil && parsed.Host != "" {
			host = parsed.Host
		}
	}
	if dns, is := errors.AsType[*net.DNSError](err); is {
		return fmt.Sprintf("there is no host %s, or no network to ask; check the address and the connection", dns.Name), true
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		return fmt.Sprintf("the certificate of %s is not trusted; is a proxy in between?", host), true
	}
	n, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return "you stopped it", true
	case errors.Is(err, context.DeadlineExceeded), network && n.Timeout():
		return host + " did not answer in time", true
	}
	if _, is := errors.AsType[*net.OpError](err); is {
		return fmt.Sprintf("%s cannot be reached; check the address and the connection", host), true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return host + " broke off in the middle of its answer", true
	}
	return "", false
}

// Machine returns a machine's token and its scopes: the client credentials grant (RFC 6749, section 4.4) with Auth0's audience. A
// refusal of the token endpoint is an [*oauth2.RetrieveError].
func Machine(ctx context.Context, c *http.Client, endpoint, clientID string, clientSecret secret.String, audience string) (token secret.String, scopes []string, err error) {
	config := clientcredentials.Config{
		ClientID: clientID, ClientSecret: clientSecret.Reveal(), TokenURL: endpoint, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{"audience": {audience}},
	}
	got, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, c))
	if err != nil {
		return secret.String{}, nil, err
	}
	scope, _ := got.Extra("scope").(string)
	return secret.New(got.AccessToken), strings.Fields(scope), nil
}

// Get reads JSON. A body that is not JSON is an error only where the status is 200; otherwise it leaves into as it was.
func Get(ctx context.Context, c *http.Client, address, authorization string, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(into)
	if err != nil && resp.StatusCode == http.StatusOK {
		return resp.StatusCode, &Problem{Say: fmt.Sprintf("what %s answered is not JSON", r.URL.Host), Err: err}
	}
	return resp.StatusCode, nil
}
