package okta_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/fake/oktatest/oktaspec"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
)

var allScopes = []string{"okta.users.manage", "okta.groups.manage", "okta.apps.manage", "okta.logs.read"}

// fixture is an org on the network and our client for it.
type fixture struct {
	*oktatest.Org
	t      *testing.T
	url    string
	client *client
}

// start starts an org of which each request and answer is checked against Okta's OpenAPI document.
func start(t *testing.T, opts oktatest.Options) *fixture {
	t.Helper()
	org := oktatest.New(opts)
	return serve(t, org, oktaspec.Handler(t, org))
}

// startUnchecked is start for an org that gives answers that the document does not allow.
func startUnchecked(t *testing.T, opts oktatest.Options) *fixture {
	t.Helper()
	org := oktatest.New(opts)
	return serve(t, org, org)
}

func serve(t *testing.T, org *oktatest.Org, h http.Handler) *fixture {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &fixture{org, t, server.URL, newClient(t, server.URL, okta.Options{})}
}

func newClient(t *testing.T, address string, o okta.Options) *okta.Client {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	o.OrgURL = u
	c, err := okta.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clientOf is a client of a server that is not the fake org, and a context with a token.
func clientOf(t *testing.T, h http.HandlerFunc) (context.Context, *okta.Client) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return okta.WithToken(t.Context(), secret.New("canary-token")), newClient(t, server.URL, okta.Options{})
}

// as is a context with a person's token, of all scopes unless some are named.
func (f *fixture) as(person string, scopes ...string) context.Context {
	if scopes == nil {
		scopes = allScopes
	}
	return okta.WithToken(f.t.Context(), secret.New(f.MintToken(person, scopes, time.Hour)))
}

func (f *fixture) lastRequest() faults.Request {
	r := f.Requests()
	return r[len(r)-1]
}

type client = okta.Client

// call is a method of the client with its arguments.
type call func(context.Context, *okta.Client) (okta.Meta, error)

func one[A any](method func(*okta.Client, context.Context, A) (okta.Meta, error), a A) call {
	return func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return method(c, ctx, a) }
}

func two[A, B any](method func(*okta.Client, context.Context, A, B) (okta.Meta, error), a A, b B) call {
	return func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return method(c, ctx, a, b) }
}

func me(ctx context.Context, c *okta.Client) (okta.Meta, error) {
	_, meta, err := c.Me(ctx)
	return meta, err
}

func createGroup(name string) call {
	return func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
		_, meta, err := c.CreateGroup(ctx, name, "")
		return meta, err
	}
}

func reactivateStaged(ctx context.Context, c *okta.Client) (okta.Meta, error) {
	if meta, err := c.Activate(ctx, oktatest.StagedPerson); err != nil {
		return meta, err
	}
	return c.Reactivate(ctx, oktatest.StagedPerson)
}

// result and list turn what a method returns into a value to compare: what it read, or its error.
func result(v any, _ okta.Meta, err error) any {
	if err != nil {
		return err
	}
	return v
}

func list[T any](p okta.Page[T], err error) func(text func(T) string) any {
	return func(text func(T) string) any {
		if err != nil || p.More {
			return fmt.Sprintf("more: %v, error: %v", p.More, err)
		}
		out := []string{}
		for _, item := range p.Items {
			out = append(out, text(item))
		}
		return out
	}
}

