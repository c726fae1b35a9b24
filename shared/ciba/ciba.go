// Package ciba asks a person on their phone for approval: Client-Initiated Backchannel Authentication (OpenID Connect
// CIBA Core 1.0) in poll mode.
//
// Start sends the push and answers at once; Poll asks once how it stands. Nobody waits here: who polls again, and when,
// is the caller's affair, told by [Answer.Interval].
//
// Auth0 answers a denial and an expiry with the same words, so [Refused] means either; the caller's clock tells which. Where
// it tells an expiry by the word of the specification, that is [Expired].
// Its access_denied also means a wrong client secret (401) and a rate limit (429): status and code are read together.
package ciba

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

const grant = "urn:openid:params:grant-type:ciba"

// Expiry is how long a push may wait for an answer. Up to 300 s Auth0 sends a push; beyond that an e-mail.
const Expiry = 300 * time.Second

const (
	defaultInterval = 5 * time.Second // CIBA Core section 7.3
	slowerBy        = 5 * time.Second // section 11
	maxInterval     = 60 * time.Second
	skew            = 60 * time.Second
)

// Client starts and polls requests at one tenant.
type Client struct {
	Auth0 *auth0.Client
	// Audience and DetailType turn on rich authorization requests (RFC 9396): the change goes along as authorization_details
	// of this type, registered at the API whose identifier is Audience. Both empty: the binding message alone says what is
	// approved.
	Audience   string
	DetailType string
	// Style is how binding messages are written; "" is a sentence.
	Style Style
}

// Request is one question to one person.
type Request struct {
	Subject     string // whose phone: the Auth0 sub
	Message     Message
	Instruction string // the whole sentence, for rich authorization requests
	Expiry      time.Duration
}

// Started is an accepted request.
type Started struct {
	AuthReqID secret.String
	Expiry    time.Duration // how long Auth0 waits for the answer: as asked or shorter, never longer
	Interval  time.Duration // how long to wait before the first poll
}

const (
	sayNoPush  = "Your phone cannot be asked: no push notifications are set up for your account. Enrol the Auth0 Guardian app, then ask again; nothing was changed."
	sayPhone   = "The approval could not be sent to your phone. Please try again in a minute; nothing was changed."
	sayMessage = "Auth0 does not take the message for your phone: Steward is not set up right for it. Please tell your administrator; nothing was changed."
	sayTooFew  = "Your phone was asked too often within the last minute. Please wait a minute, then ask again; nothing was changed."
)

// Start sends the push.
func (c *Client) Start(ctx context.Context, r Request) (Started, error) {
	hint, err := json.Marshal(struct {
		Format string `json:"format"`
		Issuer string `json:"iss"`
		Sub    string `json:"sub"`
	}{"iss_sub", c.Auth0.Issuer(), r.Subject})
	if err != nil {
		return Started{}, fmt.Errorf("ciba: login hint: %w", err)
	}
	form := url.Values{
		"scope":            {"openid"},
		"login_hint":       {string(hint)},
		"binding_message":  {r.Message.BindingMessage(c.Style)},
		"requested_expiry": {strconv.Itoa(int(r.Expiry / time.Second))},
	}
	if c.DetailType != "" {
		details, err := c.details(r)
		if err != nil {
			return Started{}, err
		}
		form.Set("authorization_details", string(details))
		form.Set("audience", c.Audience)
	}
	var wire struct {
		AuthReqID string  `json:"auth_req_id"`
		ExpiresIn float64 `json:"expires_in"`
		Interval  float64 `json:"interval"`
	}
	if err := c.Auth0.Form(ctx, auth0.EndpointBackchannel, form, &wire); err != nil {
		return Started{}, startFault(fmt.Errorf("start ciba: %w", err))
	}
	if wire.AuthReqID == "" {
		return Started{}, fault.New(fault.Upstream, sayPhone, errors.New("start ciba: the answer has no auth_req_id"))
	}
	s := Started{AuthReqID: secret.New(wire.AuthReqID), Expiry: r.Expiry, Interval: defaultInterval}
	if wire.ExpiresIn > 0 {
		s.Expiry = shorter(wire.ExpiresIn, r.Expiry)
	}
	if wire.Interval > 0 {
		s.Interval = clamp(shorter(wire.Interval, maxInterval))
	}
	return s, nil
}

// shorter is the lesser of a number of seconds that a server sent, however large, and a duration.
func shorter(seconds float64, d time.Duration) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), float64(d)))
}

func clamp(d time.Duration) time.Duration { return min(max(d, time.Second), maxInterval) }

func startFault(err error) error {
	e, ok := errors.AsType[*auth0.Error](err)
	switch {
	case !ok:
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return f
		}
		return fault.New(fault.Upstream, sayPhone, err)
	case e.RateLimited():
		return fault.New(fault.Conflict, sayTooFew, err)
	case messageRefused(e):
		return fault.New(fault.Internal, sayMessage, err)
	case e.Code == "invalid_request":
		return fault.New(fault.Conflict, sayNoPush, err)
	case e.Code == "unknown_user_id":
		return fault.New(fault.Unauthenticated, "Auth0 does not know your account any more. Please sign in again.", err)
	}
	return auth0.Fault(err)
}

