package stack

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
)

var update = flag.Bool("update", false, "write the golden templates")

// variant is one deployment that is synthesized.
type variant struct {
	name    string
	context map[string]any
	golden  bool
}

// variants are the four ways to deploy, and one of each runtime with every option taken.
var variants = []variant{
	{"classic-dev", map[string]any{"agent": "classic", "stage": "dev"}, true},
	{"classic-prod", map[string]any{"agent": "classic", "stage": "prod"}, true},
	{"harness-dev", map[string]any{"agent": "harness", "stage": "dev"}, true},
	{"harness-prod", map[string]any{"agent": "harness", "stage": "prod"}, true},
	{"classic-options", map[string]any{
		"agent": "classic", "stage": "dev", "name": "other", "model": "eu.anthropic.claude-sonnet-4-6", "guardrailId": "gr1abc", "guardrailVersion": "3",
		"baseUrl": "https://steward.example.com/", "sessionTableName": "bedrock-sessions", "consoleLinking": "true",
		"approvalsApi": "https://steward.example.com/approvals", "approvalsDetailType": "urn:auth0:schemas:authorization-details:v1:steward_change",
		"alarmEmail": "oncall@example.com", "reservedConcurrency": map[string]any{"approval-worker": 5.0}, "logRetentionDays": "7",
	}, false},
	{"harness-options", map[string]any{
		"agent": "harness", "stage": "prod", "name": "other", "model": "anthropic.claude-sonnet-4-6", "harnessMemory": "disabled",
		"baseUrl": "https://steward.example.com",
	}, false},
}

// documents are the synthesized templates as the CDK wrote them, by variant. Every reader parses its own copy.
var documents = map[string][]byte{}

func (v variant) settings() (settings.Settings, error) {
	lookup, err := settings.File("../../cdk.json", nil)
	if err != nil {
		return settings.Settings{}, err
	}
	return settings.Parse(func(key string) any {
		if given, ok := v.context[key]; ok {
			return given
		}
		return lookup(key)
	})
}

// TestMain synthesizes each variant once, as a synthesis takes seconds. The bundles are stubs, so that no asset hash
// depends on the functions' code.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("node"); err != nil && os.Getenv("CI") == "" {
		// The CDK runs in Node.js. Without it nothing is synthesized, and what reads a template is skipped.
		_ = flag.Set("test.short", "true")
	}
	code := 0
	if !testing.Short() {
		code = synthesize()
	}
	if code == 0 {
		code = m.Run()
	}
	os.Exit(code)
}

func synthesize() int {
	dir, err := os.MkdirTemp("", "steward-stack")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The CDK unpacks itself into the same directory, to be removed with it.
	before := os.Getenv("TMPDIR")
	defer func() { _ = os.Setenv("TMPDIR", before) }()
	if err := os.Setenv("TMPDIR", dir); err != nil {
		panic(err)
	}
	for _, fn := range fleet.Steward().Functions {
		if err := os.WriteFile(filepath.Join(dir, fn.Name+".zip"), []byte("bundle of "+fn.Name), 0o600); err != nil {
			panic(err)
		}
	}
	for _, v := range append(variants, variant{name: "changed", context: variants[0].context}) {
		s, err := v.settings()
		if err != nil {
			panic(err)
		}
		f := fleet.Steward()
		if v.name == "changed" {
			changeFleet(&f)
		}
		app := awscdk.NewApp(&awscdk.AppProps{
			Outdir: jsii.String(filepath.Join(dir, v.name)), AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false),
			// Properties are held against the resources' published schemas; as in cdk.json.
			Context: &map[string]any{"@aws-cdk/core:validateAgainstDefaultRules": true},
		})
		nag(New(app, s, f, dir))
		app.Synth(nil)
		raw, err := os.ReadFile(filepath.Join(dir, v.name, s.StackName()+".template.json"))
		if err != nil {
			panic(err)
		}
		documents[v.name] = raw
		findings[v.name] = nagged(filepath.Join(dir, v.name), s.StackName())
	}
	return 0
}

// template is a synthesized template.
type template struct {
	raw       []byte // indented, with its keys in order
	Resources map[string]resource
	Outputs   map[string]any
}

type resource struct {
	Type                string
	Properties          map[string]any
	DeletionPolicy      string
	UpdateReplacePolicy string
}

