package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/config"
)

// Local is what the functions of a `make local` run are given, out of build/local.json, and where its AWS is.
func Local(path string) (env map[string]string, endpoint string, err error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the run's own file
	if err != nil {
		return nil, "", fmt.Errorf("no local run is under way: %w", err)
	}
	var run struct {
		Chat, Auth0, Okta, FGA, AWS string
		Store                       string `json:"fga_store_id"`
		Model                       string `json:"fga_model_id"`
	}
	if err := json.Unmarshal(raw, &run); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	return map[string]string{ //nolint:gosec // names of secrets, no values
		"AUTH0_ISSUER_URL": run.Auth0 + "/", "AUTH0_CLIENT_ID": "steward-local", "AUTH0_CLIENT_SECRET_ARN": "steward/auth0-client-secret",
		"AUTH0_CONNECTION_NAME": "okta-corp", "OKTA_ORG_URL": run.Okta,
		"FGA_API_URL": run.FGA, "FGA_STORE_ID": run.Store, "FGA_MODEL_ID": run.Model, "FGA_TOKEN_ISSUER_URL": run.FGA,
		"FGA_AUDIENCE": run.FGA + "/", "FGA_CLIENT_ID": "steward-fga", "FGA_CLIENT_SECRET_ARN": "steward/fga-client-secret", "FGA_USER_CLAIM": "email", "APPROVALS_MESSAGE": "sentence",
		"FGA_AUTHORIZER_FUNCTION_NAME": "fga-authorizer",
		"SESSION_TABLE_NAME":           "bedrock-sessions", "AUDIT_TABLE_NAME": "steward-audit", "TOKEN_KEY_SECRET_ARN": "steward/token-key",
		"APPROVAL_KEY_SECRET_ARN": "steward/approval-key", "AUDIT_KEY_SECRET_ARN": "steward/audit-key",
		"APPROVAL_QUEUE_URL": run.AWS + "/000000000000/steward-approvals", "APP_BASE_URL": run.Chat,
		"AGENT_RUNTIME": "classic", "BEDROCK_AGENT_ID": "STEWARDLAP", "BEDROCK_AGENT_ALIAS_ID": "LAPTOPRUN1",
	}, run.AWS, nil
}

// Deployed is what the functions of a stack are given: their own environment, all keys together.
func Deployed(ctx context.Context, cfg aws.Config, stack string) (map[string]string, error) {
	out, err := cloudformation.NewFromConfig(cfg).DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: &stack})
	if err != nil {
		return nil, fmt.Errorf("there is no stack %s in %s that can be read (%s); the credentials need cloudformation:DescribeStackResources", stack, cfg.Region, code(err))
	}
	env := map[string]string{}
	client := lambda.NewFromConfig(cfg)
	for _, r := range out.StackResources {
		if aws.ToString(r.ResourceType) != "AWS::Lambda::Function" {
			continue
		}
		fn, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: r.PhysicalResourceId})
		if err != nil {
			return nil, fmt.Errorf("the function %s cannot be read (%s); the credentials need lambda:GetFunctionConfiguration", aws.ToString(r.PhysicalResourceId), code(err))
		}
		if fn.Environment == nil {
			continue
		}
		for k, v := range fn.Environment.Variables {
			env[k] = v
		}
	}
	if name := env["APP_BASE_URL_PARAMETER"]; name != "" && env["APP_BASE_URL"] == "" {
		p, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return nil, fmt.Errorf("the parameter %s cannot be read (%s); the credentials need ssm:GetParameter", name, code(err))
		}
		env["APP_BASE_URL"] = strings.TrimSpace(aws.ToString(p.Parameter.Value))
	}
	return env, nil
}

// Environment is what the functions are given, and the account that they run in: those of a stack, or without one of the local run
// that wrote the file. Ok says whether there is an account at hand, which only a stack needs. Region may be "".
func Environment(ctx context.Context, local, stack, region string, env config.Lookup) (vars map[string]string, cfg aws.Config, ok bool, err error) {
	lookup := env
	if stack == "" {
		var endpoint string
		if vars, endpoint, err = Local(local); err != nil {
			return nil, cfg, false, fmt.Errorf("%w\nStart one with `make local`, or name a deployed stack with STACK=steward-dev", err)
		}
		lookup = func(key string) (string, bool) {
			if key == "AWS_ENDPOINT_URL" {
				return endpoint, true
			}
			return env(key)
		}
	}
	if cfg, ok, err = reach.AWS(ctx, region, lookup); err != nil || stack == "" {
		return vars, cfg, ok, err
	}
	if !ok {
		return nil, cfg, false, errors.New("there is no AWS account at hand: set AWS_PROFILE and AWS_REGION")
	}
	vars, err = Deployed(ctx, cfg, stack)
	return vars, cfg, ok, err
}
