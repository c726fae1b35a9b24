// Package settings reads the context of cdk.json and of the command line as typed values, and names every fault at
// once.
//
// cdk.json holds one object for each stage, under the stage's name; a key given on the command line (`-c key=value`)
// goes before it. The package imports neither the CDK nor an SDK, so that whatever deploys can ask it first.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fga"
)

// Stage decides what is kept: a prod stack retains its data, is protected from deletion and refuses conveniences.
type Stage string

// The stages.
const (
	Dev  Stage = "dev"
	Prod Stage = "prod"
)

// Agent is the runtime the agent lives in. A stack has one and nothing of the other.
type Agent string

// The agent runtimes.
const (
	Classic Agent = "classic" // AWS::Bedrock::Agent; closed to accounts that never used it
	Harness Agent = "harness" // AWS::BedrockAgentCore::Harness
)

// Memory says what a harness keeps of a conversation besides the running session.
type Memory string

// The memories.
const (
	// MemoryDisabled keeps nothing: a conversation ends with its session.
	MemoryDisabled Memory = "disabled"
	// MemoryManaged keeps the turns of a session, and summaries of them, for a few days.
	MemoryManaged Memory = "managed"
)

// Settings is one deployment.
type Settings struct {
	Name  string // of the installation; with the stage it names the stack
	Stage Stage
	Agent Agent

	Auth0Issuer     *url.URL
	Auth0ClientID   string
	Auth0Connection string
	OktaOrg         *url.URL

	FGA           *url.URL
	FGAStore      string
	FGAModel      string
	FGAIssuer     *url.URL
	FGAAudience   string
	FGAClientID   string
	FGAUserClaim  string
	Model         Model
	Guardrail     Guardrail // zero: none
	HarnessMemory Memory

	ApprovalsAPI        string // the API of rich authorization requests; with
	ApprovalsDetailType string // their type, or neither
	ApprovalsMessage    string // how a push is written: sentence or token

	BaseURL          *url.URL // nil: the function URL's own
	SessionTableName string   // "": CloudFormation names it
	ConsoleLinking   bool
	// ReservedConcurrency by function name: what is kept for a function, and the most it may use.
	ReservedConcurrency map[string]int
	// QueueConcurrency is how many workers the queue calls at once; 0 sets no maximum.
	QueueConcurrency int
	AlarmEmail       string
	LogRetentionDays int
}

// Guardrail is a Bedrock guardrail that exists already.
type Guardrail struct{ ID, Version string }

// StackName is the stack's name and the prefix of all it names.
func (s Settings) StackName() string { return s.Name + "-" + string(s.Stage) }

// keys are all the keys there are. A key of a stage's object that is not among them is a fault: it would be a typo.
var keys = []string{
	"name", "auth0IssuerUrl", "auth0ClientId", "auth0Connection", "oktaOrgUrl",
	"fgaApiUrl", "fgaStoreId", "fgaModelId", "fgaTokenIssuerUrl", "fgaAudience", "fgaClientId", "fgaUserClaim",
	"approvalsApi", "approvalsDetailType", "approvalsMessage",
	"model", "modelRegions", "guardrailId", "guardrailVersion", "harnessMemory",
	"baseUrl", "sessionTableName", "consoleLinking", "reservedConcurrency", "queueConcurrency", "alarmEmail", "logRetentionDays",
}

// Keys are the keys of the context that are read, "stage" and "agent" first.
func Keys() []string { return append([]string{"stage", "agent"}, keys...) }

var (
	namePattern      = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	wordPattern      = regexp.MustCompile(`^[!-~]{1,255}$`)
	tablePattern     = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)
	idPattern        = regexp.MustCompile(`^[A-Za-z0-9_.|-]{1,128}$`)
	guardrailPattern = regexp.MustCompile(`^[a-z0-9]{1,64}$`)
	versionPattern   = regexp.MustCompile(`^([1-9][0-9]{0,7}|DRAFT)$`)
	retentions       = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827}
)

const maxName = 24 // a harness name has at most 40 characters, and the stage is part of it

