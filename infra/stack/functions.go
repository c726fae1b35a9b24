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
		if v := b.value(e.Key); v != nil {
			variables[e.Key] = v
		}
	}
	return &variables
}

// value resolves a key of the environment; nil where the deployment has no value and the key is left out.
func (b *builder) value(key string) *string {
	values := map[string]*string{
		"SESSION_TABLE_NAME":           ref(sessionTable),
		"AUDIT_TABLE_NAME":             ref(auditTable),
		"AUTH0_ISSUER_URL":             text(b.Auth0Issuer.String()),
		"AUTH0_CLIENT_ID":              text(b.Auth0ClientID),
		"AUTH0_CLIENT_SECRET_ARN":      ref(auth0Secret),
		"AUTH0_CONNECTION_NAME":        text(b.Auth0Connection),
		"OKTA_ORG_URL":                 text(b.OktaOrg.String()),
		"FGA_AUTHORIZER_FUNCTION_NAME": ref(functionID(fleet.FGAAuthorizer)),
		"OKTA_GROUPS_FUNCTION_NAME":    ref(functionID(fleet.OktaGroups)),
		"CIBA_FUNCTION_NAME":           ref(functionID(fleet.CIBA)),
		"FGA_API_URL":                  text(b.FGA.String()),
		"FGA_STORE_ID":                 text(b.FGAStore),
		"FGA_MODEL_ID":                 text(b.FGAModel),
		"FGA_TOKEN_ISSUER_URL":         text(b.FGAIssuer.String()),
		"FGA_AUDIENCE":                 text(b.FGAAudience),
		"FGA_CLIENT_ID":                text(b.FGAClientID),
		"FGA_CLIENT_SECRET_ARN":        ref(fgaSecret),
		"FGA_USER_CLAIM":               text(b.FGAUserClaim),
		"TOKEN_KEY_SECRET_ARN":         ref(tokenKey),
		"APPROVAL_KEY_SECRET_ARN":      ref(approvalKey),
		"AUDIT_KEY_SECRET_ARN":         ref(auditKey),
		"APPROVAL_QUEUE_URL":           ref(queue),
		"APPROVALS_MESSAGE":            text(b.ApprovalsMessage),
		"AGENT_RUNTIME":                text(string(b.Agent)),
		"BEDROCK_AGENT_ID":             ref(agent),
		"BEDROCK_AGENT_ALIAS_ID":       att(agentAlias, "AgentAliasId"),
		"HARNESS_ARN":                  att(harness, "Arn"),
		"APP_BASE_URL":                 nil,
		"APP_BASE_URL_PARAMETER":       nil,
		"CONSOLE_LINKING":              nil,
		"APPROVALS_API":                nil,
		"APPROVALS_DETAIL_TYPE":        nil,
	}
	if b.BaseURL != nil {
		values["APP_BASE_URL"] = b.baseURL()
	} else {
		values["APP_BASE_URL_PARAMETER"] = text(b.baseURLParameter())
	}
	if b.ConsoleLinking {
		values["CONSOLE_LINKING"] = text("on")
	}
	if b.ApprovalsAPI != "" {
		values["APPROVALS_API"], values["APPROVALS_DETAIL_TYPE"] = text(b.ApprovalsAPI), text(b.ApprovalsDetailType)
	}
	v, ok := values[key]
	if !ok {
		panic("stack: no value for " + key) // the fleet named what the stack does not know
	}
	return v
}
