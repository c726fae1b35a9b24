// Package ciba asks a person on their phone for approval: Client-Initiated Backchannel Authentication (OpenID Connect
// CIBA Core 1.0) in poll mode.
//
// Start sends the push and returns; Poll asks once for the outcome. The caller polls again after [Answer.Interval].
//
// Auth0 answers a denial and an expiry with the same error, so [Refused] means either, and the caller decides by its clock. Where
// Auth0 uses the expiry error of the specification, the outcome is [Expired]. access_denied also means a wrong client secret
// (401) and a rate limit (429), so status and code are read together.
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

// Expiry is the time to answer a push. For more than 300 s, Auth0 sends an e-mail instead of a push.
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
	// Audience and DetailType turn on rich authorization requests (RFC 9396): the request then has the change as
	// authorization_details of this type, which is registered at the API with the identifier Audience. If both are empty, the
	// phone shows the binding message alone.
	Audience   string
	DetailType string
	// Style is the style of binding messages; "" is StyleSentence.
	Style Style
}

// Request asks one person to approve one change.
type Request struct {
	Subject     string // the person: the Auth0 sub
	Message     Message
	Instruction string // the whole sentence, for rich authorization requests
	Expiry      time.Duration
}

// Started is an accepted request.
type Started struct {
	AuthReqID secret.String
	Expiry    time.Duration // the time to answer: as requested or shorter
	Interval  time.Duration // before the first poll
}

const (
	sayNoPush  = "I cannot reach your phone: your account has no push notifications. Nothing has changed. Please enrol the Auth0 Guardian app, then ask again."
	sayPhone   = "I could not send the request to your phone. Nothing has changed. Please try again in a minute."
	sayMessage = "Auth0 refused the message for your phone: Steward is not set up correctly. Nothing has changed. Please tell your administrator."
	sayTooFew  = "Your phone got too many requests within a minute. Nothing has changed. Please ask again in a minute."
)

// Start sends the push. Errors: fault.Conflict if the person has no phone enrolled or was asked too often, fault.Unauthenticated
// if Auth0 does not know the person, fault.Upstream if Auth0 could not be asked, fault.Internal if the configuration is refused.
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

// shorter returns the lesser of a number of seconds from a server, however large, and a duration.
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

// Outcome is the state of a request.
type Outcome string

// The outcomes of a poll.
const (
	Waiting  Outcome = "waiting"  // not answered yet
	Approved Outcome = "approved" // by the person who was asked
	Refused  Outcome = "refused"  // denied or expired
	Expired  Outcome = "expired"  // not answered in time (CIBA Core section 11)
	// Lost means that Auth0 does not know the request any more, and has not refused it: the answer of an earlier poll did not
	// arrive. What it said is not known, so it is no approval.
	Lost Outcome = "lost"
)

// Answer is the result of one poll.
type Answer struct {
	Outcome  Outcome
	Interval time.Duration // before the next poll
}

// Poll asks once for the outcome of r. Approved needs an id_token that verifies, has the subject of r and was issued after
// started, and authorization details that contain those of r, if Auth0 returns any. The token is not kept. Errors: fault.Rejected
// if the approval does not prove that, which is final; after any other error the caller polls again.
func (c *Client) Poll(ctx context.Context, authReqID secret.String, r Request, started time.Time, interval time.Duration) (Answer, error) {
	tokens, err := c.Auth0.Token(ctx, url.Values{"grant_type": {grant}, "auth_req_id": {authReqID.Reveal()}})
	if err != nil {
		return pollAnswer(fmt.Errorf("poll ciba: %w", err), interval)
	}
	id, err := c.Auth0.VerifyIDToken(ctx, tokens.IDToken)
	if err != nil {
		if fault.KindOf(err) == fault.Upstream {
			return Answer{Outcome: Lost, Interval: interval}, nil // the keys could not be fetched; Auth0 gives its answer only once
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

// checkDetails checks that the approved authorization details contain those of r. A request that was sent before details were
// configured has none, and Auth0 may add to them (RFC 9396 section 7.1).
func (c *Client) checkDetails(r Request, raw json.RawMessage) error {
	if c.DetailType == "" || len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	details, err := c.details(r)
	if err != nil {
		return err
	}
	var asked, approved any
	if err := errors.Join(json.Unmarshal(details, &asked), json.Unmarshal(raw, &approved)); err != nil {
		return fmt.Errorf("authorization details: %w", err)
	}
	if !contains(approved, asked) {
		return errors.New("the approved change is not the requested one")
	}
	return nil
}

// contains reports whether whole contains all of part; both are decoded JSON.
func contains(whole, part any) bool {
	switch part := part.(type) {
	case map[string]any:
		w, ok := whole.(map[string]any)
		for name, value := range part {
			ok = ok && contains(w[name], value)
		}
		return ok
	case []any:
		w, ok := whole.([]any)
		ok = ok && len(w) == len(part)
		for i := range part {
			ok = ok && contains(w[i], part[i])
		}
		return ok
	}
	return whole == part
}

// rejected is the error for an approval that does not prove who approved what.
func rejected(cause error) error {
	return fault.New(fault.Rejected, "The approval did not come from you, so I changed nothing.", cause)
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
