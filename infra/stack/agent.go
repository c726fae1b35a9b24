package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsbedrock"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbedrockagentcore"
	"github.com/aws/jsii-runtime-go"

	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/shared/catalogue"
)

const (
	idleSessionSeconds = 15 * 60
	turnSeconds        = 100 // a turn of the harness; the chat's own time-out is a little longer
	maxIterations      = 12
	memoryDays         = 3
)

// definition is all that makes a version of the Classic agent. The agent is built from it and from nothing else, so
// its digest changes when, and only when, the agent does.
type definition struct {
	Instruction  string
	Model        string
	IdleSeconds  int
	Guardrail    settings.Guardrail
	ActionGroups []catalogue.ActionGroup
	Functions    []string // what the action groups call, as named in the template
}

func (b *builder) definition() definition {
	d := definition{
		Instruction: catalogue.Instruction, Model: b.Model.ID, IdleSeconds: idleSessionSeconds,
		Guardrail: b.Guardrail, ActionGroups: catalogue.ActionGroups(),
	}
	for _, g := range d.ActionGroups {
		d.Functions = append(d.Functions, functionID(g.Name))
	}
	return d
}

func (d definition) digest() string {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // plain texts and numbers
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// classic makes the agent of Amazon Bedrock Agents Classic, and an alias that follows it: a version is only cut when a
// property of the alias changes, so its description carries the definition's digest.
func (b *builder) classic() {
	d := b.definition()
	var groups []any
	for i, g := range d.ActionGroups {
		groups = append(groups, &awsbedrock.CfnAgent_AgentActionGroupProperty{
			ActionGroupName:                text(g.Name),
			Description:                    text(g.Description),
			ActionGroupState:               text("ENABLED"),
			ActionGroupExecutor:            &awsbedrock.CfnAgent_ActionGroupExecutorProperty{Lambda: att(d.Functions[i], "Arn")},
			FunctionSchema:                 &awsbedrock.CfnAgent_FunctionSchemaProperty{Functions: functionSchema(g)},
			SkipResourceInUseCheckOnDelete: jsii.Bool(true),
		})
	}
	props := &awsbedrock.CfnAgentProps{
		AgentName:                      text(b.StackName()),
		Description:                    text("Okta identity and access work for the person who is signed in."),
		AgentResourceRoleArn:           att(agentRole, "Arn"),
		FoundationModel:                b.modelForAgent(),
		Instruction:                    text(d.Instruction),
		IdleSessionTtlInSeconds:        number(d.IdleSeconds),
		ActionGroups:                   &groups,
		AutoPrepare:                    jsii.Bool(true),
		SkipResourceInUseCheckOnDelete: jsii.Bool(true),
	}
	if d.Guardrail != (settings.Guardrail{}) {
		props.GuardrailConfiguration = &awsbedrock.CfnAgent_GuardrailConfigurationProperty{
			GuardrailIdentifier: text(d.Guardrail.ID), GuardrailVersion: text(d.Guardrail.Version),
		}
	}
	awsbedrock.NewCfnAgent(b.stack, text(agent), props)
	awsbedrock.NewCfnAgentAlias(b.stack, text(agentAlias), &awsbedrock.CfnAgentAliasProps{
		AgentAliasName: text("live"), AgentId: ref(agent), Description: text("definition " + d.digest()),
	})

	grants := b.modelGrants("bedrock:GetFoundationModel", "bedrock:GetInferenceProfile")
	if d.Guardrail != (settings.Guardrail{}) {
		grants = append(grants, statement{
			Actions:   []string{"bedrock:ApplyGuardrail"},
			Resources: []*string{sub("arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:guardrail/" + d.Guardrail.ID)},
		})
	}
	b.role(agentRole, "Steward: the Bedrock agent", statement{
		Principal: service("bedrock.amazonaws.com"), Actions: []string{"sts:AssumeRole"},
		// The agent's id is not known before the agent is, and the agent needs the role.
		Conditions: ownResource(sub("arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:agent/*")),
	}, grants)
}

func functionSchema(g catalogue.ActionGroup) *[]any {
	var functions []any
	for _, f := range g.Functions {
		function := &awsbedrock.CfnAgent_FunctionProperty{Name: text(f.Name), Description: text(f.Description)}
		if len(f.Parameters) > 0 {
			parameters := map[string]any{}
			for _, p := range f.Parameters {
				parameters[p.Name] = &awsbedrock.CfnAgent_ParameterDetailProperty{
					Type: text(p.Type), Description: text(p.Description), Required: jsii.Bool(p.Required),
				}
			}
			function.Parameters = parameters
		}
		functions = append(functions, function)
	}
	return &functions
}

// modelForAgent is the model's id, or the ARN of its inference profile.
func (b *builder) modelForAgent() *string {
	if b.Model.Profile {
		return b.profileARN()
	}
	return text(b.Model.ID)
}

func (b *builder) profileARN() *string {
	return sub("arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:inference-profile/" + b.Model.ID)
}

// modelGrants let a role invoke the model: the profile, and through it alone the model in every region the profile may
// choose (an empty region is how the global profiles are written).
func (b *builder) modelGrants(describe ...string) []statement {
	invoke := []string{"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
	in := func(region string) *string {
		return sub("arn:${AWS::Partition}:bedrock:" + region + "::foundation-model/" + b.Model.Base)
	}
	if !b.Model.Profile {
		return []statement{{Actions: invoke, Resources: []*string{in("${AWS::Region}")}}}
	}
	models := []*string{in("${AWS::Region}")}
	if b.Model.Global {
		models = append(models, in(""))
	}
	for _, region := range b.Model.Regions {
		models = append(models, in(region))
	}
	if !b.Model.Global {
		models = models[1:] // the list is complete
	}
	statements := []statement{
		{Actions: invoke, Resources: []*string{b.profileARN()}},
		{Actions: invoke, Resources: models, Conditions: map[string]any{"StringLike": map[string]any{"bedrock:InferenceProfileArn": *b.profileARN()}}},
	}
	if len(describe) > 0 {
		statements = append(statements, statement{Actions: describe[1:], Resources: []*string{b.profileARN()}},
			statement{Actions: describe[:1], Resources: models})
	}
	return statements
}

// harness makes the agent on Amazon Bedrock AgentCore. Its tools come back to the chat, which calls the same functions.
func (b *builder) harness() {
	var tools []any
	for _, t := range catalogue.Tools() {
		tools = append(tools, &awsbedrockagentcore.CfnHarness_HarnessToolProperty{
			Type: text("inline_function"), Name: text(t.Name),
			Config: &awsbedrockagentcore.CfnHarness_HarnessToolConfigurationProperty{
				InlineFunction: &awsbedrockagentcore.CfnHarness_HarnessInlineFunctionConfigProperty{
					Description: text(t.Description), InputSchema: t.InputSchema,
				},
			},
		})
	}
	memory := &awsbedrockagentcore.CfnHarness_HarnessMemoryConfigurationProperty{}
	switch b.HarnessMemory {
	case settings.MemoryManaged: // summaries of a session, not facts about the person across sessions
		memory.ManagedMemoryConfiguration = &awsbedrockagentcore.CfnHarness_HarnessManagedMemoryConfigurationProperty{
			EventExpiryDuration: number(memoryDays), Strategies: list(text("SUMMARIZATION")),
		}
	case settings.MemoryDisabled:
		memory.Disabled = map[string]any{}
	}
	awsbedrockagentcore.NewCfnHarness(b.stack, text(harness), &awsbedrockagentcore.CfnHarnessProps{
		HarnessName:      text(b.harnessName()),
		ExecutionRoleArn: att(harnessRole, "Arn"),
		Model: &awsbedrockagentcore.CfnHarness_HarnessModelConfigurationProperty{
			BedrockModelConfig: &awsbedrockagentcore.CfnHarness_HarnessBedrockModelConfigProperty{ModelId: text(b.Model.ID)},
		},
		SystemPrompt: &[]any{&awsbedrockagentcore.CfnHarness_HarnessSystemContentBlockProperty{Text: text(catalogue.Instruction)}},
		Tools:        &tools,
		// Closed: otherwise a shell and file operations are on offer too.
		AllowedTools:   jsii.Strings(catalogue.ToolNames()...),
		Memory:         memory,
		MaxIterations:  number(maxIterations),
		TimeoutSeconds: number(turnSeconds),
	})
	b.role(harnessRole, "Steward: the AgentCore harness", statement{
		Principal: service("bedrock-agentcore.amazonaws.com"), Actions: []string{"sts:AssumeRole"},
		Conditions: ownResource(b.agentcore("*")),
	}, b.harnessGrants())
}

// harnessName has no hyphens: the service takes none.
func (b *builder) harnessName() string { return strings.ReplaceAll(b.StackName(), "-", "_") }

func (b *builder) agentcore(resource string) *string {
	return sub("arn:${AWS::Partition}:bedrock-agentcore:${AWS::Region}:${AWS::AccountId}:" + resource)
}

// harnessGrants are what the developer guide asks of an execution role ("Harness security"). The service names the
// harness's workload identity, memory and log groups itself, hence the stars.
func (b *builder) harnessGrants() []statement {
	name := b.harnessName()
	grants := append(b.modelGrants(),
		statement{Actions: []string{"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}, Resources: []*string{text("*")}},
		statement{Actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"}, Resources: []*string{text("*")}},
		statement{
			Actions: []string{"cloudwatch:PutMetricData"}, Resources: []*string{text("*")},
			Conditions: map[string]any{"StringEquals": map[string]any{"cloudwatch:namespace": "bedrock-agentcore"}},
		},
		statement{
			Actions:   []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
			Resources: []*string{sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/bedrock-agentcore/runtimes/*")},
		},
		statement{
			Actions:   []string{"bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetWorkloadAccessTokenForJWT"},
			Resources: []*string{b.agentcore("workload-identity-directory/default"), b.agentcore("workload-identity-directory/default/workload-identity/harness_" + name + "-*")},
		},
	)
	if b.HarnessMemory == settings.MemoryManaged {
		grants = append(grants, statement{
			Actions: []string{
				"bedrock-agentcore:CreateEvent", "bedrock-agentcore:GetEvent", "bedrock-agentcore:ListEvents",
				"bedrock-agentcore:ListMemoryRecords", "bedrock-agentcore:RetrieveMemoryRecords",
			},
			Resources: []*string{b.agentcore("memory/harness_" + name + "*")},
		})
	}
	return grants
}
