package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
)

// function makes a function with a role and a log group of its own, and whatever calls it.
func (b *builder) function(fn fleet.Function) {
	b.retain(awslogs.NewCfnLogGroup(b.stack, text(logGroupID(fn.Name)), &awslogs.CfnLogGroupProps{
		RetentionInDays: number(b.LogRetentionDays),
	}))
	b.role(roleID(fn.Name), "Steward: function "+fn.Name, statement{
		Principal: service("lambda.amazonaws.com"), Actions: []string{"sts:AssumeRole"},
	}, b.grants(fn))

	code := awss3assets.NewAsset(b.stack, text(camel(fn.Name)+"Code"), &awss3assets.AssetProps{Path: b.bundle(fn.Name)})
	props := &awslambda.CfnFunctionProps{
		Description:   text(fn.Description),
		Code:          &awslambda.CfnFunction_CodeProperty{S3Bucket: code.S3BucketName(), S3Key: code.S3ObjectKey()},
		Runtime:       text("provided.al2023"),
		Handler:       text("bootstrap"),
		Architectures: list(text("arm64")),
		MemorySize:    number(fn.MemoryMB),
		Timeout:       number(int(fn.Timeout.Seconds())),
		Role:          att(roleID(fn.Name), "Arn"),
		Environment:   &awslambda.CfnFunction_EnvironmentProperty{Variables: b.environment(fn)},
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: ref(logGroupID(fn.Name)), LogFormat: text("JSON")},
		TracingConfig: &awslambda.CfnFunction_TracingConfigProperty{Mode: text("Active")},
	}
	if n, ok := b.ReservedConcurrency[fn.Name]; ok {
		props.ReservedConcurrentExecutions = number(n)
	}
	awslambda.NewCfnFunction(b.stack, text(functionID(fn.Name)), props)

	if fn.Web {
		b.web(fn)
	}
	if fn.Queue {
		source := &awslambda.CfnEventSourceMappingProps{
			FunctionName:          ref(functionID(fn.Name)),
			EventSourceArn:        att(queue, "Arn"),
			BatchSize:             number(fn.BatchSize),
			FunctionResponseTypes: list(text("ReportBatchItemFailures")),
		}
		if b.QueueConcurrency > 0 {
			source.ScalingConfig = &awslambda.CfnEventSourceMapping_ScalingConfigProperty{MaximumConcurrency: number(b.QueueConcurrency)}
		}
		awslambda.NewCfnEventSourceMapping(b.stack, text(camel(fn.Name)+"Source"), source)
	}
	if fn.ActionGroup && b.Agent == settings.Classic {
		awslambda.NewCfnPermission(b.stack, text(camel(fn.Name)+"FromAgent"), &awslambda.CfnPermissionProps{
			Action:        text("lambda:InvokeFunction"),
			FunctionName:  ref(functionID(fn.Name)),
			Principal:     text("bedrock.amazonaws.com"),
			SourceAccount: ref("AWS::AccountId"),
			SourceArn:     att(agent, "AgentArn"),
		})
	}
}

func (b *builder) role(id, description string, trust statement, grants []statement) {
	awsiam.NewCfnRole(b.stack, text(id), &awsiam.CfnRoleProps{
		Description:              text(description),
		AssumeRolePolicyDocument: document(trust),
		Policies:                 &[]any{&awsiam.CfnRole_PolicyProperty{PolicyName: text("fleet"), PolicyDocument: document(grants...)}},
	})
}