func TestReads(t *testing.T) {
	f := start(t, oktatest.Options{PageSize: 2}) // so that three groups are two pages
	pair := okta.GroupID(f.AddGroup("Pair", "", oktatest.OktaGroup, oktatest.Dave, oktatest.Erin))
	ctx, c := f.as(oktatest.Alice), f.client

	u, meta, err := c.Me(ctx)
	if err != nil || u.ID != oktatest.Alice || u.Login != "alice@example.com" || u.Email != u.Login || u.Name() != "Alice Adams" ||
		u.Status != okta.Active || u.LastLogin.IsZero() || u.PasswordChanged.IsZero() {
		t.Errorf("Me = %+v, %v", u, err)
	}
	if meta.RequestID == "" || meta.RequestID != f.lastRequest().RequestID {
		t.Errorf("request id %q is not Okta's %q", meta.RequestID, f.lastRequest().RequestID)
	}
	if u, _, err := c.User(ctx, oktatest.StagedPerson); err != nil || u.Status != okta.Staged || !u.LastLogin.IsZero() || !u.PasswordChanged.IsZero() {
		t.Errorf("User = %+v, %v: null times are zero", u, err)
	}
	groupName := func(g okta.Group) string { return g.Name }
	factorType := func(f okta.Factor) string { return f.Type }
	app := func(a okta.App) string { return fmt.Sprintf("%s %s %s %s", a.ID, a.Name, a.Label, a.Status) }
	for _, r := range []struct {
		name      string
		got, want any
	}{
		{"groups", list(c.UserGroups(ctx, oktatest.Alice, 0))(groupName), []string{"Everyone", "Engineering", "Support"}},
		{"members", list(c.GroupMembers(ctx, pair, 0))(okta.User.Name), []string{"Dave Davis", "Erin Evans"}},
		{"a null description", result(c.GroupByID(ctx, oktatest.Support)), okta.Group{
			ID: oktatest.Support, Name: "Support", Type: okta.OktaGroup,
		}},
		{"apps", list(c.UserApps(ctx, oktatest.Alice))(app), []string{
			oktatest.Salesforce + " salesforce Salesforce ", oktatest.Jira + " jira_onprem Jira ",
		}},
		{"an app", result(c.AppByID(ctx, oktatest.Figma)), okta.App{
			ID: oktatest.Figma, Name: "figma", Label: "Figma", Status: "ACTIVE",
		}},
		{"factors", list(c.UserFactors(ctx, oktatest.Alice))(factorType), []string{"push", "token:software:totp", "email"}},
		{"a member", result(c.IsMember(ctx, oktatest.Engineering, oktatest.Alice)), true},
		{"a member, on the first page", result(c.IsMember(ctx, oktatest.Everyone, oktatest.Alice)), true},
		{"no member", result(c.IsMember(ctx, oktatest.Finance, oktatest.Alice)), false},
		{"an app of one's own", result(c.UserAppAssignment(ctx, oktatest.Salesforce, oktatest.Alice)), okta.Direct},
		{"an app through a group", result(c.UserAppAssignment(ctx, oktatest.Jira, oktatest.Alice)), okta.ThroughGroup},
		{"no app", result(c.UserAppAssignment(ctx, oktatest.Figma, oktatest.Alice)), okta.Unassigned},
		{"a group with the app", result(c.GroupHasApp(ctx, oktatest.Jira, oktatest.Engineering)), true},
		{"a group without the app", result(c.GroupHasApp(ctx, oktatest.Jira, oktatest.Support)), false},
	} {
		if diff := cmp.Diff(r.want, r.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.name, diff)
		}
	}
	for kind, want := range map[okta.GroupType]bool{okta.OktaGroup: true, okta.AppGroup: false, okta.BuiltIn: false} {
		if got := (okta.Group{Type: kind}).Changeable(); got != want {
			t.Errorf("%s is changeable: %v", kind, got)
		}
	}
}

func TestListsAreCompleteOrSayThereIsMore(t *testing.T) {
	f := start(t, oktatest.Options{PageSize: 50})
	for i := range 230 {
		f.AddGroup(fmt.Sprintf("Project %03d", i), "", oktatest.OktaGroup, oktatest.Dave)
	}
	ctx, c := f.as(oktatest.Alice), f.client
	const everyone = 12 + oktatest.Extras
	type size struct {
		items int
		more  bool
	}
	users := func(p okta.Page[okta.User], err error) (size, error) { return size{len(p.Items), p.More}, err }
	groups := func(p okta.Page[okta.Group], err error) (size, error) { return size{len(p.Items), p.More}, err }
	for name, r := range map[string]struct {
		list func() (size, error)
		want size
	}{
		"more than 200 groups":   {func() (size, error) { return groups(c.UserGroups(ctx, oktatest.Dave, 0)) }, size{231, false}},
		"cut":                    {func() (size, error) { return groups(c.UserGroups(ctx, oktatest.Dave, 110)) }, size{110, true}},
		"cut at a page's end":    {func() (size, error) { return groups(c.UserGroups(ctx, oktatest.Dave, 50)) }, size{50, true}},
		"exactly all":            {func() (size, error) { return groups(c.UserGroups(ctx, oktatest.Dave, 231)) }, size{231, false}},
		"members":                {func() (size, error) { return users(c.GroupMembers(ctx, oktatest.Everyone, 0)) }, size{everyone, false}},
		"some members":           {func() (size, error) { return users(c.GroupMembers(ctx, oktatest.Everyone, 7)) }, size{7, true}},
		"everybody":              {func() (size, error) { return users(c.FindUsers(ctx, "", 0)) }, size{everyone, false}},
		"a search":               {func() (size, error) { return users(c.FindUsers(ctx, "sam", 10)) }, size{2, false}},
		"a cut search":           {func() (size, error) { return users(c.FindUsers(ctx, "sam", 1)) }, size{1, true}},
		"groups by part of name": {func() (size, error) { return groups(c.FindGroups(ctx, "ject 01", 50)) }, size{10, false}},
		"all groups":             {func() (size, error) { return groups(c.FindGroups(ctx, " ", 0)) }, size{236, false}},
	} {
		if got, err := r.list(); err != nil || got != r.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, r.want)
		}
	}
}

