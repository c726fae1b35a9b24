package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/fault"
)

// frame is one message of an event stream.
func frame(name, payload string) []byte {
	var msg eventstream.Message
	msg.Headers.Set(":message-type", eventstream.StringValue("event"))
	msg.Headers.Set(":event-type", eventstream.StringValue(name))
	msg.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	msg.Payload = []byte(payload)
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, msg); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// streams answers every request with the next of the given streams, the last one for ever.
type streams struct {
	bodies [][]byte
	asked  []string
}

func (s *streams) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.asked = append(s.asked, string(raw))
	}
	body := s.bodies[0]
	if len(s.bodies) > 1 {
		s.bodies = s.bodies[1:]
	}
	return &http.Response{
		StatusCode: 200, Request: r, ContentLength: -1, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}},
		Body:   io.NopCloser(bytes.NewReader(body)),
	}, nil
}

func stream(events ...string) []byte {
	var b []byte
	for i := 0; i < len(events); i += 2 {
		b = append(b, frame(events[i], events[i+1])...)
	}
	return b
}

func classicOver(s *streams) agent.Runtime {
	return agent.NewClassic(bedrockagentruntime.NewFromConfig(awsConfig("http://fake.invalid", &http.Client{Transport: s})), "AB12CD34EF", "PRODALIAS1")
}

func harnessOver(s *streams, tools agent.ToolRunner) agent.Runtime {
	return agent.NewHarness(awsConfig("http://fake.invalid", &http.Client{Transport: s}), harnessARN, tools)
}

func TestClassicToleratesWhatItDoesNotKnow(t *testing.T) {
	h := listen(t.Context(), classicOver(&streams{bodies: [][]byte{stream(
		"brandNew", `{"a":1}`,
		"trace", `{"trace":{"brandNewTrace":{"x":1}},"new":true}`,
		"trace", `{"trace":{"orchestrationTrace":{"brandNew":{"x":1}}}}`,
		"trace", `{"trace":{"orchestrationTrace":{"rationale":{"text":"because","new":[1]}}}}`,
		"trace", `{"trace":{"orchestrationTrace":{"modelInvocationInput":{"text":"`+canary+`","type":"ORCHESTRATION"}}}}`,
		"trace", `{"trace":{"failureTrace":{"failureReason":"`+canary+`","failureCode":500}}}`,
		"chunk", `{"bytes":"R3LD","new":1}`, // "Gr" and the first half of "ü"
		"chunk", `{"bytes":"vMOfZQ=="}`,
		"files", `{"files":[]}`,
	)}}), ask("hello"))
	if h.err != nil || h.text != "Grüße" || h.texts != 2 {
		t.Errorf("heard %q in %d pieces, %v", h.text, h.texts, h.err)
	}
	if got := fmt.Sprint(h.trace); strings.Contains(got, canary) || !strings.Contains(got, "because") || len(h.trace) != 2 {
		t.Errorf("trace %+v", h.trace)
	}
}

func TestClassicAnswerCutWithinACharacter(t *testing.T) {
	h := listen(t.Context(), classicOver(&streams{bodies: [][]byte{stream("chunk", `{"bytes":"R3LD"}`)}}), ask("hello"))
	if h.err != nil || h.text != "Gr�" {
		t.Errorf("heard %q, %v", h.text, h.err)
	}
}

func TestNoTextIsAFault(t *testing.T) {
	for name, rt := range map[string]agent.Runtime{
		"classic":          classicOver(&streams{bodies: [][]byte{nil}}),
		"return control":   classicOver(&streams{bodies: [][]byte{stream("returnControl", `{"invocationId":"1","invocationInputs":[]}`)}}),
		"harness":          harnessOver(&streams{bodies: [][]byte{stream("messageStart", `{"role":"assistant"}`, "messageStop", `{"stopReason":"end_turn"}`)}}, nil),
		"harness, nothing": harnessOver(&streams{bodies: [][]byte{nil}}, nil),
	} {
		if h := listen(t.Context(), rt, ask("hello")); fault.KindOf(h.err) != fault.Upstream {
			t.Errorf("%s: %v", name, h.err)
		}
	}
}

// One answer of a harness can hold several messages, with tools of the harness's own in between. Only the last message's
// open calls are ours, and only the end of the stream is the end.
func TestHarnessAnswerOfSeveralMessages(t *testing.T) {
	s := &streams{bodies: [][]byte{
		stream(
			"messageStart", `{"role":"assistant"}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"One."}}`,
			"contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"a","name":"list_user_groups","type":"tool_use"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`,
			"messageStop", `{"stopReason":"tool_use"}`,
			"hookEvent", `{"new":1}`,
			"messageStart", `{"role":"user"}`,
			"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolResult":{"toolUseId":"a","status":"success"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"toolResult":[{"text":"x"}]}}`,
			"messageStop", `{"stopReason":"tool_result"}`,
			"messageStart", `{"role":"assistant"}`,
			"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"m","name":"list_user_groups","type":"mcp_tool_use","serverName":"s"}}}`,
			"contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"b","name":"find_users","type":"tool_use"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"query\":\"Tay"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"brandNew":1}}`,
			"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"lor\",\"limit\":3,\"odd\":[1],\"none\":null}"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":9,"delta":{"toolUse":{"input":"lost"}}}`,
			"messageStop", `{"stopReason":"tool_use"}`,
			"metadata", `{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":4}}`,
		),
		stream(
			"messageStart", `{"role":"assistant"}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Two."}}`,
			"messageStop", `{"stopReason":"a_reason_of_tomorrow"}`,
		),
	}}
	fns := &functions{}
	h := listen(t.Context(), harnessOver(s, fns), ask("hello"))
	if h.err != nil || h.text != "One.\n\nTwo." {
		t.Errorf("heard %q, %v", h.text, h.err)
	}
	if len(fns.events) != 1 || fns.events[0].Function != "find_users" {
		t.Fatalf("events %+v", fns.events)
	}
	want := []actiongroup.Parameter{{Name: "query", Type: "string", Value: "Taylor"}, {Name: "limit", Type: "integer", Value: "3"}, {Name: "odd", Type: "string", Value: "[1]"}}
	if fmt.Sprint(fns.events[0].Parameters) != fmt.Sprint(want) {
		t.Errorf("parameters %+v", fns.events[0].Parameters)
	}
	if len(s.asked) != 2 || !strings.Contains(s.asked[1], `"toolUseId":"b"`) || strings.Contains(s.asked[1], `"toolUseId":"m"`) || strings.Contains(s.asked[1], "systemPrompt") {
		t.Errorf("asked %q", s.asked)
	}
}

