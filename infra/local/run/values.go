package run

import (
	"fmt"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/iam"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/dynamo"
)

// SessionTable is the name of the table of sessions and approvals.
const SessionTable = "bedrock-sessions"

// Names of this run's other resources.
const (
	auditTable  = "steward-audit"
	queueName   = "steward-approvals"
	deadLetters = "steward-approvals-dead"

	auth0Secret = "steward/auth0-client-secret" //nolint:gosec // its name
	fgaSecret   = "steward/fga-client-secret"   //nolint:gosec // its name
	tokenKey    = "steward/token-key"
	approvalKey = "steward/approval-key"
	auditKey    = "steward/audit-key"
	setupSecret = "steward/setup-client-secret"

	auth0Client = "steward-local"
	setupClient = "steward-setup" // may use the Management API, for infra/setup
	connection  = "okta-corp"
	fgaClient   = "steward-fga"

	approvalsAPI = "https://steward.example.com/approvals"
	detailType   = "urn:auth0:schemas:authorization-details:v1:steward_change"

	agentID    = "STEWARDLAP"
	agentAlias = "LAPTOPRUN1"
	harnessARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:harness/steward_local-laptop0001"

	region  = "us-east-1"
	account = "000000000000"
)

// values are those of the environment on this computer, by key. A key that is missing has none, such as that of the parameter that
// holds a base URL nobody knows before a deployment.
func (f *Fleet) values() map[string]string {
	v := map[string]string{
		"SESSION_TABLE_NAME":           SessionTable,
		"AUDIT_TABLE_NAME":             auditTable,
		"AUTH0_ISSUER_URL":             f.Auth0URL + "/",
		"AUTH0_CLIENT_ID":              auth0Client,
		"AUTH0_CLIENT_SECRET_ARN":      f.AWS.SecretARN(auth0Secret),
		"AUTH0_CONNECTION_NAME":        connection,
		"OKTA_ORG_URL":                 f.OktaURL,
		"FGA_AUTHORIZER_FUNCTION_NAME": fleet.FGAAuthorizer,
		"OKTA_GROUPS_FUNCTION_NAME":    fleet.OktaGroups,
		"CIBA_FUNCTION_NAME":           fleet.CIBA,
		"FGA_API_URL":                  f.FGAURL,
		"FGA_STORE_ID":                 f.OpenFGA.StoreID,
		"FGA_MODEL_ID":                 f.OpenFGA.ModelID,
		"FGA_TOKEN_ISSUER_URL":         f.FGAURL,
		"FGA_AUDIENCE":                 f.FGAURL + "/",
		"FGA_CLIENT_ID":                fgaClient,
		"FGA_CLIENT_SECRET_ARN":        f.AWS.SecretARN(fgaSecret),
		"FGA_USER_CLAIM":               f.opts.FGAUserClaim,
		"APPROVALS_MESSAGE":            string(ciba.StyleSentence),
		"TOKEN_KEY_SECRET_ARN":         f.AWS.SecretARN(tokenKey),
		"APPROVAL_KEY_SECRET_ARN":      f.AWS.SecretARN(approvalKey),
		"AUDIT_KEY_SECRET_ARN":         f.AWS.SecretARN(auditKey),
		"APPROVAL_QUEUE_URL":           f.AWS.QueueURL(f.AWSURL, queueName),
		"AGENT_RUNTIME":                f.opts.AgentRuntime,
		"BEDROCK_AGENT_ID":             agentID,
		"BEDROCK_AGENT_ALIAS_ID":       agentAlias,
		"HARNESS_ARN":                  harnessARN,
		"APP_BASE_URL":                 f.ChatURL,
	}
	if f.opts.ConsoleLinking {
		v["CONSOLE_LINKING"] = "on"
	}
	if f.opts.RichApprovals {
		v["APPROVALS_API"], v["APPROVALS_DETAIL_TYPE"] = approvalsAPI, detailType
	}
	return v
}

// environment is what one function is given.
func (f *Fleet) environment(fn fleet.Function) (map[string]string, error) {
	values, env := f.values(), map[string]string{}
	for _, e := range fn.Keys(f.opts.AgentRuntime) {
		value, ok := values[e.Key]
		switch {
		case ok:
			env[e.Key] = value
		case !e.Optional:
			return nil, fmt.Errorf("%s of %s: the laptop run has no value", e.Key, fn.Name)
		}
	}
	return env, nil
}

// arns are where each resource of the fleet is on this computer.
func (f *Fleet) arns() map[fleet.Resource]string {
	function := func(name string) string { return "arn:aws:lambda:" + region + ":" + account + ":function:" + name }
	return map[fleet.Resource]string{
		fleet.ResourceSessions:      f.AWS.TableARN(SessionTable),
		fleet.ResourceSessionsIndex: f.AWS.TableARN(SessionTable) + "/index/" + dynamo.OwnerIndex,
		fleet.ResourceAudit:         f.AWS.TableARN(auditTable),
		fleet.ResourceAuth0Secret:   f.AWS.SecretARN(auth0Secret),
		fleet.ResourceFGASecret:     f.AWS.SecretARN(fgaSecret),
		fleet.ResourceTokenKey:      f.AWS.SecretARN(tokenKey),
		fleet.ResourceApprovalKey:   f.AWS.SecretARN(approvalKey),
		fleet.ResourceAuditKey:      f.AWS.SecretARN(auditKey),
		fleet.ResourceQueue:         f.AWS.QueueARN(queueName),
		fleet.ResourceAuthorizer:    function(fleet.FGAAuthorizer),
		fleet.ResourceOktaGroups:    function(fleet.OktaGroups),
		fleet.ResourceCIBA:          function(fleet.CIBA),
		fleet.ResourceAgentAlias:    "arn:aws:bedrock:" + region + ":" + account + ":agent-alias/" + agentID + "/" + agentAlias,
		fleet.ResourceHarness:       harnessARN,
	}
}

// permissions are what one function may do, and the attributes that some of it is limited to.
func (f *Fleet) permissions(fn fleet.Function) (permissions []iam.Permission, attributes map[iam.Permission][]string, err error) {
	arns := f.arns()
	attributes = map[iam.Permission][]string{}
	for _, a := range fn.Grants(f.opts.AgentRuntime) {
		if a.Resource == fleet.ResourceBaseURL {
			continue // the address is known: no parameter
		}
		arn, ok := arns[a.Resource]
		if !ok {
			return nil, nil, fmt.Errorf("access of %s: the laptop run has no %s", fn.Name, a.Resource)
		}
		for _, action := range a.Actions {
			p := iam.Permission{Action: action, Resource: arn}
			permissions = append(permissions, p)
			if a.Attributes != nil {
				attributes[p] = a.Attributes
			}
		}
	}
	return permissions, attributes, nil
}
