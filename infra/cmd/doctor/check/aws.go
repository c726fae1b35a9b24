package check

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagent"
	agenttypes "github.com/aws/aws-sdk-go-v2/service/bedrockagent/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	secrets "github.com/steward-iam/steward/shared/secretsmanager"
)

const (
	noAWS      = "there is no AWS account at hand: set AWS_PROFILE and AWS_REGION"
	redeploy   = "set by the stack: run `make deploy`"
	fillSecret = "the secret %s in AWS Secrets Manager: fill it with `make setup` or `make secrets`"
)

var account = []condition{hasAWS}

func awsChecks() []check {
	return []check{
		{id: "secret.auth0", what: "the Auth0 client secret has a value", needs: []string{"config.auth0"}, requires: account, run: func(ctx context.Context, s *Installation) (v verdict) {
			s.auth0Secret, v = s.stored(ctx, "AUTH0_CLIENT_SECRET_ARN")
			return v
		}},
		{id: "secret.fga", what: "the FGA client secret has a value", needs: []string{"config.fga"}, run: func(ctx context.Context, s *Installation) (v verdict) {
			if s.Env["FGA_TOKEN_ISSUER_URL"] == "" {
				return skip("FGA is asked without credentials")
			}
			if s.AWS == nil {
				return skip(noAWS)
			}
			s.fgaSecret, v = s.stored(ctx, "FGA_CLIENT_SECRET_ARN")
			return v
		}},
		ownKey("secret.token-key", "the key that seals tokens can be used", "TOKEN_KEY_SECRET_ARN"),
		ownKey("secret.approval-key", "the key that marks approvals can be used", "APPROVAL_KEY_SECRET_ARN"),
		ownKey("secret.audit-key", "the key that marks the record can be used", "AUDIT_KEY_SECRET_ARN"),
		{id: "table.sessions", what: "the session table has its keys and its index by owner", needs: []string{"config.app"}, requires: account, run: sessionTable},
		{id: "table.ttl", what: "the session table forgets what has expired", needs: []string{"table.sessions"}, requires: account, run: timeToLive},
		{id: "table.audit", what: "the audit table has its keys", needs: []string{"config.app"}, requires: account, run: func(ctx context.Context, s *Installation) verdict {
			_, v := s.table(ctx, "AUDIT_TABLE_NAME", dynamo.AuditPartitionKey, dynamo.AuditSortKey)
			return v
		}},
		{id: "queue", what: "the approval queue is there", needs: []string{"config.app"}, requires: account, run: approvalQueue},
		{id: "agent", what: "the alias of the Bedrock agent runs today's tools and instruction", needs: []string{"config.app"}, requires: account, run: agentAlias},
	}
}

// ownKey checks a key of Steward's own.
func ownKey(id, what, env string) check {
	return check{id: id, what: what, needs: []string{"config.app"}, requires: account, run: func(ctx context.Context, s *Installation) verdict {
		text, v := s.stored(ctx, env)
		if v != passed {
			return v
		}
		if _, err := seal.New(text); err != nil {
			return wrong("the secret "+secrets.Name(s.Env[env])+" in AWS Secrets Manager: one key a line, each of at least 32 characters; the runbook says what is lost with a line", "the key cannot be used: %v", err)
		}
		return passed
	}}
}

// stored reads a secret as the functions do.
func (s *Installation) stored(ctx context.Context, key string) (secret.String, verdict) {
	name := secrets.Name(s.Env[key])
	value, err := plan.SecretsManager{Client: secretsmanager.NewFromConfig(*s.AWS)}.Value(ctx, s.Env[key])
	switch {
	case errors.Is(err, plan.ErrNoSecret):
		return value, wrong(key+": "+redeploy, "there is no secret %s", name)
	case err != nil:
		return value, wrong("the policy of your AWS credentials", "%s", text(err))
	case value.IsZero():
		return value, wrong(strings.Replace(fillSecret, "%s", name, 1), "the secret %s is empty", name)
	}
	return value, passed
}

func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func (s *Installation) table(ctx context.Context, key, partition, sort string) (*dbtypes.TableDescription, verdict) {
	name := s.Env[key]
	out, err := dynamodb.NewFromConfig(*s.AWS).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	switch {
	case code(err) == "ResourceNotFoundException":
		return nil, wrong(in(key), "there is no table %s", name)
	case code(err) != "":
		return nil, wrong("the policy of your AWS credentials: dynamodb:DescribeTable on "+name, "the table %s cannot be read (%s)", name, code(err))
	case err != nil:
		return nil, wrong("the AWS endpoint and your network", "DynamoDB: %s", text(err))
	}
	return out.Table, expect(keyed(out.Table.KeySchema, partition, sort), in(key), "the table %s is another: its keys are not %s and %s", name, partition, sort)
}

func keyed(schema []dbtypes.KeySchemaElement, partition, sort string) bool {
	return len(schema) == 2 && aws.ToString(schema[0].AttributeName) == partition && aws.ToString(schema[1].AttributeName) == sort
}

