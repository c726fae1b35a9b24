package bedrocktest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
)

const (
	classicPath = "/agents/AB12CD34EF/agentAliases/PRODALIAS1/sessions/sess-8a6f2c/text"
	harnessARN  = "arn:aws:bedrock-agentcore:eu-central-1:111122223333:harness/steward_dev-abcdefghij"
	harnessPath = "/harnesses/invoke?harnessArn=arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A111122223333%3Aharness%2Fsteward_dev-abcdefghij"
	harnessSess = "00000000-0000-4000-8000-000000000000"
	canary      = "canary-1c9a"
)

type message struct {
	kind, name string
	payload    map[string]any
}

// answer is what came back: the status and either a refusal or the events.
type answer struct {
	status   int
	header   http.Header
	refusal  string // x-amzn-ErrorType
	messages []message
	raw      []byte
}

func post(t testing.TB, h http.Handler, path, session string, body any) answer {
	t.Helper()
	raw, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(b)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(raw))
	if session != "" {
		r.Header.Set("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", session)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), refusal: w.Header().Get("x-amzn-ErrorType"), raw: w.Body.Bytes()}
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/vnd.amazon.eventstream" {
		return a
	}
	in, dec := bytes.NewReader(a.raw), eventstream.NewDecoder()
	for {
		m, err := dec.Decode(in, nil)
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			t.Fatal(err)
		}
		got := message{kind: m.Headers.Get(":message-type").String()}
		if m.Headers.Get(":content-type").String() != "application/json" {
			t.Errorf("headers %v", m.Headers)
		}
		got.name = m.Headers.Get(map[string]string{"event": ":event-type", "exception": ":exception-type"}[got.kind]).String()
		if err := json.Unmarshal(m.Payload, &got.payload); err != nil {
			t.Fatalf("payload %s: %v", m.Payload, err)
		}
		a.messages = append(a.messages, got)
	}
}

func (a answer) names() (names []string) {
	for _, m := range a.messages {
		names = append(names, m.name)
	}
	return names
}

func (a answer) count(name string) (n int) {
	for _, m := range a.messages {
		if m.name == name {
			n++
		}
	}
	return n
}

// lambda answers with a response or, if it is a string, with just that.
func lambda(respond func(actiongroup.Event) any) func(context.Context, string, []byte) ([]byte, string, error) {
	return func(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
		event, err := actiongroup.Decode(payload)
		if err != nil {
			return nil, "", err
		}
		switch r := respond(event).(type) {
		case string:
			return []byte(r), "", nil
		case error:
			return []byte(`{"errorMessage":"x"}`), "Unhandled", nil
		default:
			raw, err := json.Marshal(r)
			return raw, "", err
		}
	}
}

