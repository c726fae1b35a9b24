package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
)

// grant is one action on one resource, under conditions: what is left of a statement when its lists are spread out.
type grant struct {
	Action, Resource, Condition string
}

func (g grant) String() string {
	return strings.TrimSpace(g.Action + " on " + g.Resource + " " + g.Condition)
}

// plain writes an intrinsic function as a text: Ref X as ${X}, GetAtt as ${X.Attribute}, Sub as it stands.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if name, ok := v["Ref"].(string); ok {
			return "${" + name + "}"
		}
		if text, ok := v["Fn::Sub"].(string); ok {
			return text
		}
		if at, ok := v["Fn::GetAtt"].([]any); ok {
			return fmt.Sprintf("${%s.%s}", at[0], at[1])
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// many is a policy's "one or a list of".
func many(v any) []string {
	items, ok := v.([]any)
	if !ok {
		return []string{plain(v)}
	}
	var out []string
	for _, item := range items {
		out = append(out, plain(item))
	}
	return out
}

// condition writes a condition block in one line, its keys in order.
func condition(v any) string {
	block, _ := v.(map[string]any)
	var terms []string
	for operator, keys := range block {
		for key, value := range keys.(map[string]any) {
			terms = append(terms, fmt.Sprintf("%s %s %s", key, operator, plain(value)))
		}
	}
	slices.Sort(terms)
	if len(terms) == 0 {
		return ""
	}
	return "if " + strings.Join(terms, " and ")
}

func statements(policy any) []map[string]any {
	var out []map[string]any
	for _, s := range policy.(map[string]any)["Statement"].([]any) {
		out = append(out, s.(map[string]any))
	}
	return out
}

// spread is every grant of the statements. A function's role never denies.
func spread(t *testing.T, policy any) map[grant]bool {
	t.Helper()
	grants := map[grant]bool{}
	for _, s := range statements(policy) {
		if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
			t.Errorf("statement is more than a plain grant: %v", s)
		}
		for _, action := range many(s["Action"]) {
			for _, on := range many(s["Resource"]) {
				grants[grant{action, on, condition(s["Condition"])}] = true
			}
		}
	}
	return grants
}

// role gives the grants of a role, and fails where it holds anything but its one inline policy.
func (tpl template) role(t *testing.T, id string) map[grant]bool {
	t.Helper()
	p := tpl.Resources[id].Properties
	policies, _ := p["Policies"].([]any)
	if len(policies) != 1 || p["ManagedPolicyArns"] != nil {
		t.Fatalf("%s: %d inline policies and managed ones %v, want one and none", id, len(policies), p["ManagedPolicyArns"])
	}
	return spread(t, policies[0].(map[string]any)["PolicyDocument"])
}

// where is the test's own idea of where the fleet's resources are, so that the stack is not asked about itself.
func where(s settings.Settings, r fleet.Resource) string {
	return map[fleet.Resource]string{
		fleet.ResourceSessions:      "${SessionTable.Arn}",
		fleet.ResourceSessionsIndex: "${SessionTable.Arn}/index/by-owner",
		fleet.ResourceAudit:         "${AuditTable.Arn}",
		fleet.ResourceAuth0Secret:   "${Auth0ClientSecret}",
		fleet.ResourceFGASecret:     "${FgaClientSecret}",
		fleet.ResourceTokenKey:      "${TokenKey}",
		fleet.ResourceApprovalKey:   "${ApprovalKey}",
		fleet.ResourceAuditKey:      "${AuditKey}",
		fleet.ResourceQueue:         "${ApprovalQueue.Arn}",
		fleet.ResourceAuthorizer:    "${FgaAuthorizerFunction.Arn}",
		fleet.ResourceOktaGroups:    "${OktaGroupsFunction.Arn}",
		fleet.ResourceCIBA:          "${CibaFunction.Arn}",
		fleet.ResourceAgentAlias:    "${AgentAlias.AgentAliasArn}",
		fleet.ResourceHarness:       "${Harness.Arn}",
		fleet.ResourceBaseURL:       "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/" + s.StackName() + "/app-base-url",
	}[r]
}

// attributes is the condition that holds an action to the attributes of its access.
func attributes(a fleet.Access, action string) string {
	if a.Attributes == nil {
		return ""
	}
	limit := `dynamodb:Attributes ForAllValues:StringEquals ["` + strings.Join(a.Attributes, `","`) + `"]`
	if action == "dynamodb:Query" {
		return "if " + limit + " and dynamodb:Select StringEquals SPECIFIC_ATTRIBUTES"
	}
	return "if " + limit + ` and dynamodb:ReturnValues StringEqualsIfExists ["NONE","UPDATED_OLD","UPDATED_NEW"]`
}

