package oktatest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fake/oktatest/oktaspec"
)

var allScopes = []string{"okta.users.manage", "okta.groups.manage", "okta.apps.manage", "okta.logs.read"}

type wire struct {
	*oktatest.Org
	t   *testing.T
	url string
	now time.Time
}

func start(t *testing.T, opts oktatest.Options) *wire {
	t.Helper()
	w := &wire{t: t, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	if opts.Now == nil {
		opts.Now = func() time.Time { return w.now }
	}
	w.Org = oktatest.New(opts)
	s := httptest.NewServer(oktaspec.Handler(t, w.Org))
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

type reply struct {
	status int
	header http.Header
	text   string
	object map[string]any
	list   []map[string]any
}

func (r reply) code() string { s, _ := r.object["errorCode"].(string); return s }

func (r reply) ids() (out []string) {
	for _, m := range r.list {
		out = append(out, fmt.Sprint(m["id"]))
	}
	return out
}

func (w *wire) send(token, method, path, body string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := reply{status: res.StatusCode, header: res.Header, text: string(b)}
	_ = json.Unmarshal(b, &r.object) // one of the two fits
	_ = json.Unmarshal(b, &r.list)
	return r
}

// frank sends as the administrator.
func (w *wire) frank(method, path string, body ...string) reply {
	w.t.Helper()
	return w.send(w.MintToken(oktatest.Frank, allScopes, time.Hour), method, "/api/v1"+path, strings.Join(body, ""))
}

func TestTokensScopesAndRoles(t *testing.T) {
	w := start(t, oktatest.Options{Roles: map[string]oktatest.Role{
		oktatest.Bob: oktatest.HelpDeskAdmin, oktatest.Carol: oktatest.GroupAdmin, oktatest.Dave: oktatest.NoRole,
	}})
	mint := func(id string, scopes ...string) string { return w.MintToken(id, scopes, time.Hour) }
	revoked := mint(oktatest.Alice, allScopes...)
	w.RevokeTokens(oktatest.Alice)
	expired := w.MintToken(oktatest.Erin, allScopes, time.Minute)
	w.now = w.now.Add(2 * time.Minute)
	const me, groups, reset = "/api/v1/users/me", "/api/v1/groups", "/api/v1/users/" + oktatest.Erin + "/lifecycle/reset_password?sendEmail=true"

	for _, c := range []struct {
		name, token, method, path string
		status                    int
		challenge                 string
	}{
		{"no token", "", "GET", me, 401, "invalid_token"},
		{"a made-up token", "eyJ.x.y", "GET", me, 401, "invalid_token"},
		{"a revoked token", revoked, "GET", me, 401, "invalid_token"},
		{"an expired token", expired, "GET", me, 401, "invalid_token"},
		{"the read scope", mint(oktatest.Frank, "okta.groups.read"), "GET", groups, 200, ""},
		{"manage includes read", mint(oktatest.Frank, "okta.groups.manage"), "GET", groups, 200, ""},
		{"another scope", mint(oktatest.Frank, "okta.users.read"), "GET", groups, 403, `scope="okta.groups.read", error="insufficient_scope"`},
		{"read is not manage", mint(oktatest.Frank, "okta.groups.read"), "POST", groups, 403, `scope="okta.groups.manage"`},
		{"a user's groups are users.read", mint(oktatest.Frank, "okta.groups.read"), "GET", me + "/groups", 403, `scope="okta.users.read"`},
		{"no role", mint(oktatest.Dave, allScopes...), "GET", groups, 403, ""},
		{"no role, but oneself", mint(oktatest.Dave, "okta.users.read.self"), "GET", me, 200, ""},
		{"a help desk resets", mint(oktatest.Bob, allScopes...), "POST", reset, 200, ""},
		{"a help desk does not suspend", mint(oktatest.Bob, allScopes...), "POST", "/api/v1/users/" + oktatest.Erin + "/lifecycle/suspend", 403, ""},
		{"a group administrator makes no groups", mint(oktatest.Carol, allScopes...), "POST", groups, 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := ""
			if c.method == "POST" && c.path == groups {
				body = `{"profile":{"name":"New"}}`
			}
			r := w.send(c.token, c.method, c.path, body)
			if got := r.header.Get("WWW-Authenticate"); r.status != c.status || !strings.Contains(got, c.challenge) || (got != "") != (c.challenge != "") {
				t.Errorf("got %d, %q, want %d, %q", r.status, got, c.status, c.challenge)
			}
			if want := map[int]string{401: "E0000011", 403: "E0000006"}[c.status]; r.code() != want {
				t.Errorf("code %q, want %q", r.code(), want)
			}
		})
	}
	if got := w.send(mint(oktatest.Dave, "okta.users.read.self"), "GET", "/api/v1/users", "").ids(); !slices.Equal(got, []string{oktatest.Dave}) {
		t.Errorf("read.self lists %v", got)
	}
	if got := w.send(mint(oktatest.Carol, allScopes...), "GET", groups, "").ids(); slices.Contains(got, oktatest.Everyone) {
		t.Error("a group administrator sees Everyone")
	}
	if w.MintToken("00unobody0000000000x", allScopes, time.Hour) != "" {
		t.Error("a token for nobody")
	}
	for _, r := range w.Requests() {
		if strings.Contains(fmt.Sprint(r), "eyJ") {
			t.Errorf("%+v", r)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	w := start(t, oktatest.Options{})
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/nothing", 404, "E0000008"},
		{"DELETE", "/users", 405, "E0000022"},
		{"PUT", "/users/" + oktatest.Bob + "/lifecycle/suspend", 405, "E0000022"},
		{"GET", "/users/00unobody0000000000x", 404, "E0000007"},
		{"GET", "/groups/00gnobody0000000000x", 404, "E0000007"},
		{"GET", "/apps/0oanobody0000000000x", 404, "E0000007"},
		{"PUT", "/groups/" + oktatest.Finance + "/users/bob@example.com", 404, "E0000007"}, // an id only
		{"GET", "/users?limit=x", 400, "E0000001"},
		{"GET", "/users?after=nobody", 400, "E0000031"},
		{"GET", "/users?q=sam", 501, "E0000060"},
		{"GET", "/groups?filter=" + url.QueryEscape(`type eq "BUILT_IN"`), 501, "E0000060"},
		{"GET", "/apps?filter=" + url.QueryEscape(`name eq "figma"`), 501, "E0000060"},
		{"GET", "/logs", 501, "E0000060"},
		{"GET", "/logs?since=yesterday&until=today&sortOrder=DESCENDING", 400, "E0000001"},
		{"GET", "/logs?since=2020-01-01T00:00:00Z&until=2026-05-04T12:00:00Z&sortOrder=DESCENDING", 400, "E0000053"},
		{"POST", "/users/" + oktatest.Bob + "/lifecycle/reset_password", 400, "E0000028"},
	} {
		if r := w.frank(c.method, c.path); r.status != c.status || r.code() != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, r.status, r.code(), c.status, c.code)
		}
	}
	if r := w.frank("POST", "/groups", "{"); r.code() != "E0000003" {
		t.Errorf("half a body: %s", r.code())
	}
	for _, name := range []string{"me", "frank@example.com", "FRANK@example.com", "frank", oktatest.Frank} {
		if r := w.frank("GET", "/users/"+name); r.object["id"] != oktatest.Frank || r.header.Get("ETag") == "" {
			t.Errorf("/users/%s: %d", name, r.status)
		}
	}
}

