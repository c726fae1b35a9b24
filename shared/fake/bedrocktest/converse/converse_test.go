package converse_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/bedrocktest"
	"github.com/steward-iam/steward/shared/fake/bedrocktest/converse"
)

const modelID = "eu.anthropic.claude-sonnet-4-6"

// stub answers Converse with one body after the other and keeps what it was asked.
type stub struct {
	t       *testing.T
	answers []string
	asked   []map[string]any
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.EscapedPath() != "/model/"+modelID+"/converse" {
		s.t.Errorf("path %s", r.URL.EscapedPath())
	}
	raw, err := io.ReadAll(r.Body)
	var body map[string]any
	if err != nil || json.Unmarshal(raw, &body) != nil {
		s.t.Errorf("body %s: %v", raw, err)
	}
	s.asked = append(s.asked, body)
	next := s.answers[0]
	s.answers = s.answers[1:]
	w.Header().Set("Content-Type", "application/json")
	if code, ok := strings.CutPrefix(next, "!"); ok {
		w.Header().Set("x-amzn-ErrorType", code)
		w.WriteHeader(map[string]int{"AccessDeniedException": 403}[code])
		next = `{"message":"no"}`
	}
	if _, err := io.WriteString(w, next); err != nil {
		s.t.Error(err)
	}
}

func config(url string) aws.Config {
	return aws.Config{Region: "eu-central-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")}
}

func model(t *testing.T, answers ...string) (*converse.Model, *stub) {
	s := &stub{t: t, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return converse.New(bedrockruntime.NewFromConfig(config(server.URL)), modelID), s
}

// The whole way: runtime client, fake runtime, Converse, function.
func TestAModelBehindTheFakeRuntime(t *testing.T) {
	m, asked := model(t,
		`{"output":{"message":{"role":"assistant","content":[
			{"reasoningContent":{"reasoningText":{"text":"hm","signature":"sig"}}},
			{"text":"I look."},
			{"toolUse":{"toolUseId":"tu1","name":"find_users","input":{"query":"Taylor","limit":5,"x":null}}}]}},
		 "stopReason":"tool_use","usage":{"inputTokens":11,"outputTokens":7,"totalTokens":18},"metrics":{"latencyMs":1}}`,
		`{"output":{"message":{"role":"assistant","content":[{"text":"Two of them."}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":1}}`,
	)
	var event actiongroup.Event
	fake := httptest.NewServer(bedrocktest.New(bedrocktest.Options{Model: m, Invoke: func(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
		var err error
		if event, err = actiongroup.Decode(payload); err != nil {
			return nil, "", err
		}
		raw, err := json.Marshal(event.Reprompt("Taylor A., Taylor B."))
		return raw, "", err
	}}))
	t.Cleanup(fake.Close)
	rt := agent.NewClassic(bedrockagentruntime.NewFromConfig(config(fake.URL)), "AB12CD34EF", "PRODALIAS1")
	text := ""
	for e, err := range rt.Run(t.Context(), agent.Turn{SessionID: strings.Repeat("s", 43), Message: "Find users named Taylor"}) {
		if err != nil {
			t.Fatal(err)
		}
		if said, ok := e.(agent.Text); ok {
			text += said.Text
		}
	}
	if text != "Two of them." {
		t.Errorf("said %q", text)
	}
	call, err := event.Call(catalogue.GroupOkta)
	if err != nil || call.Arg("query") != "Taylor" || call.Limit(0) != 5 || len(call.Args) != 2 {
		t.Errorf("call %+v, %v", call, err)
	}
	first, second := asked.asked[0], asked.asked[1]
	if tools := first["toolConfig"].(map[string]any)["tools"].([]any); len(tools) != len(catalogue.Tools()) {
		t.Errorf("%d tools", len(tools))
	}
	if system := first["system"].([]any)[0].(map[string]any)["text"]; system != catalogue.Instruction {
		t.Errorf("system %q", system)
	}
	said, err := json.Marshal(second["messages"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"signature":"sig"`, `"toolUseId":"tu1"`, `"status":"error"`, "Taylor A., Taylor B."} {
		if !strings.Contains(string(said), want) {
			t.Errorf("second call lacks %s: %s", want, said)
		}
	}
}

func TestErrorsOfTheModel(t *testing.T) {
	for answer, want := range map[string]string{
		"!AccessDeniedException": "AccessDeniedException",
		`{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"max_tokens"}`:                                                            "InternalServerException",
		`{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"a","name":"find_users","input":[1]}}]}},"stopReason":"tool_use"}`: "InternalServerException",
	} {
		m, _ := model(t, answer)
		_, err := m.Next(t.Context(), []bedrocktest.Message{{Role: bedrocktest.User, Text: "hello"}})
		var e *bedrocktest.Exception
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}