// granted is what a function's role must hold, and all it may: the fleet's matrix, the use of the key through the services
// it uses, its own log, and traces.
func granted(s settings.Settings, fn fleet.Function) map[grant]bool {
	g := map[grant]bool{
		{"logs:CreateLogStream", "${" + logGroupID(fn.Name) + ".Arn}", ""}: true,
		{"logs:PutLogEvents", "${" + logGroupID(fn.Name) + ".Arn}", ""}:    true,
		{"xray:PutTraceSegments", "*", ""}:                                 true,
		{"xray:PutTelemetryRecords", "*", ""}:                              true,
	}
	key := func(service string, actions ...string) {
		for _, a := range actions {
			g[grant{a, "${Key.Arn}", "if kms:ViaService StringEquals " + service + ".${AWS::Region}.${AWS::URLSuffix}"}] = true
		}
	}
	for _, a := range fn.Access {
		if a.Only != "" && a.Only != string(s.Agent) || a.Resource == fleet.ResourceBaseURL && s.BaseURL != nil {
			continue
		}
		for _, action := range a.Actions {
			g[grant{action, where(s, a.Resource), attributes(a, action)}] = true
			switch {
			case strings.HasPrefix(action, "dynamodb:"):
				key("dynamodb", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo")
			case strings.HasPrefix(action, "secretsmanager:"):
				key("secretsmanager", "kms:Decrypt")
			case action == "sqs:SendMessage":
				key("sqs", "kms:Decrypt", "kms:GenerateDataKey")
			case action == "sqs:ReceiveMessage":
				key("sqs", "kms:Decrypt")
			}
		}
	}
	return g
}

// TestLeastPrivilege compares every function's role with the matrix: equal, not merely contained.
func TestLeastPrivilege(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		for _, fn := range fleet.Steward().Functions {
			if diff := cmp.Diff(granted(s, fn), tpl.role(t, roleID(fn.Name))); diff != "" {
				t.Errorf("role of %s, -fleet +held:\n%s", fn.Name, diff)
			}
			want := map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
				"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": "lambda.amazonaws.com"},
			}}}
			if diff := cmp.Diff(want, tpl.Resources[roleID(fn.Name)].Properties["AssumeRolePolicyDocument"]); diff != "" {
				t.Errorf("trust of %s, -want +got:\n%s", fn.Name, diff)
			}
			if got, want := plain(tpl.Resources[functionID(fn.Name)].Properties["Role"]), "${"+roleID(fn.Name)+".Arn}"; got != want {
				t.Errorf("%s runs as %s, want %s", fn.Name, got, want)
			}
		}
	})
}

// TestRolesAreDeniedEverythingElse is the matrix of noes: each role against each action on each resource that any function uses. Whatever is
// not the function's own is denied: no other's table operations, secrets, queue, functions, log or use of the key.
func TestRolesAreDeniedEverythingElse(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		all := map[grant]bool{}
		for _, fn := range fleet.Steward().Functions {
			maps.Copy(all, granted(s, fn))
		}
		// And what nobody may do at all.
		for _, id := range []string{"SessionTable", "AuditTable"} {
			for _, action := range []string{"dynamodb:Scan", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable", "dynamodb:PartiQLDelete"} {
				all[grant{action, "${" + id + ".Arn}", ""}] = true
			}
		}
		for _, action := range []string{"dynamodb:UpdateItem", "dynamodb:DeleteItem"} {
			all[grant{action, "${AuditTable.Arn}", ""}] = true // the audit is append-only
		}
		for _, id := range []string{"Auth0ClientSecret", "FgaClientSecret", "TokenKey", "ApprovalKey", "AuditKey"} {
			all[grant{"secretsmanager:PutSecretValue", "${" + id + "}", ""}] = true
		}
		for _, action := range []string{"kms:Decrypt", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy", "kms:CreateGrant"} {
			all[grant{action, "${Key.Arn}", ""}] = true // never directly, only through a service
		}
		all[grant{"lambda:UpdateFunctionCode", "${CibaFunction.Arn}", ""}] = true
		all[grant{"iam:PassRole", "${CibaRole.Arn}", ""}] = true

		denied := 0
		for _, fn := range fleet.Steward().Functions {
			held, may := tpl.role(t, roleID(fn.Name)), granted(s, fn)
			for g := range all {
				if got := allows(held, g); got != may[g] {
					t.Errorf("%s: %s is allowed %v, want %v", fn.Name, g, got, may[g])
				}
				if !may[g] {
					denied++
				}
			}
		}
		if denied < 150 {
			t.Errorf("only %d noes were asked for", denied)
		}
	})
}