// Each change does what it says, once, with the token of the person who asks.
func TestChanges(t *testing.T) {
	has := func(id string, s oktatest.Status) func(*oktatest.Org) bool {
		return func(o *oktatest.Org) bool { return o.UserState(id).Status == s }
	}
	rename := func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
		description := "All who build"
		g, meta, err := c.RenameGroup(ctx, oktatest.Engineering, "Builders", &description)
		if err == nil && (g.Name != "Builders" || g.Description != description) {
			err = fmt.Errorf("renamed %+v", g)
		}
		return meta, err
	}
	for _, r := range []struct {
		name    string
		do      call
		changed func(*oktatest.Org) bool
		event   string
	}{
		{"add to group", two((*client).AddToGroup, oktatest.Finance, oktatest.Dave), func(o *oktatest.Org) bool {
			return o.IsMember(oktatest.Finance, oktatest.Dave)
		}, "group.user_membership.add"},
		{"remove from group", two((*client).RemoveFromGroup, oktatest.Support, oktatest.Bob), func(o *oktatest.Org) bool {
			return !o.IsMember(oktatest.Support, oktatest.Bob)
		}, "group.user_membership.remove"},
		{"create group", createGroup("Research"), func(o *oktatest.Org) bool { return o.FindGroup("Research") != "" }, "group.lifecycle.create"},
		{"rename group", rename, func(o *oktatest.Org) bool { return o.GroupName(oktatest.Engineering) == "Builders" }, "group.profile.update"},
		{"delete group", one((*client).DeleteGroup, oktatest.Contractors), func(o *oktatest.Org) bool {
			return o.GroupName(oktatest.Contractors) == ""
		}, "group.lifecycle.delete"},
		{"reset password", one((*client).ResetPassword, oktatest.Bob), has(oktatest.Bob, oktatest.Recovery), "user.account.reset_password"},
		{"expire password", one((*client).ExpirePassword, oktatest.Bob), has(oktatest.Bob, oktatest.PasswordExpired), "user.account.expire_password"},
		{"unlock", one((*client).Unlock, oktatest.LockedPerson), has(oktatest.LockedPerson, oktatest.Active), "user.account.unlock_by_admin"},
		{"suspend", one((*client).Suspend, oktatest.Bob), has(oktatest.Bob, oktatest.Suspended), "user.lifecycle.suspend"},
		{"unsuspend", one((*client).Unsuspend, oktatest.SuspendedPerson), has(oktatest.SuspendedPerson, oktatest.Active), "user.lifecycle.unsuspend"},
		{"activate", one((*client).Activate, oktatest.StagedPerson), has(oktatest.StagedPerson, oktatest.Provisioned), "user.lifecycle.activate"},
		{"reactivate", reactivateStaged, has(oktatest.StagedPerson, oktatest.Provisioned), "user.lifecycle.reactivate"},
		{"deactivate", one((*client).Deactivate, oktatest.Bob), has(oktatest.Bob, oktatest.Deprovisioned), "user.lifecycle.deactivate"},
		{"clear sessions", one((*client).ClearSessions, oktatest.Bob), func(o *oktatest.Org) bool {
			return o.UserState(oktatest.Bob).Sessions == 0
		}, "user.session.clear"},
		{"reset factors", one((*client).ResetFactors, oktatest.Bob), func(o *oktatest.Org) bool {
			return o.UserState(oktatest.Bob).Factors == 0
		}, "user.mfa.factor.reset_all"},
		{"assign user to app", two((*client).AssignUserToApp, oktatest.Figma, oktatest.Bob), func(o *oktatest.Org) bool {
			return slices.Contains(o.UserState(oktatest.Bob).Apps, oktatest.Figma)
		}, "application.user_membership.add"},
		{"unassign user from app", two((*client).UnassignUserFromApp, oktatest.Jira, oktatest.Carol), func(o *oktatest.Org) bool {
			return slices.Contains(o.UserState(oktatest.Carol).Apps, oktatest.Jira) // still, through Engineering
		}, "application.user_membership.remove"},
		{"assign group to app", two((*client).AssignGroupToApp, oktatest.Figma, oktatest.Support), func(o *oktatest.Org) bool {
			return o.GroupIsAssigned(oktatest.Figma, oktatest.Support)
		}, "group.application_assignment.add"},
		{"unassign group from app", two((*client).UnassignGroupFromApp, oktatest.Jira, oktatest.Engineering), func(o *oktatest.Org) bool {
			return !o.GroupIsAssigned(oktatest.Jira, oktatest.Engineering)
		}, "group.application_assignment.remove"},
	} {
		t.Run(r.name, func(t *testing.T) {
			f := start(t, oktatest.Options{})
			meta, err := r.do(f.as(oktatest.Frank), f.client)
			if err != nil || !r.changed(f.Org) {
				t.Fatalf("%v, changed: %v", err, r.changed(f.Org))
			}
			events := f.Events()
			if last := events[len(events)-1]; last.Type != r.event || last.Actor != oktatest.Frank {
				t.Errorf("the log says %s by %s, want %s by Frank", last.Type, last.Actor, r.event)
			}
			if meta.RequestID != f.lastRequest().RequestID {
				t.Error("the request id was lost")
			}
		})
	}
}

