package openfga

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openfga/go-sdk/client"
	"github.com/openfga/go-sdk/credentials"

	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

const erin = "user:erin@example.com"

func call(t *testing.T, method, url string, header http.Header, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// TestServerActsAsAuth0FGA: behind a token, for our own client and for one we did not write.
func TestServerActsAsAuth0FGA(t *testing.T) {
	issuer := &fgatest.Issuer{ClientID: "steward-fga", ClientSecret: secret.New("local-secret")}
	s := start(t, Options{Issuer: issuer, RequireToken: true})

	t.Run("the vendor's SDK", func(t *testing.T) {
		vendor := func(audience string) *client.OpenFgaClient {
			c, err := client.NewSdkClient(&client.ClientConfiguration{
				ApiUrl: s.URL, StoreId: s.StoreID, AuthorizationModelId: s.ModelID,
				Credentials: &credentials.Credentials{Method: credentials.CredentialsMethodClientCredentials, Config: &credentials.Config{
					ClientCredentialsClientId: "steward-fga", ClientCredentialsClientSecret: "local-secret",
					ClientCredentialsApiAudience: audience, ClientCredentialsApiTokenIssuer: s.URL,
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		ask := client.ClientCheckRequest{User: erin, Relation: "read_okta", Object: "okta:groups"}
		if got, err := vendor(s.Audience()).Check(t.Context()).Body(ask).Execute(); err != nil || !got.GetAllowed() {
			t.Errorf("Check: %v", err)
		}
		if _, err := vendor(strings.TrimSuffix(s.Audience(), "/")).Check(t.Context()).Body(ask).Execute(); err == nil {
			t.Error("an audience without its slash gets a token")
		}
	})
	t.Run("our client", func(t *testing.T) {
		base, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		c, err := openfga.New(openfga.Config{
			APIURL: base, StoreID: s.StoreID, ModelID: s.ModelID,
			Credentials: &openfga.Credentials{
				Issuer: base, Audience: s.Audience(), ClientID: "steward-fga",
				Secret: func(context.Context) (secret.String, error) { return secret.New("local-secret"), nil },
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		before := issuer.Calls()
		for _, tc := range []struct {
			check fga.Check
			want  fga.Decision
		}{
			{fga.ForArea(erin, fga.ReadOkta, fga.Groups), fga.Allowed},
			{fga.ForArea(erin, fga.ReadOkta, fga.Users), fga.Denied},
			{fga.ForUser("user:alice@example.com", "can_reset_password", "00ualice000000000001", true), fga.Allowed},
			{fga.ForUser("user:alice@example.com", "can_reset_password", "00ubob00000000000002", false), fga.Denied},
			{fga.ForGroup("user:carol@example.com", "can_change_members", "00gengineering000000"), fga.Allowed},
			{fga.ForArea("user:frank@example.com", "can_create_group", fga.Groups), fga.Allowed},
			{fga.ForArea(erin, "no_such_relation", fga.Groups), fga.Unknown},
		} {
			alone, err := c.Ask(t.Context(), fga.Request{Checks: []fga.Check{tc.check}, Higher: true})
			if alone.Decisions[0] != tc.want || (err != nil) != (tc.want == fga.Unknown) {
				t.Errorf("%v = %v, %v, want %s", tc.check.Tuple, alone, err, tc.want)
			}
			pair, _ := c.Ask(t.Context(), fga.Request{Checks: []fga.Check{tc.check, tc.check}})
			if diff := cmp.Diff([]fga.Decision{tc.want, tc.want}, pair.Decisions); diff != "" {
				t.Errorf("%v in a batch (-want +got):\n%s", tc.check.Tuple, diff)
			}
		}
		if n := issuer.Calls() - before; n != 1 {
			t.Errorf("%d tokens, want 1", n)
		}
		issuer.Revoke()
		if got, err := c.Ask(t.Context(), fga.Request{Checks: []fga.Check{fga.ForArea(erin, fga.ReadOkta, fga.Groups)}}); err != nil || got.Decisions[0] != fga.Allowed {
			t.Errorf("after the token was revoked: %v, %v", got, err)
		}
	})
	t.Run("without a token", func(t *testing.T) {
		status, body := call(t, http.MethodPost, s.URL+"/stores/"+s.StoreID+"/check", nil, `{"tuple_key":{"user":"user:a","relation":"admin","object":"okta:main"}}`)
		if status != http.StatusUnauthorized || !strings.Contains(body, "bearer_token_missing") {
			t.Errorf("%d %s", status, body)
		}
		if status, body := call(t, http.MethodGet, s.URL+"/healthz", nil, ""); status != http.StatusOK || !strings.Contains(body, "SERVING") {
			t.Errorf("healthz: %d %s", status, body)
		}
	})
	t.Run("token endpoint", func(t *testing.T) {
		form := func(pairs ...string) string {
			v := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			return v.Encode()
		}
		const grant, id, password = "client_credentials", "steward-fga", "local-secret"
		aud := s.Audience()
		for name, tc := range map[string]struct {
			method, contentType, basic, body string
			status                           int
			want                             string
		}{
			"form":           {"POST", "application/x-www-form-urlencoded", "", form("grant_type", grant, "client_id", id, "client_secret", password, "audience", aud), 200, `"token_type":"Bearer"`},
			"basic":          {"POST", "application/x-www-form-urlencoded", password, form("grant_type", grant, "audience", aud), 200, `"expires_in":86400`},
			"JSON":           {"POST", "application/json", "", `{"grant_type":"client_credentials","client_id":"steward-fga","client_secret":"local-secret","audience":"` + aud + `"}`, 200, `"access_token"`},
			"wrong secret":   {"POST", "application/x-www-form-urlencoded", "", form("grant_type", grant, "client_id", id, "client_secret", "x", "audience", aud), 401, `"access_denied"`},
			"no secret":      {"POST", "application/x-www-form-urlencoded", "", form("grant_type", grant, "client_id", id, "audience", aud), 401, `"access_denied"`},
			"no audience":    {"POST", "application/x-www-form-urlencoded", password, form("grant_type", grant), 403, `"access_denied"`},
			"another grant":  {"POST", "application/x-www-form-urlencoded", password, form("grant_type", "password", "audience", aud), 403, `"unsupported_grant_type"`},
			"malformed JSON": {"POST", "application/json", "", `{`, 400, `"invalid_request"`},
			"GET":            {"GET", "", "", "", 404, ""},
		} {
			t.Run(name, func(t *testing.T) {
				header := http.Header{"Content-Type": {tc.contentType}}
				if tc.basic != "" {
					r := &http.Request{Header: header}
					r.SetBasicAuth(id, tc.basic)
				}
				if status, body := call(t, tc.method, s.URL+fgatest.TokenPath, header, tc.body); status != tc.status || !strings.Contains(body, tc.want) {
					t.Errorf("%d %s, want %d with %s", status, body, tc.status, tc.want)
				}
			})
		}
	})
}

// TestWithoutRequiredToken: as on a laptop, a call may come without a token, but not with a wrong one.
func TestWithoutRequiredToken(t *testing.T) {
	issuer := &fgatest.Issuer{ClientID: "steward-fga", ClientSecret: secret.New("local-secret")}
	s := start(t, Options{Issuer: issuer})
	const body = `{"tuple_key":{"user":"user:erin@example.com","relation":"read_okta","object":"okta:groups"}}`
	url := s.URL + "/stores/" + s.StoreID + "/check"
	if status, answer := call(t, http.MethodPost, url, nil, body); status != http.StatusOK || !strings.Contains(answer, `"allowed":true`) {
		t.Errorf("no token: %d %s", status, answer)
	}
	if status, answer := call(t, http.MethodPost, url, http.Header{"Authorization": {"Bearer wrong"}}, body); status != http.StatusUnauthorized || !strings.Contains(answer, "auth_failed_invalid_bearer_token") {
		t.Errorf("wrong token: %d %s", status, answer)
	}
	if got, err := vendorClient(t, s).Check(t.Context()).Body(client.ClientCheckRequest{User: erin, Relation: "read_okta", Object: "okta:users"}).Execute(); err != nil || got.GetAllowed() {
		t.Errorf("the vendor's SDK: %v", err)
	}
}

// TestResetRestoresTheDemoTuples: grants made by hand go, those that were there come back.
func TestResetRestoresTheDemoTuples(t *testing.T) {
	s := start(t, Options{})
	c := vendorClient(t, s)
	if _, err := c.Write(t.Context()).Body(client.ClientWriteRequest{
		Writes:  []client.ClientTupleKey{{User: "user:dave@example.com", Relation: "admin", Object: "okta:main"}},
		Deletes: []client.ClientTupleKeyWithoutCondition{{User: erin, Relation: "read_okta", Object: "okta:groups"}},
	}).Execute(); err != nil {
		t.Fatal(err)
	}
	allowed := func(user, relation, object string) bool {
		got, err := c.Check(t.Context()).Body(client.ClientCheckRequest{User: user, Relation: relation, Object: object}).Execute()
		if err != nil {
			t.Fatal(err)
		}
		return got.GetAllowed()
	}
	if !allowed("user:dave@example.com", "admin", "okta:main") || allowed(erin, "read_okta", "okta:groups") {
		t.Fatal("the change did not happen")
	}
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if allowed("user:dave@example.com", "admin", "okta:main") || !allowed(erin, "read_okta", "okta:groups") {
		t.Error("the reset did not happen")
	}
}