// TestRolesAreHeldToAttributes simulates requests to the tables as IAM sees them, with the attributes that they name and what they want back.
// Each role may make its own; nobody may make those of somebody who has taken a role over.
func TestRolesAreHeldToAttributes(t *testing.T) {
	type request struct {
		action, table string
		attributes    string // in its item, key, expressions and conditions
		want          string // dynamodb:Select of a query, dynamodb:ReturnValues of a write; "" where the request does not say
	}
	const (
		key    = "session_id item"
		update = "dynamodb:UpdateItem"
		put    = "dynamodb:PutItem"
		query  = "dynamodb:Query"
	)
	writers := []string{fleet.OktaGroups, fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}
	cases := map[string]struct {
		request
		may []string
	}{
		"remember a token":          {request{update, "SessionTable", key + " okta_token okta_expires", ""}, writers},
		"say that it is approved":   {request{update, "SessionTable", key + " status changed_at moved_by digest approved_mac", ""}, []string{fleet.ApprovalWorker}},
		"cancel":                    {request{update, "SessionTable", key + " status changed_at moved_by digest result auth_req_id", ""}, []string{fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}},
		"set the status alone":      {request{update, "SessionTable", key + " status", ""}, []string{fleet.CIBA, fleet.Chat, fleet.ApprovalWorker}},
		"change the e-mail address": {request{update, "SessionTable", key + " email", ""}, nil},
		"change it beside a token":  {request{update, "SessionTable", key + " okta_token email", ""}, nil},
		"change the owner":          {request{update, "SessionTable", key + " subject", ""}, nil},
		"change the target":         {request{update, "SessionTable", key + " target_id", ""}, nil},
		"have the row handed back":  {request{update, "SessionTable", key + " okta_token", "ALL_OLD"}, nil},
		"ask for an approval":       {request{put, "SessionTable", key + " owner status digest asked_mac", ""}, []string{fleet.CIBA}},
		"put what is approved":      {request{put, "SessionTable", key + " owner status digest asked_mac approved_mac", ""}, nil},
		"sign somebody in":          {request{put, "SessionTable", key + " subject email refresh_token", ""}, []string{fleet.Chat}},
		"record":                    {request{put, "AuditTable", "subject id at kind mac previous", ""}, writers},
		"record what no entry has":  {request{put, "AuditTable", "subject id note", ""}, nil},
		"read by overwriting":       {request{put, "AuditTable", "subject id", "ALL_OLD"}, nil},
		"read the newest link":      {request{query, "AuditTable", "subject id mac", "SPECIFIC_ATTRIBUTES"}, writers},
		"read whole entries":        {request{query, "AuditTable", "subject", "ALL_ATTRIBUTES"}, []string{fleet.Chat}},
		"read entries, unsaid":      {request{query, "AuditTable", "subject", ""}, []string{fleet.Chat}},
		"read a label":              {request{query, "AuditTable", "subject object_label", "SPECIFIC_ATTRIBUTES"}, []string{fleet.Chat}},
	}
	allowed := func(role []map[string]any, r request) bool {
		return slices.ContainsFunc(role, func(st map[string]any) bool {
			if !slices.Contains(many(st["Action"]), r.action) || !slices.Contains(many(st["Resource"]), "${"+r.table+".Arn}") {
				return false
			}
			block, _ := st["Condition"].(map[string]any)
			for operator, keys := range block {
				for name, value := range keys.(map[string]any) {
					values := many(value)
					switch operator + " " + name {
					case "ForAllValues:StringEquals dynamodb:Attributes":
						for _, attribute := range strings.Fields(r.attributes) {
							if !slices.Contains(values, attribute) {
								return false
							}
						}
					case "StringEquals dynamodb:Select":
						if !slices.Contains(values, r.want) {
							return false
						}
					case "StringEqualsIfExists dynamodb:ReturnValues":
						if r.want != "" && !slices.Contains(values, r.want) {
							return false
						}
					default:
						t.Errorf("the simulation does not know %s %s", operator, name)
					}
				}
			}
			return true
		})
	}
	each(t, func(t *testing.T, _ settings.Settings, tpl template) {
		for name, c := range cases {
			for _, fn := range fleet.Steward().Functions {
				policies := tpl.Resources[roleID(fn.Name)].Properties["Policies"].([]any)
				role := statements(policies[0].(map[string]any)["PolicyDocument"])
				if got, want := allowed(role, c.request), slices.Contains(c.may, fn.Name); got != want {
					t.Errorf("%s may %s: %v, want %v", fn.Name, name, got, want)
				}
			}
		}
	})
}