func sessionTable(ctx context.Context, s *Installation) verdict {
	t, v := s.table(ctx, "SESSION_TABLE_NAME", dynamo.PartitionKey, dynamo.SortKey)
	if v != passed {
		return v
	}
	return expect(slices.ContainsFunc(t.GlobalSecondaryIndexes, func(x dbtypes.GlobalSecondaryIndexDescription) bool {
		return aws.ToString(x.IndexName) == dynamo.OwnerIndex && keyed(x.KeySchema, dynamo.OwnerKey, dynamo.SortKey)
	}), "the index "+dynamo.OwnerIndex+" of the table "+s.Env["SESSION_TABLE_NAME"]+": "+redeploy, "the session table has no index %s", dynamo.OwnerIndex)
}

func timeToLive(ctx context.Context, s *Installation) verdict {
	name := s.Env["SESSION_TABLE_NAME"]
	out, err := dynamodb.NewFromConfig(*s.AWS).DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return wrong("the policy of your AWS credentials: dynamodb:DescribeTimeToLive on "+name, "the time-to-live of %s cannot be read (%s)", name, code(err))
	}
	d := out.TimeToLiveDescription
	return expect(d != nil && d.TimeToLiveStatus == dbtypes.TimeToLiveStatusEnabled && aws.ToString(d.AttributeName) == dynamo.TTLAttribute,
		"time-to-live of the table "+name+": on, attribute "+dynamo.TTLAttribute+" ("+redeploy+")", "expired sessions are kept for ever")
}

func approvalQueue(ctx context.Context, s *Installation) verdict {
	address := s.Env["APPROVAL_QUEUE_URL"]
	_, err := sqs.NewFromConfig(*s.AWS).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &address})
	switch c := code(err); {
	case strings.Contains(c, "NonExistentQueue"), strings.Contains(c, "QueueDoesNotExist"):
		return wrong(in("APPROVAL_QUEUE_URL"), "there is no queue at %s", address)
	case c != "":
		return wrong("the policy of your AWS credentials: sqs:GetQueueAttributes", "the queue cannot be read (%s)", c)
	case err != nil:
		return wrong("the AWS endpoint and your network", "SQS: %s", text(err))
	}
	return passed
}

// agentAlias compares what the alias runs with what the repository says: an alias does not follow its agent by itself.
func agentAlias(ctx context.Context, s *Installation) verdict {
	switch {
	case s.Env["AGENT_RUNTIME"] == "harness":
		return skip("the agent runs on a harness, which has no alias")
	case strings.HasPrefix(aws.ToString(s.AWS.BaseEndpoint), "http://"):
		return skip("the agent on this computer is a fake, made of today's catalogue")
	}
	c := bedrockagent.NewFromConfig(*s.AWS)
	id, alias := s.Env["BEDROCK_AGENT_ID"], s.Env["BEDROCK_AGENT_ALIAS_ID"]
	a, err := c.GetAgentAlias(ctx, &bedrockagent.GetAgentAliasInput{AgentId: &id, AgentAliasId: &alias})
	switch {
	case code(err) == "ResourceNotFoundException":
		return wrong(in("BEDROCK_AGENT_ALIAS_ID"), "there is no alias %s of an agent %s", alias, id)
	case err != nil:
		return skip("the agent cannot be read (%s): the credentials need bedrock:GetAgentAlias, GetAgentVersion, ListAgentActionGroups and GetAgentActionGroup", code(err))
	case len(a.AgentAlias.RoutingConfiguration) == 0:
		return wrong("the alias "+alias+": "+redeploy, "the alias leads to no version")
	}
	version := aws.ToString(a.AgentAlias.RoutingConfiguration[0].AgentVersion)
	stale := wrong("the alias "+alias+" of the agent "+id+": "+redeploy, "the alias runs version %s, which is not today's definition", version)
	v, err := c.GetAgentVersion(ctx, &bedrockagent.GetAgentVersionInput{AgentId: &id, AgentVersion: &version})
	if err != nil {
		return skip("the agent's version cannot be read (%s)", code(err))
	}
	if strings.TrimSpace(aws.ToString(v.AgentVersion.Instruction)) != strings.TrimSpace(catalogue.Instruction) {
		return stale
	}
	groups, err := c.ListAgentActionGroups(ctx, &bedrockagent.ListAgentActionGroupsInput{AgentId: &id, AgentVersion: &version})
	if err != nil {
		return skip("the agent's action groups cannot be read (%s)", code(err))
	}
	have := map[string]string{}
	for _, g := range groups.ActionGroupSummaries {
		out, err := c.GetAgentActionGroup(ctx, &bedrockagent.GetAgentActionGroupInput{AgentId: &id, AgentVersion: &version, ActionGroupId: g.ActionGroupId})
		if err != nil {
			return skip("the agent's action group %s cannot be read (%s)", aws.ToString(g.ActionGroupName), code(err))
		}
		if schema, ok := out.AgentActionGroup.FunctionSchema.(*agenttypes.FunctionSchemaMemberFunctions); ok {
			for _, f := range schema.Value {
				have[aws.ToString(f.Name)] = aws.ToString(f.Description)
			}
		}
	}
	want := map[string]string{}
	for _, g := range catalogue.ActionGroups() {
		for _, f := range g.Functions {
			want[f.Name] = f.Description
		}
	}
	if !maps.Equal(have, want) {
		return stale
	}
	return passed
}
