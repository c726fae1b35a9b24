// Package stack defines the fleet as CloudFormation: functions, tables, queue, key, secrets, one agent runtime, alarms
// and a dashboard.
//
// It is written in first-level constructs: each policy says what infra/fleet says and no more, no construct brings
// custom resources or managed policies along, and every logical id is the id written here.
package stack

import (
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
)

// Logical ids. What holds data would be replaced, and the data lost, if its id changed.
const (
	key              = "Key"
	sessionTable     = "SessionTable"
	auditTable       = "AuditTable"
	auth0Secret      = "Auth0ClientSecret" //nolint:gosec // a logical id
	fgaSecret        = "FgaClientSecret"
	tokenKey         = "TokenKey"
	approvalKey      = "ApprovalKey"
	auditKey         = "AuditKey"
	queue            = "ApprovalQueue"
	deadLetters      = "ApprovalDeadLetters"
	baseURLParameter = "AppBaseUrl"
	chatURL          = "ChatUrl"
	agent            = "Agent"
	agentAlias       = "AgentAlias"
	agentRole        = "AgentRole"
	harness          = "Harness"
	harnessRole      = "HarnessRole"
	alarmTopic       = "AlarmTopic"
)

func functionID(name string) string { return camel(name) + "Function" }
func roleID(name string) string     { return camel(name) + "Role" }
func logGroupID(name string) string { return camel(name) + "Logs" }

func functionARN(name string) *string { return att(functionID(name), "Arn") }

// builder makes the resources of one deployment.
type builder struct {
	settings.Settings
	fleet   fleet.Fleet
	stack   awscdk.Stack
	bundles string
}

// New makes the stack. Bundles is the directory that holds <function>.zip.
func New(scope constructs.Construct, s settings.Settings, f fleet.Fleet, bundles string) awscdk.Stack {
	b := &builder{Settings: s, fleet: f, bundles: bundles}
	b.stack = awscdk.NewStack(scope, text(s.StackName()), &awscdk.StackProps{
		Description:           text("Steward: an identity-aware agent for Okta (" + string(s.Agent) + ", " + string(s.Stage) + ")"),
		AnalyticsReporting:    jsii.Bool(false),
		TerminationProtection: jsii.Bool(b.keeps()),
	})
	awscdk.Tags_Of(b.stack).Add(text("application"), text(s.Name), nil)
	awscdk.Tags_Of(b.stack).Add(text("stage"), text(string(s.Stage)), nil)

	b.key()
	b.tables()
	b.secrets()
	b.queue()
	for _, fn := range f.Functions {
		b.function(fn)
	}
	switch s.Agent {
	case settings.Classic:
		b.classic()
	case settings.Harness:
		b.harness()
	}
	b.watch()
	b.outputs()
	return b.stack
}

// keeps says whether data outlives the stack.
func (b *builder) keeps() bool { return b.Stage == settings.Prod }

// retain sets what happens to a resource that holds data when it leaves the stack.
func (b *builder) retain(r awscdk.CfnResource) {
	policy := awscdk.RemovalPolicy_DESTROY
	if b.keeps() {
		policy = awscdk.RemovalPolicy_RETAIN
	}
	r.ApplyRemovalPolicy(policy, nil)
}

func (b *builder) bundle(name string) *string { return text(filepath.Join(b.bundles, name+".zip")) }

// baseURL is the chat's address, without a slash at its end. No Host header is ever believed.
func (b *builder) baseURL() *string {
	if b.BaseURL != nil {
		return text("https://" + b.BaseURL.Host)
	}
	host := map[string]any{"Fn::Select": []any{2, map[string]any{"Fn::Split": []any{"/", att(chatURL, "FunctionUrl")}}}}
	return awscdk.Fn_Join(text(""), list(text("https://"), awscdk.Token_AsString(host, nil)))
}

// baseURLParameter is the name of the parameter that holds baseURL. It is spelt out, as a function cannot refer to
// what refers to the function.
func (b *builder) baseURLParameter() string { return "/" + b.StackName() + "/app-base-url" }

func (b *builder) outputs() {
	output := func(id, description string, value *string) {
		awscdk.NewCfnOutput(b.stack, text(id), &awscdk.CfnOutputProps{Description: text(description), Value: value})
	}
	at := func(path string) *string { return awscdk.Fn_Join(text(""), list(b.baseURL(), text(path))) }
	output("ChatAddress", "The chat", b.baseURL())
	output("Auth0CallbackUrls", "Paste into the Auth0 application: Allowed Callback URLs",
		awscdk.Fn_Join(text(", "), list(at("/callback"), at("/connect/callback"))))
	output("Auth0LogoutUrl", "Paste into the Auth0 application: Allowed Logout URLs", at("/"))
	output("Auth0SecretName", "Holds the Auth0 client secret; fill with `make secrets`", ref(auth0Secret))
	output("FgaSecretName", "Holds the FGA client secret; fill with `make secrets`", ref(fgaSecret))
	output("AlarmTopicArn", "Alarms are told here", ref(alarmTopic))
	switch b.Agent {
	case settings.Classic:
		output("AgentId", "The Bedrock agent", ref(agent))
		output("AgentAliasId", "Its alias", att(agentAlias, "AgentAliasId"))
	case settings.Harness:
		output("HarnessArn", "The AgentCore harness", att(harness, "Arn"))
	}
}
