package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagent"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/term"

	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/secret"
)

// account is one AWS account in one region.
type account struct {
	id, region string
	config     aws.Config
	out        io.Writer
}

// open asks who we are, which shows whether there are credentials and a region at all.
func open(ctx context.Context, cfg aws.Config, out io.Writer) (*account, error) {
	if cfg.Region == "" {
		return nil, &reach.Problem{Say: "No region is chosen. Set AWS_REGION, for instance to eu-central-1."}
	}
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, &reach.Problem{Say: "There are no AWS credentials that work. Sign in first, for instance with `aws sso login`, and set AWS_PROFILE.", Err: err}
	}
	a := &account{id: aws.ToString(caller.Account), region: cfg.Region, config: cfg, out: out}
	_, _ = fmt.Fprintf(out, "Account %s, region %s.\n", a.id, a.region)
	return a, nil
}

// ready asks for all that a deployment needs and tells every fault at once.
func (a *account) ready(ctx context.Context, s settings.Settings, forceClassic bool) error {
	faults := []error{a.bootstrapped(ctx), a.ownStack(ctx, s), a.hasModel(ctx, s), a.canReserve(ctx, s)}
	if s.Agent == settings.Classic && !forceClassic {
		faults = append(faults, a.classicOpen(ctx))
	}
	return errors.Join(faults...)
}

const bootstrapVersion = "/cdk-bootstrap/hnb659fds/version"

func (a *account) bootstrapped(ctx context.Context) error {
	_, err := ssm.NewFromConfig(a.config).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(bootstrapVersion)})
	switch code(err) {
	case "":
		return nil
	case "ParameterNotFound":
		return &reach.Problem{Say: fmt.Sprintf("This account and region have never been used with the CDK. Once, run:\n  npx aws-cdk@%s bootstrap aws://%s/%s", cdkVersion, a.id, a.region)}
	}
	return &reach.Problem{Say: "Whether the account is bootstrapped for the CDK cannot be read: the credentials need ssm:GetParameter on " + bootstrapVersion + ".", Err: err}
}

// ownStack refuses to deploy over a stack of the same name that is something else.
func (a *account) ownStack(ctx context.Context, s settings.Settings) error {
	stacks, err := cloudformation.NewFromConfig(a.config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(s.StackName())})
	switch code(err) {
	case "":
	case "ValidationError":
		return nil // there is none yet
	default:
		return &reach.Problem{Say: "Whether a stack " + s.StackName() + " exists cannot be read: the credentials need cloudformation:DescribeStacks.", Err: err}
	}
	for _, st := range stacks.Stacks {
		tags := map[string]string{}
		for _, t := range st.Tags {
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		if tags["application"] != s.Name || tags["stage"] != string(s.Stage) {
			return &reach.Problem{Say: fmt.Sprintf("In %s there is a stack %s that was not made by Steward. Choose another \"name\" in cdk.json.", a.region, s.StackName())}
		}
	}
	return nil
}

// hasModel asks for the model, and for the regions its profile may use: the agent's role names exactly those.
func (a *account) hasModel(ctx context.Context, s settings.Settings) error {
	client := bedrock.NewFromConfig(a.config)
	if !s.Model.Profile {
		_, err := client.GetFoundationModel(ctx, &bedrock.GetFoundationModelInput{ModelIdentifier: aws.String(s.Model.ID)})
		return a.noModel(s.Model.ID, err)
	}
	profile, err := client.GetInferenceProfile(ctx, &bedrock.GetInferenceProfileInput{InferenceProfileIdentifier: aws.String(s.Model.ID)})
	if err != nil {
		return a.noModel(s.Model.ID, err)
	}
	if s.Model.Global {
		return nil
	}
	var regions []string
	for _, m := range profile.Models {
		if part := strings.Split(aws.ToString(m.ModelArn), ":"); len(part) > 3 && part[3] != "" && !slices.Contains(regions, part[3]) {
			regions = append(regions, part[3])
		}
	}
	slices.Sort(regions)
	if !slices.Equal(regions, slices.Sorted(slices.Values(s.Model.Regions))) {
		return &reach.Problem{Say: fmt.Sprintf("Seen from %s, the profile %s uses other regions than the agent's role would allow. Put into cdk.json:\n  \"modelRegions\": [\"%s\"]",
			a.region, s.Model.ID, strings.Join(regions, `", "`))}
	}
	return nil
}

func (a *account) noModel(id string, err error) error {
	switch code(err) {
	case "":
		return nil
	case "ResourceNotFoundException", "ValidationException":
		return &reach.Problem{Say: fmt.Sprintf("The model %s does not exist in %s. Choose another with \"model\" in cdk.json; `aws bedrock list-inference-profiles` lists what there is.", id, a.region), Err: err}
	case "AccessDeniedException":
		return &reach.Problem{Say: "Whether the model " + id + " can be used cannot be read: the credentials need bedrock:GetInferenceProfile and bedrock:GetFoundationModel.", Err: err}
	}
	return &reach.Problem{Say: "Bedrock cannot be asked for the model " + id + ". Is it offered in " + a.region + "?", Err: err}
}