// Parse reads the context through lookup. Its error joins every fault found.
func Parse(lookup func(key string) any) (Settings, error) {
	r := &reader{lookup: lookup}
	s := Settings{
		Stage: Stage(r.enum("stage", "", string(Dev), string(Prod))),
		Agent: Agent(r.enum("agent", string(Classic), string(Classic), string(Harness))),
	}
	r.chooseStage(string(s.Stage))

	s.Name = r.match("name", "steward", namePattern, "lower-case words of letters and digits, joined by single hyphens")
	if len(s.Name) > maxName {
		r.fault("name", "has %d characters, want at most %d", len(s.Name), maxName)
	}
	s.Auth0Issuer = r.url("auth0IssuerUrl", true)
	s.Auth0ClientID = r.match("auth0ClientId", "", idPattern, "the client id that Auth0 shows")
	s.Auth0Connection = r.match("auth0Connection", "", idPattern, "the name of the Okta connection in Auth0")
	s.OktaOrg = r.url("oktaOrgUrl", true)

	s.FGA = r.url("fgaApiUrl", true)
	s.FGAStore = r.valid("fgaStoreId", "", fga.ValidID, "the 26 characters of a store id")
	s.FGAModel = r.valid("fgaModelId", "", fga.ValidID, "the 26 characters of an authorization model id")
	s.FGAIssuer = r.url("fgaTokenIssuerUrl", true)
	s.FGAAudience = r.text("fgaAudience", "")
	s.FGAClientID = r.match("fgaClientId", "", idPattern, "the client id that FGA shows")
	s.FGAUserClaim = r.enum("fgaUserClaim", "email", "email", "sub")

	s.approvals(r)

	s.Model = r.model()
	s.guardrail(r)
	s.HarnessMemory = Memory(r.enum("harnessMemory", string(MemoryManaged), string(MemoryManaged), string(MemoryDisabled)))

	s.BaseURL = r.url("baseUrl", false)
	if s.BaseURL != nil && strings.TrimSuffix(s.BaseURL.Path, "/") != "" {
		r.fault("baseUrl", "has the path %q, want none: the app lives at the root", s.BaseURL.Path)
	}
	if r.get("sessionTableName") != nil {
		s.SessionTableName = r.match("sessionTableName", "", tablePattern, "3 to 255 of A-Z a-z 0-9 _ . -")
	}
	s.ConsoleLinking = r.bool("consoleLinking")
	if s.ConsoleLinking && s.Stage == Prod {
		r.fault("consoleLinking", "is not for prod: whoever may use the console could borrow a person's session there")
	}
	s.ReservedConcurrency = r.concurrency(s.Stage)
	s.QueueConcurrency = r.queue(s.Stage)
	s.AlarmEmail = r.email("alarmEmail")
	s.LogRetentionDays = r.retention(s.Stage)
	return s, errors.Join(r.faults...)
}

func (s *Settings) guardrail(r *reader) {
	id, version := r.get("guardrailId"), r.get("guardrailVersion")
	if id == nil && version == nil {
		return
	}
	s.Guardrail.ID = r.match("guardrailId", "", guardrailPattern, "a guardrail id")
	s.Guardrail.Version = r.match("guardrailVersion", "", versionPattern, "a number or DRAFT")
	if s.Agent == Harness {
		r.fault("guardrailId", "cannot be set on a harness by CloudFormation; use it with agent=classic, or leave it out")
	}
	if s.Guardrail.Version == "DRAFT" && s.Stage == Prod {
		r.fault("guardrailVersion", "is DRAFT, which may change unseen; prod wants a number")
	}
}

// approvals is how a push is written, and the pair that turns on rich authorization requests.
func (s *Settings) approvals(r *reader) {
	s.ApprovalsMessage = r.enum("approvalsMessage", "sentence", "sentence", "token")
	if r.get("approvalsApi") == nil && r.get("approvalsDetailType") == nil {
		return
	}
	s.ApprovalsAPI = r.match("approvalsApi", "", wordPattern, "the identifier of an API in Auth0")
	s.ApprovalsDetailType = r.match("approvalsDetailType", "", wordPattern, "the type of authorization details that API registers")
}

// Examples names the keys that still hold the example values of a fresh clone. Nothing can be deployed with those.
func Examples(lookup func(key string) any, stage Stage) (found []string) {
	r := &reader{lookup: lookup}
	r.chooseStage(string(stage))
	for _, key := range keys {
		if v, ok := r.get(key).(string); ok && (strings.Contains(v, "your-") || strings.Contains(v, "EXAMP1E")) {
			found = append(found, key)
		}
	}
	return found
}

// File reads the context of a cdk.json, with the given keys going before it.
func File(path string, given map[string]string) (func(key string) any, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the file is the project's own
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("read context of %s: %w", path, err)
	}
	for k, v := range given {
		file.Context[k] = v
	}
	return func(key string) any { return file.Context[key] }, nil
}

// reader collects faults.
type reader struct {
	lookup func(key string) any
	stage  map[string]any
	faults []error
}

