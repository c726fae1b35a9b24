package actiongroup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
)

func TestDecodeAndAnswer(t *testing.T) {
	payload, err := os.ReadFile(filepath.Join("testdata", "event.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := actiongroup.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Call(catalogue.GroupOkta)
	if err != nil {
		t.Fatal(err)
	}
	if c.SessionID != "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJK" || c.Function.Name != "list_user_groups" || c.Arg("user") != "alice@example.com" || c.Arg("limit") != "" || c.Limit(20) != 20 {
		t.Errorf("call %+v", c)
	}
	for state, got := range map[string]actiongroup.Response{"": e.Answer("Hello"), "REPROMPT": e.Reprompt("Hello")} {
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		text := `{"messageVersion":"1.0","response":{"actionGroup":"okta-groups","function":"list_user_groups","functionResponse":{` +
			`"responseBody":{"TEXT":{"body":"Hello"}}}},"sessionAttributes":{"page":"1"},"promptSessionAttributes":{"now":"2026-03-01"}}`
		if state != "" {
			text = strings.Replace(text, `"responseBody"`, `"responseState":"`+state+`","responseBody"`, 1)
		}
		if err := json.Compact(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if string(b) != want.String() {
			t.Errorf("got\n%s\nwant\n%s", b, &want)
		}
		if got.Text() != "Hello" {
			t.Errorf("text %q", got.Text())
		}
	}
}

func TestTheActionOfAnAnswerIsAField(t *testing.T) {
	e := actiongroup.Event{PromptSessionAttributes: map[string]string{"now": "2026-03-01"}}
	refused := e.Reprompt("Not connected.").WithAction(fault.ConnectOkta)
	b, err := json.Marshal(refused)
	if err != nil {
		t.Fatal(err)
	}
	var got actiongroup.Response
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Action() != fault.ConnectOkta || got.PromptSessionAttributes["now"] == "" {
		t.Errorf("action %q, attributes %v", got.Action(), got.PromptSessionAttributes)
	}
	e.PromptSessionAttributes = got.PromptSessionAttributes // as the service sends them back in the same turn
	if next := e.Answer("Done."); next.Action() != fault.NoAction || next.PromptSessionAttributes["now"] == "" {
		t.Errorf("the next answer has the action %q, attributes %v", next.Action(), next.PromptSessionAttributes)
	}
}

func TestCall(t *testing.T) {
	type params = []actiongroup.Parameter
	one := func(name, value string) params { return params{{Name: name, Type: "string", Value: value}} }
	for name, tc := range map[string]struct {
		group, function string
		params          params
		operation       string
		args            map[string]string
		says            string // of the refusal
	}{
		"no parameters":        {"okta-groups", "list_user_groups", nil, "list_user_groups", map[string]string{}, ""},
		"trimmed":              {"okta-groups", "list_user_groups", one("user", "  me\t"), "list_user_groups", map[string]string{"user": "me"}, ""},
		"empty is not given":   {"okta-groups", "list_user_groups", one("user", " "), "list_user_groups", map[string]string{}, ""},
		"action in capitals":   {"ciba", "manage_user", one("action", "Unlock"), "unlock", map[string]string{"action": "unlock"}, ""},
		"number as models say": {"okta-groups", "find_groups", params{{Name: "query", Value: "a"}, {Name: "limit", Type: "number", Value: "7.0"}}, "find_groups", map[string]string{"query": "a", "limit": "7"}, ""},
		"any alphabet":         {"okta-groups", "find_users", one("query", "Müller 日本"), "find_users", map[string]string{"query": "Müller 日本"}, ""},
		"120 characters":       {"okta-groups", "find_users", one("query", strings.Repeat("é", 120)), "find_users", map[string]string{"query": strings.Repeat("é", 120)}, ""},
		"optional action":      {"ciba", "check_approval", one("action", "cancel"), "check_approval", map[string]string{"action": "cancel"}, ""},

		"no function":        {"okta-groups", "", nil, "", nil, "There is no such function here."},
		"case matters":       {"okta-groups", "List_User_Groups", nil, "", nil, "There is no such function here."},
		"other group":        {"okta-groups", "manage_user", one("action", "unlock"), "", nil, "There is no such function here."},
		"undeclared":         {"okta-groups", "list_user_groups", one("userId", "x"), "", nil, "list_user_groups takes no such parameter; it takes user."},
		"undeclared of none": {"okta-groups", "list_my_permissions", one("user", "x"), "", nil, "it takes none."},
		"twice":              {"okta-groups", "list_user_groups", append(one("user", "a"), one("user", "a")...), "", nil, "given twice"},
		"missing":            {"ciba", "manage_user", nil, "", nil, "The parameter action is missing"},
		"outside the set":    {"ciba", "manage_user", one("action", "delete"), "", nil, "must be one of: reset_password, expire_password"},
		"control character":  {"okta-groups", "find_users", one("query", "a\x00b"), "", nil, "invalid characters"},
		"not UTF-8":          {"okta-groups", "find_users", one("query", "a\xff"), "", nil, "invalid characters"},
		"121 characters":     {"okta-groups", "find_users", one("query", strings.Repeat("é", 121)), "", nil, "longer than 120 characters"},
		"zero":               {"okta-groups", "find_users", append(one("query", "a"), one("limit", "0")...), "", nil, "from 1 to 50"},
		"fraction":           {"okta-groups", "find_users", append(one("query", "a"), one("limit", "1.5")...), "", nil, "from 1 to 50"},
		"far too large":      {"okta-groups", "find_users", append(one("query", "a"), one("limit", "99999999999999999999")...), "", nil, "from 1 to 50"},
	} {
		t.Run(name, func(t *testing.T) {
			e := actiongroup.Event{SessionID: "s", ActionGroup: tc.group, Function: tc.function, Parameters: tc.params}
			c, err := e.Call(tc.group)
			if tc.says != "" {
				f, ok := errors.AsType[*fault.Error](err)
				if !ok || f.Kind != fault.Invalid || !strings.Contains(f.Say, tc.says) {
					t.Errorf("got %v, want %q", err, tc.says)
				}
				return
			}
			if err != nil || c.Operation.ID != tc.operation || !cmp.Equal(c.Args, tc.args) {
				t.Errorf("got %s %v, %v, want %s %v", c.Operation.ID, c.Args, err, tc.operation, tc.args)
			}
		})
	}
	e := actiongroup.Event{ActionGroup: catalogue.GroupCIBA, Function: "list_user_groups"}
	if _, err := e.Call(catalogue.GroupOkta); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an event for another function's group: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing": "", "null": "null", "text": `"x"`, "no version": `{"function":"f"}`, "a list of parameters that is none": `{"messageVersion":"1.0","parameters":{}}`,
		"too large": `{"messageVersion":"1.0","inputText":"` + strings.Repeat("x", actiongroup.MaxEventBytes) + `"}`,
	} {
		if _, err := actiongroup.Decode([]byte(payload)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersFit(t *testing.T) {
	e := actiongroup.Event{}
	for name, text := range map[string]string{
		"whole": strings.Repeat("x", actiongroup.MaxAnswerBytes), "longer": strings.Repeat("x", actiongroup.MaxAnswerBytes+1),
		"wide": strings.Repeat("日", actiongroup.MaxAnswerBytes), "not UTF-8": "a\xff", "wider still": strings.Repeat("😀", 6000) + "x",
	} {
		got := e.Answer(text).Text()
		if len(got) > actiongroup.MaxAnswerBytes || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, valid: %t", name, len(got), utf8.ValidString(got))
		}
		if cut := strings.HasSuffix(got, "[cut: the answer was longer than fits here]"); cut != (len(text) > actiongroup.MaxAnswerBytes) {
			t.Errorf("%s: says that it was cut: %t", name, cut)
		}
	}
}

// Whatever a stranger sends gets an answer in the envelope, and a call is made of declared parts only.
func FuzzDecode(f *testing.F) {
	if payload, err := os.ReadFile(filepath.Join("testdata", "event.json")); err == nil {
		f.Add(payload)
	}
	f.Add([]byte(`{"messageVersion":"1.0","actionGroup":"ciba","function":"manage_user","parameters":[{"name":"action","value":"unlock"}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := actiongroup.Decode(payload)
		if b, err := json.Marshal(e.Reprompt("x")); err != nil || !json.Valid(b) {
			t.Fatalf("answer %s, %v", b, err)
		}
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		c, err := e.Call(e.ActionGroup)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		if op, ok := catalogue.OperationByID(c.Operation.ID); !ok || !cmp.Equal(op, c.Operation) || c.Function.Group != e.ActionGroup {
			t.Errorf("call %+v", c)
		}
		for name, value := range c.Args {
			if p, ok := c.Function.Param(name); !ok || value == "" || strings.ContainsAny(value, "\n\r\x00") || p.Max > 0 && utf8.RuneCountInString(value) > max(p.Max, 2) {
				t.Errorf("argument %s = %q", name, value)
			}
		}
	})
}

func ExampleEvent_Call() {
	e, _ := actiongroup.Decode([]byte(`{"messageVersion":"1.0","sessionId":"…","actionGroup":"ciba","function":"manage_user",
		"parameters":[{"name":"action","type":"string","value":"unlock"},{"name":"user","type":"string","value":"erin@example.com"}]}`))
	call, err := e.Call(catalogue.GroupCIBA)
	fmt.Println(call.Operation.ID, call.Arg("user"), err)
	// Output: unlock erin@example.com <nil>
}