// Okta mails the link or password to the person. It would give it to the caller without sendEmail=true, or with
// expire_password_with_temp_password; and should it do so all the same, the client does not pass it on.
func TestPasswordsAndLinksGoByMail(t *testing.T) {
	for _, r := range []struct {
		do   call
		want string
	}{
		{one((*client).ResetPassword, oktatest.Bob), oktatest.Bob + "/lifecycle/reset_password?sendEmail=true"},
		{one((*client).ExpirePassword, oktatest.Bob), oktatest.Bob + "/lifecycle/expire_password?"},
		{one((*client).Activate, oktatest.StagedPerson), oktatest.StagedPerson + "/lifecycle/activate?sendEmail=true"},
		{one((*client).Reactivate, oktatest.StagedPerson), oktatest.StagedPerson + "/lifecycle/reactivate?sendEmail=true"},
	} {
		var got string
		ctx, c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
			w.Header().Set("X-Okta-Request-Id", "request-1")
			_, _ = io.WriteString(w, `{"activationUrl":"canary","activationToken":"canary","resetPasswordUrl":"canary"}`)
		})
		meta, err := r.do(ctx, c)
		if got != "POST /api/v1/users/"+r.want {
			t.Errorf("Okta got %s, want %s", got, r.want)
		}
		if s := fmt.Sprintf("%+v %#v %+v", meta, meta, err); strings.Contains(s, "canary") || err != nil {
			t.Errorf("%s returns %s", r.want, s)
		}
	}
	f := start(t, oktatest.Options{})
	ctx := f.as(oktatest.Frank)
	for id, do := range map[string]call{oktatest.Bob: one((*client).ResetPassword, oktatest.Bob), oktatest.StagedPerson: reactivateStaged} {
		if _, err := do(ctx, f.client); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if f.MailCount(oktatest.Bob, oktatest.MailResetPassword) != 1 || f.MailCount(oktatest.StagedPerson, oktatest.MailActivation) != 2 {
		t.Errorf("mails: %+v", f.Mails())
	}
}

func TestRenameKeepsTheRestOfTheProfile(t *testing.T) {
	f := start(t, oktatest.Options{})
	f.SetGroupProfile(oktatest.Engineering, "costCenter", "C-17")
	ctx := f.as(oktatest.Frank)
	g, _, err := f.client.RenameGroup(ctx, oktatest.Engineering, "Builders", nil)
	if err != nil || g.Name != "Builders" || g.Description != "People who build the product" {
		t.Fatalf("%+v, %v", g, err)
	}
	if body := string(f.lastRequest().Body); !strings.Contains(body, `"costCenter":"C-17"`) {
		t.Errorf("the body %s drops a property", body)
	}
	empty := ""
	if g, _, err := f.client.RenameGroup(ctx, oktatest.Engineering, "Builders", &empty); err != nil || g.Description != "" {
		t.Errorf("%+v, %v: an empty description empties it", g, err)
	}
	for _, id := range []okta.GroupID{oktatest.Everyone, oktatest.HRDirectory} {
		before := len(f.Requests())
		if _, _, err := f.client.RenameGroup(ctx, id, "Other", nil); okta.KindOf(err) != okta.KindUnsupported || len(f.Requests()) != before+1 {
			t.Errorf("renaming %s: %v after %d requests", id, err, len(f.Requests())-before)
		}
	}
}

func TestMembershipIsIdempotent(t *testing.T) {
	f := start(t, oktatest.Options{})
	ctx := f.as(oktatest.Frank)
	add, remove := two((*client).AddToGroup, oktatest.Finance, oktatest.Dave), two((*client).RemoveFromGroup, oktatest.Finance, oktatest.Dave)
	for i, do := range []call{add, add, remove, remove} {
		if _, err := do(ctx, f.client); err != nil {
			t.Fatal(i, err)
		}
	}
	// If Okta answers 404, the membership itself decides.
	f.Fail(faults.Fault{Match: "DELETE /api/v1/groups", Status: 404, Body: errorBody("E0000007")})
	for _, r := range []struct {
		group okta.GroupID
		user  okta.UserID
		want  okta.Kind
	}{
		{oktatest.Finance, oktatest.Dave, ""},
		{oktatest.Support, oktatest.Bob, okta.KindNotFound}, // still a member
		{"00gnosuchgroup000000", oktatest.Bob, okta.KindNotFound},
	} {
		if _, err := f.client.RemoveFromGroup(ctx, r.group, r.user); okta.KindOf(err) != r.want {
			t.Errorf("%s from %s: %v, want %q", r.user, r.group, err, r.want)
		}
	}
}

func errorBody(code string) string {
	return `{"errorCode":"` + code + `","errorSummary":"x","errorLink":"x","errorId":"oae0000000000000000000000","errorCauses":[]}`
}

func TestRefusals(t *testing.T) {
	suspended, departed := okta.UserID(oktatest.SuspendedPerson), okta.UserID(oktatest.DepartedPerson)
	for _, r := range []struct {
		name   string
		do     call
		kind   okta.Kind
		status int
		code   string
	}{
		{"suspend a suspended person", one((*client).Suspend, suspended), okta.KindState, 400, "E0000001"},
		{"unsuspend an active person", one((*client).Unsuspend, oktatest.Bob), okta.KindState, 400, "E0000001"},
		{"unlock an unlocked person", one((*client).Unlock, oktatest.Bob), okta.KindState, 403, "E0000032"},
		{"activate an active person", one((*client).Activate, oktatest.Bob), okta.KindState, 403, "E0000016"},
		{"reactivate an active person", one((*client).Reactivate, oktatest.Bob), okta.KindState, 403, "E0000038"},
		{"deactivate a deactivated person", one((*client).Deactivate, departed), okta.KindState, 404, "E0000007"},
		{"deactivate nobody", one((*client).Deactivate, "00unobody0000000000x"), okta.KindNotFound, 404, "E0000007"},
		{"reset a suspended person's password", one((*client).ResetPassword, suspended), okta.KindState, 403, "E0000038"},
		{"reset a departed person's password", one((*client).ResetPassword, departed), okta.KindState, 403, "E0000017"},
		{"expire a locked person's password", one((*client).ExpirePassword, oktatest.LockedPerson), okta.KindState, 403, "E0000038"},
		{"join Everyone", two((*client).AddToGroup, oktatest.Everyone, oktatest.Bob), okta.KindUnsupported, 501, "E0000060"},
		{"leave an app's group", two((*client).RemoveFromGroup, oktatest.HRDirectory, oktatest.Bob), okta.KindRole, 403, "E0000006"},
		{"a group name twice", createGroup("finance"), okta.KindInvalid, 400, "E0000001"},
		{"assign an app twice", two((*client).AssignUserToApp, oktatest.Salesforce, oktatest.Alice), okta.KindConflict, 409, "E0000062"},
		{"assign an app to the departed", two((*client).AssignUserToApp, oktatest.Salesforce, departed), okta.KindState, 403, "E0000117"},
		{"unassign an app they lack", two((*client).UnassignUserFromApp, oktatest.Figma, oktatest.Bob), okta.KindNotFound, 404, "E0000007"},
	} {
		t.Run(r.name, func(t *testing.T) {
			f := start(t, oktatest.Options{})
			f.wantRefusal(f.as(oktatest.Frank), r.do, r.kind, r.status, r.code)
		})
	}
}

