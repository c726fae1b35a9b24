package run

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/control"
	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/infra/local/functionurl"
	"github.com/steward-iam/steward/infra/local/iam"
	"github.com/steward-iam/steward/infra/local/openfga"
	"github.com/steward-iam/steward/infra/local/runtimeapi"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/secret"
)

// Options shape a run. The zero value runs build/local of this repository on free ports.
type Options struct {
	Fleet        fleet.Fleet // default fleet.Steward()
	Bin          string      // holds <function>/bootstrap; default build/local under the root
	PortBase     int         // chat, auth0, okta, fga, aws and control are this and the five ports after it; 0 is any free ports
	AgentRuntime string      // classic (default) or harness
	FGAUserClaim string      // email (default) or sub

	NotConnected   bool // people begin without a connected Okta account and connect it on the page
	ConsoleLinking bool
	RichApprovals  bool // pushes carry authorization details

	// Chaos makes the fakes throttle, page small, deliver twice and answer stale reads, the same way for the same number. 0: they do not.
	Chaos uint64
	// Latency is what every outside system takes, FGA included.
	Latency time.Duration
	// ChunkDelay is the pause before each piece of the agent's answer.
	ChunkDelay time.Duration
	// PollInterval is the CIBA interval; default 5 s. PushLimit is pushes a minute to one person; default 5, negative is none.
	PollInterval time.Duration
	PushLimit    int
	Model        bedrocktest.Model // default the planner

	// Secret, if set, is told every secret of the run: what it draws, and what passes its ports (see faultproxy.Proxy).
	Secret func(value string)

	Lambda runtimeapi.Options // IdleAfter, MaxInstances, NoFreeze; the rest is set here
	Logs   io.Writer          // a copy of what the functions write
	Log    *slog.Logger       // what the run itself has to say

	// StateFile and beside it [EnvironmentFile] are written when all is ready and removed at the end; "" writes neither.
	StateFile string
}

// Fleet is a run under way. The fakes may be spoken to directly.
type Fleet struct {
	ChatURL, Auth0URL, OktaURL, FGAURL, AWSURL, ControlURL string

	Lambda  *runtimeapi.Lambda
	Proxy   *faultproxy.Proxy
	Tenant  *auth0test.Tenant
	Org     *oktatest.Org
	AWS     *awstest.Server
	Roles   *iam.Roles
	Bedrock *bedrocktest.Server
	OpenFGA *openfga.Server

	opts    Options
	log     *slog.Logger
	stop    context.CancelFunc // of the pollers
	pollers sync.WaitGroup
	closers []func() error // in the order of starting
}

// State is what build/local.json says.
type State struct {
	Chat       string   `json:"chat"`
	Auth0      string   `json:"auth0"`
	Phone      string   `json:"phone"`
	Okta       string   `json:"okta"`
	FGA        string   `json:"fga"`
	FGAStoreID string   `json:"fga_store_id"`
	FGAModelID string   `json:"fga_model_id"`
	AWS        string   `json:"aws"`
	Control    string   `json:"control"`
	Users      []string `json:"users"`
}

// State describes the run.
func (f *Fleet) State() State {
	s := State{
		Chat: f.ChatURL, Auth0: f.Auth0URL, Phone: f.Auth0URL + "/phone", Okta: f.OktaURL, FGA: f.FGAURL,
		FGAStoreID: f.OpenFGA.StoreID, FGAModelID: f.OpenFGA.ModelID, AWS: f.AWSURL, Control: f.ControlURL,
	}
	for _, p := range People() {
		s.Users = append(s.Users, p.Email)
	}
	return s
}

// People are the demo people.
func People() []auth0test.Person {
	person := func(name, family, id string) auth0test.Person {
		return auth0test.Person{Email: name + "@example.com", EmailVerified: true, Name: family, OktaUserID: id, PushEnrolled: true}
	}
	return []auth0test.Person{
		person("alice", "Alice Adams", oktatest.Alice),
		person("bob", "Bob Brown", oktatest.Bob),
		person("carol", "Carol Clark", oktatest.Carol),
		person("dave", "Dave Davis", oktatest.Dave),
		person("erin", "Erin Evans", oktatest.Erin),
		person("frank", "Frank Fisher", oktatest.Frank),
	}
}

