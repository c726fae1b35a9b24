package auth0test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Push is a back-channel request as the person's phone sees it.
type Push struct {
	ID             string          `json:"id"` // the transaction, cns_…; never the auth_req_id
	User           string          `json:"user"`
	Email          string          `json:"email"`
	Client         string          `json:"client"`
	Channel        string          `json:"channel"` // guardian-push | email
	BindingMessage string          `json:"binding_message"`
	Details        json.RawMessage `json:"authorization_details,omitempty"`
	Status         string          `json:"status"` // pending | approved | denied | expired
	CreatedAt      time.Time       `json:"created_at"`
	ExpiresAt      time.Time       `json:"expires_at"`
}

// States of a push.
const (
	pending  = "pending"
	approved = "approved"
	denied   = "denied"
	expired  = "expired"
)

// backchannel is a request with its poll state.
type backchannel struct {
	Push
	authReqID string
	clientID  string
	scope     []string
	audience  string
	interval  time.Duration // what the client must wait now; grows with every offence
	polled    time.Time     // last poll, or the start
	used      bool
}

var bindingMessage = regexp.MustCompile(`^[A-Za-z0-9 +\-_.,:#]{1,64}$`)

// backchannelAuthorize is POST /bc-authorize, checked in this order: client, grant, openid, binding_message, login_hint,
// requested_expiry, authorization_details and audience, channel, pushes a minute.
func (t *Tenant) backchannelAuthorize(w http.ResponseWriter, r *http.Request) {
	b, fault := t.startBackchannel(r)
	if fault != nil {
		fault.write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"auth_req_id": b.authReqID, "expires_in": int(b.ExpiresAt.Sub(b.CreatedAt).Seconds()), "interval": seconds(b.interval),
	})
}

func (t *Tenant) startBackchannel(r *http.Request) (*backchannel, *oauthError) {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); media != "application/x-www-form-urlencoded" {
		return nil, refuse(400, "invalid_request", "The body must be application/x-www-form-urlencoded")
	}
	form, fault := readForm(r)
	if fault != nil {
		return nil, fault
	}
	c, fault := t.authenticate(r, form)
	if fault != nil {
		return nil, fault
	}
	if fault := t.allowed(c, GrantCIBA); fault != nil {
		return nil, fault
	}
	asked := strings.Fields(form.Get("scope"))
	if !slices.Contains(asked, "openid") {
		return nil, refuse(400, "invalid_request", "openid scope must be requested")
	}
	if form.Get("binding_message") == "" {
		return nil, missing("binding_message")
	}
	if m := form.Get("binding_message"); !bindingMessage.MatchString(m) || t.settings.Guardian.RefuseBlanks && strings.Contains(m, " ") {
		return nil, refuse(400, "invalid_request", "binding_message must be at most 64 characters of A-Z a-z 0-9 + - _ . , : # and space")
	}
	p, fault := t.personOfHint(form.Get("login_hint"))
	if fault != nil {
		return nil, fault
	}
	life := 300
	if form.Has("requested_expiry") {
		var err error
		if life, err = strconv.Atoi(form.Get("requested_expiry")); err != nil || life < 1 || life > 259200 {
			return nil, refuse(400, "invalid_request", "requested_expiry must be between 1 and 259200")
		}
	}
	if limit := seconds(t.opts.PushExpiry); limit > 0 {
		life = min(life, limit)
	}
	audience := form.Get("audience")
	details, fault := t.checkDetails(c, audience, form.Get("authorization_details"))
	if fault != nil {
		return nil, fault
	}
	scope, fault := t.grantable(c, audience, asked, "user")
	if fault != nil {
		return nil, fault
	}
	channel := t.channel(c, p, life)
	if channel == "" {
		return nil, refuse(400, "invalid_request", "The user does not have push notifications enabled")
	}
	now := t.now()
	recent := slices.DeleteFunc(t.state.asked[p.Sub], func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if t.opts.PushLimit > 0 && len(recent) >= t.opts.PushLimit {
		return nil, t.tooMany(seconds(recent[0].Add(time.Minute).Sub(now)))
	}
	t.state.asked[p.Sub] = append(recent, now)

	b := &backchannel{
		Push: Push{
			ID: "cns_" + opaque(16)[:22], User: p.Sub, Email: p.Email, Client: cmp.Or(c.Name, c.ID), Channel: channel,
			BindingMessage: form.Get("binding_message"), Details: details, Status: pending,
			CreatedAt: now, ExpiresAt: now.Add(time.Duration(life) * time.Second),
		},
		authReqID: opaque(48), clientID: c.ID, scope: scope, audience: audience, interval: t.opts.PollInterval, polled: now,
	}
	t.state.requests[b.authReqID] = b
	t.state.pushes = append(t.state.pushes, b)
	return b, nil
}

