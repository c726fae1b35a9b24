package stack

import (
	"slices"
	"strings"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/shared/dynamo"
)

// statement is one statement of a policy. The zero Effect allows.
type statement struct {
	Sid        string
	Effect     string
	Principal  any // resource policies only
	Actions    []string
	Resources  []*string
	Conditions map[string]any
}

// document is a policy as IAM wants it.
func document(statements ...statement) map[string]any {
	var out []any
	for _, s := range statements {
		m := map[string]any{"Effect": "Allow", "Action": one(s.Actions)}
		if s.Effect != "" {
			m["Effect"] = s.Effect
		}
		if s.Sid != "" {
			m["Sid"] = s.Sid
		}
		if s.Principal != nil {
			m["Principal"] = s.Principal
		}
		if len(s.Resources) > 0 {
			m["Resource"] = one(s.Resources)
		}
		if len(s.Conditions) > 0 {
			m["Condition"] = s.Conditions
		}
		out = append(out, m)
	}
	return map[string]any{"Version": "2012-10-17", "Statement": out}
}

func one[T any](items []T) any {
	if len(items) == 1 {
		return items[0]
	}
	return items
}

func service(name string) map[string]any { return map[string]any{"Service": name} }

// ownAccount holds off the confused deputy: a service may act for this account only.
func ownAccount() map[string]any {
	return map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": *ref("AWS::AccountId")}}
}

// ownResource is ownAccount, for resources of one pattern.
func ownResource(arn *string) map[string]any {
	c := ownAccount()
	c["ArnLike"] = map[string]any{"aws:SourceArn": *arn}
	return c
}

// encryptedOnly refuses whatever comes without TLS.
func encryptedOnly(action string, resource *string) statement {
	return statement{
		Sid: "EncryptedTransportOnly", Effect: "Deny", Principal: "*", Actions: []string{action}, Resources: []*string{resource},
		Conditions: map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
	}
}

// arn is where a resource of the fleet is found in this stack.
func (b *builder) arn(r fleet.Resource) *string {
	arn, ok := map[fleet.Resource]*string{
		fleet.ResourceSessions:      att(sessionTable, "Arn"),
		fleet.ResourceSessionsIndex: sub("${" + sessionTable + ".Arn}/index/" + dynamo.OwnerIndex),
		fleet.ResourceAudit:         att(auditTable, "Arn"),
		fleet.ResourceAuth0Secret:   ref(auth0Secret),
		fleet.ResourceFGASecret:     ref(fgaSecret),
		fleet.ResourceTokenKey:      ref(tokenKey),
		fleet.ResourceApprovalKey:   ref(approvalKey),
		fleet.ResourceAuditKey:      ref(auditKey),
		fleet.ResourceQueue:         att(queue, "Arn"),
		fleet.ResourceAuthorizer:    functionARN(fleet.FGAAuthorizer),
		fleet.ResourceOktaGroups:    functionARN(fleet.OktaGroups),
		fleet.ResourceCIBA:          functionARN(fleet.CIBA),
		fleet.ResourceAgentAlias:    att(agentAlias, "AgentAliasArn"),
		fleet.ResourceHarness:       att(harness, "Arn"),
		fleet.ResourceBaseURL:       sub("arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter" + b.baseURLParameter()),
	}[r]
	if !ok {
		panic("stack: no such resource: " + string(r)) // the fleet named what the stack does not make
	}
	return arn
}

// grants are the statements of a function's role: what the fleet lets it do, the use of the key for it, its own log, traces.
func (b *builder) grants(fn fleet.Function) []statement {
	var statements []statement
	for _, a := range b.access(fn) {
		statements = append(statements, statement{Actions: a.Actions, Resources: []*string{b.arn(a.Resource)}, Conditions: limited(a)})
	}
	for _, via := range keyUses(b.access(fn)) {
		statements = append(statements, statement{
			Actions: via.actions, Resources: []*string{att(key, "Arn")},
			Conditions: map[string]any{"StringEquals": map[string]any{"kms:ViaService": *sub(via.service + ".${AWS::Region}.${AWS::URLSuffix}")}},
		})
	}
	return append(statements,
		statement{Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []*string{att(logGroupID(fn.Name), "Arn")}},
		// X-Ray has no resources of its own to name.
		statement{Actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, Resources: []*string{text("*")}},
	)
}

// limited holds an access to its attributes, as "Using IAM policy conditions for fine-grained access control" in the DynamoDB
// Developer Guide does. A query must say that it wants attributes and no whole items; a write may not have the old or new
// item handed to it.
func limited(a fleet.Access) map[string]any {
	if a.Attributes == nil {
		return nil
	}
	conditions := map[string]any{"ForAllValues:StringEquals": map[string]any{"dynamodb:Attributes": a.Attributes}}
	if slices.Contains(a.Actions, "dynamodb:Query") {
		conditions["StringEquals"] = map[string]any{"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}
		return conditions
	}
	conditions["StringEqualsIfExists"] = map[string]any{"dynamodb:ReturnValues": []string{"NONE", "UPDATED_OLD", "UPDATED_NEW"}}
	return conditions
}

// access is what the fleet lets a function do in this deployment.
func (b *builder) access(fn fleet.Function) (access []fleet.Access) {
	for _, a := range fn.Grants(string(b.Agent)) {
		if a.Resource == fleet.ResourceBaseURL && b.BaseURL != nil {
			continue // the address is known: no parameter
		}
		access = append(access, a)
	}
	return access
}

// keyUse is the use of the key that a service makes on a function's behalf. Never directly: the condition
// kms:ViaService sees to that.
type keyUse struct {
	service string
	actions []string
}

// keyUses follows from what is accessed. The actions are those the services' documentation asks of the caller
// ("DynamoDB encryption at rest: usage notes", "Secret encryption and decryption", "Amazon SQS key management").
func keyUses(access []fleet.Access) []keyUse {
	var tables, secrets, sends, receives bool
	for _, a := range access {
		for _, action := range a.Actions {
			tables = tables || strings.HasPrefix(action, "dynamodb:")
			secrets = secrets || strings.HasPrefix(action, "secretsmanager:")
			sends = sends || action == "sqs:SendMessage"
			receives = receives || action == "sqs:ReceiveMessage"
		}
	}
	var uses []keyUse
	if tables {
		uses = append(uses, keyUse{"dynamodb", []string{
			"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		}})
	}
	if secrets {
		uses = append(uses, keyUse{"secretsmanager", []string{"kms:Decrypt"}})
	}
	switch {
	case sends:
		uses = append(uses, keyUse{"sqs", []string{"kms:Decrypt", "kms:GenerateDataKey"}})
	case receives:
		uses = append(uses, keyUse{"sqs", []string{"kms:Decrypt"}})
	}
	return uses
}
