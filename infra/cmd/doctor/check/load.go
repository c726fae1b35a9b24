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

// Local returns what the functions of a `make local` run are given: the file build/local.env.json, which the run writes.
func Local(path string) (env map[string]string, err error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the run's own file
	if err != nil {
		return nil, fmt.Errorf("no local run is under way: %w", err)
	}
	if err := json.Unmarshal(raw, &env); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return env, nil
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
		if vars, err = Local(local); err != nil {
			return nil, cfg, false, fmt.Errorf("%w\nStart one with `make local`, or name a deployed stack with STACK=steward-dev", err)
		}
		lookup = func(key string) (string, bool) {
			if key == "AWS_ENDPOINT_URL" {
				return vars[key], true
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