func parse(raw []byte) (t template) {
	var ordered any
	for _, into := range []any{&t, &ordered} {
		if err := json.Unmarshal(raw, into); err != nil {
			panic(err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(ordered); err != nil {
		panic(err)
	}
	t.raw = b.Bytes()
	return t
}

// synthesized parses a variant's template, anew for each caller, so that no test changes what another one reads. A short
// run has none.
func synthesized(t *testing.T, name string) template {
	t.Helper()
	if testing.Short() {
		t.Skip("no synthesis under -short")
	}
	return parse(documents[name])
}

// each runs f on every variant.
func each(t *testing.T, f func(t *testing.T, s settings.Settings, tpl template)) {
	t.Helper()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			s, err := v.settings()
			if err != nil {
				t.Fatal(err)
			}
			f(t, s, synthesized(t, v.name))
		})
	}
}

// of gives the resources of a type, by logical id.
func (t template) of(kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			found[id] = r
		}
	}
	return found
}

func TestGolden(t *testing.T) {
	for _, v := range variants {
		if !v.golden {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			got := synthesized(t, v.name).raw
			path := filepath.Join("testdata", v.name+".template.json")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (write it with -update)", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("template differs from its golden, -want +got (accept with -update):\n%s", diff)
			}
		})
	}
}

// TestStackHasOneAgentRuntime holds that a stack has one agent runtime and nothing of the other.
func TestStackHasOneAgentRuntime(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		want := map[settings.Agent][]string{
			settings.Classic: {"AWS::Bedrock::Agent", "AWS::Bedrock::AgentAlias"},
			settings.Harness: {"AWS::BedrockAgentCore::Harness"},
		}
		for agent, kinds := range want {
			for _, kind := range kinds {
				n := 0
				if agent == s.Agent {
					n = 1
				}
				if got := len(tpl.of(kind)); got != n {
					t.Errorf("%d of %s, want %d", got, kind, n)
				}
			}
		}
		other := map[settings.Agent]string{settings.Classic: "agentcore", settings.Harness: "BEDROCK_AGENT"}[s.Agent]
		if bytes.Contains(tpl.raw, []byte(other)) {
			t.Errorf("template speaks of %q", other)
		}
	})
}

// TestUpdatesKeepData pins what a deployment over an older version relies on: ids, key schemas and the generated key. A change
// here replaces a resource and loses what is in it.
func TestUpdatesKeepData(t *testing.T) {
	pinned := map[string]string{
		"Key": "AWS::KMS::Key", "SessionTable": "AWS::DynamoDB::Table", "AuditTable": "AWS::DynamoDB::Table",
		"Auth0ClientSecret": "AWS::SecretsManager::Secret", "FgaClientSecret": "AWS::SecretsManager::Secret", "TokenKey": "AWS::SecretsManager::Secret",
		"ApprovalKey": "AWS::SecretsManager::Secret", "AuditKey": "AWS::SecretsManager::Secret",
		"ApprovalQueue": "AWS::SQS::Queue", "ApprovalDeadLetters": "AWS::SQS::Queue", "ChatUrl": "AWS::Lambda::Url",
	}
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		for id, kind := range pinned {
			if got := tpl.Resources[id].Type; got != kind {
				t.Errorf("%s is %q, want %s", id, got, kind)
			}
		}
		for id, keys := range map[string][]string{sessionTable: {"session_id", "item"}, auditTable: {"subject", "id"}} {
			var got []string
			for _, k := range tpl.Resources[id].Properties["KeySchema"].([]any) {
				got = append(got, k.(map[string]any)["AttributeName"].(string))
			}
			if !slices.Equal(got, keys) {
				t.Errorf("key of %s is %v, want %v", id, got, keys)
			}
		}
		generate := map[string]any{"PasswordLength": 64.0, "ExcludePunctuation": true}
		for _, id := range []string{tokenKey, approvalKey, auditKey} {
			if diff := cmp.Diff(generate, tpl.Resources[id].Properties["GenerateSecretString"]); diff != "" {
				t.Errorf("another GenerateSecretString makes another %s and loses what the old one sealed or marked, -want +got:\n%s", id, diff)
			}
		}
		policy := map[settings.Stage]string{settings.Dev: "Delete", settings.Prod: "Retain"}[s.Stage]
		for id, r := range tpl.Resources {
			switch r.Type {
			case "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup":
				if r.DeletionPolicy != policy || r.UpdateReplacePolicy != policy {
					t.Errorf("%s is deleted by %q and replaced by %q, want %s for both", id, r.DeletionPolicy, r.UpdateReplacePolicy, policy)
				}
			}
			if r.Type == "AWS::DynamoDB::Table" {
				if got := r.Properties["DeletionProtectionEnabled"]; got != (s.Stage == settings.Prod) {
					t.Errorf("deletion protection of %s is %v", id, got)
				}
				if diff := cmp.Diff(map[string]any{"PointInTimeRecoveryEnabled": true}, r.Properties["PointInTimeRecoverySpecification"]); diff != "" {
					t.Errorf("recovery of %s, -want +got:\n%s", id, diff)
				}
				own := map[string]any{"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": map[string]any{"Fn::GetAtt": []any{"Key", "Arn"}}}
				if diff := cmp.Diff(own, r.Properties["SSESpecification"]); diff != "" {
					t.Errorf("encryption of %s, -want +got:\n%s", id, diff)
				}
			}
		}
	})
}