// TestTwoRolesReadTheApprovalKey names the roles that may read the key of the marks.
func TestTwoRolesReadTheApprovalKey(t *testing.T) {
	each(t, func(t *testing.T, _ settings.Settings, tpl template) {
		var readers []string
		for id := range tpl.of("AWS::IAM::Role") {
			for g := range tpl.role(t, id) {
				if strings.HasPrefix(g.Action, "secretsmanager:") && match(g.Resource, "${ApprovalKey}") {
					readers = append(readers, id+" "+g.Action)
				}
			}
		}
		slices.Sort(readers)
		if want := []string{"ApprovalWorkerRole secretsmanager:GetSecretValue", "CibaRole secretsmanager:GetSecretValue"}; !slices.Equal(readers, want) {
			t.Errorf("the approval key may be used by %q, want %q", readers, want)
		}
	})
}

// TestPoliciesFit holds each role to the size that IAM takes for all its inline policies, blanks not counted.
func TestPoliciesFit(t *testing.T) {
	const most = 10240
	each(t, func(t *testing.T, _ settings.Settings, tpl template) {
		for id, r := range tpl.of("AWS::IAM::Role") {
			raw, err := json.Marshal(r.Properties["Policies"])
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > most*3/4 { // names of the account and the stack make it longer
				t.Errorf("policy of %s has %d characters before it is filled in, IAM takes %d", id, len(raw), most)
			}
		}
	})
}

// allows evaluates a request as IAM does: a star in a pattern matches anything.
func allows(held map[grant]bool, request grant) bool {
	for g := range held {
		if match(g.Action, request.Action) && match(g.Resource, request.Resource) && g.Condition == request.Condition {
			return true
		}
	}
	return false
}

func match(pattern, s string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	for i := len(head); i <= len(s); i++ {
		if match(tail, s[i:]) {
			return true
		}
	}
	return false
}

// stars are the only places where a star stands in what is allowed, each with its reason.
var stars = []struct{ holder, action, resource, reason string }{
	{"*Role", "xray:PutTraceSegments", "*", "X-Ray has no resources to name"},
	{"*Role", "xray:PutTelemetryRecords", "*", "X-Ray has no resources to name"},
	{"HarnessRole", "xray:GetSamplingRules", "*", "X-Ray has no resources to name"},
	{"HarnessRole", "xray:GetSamplingTargets", "*", "X-Ray has no resources to name"},
	{"HarnessRole", "ecr-public:GetAuthorizationToken", "*", "the action has no resources"},
	{"HarnessRole", "sts:GetServiceBearerToken", "*", "the action has no resources"},
	{"HarnessRole", "cloudwatch:PutMetricData", "*", "the action has no resources; the namespace is a condition"},
	{"HarnessRole", "logs:*", "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/bedrock-agentcore/runtimes/*", "the service names its log groups"},
	{"HarnessRole", "bedrock-agentcore:GetWorkloadAccessToken*", "arn:${AWS::Partition}:bedrock-agentcore:${AWS::Region}:${AWS::AccountId}:workload-identity-directory/default/workload-identity/harness_*-*", "the service ends the harness's name with an id"},
	{"HarnessRole", "bedrock-agentcore:*", "arn:${AWS::Partition}:bedrock-agentcore:${AWS::Region}:${AWS::AccountId}:memory/harness_*", "the service ends the memory's name with an id"},
	{"Key", "kms:Decrypt", "*", "in a key's policy the resource is the key"},
	{"Key", "kms:GenerateDataKey", "*", "in a key's policy the resource is the key"},
	{"Key", "kms:*", "*", "in a key's policy the resource is the key, and the account must be able to administer it"},
}

