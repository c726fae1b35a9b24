// Package fleet describes the Lambda functions: the name, environment, limits and permissions of each.
package fleet

import (
	"time"

	"github.com/steward-iam/steward/shared/catalogue"
)

// The functions. A name is also the folder under functions/ and the bundle build/<name>.zip.
const (
	OktaGroups     = catalogue.GroupOkta
	CIBA           = catalogue.GroupCIBA
	FGAAuthorizer  = "fga-authorizer"
	Chat           = "chat"
	ApprovalWorker = "approval-worker"
)

// Env is one environment key. What its value is, the stack resolves to a CloudFormation value and the laptop to one of its own.
type Env struct {
	Key   string
	Value string // the value in words, for the documents
	// Only names the agent runtime ("classic" or "harness") that needs the key; "" for both.
	Only string
	// Optional keys may be left out.
	Optional bool
}

// Access is one thing a function may do to one of our own resources. It becomes an IAM statement, and nothing else does.
type Access struct {
	Resource Resource
	Actions  []string
	// Attributes, where there are any, are those of a table that these actions may name: in an item, a key, an expression or
	// a condition. A read is then of these attributes alone, never of whole items.
	Attributes []string
	// Only names the agent runtime that needs it; "" for both.
	Only string
}

// Resource is one of our own resources.
type Resource string

// The resources.
const (
	ResourceSessions      Resource = "session table"
	ResourceSessionsIndex Resource = "session table, index by owner"
	ResourceAudit         Resource = "audit table"
	ResourceAuth0Secret   Resource = "Auth0 client secret" //nolint:gosec // the words for it, not the thing
	ResourceFGASecret     Resource = "FGA client secret"   //nolint:gosec // the words for it, not the thing
	ResourceTokenKey      Resource = "token key"
	ResourceApprovalKey   Resource = "approval key"
	ResourceAuditKey      Resource = "audit key"
	ResourceQueue         Resource = "approval queue"
	ResourceAuthorizer    Resource = "function fga-authorizer"
	ResourceOktaGroups    Resource = "function okta-groups"
	ResourceCIBA          Resource = "function ciba"
	ResourceAgentAlias    Resource = "agent alias"
	ResourceHarness       Resource = "harness"
	ResourceBaseURL       Resource = "base URL parameter"
)

// Function describes one Lambda function.
type Function struct {
	Name        string
	Description string
	MemoryMB    int
	Timeout     time.Duration
	Env         []Env
	Access      []Access
	// ActionGroup says that the agent calls it (classic), or the chat on the agent's behalf (harness).
	ActionGroup bool
	// Web says that it answers HTTP at a function URL with response streaming.
	Web bool
	// Queue says that the approval queue feeds it, BatchSize messages at a time with partial batch answers.
	Queue     bool
	BatchSize int
}

// Queue is the approval queue.
type Queue struct {
	VisibilityTimeout time.Duration
	Retention         time.Duration
	MaxReceives       int // then the message goes to the dead-letter queue
}

// Signal is something the functions' logs tell that somebody should hear of when it happens often. The logs are JSON;
// a line counts where the field has one of the values, in which a star stands for anything.
type Signal struct {
	Name        string
	Description string
	Functions   []string
	Field       string
	Values      []string
	// Threshold in Window raises the alarm.
	Threshold int
	Window    time.Duration
}

// Fleet is the whole of it.
type Fleet struct {
	Functions []Function
	Queue     Queue
	Signals   []Signal
}

var (
	identity = []Env{
		{Key: "SESSION_TABLE_NAME", Value: "session table name"},
		{Key: "AUDIT_TABLE_NAME", Value: "audit table name"},
		{Key: "AUTH0_ISSUER_URL", Value: "Auth0 issuer URL"},
		{Key: "AUTH0_CLIENT_ID", Value: "Auth0 client id"},
		{Key: "AUTH0_CLIENT_SECRET_ARN", Value: "Auth0 client secret ARN"},
		{Key: "AUTH0_CONNECTION_NAME", Value: "Auth0 connection name"},
		{Key: "TOKEN_KEY_SECRET_ARN", Value: "token key secret ARN"},
		{Key: "AUDIT_KEY_SECRET_ARN", Value: "audit key secret ARN"},
		{Key: "OKTA_ORG_URL", Value: "Okta org URL"},
	}
	authorization = []Env{
		{Key: "FGA_AUTHORIZER_FUNCTION_NAME", Value: "name of fga-authorizer"},
		{Key: "FGA_USER_CLAIM", Value: "claim that names the FGA user"},
	}
	// signIn is for telling people where to sign in.
	signIn = []Env{
		{Key: "APP_BASE_URL", Value: "base URL of the app", Optional: true},
		{Key: "APP_BASE_URL_PARAMETER", Value: "name of the parameter that holds the base URL", Optional: true},
		{Key: "CONSOLE_LINKING", Value: "whether console sessions may be linked", Optional: true},
	}
	secrets = []Access{
		{Resource: ResourceAuth0Secret, Actions: []string{"secretsmanager:GetSecretValue"}},
		{Resource: ResourceTokenKey, Actions: []string{"secretsmanager:GetSecretValue"}},
		{Resource: ResourceAuditKey, Actions: []string{"secretsmanager:GetSecretValue"}},
	}
	baseURL   = Access{Resource: ResourceBaseURL, Actions: []string{"ssm:GetParameter"}}
	record    = Access{Resource: ResourceAudit, Actions: []string{"dynamodb:PutItem"}, Attributes: newEntry}
	chain     = Access{Resource: ResourceAudit, Actions: []string{"dynamodb:Query"}, Attributes: newestLink}
	authorize = Access{Resource: ResourceAuthorizer, Actions: []string{"lambda:InvokeFunction"}}
	approve   = Access{Resource: ResourceApprovalKey, Actions: []string{"secretsmanager:GetSecretValue"}}
)