func TestPages(t *testing.T) {
	w := start(t, oktatest.Options{BaseURL: "https://corp.example.test/"})
	next := regexpLink("next")
	var all []string
	path, pages := "/users?limit=500", 0
	for path != "" {
		r := w.frank("GET", path)
		if self := regexpLink("self")(r.header); !strings.HasPrefix(self, "https://corp.example.test/api/v1/users?") || !strings.Contains(self, "limit=200") {
			t.Fatalf("self is %q", self)
		}
		if len(r.list) > 50 {
			t.Fatalf("%d on a page", len(r.list))
		}
		all = append(all, r.ids()...)
		path = strings.TrimPrefix(next(r.header), "https://corp.example.test/api/v1")
		pages++
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 11+oktatest.Extras || pages < 5 { // all but the deactivated one
		t.Errorf("%d people on %d pages", n, pages)
	}

	whole := start(t, oktatest.Options{PageSize: -1})
	if r := whole.frank("GET", "/users"); len(r.list) != 200 || len(r.header.Values("Link")) != 2 {
		t.Errorf("Okta's own page has %d, links %v", len(r.list), r.header.Values("Link"))
	}
	if r := whole.frank("GET", "/groups/"+oktatest.Everyone+"/users"); len(r.list) != 12+oktatest.Extras || len(r.header.Values("Link")) != 1 {
		t.Errorf("Everyone has %d, links %v", len(r.list), r.header.Values("Link"))
	}
}

func regexpLink(rel string) func(http.Header) string {
	return func(h http.Header) string {
		for _, v := range h.Values("Link") {
			if target, ok := strings.CutSuffix(v, `>; rel="`+rel+`"`); ok {
				return strings.TrimPrefix(target, "<")
			}
		}
		return ""
	}
}

func TestFindingUsers(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: -1})
	for _, c := range []struct {
		parameter, value string
		want             int // of people; -1: any
		code             string
	}{
		{"search", `profile.login eq "BOB@example.com"`, 1, ""},
		{"search", `profile.lastName sw "tay" and profile.firstName eq "Sam"`, 2, ""},
		{"search", `(profile.firstName eq "Sam" or profile.firstName eq "Dora") and profile.email co "@"`, 3, ""},
		{"search", `profile.email co "taylor"`, 2, ""},
		{"search", `profile.login gt "x"`, 0, "E0000031"},
		{"search", `(profile.login eq "x"`, 0, "E0000053"},
		{"search", strings.Repeat("(", 99) + `profile.login eq "x"`, 0, "E0000053"},
		{"search", `profile.login ne "x"`, 0, "E0000031"},
		{"search", `profile.lastName eq "O'Neill"`, -1, ""},
		{"search", `profile.lastName eq "MÜLLER"`, -1, ""},
		{"search", `password eq "x"`, 0, "E0000053"},
		{"search", `profile.login eq bob`, 0, "E0000053"},
		{"search", `profile.login eq "bob`, 0, "E0000053"},
		{"search", `status`, 0, "E0000053"},
		{"search", ``, 0, "E0000053"},
	} {
		r := w.frank("GET", "/users?"+url.Values{c.parameter: {c.value}}.Encode())
		if r.code() != c.code || (c.want >= 0 && len(r.list) != c.want) || (c.want < 0 && len(r.list) == 0) {
			t.Errorf("%s=%s: %d people, %q; want %d, %q", c.parameter, c.value, len(r.list), r.code(), c.want, c.code)
		}
	}
}