func (r *reader) fault(key, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// chooseStage takes the object under the stage's name as the second place to look.
func (r *reader) chooseStage(stage string) {
	switch values := r.lookup(stage).(type) {
	case nil:
	case map[string]any:
		r.stage = values
	default:
		r.fault(stage, "want an object with the settings of this stage")
	}
	for _, key := range slices.Sorted(maps.Keys(r.stage)) {
		if !slices.Contains(keys, key) {
			r.fault(key, "is no setting; there are %s", strings.Join(keys, ", "))
		}
	}
}

// get is the value of a key, nil where it is not set or blank.
func (r *reader) get(key string) any {
	for _, v := range []any{r.lookup(key), r.stage[key]} {
		if text, ok := v.(string); v != nil && (!ok || strings.TrimSpace(text) != "") {
			return v
		}
	}
	return nil
}

func (r *reader) text(key, fallback string) string {
	switch v := r.get(key).(type) {
	case nil:
		if fallback == "" {
			r.fault(key, "is missing")
		}
		return fallback
	case string:
		return strings.TrimSpace(v)
	default:
		r.fault(key, "want a text")
		return ""
	}
}

func (r *reader) match(key, fallback string, pattern *regexp.Regexp, want string) string {
	return r.valid(key, fallback, pattern.MatchString, want)
}

func (r *reader) valid(key, fallback string, ok func(string) bool, want string) string {
	v := r.text(key, fallback)
	if v != "" && !ok(v) {
		r.fault(key, "is %q, want %s", v, want)
	}
	return v
}

func (r *reader) enum(key, fallback string, allowed ...string) string {
	v := r.text(key, fallback)
	if v != "" && !slices.Contains(allowed, v) {
		r.fault(key, "is %q, want one of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

// url is an address that a function in AWS can reach: https, and not this machine.
func (r *reader) url(key string, required bool) *url.URL {
	if !required && r.get(key) == nil {
		return nil
	}
	v := r.text(key, "")
	if v == "" {
		return nil
	}
	u, err := config.ParseURL(v)
	switch {
	case err != nil:
		r.fault(key, "%s", err)
	case config.Loopback(u.Hostname()):
		r.fault(key, "is this machine, which a function in AWS cannot reach")
	}
	return u
}

// bool is false where the key is not set. The command line has only texts.
func (r *reader) bool(key string) bool {
	switch v := r.get(key).(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b
		}
	}
	r.fault(key, "want true or false")
	return false
}

func (r *reader) email(key string) string {
	if r.get(key) == nil {
		return ""
	}
	v := r.text(key, "")
	if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
		r.fault(key, "want a plain e-mail address")
	}
	return v
}

func (r *reader) retention(stage Stage) int {
	days := 30
	if stage == Prod {
		days = 365
	}
	if r.get("logRetentionDays") == nil {
		return days
	}
	days, ok := r.integer(r.get("logRetentionDays"))
	if !ok || !slices.Contains(retentions, days) {
		r.fault("logRetentionDays", "want one of %v", retentions)
	}
	return days
}

// The bounds of prod, unless it says otherwise. Dev has none: an account new to Lambda can run ten functions at once, and
// has nothing to reserve.
const (
	prodChat  = 50 // turns that are answered at once, and all that strangers can occupy
	prodQueue = 10 // workers, each with up to a batch of approvals
)

func (r *reader) concurrency(stage Stage) map[string]int {
	value := r.get("reservedConcurrency")
	if text, ok := value.(string); ok {
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
	}
	if value == nil {
		if stage == Prod {
			return map[string]int{fleet.Chat: prodChat}
		}
		return nil
	}
	given, ok := value.(map[string]any)
	if !ok {
		r.fault("reservedConcurrency", `want an object such as {"approval-worker": 5}`)
		return nil
	}
	reserved := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		n, ok := r.integer(given[name])
		if _, known := fleet.Steward().Function(name); !known {
			r.fault("reservedConcurrency", "there is no function %q", name)
		} else if !ok || n < 1 || n > 1000 {
			r.fault("reservedConcurrency", "%s wants a whole number from 1 to 1000", name)
		}
		reserved[name] = n
	}
	return reserved
}

// queue reads the maximum concurrency of the queue's event source, which Lambda takes from 2 to 1000.
func (r *reader) queue(stage Stage) int {
	value := r.get("queueConcurrency")
	if value == nil {
		if stage == Prod {
			return prodQueue
		}
		return 0
	}
	n, ok := r.integer(value)
	if !ok || n != 0 && (n < 2 || n > 1000) {
		r.fault("queueConcurrency", "wants a whole number from 2 to 1000, or 0 for no maximum")
	}
	return n
}

func (r *reader) integer(v any) (int, bool) {
	switch v := v.(type) {
	case float64:
		return int(v), v == float64(int(v))
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return n, err == nil
	}
	return 0, false
}