// personOfHint reads a login_hint of the only format there is: {"format":"iss_sub","iss":…,"sub":…}.
func (t *Tenant) personOfHint(hint string) (*Person, *oauthError) {
	if hint == "" {
		return nil, missing("login_hint")
	}
	var v struct{ Format, Iss, Sub string }
	if err := json.Unmarshal([]byte(hint), &v); err != nil || v.Format != "iss_sub" {
		return nil, refuse(400, "invalid_request", "login_hint must be a JSON object of format iss_sub")
	}
	if v.Iss != t.issuer {
		return nil, refuse(400, "invalid_request", "login_hint.iss is not the issuer of this tenant")
	}
	p := t.settings.People[v.Sub]
	if p == nil {
		return nil, refuse(400, "unknown_user_id", "User ID is malformed or unknown")
	}
	return p, nil
}

// channel picks how the person is reached: a push within five minutes, an e-mail for longer or in its stead.
func (t *Tenant) channel(c *Client, p *Person, life int) string {
	channels := c.NotificationChannels
	if len(channels) == 0 {
		channels = []string{ChannelPush}
	}
	if life <= 300 && slices.Contains(channels, ChannelPush) && t.settings.Guardian.PushEnabled && p.PushEnrolled {
		return ChannelPush
	}
	if slices.Contains(channels, ChannelEmail) && p.EmailVerified {
		return ChannelEmail
	}
	return ""
}

const (
	auth0Schema  = "urn:auth0:schemas:authorization-details:v1:"
	detailsLimit = 5 << 10
)

var propertyName = regexp.MustCompile(`^[A-Za-z0-9_.\-]{1,255}$`)

// checkDetails checks rich authorization details (RFC 9396): types the API registered, small, and one object only in the schema that
// the stock Guardian app can show.
func (t *Tenant) checkDetails(c *Client, audience, raw string) (json.RawMessage, *oauthError) {
	if raw == "" {
		return nil, nil
	}
	invalid := func(why string) *oauthError { return refuse(400, "invalid_authorization_details", why) }
	var list []map[string]any
	if err := json.Unmarshal([]byte(raw), &list); err != nil || len(list) == 0 || len(list) > 5 || len(raw) > detailsLimit {
		return nil, invalid("authorization_details must be a JSON array of one to five objects of at most 5 KB")
	}
	api := t.settings.APIs[audience]
	if audience == "" || api == nil {
		return nil, refuse(400, "invalid_request", "authorization_details needs the audience of an API")
	}
	grant := t.settings.grant(c.ID, audience, "user")
	for _, d := range list {
		kind, _ := d["type"].(string)
		if !slices.Contains(api.AuthorizationDetails, DetailsType{kind}) ||
			(api.SubjectTypes.User.Policy == RequireClientGrant && (grant == nil || !slices.Contains(grant.DetailsTypes, kind))) {
			return nil, invalid("Unknown authorization_details type")
		}
		if !small(d, 1) {
			return nil, invalid("authorization_details has too many, too long or too deep properties")
		}
		if strings.HasPrefix(kind, auth0Schema) {
			instruction, _ := d["instruction"].(string)
			properties, _ := d["properties"].(map[string]any)
			if len(list) != 1 || instruction == "" || properties == nil {
				return nil, invalid("This type takes exactly one object with instruction and properties")
			}
		}
	}
	compact, _ := json.Marshal(list) // it was JSON a moment ago
	return compact, nil
}

