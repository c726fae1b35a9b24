package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/steward-iam/steward/infra/settings"
)

const canary = "canary-client-secret"

// cloud answers for AWS: an account where everything is ready, but for what a case refuses or says otherwise.
type cloud struct {
	refuse      map[string]string // operation to error code
	application string            // tag of the stack; "": steward
	noAgent     bool
	concurrency int      // of the account; 0: 1000
	regions     []string // of the inference profile
	stored      map[string]string
	outputs     []string // of the stack; each one's value is arn:OUTPUT
}

func refusing(operation, code string) cloud { return cloud{refuse: map[string]string{operation: code}} }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	_, target, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	path, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(r.URL.Path, "/2016-08-19"), "/"), "/")
	operation := cmp.Or(form.Get("Action"), target, path)
	if code := c.refuse[operation]; code != "" {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(http.StatusBadRequest)
		if form.Has("Action") {
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, code)
		} else {
			_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
		}
		return
	}
	var in struct{ SecretId, SecretString string } //nolint:revive // as the service spells it
	_ = json.Unmarshal(body, &in)
	switch operation {
	case "GetCallerIdentity":
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case "DescribeStacks":
		_, _ = io.WriteString(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>steward-dev</StackName>
			<Tags><member><Key>application</Key><Value>`+cmp.Or(c.application, "steward")+`</Value></member><member><Key>stage</Key><Value>dev</Value></member></Tags><Outputs>`)
		for _, key := range c.outputs {
			_, _ = fmt.Fprintf(w, `<member><OutputKey>%[1]s</OutputKey><OutputValue>arn:%[1]s</OutputValue></member>`, key)
		}
		_, _ = io.WriteString(w, `</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	case "DescribeStackResource":
		_, _ = fmt.Fprintf(w, `<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail><PhysicalResourceId>arn:%s</PhysicalResourceId></StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>`,
			form.Get("LogicalResourceId"))
	case "GetParameter":
		_, _ = io.WriteString(w, `{"Parameter":{"Value":"30"}}`)
	case "GetSecretValue":
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": c.stored[in.SecretId]})
	case "PutSecretValue":
		c.stored[in.SecretId] = in.SecretString
		_, _ = io.WriteString(w, `{}`)
	case "inference-profiles", "foundation-models":
		var models []string
		for _, region := range c.regions {
			models = append(models, fmt.Sprintf(`{"modelArn":"arn:aws:bedrock:%s::foundation-model/m"}`, region))
		}
		_, _ = fmt.Fprintf(w, `{"models":[%s]}`, strings.Join(models, ","))
	case "account-settings":
		_, _ = fmt.Fprintf(w, `{"AccountLimit":{"ConcurrentExecutions":%d}}`, cmp.Or(c.concurrency, 1000))
	case "agents":
		agents := map[bool]string{false: `{"agentId":"AB12CD34EF","agentName":"other"}`}[c.noAgent]
		_, _ = fmt.Fprintf(w, `{"agentSummaries":[%s]}`, agents)
	default:
		http.Error(w, "unexpected "+r.Method+" "+r.URL.Path, http.StatusTeapot)
	}
}

func (c *cloud) config(t *testing.T) aws.Config {
	t.Helper()
	c.stored = map[string]string{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "example", ""), RetryMaxAttempts: 1,
	}
}

func chosen(t *testing.T, changes map[string]string) settings.Settings {
	t.Helper()
	if changes["stage"] == "" {
		changes["stage"] = "dev"
	}
	lookup, err := settings.File("../../../cdk.json", changes)
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Parse(lookup)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadyReportsEveryFault(t *testing.T) {
	const eu = "eu.anthropic.claude-sonnet-4-6"
	cases := []struct {
		name    string
		cloud   cloud
		context map[string]string
		force   bool
		want    []string // parts of what is said; none: ready
	}{
		{"all there", cloud{}, map[string]string{}, false, nil},
		{"not bootstrapped", refusing("GetParameter", "ParameterNotFound"), map[string]string{}, false, []string{"bootstrap aws://111122223333/eu-central-1"}},
		{"bootstrap unreadable", refusing("GetParameter", "AccessDeniedException"), map[string]string{}, false, []string{"ssm:GetParameter"}},
		{"first deployment", refusing("DescribeStacks", "ValidationError"), map[string]string{}, false, nil},
		{"name taken", cloud{application: "shop"}, map[string]string{}, false, []string{"steward-dev that was not made by Steward"}},
		{"no such profile", refusing("inference-profiles", "ResourceNotFoundException"), map[string]string{}, false, []string{"global.anthropic.claude-sonnet-4-6 does not exist in eu-central-1"}},
		{"no such model", refusing("foundation-models", "ResourceNotFoundException"), map[string]string{"model": "anthropic.claude-sonnet-4-6"}, false, []string{"anthropic.claude-sonnet-4-6 does not exist"}},
		{"classic closed", cloud{noAgent: true}, map[string]string{}, false, []string{"AGENT=harness", "FORCE_CLASSIC=1"}},
		{"classic closed, but known better", cloud{noAgent: true}, map[string]string{}, true, nil},
		{"a harness needs no agent", cloud{noAgent: true}, map[string]string{"agent": "harness"}, false, nil},
		{"profile with the regions we name", cloud{regions: []string{"eu-west-1", "eu-central-1"}}, map[string]string{"model": eu, "modelRegions": "eu-central-1,eu-west-1"}, false, nil},
		{"profile with other regions", cloud{regions: []string{"eu-west-1", "eu-central-1"}}, map[string]string{"model": eu}, false, []string{`"modelRegions": ["eu-central-1", "eu-west-1"]`}},
		{"nothing to reserve", cloud{concurrency: 10}, map[string]string{}, false, nil},
		{"too little to reserve", cloud{concurrency: 10}, map[string]string{"reservedConcurrency": `{"chat": 50}`}, false, []string{"can run 10 functions at once in eu-central-1", "a quota of 150", `"reservedConcurrency": {}`}},
		{"one too little", cloud{concurrency: 149}, map[string]string{"reservedConcurrency": `{"chat": 50}`}, false, []string{"a quota of 150"}},
		{"enough to reserve", cloud{concurrency: 150}, map[string]string{"reservedConcurrency": `{"chat": 50}`}, false, nil},
		{"concurrency unreadable", refusing("account-settings", "AccessDeniedException"), map[string]string{"reservedConcurrency": `{"chat": 50}`}, false, []string{"lambda:GetAccountSettings"}},
		{"everything at once", cloud{noAgent: true, refuse: map[string]string{"GetParameter": "ParameterNotFound", "inference-profiles": "ResourceNotFoundException"}}, map[string]string{}, false, []string{"bootstrap aws://", "does not exist", "AGENT=harness"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := open(t.Context(), c.cloud.config(t), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			err = a.ready(t.Context(), chosen(t, c.context), c.force)
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("error is %v", err)
			}
			var text bytes.Buffer
			if err != nil {
				printFaults(&text, err)
			}
			for _, want := range c.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("text %q, want %q in it", text.String(), want)
				}
			}
		})
	}
}