func TestFindingGroups(t *testing.T) {
	w := start(t, oktatest.Options{})
	for _, c := range []struct {
		parameter, value string
		want             []string
		code             string
	}{
		{"search", `profile.name eq "SUPPORT"`, []string{oktatest.Support}, ""},
		{"search", `profile.description co "product"`, []string{oktatest.Engineering}, ""},
	} {
		r := w.frank("GET", "/groups?"+url.Values{c.parameter: {c.value}}.Encode())
		if r.code() != c.code || !slices.Equal(r.ids(), c.want) {
			t.Errorf("%s=%s: %v, %q", c.parameter, c.value, r.ids(), r.code())
		}
	}
	if r := w.frank("GET", "/groups/"+oktatest.Support); !strings.Contains(r.text, `"description":null`) {
		t.Error(r.text)
	}
}

// The search index lags behind writes; reading by id does not.
func TestSearchLags(t *testing.T) {
	w := start(t, oktatest.Options{SearchLag: 2 * time.Second})
	found := func(name string) int {
		return len(w.frank("GET", "/groups?search="+url.QueryEscape(`profile.name eq "`+name+`"`)).list)
	}
	id := w.frank("POST", "/groups", `{"profile":{"name":"Research"}}`).object["id"]
	if n := found("Research"); n != 0 {
		t.Error("a new group is found at once")
	}
	w.now = w.now.Add(3 * time.Second)
	if n := found("Research"); n != 1 {
		t.Error("a new group is never found")
	}
	w.frank("PUT", fmt.Sprint("/groups/", id), `{"profile":{"name":"Discovery"}}`)
	if found("Research") != 1 || found("Discovery") != 0 {
		t.Error("the new name is found at once")
	}
	if r := w.frank("GET", fmt.Sprint("/groups/", id)); !strings.Contains(r.text, "Discovery") {
		t.Error("reading by id lags")
	}
	w.now = w.now.Add(3 * time.Second)
	if found("Research") != 0 || found("Discovery") != 1 {
		t.Error("the old name is found for ever")
	}
}