func TestRefusalsOfTheToken(t *testing.T) {
	addBob := two((*client).AddToGroup, oktatest.Finance, oktatest.Bob)
	f := start(t, oktatest.Options{})
	f.wantRefusal(f.as(oktatest.Frank, "okta.groups.read"), addBob, okta.KindScope, 403, "E0000006")
	f.wantRefusal(f.as(oktatest.SamTaylor), addBob, okta.KindRole, 403, "E0000006")
	revoked := f.as(oktatest.Frank)
	f.RevokeTokens(oktatest.Frank)
	f.wantRefusal(revoked, me, okta.KindToken, 401, "E0000011")
	f.Fail(faults.Fault{Status: 401, Body: errorBody("E0000015")}) // about a feature that the org lacks, not about the token
	f.wantRefusal(f.as(oktatest.Frank), me, okta.KindUnsupported, 401, "E0000015")
}

func (f *fixture) wantRefusal(ctx context.Context, do call, kind okta.Kind, status int, code string) {
	t := f.t
	t.Helper()
	meta, err := do(ctx, f.client)
	e, ok := errors.AsType[*okta.Error](err)
	if !ok {
		t.Fatalf("%v is no *okta.Error", err)
	}
	if e.Kind != kind || e.Status != status || e.Code != code || okta.Unknown(err) {
		t.Errorf("got %v (unknown %v), want %s, %d, %s", e, okta.Unknown(err), kind, status, code)
	}
	if e.RequestID == "" || okta.RequestID(err) != e.RequestID || meta.RequestID == "" {
		t.Errorf("the request ids are %q and %q", e.RequestID, meta.RequestID)
	}
}