// TestNamesBeginWithTheStacks holds that two stages, or two installations, fit into one account and region: every physical name begins
// with the stack's.
func TestNamesBeginWithTheStacks(t *testing.T) {
	names := map[string]string{
		"AWS::Bedrock::Agent": "AgentName", "AWS::SSM::Parameter": "Name", "AWS::BedrockAgentCore::Harness": "HarnessName",
	}
	none := []string{"FunctionName", "RoleName", "QueueName", "LogGroupName", "TopicName", "AlarmName", "DashboardName", "TableName"}
	want := map[string]string{
		"AWS::Bedrock::Agent": "steward-dev", "AWS::SSM::Parameter": "/steward-dev/app-base-url", "AWS::BedrockAgentCore::Harness": "steward_dev",
	}
	for _, v := range []string{"classic-dev", "harness-dev"} {
		for id, r := range synthesized(t, v).Resources {
			if key, ok := names[r.Type]; ok && r.Properties[key] != want[r.Type] {
				t.Errorf("%s of %s is %v, want %s", key, id, r.Properties[key], want[r.Type])
			}
			for _, key := range none {
				if name, ok := r.Properties[key].(string); ok {
					t.Errorf("%s fixes %s %q", id, key, name)
				}
			}
		}
	}
	if got := synthesized(t, "classic-options").Resources[sessionTable].Properties["TableName"]; got != "bedrock-sessions" {
		t.Errorf("sessionTableName gives %v", got)
	}
}

// TestFunctionsAreAsTheFleetSays holds that what the fleet says of a function is what is deployed.
func TestFunctionsAreAsTheFleetSays(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		if got, want := len(tpl.of("AWS::Lambda::Function")), len(fleet.Steward().Functions); got != want {
			t.Fatalf("%d functions, want %d: no custom resources, no others", got, want)
		}
		for _, fn := range fleet.Steward().Functions {
			p := tpl.Resources[functionID(fn.Name)].Properties
			got := map[string]any{
				"MemorySize": p["MemorySize"], "Timeout": p["Timeout"], "Runtime": p["Runtime"], "Handler": p["Handler"],
				"Architectures": p["Architectures"], "TracingConfig": p["TracingConfig"], "Reserved": p["ReservedConcurrentExecutions"],
			}
			want := map[string]any{
				"MemorySize": float64(fn.MemoryMB), "Timeout": fn.Timeout.Seconds(), "Runtime": "provided.al2023", "Handler": "bootstrap",
				"Architectures": []any{"arm64"}, "TracingConfig": map[string]any{"Mode": "Active"}, "Reserved": nil,
			}
			if n, ok := s.ReservedConcurrency[fn.Name]; ok {
				want["Reserved"] = float64(n)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, -fleet +template:\n%s", fn.Name, diff)
			}
			if got := tpl.Resources[logGroupID(fn.Name)].Properties["RetentionInDays"]; got != float64(s.LogRetentionDays) {
				t.Errorf("%s keeps its log for %v days, want %d", fn.Name, got, s.LogRetentionDays)
			}
		}
	})
}