// phone is for the functions that ask it, and alone say what was approved.
var phone = []Env{
	{Key: "APPROVAL_KEY_SECRET_ARN", Value: "approval key secret ARN"},
	{Key: "APPROVAL_QUEUE_URL", Value: "approval queue URL"},
	{Key: "APPROVALS_MESSAGE", Value: "how a push is written: `sentence` or `token`", Optional: true},
	{Key: "APPROVALS_API", Value: "identifier of the API for rich authorization requests", Optional: true},
	{Key: "APPROVALS_DETAIL_TYPE", Value: "type of their authorization details", Optional: true},
}

func env(parts ...[]Env) (all []Env) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Steward is the fleet.
func Steward() Fleet {
	return Fleet{
		Queue: Queue{VisibilityTimeout: 3 * time.Minute, Retention: 4 * 24 * time.Hour, MaxReceives: 20},
		Signals: []Signal{
			{
				Name: "CouldNotAskFGA", Description: "Permissions could not be checked, so people were refused.",
				Functions: []string{FGAAuthorizer}, Field: "level", Values: []string{"ERROR"}, Threshold: 3, Window: 5 * time.Minute,
			},
			{
				// A function answers a fault instead of failing, so Lambda's own count of errors does not see it.
				Name: "AnsweredWithOurFault", Description: "People are told that something went wrong on our side; the log says what.",
				Functions: []string{Chat, OktaGroups, CIBA, ApprovalWorker}, Field: "level", Values: []string{"ERROR"}, Threshold: 5, Window: 5 * time.Minute,
			},
			{
				Name: "DeniedBurst", Description: "Many requests were denied at once: a probe, or a permission that was lost.",
				Functions: []string{OktaGroups, CIBA, ApprovalWorker}, Field: "kind", Values: []string{"denied"}, Threshold: 20, Window: 5 * time.Minute,
			},
			{
				Name: "OktaRateLimited", Description: "Okta answers 429: too many requests.",
				Functions: []string{OktaGroups, CIBA, ApprovalWorker}, Field: "err", Values: []string{"*: rate_limited*"}, Threshold: 5, Window: 5 * time.Minute,
			},
			{
				Name: "ApprovalExpiring", Description: "Approvals expire unseen: pushes may not arrive.",
				Functions: []string{ApprovalWorker}, Field: "status", Values: []string{"expired"}, Threshold: 5, Window: time.Hour,
			},
			{
				Name: "ApprovalNotGenuine", Description: "An approval did not prove what it says, and was not carried out: a row was written by somebody else.",
				Functions: []string{ApprovalWorker}, Field: "message", Values: []string{"approval mark does not verify"}, Threshold: 1, Window: 5 * time.Minute,
			},
		},
		Functions: []Function{
			{
				Name: OktaGroups, Description: "Action group: reads Okta for the person who is signed in.",
				MemoryMB: 256, Timeout: 25 * time.Second, ActionGroup: true,
				Env: env(identity, authorization, signIn),
				Access: append([]Access{
					{Resource: ResourceSessions, Actions: []string{"dynamodb:GetItem"}},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:UpdateItem"}, Attributes: groupsUpdates},
					record, chain, authorize, baseURL,
				}, secrets...),
			},
			{
				Name: CIBA, Description: "Action group: elevated changes, approved on the person's phone.",
				MemoryMB: 256, Timeout: 25 * time.Second, ActionGroup: true,
				Env: env(identity, authorization, phone, signIn),
				Access: append([]Access{
					{Resource: ResourceSessions, Actions: []string{"dynamodb:GetItem"}},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:PutItem"}, Attributes: newApproval},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:UpdateItem"}, Attributes: cibaUpdates},
					{Resource: ResourceSessionsIndex, Actions: []string{"dynamodb:Query"}},
					{Resource: ResourceQueue, Actions: []string{"sqs:SendMessage"}},
					record, chain, authorize, approve, baseURL,
				}, secrets...),
			},
			{
				Name: FGAAuthorizer, Description: "May this user do this to that? Asks OpenFGA / Auth0 FGA.",
				MemoryMB: 256, Timeout: 8 * time.Second,
				Env: []Env{
					{Key: "FGA_API_URL", Value: "FGA API URL"},
					{Key: "FGA_STORE_ID", Value: "FGA store id"},
					{Key: "FGA_MODEL_ID", Value: "FGA model id"},
					{Key: "FGA_TOKEN_ISSUER_URL", Value: "FGA token issuer URL"},
					{Key: "FGA_AUDIENCE", Value: "FGA audience"},
					{Key: "FGA_CLIENT_ID", Value: "FGA client id"},
					{Key: "FGA_CLIENT_SECRET_ARN", Value: "FGA client secret ARN"},
				},
				Access: []Access{{Resource: ResourceFGASecret, Actions: []string{"secretsmanager:GetSecretValue"}}},
			},
			{
				Name: Chat, Description: "The web app: sign in, chat, approvals, activity.",
				MemoryMB: 512, Timeout: 120 * time.Second, Web: true,
				Env: env(identity, []Env{
					{Key: "AGENT_RUNTIME", Value: "agent runtime"},
					{Key: "BEDROCK_AGENT_ID", Value: "Bedrock agent id", Only: "classic"},
					{Key: "BEDROCK_AGENT_ALIAS_ID", Value: "Bedrock agent alias id", Only: "classic"},
					{Key: "HARNESS_ARN", Value: "harness ARN", Only: "harness"},
					{Key: "OKTA_GROUPS_FUNCTION_NAME", Value: "name of okta-groups", Only: "harness"},
					{Key: "CIBA_FUNCTION_NAME", Value: "name of ciba", Only: "harness"},
					{Key: "APP_BASE_URL", Value: "base URL of the app", Optional: true},
					{Key: "APP_BASE_URL_PARAMETER", Value: "name of the parameter that holds the base URL", Optional: true},
					{Key: "CONSOLE_LINKING", Value: "whether console sessions may be linked", Optional: true},
				}),
				Access: append([]Access{
					{Resource: ResourceSessions, Actions: []string{"dynamodb:GetItem"}},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:PutItem"}, Attributes: newSession},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:UpdateItem"}, Attributes: chatUpdates},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:DeleteItem"}, Attributes: rowKey},
					{Resource: ResourceSessionsIndex, Actions: []string{"dynamodb:Query"}},
					record,
					{Resource: ResourceAudit, Actions: []string{"dynamodb:Query"}},
					baseURL,
					{Resource: ResourceAgentAlias, Actions: []string{"bedrock:InvokeAgent"}, Only: "classic"},
					{Resource: ResourceHarness, Actions: []string{"bedrock-agentcore:InvokeHarness", "bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"}, Only: "harness"},
					{Resource: ResourceOktaGroups, Actions: []string{"lambda:InvokeFunction"}, Only: "harness"},
					{Resource: ResourceCIBA, Actions: []string{"lambda:InvokeFunction"}, Only: "harness"},
				}, secrets...),
			},
			{
				Name: ApprovalWorker, Description: "In the background: waits for approvals, then carries out what was approved.",
				MemoryMB: 256, Timeout: 30 * time.Second, Queue: true, BatchSize: 5,
				Env: env(identity, authorization, phone),
				Access: append([]Access{
					{Resource: ResourceSessions, Actions: []string{"dynamodb:GetItem"}},
					{Resource: ResourceSessions, Actions: []string{"dynamodb:UpdateItem"}, Attributes: workerUpdates},
					{Resource: ResourceQueue, Actions: []string{"sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}},
					record, chain, authorize, approve,
				}, secrets...),
			},
		},
	}
}

// Function finds a function by name.
func (f Fleet) Function(name string) (Function, bool) {
	for _, fn := range f.Functions {
		if fn.Name == name {
			return fn, true
		}
	}
	return Function{}, false
}

// Grants are what a function may do under an agent runtime.
func (fn Function) Grants(runtime string) (access []Access) {
	for _, a := range fn.Access {
		if a.Only == "" || a.Only == runtime {
			access = append(access, a)
		}
	}
	return access
}

// Keys are the environment keys a function gets under an agent runtime.
func (fn Function) Keys(runtime string) (keys []Env) {
	for _, e := range fn.Env {
		if e.Only == "" || e.Only == runtime {
			keys = append(keys, e)
		}
	}
	return keys
}