func TestOpenNeedsCredentialsAndRegion(t *testing.T) {
	signedOut := refusing("GetCallerIdentity", "ExpiredToken")
	if _, err := open(t.Context(), signedOut.config(t), t.Output()); err == nil || !strings.Contains(err.Error(), "aws sso login") {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := open(t.Context(), aws.Config{}, t.Output()); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
}

// TestSecretsOfTheStackAreFilled: a deployed stack says which secrets it wants filled, and those are asked for, no more and no fewer.
func TestSecretsOfTheStackAreFilled(t *testing.T) {
	outputs, wanted := deployed(t)
	fill := func(c *cloud, typed string) (string, error) {
		c.outputs = outputs
		a, err := open(t.Context(), c.config(t), t.Output())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = a.fillSecrets(t.Context(), chosen(t, map[string]string{}), unseen(strings.NewReader(typed), &out), &out)
		return out.String(), err
	}
	c := &cloud{}
	if _, err := fill(c, strings.Repeat(canary+"\n", 9)); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(c.stored)); !slices.Equal(got, wanted) {
		t.Errorf("filled %q, the stack asks for %q", got, wanted)
	}
	c = &cloud{}
	text, err := fill(c, "\n "+canary+" \n") // the first stays as it is
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"arn:FgaSecretName": canary}; !maps.Equal(c.stored, want) {
		t.Errorf("stored %v, want %v", c.stored, want)
	}
	if strings.Contains(text, canary) {
		t.Errorf("the secret is shown: %q", text)
	}
	noStack, denied := refusing("DescribeStacks", "ValidationError"), refusing("PutSecretValue", "AccessDeniedException")
	if _, err := fill(&noStack, ""); err == nil || !strings.Contains(err.Error(), "make deploy") {
		t.Errorf("without a stack: %v", err)
	}
	_, err = fill(&denied, canary+"\n")
	if err == nil || !strings.Contains(err.Error(), "secretsmanager:PutSecretValue") || strings.Contains(fmt.Sprintf("%v %+v", err, errors.Unwrap(err)), canary) {
		t.Errorf("without permission: %v", err)
	}
}

// deployed are the outputs of a stack, and the values of those that are to be filled by `make secrets`.
func deployed(t *testing.T) (outputs, wanted []string) {
	t.Helper()
	raw, err := os.ReadFile("../../stack/testdata/classic-dev.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Outputs map[string]struct{ Description string }
	}
	if err := json.Unmarshal(raw, &template); err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(template.Outputs)) {
		outputs = append(outputs, key)
		if strings.Contains(template.Outputs[key].Description, "`make secrets`") {
			wanted = append(wanted, "arn:"+key)
		}
	}
	return outputs, wanted
}

func TestMissingNodeIsReported(t *testing.T) {
	if err := node(func(string) (string, error) { return "", os.ErrNotExist }); err == nil || !strings.Contains(err.Error(), "Node.js is missing") {
		t.Errorf("without Node.js: %v", err)
	}
	if err := node(func(string) (string, error) { return "/usr/bin/x", nil }); err != nil {
		t.Error(err)
	}
}

// TestRefusedBeforeAWS holds what is refused without asking anybody: there are no credentials and no network here.
func TestRefusedBeforeAWS(t *testing.T) {
	root := t.TempDir()
	raw, err := os.ReadFile("../../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "cdk.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"example values", []string{"deploy"}, "cdk.json still holds example values for dev: auth0IssuerUrl, auth0ClientId"},
		{"bad context", []string{"-c", "consoleLinking=true", "-c", "model=Claude", "-stage", "prod", "deploy"}, "consoleLinking: is not for prod"},
		{"no command", nil, "want one command"},
		{"unknown command", []string{"launch"}, `there is no command "launch"`},
		{"no cdk.json", []string{"-root", t.TempDir(), "deploy"}, "cdk.json"},
		{"setting without a value", []string{"-c", "stage", "deploy"}, "want key=value"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"-root", root}, c.args...), strings.NewReader(""), t.Output())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}