// What each transition answers in each status.
func TestLifecycle(t *testing.T) {
	const any = "" // every status that is not listed
	type answer struct {
		status int
		code   string
		then   oktatest.Status
	}
	all := []oktatest.Status{
		oktatest.Staged, oktatest.Provisioned, oktatest.Active, oktatest.Recovery, oktatest.LockedOut,
		oktatest.PasswordExpired, oktatest.Suspended, oktatest.Deprovisioned,
	}
	w := start(t, oktatest.Options{})
	for call, table := range map[string]map[oktatest.Status]answer{
		"activate": {
			oktatest.Staged: {200, "", oktatest.Provisioned}, oktatest.Deprovisioned: {200, "", oktatest.Provisioned},
			oktatest.Active: {403, "E0000016", ""}, any: {403, "E0000038", ""},
		},
		"reactivate": {
			oktatest.Provisioned: {200, "", oktatest.Provisioned}, oktatest.Recovery: {200, "", oktatest.Provisioned}, any: {403, "E0000038", ""},
		},
		"deactivate":      {oktatest.Deprovisioned: {404, "E0000007", ""}, any: {200, "", oktatest.Deprovisioned}},
		"suspend":         {oktatest.Active: {200, "", oktatest.Suspended}, any: {400, "E0000001", ""}},
		"unsuspend":       {oktatest.Suspended: {200, "", oktatest.Active}, any: {400, "E0000001", ""}},
		"unlock":          {oktatest.LockedOut: {200, "", oktatest.Active}, any: {403, "E0000032", ""}},
		"expire_password": {oktatest.Active: {200, "", oktatest.PasswordExpired}, any: {403, "E0000038", ""}},
		"reset_password": {
			oktatest.Staged: {403, "E0000017", ""}, oktatest.Deprovisioned: {403, "E0000017", ""}, oktatest.Suspended: {403, "E0000038", ""},
			any: {200, "", oktatest.Recovery},
		},
		"reset_factors": {oktatest.Deprovisioned: {403, "E0000038", ""}, any: {200, "", ""}},
	} {
		for _, from := range all {
			t.Run(call+" "+string(from), func(t *testing.T) {
				want, ok := table[from]
				if !ok {
					want = table[any]
				}
				if want.then == "" {
					want.then = from
				}
				// One who never had a password, in the state by decree.
				id := w.AddUser("Ivy", "Case", call+"."+strings.ToLower(string(from))+"@example.com", oktatest.Staged)
				w.SetStatus(id, from)
				r := w.frank("POST", "/users/"+id+"/lifecycle/"+call+"?sendEmail=true")
				if got := w.UserState(id).Status; r.status != want.status || r.code() != want.code || got != want.then {
					t.Errorf("%d %s, then %s; want %d %s, then %s", r.status, r.code(), got, want.status, want.code, want.then)
				}
			})
		}
	}
}

func TestLinksAndMails(t *testing.T) {
	w := start(t, oktatest.Options{})
	bob, staged := "/users/"+oktatest.Bob, "/users/"+oktatest.StagedPerson
	if r := w.frank("POST", bob+"/lifecycle/reset_password?sendEmail=true"); r.text != "{}" {
		t.Errorf("with a mail the answer is %s", r.text)
	}
	if r := w.frank("POST", bob+"/lifecycle/reset_password?sendEmail=false"); r.object["resetPasswordUrl"] == nil {
		t.Errorf("without a mail the answer is %s", r.text)
	}
	if r := w.frank("POST", staged+"/lifecycle/activate?sendEmail=false"); r.object["activationToken"] == nil {
		t.Errorf("without a mail the answer is %s", r.text)
	}
	if r := w.frank("POST", staged+"/lifecycle/reactivate?sendEmail=true"); r.text != "{}" {
		t.Errorf("with a mail the answer is %s", r.text)
	}
	if w.MailCount(oktatest.Bob, oktatest.MailResetPassword) != 1 || w.MailCount(oktatest.StagedPerson, oktatest.MailActivation) != 1 || len(w.Mails()) != 2 {
		t.Errorf("mails: %+v", w.Mails())
	}
}