// TestWildcardsAreExceptions holds that no other star exists, and that every exception is still one.
func TestWildcardsAreExceptions(t *testing.T) {
	used := make([]bool, len(stars))
	each(t, func(t *testing.T, _ settings.Settings, tpl template) {
		check := func(holder string, grants map[grant]bool) {
			for g := range grants {
				if !strings.Contains(g.Action+g.Resource, "*") {
					continue
				}
				i := slices.IndexFunc(stars, func(e struct{ holder, action, resource, reason string }) bool {
					return match(e.holder, holder) && match(e.action, g.Action) && (e.resource == g.Resource || e.resource != "*" && match(e.resource, g.Resource))
				})
				if i < 0 {
					t.Errorf("%s: %s is not among the exceptions", holder, g)
					continue
				}
				used[i] = true
			}
		}
		for id := range tpl.of("AWS::IAM::Role") {
			check(id, tpl.role(t, id))
		}
		check(key, spread(t, tpl.Resources[key].Properties["KeyPolicy"]))
		for kind := range map[string]bool{"AWS::IAM::Policy": true, "AWS::IAM::ManagedPolicy": true, "AWS::Lambda::LayerVersionPermission": true} {
			if n := len(tpl.of(kind)); n > 0 {
				t.Errorf("%d of %s, which nobody checks", n, kind)
			}
		}
	})
	for i, e := range stars {
		if !testing.Short() && !used[i] {
			t.Errorf("exception %s, %s is not needed any more", e.holder, e.action)
		}
	}
}

// TestInvokePermissions holds that an action-group function answers to the agent (classic) or the chat (harness) alone, and
// the authorizer to the functions that ask it; each permission of a service names account and source.
func TestInvokePermissions(t *testing.T) {
	callers := map[settings.Agent]map[string][]string{
		settings.Classic: {
			"OktaGroupsFunction": {"bedrock.amazonaws.com"}, "CibaFunction": {"bedrock.amazonaws.com"},
			"FgaAuthorizerFunction": {"ApprovalWorkerRole", "CibaRole", "OktaGroupsRole"},
			"ChatFunction":          {"* through its URL"},
		},
		settings.Harness: {
			"OktaGroupsFunction": {"ChatRole"}, "CibaFunction": {"ChatRole"},
			"FgaAuthorizerFunction": {"ApprovalWorkerRole", "CibaRole", "OktaGroupsRole"},
			"ChatFunction":          {"* through its URL"},
		},
	}
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		got := map[string][]string{}
		add := func(function, caller string) {
			if !slices.Contains(got[function], caller) {
				got[function] = append(got[function], caller)
				slices.Sort(got[function])
			}
		}
		for id := range tpl.of("AWS::IAM::Role") {
			for g := range tpl.role(t, id) {
				if strings.HasPrefix(g.Action, "lambda:") {
					add(strings.TrimSuffix(strings.TrimPrefix(g.Resource, "${"), ".Arn}"), id)
				}
			}
		}
		for id, r := range tpl.of("AWS::Lambda::Permission") {
			p := r.Properties
			function := strings.Trim(plain(p["FunctionName"]), "${}")
			switch p["Principal"] {
			case "*":
				if p["FunctionUrlAuthType"] != "NONE" && p["InvokedViaFunctionUrl"] != true {
					t.Errorf("%s lets everybody invoke %s", id, function)
				}
				add(function, "* through its URL")
			default:
				want := map[string]any{
					"Action": "lambda:InvokeFunction", "FunctionName": p["FunctionName"], "Principal": "bedrock.amazonaws.com",
					"SourceAccount": map[string]any{"Ref": "AWS::AccountId"}, "SourceArn": map[string]any{"Fn::GetAtt": []any{"Agent", "AgentArn"}},
				}
				if diff := cmp.Diff(want, p); diff != "" {
					t.Errorf("%s, -want +got:\n%s", id, diff)
				}
				add(function, p["Principal"].(string))
			}
		}
		if diff := cmp.Diff(callers[s.Agent], got); diff != "" {
			t.Errorf("who may invoke what, -want +got:\n%s", diff)
		}
	})
}