// An answer that is not one of Okta's API is an error, whose text holds nothing of the answer. If it is the success of
// a change, it is unknown whether the change was made: Okta gives every answer an X-Okta-Request-Id, a proxy does not.
func TestUnexpectedAnswers(t *testing.T) {
	listGroups := func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
		p, err := c.UserGroups(ctx, oktatest.Alice, 0)
		return p.Meta, err
	}
	listFactors := func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
		p, err := c.UserFactors(ctx, oktatest.Alice)
		return p.Meta, err
	}
	const fromOkta, fromProxy = "request-1", ""
	deactivate, reset := one((*client).Deactivate, oktatest.Bob), one((*client).ResetPassword, oktatest.Bob)
	for _, r := range []struct {
		name      string
		do        call
		requestID string
		status    int
		body      string
		want      okta.Kind
		unknown   bool
	}{
		{"a proxy's 404", me, fromProxy, 404, "<html>canary</html>", okta.KindGarbled, false},
		{"a redirect", me, fromProxy, 302, "", okta.KindGarbled, false},
		{"a code that is none", me, fromOkta, 403, `{"errorCode":"canary <b>"}`, okta.KindRole, false},
		{"a huge answer", me, fromOkta, 200, strings.Repeat(" ", 5<<20), okta.KindGarbled, false},
		{"half an object", me, fromOkta, 200, `{"id":"00u`, okta.KindGarbled, false},
		{"a list for an object", me, fromOkta, 200, `[]`, okta.KindGarbled, false},
		{"null for an object", me, fromOkta, 200, `null`, okta.KindGarbled, false},
		{"nothing for an object", me, fromOkta, 200, ``, okta.KindGarbled, false},
		{"a time that is none", me, fromOkta, 200, `{"id":"00u","created":"canary"}`, okta.KindGarbled, false},
		{"null for a list", listGroups, fromOkta, 200, `null`, okta.KindGarbled, false},
		{"nothing for a list", listGroups, fromOkta, 200, ``, okta.KindGarbled, false},
		{"nothing for a list of ours", listFactors, fromOkta, 200, ``, okta.KindGarbled, false},
		{"an object for a list of ours", listFactors, fromOkta, 200, `{"canary":1}`, okta.KindGarbled, false},
		{"a creation, and half an object", createGroup("Research"), fromOkta, 200, `{"id":`, okta.KindGarbled, true},
		{"a change, and a proxy's page", reset, fromProxy, 200, "<<<", okta.KindGarbled, true},
		{"a change, and a proxy's empty object", deactivate, fromProxy, 200, "{}", okta.KindGarbled, true},
		{"a change, and an empty object", deactivate, fromOkta, 200, "{}", "", false}, // since 2025
		{"a change, and nothing", deactivate, fromOkta, 204, "", "", false},           // until 2020
		{"a change, accepted", deactivate, fromOkta, 202, "", "", false},
	} {
		t.Run(r.name, func(t *testing.T) {
			hits := 0
			ctx, c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
				hits++
				w.Header().Set("Location", "https://elsewhere.test/")
				if r.requestID != "" {
					w.Header().Set("X-Okta-Request-Id", r.requestID)
				}
				w.WriteHeader(r.status)
				_, _ = w.Write([]byte(r.body))
			})
			meta, err := r.do(ctx, c)
			if okta.KindOf(err) != r.want || okta.Unknown(err) != r.unknown || hits != 1 || meta.RequestID != r.requestID {
				t.Errorf("got %v, unknown %v, request %q after %d tries; want %q, %v", err, okta.Unknown(err), meta.RequestID, hits, r.want, r.unknown)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

func TestNamesAndDescriptions(t *testing.T) {
	f := start(t, oktatest.Options{})
	ctx := f.as(oktatest.Frank)
	for _, r := range [][2]string{
		{"", ""},
		{" ", ""},
		{"a\nb", ""},
		{"a\u202eb", ""},
		{"a\u200bb", ""},
		{"a\ufe0f", ""},
		{"a  b", ""},
		{"a\u00a0b", ""},
		{"😀", ""},
		{strings.Repeat("a", 256), ""},
		{"a", strings.Repeat("a", 1025)},
		{"a", "😀"},
		{"a", "\x00"},
		{"a", "\u2066"},
	} {
		if _, _, err := f.client.CreateGroup(ctx, r[0], r[1]); okta.KindOf(err) != okta.KindInvalid {
			t.Errorf("%q: %v", r, err)
		}
	}
	if n := len(f.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if g, _, err := f.client.CreateGroup(ctx, " Zürich – Ops ", "two\nlines"); err != nil || g.Name != "Zürich – Ops" || g.Description != "two\nlines" {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestCallWithoutUsableTokenIsNotSent(t *testing.T) {
	f := start(t, oktatest.Options{})
	for name, ctx := range map[string]context.Context{
		"no WithToken": t.Context(),
		"no token":     okta.WithToken(t.Context(), secret.String{}),
		"empty":        okta.WithToken(t.Context(), secret.New("")),
		"blank":        okta.WithToken(t.Context(), secret.New(" ")),
		"two lines":    okta.WithToken(t.Context(), secret.New("a\r\nX: y")),
		"two words":    okta.WithToken(t.Context(), secret.New("a b")),
	} {
		if _, err := me(ctx, f.client); okta.KindOf(err) != okta.KindToken || len(f.Requests()) != 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(f.Requests()))
		}
	}
}

// renewing is a token source whose first token Okta refuses.
type renewing struct {
	next secret.String
	err  error
}

func (r renewing) Token() secret.String { return secret.New("expired") }

func (r renewing) Renew(context.Context, secret.String) (secret.String, error) { return r.next, r.err }

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	f := start(t, oktatest.Options{})
	good := secret.New(f.MintToken(oktatest.Frank, allScopes, time.Hour))
	signedOut := fault.New(fault.Expired, "Please sign in again.", nil)
	for _, r := range []struct {
		name   string
		source renewing
		want   okta.Kind
		sent   int
		fault  fault.Kind
	}{
		{"by a good one", renewing{next: good}, "", 2, ""},
		{"by another that is refused", renewing{next: secret.New("expired-too")}, okta.KindToken, 2, fault.Unauthenticated},
		{"by one that cannot be sent", renewing{}, okta.KindToken, 1, fault.Unauthenticated},
		{"not, and the source says why", renewing{err: signedOut}, okta.KindToken, 1, fault.Expired},
	} {
		before := len(f.Requests())
		_, err := resetPassword(okta.WithTokenSource(t.Context(), r.source), f.client)
		if sent := len(f.Requests()) - before; okta.KindOf(err) != r.want || okta.Unknown(err) || sent != r.sent {
			t.Errorf("%s: %v, unknown %v, after %d requests", r.name, err, okta.Unknown(err), sent)
		}
		if err != nil && fault.KindOf(okta.Fault(err)) != r.fault {
			t.Errorf("%s: people are told %v", r.name, okta.Fault(err))
		}
	}
	if n := f.MailCount(oktatest.Bob, oktatest.MailResetPassword); n != 1 {
		t.Errorf("%d mails", n)
	}
}

type renewFunc func() secret.String

func (renewFunc) Token() secret.String { return secret.New("refused") }

func (renew renewFunc) Renew(context.Context, secret.String) (secret.String, error) {
	return renew(), nil
}

// A refusal says that this try changed nothing. It says nothing about a try before it, whose answer was lost.
func TestOutcomeIsUnknownOnlyAfterALostAnswer(t *testing.T) {
	for _, status := range []int{401, 403, 409, 429, 503} {
		tries := 0
		ctx, c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			if tries++; tries == 1 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
		})
		_, err := c.AddToGroup(ctx, oktatest.Finance, oktatest.Bob)
		if err == nil || !okta.Unknown(err) || tries < 2 {
			t.Errorf("a lost answer, then %d: %v, unknown %v, after %d tries", status, err, okta.Unknown(err), tries)
		}
	}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	ctx := okta.WithTokenSource(t.Context(), renewFunc(func() secret.String {
		server.Close() // so that the next try makes no connection
		return secret.New("good")
	}))
	_, err := resetPassword(ctx, newClient(t, server.URL, okta.Options{}))
	if okta.KindOf(err) != okta.KindUnreachable || okta.Unknown(err) {
		t.Errorf("a refused token, then no connection: %v, unknown %v", err, okta.Unknown(err))
	}
}