func TestIDsAndBodiesThatDoNotFitAreRefused(t *testing.T) {
	fake := bedrocktest.New(bedrocktest.Options{AgentID: "AB12CD34EF", AliasID: "PRODALIAS1", HarnessARN: harnessARN})
	long := strings.Repeat("a", 101)
	hello := map[string]any{"inputText": "hello"}
	text := map[string]any{"messages": []any{map[string]any{"role": "user", "content": []any{map[string]any{"text": "hello"}}}}}
	last := func(role string, block map[string]any) any {
		return map[string]any{"messages": []any{map[string]any{"role": role, "content": []any{block}}}}
	}
	for name, c := range map[string]struct {
		path, session string
		body          any
		want          string
	}{
		"agent id too long":   {"/agents/AB12CD34EFG/agentAliases/PRODALIAS1/sessions/s1/text", "", hello, "ValidationException"},
		"alias with a dash":   {"/agents/AB12CD34EF/agentAliases/PROD-1/sessions/s1/text", "", hello, "ValidationException"},
		"session with a pipe": {"/agents/AB12CD34EF/agentAliases/PRODALIAS1/sessions/auth0%7Cu1/text", "", hello, "ValidationException"},
		"session too long":    {"/agents/AB12CD34EF/agentAliases/PRODALIAS1/sessions/" + long + "/text", "", hello, "ValidationException"},
		"session too short":   {"/agents/AB12CD34EF/agentAliases/PRODALIAS1/sessions/s/text", "", hello, "ValidationException"},
		"other agent":         {"/agents/ZZ12CD34EF/agentAliases/PRODALIAS1/sessions/s1/text", "", hello, "ResourceNotFoundException"},
		"other alias":         {"/agents/AB12CD34EF/agentAliases/OTHERALIAS/sessions/s1/text", "", hello, "ResourceNotFoundException"},
		"no text":             {classicPath, "", map[string]any{}, "ValidationException"},
		"no JSON":             {classicPath, "", "hello", "SerializationException"},
		"wrong type":          {classicPath, "", `{"inputText":7}`, "SerializationException"},
		"unasked result":      {classicPath, "", `{"inputText":"x","sessionState":{"invocationId":"1"}}`, "ValidationException"},
		"guardrail interval":  {classicPath, "", `{"inputText":"x","streamingConfigurations":{"applyGuardrailInterval":0}}`, "ValidationException"},

		"harness session missing":      {harnessPath, "", text, "ValidationException"},
		"harness session too short":    {harnessPath, strings.Repeat("a", 32), text, "ValidationException"},
		"harness session too long":     {harnessPath, long, text, "ValidationException"},
		"harness session with a dot":   {harnessPath, strings.Repeat("a", 33) + ".b", text, "ValidationException"},
		"harness session with a colon": {harnessPath, strings.Repeat("a", 33) + ":b", text, "ValidationException"},
		"harness session from a dash":  {harnessPath, "-" + strings.Repeat("a", 33), text, "ValidationException"},
		"no harness ARN":               {"/harnesses/invoke", harnessSess, text, "ValidationException"},
		"other harness":                {strings.Replace(harnessPath, "steward_dev", "steward_prod", 1), harnessSess, text, "ResourceNotFoundException"},
		"bad qualifier":                {harnessPath + "&qualifier=a.b", harnessSess, text, "ValidationException"},
		"no messages":                  {harnessPath, harnessSess, `{"messages":[]}`, "ValidationException"},
		"last message of assistant":    {harnessPath, harnessSess, last("assistant", map[string]any{"text": "x"}), "ValidationException"},
		"final toolUse":                {harnessPath, harnessSess, last("user", map[string]any{"toolUse": map[string]any{"toolUseId": "1", "name": "x", "input": map[string]any{}}}), "ValidationException"},
		"unasked toolResult":           {harnessPath, harnessSess, last("user", map[string]any{"toolResult": map[string]any{"toolUseId": "1", "content": []any{}}}), "ValidationException"},
		"elsewhere":                    {"/agents", "", hello, "UnknownOperationException"},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, fake, c.path, c.session, c.body)
			if a.refusal != c.want || a.status/100 != 4 || !json.Valid(a.raw) {
				t.Errorf("%d %s %s, want %s", a.status, a.refusal, a.raw, c.want)
			}
		})
	}
	if a := post(t, fake, strings.Replace(classicPath, "PRODALIAS1", "TSTALIASID", 1), "", hello); a.status != 200 {
		t.Errorf("the test alias always exists, got %d", a.status)
	}
}

func TestClassicEventIsTheRealOne(t *testing.T) {
	var payload []byte
	fake := bedrocktest.New(bedrocktest.Options{Invoke: func(_ context.Context, function string, p []byte) ([]byte, string, error) {
		payload = p
		if function != "okta-groups" {
			t.Errorf("function %q", function)
		}
		event, err := actiongroup.Decode(p)
		if err != nil {
			return nil, "", err
		}
		raw, err := json.Marshal(event.Answer("done"))
		return raw, "", err
	}})
	a := post(t, fake, classicPath, "", map[string]any{
		"inputText": "show the first 3 members of Engineering", "somethingNew": 1,
		"sessionState": map[string]any{"sessionAttributes": map[string]string{"k": canary}},
	})
	if a.header.Get("x-amzn-bedrock-agent-content-type") != "application/json" || a.header.Get("x-amz-bedrock-agent-session-id") != "sess-8a6f2c" {
		t.Errorf("headers %v", a.header)
	}
	if n := a.names(); len(n) != 1 || n[0] != "chunk" {
		t.Errorf("without trace and streaming: %v, want one chunk", n)
	}
	want := `{"messageVersion":"1.0","agent":{"name":"steward","id":"AB12CD34EF","alias":"PRODALIAS1","version":"1"},"inputText":"show the first 3 members of Engineering","sessionId":"sess-8a6f2c","actionGroup":"okta-groups","function":"list_group_members","parameters":[{"name":"group","type":"string","value":"Engineering"},{"name":"limit","type":"integer","value":"3"}],"sessionAttributes":{"k":"` + canary + `"},"promptSessionAttributes":{}}`
	if string(payload) != want {
		t.Errorf("event\n got %s\nwant %s", payload, want)
	}
	// attributes last for the session
	post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups"})
	if !bytes.Contains(payload, []byte(canary)) {
		t.Errorf("second event %s", payload)
	}
}