// small is Auth0's limit on one object: ten properties, names and values of 255, five levels.
func small(v any, depth int) bool {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 10 || depth > 5 {
			return false
		}
		for name, value := range v {
			if !propertyName.MatchString(name) || !small(value, depth+1) {
				return false
			}
		}
	case []any:
		for _, value := range v {
			if !small(value, depth+1) {
				return false
			}
		}
	case string:
		return len(v) <= 255
	}
	return true
}

// poll is the CIBA grant.
func (t *Tenant) poll(c *Client, form url.Values) (*tokens, *oauthError) {
	if form.Get("auth_req_id") == "" {
		return nil, missing("auth_req_id")
	}
	b := t.state.requests[form.Get("auth_req_id")]
	if b == nil || b.clientID != c.ID || b.used {
		return nil, refuse(400, "invalid_grant", "The auth_req_id is invalid")
	}
	pendingStatus, slowStatus := 400, 400
	if t.opts.PollStatus == PollStatusDevice {
		pendingStatus, slowStatus = 403, 429
	}
	now := t.now()
	early := now.Before(b.polled.Add(b.interval))
	b.polled = now
	switch t.age(b); b.Status {
	case denied, expired:
		if b.Status == expired && t.opts.SpecExpiry {
			return nil, refuse(400, "expired_token", "The auth_req_id has expired")
		}
		return nil, refuse(pendingStatus, "access_denied", "The end-user denied the authorization request or it has been expired")
	}
	if early {
		b.interval += t.opts.PollInterval
		wait := seconds(b.interval)
		return nil, &oauthError{
			Status: slowStatus, Code: "slow_down", Interval: wait, retryAfter: wait,
			Description: fmt.Sprintf("You are polling faster than allowed. Try again in %d seconds.", wait),
		}
	}
	if b.Status == pending {
		return nil, refuse(pendingStatus, "authorization_pending", "The end-user authorization is pending")
	}
	p := t.settings.People[b.User]
	if p == nil {
		return nil, refuse(400, "invalid_grant", "The auth_req_id is invalid")
	}
	b.used = true
	answer := t.issue(c, p, b.audience, b.scope, "", b.Details)
	answer.IDToken = t.idToken(c, p, b.scope, nil, "", false)
	if slices.Contains(b.scope, "offline_access") {
		answer.RefreshToken = t.newRefreshToken(c, p, b.audience, b.scope, "")
	}
	return answer, nil
}

// age moves a request whose time is over to expired.
func (t *Tenant) age(b *backchannel) {
	if (b.Status == pending || (b.Status == approved && !b.used)) && !t.now().Before(b.ExpiresAt) {
		b.Status = expired
	}
}

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Pushes lists all back-channel requests, oldest first.
func (t *Tenant) Pushes() []Push {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pushes("")
}

func (t *Tenant) pushes(email string) []Push {
	all := []Push{}
	for _, b := range t.state.pushes {
		t.age(b)
		if email == "" || strings.EqualFold(email, b.Email) {
			all = append(all, b.Push)
		}
	}
	return all
}

// Decide answers a push for the person, as their phone would; decision is "approve" or "deny". The id is a push's, or the auth_req_id.
func (t *Tenant) Decide(id, decision string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.decide(id, decision)
}

func (t *Tenant) decide(id, decision string) error {
	b, err := t.open(id)
	if err != nil {
		return err
	}
	switch decision {
	case "approve":
		b.Status = approved
	case "deny":
		b.Status = denied
	default:
		return fmt.Errorf("auth0test: decision %q is neither approve nor deny", decision)
	}
	t.log.Info("push decided", "push_id", b.ID, "status", b.Status)
	return nil
}

// Expire ends a push before its time.
func (t *Tenant) Expire(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.open(id)
	if err != nil {
		return err
	}
	b.ExpiresAt = t.now()
	t.age(b)
	return nil
}

// open finds a push nobody has decided.
func (t *Tenant) open(id string) (*backchannel, error) {
	for _, b := range t.state.pushes {
		if b.ID == id || b.authReqID == id {
			if t.age(b); b.Status != pending {
				return nil, fmt.Errorf("auth0test: push %s is already %s", b.ID, b.Status)
			}
			return b, nil
		}
	}
	return nil, fmt.Errorf("auth0test: no push %q", id)
}