func TestGroupsByType(t *testing.T) {
	w := start(t, oktatest.Options{})
	member := "/users/" + oktatest.Bob
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", "/groups/" + oktatest.Everyone + member, "", 501, "E0000060"},
		{"DELETE", "/groups/" + oktatest.Everyone + member, "", 403, "E0000006"},
		{"PUT", "/groups/" + oktatest.HRDirectory + member, "", 403, "E0000006"},
		{"DELETE", "/groups/" + oktatest.HRDirectory + member, "", 403, "E0000006"},
		{"PUT", "/groups/" + oktatest.HRDirectory, `{"profile":{"name":"x"}}`, 403, "E0000006"},
		{"PUT", "/groups/" + oktatest.Everyone, `{"profile":{"name":"x"}}`, 403, "E0000006"},
		{"DELETE", "/groups/" + oktatest.Everyone, "", 403, "E0000006"},
		{"DELETE", "/groups/" + oktatest.HRDirectory, "", 204, ""},
		{"POST", "/groups", `{"profile":{"name":"support"}}`, 400, "E0000001"},
		{"POST", "/groups", `{"profile":{"name":" "}}`, 400, "E0000001"},
		{"POST", "/groups", `{"profile":{"name":"😀"}}`, 400, "E0000001"},
		{"POST", "/groups", `{"profile":{"name":"` + strings.Repeat("a", 256) + `"}}`, 400, "E0000001"},
		{"POST", "/groups", `{"profile":{"name":"a","description":"` + strings.Repeat("a", 1025) + `"}}`, 400, "E0000001"},
		{"POST", "/groups", `{"profile":{"name":"New"}}`, 200, ""},
		{"PUT", "/groups/" + oktatest.Finance + member, "", 204, ""},
		{"PUT", "/groups/" + oktatest.Finance + member, "", 204, ""},
		{"DELETE", "/groups/" + oktatest.Finance + member, "", 204, ""},
		{"DELETE", "/groups/" + oktatest.Finance + member, "", 204, ""},
	} {
		if r := w.frank(c.method, c.path, c.body); r.status != c.status || r.code() != c.code {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, r.status, r.code(), c.status, c.code)
		}
	}
}

func TestAppsFactorsAndSessions(t *testing.T) {
	w := start(t, oktatest.Options{})
	figma := "/apps/" + oktatest.Figma
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/apps?q=fig", "", 200, ""},
		{"GET", figma, "", 200, ""},
		{"POST", figma + "/users", `{"id":"` + oktatest.Bob + `","scope":"USER"}`, 200, ""},
		{"POST", figma + "/users", `{"id":"` + oktatest.Bob + `","scope":"USER"}`, 409, "E0000062"},
		{"POST", figma + "/users", `{"id":"` + oktatest.DepartedPerson + `"}`, 403, "E0000117"},
		{"POST", figma + "/users", `{"id":"00unobody0000000000x"}`, 404, "E0000007"},
		{"POST", figma + "/users", `{}`, 400, "E0000001"},
		{"GET", figma + "/users/" + oktatest.Bob, "", 200, ""},
		{"DELETE", figma + "/users/" + oktatest.Bob, "", 204, ""},
		{"DELETE", figma + "/users/" + oktatest.Bob, "", 404, "E0000007"},
		{"PUT", figma + "/groups/" + oktatest.Finance, "", 200, ""},
		{"PUT", figma + "/groups/" + oktatest.Finance, "{}", 200, ""},
		{"GET", figma + "/groups/" + oktatest.Finance, "", 200, ""},
		{"DELETE", figma + "/groups/" + oktatest.Finance, "", 204, ""},
		{"DELETE", figma + "/groups/" + oktatest.Finance, "", 404, "E0000007"},
		{"GET", "/users/" + oktatest.Alice + "/appLinks", "", 200, ""},
		{"GET", "/users/" + oktatest.Bob + "/factors", "", 200, ""},
		{"POST", "/users/" + oktatest.Bob + "/lifecycle/reset_factors", "", 200, ""},
		{"POST", "/users/" + oktatest.Bob + "/lifecycle/reset_factors", "", 200, ""},
		{"DELETE", "/users/" + oktatest.Bob + "/sessions?oauthTokens=true", "", 204, ""},
	} {
		if r := w.frank(c.method, c.path, c.body); r.status != c.status || r.code() != c.code {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, r.status, r.code(), c.status, c.code)
		}
	}
}