func TestTheModelNeverSeesAttributes(t *testing.T) {
	var seen []byte
	fake := bedrocktest.New(bedrocktest.Options{
		Model:  recorder{&seen},
		Invoke: lambda(func(e actiongroup.Event) any { return e.Answer("done") }),
	})
	a := post(t, fake, classicPath, "", map[string]any{
		"inputText": "list my groups", "enableTrace": true,
		"sessionState": map[string]any{"sessionAttributes": map[string]string{"k": canary}, "promptSessionAttributes": map[string]string{"p": canary}},
	})
	if bytes.Contains(seen, []byte(canary)) || bytes.Contains(a.raw, []byte(canary)) {
		t.Error("an attribute reached the model or the trace")
	}
}

type recorder struct{ seen *[]byte }

func (r recorder) Next(ctx context.Context, c []bedrocktest.Message) (bedrocktest.Reply, error) {
	raw, err := json.Marshal(c)
	*r.seen = append(*r.seen, raw...)
	if err != nil {
		return bedrocktest.Reply{}, err
	}
	return bedrocktest.Planner{}.Next(ctx, c)
}

func TestClassicTrace(t *testing.T) {
	fake := bedrocktest.New(bedrocktest.Options{Invoke: lambda(func(e actiongroup.Event) any { return e.Answer("done") })})
	a := post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups", "enableTrace": true})
	var steps []string
	for _, m := range a.messages {
		if m.name != "trace" {
			continue
		}
		for _, key := range []string{"agentId", "agentAliasId", "agentVersion", "sessionId", "eventTime", "callerChain"} {
			if m.payload[key] == nil {
				t.Errorf("trace without %s", key)
			}
		}
		orchestration := m.payload["trace"].(map[string]any)["orchestrationTrace"].(map[string]any)
		for step, value := range orchestration {
			if o := value.(map[string]any); o["type"] != nil && step == "observation" {
				step += ":" + o["type"].(string)
			}
			steps = append(steps, step)
		}
	}
	want := "modelInvocationInput modelInvocationOutput rationale invocationInput observation:ACTION_GROUP modelInvocationInput modelInvocationOutput observation:FINISH"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps\n got %s\nwant %s", got, want)
	}
}