func TestHarnessAnswersCallsItCannotRun(t *testing.T) {
	end := stream("messageStart", `{"role":"assistant"}`, "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Well."}}`, "messageStop", `{"stopReason":"end_turn"}`)
	call := func(name, input string) []byte {
		return stream(
			"messageStart", `{"role":"assistant"}`,
			"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"`+name+`"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"toolUse":{"input":"`+input+`"}}}`,
			"messageStop", `{"stopReason":"tool_use"}`,
		)
	}
	for name, first := range map[string][]byte{
		"a tool that is none": call("shell", `{}`),
		"no JSON object":      call("list_user_groups", `[1`),
	} {
		s, fns := &streams{bodies: [][]byte{first, end}}, &functions{}
		h := listen(t.Context(), harnessOver(s, fns), ask("hello"))
		if h.err != nil || h.text != "Well." || len(fns.events) != 0 || len(s.asked) != 2 || !strings.Contains(s.asked[1], `"status":"error"`) {
			t.Errorf("%s: heard %q, %v; asked %q", name, h.text, h.err, s.asked)
		}
	}
}

// A stream is free to ask for any number of calls in one message, with arguments of any size. The first few are run, and
// every other one has its answer, so that the session stays usable.
func TestHarnessBoundsTheCallsOfAnAnswer(t *testing.T) {
	end := stream("messageStart", `{"role":"assistant"}`, "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Well."}}`, "messageStop", `{"stopReason":"end_turn"}`)
	many := func(n int, input string) []byte {
		events := []string{"messageStart", `{"role":"assistant"}`}
		for i := range n {
			events = append(
				events,
				"contentBlockStart", fmt.Sprintf(`{"contentBlockIndex":%d,"start":{"toolUse":{"toolUseId":"call-%d","name":"list_my_permissions"}}}`, i, i),
				"contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":%d,"delta":{"toolUse":{"input":"%s"}}}`, i, input),
			)
		}
		return stream(append(events, "messageStop", `{"stopReason":"tool_use"}`)...)
	}
	for name, c := range map[string]struct {
		asked   [][]byte
		run     int
		answers []int // results in each request after the first
		fault   bool
	}{
		"forty thousand": {[][]byte{many(40_000, "{}")}, 4, []int{40_000}, false},
		"three rounds":   {[][]byte{many(5, "{}"), many(5, "{}"), many(5, "{}")}, 12, []int{5, 5, 5}, false},
		"a fourth round": {[][]byte{many(5, "{}"), many(5, "{}"), many(5, "{}"), many(5, "{}")}, 12, []int{5, 5, 5, 5}, true},
		"long arguments": {[][]byte{many(3, strings.Repeat(" ", 60<<10))}, 1, []int{3}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, fns := &streams{bodies: append(c.asked, end)}, &functions{}
			h := listen(t.Context(), harnessOver(s, fns), ask("hello"))
			if (h.err != nil) != c.fault || !c.fault && h.text != "Well." {
				t.Errorf("heard %q, %v", h.text, h.err)
			}
			if len(fns.events) != c.run {
				t.Errorf("%d calls were run, want %d", len(fns.events), c.run)
			}
			var answers []int
			for _, request := range s.asked[1:] {
				answers = append(answers, strings.Count(request, `"toolUseId":"call-`))
				if !strings.Contains(request, `"text":"Not run: `) {
					t.Errorf("nothing is refused in %.200s", request)
				}
			}
			if !slices.Equal(answers, c.answers) {
				t.Errorf("answered %v calls, want %v", answers, c.answers)
			}
		})
	}
}

// FuzzAnswers reads whatever a service might send: the turn ends, and if not well, then with a fault.
func FuzzAnswers(f *testing.F) {
	f.Add(stream("chunk", `{"bytes":"SGVsbG8="}`))
	f.Add(stream("messageStart", `{"role":"assistant"}`, "contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"list_user_groups"}}}`,
		"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}`, "messageStop", `{"stopReason":"tool_use"}`))
	f.Add(stream("trace", `{"trace":{"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"x"}}}}}`))
	f.Add([]byte("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) >= 4 && (body[0] != 0 || body[1] > 1) {
			t.Skip("a frame of more than 128 KB never comes to its end here")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, rt := range []agent.Runtime{classicOver(&streams{bodies: [][]byte{body}}), harnessOver(&streams{bodies: [][]byte{body}}, &functions{})} {
			h := listen(ctx, rt, ask("hello"))
			var e *fault.Error
			if h.err != nil && !errors.As(h.err, &e) {
				t.Fatalf("%v is no fault", h.err)
			}
			if h.err == nil && h.text == "" {
				t.Fatal("neither text nor fault")
			}
		}
		if ctx.Err() != nil {
			t.Fatal("the turn hangs")
		}
	})
}