// TestServiceRolesAreBounded holds the roles that services assume: for this account and for their own resources only, and with the
// model as the only thing of value.
func TestServiceRolesAreBounded(t *testing.T) {
	const account = "aws:SourceAccount StringEquals ${AWS::AccountId}"
	trust := map[settings.Agent][2]string{
		settings.Classic: {"bedrock.amazonaws.com", "if " + account + " and aws:SourceArn ArnLike arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:agent/*"},
		settings.Harness: {"bedrock-agentcore.amazonaws.com", "if " + account + " and aws:SourceArn ArnLike arn:${AWS::Partition}:bedrock-agentcore:${AWS::Region}:${AWS::AccountId}:*"},
	}
	ids := map[settings.Agent]string{settings.Classic: agentRole, settings.Harness: harnessRole}
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		id := ids[s.Agent]
		doc := statements(tpl.Resources[id].Properties["AssumeRolePolicyDocument"])
		if len(doc) != 1 || plain(doc[0]["Principal"].(map[string]any)["Service"]) != trust[s.Agent][0] || condition(doc[0]["Condition"]) != trust[s.Agent][1] {
			t.Errorf("trust of %s is %v", id, doc)
		}
		const bedrock = "arn:${AWS::Partition}:bedrock:"
		profile := bedrock + "${AWS::Region}:${AWS::AccountId}:inference-profile/" + s.Model.ID
		var models []string
		switch {
		case s.Model.Global:
			models = []string{bedrock + "${AWS::Region}", bedrock}
		case s.Model.Profile:
			for _, region := range []string{"eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"} {
				models = append(models, bedrock+region)
			}
		default:
			models = []string{bedrock + "${AWS::Region}"}
		}
		want := map[grant]bool{}
		for _, action := range []string{"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"} {
			through := ""
			if s.Model.Profile {
				through = "if bedrock:InferenceProfileArn StringLike " + profile
				want[grant{action, profile, ""}] = true
			}
			for _, m := range models {
				want[grant{action, m + "::foundation-model/anthropic.claude-sonnet-4-6", through}] = true
			}
		}
		if s.Agent == settings.Classic {
			want[grant{"bedrock:GetInferenceProfile", profile, ""}] = true
			for _, m := range models {
				want[grant{"bedrock:GetFoundationModel", m + "::foundation-model/anthropic.claude-sonnet-4-6", ""}] = true
			}
		}
		if s.Guardrail.ID != "" {
			want[grant{"bedrock:ApplyGuardrail", bedrock + "${AWS::Region}:${AWS::AccountId}:guardrail/" + s.Guardrail.ID, ""}] = true
		}
		got := tpl.role(t, id)
		maps.DeleteFunc(got, func(g grant, _ bool) bool {
			return !strings.HasPrefix(g.Action, "bedrock:") && s.Agent == settings.Harness
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", id, diff)
		}
	})
}

// TestResourcePolicies holds what queues, topic and key let others do: nothing without TLS, the account's own alarms,
// the account's own administrators.
func TestResourcePolicies(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		got := map[string][]string{}
		for id, r := range tpl.Resources {
			policy := r.Properties["PolicyDocument"]
			if r.Type == "AWS::KMS::Key" {
				policy = r.Properties["KeyPolicy"]
			}
			if policy == nil || r.Type == "AWS::IAM::Role" {
				continue
			}
			for _, st := range statements(policy) {
				got[id] = append(got[id], strings.TrimSpace(fmt.Sprintf("%s %s %s on %s %s",
					st["Effect"], principal(st["Principal"]), strings.Join(many(st["Action"]), ","), plain(st["Resource"]), condition(st["Condition"]))))
			}
		}
		const plaintext = " if aws:SecureTransport Bool false"
		const ours = " if aws:SourceAccount StringEquals ${AWS::AccountId}"
		want := map[string][]string{
			"ApprovalQueuePolicy":       {"Deny * sqs:* on ${ApprovalQueue.Arn}" + plaintext},
			"ApprovalDeadLettersPolicy": {"Deny * sqs:* on ${ApprovalDeadLetters.Arn}" + plaintext},
			"AlarmTopicPolicy": {
				"Allow cloudwatch.amazonaws.com sns:Publish on ${AlarmTopic}" + ours + " and aws:SourceArn ArnLike arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:" + s.StackName() + "-*",
				"Deny * sns:Publish on ${AlarmTopic}" + plaintext,
			},
			"Key": {
				"Allow arn:${AWS::Partition}:iam::${AWS::AccountId}:root kms:* on *",
				"Allow cloudwatch.amazonaws.com kms:Decrypt,kms:GenerateDataKey on *" + ours,
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("resource policies, -want +got:\n%s", diff)
		}
	})
}

func principal(v any) string {
	if m, ok := v.(map[string]any); ok {
		for _, v := range m {
			return plain(v)
		}
	}
	return plain(v)
}