func TestResolve(t *testing.T) {
	f := start(t, oktatest.Options{PageSize: 3})
	quoted := f.AddUser("Alicia", `Quo"te`, `ali"ce@example.com`, oktatest.Active)
	emea := f.AddGroup("Finance EMEA", "", oktatest.OktaGroup)
	f.AddGroup("engineering", "", oktatest.AppGroup) // of another source, the same name
	ctx := f.as(oktatest.Frank)

	type resolver func(text string) (id string, candidates []string, err error)
	user := func(text string) (id string, candidates []string, err error) {
		u, all, err := f.client.ResolveUser(ctx, text)
		for _, u := range all {
			candidates = append(candidates, u.Login)
		}
		return string(u.ID), candidates, err
	}
	group := func(text string) (id string, candidates []string, err error) {
		g, all, err := f.client.ResolveGroup(ctx, text)
		for _, g := range all {
			candidates = append(candidates, g.Name)
		}
		return string(g.ID), candidates, err
	}
	anApp := func(text string) (id string, candidates []string, err error) {
		a, all, err := f.client.ResolveApp(ctx, text)
		for _, a := range all {
			candidates = append(candidates, a.Label)
		}
		return string(a.ID), candidates, err
	}
	sams := []string{"sam.taylor@example.com", "sam.taylor2@example.com"}
	for _, r := range []struct {
		resolve    resolver
		text, want string
		candidates []string
	}{
		{user, oktatest.Bob, oktatest.Bob, nil},
		{user, "bob@example.com", oktatest.Bob, nil},
		{user, " BOB@Example.com ", oktatest.Bob, nil},
		{user, "bob", oktatest.Bob, nil},
		{user, "Bob Brown", oktatest.Bob, nil},
		{user, "bob  brown", oktatest.Bob, nil},
		{user, "Brown", oktatest.Bob, nil},
		{user, "sam.taylor", oktatest.SamTaylor, nil},
		{user, "Sam Taylor", "", sams},
		{user, "Taylor", "", sams},
		{user, "ali", "", []string{"alice@example.com", `ali"ce@example.com`}},
		{user, "alice.", "", nil},
		{user, "doraa", "", nil},
		{user, "dora", oktatest.DepartedPerson, nil}, // or nobody could be activated again
		{user, `ali"ce@example.com`, quoted, nil},
		{user, `Alicia Quo"te`, quoted, nil},
		{user, "nobody@example.com", "", nil},
		{user, "00unobody0000000000x", "", nil},
		{user, `" or status pr or profile.login eq "`, "", nil},
		{user, `\" or status pr or profile.login eq \"`, "", nil},
		{user, "me", "", nil},
		{user, "../groups", "", nil},
		{group, oktatest.Support, oktatest.Support, nil},
		{group, "support", oktatest.Support, nil},
		{group, "Finance", oktatest.Finance, nil},
		{group, "finance emea", emea, nil},
		{group, "Financ", "", []string{"Finance", "Finance EMEA"}},
		{group, "HR", "", []string{"HR Directory"}},
		{group, "Engineering", "", []string{"Engineering", "engineering"}},
		{group, "Nothing", "", nil},
		{group, "00gnosuchgroup000000", "", nil},
		{group, `" or type eq "BUILT_IN`, "", nil},
		{anApp, "jira", oktatest.Jira, nil},
		{anApp, "jira_onprem", oktatest.Jira, nil},
		{anApp, oktatest.Figma, oktatest.Figma, nil},
		{anApp, "Sales", "", []string{"Salesforce"}},
		{anApp, "Nothing", "", nil},
		{anApp, "0oanosuchapp00000000", "", nil},
	} {
		id, candidates, err := r.resolve(r.text)
		if err != nil || id != r.want || !slices.Equal(candidates, r.candidates) {
			t.Errorf("%q: got %q or %q, %v; want %q or %q", r.text, id, candidates, err, r.want, r.candidates)
		}
	}
	if id, candidates, err := user("ada"); err != nil || id != "" || len(candidates) != 5 {
		t.Errorf("a first name of many: got %q, %d candidates, %v", id, len(candidates), err)
	}
	for _, text := range []string{"", "  ", "a\nb", "a\x00", "nimda\u202e", "\x1b[2J", "😀", strings.Repeat("a", 256), "\xff"} {
		for i, resolve := range []resolver{user, group, anApp} {
			if _, _, err := resolve(text); okta.KindOf(err) != okta.KindInvalid {
				t.Errorf("%d: %q: %v", i, text, err)
			}
		}
	}
	for _, r := range f.Requests() {
		if strings.Contains(r.Path, "me") || strings.Contains(r.Path, "..") {
			t.Errorf("words reached a path: %s", r.Path)
		}
	}
}