// Outcome is how a request stands.
type Outcome string

// The outcomes of a poll.
const (
	Waiting  Outcome = "waiting"  // nobody has answered yet
	Approved Outcome = "approved" // by the very person who was asked
	Refused  Outcome = "refused"  // denied or expired; the clock tells which
	Expired  Outcome = "expired"  // nobody answered in time, in the words of CIBA Core section 11
	// Lost means that Auth0 no longer knows the request, although nobody refused it: an earlier poll was answered and the
	// answer did not reach us. What it said cannot be known, so it counts for nothing.
	Lost Outcome = "lost"
)

// Answer is one poll's.
type Answer struct {
	Outcome  Outcome
	Interval time.Duration // how long to wait before the next poll
}

// Poll asks once how r stands. Approved is returned only for an id_token that verifies, names the subject and was issued
// after started, and for authorization details, where Auth0 tells them, that are those of r; the token is then dropped.
// An error means that Auth0 could not be asked: poll again.
func (c *Client) Poll(ctx context.Context, authReqID secret.String, r Request, started time.Time, interval time.Duration) (Answer, error) {
	tokens, err := c.Auth0.Token(ctx, url.Values{"grant_type": {grant}, "auth_req_id": {authReqID.Reveal()}})
	if err != nil {
		return pollAnswer(fmt.Errorf("poll ciba: %w", err), interval)
	}
	id, err := c.Auth0.VerifyIDToken(ctx, tokens.IDToken)
	if err != nil {
		if fault.KindOf(err) == fault.Upstream {
			return Answer{Outcome: Lost, Interval: interval}, nil // the keys could not be had; the answer is used up
		}
		return Answer{}, rejected(err)
	}
	if r.Subject == "" || id.Subject == "" || subtle.ConstantTimeCompare([]byte(id.Subject), []byte(r.Subject)) != 1 {
		return Answer{}, rejected(errors.New("the approval is another person's"))
	}
	if id.IssuedAt.Before(started.Add(-skew)) {
		return Answer{}, rejected(errors.New("the approval is older than the request"))
	}
	if err := c.checkDetails(r, tokens.AuthorizationDetails); err != nil {
		return Answer{}, rejected(err)
	}
	return Answer{Outcome: Approved}, nil
}

// checkDetails compares what was approved with what was asked. A request that was sent before details were configured has
// none, and Auth0 may tell more than it was told (RFC 9396 section 7.1).
func (c *Client) checkDetails(r Request, told json.RawMessage) error {
	if c.DetailType == "" || len(told) == 0 || string(told) == "null" {
		return nil
	}
	details, err := c.details(r)
	if err != nil {
		return err
	}
	var asked, approved any
	if err := errors.Join(json.Unmarshal(details, &asked), json.Unmarshal(told, &approved)); err != nil {
		return fmt.Errorf("authorization details: %w", err)
	}
	if !holds(approved, asked) {
		return errors.New("another change was approved than the one asked for")
	}
	return nil
}

// holds says whether all of part is in whole, both decoded JSON.
func holds(whole, part any) bool {
	switch part := part.(type) {
	case map[string]any:
		w, ok := whole.(map[string]any)
		for name, value := range part {
			ok = ok && holds(w[name], value)
		}
		return ok
	case []any:
		w, ok := whole.([]any)
		ok = ok && len(w) == len(part)
		for i := range part {
			ok = ok && holds(w[i], part[i])
		}
		return ok
	}
	return whole == part
}

// rejected is an approval that does not prove what it should. It is final: there is nothing to poll for again.
func rejected(cause error) error {
	return fault.New(fault.Rejected, "The approval did not come from you, so nothing was changed.", cause)
}

func pollAnswer(err error, interval time.Duration) (Answer, error) {
	e, ok := errors.AsType[*auth0.Error](err)
	if !ok {
		return Answer{}, auth0.Fault(err)
	}
	switch {
	case e.Code == "authorization_pending":
		return Answer{Outcome: Waiting, Interval: clamp(interval)}, nil
	case e.Code == "slow_down":
		wait := max(e.Interval, e.RetryAfter)
		if wait <= 0 {
			wait = interval + slowerBy
		}
		return Answer{Outcome: Waiting, Interval: clamp(max(wait, interval))}, nil
	case e.RateLimited():
		return Answer{Outcome: Waiting, Interval: clamp(max(e.RetryAfter, interval+slowerBy))}, nil
	case e.Misconfigured():
		return Answer{}, auth0.Fault(err)
	case e.Code == "access_denied":
		return Answer{Outcome: Refused}, nil
	case e.Code == "expired_token":
		return Answer{Outcome: Expired}, nil
	case e.Code == "invalid_grant":
		return Answer{Outcome: Lost, Interval: clamp(interval)}, nil
	}
	return Answer{}, auth0.Fault(err)
}
