package fga_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
)

const alice = "user:alice@example.com"

func TestTupleValidate(t *testing.T) {
	good := fga.Tuple{User: alice, Relation: "read_okta", Object: fga.Groups}
	for name, change := range map[string]func(*fga.Tuple){
		"as it is":              func(*fga.Tuple) {},
		"subject with bars":     func(u *fga.Tuple) { u.User = "user:oidc|okta-corp|00uAbC" },
		"plus and apostrophe":   func(u *fga.Tuple) { u.User = "user:o'brien+it@example.com" },
		"letters of any kind":   func(u *fga.Tuple) { u.User = "user:jürgen@exämple.org" },
		"longest user":          func(u *fga.Tuple) { u.User = "user:" + strings.Repeat("a", 507) },
		"longest object":        func(u *fga.Tuple) { u.Object = "okta:" + strings.Repeat("a", 251) },
		"object with an e-mail": func(u *fga.Tuple) { u.Object = "okta_user:a@b.c" },
	} {
		t.Run("good "+name, func(t *testing.T) {
			tuple := good
			change(&tuple)
			if err := tuple.Validate(); err != nil {
				t.Errorf("%+v: %v", tuple, err)
			}
		})
	}
	for name, change := range map[string]func(*fga.Tuple){
		"no user":              func(u *fga.Tuple) { u.User = "" },
		"user without type":    func(u *fga.Tuple) { u.User = "alice@example.com" },
		"user without id":      func(u *fga.Tuple) { u.User = "user:" },
		"everyone":             func(u *fga.Tuple) { u.User = "user:*" },
		"userset":              func(u *fga.Tuple) { u.User = "group:it#member" },
		"second colon":         func(u *fga.Tuple) { u.User = "user:user:alice" },
		"space":                func(u *fga.Tuple) { u.User = "user:alice example" },
		"newline":              func(u *fga.Tuple) { u.User = alice + "\n" },
		"no-break space":       func(u *fga.Tuple) { u.User = "user:a\u00a0b" },
		"zero-width space":     func(u *fga.Tuple) { u.User = "user:a\u200bb" },
		"right-to-left":        func(u *fga.Tuple) { u.User = "user:a\u202eb" },
		"NUL":                  func(u *fga.Tuple) { u.User = "user:a\x00b" },
		"not UTF-8":            func(u *fga.Tuple) { u.User = "user:a\xffb" },
		"user too long":        func(u *fga.Tuple) { u.User = "user:" + strings.Repeat("a", 508) },
		"upper case type":      func(u *fga.Tuple) { u.User = "User:alice" },
		"no relation":          func(u *fga.Tuple) { u.Relation = "" },
		"relation with a hash": func(u *fga.Tuple) { u.Relation = "read#okta" },
		"relation of capitals": func(u *fga.Tuple) { u.Relation = "READ" },
		"relation too long":    func(u *fga.Tuple) { u.Relation = strings.Repeat("a", 51) },
		"no object":            func(u *fga.Tuple) { u.Object = "" },
		"all objects":          func(u *fga.Tuple) { u.Object = "okta:*" },
		"object too long":      func(u *fga.Tuple) { u.Object = "okta:" + strings.Repeat("a", 252) },
		"object's relation":    func(u *fga.Tuple) { u.Object = "okta:main#admin" },
		"path in an object":    func(u *fga.Tuple) { u.Object = "okta_user:00u/../ x" },
	} {
		t.Run("bad "+name, func(t *testing.T) {
			tuple := good
			change(&tuple)
			err := tuple.Validate()
			if err == nil {
				t.Fatalf("%+v passes", tuple)
			}
			if strings.Contains(err.Error(), "alice") {
				t.Errorf("error quotes the value: %v", err)
			}
		})
	}
}

func TestTupleValidateStored(t *testing.T) {
	for user, want := range map[string]bool{
		alice: true, "user:*": true, "group:it#member": true,
		"*": false, ":*": false, "User:*": false, "user:a*": true, "user:*#member": false, "group:#member": false, "group:it#": false, "group:it#Member": false,
		"group:i t#member": false, "group:it#member#member": false, "group:" + strings.Repeat("a", 500) + "#member": false, "": false,
	} {
		if err := (fga.Tuple{User: user, Relation: "read_okta", Object: fga.Groups}).ValidateStored(); (err == nil) != want {
			t.Errorf("%q: %v, want valid %t", user, err, want)
		}
	}
	if (fga.Tuple{User: "user:*", Relation: "read_okta", Object: "okta:*"}).ValidateStored() == nil {
		t.Error("all objects at once pass")
	}
}