// changeFleet changes a time-out, a memory, an environment, an access and the queue.
func changeFleet(f *fleet.Fleet) {
	fn := &f.Functions[0]
	fn.Timeout += time.Second
	fn.MemoryMB *= 2
	fn.Env = append(slices.Clone(fn.Env), fleet.Env{Key: "CIBA_FUNCTION_NAME"})
	fn.Access = append(slices.Clone(fn.Access), fleet.Access{Resource: fleet.ResourceCIBA, Actions: []string{"lambda:InvokeFunction"}})
	f.Queue.VisibilityTimeout += time.Minute
}

// TestFleetIsTheOnlyDescription holds that a change of the fleet's value, and of nothing else, changes what is deployed.
func TestFleetIsTheOnlyDescription(t *testing.T) {
	before, after := synthesized(t, "classic-dev"), synthesized(t, "changed")
	fn := fleet.Steward().Functions[0]
	p := after.Resources[functionID(fn.Name)].Properties
	if p["Timeout"] != fn.Timeout.Seconds()+1 || p["MemorySize"] != float64(2*fn.MemoryMB) {
		t.Errorf("time-out %v and memory %v do not follow the fleet", p["Timeout"], p["MemorySize"])
	}
	variables := p["Environment"].(map[string]any)["Variables"].(map[string]any)
	if got := plain(variables["CIBA_FUNCTION_NAME"]); got != "${CibaFunction}" {
		t.Errorf("a new key of the environment is %q", got)
	}
	if !after.role(t, roleID(fn.Name))[grant{"lambda:InvokeFunction", "${CibaFunction.Arn}", ""}] {
		t.Error("a new access is not granted")
	}
	if got, want := after.Resources[queue].Properties["VisibilityTimeout"], (fleet.Steward().Queue.VisibilityTimeout + time.Minute).Seconds(); got != want {
		t.Errorf("visibility time-out is %v, want %v", got, want)
	}
	for id := range before.Resources {
		if id != functionID(fn.Name) && id != roleID(fn.Name) && id != queue && !cmp.Equal(before.Resources[id], after.Resources[id]) {
			t.Errorf("%s changes too", id)
		}
	}
}

// TestQueue holds what keeps an approval from being lost or carried out twice over.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		q := fleet.Steward().Queue
		worker, _ := fleet.Steward().Function(fleet.ApprovalWorker)
		if q.VisibilityTimeout < 6*worker.Timeout {
			t.Errorf("visibility time-out %s, want at least six of the worker's %s", q.VisibilityTimeout, worker.Timeout)
		}
		source := tpl.Resources["ApprovalWorkerSource"].Properties
		want := map[string]any{
			"FunctionName": map[string]any{"Ref": "ApprovalWorkerFunction"}, "EventSourceArn": map[string]any{"Fn::GetAtt": []any{"ApprovalQueue", "Arn"}},
			"BatchSize": float64(worker.BatchSize), "FunctionResponseTypes": []any{"ReportBatchItemFailures"},
		}
		if s.QueueConcurrency > 0 {
			want["ScalingConfig"] = map[string]any{"MaximumConcurrency": float64(s.QueueConcurrency)}
		}
		if bounded := s.Stage == settings.Prod; bounded != (source["ScalingConfig"] != nil) {
			t.Errorf("a maximum of workers at once is %v in %s", source["ScalingConfig"], s.Stage)
		}
		delete(source, "Tags")
		if diff := cmp.Diff(want, source); diff != "" {
			t.Errorf("event source, -want +got:\n%s", diff)
		}
		redrive := tpl.Resources[queue].Properties["RedrivePolicy"]
		if diff := cmp.Diff(map[string]any{"deadLetterTargetArn": map[string]any{"Fn::GetAtt": []any{"ApprovalDeadLetters", "Arn"}}, "maxReceiveCount": float64(q.MaxReceives)}, redrive); diff != "" {
			t.Errorf("redrive policy, -want +got:\n%s", diff)
		}
	})
}

// TestNoSecretInTemplate holds that secrets others issue are made empty.
func TestNoSecretInTemplate(t *testing.T) {
	each(t, func(t *testing.T, _ settings.Settings, tpl template) {
		for id, r := range tpl.of("AWS::SecretsManager::Secret") {
			_, generated := r.Properties["GenerateSecretString"]
			if _, given := r.Properties["SecretString"]; given || generated != slices.Contains([]string{tokenKey, approvalKey, auditKey}, id) {
				t.Errorf("%s: given %v, generated %v", id, given, generated)
			}
		}
	})
}