// Every method refuses what is no id in place of each of its ids, before anything is sent.
func TestPathsTakeIDsOnly(t *testing.T) {
	f := start(t, oktatest.Options{})
	ids := map[reflect.Type]string{
		reflect.TypeFor[okta.UserID]():  oktatest.Bob,
		reflect.TypeFor[okta.GroupID](): oktatest.Finance,
		reflect.TypeFor[okta.AppID]():   oktatest.Figma,
	}
	bad := []string{
		"", "me", "..", "../groups", "alice@example.com", "00ubob00000000000002/lifecycle/deactivate", "00ubob0000000000000?", "00ubob0000000000000#",
		"00ubob000000000000\n2", "00ubob00000000000002\n", "00ubob000000000000%2", "00ubob0000000000000é", "０0ubob00000000000002", "00xbob00000000000002",
	}
	client, places := reflect.ValueOf(f.client), 0
	for i := range client.NumMethod() {
		name, method := client.Type().Method(i).Name, client.Method(i)
		args := []reflect.Value{reflect.ValueOf(f.as(oktatest.Frank))}
		for p := 1; p < method.Type().NumIn(); p++ {
			arg := reflect.New(method.Type().In(p)).Elem()
			switch {
			case ids[arg.Type()] != "":
				arg.SetString(ids[arg.Type()])
			case arg.Kind() == reflect.String:
				arg.SetString("text")
			}
			args = append(args, arg)
		}
		for p, arg := range args {
			if ids[arg.Type()] == "" {
				continue
			}
			places++
			others := []string{}
			for kind, id := range ids {
				if kind != arg.Type() {
					others = append(others, id)
				}
			}
			for _, id := range append(others, bad...) {
				with := slices.Clone(args)
				with[p] = reflect.ValueOf(id).Convert(arg.Type())
				out := method.Call(with)
				if err, _ := out[len(out)-1].Interface().(error); okta.KindOf(err) != okta.KindInvalid {
					t.Errorf("%s, argument %d, %q: %v", name, p, id, err)
				}
			}
		}
	}
	if n := len(f.Requests()); n != 0 || places < 36 {
		t.Errorf("%d requests were sent; %d places of ids were found", n, places)
	}
}

func TestActivity(t *testing.T) {
	now := time.Now()
	f := startUnchecked(t, oktatest.Options{PageSize: 2, Now: func() time.Time { now = now.Add(time.Second); return now }})
	ctx := f.as(oktatest.Frank)
	for _, method := range []func(*client, context.Context, okta.UserID) (okta.Meta, error){
		(*client).Suspend, (*client).Unsuspend, (*client).ClearSessions, (*client).ExpirePassword,
	} {
		if _, err := method(f.client, ctx, oktatest.Bob); err != nil {
			t.Fatal(err)
		}
	}
	f.client = newClient(t, f.url, okta.Options{Now: func() time.Time { return now.Add(time.Minute) }})
	p, err := f.client.UserActivity(ctx, oktatest.Bob, 3)
	var types []string
	for _, e := range p.Items {
		types = append(types, e.Type)
		if e.Outcome != "SUCCESS" || e.Message == "" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	want := []string{"user.account.expire_password", "user.session.clear", "user.lifecycle.unsuspend"}
	if err != nil || !slices.Equal(types, want) || !p.More {
		t.Errorf("got %v, more %v, %v; want %v and more", types, p.More, err, want)
	}
	if p, err := f.client.UserActivity(ctx, oktatest.Bob, 50); err != nil || len(p.Items) != 5 || p.More {
		t.Errorf("%d events, more %v, %v: want the sign-in and four changes", len(p.Items), p.More, err)
	}
}

// The token is in no result, no error, no context and no record of a request.
func TestTokenIsNeverPrinted(t *testing.T) {
	f := startUnchecked(t, oktatest.Options{})
	token := f.MintToken(oktatest.Frank, allScopes, time.Hour)
	ctx := okta.WithToken(t.Context(), secret.New(token))
	var out strings.Builder
	for _, broken := range []faults.Fault{{}, {Status: 500}, {Status: 401}, {Status: 403}, {Reset: true}, {Status: 200, Body: "{"}} {
		f.Fail(broken)
		for _, do := range []call{me, one((*client).ExpirePassword, oktatest.Bob)} {
			meta, err := do(ctx, f.client)
			fmt.Fprintf(&out, "%+v %#v %v %+v %v\n", meta, meta, err, err, okta.Fault(err))
		}
	}
	fmt.Fprintf(&out, "%+v %v", f.Requests(), ctx)
	if strings.Contains(out.String(), token) {
		t.Error("the token is printed")
	}
}

func TestNewRefusesUnusableOrgURL(t *testing.T) {
	for _, s := range []string{"", "example.okta.com", "ftp://example.okta.com", "/api", "https:///x"} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := okta.New(okta.Options{OrgURL: u}); err == nil {
			t.Errorf("New took %q", s)
		}
	}
	if _, err := okta.New(okta.Options{}); err == nil {
		t.Error("New took no URL")
	}
}
