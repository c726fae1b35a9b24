package faults

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one request as it was received.
type Request struct {
	Seq         int               `json:"seq"` // counts over all services of the engine
	At          time.Time         `json:"at"`
	Service     string            `json:"service"`
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Query       map[string]string `json:"query,omitempty"`
	Target      string            `json:"target,omitempty"`   // X-Amz-Target
	Resource    string            `json:"resource,omitempty"` // the table, queue, secret or parameter of an AWS call
	TokenSHA256 string            `json:"token_sha256,omitempty"`
	Form        map[string]string `json:"form,omitempty"` // of Auth0
	Body        json.RawMessage   `json:"body,omitempty"` // of Okta
	Status      int               `json:"status"`         // 0 while it is answered, and when the connection was dropped
	DurationMS  float64           `json:"duration_ms"`
	Fault       bool              `json:"fault,omitempty"` // a fault matched it

	RequestID string `json:"-"` // that the service gave it
	Actor     string `json:"-"` // of Okta: the id of the token's owner
	Detail    any    `json:"-"` // what the fake's Describe made of it
}

// NameOf is the name of a request, see [Request.Name].
func NameOf(r *http.Request) string {
	return Request{Method: r.Method, Path: r.URL.Path, Target: r.Header.Get("X-Amz-Target")}.Name()
}

// Name is the operation of an AWS call ("dynamodb PutItem", "lambda Invoke"), or method and path.
func (r Request) Name() string {
	if service, operation, ok := strings.Cut(r.Target, "."); ok {
		service, _, _ = strings.Cut(strings.ToLower(service), "_")
		return strings.TrimPrefix(service, "amazon") + " " + operation
	}
	if strings.HasPrefix(r.Path, "/2015-03-31/functions/") {
		return "lambda Invoke"
	}
	return r.Method + " " + r.Path
}

func (r Request) matches(part string) bool {
	return strings.Contains(r.Method+" "+r.Path, part) || strings.Contains(r.Target, part) || strings.Contains(r.Name(), part)
}

const maxLook = 1 << 20

func (e *Engine) tell(value string) {
	if e.Secret != nil && value != "" {
		e.Secret(value)
	}
}

// secrets are the fields that must never be seen elsewhere.
var secrets = []string{"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "subject_token", "token", "auth_req_id"}

// read keeps what is worth knowing of the body.
func (e *Engine) read(entry *Request, r *http.Request, body []byte) {
	if len(body) == 0 || r.Method == http.MethodGet {
		return
	}
	switch entry.Service {
	case Auth0:
		values := form(r.Header.Get("Content-Type"), body)
		for _, k := range secrets {
			e.tell(values.Get(k))
		}
		entry.Form = fields(values)
	case Okta:
		if json.Valid(body) {
			entry.Body = body
		}
	case AWS:
		if entry.Target != "" {
			var in struct{ TableName, QueueUrl, SecretId, Name string } //nolint:revive // as AWS spells them
			_ = json.Unmarshal(body, &in)                               // the service says what is wrong with it
			entry.Resource = cmp.Or(in.TableName, in.QueueUrl, in.SecretId, in.Name)
		}
	}
}

// form reads a form, or a flat JSON object.
func form(contentType string, body []byte) url.Values {
	if !strings.HasPrefix(contentType, "application/json") {
		values, _ := url.ParseQuery(string(body))
		return values
	}
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return nil
	}
	values := url.Values{}
	for k, v := range object {
		if s, ok := v.(string); ok {
			values.Set(k, s)
		} else {
			raw, _ := json.Marshal(v) // was JSON a moment ago
			values.Set(k, string(raw))
		}
	}
	return values
}

// open are the fields whose values are no secret. Every other value is shown as its digest.
var open = []string{
	"grant_type", "client_id", "redirect_uri", "response_type", "response_mode", "scope", "audience", "connection", "prompt",
	"subject_token_type", "requested_token_type", "code_challenge_method", "login_hint", "binding_message", "requested_expiry",
	"authorization_details", "returnTo", "token_type_hint", "scopes", "authorization_params",
	"after", "limit", "q", "search", "filter", "sortBy", "sortOrder", "sendEmail", "expand", "since", "until", "tempPassword",
	"harnessArn", "qualifier", "person", "decision",
}

func fields(values url.Values) map[string]string {
	if len(values) == 0 {
		return nil
	}
	all := map[string]string{}
	for k, v := range values {
		if all[k] = strings.Join(v, ","); !slices.Contains(open, k) && all[k] != "" {
			all[k] = "sha256:" + digest(all[k])
		}
	}
	return all
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
