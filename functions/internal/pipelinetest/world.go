// Package pipelinetest sets up AWS, Auth0, Okta and an authorization store in this process, with the demo people, to
// test the functions against.
//
//	w := actingtest.Start(t)
//	alice := w.SignIn("alice")
//	reply := w.Ask(handler.Handle, alice, "list_user_groups")
//
// A process of a function is [World.Clients]; another call of it is another process, which remembers nothing. A process
// can be killed at any call it makes ([World.KillAt]). Time passes when the test says so ([World.Forward]): fakes and
// clients share one clock.
//
// Whatever a function answers or logs is searched for every secret that has ever travelled.
package pipelinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/awstest"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga/model"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// The application, and another one at the same tenant.
const (
	ClientID      = "steward-local"
	OtherClientID = "other-app"
)

// BadKeys are the names of secrets that are no token key, one never filled and one too short, with what people are told.
var BadKeys = map[string]string{"empty": "the secret empty has no value yet", "short-key": "the key that seals sign-ins cannot be used"}

const (
	clientSecret = "canary-client-secret-4c1f"
	shortKey     = "canary-short-key"
	queueName    = "approvals"
	authorizer   = "fga-authorizer"
)

// World is everything outside of a function.
type World struct {
	T     testing.TB
	Auth0 *auth0test.Tenant
	Okta  *oktatest.Org
	FGA   *fgatest.Fake
	AWS   *awstest.Server

	ToAuth0, ToOkta, ToAWS *Interceptor

	// Env is the environment of the functions.
	Env map[string]string
	// Log is where the functions log.
	Log *slog.Logger

	base    string // of AWS
	behind  string // of AWS, behind the interceptor
	offset  atomic.Int64
	power   *power
	journal *journal
	clients *pipeline.Clients // the test's own, to look at the tables

	mu       sync.Mutex
	canaries []string
}

