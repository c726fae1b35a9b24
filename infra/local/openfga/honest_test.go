package openfga

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
)

// response is what the two servers must have in common: the status and the body, but for the words of a refusal.
type response struct {
	Status  int
	Body    any
	Headers []string // those of ours that are present
}

func post(t *testing.T, url, body string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := response{Status: res.StatusCode}
	if err := json.Unmarshal(raw, &a.Body); err != nil {
		a.Body = "not JSON: " + string(raw)
	}
	a.Body = withoutMessages(a.Body)
	for _, h := range []string{"X-Request-Id", "Openfga-Store-Id", "Openfga-Authorization-Model-Id"} {
		if res.Header.Get(h) != "" {
			a.Headers = append(a.Headers, h)
		}
	}
	return a
}

// withoutMessages replaces the text of every "message" by the fact that there is one.
func withoutMessages(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if s, ok := inner.(string); ok && k == "message" {
				v[k] = s != ""
				continue
			}
			v[k] = withoutMessages(inner)
		}
	case []any:
		for i := range v {
			v[i] = withoutMessages(v[i])
		}
	}
	return v
}

// TestFakeAnswersAsOpenFGA puts the same requests to the real server and to fgatest.Fake.
func TestFakeAnswersAsOpenFGA(t *testing.T) {
	tuples, err := model.DemoTuples()
	if err != nil {
		t.Fatal(err)
	}
	tuples = append(tuples,
		fga.Tuple{User: "user:gina@example.com", Relation: "member", Object: "group:it"},
		fga.Tuple{User: "group:it#member", Relation: "read_okta", Object: "okta:main"},
		fga.Tuple{User: "user:*", Relation: "protected", Object: "okta_group:00gfinance0000000000"},
	)
	s := start(t, Options{Tuples: tuples})
	stub := httptest.NewServer(fgatest.New(tuples...))
	t.Cleanup(stub.Close)

	type request struct{ path, body string }
	const check, batch = "/stores/STORE/check", "/stores/STORE/batch-check"
	key := func(user, relation, object string) string {
		raw, _ := json.Marshal(map[string]string{"user": user, "relation": relation, "object": object})
		return string(raw)
	}
	good := key("user:erin@example.com", "read_okta", "okta:groups")
	pinned := func(rest string) string { return `{"authorization_model_id":"MODEL",` + rest + `}` }
	items := func(n int, id func(int) string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"tuple_key":%s,"correlation_id":%q}`, good, id(i)))
		}
		return pinned(`"checks":[` + strings.Join(all, ",") + `]`)
	}
	contextual := func(n int) string {
		return pinned(`"tuple_key":` + good + `,"contextual_tuples":{"tuple_keys":[` +
			strings.TrimSuffix(strings.Repeat(key("okta:main", "org", "okta:groups")+",", n), ",") + `]}`)
	}
	number := func(i int) string { return fmt.Sprint(i) }

	requests := map[string]request{
		"allowed":                    {check, pinned(`"tuple_key":` + good)},
		"denied":                     {check, pinned(`"tuple_key":` + key("user:dave@example.com", "read_okta", "okta:groups"))},
		"no model pinned":            {check, `{"tuple_key":` + good + `}`},
		"consistency":                {check, pinned(`"consistency":"HIGHER_CONSISTENCY","tuple_key":` + good)},
		"consistency nobody knows":   {check, pinned(`"consistency":"TOTAL","tuple_key":` + good)},
		"fields nobody knows":        {check, pinned(`"hello":1,"tuple_key":` + good)},
		"contextual link":            {check, pinned(`"tuple_key":` + key("user:bob@example.com", "read_okta", "okta:groups") + `,"contextual_tuples":{"tuple_keys":[` + key("okta:main", "org", "okta:groups") + `]}`)},
		"contextual, none":           {check, contextual(0)},
		"contextual, 100 of them":    {check, contextual(100)},
		"contextual, 101 of them":    {check, contextual(101)},
		"contextual, wrong type":     {check, pinned(`"tuple_key":` + good + `,"contextual_tuples":{"tuple_keys":[` + key("user:erin@example.com", "org", "okta:groups") + `]}`)},
		"contextual, no such thing":  {check, pinned(`"tuple_key":` + good + `,"contextual_tuples":{"tuple_keys":[` + key("user:erin@example.com", "captain", "okta:groups") + `]}`)},
		"contextual, to a can":       {check, pinned(`"tuple_key":` + good + `,"contextual_tuples":{"tuple_keys":[` + key("user:erin@example.com", "can_create_group", "okta:main") + `]}`)},
		"type nobody knows":          {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "moon:groups"))},
		"user type nobody knows":     {check, pinned(`"tuple_key":` + key("martian:erin", "read_okta", "okta:groups"))},
		"relation nobody knows":      {check, pinned(`"tuple_key":` + key("user:erin@example.com", "nope", "okta:groups"))},
		"user type that cannot":      {check, pinned(`"tuple_key":` + key("okta_app:1", "read_okta", "okta:groups"))},
		"userset asks":               {check, pinned(`"tuple_key":` + key("group:it#member", "read_okta", "okta:main"))},
		"userset of no relation":     {check, pinned(`"tuple_key":` + key("group:it#nope", "read_okta", "okta:main"))},
		"everyone asks":              {check, pinned(`"tuple_key":` + key("user:*", "protected", "okta_group:00gfinance0000000000"))},
		"member of a group":          {check, pinned(`"tuple_key":` + key("user:gina@example.com", "read_okta", "okta:main"))},
		"user without type":          {check, pinned(`"tuple_key":` + key("erin@example.com", "read_okta", "okta:groups"))},
		"user with a space":          {check, pinned(`"tuple_key":` + key("user:erin example", "read_okta", "okta:groups"))},
		"user with two colons":       {check, pinned(`"tuple_key":` + key("user:a:b", "read_okta", "okta:groups"))},
		"user too long":              {check, pinned(`"tuple_key":` + key("user:"+strings.Repeat("a", 508), "read_okta", "okta:groups"))},
		"user as long as can be":     {check, pinned(`"tuple_key":` + key("user:"+strings.Repeat("a", 507), "read_okta", "okta:groups"))},
		"object without type":        {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "groups"))},
		"object with a hash":         {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "okta:groups#x"))},
		"object with two colons":     {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "okta:a:b"))},
		"object too long":            {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "okta:"+strings.Repeat("a", 252)))},
		"object as long as can be":   {check, pinned(`"tuple_key":` + key("user:erin@example.com", "read_okta", "okta:"+strings.Repeat("a", 251)))},
		"relation empty":             {check, pinned(`"tuple_key":` + key("user:erin@example.com", "", "okta:groups"))},
		"relation with a hash":       {check, pinned(`"tuple_key":` + key("user:erin@example.com", "a#b", "okta:groups"))},
		"no tuple":                   {check, pinned(`"consistency":"MINIMIZE_LATENCY"`)},
		"empty body":                 {check, ``},
		"not JSON":                   {check, `{`},
		"JSON of another shape":      {check, `{"tuple_key":"x"}`},
		"model nobody knows":         {check, `{"authorization_model_id":"01KAFGATESTM0DE1000000000X","tuple_key":` + good + `}`},
		"model that is no ULID":      {check, `{"authorization_model_id":"latest","tuple_key":` + good + `}`},
		"store nobody knows":         {"/stores/01KAFGATESTST0RE000000000X/check", `{"tuple_key":` + good + `}`},
		"store nobody knows, pinned": {"/stores/01KAFGATESTST0RE000000000X/check", pinned(`"tuple_key":` + good)},
		"store that is no ULID":      {"/stores/main/check", pinned(`"tuple_key":` + good)},
		"no such path":               {"/stores/STORE/chekc", pinned(`"tuple_key":` + good)},
		"batch of one":               {batch, items(1, number)},
		"batch of fifty":             {batch, items(50, number)},
		"batch of fifty-one":         {batch, items(51, number)},
		"batch of none":              {batch, items(0, number)},
		"batch, same id":             {batch, items(2, func(int) string { return "a" })},
		"batch, no id":               {batch, items(1, func(int) string { return "" })},
		"batch, long id":             {batch, items(1, func(int) string { return strings.Repeat("a", 37) })},
		"batch, id with a dot":       {batch, items(1, func(int) string { return "a.b" })},
		"batch, mixed": {batch, pinned(`"checks":[` +
			`{"correlation_id":"1","tuple_key":` + good + `},` +
			`{"correlation_id":"2","tuple_key":` + key("user:dave@example.com", "read_okta", "okta:groups") + `},` +
			`{"correlation_id":"3","tuple_key":` + key("user:dave@example.com", "nope", "okta:groups") + `},` +
			`{"correlation_id":"4","tuple_key":` + key("user:dave@example.com", "read_okta", "moon:groups") + `},` +
			`{"correlation_id":"5","tuple_key":` + key("user:bob@example.com", "read_okta", "okta:groups") + `,"contextual_tuples":{"tuple_keys":[` + key("okta:main", "org", "okta:groups") + `]}},` +
			`{"correlation_id":"6","tuple_key":` + good + `,"contextual_tuples":{"tuple_keys":[` + key("user:x", "org", "okta:groups") + `]}}]`)},
		"batch, one malformed":     {batch, pinned(`"checks":[{"correlation_id":"1","tuple_key":` + good + `},{"correlation_id":"2","tuple_key":` + key("user:a b", "read_okta", "okta:groups") + `}]`)},
		"batch, one without tuple": {batch, pinned(`"checks":[{"correlation_id":"1"}]`)},
	}

	// Every relation of the model, for each person, on each kind of object, with the links our own callers send.
	var m struct {
		Types []struct {
			Type      string
			Relations map[string]json.RawMessage
		} `json:"type_definitions"`
	}
	if err := json.Unmarshal(model.JSON, &m); err != nil {
		t.Fatal(err)
	}
	ids := map[string][]string{
		"okta": {"main", "groups", "users", "apps"}, "okta_user": {"00udave000000000004x"},
		"okta_group": {"00gengineering000000", "00gfinance0000000000"}, "okta_app": {"0oajira0000000000000"},
	}
	for _, person := range []string{"alice", "bob", "carol", "dave", "erin", "frank", "gina"} {
		var all []string
		for _, typ := range m.Types {
			for _, id := range ids[typ.Type] {
				for _, relation := range slices.Sorted(maps.Keys(typ.Relations)) {
					for _, self := range []bool{false, true} {
						c, err := fga.For("user:"+person+"@example.com", relation, typ.Type, id, self)
						if err != nil {
							t.Fatal(err)
						}
						var links []string
						for _, l := range c.Contextual {
							links = append(links, key(l.User, l.Relation, l.Object))
						}
						all = append(all, fmt.Sprintf(`{"correlation_id":"%d","tuple_key":%s,"contextual_tuples":{"tuple_keys":[%s]}}`,
							len(all), key(c.User, c.Relation, c.Object), strings.Join(links, ",")))
					}
				}
			}
		}
		for i, part := range slices.Collect(slices.Chunk(all, 50)) {
			requests[fmt.Sprintf("%s, every relation, part %d", person, i)] = request{batch, pinned(`"checks":[` + strings.Join(part, ",") + `]`)}
		}
	}

	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			real := post(t, s.URL+strings.ReplaceAll(r.path, "STORE", s.StoreID), strings.ReplaceAll(r.body, "MODEL", s.ModelID))
			fake := post(t, stub.URL+strings.ReplaceAll(r.path, "STORE", fgatest.StoreID), strings.ReplaceAll(r.body, "MODEL", fgatest.ModelID))
			if diff := cmp.Diff(real, fake); diff != "" {
				t.Errorf("(-OpenFGA +fgatest):\n%s", diff)
			}
		})
	}
}