// web puts the function behind a URL that everybody may open: it is a web app, and who is asking is its own first
// question. Both permissions are needed for that, and neither lets anybody invoke it other than through the URL.
func (b *builder) web(fn fleet.Function) {
	awslambda.NewCfnUrl(b.stack, text(chatURL), &awslambda.CfnUrlProps{
		TargetFunctionArn: functionARN(fn.Name), AuthType: text("NONE"), InvokeMode: text("RESPONSE_STREAM"),
	})
	awslambda.NewCfnPermission(b.stack, text(camel(fn.Name)+"FromUrl"), &awslambda.CfnPermissionProps{
		Action: text("lambda:InvokeFunctionUrl"), FunctionName: ref(functionID(fn.Name)), Principal: text("*"), FunctionUrlAuthType: text("NONE"),
	})
	awslambda.NewCfnPermission(b.stack, text(camel(fn.Name)+"ThroughUrl"), &awslambda.CfnPermissionProps{
		Action: text("lambda:InvokeFunction"), FunctionName: ref(functionID(fn.Name)), Principal: text("*"), InvokedViaFunctionUrl: jsii.Bool(true),
	})
	if b.BaseURL == nil {
		awsssm.NewCfnParameter(b.stack, text(baseURLParameter), &awsssm.CfnParameterProps{
			Name: text(b.baseURLParameter()), Type: text("String"), Value: b.baseURL(), Description: text("Steward: where the chat lives"),
		})
	}
}

// environment gives a function the keys the fleet names, and nothing else.
func (b *builder) environment(fn fleet.Function) *map[string]*string {
	variables := map[string]*string{}
	for _, e := range fn.Keys(string(b.Agent)) {
		if v := b.value(e.Source); v != nil {
			variables[e.Key] = v
		}
	}
	return &variables
}

// value resolves a source; nil where the deployment has none and the key is left out.
func (b *builder) value(s fleet.Source) *string {
	switch s {
	case fleet.SessionTable:
		return ref(sessionTable)
	case fleet.AuditTable:
		return ref(auditTable)
	case fleet.IssuerURL:
		return text(b.Auth0Issuer.String())
	case fleet.Auth0Client:
		return text(b.Auth0ClientID)
	case fleet.Auth0Secret:
		return ref(auth0Secret)
	case fleet.Auth0Connection:
		return text(b.Auth0Connection)
	case fleet.OktaOrg:
		return text(b.OktaOrg.String())
	case fleet.AuthorizerName:
		return ref(functionID(fleet.FGAAuthorizer))
	case fleet.OktaGroupsName:
		return ref(functionID(fleet.OktaGroups))
	case fleet.CIBAName:
		return ref(functionID(fleet.CIBA))
	case fleet.FGAURL:
		return text(b.FGA.String())
	case fleet.FGAStore:
		return text(b.FGAStore)
	case fleet.FGAModel:
		return text(b.FGAModel)
	case fleet.FGATokenIssuer:
		return text(b.FGAIssuer.String())
	case fleet.FGAAudience:
		return text(b.FGAAudience)
	case fleet.FGAClient:
		return text(b.FGAClientID)
	case fleet.FGASecret:
		return ref(fgaSecret)
	case fleet.FGAUserClaim:
		return text(b.FGAUserClaim)
	case fleet.TokenKey:
		return ref(tokenKey)
	case fleet.ApprovalKey:
		return ref(approvalKey)
	case fleet.AuditKey:
		return ref(auditKey)
	case fleet.ApprovalQueue:
		return ref(queue)
	case fleet.AgentRuntime:
		return text(string(b.Agent))
	case fleet.AgentID:
		return ref(agent)
	case fleet.AgentAlias:
		return att(agentAlias, "AgentAliasId")
	case fleet.Harness:
		return att(harness, "Arn")
	case fleet.BaseURL:
		if b.BaseURL != nil {
			return b.baseURL()
		}
		return nil
	case fleet.BaseURLParameter:
		if b.BaseURL == nil {
			return text(b.baseURLParameter())
		}
		return nil
	case fleet.HeapGrowth:
		return text(fleet.GCPercent)
	case fleet.ConsoleLinking:
		if b.ConsoleLinking {
			return text("on")
		}
		return nil
	case fleet.ApprovalsAPI:
		if b.ApprovalsAPI != "" {
			return text(b.ApprovalsAPI)
		}
		return nil
	case fleet.ApprovalsMessage:
		return text(b.ApprovalsMessage)
	case fleet.ApprovalsDetailType:
		if b.ApprovalsDetailType != "" {
			return text(b.ApprovalsDetailType)
		}
		return nil
	}
	panic("stack: no such source: " + string(s)) // the fleet named what the stack does not know
}