// Start starts everything and returns when the chat answers.
func Start(ctx context.Context, opts Options) (_ *Fleet, err error) {
	if opts.Fleet.Functions == nil {
		opts.Fleet = fleet.Steward()
	}
	if opts.Bin == "" {
		root, err := Root()
		if err != nil {
			return nil, err
		}
		opts.Bin = filepath.Join(root, "build", "local")
	}
	opts.AgentRuntime = cmp.Or(opts.AgentRuntime, "classic")
	opts.FGAUserClaim = cmp.Or(opts.FGAUserClaim, "email")
	if opts.AgentRuntime != "classic" && opts.AgentRuntime != "harness" {
		return nil, fmt.Errorf("agent runtime %q is neither classic nor harness", opts.AgentRuntime)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{opts: opts, log: opts.Log, Proxy: &faultproxy.Proxy{Engine: faults.Engine{Secret: opts.Secret}, Latency: opts.Latency}, stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	var ports [6]loopback
	for i := range ports {
		port := 0
		if opts.PortBase != 0 {
			port = opts.PortBase + i
		}
		if ports[i], err = listen(ctx, port); err != nil {
			return nil, err
		}
		f.closers = append(f.closers, ports[i].Close)
	}
	if opts.StateFile != "" {
		for _, path := range []string{opts.StateFile, EnvironmentFile(opts.StateFile)} {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("remove the old %s: %w", path, err)
			}
		}
	}
	f.ChatURL, f.Auth0URL, f.OktaURL = ports[0].url(), ports[1].url(), ports[2].url()
	f.FGAURL, f.AWSURL, f.ControlURL = ports[3].url(), ports[4].url(), ports[5].url()

	secrets := map[string]string{auth0Secret: rand.Text(), fgaSecret: rand.Text(), setupSecret: rand.Text()}
	for _, key := range []string{tokenKey, approvalKey, auditKey} {
		secrets[key] = rand.Text() + rand.Text()
	}
	for _, value := range secrets {
		if opts.Secret != nil {
			opts.Secret(value)
		}
	}
	f.startOkta()
	f.startAuth0(secrets[auth0Secret], secrets[setupSecret])
	if err := f.startFGA(ctx, secrets[fgaSecret]); err != nil {
		return nil, err
	}
	f.startAWS(secrets)
	if err := f.makeRoles(); err != nil {
		return nil, err
	}
	if err := f.startLambda(); err != nil {
		return nil, err
	}
	f.serve(ports[1], f.Proxy.Wrap(faults.Auth0, f.Tenant))
	f.serve(ports[2], f.Proxy.Wrap(faults.Okta, f.Org))
	f.serve(ports[3], f.Proxy.Wrap(faults.FGA, f.OpenFGA))
	f.serve(ports[4], f.Proxy.Wrap(faults.AWS, f.Roles.Wrap(f.AWS)))
	f.serve(ports[5], &control.Handler{Phone: f.Tenant, Proxy: f.Proxy, Lambda: f.Lambda, Reset: f.Reset})
	for _, fn := range opts.Fleet.Functions {
		if fn.Web {
			f.serve(ports[0], &functionurl.Handler{Log: f.log, Invoke: func(ctx context.Context, payload []byte) (*runtimeapi.Response, error) {
				return f.Lambda.InvokeStream(ctx, fn.Name, payload)
			}})
		}
	}
	if err := f.poll(ctx); err != nil {
		return nil, err
	}
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	if opts.StateFile != "" {
		if err := f.writeState(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Fleet) startOkta() {
	size := -1 // Okta's own maxima
	if f.opts.Chaos != 0 {
		size = 0 // small pages
	}
	f.Org = oktatest.New(oktatest.Options{BaseURL: f.OktaURL, Seed: cmp.Or(f.opts.Chaos, 1), PageSize: size, Log: f.log.With("fake", "okta")})
}

func (f *Fleet) startAuth0(clientSecret, setupKey string) {
	app := auth0test.WebApp(auth0Client, clientSecret, f.ChatURL+"/callback", f.ChatURL+"/connect/callback")
	app.AllowedLogoutURLs = []string{f.ChatURL, f.ChatURL + "/"}
	f.Tenant = auth0test.New(auth0test.Options{
		Issuer: f.Auth0URL, Clients: []auth0test.Client{app, auth0test.Machine(setupClient, setupKey)}, People: People(), Connection: connection,
		Grants: []auth0test.ClientGrant{{ClientID: setupClient, Audience: auth0test.ManagementAPI}},
		APIs:   []auth0test.ResourceServer{{Name: "Steward approvals", Identifier: approvalsAPI, AuthorizationDetails: []auth0test.DetailsType{{Type: detailType}}}},
		Chaos:  f.opts.Chaos, PollInterval: f.opts.PollInterval, PushLimit: f.opts.PushLimit, ResponseIssuer: true, Log: f.log.With("fake", "auth0"),
		OktaToken: func(p auth0test.Person, scopes []string) (string, time.Duration) {
			switch f.Org.UserState(p.OktaUserID).Status {
			case oktatest.Suspended, oktatest.Deprovisioned:
				return "", 0
			default:
				return f.Org.MintToken(p.OktaUserID, scopes, time.Hour), time.Hour
			}
		},
	})
	f.connectPeople()
}

func (f *Fleet) connectPeople() {
	if f.opts.NotConnected {
		return
	}
	for _, p := range People() {
		f.Tenant.Connect(p.Email)
	}
}

func (f *Fleet) startFGA(ctx context.Context, clientSecret string) (err error) {
	f.OpenFGA, err = openfga.New(ctx, f.FGAURL, openfga.Options{
		Issuer: &fgatest.Issuer{ClientID: fgaClient, ClientSecret: secret.New(clientSecret), Audience: f.FGAURL + "/"},
	})
	if err != nil {
		return fmt.Errorf("start OpenFGA: %w", err)
	}
	f.closers = append(f.closers, f.OpenFGA.Close)
	return nil
}

func (f *Fleet) startAWS(secrets map[string]string) {
	f.Bedrock = bedrocktest.New(bedrocktest.Options{
		Invoke: f.invoke, Model: f.opts.Model, Log: f.log.With("fake", "bedrock"), ChunkDelay: f.opts.ChunkDelay,
		AgentID: agentID, AliasID: agentAlias, HarnessARN: harnessARN,
	})
	queue := f.opts.Fleet.Queue
	f.AWS = awstest.New(awstest.Options{
		Region: region, Account: account, Secrets: secrets, Chaos: f.opts.Chaos, NoChaos: f.opts.Chaos == 0,
		Tables: Tables(SessionTable, auditTable),
		Queues: []awstest.Queue{
			{Name: queueName, VisibilityTimeout: queue.VisibilityTimeout, DeadLetter: deadLetters, MaxReceiveCount: queue.MaxReceives},
			{Name: deadLetters},
		},
		Invoke: f.invoke, Fallback: f.Bedrock, Log: f.log.With("fake", "aws"),
	})
}

// Tables returns the table of sessions and the audit table for the AWS fake.
func Tables(sessions, audit string) []awstest.Table {
	return []awstest.Table{
		{
			Name: sessions, Hash: awstest.Key{Name: dynamo.PartitionKey}, Range: awstest.Key{Name: dynamo.SortKey}, TTL: dynamo.TTLAttribute,
			Indexes: []awstest.Index{{Name: dynamo.OwnerIndex, Hash: awstest.Key{Name: dynamo.OwnerKey}, Range: awstest.Key{Name: dynamo.SortKey}}},
		},
		{Name: audit, Hash: awstest.Key{Name: dynamo.AuditPartitionKey}, Range: awstest.Key{Name: dynamo.AuditSortKey}},
	}
}

// makeRoles holds each function to what the fleet says it may do.
func (f *Fleet) makeRoles() error {
	var roles []iam.Role
	for _, fn := range f.opts.Fleet.Functions {
		permissions, attributes, err := f.permissions(fn)
		if err != nil {
			return err
		}
		roles = append(roles, iam.Role{Function: fn.Name, AccessKeyID: runtimeapi.AccessKeyID(fn.Name), Permissions: permissions, Attributes: attributes})
	}
	f.Roles = iam.New(region, account, f.log.With("fake", "iam"), roles...)
	return nil
}

// invoke is Lambda Invoke for the fakes.
func (f *Fleet) invoke(ctx context.Context, name string, payload []byte) (out []byte, functionError string, err error) {
	out, functionError, err = f.Lambda.Invoke(ctx, name, payload)
	if errors.Is(err, runtimeapi.ErrNoFunction) {
		err = fmt.Errorf("%w: %w", awstest.ErrNoFunction, err)
	}
	return out, functionError, err
}

func (f *Fleet) startLambda() (err error) {
	var functions []runtimeapi.Function
	for _, fn := range f.opts.Fleet.Functions {
		env, err := f.environment(fn)
		if err != nil {
			return err
		}
		bootstrap := filepath.Join(f.opts.Bin, fn.Name, "bootstrap")
		if _, err := os.Stat(bootstrap); err != nil {
			return fmt.Errorf("function %s is not built: %w", fn.Name, err)
		}
		functions = append(functions, runtimeapi.Function{Name: fn.Name, Bootstrap: bootstrap, Env: env, MemoryMB: fn.MemoryMB, Timeout: fn.Timeout})
	}
	o := f.opts.Lambda
	o.Region, o.Account, o.Env = region, account, f.endpoint()
	o.Logs, o.Log = runtimeapi.NewLogs(f.opts.Logs), f.log
	if f.Lambda, err = runtimeapi.New(o, functions...); err != nil {
		return fmt.Errorf("start the Lambda service: %w", err)
	}
	f.closers = append(f.closers, f.Lambda.Close)
	return nil
}

func (f *Fleet) serve(port loopback, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		Protocols: bedrocktest.Protocols(), // AWS's JavaScript client for agents speaks HTTP/2 alone
	}
	f.closers = append(f.closers, s.Close)
	for _, ln := range port {
		go func() { _ = s.Serve(ln) }() // ends with Close
	}
}

// mapping is what an event source mapping of a queue does with the role of its function (AWSLambdaSQSQueueExecutionRole).
var mapping = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

// poll is the event source mapping between the queue and the functions it feeds.
func (f *Fleet) poll(ctx context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	for _, fn := range f.opts.Fleet.Functions {
		if !fn.Queue {
			continue
		}
		for _, action := range mapping {
			if !f.Roles.Allow(runtimeapi.AccessKeyID(fn.Name), iam.Permission{Action: action, Resource: f.AWS.QueueARN(queueName)}) {
				return fmt.Errorf("feed %s from the queue: its role lacks %s", fn.Name, action)
			}
		}
		f.pollers.Go(func() {
			p := awstest.Poller{Queue: queueName, Function: fn.Name, BatchSize: fn.BatchSize, ReportBatchItemFailures: true}
			if err := f.AWS.Poll(ctx, p); err != nil {
				f.log.ErrorContext(ctx, "the queue is not polled", "function", fn.Name, "err", err)
			}
		})
	}
	return nil
}

// ready asks the chat whether it is well, which also starts it.
func (f *Fleet) ready(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.ChatURL+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask the chat: %w", err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("ask the chat: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the chat does not start (its health is %d); it said:\n%s", res.StatusCode, f.Lambda.Logs())
	}
	return nil
}

// EnvironmentFile returns the path of the file beside a state file that holds the environment of all functions together, with
// AWS_ENDPOINT_URL. It holds addresses, names and ids, and no secret. `make doctor` and `make audit` read it.
func EnvironmentFile(stateFile string) string {
	return strings.TrimSuffix(stateFile, ".json") + ".env.json"
}

// writeState writes both files, the state last: whoever finds it finds the other too.
func (f *Fleet) writeState() error {
	all := map[string]string{}
	for _, fn := range f.opts.Fleet.Functions {
		env, err := f.environment(fn)
		if err != nil {
			return err
		}
		maps.Copy(all, env)
	}
	maps.Copy(all, f.endpoint())
	return errors.Join(f.writeFile(EnvironmentFile(f.opts.StateFile), all), f.writeFile(f.opts.StateFile, f.State()))
}

// endpoint is what every function is given besides its own environment.
func (f *Fleet) endpoint() map[string]string { return map[string]string{"AWS_ENDPOINT_URL": f.AWSURL} }

// writeFile writes a value as JSON for this user alone, at once, and removes the file when the run ends.
func (f *Fleet) writeFile(path string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("describe the run: %w", err)
	}
	body = append(body, '\n')
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", body, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil { // so that nobody reads half of it
		return fmt.Errorf("write %s: %w", path, err)
	}
	f.closers = append(f.closers, func() error {
		if now, _ := os.ReadFile(path); bytes.Equal(now, body) { //nolint:gosec // our own file, if it is not another run's by now
			return os.Remove(path)
		}
		return nil
	})
	return nil
}

// Reset brings everything back to the seed: people, groups, sessions, tuples, connected accounts. The functions start afresh, for
// they remember.
func (f *Fleet) Reset(ctx context.Context) error {
	for _, name := range f.Lambda.Names() {
		f.Lambda.Kill(name)
	}
	f.Proxy.Fail()
	f.Proxy.Forget()
	f.Tenant.Reset()
	f.connectPeople()
	f.Org.Reset()
	f.AWS.Reset()
	f.Bedrock.Reset()
	return f.OpenFGA.Reset(ctx)
}

// Close stops everything, the last started first.
func (f *Fleet) Close() (err error) {
	f.stop()
	for i := len(f.closers) - 1; i >= 0; i-- {
		if e := f.closers[i](); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	f.closers = nil
	f.pollers.Wait()
	return err
}