func TestRequestValidate(t *testing.T) {
	ok := fga.ForArea(alice, fga.ReadOkta, fga.Groups)
	many := func(n int) []fga.Check {
		checks := make([]fga.Check, n)
		for i := range checks {
			checks[i] = ok
		}
		return checks
	}
	crowded := ok
	crowded.Contextual = make([]fga.Tuple, fga.MaxContextual+1)
	for i := range crowded.Contextual {
		crowded.Contextual[i] = ok.Tuple
	}
	bad := ok
	bad.Contextual = []fga.Tuple{{User: fga.Org, Relation: "org", Object: "okta:a b"}}
	for name, tc := range map[string]struct {
		checks []fga.Check
		valid  bool
	}{
		"none":               {nil, false},
		"one":                {many(1), true},
		"as many as allowed": {many(fga.MaxChecks), true},
		"one too many":       {many(fga.MaxChecks + 1), false},
		"crowded":            {[]fga.Check{crowded}, false},
		"bad contextual":     {[]fga.Check{ok, bad}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := (fga.Request{Checks: tc.checks}).Validate(); (err == nil) != tc.valid {
				t.Errorf("Validate() = %v, want valid %t", err, tc.valid)
			}
		})
	}
}

func TestClaimUser(t *testing.T) {
	for name, tc := range map[string]struct {
		claim    fga.Claim
		sub      string
		email    string
		verified bool
		want     string
		kind     fault.Kind
	}{
		"e-mail in lower case": {fga.ClaimEmail, "oidc|1", "Alice@Example.COM", true, alice, ""},
		"e-mail unverified":    {fga.ClaimEmail, "oidc|1", "alice@example.com", false, "", fault.Denied},
		"no e-mail":            {fga.ClaimEmail, "oidc|1", "", true, "", fault.Denied},
		"e-mail of two words":  {fga.ClaimEmail, "oidc|1", "alice b@example.com", true, "", fault.Denied},
		"a Kelvin sign":        {fga.ClaimEmail, "oidc|1", "fran\u212a@example.com", true, "", fault.Denied},
		"a dotted I":           {fga.ClaimEmail, "oidc|1", "al\u0130ce@example.com", true, "", fault.Denied},
		"a long s":             {fga.ClaimEmail, "oidc|1", "e\u017fther@example.com", true, "", fault.Denied},
		"a wide space":         {fga.ClaimEmail, "oidc|1", "alice@example.com\u00a0", true, "", fault.Denied},
		"no UTF-8":             {fga.ClaimEmail, "oidc|1", "alice\xff@example.com", true, "", fault.Denied},
		"subject as it is":     {fga.ClaimSub, "oidc|okta-corp|00uA", "", false, "user:oidc|okta-corp|00uA", ""},
		"no subject":           {fga.ClaimSub, "", "alice@example.com", true, "", fault.Denied},
		"no such claim":        {"name", "oidc|1", "alice@example.com", true, "", fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.claim.User(tc.sub, tc.email, tc.verified)
			if got != tc.want || fault.KindOf(err) != tc.kind {
				t.Errorf("User() = %q, %v, want %q and kind %q", got, err, tc.want, tc.kind)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	linked := func(object string) []fga.Tuple {
		return []fga.Tuple{
			{User: "okta:main", Relation: "org", Object: "okta:groups"},
			{User: "okta:main", Relation: "org", Object: "okta:users"},
			{User: "okta:main", Relation: "org", Object: object},
			{User: "okta:groups", Relation: "groups", Object: object},
			{User: "okta:users", Relation: "users", Object: object},
		}
	}
	for name, tc := range map[string]struct {
		got  fga.Check
		want fga.Check
	}{
		"the organisation": {
			fga.ForArea(alice, fga.SelfService, fga.Org),
			fga.Check{Tuple: fga.Tuple{User: alice, Relation: "self_service", Object: "okta:main"}},
		},
		"an area": {
			fga.ForArea(alice, fga.ReadOkta, fga.Groups),
			fga.Check{
				Tuple:      fga.Tuple{User: alice, Relation: "read_okta", Object: "okta:groups"},
				Contextual: []fga.Tuple{{User: "okta:main", Relation: "org", Object: "okta:groups"}},
			},
		},
		"somebody else": {
			fga.ForUser(alice, "can_read", "00u1", false),
			fga.Check{Tuple: fga.Tuple{User: alice, Relation: "can_read", Object: "okta_user:00u1"}, Contextual: linked("okta_user:00u1")},
		},
		"oneself": {
			fga.ForUser(alice, "can_read", "00u1", true),
			fga.Check{
				Tuple:      fga.Tuple{User: alice, Relation: "can_read", Object: "okta_user:00u1"},
				Contextual: append(linked("okta_user:00u1"), fga.Tuple{User: alice, Relation: "holder", Object: "okta_user:00u1"}),
			},
		},
		"a group": {
			fga.ForGroup(alice, "can_delete", "00g1"),
			fga.Check{Tuple: fga.Tuple{User: alice, Relation: "can_delete", Object: "okta_group:00g1"}, Contextual: linked("okta_group:00g1")},
		},
		"an app": {
			fga.ForApp(alice, "can_assign", "0oa1"),
			fga.Check{
				Tuple:      fga.Tuple{User: alice, Relation: "can_assign", Object: "okta_app:0oa1"},
				Contextual: []fga.Tuple{{User: "okta:main", Relation: "org", Object: "okta_app:0oa1"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := tc.got.Validate(); err != nil {
				t.Errorf("does not validate: %v", err)
			}
			typ, id, _ := strings.Cut(tc.want.Object, ":")
			chosen, err := fga.For(alice, tc.want.Relation, typ, id, name == "oneself")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, chosen); diff != "" {
				t.Errorf("For() (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := fga.For(alice, "can_read", "okta_device", "1", false); err == nil {
		t.Error("For() takes a type without checks")
	}
}

func TestWire(t *testing.T) {
	request := fga.Request{Checks: []fga.Check{fga.ForArea(alice, fga.ReadOkta, fga.Groups), fga.ForArea(alice, "admin", fga.Org)}, Higher: true}
	const want = `{"checks":[{"user":"user:alice@example.com","relation":"read_okta","object":"okta:groups",` +
		`"contextual":[{"user":"okta:main","relation":"org","object":"okta:groups"}]},` +
		`{"user":"user:alice@example.com","relation":"admin","object":"okta:main"}],"higher_consistency":true}`
	raw, err := json.Marshal(request)
	if err != nil || string(raw) != want {
		t.Errorf("request = %s, %v, want %s", raw, err, want)
	}
	back, err := fga.DecodeRequest(raw)
	if diff := cmp.Diff(request, back); err != nil || diff != "" {
		t.Errorf("decoded: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{
		``, `null`, `{}`, `[]`, `{"checks":[]}`, `{"checks":[{}]}`,
		`{"checks":[{"user":"user:a","relation":"r","object":"okta:main"}],"model":"x"}`,
		`{"checks":[{"user":"user:a","relation":"r","object":"okta:main","context":{}}]}`,
		`{"checks":[{"user":"user:a","relation":"r","object":"okta:main"}]} {}`,
		`{"checks":[{"user":"user:*","relation":"r","object":"okta:main"}]}`,
	} {
		if _, err := fga.DecodeRequest([]byte(bad)); err == nil {
			t.Errorf("DecodeRequest(%s) passes", bad)
		}
	}

	raw, err = json.Marshal(fga.Response{Decisions: []fga.Decision{fga.Allowed, fga.Unknown}, ModelID: "01K", Reason: fga.ReasonTimeout})
	if want := `{"decisions":["allowed","unknown"],"model_id":"01K","reason":"timeout"}`; err != nil || string(raw) != want {
		t.Errorf("response = %s, %v, want %s", raw, err, want)
	}
	var response fga.Response
	if err := json.Unmarshal([]byte(`{"decisions":["allowed","denied","unknown","Allowed","",null]}`), &response); err != nil {
		t.Fatal(err)
	}
	wantDecisions := []fga.Decision{fga.Allowed, fga.Denied, fga.Unknown, fga.Unknown, fga.Unknown, fga.Unknown}
	if diff := cmp.Diff(wantDecisions, response.Decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// FuzzTuple: whatever passes is what OpenFGA takes as one user and one object, and survives the wire.
func FuzzTuple(f *testing.F) {
	f.Add("user:alice@example.com", "read_okta", "okta:groups")
	f.Add("user:*", "can_read", "okta_user:00u1")
	f.Add("group:it#member", "org", "okta:main")
	f.Add("user:a\u200bb", "r", "o:\xff")
	f.Fuzz(func(t *testing.T, user, relation, object string) {
		tuple := fga.Tuple{User: user, Relation: relation, Object: object}
		if tuple.Validate() != nil {
			return
		}
		for _, s := range []string{user, object} {
			if strings.Count(s, ":") != 1 || strings.ContainsAny(s, "# \t\r\n\x00") || strings.HasSuffix(s, ":*") || len(s) < 3 {
				t.Errorf("%q passes", s)
			}
		}
		if len(user) > 512 || len(object) > 256 || len(relation) > 50 {
			t.Errorf("too long: %d, %d, %d", len(user), len(relation), len(object))
		}
		request := fga.Request{Checks: []fga.Check{{Tuple: tuple}}}
		raw, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		back, err := fga.DecodeRequest(raw)
		if diff := cmp.Diff(request, back); err != nil || diff != "" {
			t.Errorf("wire: %v\n%s", err, diff)
		}
	})
}

// FuzzDecodeRequest: no payload makes a request that does not validate.
func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"checks":[{"user":"user:a@x.org","relation":"read_okta","object":"okta:groups"}],"higher_consistency":true}`))
	f.Add([]byte(`{"checks":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := fga.DecodeRequest(payload)
		if err == nil && r.Validate() != nil {
			t.Errorf("%s decodes to what does not validate", payload)
		}
	})
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"01ARZ3NDEKTSV4RRFFQ69G5FAV": true, "": false, "main": false, "01ARZ3NDEKTSV4RRFFQ69G5FA": false, "01arz3ndektsv4rrffq69g5fav": false,
		"81ARZ3NDEKTSV4RRFFQ69G5FAV": false, "01ARZ3NDEKTSV4RRFFQ69G5FAI": false,
	} {
		if got := fga.ValidID(id); got != want {
			t.Errorf("%q: got %v, want %v", id, got, want)
		}
	}
}
