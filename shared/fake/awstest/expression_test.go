package awstest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Here only what the contract test cannot see: the words of refusals, numbers,
// sizes, and that no expression, however odd, breaks the parser.

func decodeItem(t testing.TB, wire string) item {
	t.Helper()
	var it item
	if err := json.Unmarshal([]byte(wire), &it); err != nil {
		t.Fatal(err)
	}
	return it
}

func number(t testing.TB, s string) value {
	t.Helper()
	n, err := parseNumber(s)
	if err != nil {
		t.Fatal(err)
	}
	return value{kind: kindN, num: n}
}

func TestRefusalsOfExpressions(t *testing.T) {
	names := map[string]string{"#n": "n"}
	values := map[string]value{":v": {kind: kindS, text: "x"}, ":one": number(t, "1")}
	for _, c := range []struct{ what, source, want string }{
		{"ConditionExpression", "", "Invalid ConditionExpression: The expression can not be empty;"},
		{"ConditionExpression", "a = ", `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "= "`},
		{"ConditionExpression", "a = = :v", `Invalid ConditionExpression: Syntax error; token: "=", near: "= = :v"`},
		{"ConditionExpression", "a = :v )", `Invalid ConditionExpression: Syntax error; token: ")", near: ":v )"`},
		{"ConditionExpression", "a ! :v", `Invalid ConditionExpression: Syntax error; token: "!", near: "a ! :v"`},
		{"ConditionExpression", "#x = :v", "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #x"},
		{"ConditionExpression", "a = :x", "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :x"},
		{"ConditionExpression", "Status = :v", "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: Status"},
		{"ConditionExpression", "if_not_exists(a, :v)", "Invalid ConditionExpression: The function is not allowed in a condition expression; function: if_not_exists"},
		{"ConditionExpression", "odd(a)", "Invalid ConditionExpression: Invalid function name; function: odd"},
		{"ConditionExpression", "begins_with(a, :one)", "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"},
		{"ConditionExpression", strings.Repeat("a", 5000), "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 5000"},
		{"UpdateExpression", "SET a = :v SET b = :v", `Invalid UpdateExpression: The "SET" section can only be used once in an update expression;`},
		{"UpdateExpression", "SET a = :v REMOVE a", "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"},
		{"ProjectionExpression", "a, #n, n", "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [n], path two: [n]"},
		{"UpdateExpression", "SET a = a + :v", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{"UpdateExpression", "SET a = size(b)", "Invalid UpdateExpression: The function is not allowed in an update expression; function: size"},
	} {
		t.Run(c.source[:min(len(c.source), 40)], func(t *testing.T) {
			s := newScope(names, values)
			var err error
			switch c.what {
			case "UpdateExpression":
				_, err = parseUpdate(c.source, s)
			case "ProjectionExpression":
				_, err = parseProjection(c.source, s)
			default:
				_, err = parseCondition(c.what, c.source, s)
			}
			var refused *apiError
			if !errors.As(err, &refused) || refused.message != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAttributeNames(t *testing.T) {
	names := map[string]string{"#s": "status", "#ttl": "ttl"}
	for expression, want := range map[string]string{
		"": "",
		"SET #s = :next, changed_at = :now, args.#s = :x REMOVE auth_req_id":                          "args auth_req_id changed_at status",
		"SET write_token = :token ADD #ttl :one":                                                      "ttl write_token",
		"attribute_not_exists(session_id) OR (NOT #s IN (:a, :b) AND size(digest) BETWEEN :a AND :b)": "digest session_id status",
		"SET pushes = if_not_exists(pushes, :zero) + :one, list[3].status = list_append(list, :more)": "list pushes",
		"id, mac, deep.inner[0].email":                                                                "deep id mac",
		"SET #unknown = :x":                                                                           "#unknown",
	} {
		if got := strings.Join(AttributeNames(expression, names), " "); got != want {
			t.Errorf("%s: got %q, want %q", expression, got, want)
		}
	}
}

func TestUnusedPlaceholders(t *testing.T) {
	s := newScope(map[string]string{"#a": "a", "#b": "b"}, map[string]value{":v": number(t, "1")})
	if _, err := parseCondition("ConditionExpression", "#a = :v", s); err != nil {
		t.Fatal(err)
	}
	const want = "ValidationException: Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"
	if err := s.unused(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "+1": "1", "1.50": "1.5", ".5": "0.5", "5.": "5", "1E3": "1000", "1e-3": "0.001",
		"-12.340e1": "-123.4", "99999999999999999999999999999999999999": "99999999999999999999999999999999999999",
		"100000000000000000000000000000000000000000": "100000000000000000000000000000000000000000",
		"1e-130": "0." + strings.Repeat("0", 129) + "1",
	} {
		if n, err := parseNumber(in); err != nil || numberText(n) != want {
			t.Errorf("%s: got %v, %v, want %s", in, n, err, want)
		}
	}
	for _, in := range []string{"", "x", "1x", "1e", "--1", "0x1", "NaN", " 1", "1e126", "-1e126", "1e-131", "1e99999999999999999999", "123456789012345678901234567890123456789"} {
		if n, err := parseNumber(in); err == nil {
			t.Errorf("%q was taken as %v", in, n)
		}
	}
	for _, c := range []struct{ a, b, sum string }{
		{"0.1", "0.2", "0.3"},
		{"1", "-1", "0"},
		{"10000000000000000000", "1", "10000000000000000001"},
		{"-0.5", "0.25", "-0.25"},
	} {
		if got, err := number(t, c.a).plus(number(t, c.b)); err != nil || got.member() != c.sum {
			t.Errorf("%s + %s: got %v, %v, want %s", c.a, c.b, got, err, c.sum)
		}
	}
	if got, err := number(t, "1e125").plus(number(t, "1")); err == nil {
		t.Errorf("1e125 + 1 has too many digits, got %v", got)
	}
}

// The sizes are those of the examples in "DynamoDB item sizes and formats", as
// far as it gives rules.
func TestItemSize(t *testing.T) {
	for wire, want := range map[string]int{
		`{"a":{"S":"xyz"}}`:                      4,
		`{"a":{"S":"é"}}`:                        3,
		`{"a":{"B":"AAEC"}}`:                     4,
		`{"a":{"BOOL":false},"b":{"NULL":true}}`: 4,
		`{"a":{"N":"1234"}}`:                     4,
		`{"a":{"N":"-1234"}}`:                    5,
		`{"a":{"SS":["x","yz"]}}`:                4,
		`{"a":{"L":[{"S":"x"}]}}`:                6,
		`{"a":{"M":{"k":{"S":"x"}}}}`:            7,
	} {
		if got := decodeItem(t, wire).size(); got != want {
			t.Errorf("%s: got %d, want %d", wire, got, want)
		}
	}
}

func TestAttributeValues(t *testing.T) {
	for _, wire := range []string{
		`{}`, `{"S":"a","N":"1"}`, `{"X":"a"}`, `{"N":1}`, `{"N":"a"}`, `{"S":1}`, `{"NULL":false}`, `{"SS":[]}`, `{"NS":["1","1.0"]}`, `{"B":"?"}`, `{"BS":["?"]}`, `{"L":[{}]}`, `{"M":{"a":{"N":""}}}`,
	} {
		var v value
		if err := json.Unmarshal([]byte(wire), &v); err == nil {
			t.Errorf("%s was taken as %+v", wire, v)
		}
	}
	for in, want := range map[string]string{
		`{"SS":["b","a"]}`:          `{"SS":["a","b"]}`,
		`{"N":"1.50"}`:              `{"N":"1.5"}`,
		`{"L":[]}`:                  `{"L":[]}`,
		`{"M":{}}`:                  `{"M":{}}`,
		`{"B":""}`:                  `{"B":""}`,
		`{"M":{"a":{"NULL":true}}}`: `{"M":{"a":{"NULL":true}}}`,
	} {
		var v value
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, _ := json.Marshal(v); string(got) != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// An expression comes from a stranger's request. Whatever it is, it is read to
// the end or refused, and evaluated without harm.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{
		"a = :v AND (b < :one OR begins_with(#n, :v))", "attribute_not_exists(a) OR a <> :v", "SET a = a + :one, b = :v REMOVE m ADD n :one, s :set",
		"a, #n", "((a = :v))", "NOT a = :v", "a.b = :v", "#", ":", "a[", "SET", "\x00é",
	} {
		f.Add(seed)
	}
	it := decodeItem(f, `{"a":{"S":"x"},"n":{"N":"1"},"l":{"L":[{"M":{"x":{"S":"y"}}},{"S":"z"}]},"m":{"M":{"y":{"M":{"z":{"N":"2"}}}}},"s":{"SS":["p","q"]}}`)
	before, _ := json.Marshal(it)
	f.Fuzz(func(t *testing.T, source string) {
		scope := func() *scope {
			return newScope(map[string]string{"#n": "n", "#a": "a"}, map[string]value{":v": {kind: kindS, text: "x"}, ":one": number(t, "1"), ":set": {kind: kindSS, set: []string{"q"}}})
		}
		if c, err := parseCondition("ConditionExpression", source, scope()); err == nil {
			c.holds(it)
			c.holds(nil)
			if kc, err := (&view{hash: Key{"a", "S"}, rng: Key{"n", "N"}}).keyCondition(c); err == nil && kc.hash.kind != kindS {
				t.Errorf("%q has a hash key of kind %q", source, kc.hash.kind)
			}
		}
		if u, err := parseUpdate(source, scope()); err == nil {
			_, _ = u.apply(it)
			_, _ = u.apply(nil)
		}
		if names, err := parseProjection(source, scope()); err == nil {
			if part := it.only(names); part.size() > it.size() {
				t.Errorf("%q projects more than there is: %v", source, part)
			}
		}
		if after, _ := json.Marshal(it); string(after) != string(before) {
			t.Fatalf("%q changed the item to %s", source, after)
		}
	})
}