func TestSystemLog(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: 2})
	w.frank("PUT", "/groups/"+oktatest.Finance+"/users/"+oktatest.Bob)
	w.frank("PUT", "/groups/"+oktatest.Finance+"/users/"+oktatest.Bob) // nothing new to tell
	w.now = w.now.Add(time.Second)
	w.frank("POST", "/users/"+oktatest.Bob+"/lifecycle/suspend")

	w.frank("POST", "/users/"+oktatest.Bob+"/lifecycle/unsuspend")

	ask := func(filter string) reply {
		return w.frank("GET", "/logs?"+url.Values{
			"since": {"2026-05-04T11:00:00Z"}, "until": {"2026-05-04T13:00:00Z"}, "sortOrder": {"DESCENDING"}, "filter": {filter},
		}.Encode())
	}
	r := ask(`actor.id eq "` + oktatest.Bob + `" or target.id eq "` + oktatest.Bob + `"`)
	if len(r.list) != 2 || r.list[0]["eventType"] != "user.lifecycle.unsuspend" || r.list[1]["eventType"] != "user.lifecycle.suspend" {
		t.Fatalf("%s", r.text)
	}
	next := regexpLink("next")(r.header)
	r = w.frank("GET", next[strings.Index(next, "/logs"):])
	if len(r.list) != 1 || regexpLink("next")(r.header) != "" {
		t.Fatalf("%s", r.text)
	}
	actor, _ := r.list[0]["actor"].(map[string]any)
	targets, _ := r.list[0]["target"].([]any)
	if actor["id"] != oktatest.Frank || len(targets) != 2 || r.list[0]["eventType"] != "group.user_membership.add" {
		t.Errorf("%s", r.text)
	}
	for _, f := range []string{`published gt "x"`, `actor.shoe eq "x"`, `eventType`} {
		if r := ask(f); r.status != 400 {
			t.Errorf("%s: %d", f, r.status)
		}
	}
}

func TestRateLimits(t *testing.T) {
	w := start(t, oktatest.Options{RateLimit: 0.01}) // five group lists a minute
	for i := range 5 {
		r := w.frank("GET", "/groups")
		if got := r.header.Get("X-Rate-Limit-Remaining"); r.status != 200 || got != strconv.Itoa(4-i) {
			t.Fatalf("%d, remaining %s", r.status, got)
		}
	}
	r := w.frank("GET", "/groups")
	reset, err := strconv.ParseInt(r.header.Get("X-Rate-Limit-Reset"), 10, 64)
	date, err2 := http.ParseTime(r.header.Get("Date"))
	if r.status != 429 || r.code() != "E0000047" || err != nil || err2 != nil || time.Unix(reset, 0).Sub(date) != time.Minute {
		t.Errorf("%d %s, reset %d, date %v", r.status, r.code(), reset, date)
	}
	if r := w.frank("GET", "/apps"); r.status != 200 {
		t.Error("another bucket is empty too")
	}
	w.now = w.now.Add(time.Minute)
	if r := w.frank("GET", "/groups"); r.status != 200 {
		t.Error("the bucket stays empty")
	}
	w.Fail(faults.Fault{Match: "GET /api/v1/groups", Status: 429, Header: http.Header{"X-Rate-Limit-Limit": {"0"}}, Times: 1})
	if r := w.frank("GET", "/groups"); r.status != 429 || r.header.Get("X-Rate-Limit-Limit") != "0" || r.header.Get("X-Rate-Limit-Remaining") != "0" {
		t.Errorf("%d %v", r.status, r.header)
	}
	if r := w.frank("GET", "/groups"); r.status != 200 {
		t.Error("the fault stays")
	}
}

func TestResetGoesBackToTheSeed(t *testing.T) {
	w := start(t, oktatest.Options{Seed: 7})
	token := w.MintToken(oktatest.Frank, allScopes, time.Hour)
	before := w.send(token, "GET", "/api/v1/users?limit=50", "").ids()
	w.send(token, "POST", "/api/v1/groups", `{"profile":{"name":"Research"}}`)
	w.send(token, "POST", "/api/v1/users/"+oktatest.Bob+"/lifecycle/reset_password?sendEmail=true", "")
	w.Fail(faults.Fault{Status: 500})
	w.Reset()
	if w.FindGroup("Research") != "" || w.UserState(oktatest.Bob).Status != oktatest.Active || len(w.Mails()) != 0 || len(w.Requests()) != 0 {
		t.Error("something is left")
	}
	if after := w.send(token, "GET", "/api/v1/users?limit=50", "").ids(); !slices.Equal(before, after) {
		t.Error("other people, or the token is not good any more")
	}
	other := start(t, oktatest.Options{Seed: 8})
	if same := other.frank("GET", "/users?limit=50").ids(); slices.Equal(before, same) {
		t.Error("the seed means nothing")
	}
}