// Start makes a world. Its fakes make no chaos: that is for the clients' own tests.
func Start(t testing.TB, change ...func(*auth0test.Options)) *World {
	t.Helper()
	w := &World{T: t, power: &power{cancel: func() {}}}
	w.journal = &journal{t: t}
	w.Log = slog.New(slog.NewJSONHandler(w.journal, nil))
	tokenKey, approvalKey, auditKey := seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal()
	w.canaries = []string{clientSecret, tokenKey, approvalKey, auditKey, shortKey}

	w.Okta = oktatest.New(oktatest.Options{Now: w.Now, Seed: 7})
	w.ToOkta = &Interceptor{service: faults.Okta, next: w.Okta, power: w.power}
	okta := serve(t, w.ToOkta)

	w.ToAuth0 = &Interceptor{service: faults.Auth0, power: w.power, keep: w.keep}
	front := serve(t, w.ToAuth0)
	options := auth0test.Options{
		Issuer: front + "/", Now: w.Now,
		Clients: []auth0test.Client{auth0test.WebApp(ClientID, clientSecret, "http://localhost/callback"), auth0test.WebApp(OtherClientID, clientSecret, "http://localhost/callback")},
		OktaToken: func(p auth0test.Person, scopes []string) (string, time.Duration) {
			return w.Okta.MintToken(p.OktaUserID, scopes, time.Hour), time.Hour
		},
	}
	for name, id := range people {
		options.People = append(options.People, auth0test.Person{
			Email: email(name), EmailVerified: true, Name: strings.ToUpper(name[:1]) + name[1:], OktaUserID: id, PushEnrolled: true,
		})
	}
	for _, c := range change {
		c(&options)
	}
	w.Auth0 = auth0test.New(options)
	w.ToAuth0.next = w.Auth0

	tuples, err := model.DemoTuples()
	must(t, err)
	w.FGA = fgatest.New(tuples...)

	s := awstest.Key{Type: "S"}
	named := func(name string) awstest.Key { k := s; k.Name = name; return k }
	w.AWS = awstest.New(awstest.Options{
		Now: w.Now, NoChaos: true, Functions: []string{authorizer}, Invoke: w.FGA.Invoke,
		Tables: []awstest.Table{
			{Name: "bedrock-sessions", Hash: named("session_id"), Range: named("item"), TTL: "ttl", Indexes: []awstest.Index{{Name: "by-owner", Hash: named("owner"), Range: named("item")}}},
			{Name: "steward-audit", Hash: named("subject"), Range: named("id")},
		},
		Queues: []awstest.Queue{{Name: queueName, VisibilityTimeout: 3 * time.Minute}},
		Secrets: map[string]string{
			"auth0": clientSecret, "token-key": tokenKey, "approval-key": approvalKey, "audit-key": auditKey,
			"other-key": seal.GenerateKey().Reveal(), "empty": "", "short-key": shortKey,
		},
	})
	w.ToAWS = &Interceptor{service: faults.AWS, next: w.AWS, power: w.power}
	w.base = serve(t, w.ToAWS)

	for k, v := range map[string]string{ //nolint:gosec // of no account
		"AWS_ENDPOINT_URL": w.base, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2", "AWS_CA_BUNDLE": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(k, v)
	}
	w.Env = map[string]string{
		"SESSION_TABLE_NAME": "bedrock-sessions", "AUDIT_TABLE_NAME": "steward-audit",
		"AUTH0_ISSUER_URL": front + "/", "AUTH0_CLIENT_ID": ClientID, "AUTH0_CLIENT_SECRET_ARN": w.AWS.SecretARN("auth0"),
		"AUTH0_CONNECTION_NAME": "okta-corp", "OKTA_ORG_URL": okta, "FGA_AUTHORIZER_FUNCTION_NAME": authorizer,
		"FGA_USER_CLAIM": "email", "APPROVALS_MESSAGE": "sentence", "TOKEN_KEY_SECRET_ARN": w.AWS.SecretARN("token-key"),
		"APPROVAL_KEY_SECRET_ARN": w.AWS.SecretARN("approval-key"), "AUDIT_KEY_SECRET_ARN": w.AWS.SecretARN("audit-key"),
		"APPROVAL_QUEUE_URL": w.AWS.QueueURL(w.base, queueName),
	}
	// The test's own calls bypass the interceptor: they are neither counted nor fail.
	w.behind = serve(t, w.AWS)
	t.Setenv("AWS_ENDPOINT_URL", w.behind)
	w.clients = w.Clients()
	t.Setenv("AWS_ENDPOINT_URL", w.base)
	t.Cleanup(func() { w.clean("the log", w.journal.text()) })
	return w
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	s.Config.ErrorLog = nil
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var people = map[string]string{
	"alice": oktatest.Alice, "bob": oktatest.Bob, "carol": oktatest.Carol, "dave": oktatest.Dave, "erin": oktatest.Erin, "frank": oktatest.Frank,
}

func email(name string) string { return name + "@example.com" }

// Subject is a person's Auth0 user id.
func Subject(name string) session.Subject { return session.Subject("oidc|okta-corp|" + people[name]) }

// Now is the time in this world.
func (w *World) Now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// Forward lets time pass.
func (w *World) Forward(d time.Duration) { w.offset.Add(int64(d)) }

// Lookup reads Env, for a function's parseConfig.
func (w *World) Lookup(key string) (string, bool) { v, ok := w.Env[key]; return v, ok }

// Clients are those of a process that has just been started.
func (w *World) Clients() *pipeline.Clients {
	w.T.Helper()
	r := config.Read(w.Lookup)
	cfg := pipeline.ReadSignIn(r, pipeline.Read(r))
	must(w.T, r.Err())
	c, err := pipeline.NewClients(context.Background(), cfg, w.Now)
	must(w.T, err)
	return c
}

// Phone is how those are told to ask the phone.
func (w *World) Phone() pipeline.Phone {
	w.T.Helper()
	r := config.Read(w.Lookup)
	p := pipeline.ReadPhone(r)
	must(w.T, r.Err())
	return p
}

// SignIn opens a session for a person whose Okta account is connected, as the chat function does.
func (w *World) SignIn(name string) session.ID {
	w.T.Helper()
	w.Auth0.Connect(email(name))
	return w.SignInOnly(name, 8*time.Hour)
}

// SignInAs opens a session for a person who has connected somebody else's Okta account.
func (w *World) SignInAs(name, whose string) session.ID {
	w.T.Helper()
	w.Auth0.ConnectAs(email(name), email(whose))
	return w.SignInOnly(name, 8*time.Hour)
}

// SignInOnly opens a session of that length without connecting an Okta account.
func (w *World) SignInOnly(name string, length time.Duration) session.ID {
	w.T.Helper()
	refresh := w.Auth0.SignIn(ClientID, email(name))
	w.keep("refresh_token", refresh)
	sealer, err := w.clients.Sealer(w.T.Context())
	must(w.T, err)
	id := session.NewID()
	owner := session.Person{Subject: Subject(name), Email: email(name), EmailVerified: true, Name: name}
	sealed, err := tokenvault.SealRefreshToken(sealer, id, owner, secret.New(refresh))
	must(w.T, err)
	now := w.Now()
	must(w.T, w.clients.Sessions.PutSession(w.T.Context(), session.Session{
		ID: id, Owner: owner,
		CreatedAt: now, ExpiresAt: now.Add(length), RefreshToken: sealed,
	}))
	return id
}

// SignOut ends a session.
func (w *World) SignOut(id session.ID) {
	w.T.Helper()
	must(w.T, w.clients.Sessions.DeleteSession(w.T.Context(), id))
}

// Session reads a session's row.
func (w *World) Session(id session.ID) session.Session {
	w.T.Helper()
	s, err := w.clients.Sessions.Session(w.T.Context(), id)
	must(w.T, err)
	return s
}

// Approvals are a person's, newest first, as they are now.
func (w *World) Approvals(name string) []approval.Approval {
	w.T.Helper()
	all, err := w.clients.Approvals.ByOwner(w.T.Context(), Subject(name), 100)
	must(w.T, err)
	return all
}

// Trail is a person's audit trail, oldest first.
func (w *World) Trail(name string) []audit.Entry {
	w.T.Helper()
	all, err := dynamo.NewAudit(dynamodb.NewFromConfig(w.clients.AWS), w.Env["AUDIT_TABLE_NAME"], nil).BySubject(w.T.Context(), Subject(name), 100)
	must(w.T, err)
	slices.Reverse(all)
	return all
}

// Grant lets a person do something.
func (w *World) Grant(name, relation, object string) {
	w.FGA.Grant("user:"+email(name), relation, object)
}

// UseKey has the next process seal and open under the secret of that name.
func (w *World) UseKey(name string) { w.Env["TOKEN_KEY_SECRET_ARN"] = w.AWS.SecretARN(name) }

// Rotate puts a fresh key above the others in the secret of that name. Who signs in from now on is sealed with it.
func (w *World) Rotate(name string) {
	w.T.Helper()
	vault, id := secretsmanager.NewFromConfig(w.clients.AWS), w.AWS.SecretARN(name)
	now, err := vault.GetSecretValue(w.T.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	must(w.T, err)
	text := seal.GenerateKey().Reveal() + "\n" + *now.SecretString
	_, err = vault.PutSecretValue(w.T.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &text})
	must(w.T, err)
	w.T.Setenv("AWS_ENDPOINT_URL", w.behind)
	w.clients = w.Clients()
	w.T.Setenv("AWS_ENDPOINT_URL", w.base)
}

// Revoke takes a grant away.
func (w *World) Revoke(name, relation, object string) {
	w.FGA.Revoke("user:"+email(name), relation, object)
}

// Decide answers the newest push on a person's phone: "approve" or "deny".
func (w *World) Decide(name, decision string) {
	w.T.Helper()
	pushes := w.Pushes(name)
	if len(pushes) == 0 {
		w.T.Fatalf("nothing was pushed to %s", name)
	}
	must(w.T, w.Auth0.Decide(pushes[len(pushes)-1].ID, decision))
}

// Pushes are those to a person's phone, oldest first.
func (w *World) Pushes(name string) []auth0test.Push {
	return slices.DeleteFunc(w.Auth0.Pushes(), func(p auth0test.Push) bool { return p.Email != email(name) })
}

// Queue is the client of the approval queue and its URL.
func (w *World) Queue() (*sqs.Client, string) {
	return sqs.NewFromConfig(w.clients.AWS), w.Env["APPROVAL_QUEUE_URL"]
}

// Handle is how an action group's function is called.
type Handle = func(context.Context, json.RawMessage) (actiongroup.Response, error)

// Reply is what a function answered, and how its log names the outcome.
type Reply struct {
	Text     string
	Reprompt bool
	Kind     string // fault kind; "" where all went well
	Action   fault.Action
}

// Event is the call of a function with parameters given as name, value, name, value.
func Event(id session.ID, function string, args ...string) actiongroup.Event {
	f, _ := catalogue.Lookup(function)
	e := actiongroup.Event{
		MessageVersion: "1.0", SessionID: string(id), ActionGroup: f.Group, Function: function, InputText: "…",
		Agent: actiongroup.Agent{Name: "steward", ID: "AGENT12345", Alias: "ALIAS12345", Version: "1"},
	}
	for i := 0; i+1 < len(args); i += 2 {
		p, _ := f.Param(args[i])
		e.Parameters = append(e.Parameters, actiongroup.Parameter{Name: args[i], Type: string(p.Type), Value: args[i+1]})
	}
	return e
}

// Ask calls a function and holds it to what every answer must be.
func (w *World) Ask(handle Handle, id session.ID, function string, args ...string) Reply {
	w.T.Helper()
	return w.Send(w.T.Context(), handle, Event(id, function, args...))
}

// Send is [World.Ask] with an event of one's own.
func (w *World) Send(ctx context.Context, handle Handle, e actiongroup.Event) Reply {
	w.T.Helper()
	payload, err := json.Marshal(e)
	must(w.T, err)
	return w.SendRaw(ctx, handle, payload, e)
}

// SendRaw sends any payload; the answer must be one to e.
func (w *World) SendRaw(ctx context.Context, handle Handle, payload []byte, e actiongroup.Event) Reply {
	w.T.Helper()
	w.journal.mark()
	response, err := handle(ctx, payload)
	if err != nil {
		w.T.Fatalf("the function returned an error, which ends the person's turn: %v", err)
	}
	body := response.Response.FunctionResponse
	text, ok := body.ResponseBody["TEXT"]
	switch {
	case response.MessageVersion != "1.0", response.Response.ActionGroup != e.ActionGroup, response.Response.Function != e.Function:
		w.T.Errorf("the answer is not one to this call: %+v", response)
	case !ok || len(body.ResponseBody) != 1 || text.Body == "" || len(text.Body) > actiongroup.MaxAnswerBytes:
		w.T.Errorf("not one text of 1 to %d bytes: %+v", actiongroup.MaxAnswerBytes, body)
	case body.ResponseState != "" && body.ResponseState != "REPROMPT":
		w.T.Errorf("response state %q", body.ResponseState)
	}
	w.clean("an answer", text.Body)
	r := Reply{Text: text.Body, Reprompt: body.ResponseState != "", Kind: w.journal.kind(), Action: response.Action()}
	if r.Reprompt != (r.Kind != "") {
		w.T.Errorf("reprompt is %t, the log says %q: %s", r.Reprompt, r.Kind, r.Text)
	}
	return r
}

// KillAt has the next process killed at its call number n, counted from 1: before the call gets out, or after the
// system has taken it. The context it returns is the process's; it ends with the process.
func (w *World) KillAt(n int, after bool) context.Context {
	ctx, cancel := context.WithCancel(w.T.Context())
	w.power.mu.Lock()
	defer w.power.mu.Unlock()
	w.power.at, w.power.after, w.power.cancel = n, after, cancel
	w.power.off, w.power.used = false, nil
	return ctx
}

// Revive ends the reign of KillAt, and tells which calls the process made and whether it was killed.
func (w *World) Revive() (made []string, killed bool) {
	w.power.mu.Lock()
	defer w.power.mu.Unlock()
	made, killed = w.power.used, w.power.off
	w.power.at, w.power.off, w.power.used, w.power.cancel = 0, false, nil, func() {}
	return made, killed
}

// Forget forgets the calls of every system.
func (w *World) Forget() {
	for _, d := range []*Interceptor{w.ToAuth0, w.ToOkta, w.ToAWS} {
		d.Forget()
	}
}

// Calls are the calls of every system, AWS first, then Auth0, then Okta.
func (w *World) Calls() []string {
	return slices.Concat(w.ToAWS.Calls(), w.ToAuth0.Calls(), w.ToOkta.Calls())
}

// Logged says whether the log of all functions has a line with text.
func (w *World) Logged(text string) bool { return strings.Contains(w.journal.text(), text) }

// secretFields are those of Auth0's answers that nobody else may read.
var secretFields = []string{"access_token", "refresh_token", "id_token", "auth_req_id"}

func (w *World) keep(field, value string) {
	if value == "" || !slices.Contains(secretFields, field) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.canaries = append(w.canaries, value)
}

// clean fails the test if text holds a secret, in plain or escaped for a URL.
func (w *World) clean(where, text string) {
	w.T.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.canaries {
		if strings.Contains(text, c) || strings.Contains(text, url.QueryEscape(c)) {
			w.T.Errorf("%s holds a secret that begins with %.6s", where, c)
		}
	}
}

// journal is the log of all functions, as text and as test output.
type journal struct {
	t  testing.TB
	mu sync.Mutex
	b  bytes.Buffer
	at int
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.b.Write(p)
	return j.t.Output().Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) mark() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at = j.b.Len()
}

// kind is that of the first answered fault since the mark.
func (j *journal) kind() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(j.b.Bytes()[j.at:]) {
		var l struct{ Msg, Kind string }
		_ = json.Unmarshal(line, &l)
		if l.Msg == "answered with a fault" {
			return l.Kind
		}
	}
	return ""
}