func TestAFunctionsAnswerIsReadStrictly(t *testing.T) {
	for name, c := range map[string]struct {
		answer any
		want   string // text, or "" for dependencyFailedException
	}{
		"as it should be": {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseBody":{"TEXT":{"body":"ok"}},"new":1}},"new":1}`, "ok"},
		"reprompt":        {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseState":"REPROMPT","responseBody":{"TEXT":{"body":"no"}}}}}`, "no"},
		"failure":         {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseState":"FAILURE","responseBody":{"TEXT":{"body":"x"}}}}}`, ""},
		"empty state":     {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseState":"","responseBody":{"TEXT":{"body":"x"}}}}}`, ""},
		"other group":     {`{"messageVersion":"1.0","response":{"actionGroup":"ciba","function":"list_user_groups","functionResponse":{"responseBody":{"TEXT":{"body":"x"}}}}}`, ""},
		"other function":  {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"get_user","functionResponse":{"responseBody":{"TEXT":{"body":"x"}}}}}`, ""},
		"other version":   {`{"messageVersion":"2.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseBody":{"TEXT":{"body":"x"}}}}}`, ""},
		"other body":      {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseBody":{"application/json":{"body":"x"}}}}}`, ""},
		"body no string":  {`{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{"responseBody":{"TEXT":{"body":{}}}}}}`, ""},
		"of a gateway":    {`{"statusCode":200,"body":"x"}`, ""},
		"null":            {`null`, ""},
		"no JSON":         {`ok`, ""},
		"an error":        {errors.New("boom"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			fake := bedrocktest.New(bedrocktest.Options{Invoke: lambda(func(actiongroup.Event) any { return c.answer })})
			a := post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups"})
			if len(a.messages) != 1 {
				t.Fatalf("messages %v", a.messages)
			}
			m := a.messages[0]
			if c.want == "" {
				if m.kind != "exception" || m.name != "dependencyFailedException" || m.payload["message"] == "" || !strings.HasSuffix(m.payload["resourceName"].(string), ":function:okta-groups") {
					t.Errorf("got %+v", m)
				}
				return
			}
			if got := chunks(t, a); got != c.want {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}

func chunks(t testing.TB, a answer) string {
	t.Helper()
	var text []byte
	for _, m := range a.messages {
		if m.name == "chunk" {
			var c struct{ Bytes []byte }
			raw, err := json.Marshal(m.payload)
			if err != nil || json.Unmarshal(raw, &c) != nil {
				t.Fatal(err)
			}
			text = append(text, c.Bytes...)
		}
	}
	return string(text)
}

func TestStreamingCutsAnywhere(t *testing.T) {
	text := strings.Repeat("größer 日本語 ", 20)
	fake := bedrocktest.New(bedrocktest.Options{ChunkBytes: 7, Invoke: lambda(func(e actiongroup.Event) any { return e.Answer(text) })})
	a := post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups", "streamingConfigurations": map[string]any{"streamFinalResponse": true}})
	if got := chunks(t, a); got != strings.TrimSpace(text) {
		t.Errorf("said %q", got)
	}
	if n := a.count("chunk"); n < 20 {
		t.Errorf("%d chunks", n)
	}
}

func TestFramingIsTheDocumentedOne(t *testing.T) {
	want, err := hex.DecodeString("0000006f0000004b9f4ea7ed0b3a6576656e742d747970650700056368756e6b0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b226279746573223a22534756736247383d227d0b6e5dde")
	if err != nil {
		t.Fatal(err)
	}
	fake := bedrocktest.New(bedrocktest.Options{Invoke: lambda(func(e actiongroup.Event) any { return e.Answer("Hello") })})
	if a := post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups"}); !bytes.Equal(a.raw, want) {
		t.Errorf("got  %x\nwant %x", a.raw, want)
	}
}

func TestSessionsTakeOneCallAtATimeAndIdleOut(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	inside, goOn := make(chan struct{}), make(chan struct{})
	fake := bedrocktest.New(bedrocktest.Options{Now: clock, IdleTTL: time.Minute, Invoke: lambda(func(e actiongroup.Event) any {
		inside <- struct{}{}
		<-goOn
		return e.Answer("done")
	})})
	done := make(chan answer)
	go func() { done <- post(t, fake, classicPath, "", map[string]any{"inputText": "list my groups"}) }()
	<-inside
	if a := post(t, fake, classicPath, "", map[string]any{"inputText": "hello"}); a.refusal != "ValidationException" {
		t.Errorf("second call: %d %s", a.status, a.refusal)
	}
	other := strings.Replace(classicPath, "sess-", "other-", 1)
	if a := post(t, fake, other, "", map[string]any{"inputText": "who is in the group?"}); a.status != 200 {
		t.Errorf("another session: %d", a.status)
	}
	close(goOn)
	<-done
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	if got := chunks(t, post(t, fake, other, "", map[string]any{"inputText": "Engineering"})); !strings.HasPrefix(got, "I did not understand") {
		t.Errorf("after the idle time: %q", got)
	}
}

func TestHarnessHandsCallsBackOneAtATime(t *testing.T) {
	model := script{
		{Text: "Let me see.", Calls: []bedrocktest.Call{
			{Function: "list_group_members", Args: []bedrocktest.Arg{{Name: "group", Value: "Engineering"}, {Name: "limit", Value: "3"}}},
			{Function: "list_my_permissions"},
		}},
		{Text: "All done."},
	}
	fake := bedrocktest.New(bedrocktest.Options{Model: &model})
	user := func(blocks ...map[string]any) any {
		return map[string]any{"messages": []any{map[string]any{"role": "user", "content": blocks}}, "somethingNew": true}
	}
	result := func(id string) map[string]any {
		return map[string]any{"toolResult": map[string]any{"toolUseId": id, "status": "success", "content": []any{map[string]any{"text": "r"}}}}
	}
	opened := func(a answer) (id, name, input, stop string) {
		for _, m := range a.messages {
			switch m.name {
			case "contentBlockStart":
				use := m.payload["start"].(map[string]any)["toolUse"].(map[string]any)
				id, name = use["toolUseId"].(string), use["name"].(string)
			case "contentBlockDelta":
				if use, ok := m.payload["delta"].(map[string]any)["toolUse"].(map[string]any); ok {
					input += use["input"].(string)
				}
			case "messageStop":
				stop = m.payload["stopReason"].(string)
			}
		}
		return id, name, input, stop
	}

	a := post(t, fake, harnessPath, harnessSess, user(map[string]any{"text": "hi"}))
	first, name, input, stop := opened(a)
	if name != "list_group_members" || input != `{"group":"Engineering","limit":3}` || stop != "tool_use" || a.count("messageStart") != 1 || a.count("contentBlockDelta") < 3 {
		t.Fatalf("%s %s %s %v", name, input, stop, a.names())
	}
	if bad := post(t, fake, harnessPath, harnessSess, user(map[string]any{"text": "hi again"})); bad.refusal != "ValidationException" {
		t.Errorf("a message while a call is open: %d %s", bad.status, bad.refusal)
	}
	if bad := post(t, fake, harnessPath, harnessSess, user(result("other"))); bad.refusal != "ValidationException" {
		t.Errorf("another call's result: %d %s", bad.status, bad.refusal)
	}
	second, name, _, stop := opened(post(t, fake, harnessPath, harnessSess, user(result(first))))
	if name != "list_my_permissions" || stop != "tool_use" || second == first {
		t.Fatalf("second call: %s %s", name, stop)
	}
	// the repeated toolUse before its result is accepted, too
	both := map[string]any{"messages": []any{
		map[string]any{"role": "assistant", "content": []any{map[string]any{"toolUse": map[string]any{"toolUseId": second, "name": name, "input": map[string]any{}}}}},
		map[string]any{"role": "user", "content": []any{result(second)}},
	}}
	last := post(t, fake, harnessPath, harnessSess, both)
	if _, _, _, stop := opened(last); stop != "end_turn" || last.count("metadata") != 1 {
		t.Errorf("end: %v", last.names())
	}
	if n := len(fake.Requests()); n != 5 {
		t.Errorf("%d requests", n)
	}
}

// A fault of a stream lets the pieces before it through, and ends what comes after.
func TestStreamFailsBeforeItsPiece(t *testing.T) {
	fake := bedrocktest.New(bedrocktest.Options{})
	fake.Fail(bedrocktest.Failing("ThrottlingException", "slow down", 3))
	a := post(t, fake, classicPath, "", map[string]any{"inputText": "hello", "streamingConfigurations": map[string]any{"streamFinalResponse": true}})
	last := a.messages[len(a.messages)-1]
	if a.status != http.StatusOK || a.count("chunk") != 2 || last.kind != "exception" || last.name != "throttlingException" || last.payload["message"] != "slow down" {
		t.Errorf("status %d, events %v, the last %v", a.status, a.names(), last)
	}
	fake.Fail(bedrocktest.Failing("ThrottlingException", "slow down", 0))
	if a := post(t, fake, classicPath, "", map[string]any{"inputText": "hello"}); a.status != http.StatusTooManyRequests || a.refusal != "ThrottlingException" {
		t.Errorf("before the stream: %d %s", a.status, a.refusal)
	}
}

// script is a model that says one thing after the other.
type script []bedrocktest.Reply

func (s *script) Next(context.Context, []bedrocktest.Message) (bedrocktest.Reply, error) {
	next := (*s)[0]
	*s = (*s)[1:]
	return next, nil
}