// unreserved is what Lambda keeps of an account's concurrency for functions that reserve none ("Configuring reserved
// concurrency" in the Lambda Developer Guide).
const unreserved = 100

// canReserve asks whether the account has as much concurrency as the stack reserves. What other stacks reserve is not looked at:
// theirs and an older reservation of ours cannot be told apart.
func (a *account) canReserve(ctx context.Context, s settings.Settings) error {
	reserved := 0
	for _, n := range s.ReservedConcurrency {
		reserved += n
	}
	if reserved == 0 {
		return nil
	}
	got, err := lambda.NewFromConfig(a.config).GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return &reach.Problem{Say: "Whether the account has concurrency to reserve cannot be read: the credentials need lambda:GetAccountSettings.", Err: err}
	}
	if has := int(got.AccountLimit.ConcurrentExecutions); has < reserved+unreserved {
		return &reach.Problem{Say: fmt.Sprintf("This account can run %d functions at once in %s, and reserving %d for Steward leaves less than the %d that Lambda keeps for others: ask AWS for a quota of %d\n"+
			"(Service Quotas > AWS Lambda > Concurrent executions), or put \"reservedConcurrency\": {} into the %s object of cdk.json.", has, a.region, reserved, unreserved, reserved+unreserved, s.Stage)}
	}
	return nil
}

// classicOpen guesses, without making anything, whether CreateAgent would be refused. Amazon Bedrock Agents Classic is
// closed to accounts that did not use it in the twelve months before ("Agents Classic: maintenance mode"); an agent
// that exists is the one sign of use that can be read.
func (a *account) classicOpen(ctx context.Context) error {
	agents, err := bedrockagent.NewFromConfig(a.config).ListAgents(ctx, &bedrockagent.ListAgentsInput{MaxResults: aws.Int32(1)})
	if err != nil {
		return &reach.Problem{Say: "Bedrock Agents cannot be asked in " + a.region + ". The credentials need bedrock:ListAgents, and the region must offer agents.", Err: err}
	}
	if len(agents.AgentSummaries) == 0 {
		return &reach.Problem{Say: "There is no Bedrock agent in " + a.region + " yet, and Amazon Bedrock Agents Classic is closed to accounts that never used it:\n" +
			"creating one would most likely fail. Deploy with AGENT=harness instead. If you know that this account may create agents,\n" +
			"add FORCE_CLASSIC=1."}
	}
	return nil
}

// fillSecrets asks for the secrets that others issue and stores them. An empty answer leaves one as it is.
func (a *account) fillSecrets(ctx context.Context, s settings.Settings, ask func(prompt string) (secret.String, error), out io.Writer) error {
	stacks, err := cloudformation.NewFromConfig(a.config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(s.StackName())})
	if err != nil {
		if code(err) == "ValidationError" {
			return &reach.Problem{Say: fmt.Sprintf("There is no stack %s in %s yet. Run `make deploy` first.", s.StackName(), a.region)}
		}
		return fmt.Errorf("describe stack %s: %w", s.StackName(), err)
	}
	outputs := map[string]string{}
	for _, st := range stacks.Stacks {
		for _, o := range st.Outputs {
			outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
		}
	}
	client := secretsmanager.NewFromConfig(a.config)
	for _, item := range []struct{ output, prompt string }{
		{"Auth0SecretName", "Auth0 client secret (empty: leave as it is): "},
		{"FgaSecretName", "FGA client secret (empty: leave as it is): "},
	} {
		id := outputs[item.output]
		if id == "" {
			return &reach.Problem{Say: "The stack " + s.StackName() + " has no output " + item.output + ". Run `make deploy` again."}
		}
		value, err := ask(item.prompt)
		if err != nil {
			return err
		}
		if value.IsZero() {
			_, _ = fmt.Fprintln(out, "left as it is")
			continue
		}
		if _, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(id), SecretString: aws.String(value.Reveal())}); err != nil {
			return &reach.Problem{Say: "The secret could not be stored: the credentials need secretsmanager:PutSecretValue on " + id + ".", Err: err}
		}
		_, _ = fmt.Fprintln(out, "stored")
	}
	return nil
}

// unseen reads a line: without echo from a terminal, plainly from a pipe.
func unseen(in io.Reader, out io.Writer) func(prompt string) (secret.String, error) {
	lines := bufio.NewReader(in)
	return func(prompt string) (secret.String, error) {
		_, _ = fmt.Fprint(out, prompt)
		if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor is small
			line, err := term.ReadPassword(int(f.Fd())) //nolint:gosec // as above
			_, _ = fmt.Fprintln(out)
			return secret.New(strings.TrimSpace(string(line))), err
		}
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return secret.String{}, fmt.Errorf("read secret: %w", err)
		}
		return secret.New(strings.TrimSpace(line)), nil
	}
}

// code is the service's error code: "" for no error, "unknown" for an error of no service.
func code(err error) string {
	if err == nil {
		return ""
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return "unknown"
}
