package okta_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// world is an org on the wire, every exchange with it held against Okta's
// OpenAPI document, and our client for it.
type world struct {
	*oktatest.Org
	t      *testing.T
	url    string
	client *okta.Client
}

func start(t *testing.T, opts oktatest.Options) *world {
	t.Helper()
	org := oktatest.New(opts)
	return serve(t, org, oktaspec.Handler(t, org))
}

// startUnchecked is start for an org that answers what the document does not know.
func startUnchecked(t *testing.T, opts oktatest.Options) *world {
	t.Helper()
	org := oktatest.New(opts)
	return serve(t, org, org)
}

func serve(t *testing.T, org *oktatest.Org, h http.Handler) *world {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &world{org, t, server.URL, newClient(t, server.URL, okta.Options{})}
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

// as is a context of a person whose token has every scope.
func (w *world) as(person string, scopes ...string) context.Context {
	if scopes == nil {
		scopes = allScopes
	}
	return okta.WithToken(w.t.Context(), secret.New(w.MintToken(person, scopes, time.Hour)))
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func names(groups []okta.Group) (out []string) {
	for _, g := range groups {
		out = append(out, g.Name)
	}
	return out
}

func logins(users []okta.User) (out []string) {
	for _, u := range users {
		out = append(out, u.Login)
	}
	return out
}

func TestReads(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: 2}) // so that three groups are two pages
	ctx := w.as(oktatest.Alice)

	me, meta, err := w.client.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if me.ID != oktatest.Alice || me.Login != "alice@example.com" || me.Name() != "Alice Adams" || me.Status != okta.Active || me.LastLogin.IsZero() {
		t.Errorf("Me = %+v", me)
	}
	if r := w.Requests(); meta.RequestID == "" || meta.RequestID != r[len(r)-1].RequestID {
		t.Errorf("request id %q is not Okta's %q", meta.RequestID, r[len(r)-1].RequestID)
	}

	u, _, err := w.client.User(ctx, oktatest.StagedPerson)
	if err != nil || u.Status != okta.Staged || !u.LastLogin.IsZero() {
		t.Errorf("User = %+v, %v", u, err)
	}
	groups := must(w.client.UserGroups(ctx, oktatest.Alice, 0))(t)
	if diff := cmp.Diff([]string{"Everyone", "Engineering", "Support"}, names(groups.Items)); diff != "" || groups.More {
		t.Errorf("UserGroups: more %v, %s", groups.More, diff)
	}
	g, _, err := w.client.GroupByID(ctx, oktatest.Support)
	if want := (okta.Group{ID: oktatest.Support, Name: "Support", Type: okta.OktaGroup}); err != nil || g != want {
		t.Errorf("GroupByID = %+v, %v, want %+v: a null description is an empty one", g, err, want)
	}
	if !g.Changeable() || (okta.Group{Type: okta.BuiltIn}).Changeable() || (okta.Group{Type: okta.AppGroup}).Changeable() {
		t.Error("only OKTA_GROUP groups are changeable")
	}

	apps := must(w.client.UserApps(ctx, oktatest.Alice))(t)
	if want := []okta.App{
		{ID: oktatest.Salesforce, Name: "salesforce", Label: "Salesforce"},
		{ID: oktatest.Jira, Name: "jira_onprem", Label: "Jira"},
	}; !slices.Equal(apps.Items, want) {
		t.Errorf("UserApps = %+v", apps.Items)
	}
	if found := must(w.client.FindApps(ctx, "fig", 10))(t); len(found.Items) != 1 || found.Items[0].ID != oktatest.Figma || found.Items[0].Status != "ACTIVE" {
		t.Errorf("FindApps = %+v", found.Items)
	}
	if all := must(w.client.FindApps(ctx, "", 0))(t); len(all.Items) != 3 {
		t.Errorf("all apps = %+v", all.Items)
	}

	factors := must(w.client.UserFactors(ctx, oktatest.Alice))(t)
	var types []string
	for _, f := range factors.Items {
		types = append(types, f.Type)
	}
	if want := []string{"push", "token:software:totp", "email"}; !slices.Equal(types, want) {
		t.Errorf("UserFactors = %v", types)
	}

	for _, c := range []struct {
		group okta.GroupID
		want  bool
	}{{oktatest.Engineering, true}, {oktatest.Everyone, true}, {oktatest.Finance, false}} {
		if in, _, err := w.client.IsMember(ctx, c.group, oktatest.Alice); err != nil || in != c.want {
			t.Errorf("IsMember(%s) = %v, %v", c.group, in, err)
		}
	}
	for app, want := range map[okta.AppID]okta.UserAssignment{
		oktatest.Salesforce: okta.Direct, oktatest.Jira: okta.ThroughGroup, oktatest.Figma: okta.Unassigned,
	} {
		if a, _, err := w.client.UserAppAssignment(ctx, app, oktatest.Alice); err != nil || a != want {
			t.Errorf("UserAppAssignment(%s) = %q, %v, want %q", app, a, err, want)
		}
	}
	for group, want := range map[okta.GroupID]bool{oktatest.Engineering: true, oktatest.Support: false} {
		if has, _, err := w.client.GroupHasApp(ctx, oktatest.Jira, group); err != nil || has != want {
			t.Errorf("GroupHasApp(%s) = %v, %v", group, has, err)
		}
	}
}

// Lists reach their end, or say that they do not.
func TestListsAreWholeOrSayTheyAreCut(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: 50})
	for i := range 230 {
		w.AddGroup(fmt.Sprintf("Project %03d", i), "", oktatest.OktaGroup, oktatest.Dave)
	}
	ctx := w.as(oktatest.Alice)
	const everyone = 12 + oktatest.Extras

	for _, c := range []struct {
		name      string
		list      func() (items int, more bool, err error)
		wantItems int
		wantMore  bool
	}{
		{"all groups of a person in more than 200", func() (int, bool, error) {
			p, err := w.client.UserGroups(ctx, oktatest.Dave, 0)
			return len(p.Items), p.More, err
		}, 231, false},
		{"cut", func() (int, bool, error) {
			p, err := w.client.UserGroups(ctx, oktatest.Dave, 100)
			return len(p.Items), p.More, err
		}, 100, true},
		{"cut at a page's end", func() (int, bool, error) {
			p, err := w.client.UserGroups(ctx, oktatest.Dave, 50)
			return len(p.Items), p.More, err
		}, 50, true},
		{"exactly all", func() (int, bool, error) {
			p, err := w.client.UserGroups(ctx, oktatest.Dave, 231)
			return len(p.Items), p.More, err
		}, 231, false},
		{"members", func() (int, bool, error) {
			p, err := w.client.GroupMembers(ctx, oktatest.Everyone, 0)
			return len(p.Items), p.More, err
		}, everyone, false},
		{"some members", func() (int, bool, error) {
			p, err := w.client.GroupMembers(ctx, oktatest.Everyone, 7)
			return len(p.Items), p.More, err
		}, 7, true},
		{"everybody", func() (int, bool, error) { p, err := w.client.FindUsers(ctx, "", 0); return len(p.Items), p.More, err }, everyone, false},
		{"a search", func() (int, bool, error) {
			p, err := w.client.FindUsers(ctx, "sam", 10)
			return len(p.Items), p.More, err
		}, 2, false},
		{"a cut search", func() (int, bool, error) {
			p, err := w.client.FindUsers(ctx, "sam", 1)
			return len(p.Items), p.More, err
		}, 1, true},
		{"groups by part of a name", func() (int, bool, error) {
			p, err := w.client.FindGroups(ctx, "ject 01", 50)
			return len(p.Items), p.More, err
		}, 10, false},
		{"all groups", func() (int, bool, error) {
			p, err := w.client.FindGroups(ctx, " ", 0)
			return len(p.Items), p.More, err
		}, 236, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, more, err := c.list()
			if err != nil || items != c.wantItems || more != c.wantMore {
				t.Errorf("got %d, more %v, %v; want %d, %v", items, more, err, c.wantItems, c.wantMore)
			}
		})
	}
	for _, r := range w.Requests() {
		if !strings.HasPrefix(r.Path, "/api/v1/") {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}

// Every change does what it says, once, in the name of whoever asked.
func TestChanges(t *testing.T) {
	description := "All who build"
	for _, c := range []struct {
		name  string
		do    func(context.Context, *okta.Client) (okta.Meta, error)
		check func(*oktatest.Org) bool
		event string
	}{
		{
			"add to group", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AddToGroup(ctx, oktatest.Finance, oktatest.Dave)
			},
			func(o *oktatest.Org) bool { return o.IsMember(oktatest.Finance, oktatest.Dave) }, "group.user_membership.add",
		},
		{
			"remove from group", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.RemoveFromGroup(ctx, oktatest.Support, oktatest.Bob)
			},
			func(o *oktatest.Org) bool { return !o.IsMember(oktatest.Support, oktatest.Bob) }, "group.user_membership.remove",
		},
		{"create group", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			g, m, err := c.CreateGroup(ctx, "Research", "")
			if err == nil && (!g.ID.Valid() || g.Name != "Research" || g.Type != okta.OktaGroup) {
				err = fmt.Errorf("created %+v", g)
			}
			return m, err
		}, func(o *oktatest.Org) bool { return o.FindGroup("Research") != "" }, "group.lifecycle.create"},
		{"rename group", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			g, m, err := c.RenameGroup(ctx, oktatest.Engineering, "Builders", &description)
			if err == nil && (g.Name != "Builders" || g.Description != description) {
				err = fmt.Errorf("renamed %+v", g)
			}
			return m, err
		}, func(o *oktatest.Org) bool { return o.GroupName(oktatest.Engineering) == "Builders" }, "group.profile.update"},
		{
			"delete group", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.DeleteGroup(ctx, oktatest.Contractors)
			},
			func(o *oktatest.Org) bool { return o.GroupName(oktatest.Contractors) == "" }, "group.lifecycle.delete",
		},
		{
			"reset password", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.ResetPassword(ctx, oktatest.Bob)
			},
			func(o *oktatest.Org) bool {
				return o.UserState(oktatest.Bob).Status == oktatest.Recovery && o.MailCount(oktatest.Bob, oktatest.MailResetPassword) == 1
			}, "user.account.reset_password",
		},
		{
			"expire password", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.ExpirePassword(ctx, oktatest.Bob)
			},
			func(o *oktatest.Org) bool { return o.UserState(oktatest.Bob).Status == oktatest.PasswordExpired }, "user.account.expire_password",
		},
		{
			"unlock", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Unlock(ctx, oktatest.LockedPerson)
			},
			func(o *oktatest.Org) bool { return o.UserState(oktatest.LockedPerson).Status == oktatest.Active }, "user.account.unlock_by_admin",
		},
		{
			"suspend", func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Suspend(ctx, oktatest.Bob) },
			func(o *oktatest.Org) bool { return o.UserState(oktatest.Bob).Status == oktatest.Suspended }, "user.lifecycle.suspend",
		},
		{
			"unsuspend", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Unsuspend(ctx, oktatest.SuspendedPerson)
			},
			func(o *oktatest.Org) bool { return o.UserState(oktatest.SuspendedPerson).Status == oktatest.Active }, "user.lifecycle.unsuspend",
		},
		{
			"activate", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Activate(ctx, oktatest.StagedPerson)
			},
			func(o *oktatest.Org) bool {
				return o.UserState(oktatest.StagedPerson).Status == oktatest.Provisioned && o.MailCount(oktatest.StagedPerson, oktatest.MailActivation) == 1
			}, "user.lifecycle.activate",
		},
		{
			"reactivate", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				if m, err := c.Activate(ctx, oktatest.StagedPerson); err != nil {
					return m, err
				}
				return c.Reactivate(ctx, oktatest.StagedPerson)
			},
			func(o *oktatest.Org) bool {
				return o.UserState(oktatest.StagedPerson).Status == oktatest.Provisioned && o.MailCount(oktatest.StagedPerson, oktatest.MailActivation) == 2
			}, "user.lifecycle.reactivate",
		},
		{
			"deactivate", func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Deactivate(ctx, oktatest.Bob) },
			func(o *oktatest.Org) bool { return o.UserState(oktatest.Bob).Status == oktatest.Deprovisioned }, "user.lifecycle.deactivate",
		},
		{
			"clear sessions", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.ClearSessions(ctx, oktatest.Bob)
			},
			func(o *oktatest.Org) bool { return o.UserState(oktatest.Bob).Sessions == 0 }, "user.session.clear",
		},
		{
			"reset factors", func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.ResetFactors(ctx, oktatest.Bob) },
			func(o *oktatest.Org) bool { return o.UserState(oktatest.Bob).Factors == 0 }, "user.mfa.factor.reset_all",
		},
		{
			"assign user to app", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AssignUserToApp(ctx, oktatest.Figma, oktatest.Bob)
			},
			func(o *oktatest.Org) bool { return slices.Contains(o.UserState(oktatest.Bob).Apps, oktatest.Figma) }, "application.user_membership.add",
		},
		{
			"unassign user from app", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.UnassignUserFromApp(ctx, oktatest.Jira, oktatest.Carol)
			},
			// Carol keeps Jira through Engineering.
			func(o *oktatest.Org) bool { return slices.Contains(o.UserState(oktatest.Carol).Apps, oktatest.Jira) }, "application.user_membership.remove",
		},
		{
			"assign group to app", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AssignGroupToApp(ctx, oktatest.Figma, oktatest.Support)
			},
			func(o *oktatest.Org) bool { return o.GroupIsAssigned(oktatest.Figma, oktatest.Support) }, "group.application_assignment.add",
		},
		{
			"unassign group from app", func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.UnassignGroupFromApp(ctx, oktatest.Jira, oktatest.Engineering)
			},
			func(o *oktatest.Org) bool { return !o.GroupIsAssigned(oktatest.Jira, oktatest.Engineering) }, "group.application_assignment.remove",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, oktatest.Options{})
			meta, err := c.do(w.as(oktatest.Frank), w.client)
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(w.Org) {
				t.Error("nothing changed")
			}
			events := w.Events()
			last := events[len(events)-1]
			if last.Type != c.event || last.Actor != oktatest.Frank {
				t.Errorf("the log says %s by %s, want %s by Frank", last.Type, last.Actor, c.event)
			}
			requests := w.Requests()
			if meta.RequestID != requests[len(requests)-1].RequestID {
				t.Error("the request id was lost")
			}
			for _, r := range requests {
				if r.Actor != oktatest.Frank {
					t.Errorf("%s %s in the name of %q", r.Method, r.Path, r.Actor)
				}
			}
		})
	}
}

func TestRenameKeepsTheRestOfTheProfile(t *testing.T) {
	w := start(t, oktatest.Options{})
	w.SetGroupProfile(oktatest.Engineering, "costCenter", "C-17")
	ctx := w.as(oktatest.Frank)
	g, _, err := w.client.RenameGroup(ctx, oktatest.Engineering, "Builders", nil)
	if err != nil || g.Name != "Builders" || g.Description != "People who build the product" {
		t.Fatalf("%+v, %v", g, err)
	}
	r := w.Requests()
	if body := string(r[len(r)-1].Body); !strings.Contains(body, `"costCenter":"C-17"`) {
		t.Errorf("the body %s drops a property", body)
	}
	empty := ""
	if g, _, err := w.client.RenameGroup(ctx, oktatest.Engineering, "Builders", &empty); err != nil || g.Description != "" {
		t.Errorf("%+v, %v: an empty description empties it", g, err)
	}
	for _, id := range []okta.GroupID{oktatest.Everyone, oktatest.HRDirectory} {
		before := len(w.Requests())
		if _, _, err := w.client.RenameGroup(ctx, id, "Mine", nil); okta.KindOf(err) != okta.KindUnsupported {
			t.Errorf("renaming %s: %v", id, err)
		}
		if len(w.Requests()) != before+1 {
			t.Error("a change of a managed group was tried")
		}
	}
}

func TestMembershipIsIdempotent(t *testing.T) {
	w := start(t, oktatest.Options{})
	ctx := w.as(oktatest.Frank)
	for range 2 {
		if _, err := w.client.AddToGroup(ctx, oktatest.Finance, oktatest.Dave); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := w.client.RemoveFromGroup(ctx, oktatest.Finance, oktatest.Dave); err != nil {
			t.Fatal(err)
		}
	}
	// Should Okta answer 404 for what is gone already, the state decides.
	w.Fail(faults.Fault{Match: "DELETE /api/v1/groups", Status: 404, Body: notFound, Times: 2})
	if _, err := w.client.RemoveFromGroup(ctx, oktatest.Finance, oktatest.Dave); err != nil {
		t.Errorf("already gone: %v", err)
	}
	if _, err := w.client.RemoveFromGroup(ctx, oktatest.Support, oktatest.Bob); okta.KindOf(err) != okta.KindNotFound {
		t.Errorf("still a member: %v", err)
	}
	w.Fail()
	if _, err := w.client.RemoveFromGroup(ctx, "00gnosuchgroup000000", oktatest.Bob); okta.KindOf(err) != okta.KindNotFound {
		t.Errorf("no such group: %v", err)
	}
}

const notFound = `{"errorCode":"E0000007","errorSummary":"Not found","errorLink":"E0000007","errorId":"oae0000000000000000000000","errorCauses":[]}`

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		ctx    func(*world) context.Context
		do     func(context.Context, *okta.Client) (okta.Meta, error)
		kind   okta.Kind
		status int
		code   string
		fault  fault.Kind
	}{
		{
			"suspend a suspended person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Suspend(ctx, oktatest.SuspendedPerson)
			},
			okta.KindState, 400, "E0000001", fault.Conflict,
		},
		{
			"unsuspend an active person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Unsuspend(ctx, oktatest.Bob) },
			okta.KindState, 400, "E0000001", fault.Conflict,
		},
		{
			"unlock an unlocked person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Unlock(ctx, oktatest.Bob) },
			okta.KindState, 403, "E0000032", fault.Conflict,
		},
		{
			"activate an active person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Activate(ctx, oktatest.Bob) },
			okta.KindState, 403, "E0000016", fault.Conflict,
		},
		{
			"reactivate an active person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) { return c.Reactivate(ctx, oktatest.Bob) },
			okta.KindState, 403, "E0000038", fault.Conflict,
		},
		{
			"deactivate a deactivated person", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Deactivate(ctx, oktatest.DepartedPerson)
			},
			okta.KindState, 404, "E0000007", fault.Conflict,
		},
		{
			"deactivate nobody", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.Deactivate(ctx, "00unobody0000000000x")
			},
			okta.KindNotFound, 404, "E0000007", fault.NotFound,
		},
		{"reset a suspended person's password", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.ResetPassword(ctx, oktatest.SuspendedPerson)
		}, okta.KindState, 403, "E0000038", fault.Conflict},
		{"reset a departed person's password", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.ResetPassword(ctx, oktatest.DepartedPerson)
		}, okta.KindState, 403, "E0000017", fault.Conflict},
		{"expire a locked person's password", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.ExpirePassword(ctx, oktatest.LockedPerson)
		}, okta.KindState, 403, "E0000038", fault.Conflict},
		{
			"join Everyone", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AddToGroup(ctx, oktatest.Everyone, oktatest.Bob)
			},
			okta.KindUnsupported, 501, "E0000060", fault.Invalid,
		},
		{"leave an app's group", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.RemoveFromGroup(ctx, oktatest.HRDirectory, oktatest.Bob)
		}, okta.KindRole, 403, "E0000006", fault.Denied},
		{"a group name twice", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			_, m, err := c.CreateGroup(ctx, "finance", "")
			return m, err
		}, okta.KindInvalid, 400, "E0000001", fault.Invalid},
		{"assign an app twice", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.AssignUserToApp(ctx, oktatest.Salesforce, oktatest.Alice)
		}, okta.KindConflict, 409, "E0000062", fault.Conflict},
		{"assign an app to the departed", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.AssignUserToApp(ctx, oktatest.Salesforce, oktatest.DepartedPerson)
		}, okta.KindState, 403, "E0000117", fault.Conflict},
		{"unassign what is not assigned", nil, func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.UnassignUserFromApp(ctx, oktatest.Figma, oktatest.Bob)
		}, okta.KindNotFound, 404, "E0000007", fault.NotFound},
		{
			"a token without the scope", func(w *world) context.Context { return w.as(oktatest.Frank, "okta.groups.read") },
			func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AddToGroup(ctx, oktatest.Finance, oktatest.Bob)
			},
			okta.KindScope, 403, "E0000006", fault.Denied,
		},
		{
			"a person without the role", func(w *world) context.Context { return w.as(oktatest.SamTaylor) },
			func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
				return c.AddToGroup(ctx, oktatest.Finance, oktatest.Bob)
			},
			okta.KindRole, 403, "E0000006", fault.Denied,
		},
		{
			"a revoked token", func(w *world) context.Context {
				ctx := w.as(oktatest.Frank)
				w.RevokeTokens(oktatest.Frank)
				return ctx
			}, func(ctx context.Context, c *okta.Client) (okta.Meta, error) { _, m, err := c.Me(ctx); return m, err },
			okta.KindToken, 401, "E0000011", fault.Unauthenticated,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, oktatest.Options{})
			ctx := w.as(oktatest.Frank)
			if c.ctx != nil {
				ctx = c.ctx(w)
			}
			_, err := c.do(ctx, w.client)
			e, ok := errors.AsType[*okta.Error](err)
			if !ok {
				t.Fatalf("%v is no *okta.Error", err)
			}
			if e.Kind != c.kind || e.Status != c.status || e.Code != c.code || e.RequestID == "" || okta.Unknown(err) {
				t.Errorf("got %v (unknown %v), want %s, %d, %s and a request id", e, okta.Unknown(err), c.kind, c.status, c.code)
			}
			if got := fault.KindOf(okta.Fault(err)); got != c.fault {
				t.Errorf("Fault is %s, want %s", got, c.fault)
			}
			if _, ok := errors.AsType[*okta.Error](okta.Fault(err)); !ok {
				t.Error("Fault lost the cause")
			}
		})
	}
}

// A 401 may be about a feature of the org rather than about the token.
func TestUnauthorizedFeatureIsNotTheToken(t *testing.T) {
	w := start(t, oktatest.Options{})
	w.Fail(faults.Fault{Status: 401, Body: strings.Replace(notFound, "E0000007", "E0000015", 1)})
	if _, _, err := w.client.Me(w.as(oktatest.Alice)); okta.KindOf(err) != okta.KindUnsupported {
		t.Errorf("got %v", err)
	}
}

// A page of a proxy is not Okta's word.
func TestForeignAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		header  string
		body    string
		want    okta.Kind
		unknown bool
	}{
		{"a proxy's 404", 404, "", "<html>canary</html>", okta.KindGarbled, false},
		{"a redirect", 302, "https://elsewhere.test/", "", okta.KindGarbled, false},
		{"half an object", 200, "", `{"id":"00u`, okta.KindGarbled, false},
		{"no object", 200, "", `[]`, okta.KindGarbled, false},
		{"null", 200, "", `null`, okta.KindGarbled, false},
		{"a time that is none", 200, "", `{"id":"00u","created":"canary"}`, okta.KindGarbled, false},
		{"nothing", 200, "", ``, okta.KindGarbled, false},
		{"a huge answer", 200, "", strings.Repeat(" ", 5<<20), okta.KindGarbled, false},
		{"a code that is none", 403, "", `{"errorCode":"canary <b>"}`, okta.KindRole, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			hits := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				hits++
				if c.header != "" {
					w.Header().Set("Location", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			ctx := okta.WithToken(t.Context(), secret.New("canary-token"))
			_, _, err := newClient(t, server.URL, okta.Options{}).Me(ctx)
			if okta.KindOf(err) != c.want || hits != 1 || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
				t.Errorf("got %v after %d tries, want %s", err, hits, c.want)
			}
		})
	}
}

// Deactivating answered 204 for years, and 200 with an empty object since.
func TestSuccessMayBeEmpty(t *testing.T) {
	for status, body := range map[int]string{200: "{}", 204: "", 202: ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Okta-Request-Id", "request-1")
			w.WriteHeader(status)
			if body != "" {
				_, _ = w.Write([]byte(body))
			}
		}))
		defer server.Close()
		ctx := okta.WithToken(t.Context(), secret.New("t"))
		if _, err := newClient(t, server.URL, okta.Options{}).Deactivate(ctx, oktatest.Bob); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// Okta names every request. A 200 without that name is the page of a proxy: it is no success, and whether the change was made is not known.
func TestASuccessThatIsNotOktasIsUnknown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<<<")) }))
	defer server.Close()
	ctx := okta.WithToken(t.Context(), secret.New("t"))
	_, err := newClient(t, server.URL, okta.Options{}).ResetPassword(ctx, oktatest.Bob)
	if okta.KindOf(err) != okta.KindGarbled || !okta.Unknown(err) {
		t.Errorf("got %v, unknown: %t", err, okta.Unknown(err))
	}
}

// A group that was made is not reported as a failure to make one.
func TestAnUnreadableSuccessIsUnknown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id":`))
	}))
	defer server.Close()
	ctx := okta.WithToken(t.Context(), secret.New("t"))
	_, _, err := newClient(t, server.URL, okta.Options{}).CreateGroup(ctx, "Research", "")
	if okta.KindOf(err) != okta.KindGarbled || !okta.Unknown(err) {
		t.Errorf("unknown %v, %v", okta.Unknown(err), err)
	}
}

func TestNamesAndDescriptions(t *testing.T) {
	w := start(t, oktatest.Options{})
	ctx := w.as(oktatest.Frank)
	for _, c := range []struct{ name, description string }{
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
		if _, _, err := w.client.CreateGroup(ctx, c.name, c.description); okta.KindOf(err) != okta.KindInvalid {
			t.Errorf("%q, %q: %v", c.name, c.description, err)
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if g, _, err := w.client.CreateGroup(ctx, " Zürich – Ops ", "two\nlines"); err != nil || g.Name != "Zürich – Ops" || g.Description != "two\nlines" {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestNoTokenNoCall(t *testing.T) {
	w := start(t, oktatest.Options{})
	for name, token := range map[string]secret.String{
		"none": {}, "empty": secret.New(""), "blank": secret.New(" "), "two lines": secret.New("a\r\nX: y"), "two words": secret.New("a b"),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.client.Me(okta.WithToken(t.Context(), token))
			if okta.KindOf(err) != okta.KindToken {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, _, err := w.client.Me(t.Context()); okta.KindOf(err) != okta.KindToken {
		t.Errorf("without WithToken: %v", err)
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestResolve(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: 3})
	quoted := okta.UserID(w.AddUser("Alicia", `Quo"te`, `ali"ce@example.com`, oktatest.Active))
	emea := okta.GroupID(w.AddGroup("Finance EMEA", "", oktatest.OktaGroup))
	w.AddGroup("engineering", "", oktatest.AppGroup) // of another source, the same name
	ctx := w.as(oktatest.Frank)

	for _, c := range []struct {
		said       string
		want       okta.UserID
		candidates []string
	}{
		{oktatest.Bob, oktatest.Bob, nil},
		{"bob@example.com", oktatest.Bob, nil},
		{" BOB@Example.com ", oktatest.Bob, nil},
		{"bob", oktatest.Bob, nil},
		{"Bob Brown", oktatest.Bob, nil},
		{"bob  brown", oktatest.Bob, nil},
		{"Brown", oktatest.Bob, nil},
		{"sam.taylor", oktatest.SamTaylor, nil},
		{"Sam Taylor", "", []string{"sam.taylor@example.com", "sam.taylor2@example.com"}},
		{"Taylor", "", []string{"sam.taylor@example.com", "sam.taylor2@example.com"}},
		{"ali", "", []string{"alice@example.com", `ali"ce@example.com`}},
		{"alice.", "", nil},
		{"doraa", "", nil},
		{"dora", oktatest.DepartedPerson, nil}, // or nobody could be activated again
		{`ali"ce@example.com`, quoted, nil},
		{`Alicia Quo"te`, quoted, nil},
		{"nobody@example.com", "", nil},
		{"00unobody0000000000x", "", nil},
		{`" or status pr or profile.login eq "`, "", nil},
		{`\" or status pr or profile.login eq \"`, "", nil},
		{"me", "", nil},
		{"../groups", "", nil},
	} {
		t.Run("user "+c.said, func(t *testing.T) {
			u, candidates, err := w.client.ResolveUser(ctx, c.said)
			if err != nil {
				t.Fatal(err)
			}
			if u.ID != c.want || !slices.Equal(logins(candidates), c.candidates) {
				t.Errorf("got %q or %v, want %q or %v", u.Login, logins(candidates), c.want, c.candidates)
			}
		})
	}
	t.Run("a first name of many", func(t *testing.T) {
		u, candidates, err := w.client.ResolveUser(ctx, "ada")
		if err != nil || u.ID != "" || len(candidates) != 5 {
			t.Errorf("got %q, %d candidates, %v", u.Login, len(candidates), err)
		}
	})

	for _, c := range []struct {
		said       string
		want       okta.GroupID
		candidates []string
	}{
		{oktatest.Support, oktatest.Support, nil},
		{"support", oktatest.Support, nil},
		{"Finance", oktatest.Finance, nil},
		{"finance emea", emea, nil},
		{"Financ", "", []string{"Finance", "Finance EMEA"}},
		{"HR", "", []string{"HR Directory"}},
		{"Engineering", "", []string{"Engineering", "engineering"}},
		{"Nothing", "", nil},
		{"00gnosuchgroup000000", "", nil},
		{`" or type eq "BUILT_IN`, "", nil},
	} {
		t.Run("group "+c.said, func(t *testing.T) {
			g, candidates, err := w.client.ResolveGroup(ctx, c.said)
			if err != nil || g.ID != c.want || !slices.Equal(names(candidates), c.candidates) {
				t.Errorf("got %q or %v, %v; want %q or %v", g.Name, names(candidates), err, c.want, c.candidates)
			}
		})
	}

	for _, c := range []struct {
		said       string
		want       okta.AppID
		candidates int
	}{
		{"jira", oktatest.Jira, 0},
		{"jira_onprem", oktatest.Jira, 0},
		{oktatest.Figma, oktatest.Figma, 0},
		{"Sales", "", 1},
		{"Nothing", "", 0},
		{"0oanosuchapp00000000", "", 0},
	} {
		t.Run("app "+c.said, func(t *testing.T) {
			a, candidates, err := w.client.ResolveApp(ctx, c.said)
			if err != nil || a.ID != c.want || len(candidates) != c.candidates {
				t.Errorf("got %q or %v, %v", a.Label, candidates, err)
			}
		})
	}

	for _, said := range []string{"", "  ", "a\nb", "a\x00", "nimda\u202e", "\x1b[2J", "😀", strings.Repeat("a", 256), "\xff"} {
		if _, _, err := w.client.ResolveUser(ctx, said); okta.KindOf(err) != okta.KindInvalid {
			t.Errorf("ResolveUser(%q): %v", said, err)
		}
		if _, _, err := w.client.ResolveGroup(ctx, said); okta.KindOf(err) != okta.KindInvalid {
			t.Errorf("ResolveGroup(%q): %v", said, err)
		}
	}
	for _, r := range w.Requests() {
		if strings.Contains(r.Path, "me") || strings.Contains(r.Path, "..") {
			t.Errorf("words reached a path: %s", r.Path)
		}
	}
}

// Only ids reach a path.
func TestPathsTakeIDsOnly(t *testing.T) {
	w := start(t, oktatest.Options{})
	ctx := w.as(oktatest.Frank)
	const user, group, app = okta.UserID(oktatest.Bob), okta.GroupID(oktatest.Finance), okta.AppID(oktatest.Figma)
	for _, bad := range []string{
		"", "me", "..", "../groups", "alice@example.com", "00ubob00000000000002/lifecycle/deactivate", "00ubob0000000000000?", "00ubob0000000000000#",
		"00ubob000000000000\n2", "00ubob00000000000002\n", "00ubob000000000000%2", "00ubob0000000000000é", "00gfinance000000000x0", "0oafigma0000000000000", "０0ubob00000000000002",
	} {
		u, g, a := okta.UserID(bad), okta.GroupID(bad), okta.AppID(bad)
		for name, call := range map[string]func() error{
			"User":              func() error { _, _, err := w.client.User(ctx, u); return err },
			"UserGroups":        func() error { _, err := w.client.UserGroups(ctx, u, 1); return err },
			"UserApps":          func() error { _, err := w.client.UserApps(ctx, u); return err },
			"UserFactors":       func() error { _, err := w.client.UserFactors(ctx, u); return err },
			"UserActivity":      func() error { _, err := w.client.UserActivity(ctx, u, 1); return err },
			"IsMember/user":     func() error { _, _, err := w.client.IsMember(ctx, group, u); return err },
			"IsMember/group":    func() error { _, _, err := w.client.IsMember(ctx, g, user); return err },
			"ResetPassword":     func() error { _, err := w.client.ResetPassword(ctx, u); return err },
			"ExpirePassword":    func() error { _, err := w.client.ExpirePassword(ctx, u); return err },
			"Unlock":            func() error { _, err := w.client.Unlock(ctx, u); return err },
			"Suspend":           func() error { _, err := w.client.Suspend(ctx, u); return err },
			"Unsuspend":         func() error { _, err := w.client.Unsuspend(ctx, u); return err },
			"Activate":          func() error { _, err := w.client.Activate(ctx, u); return err },
			"Reactivate":        func() error { _, err := w.client.Reactivate(ctx, u); return err },
			"Deactivate":        func() error { _, err := w.client.Deactivate(ctx, u); return err },
			"ClearSessions":     func() error { _, err := w.client.ClearSessions(ctx, u); return err },
			"ResetFactors":      func() error { _, err := w.client.ResetFactors(ctx, u); return err },
			"GroupByID":         func() error { _, _, err := w.client.GroupByID(ctx, g); return err },
			"GroupMembers":      func() error { _, err := w.client.GroupMembers(ctx, g, 1); return err },
			"RenameGroup":       func() error { _, _, err := w.client.RenameGroup(ctx, g, "x", nil); return err },
			"DeleteGroup":       func() error { _, err := w.client.DeleteGroup(ctx, g); return err },
			"AddToGroup/g":      func() error { _, err := w.client.AddToGroup(ctx, g, user); return err },
			"AddToGroup/u":      func() error { _, err := w.client.AddToGroup(ctx, group, u); return err },
			"RemoveFromGroup/g": func() error { _, err := w.client.RemoveFromGroup(ctx, g, user); return err },
			"RemoveFromGroup/u": func() error { _, err := w.client.RemoveFromGroup(ctx, group, u); return err },
			"AppByID":           func() error { _, _, err := w.client.AppByID(ctx, a); return err },
			"AssignUser/a":      func() error { _, err := w.client.AssignUserToApp(ctx, a, user); return err },
			"AssignUser/u":      func() error { _, err := w.client.AssignUserToApp(ctx, app, u); return err },
			"UnassignUser/a":    func() error { _, err := w.client.UnassignUserFromApp(ctx, a, user); return err },
			"UnassignUser/u":    func() error { _, err := w.client.UnassignUserFromApp(ctx, app, u); return err },
			"AssignGroup/a":     func() error { _, err := w.client.AssignGroupToApp(ctx, a, group); return err },
			"AssignGroup/g":     func() error { _, err := w.client.AssignGroupToApp(ctx, app, g); return err },
			"UnassignGroup/a":   func() error { _, err := w.client.UnassignGroupFromApp(ctx, a, group); return err },
			"UnassignGroup/g":   func() error { _, err := w.client.UnassignGroupFromApp(ctx, app, g); return err },
			"UserAppAssignment": func() error { _, _, err := w.client.UserAppAssignment(ctx, app, u); return err },
			"GroupHasApp":       func() error { _, _, err := w.client.GroupHasApp(ctx, app, g); return err },
		} {
			if err := call(); okta.KindOf(err) != okta.KindInvalid {
				t.Errorf("%s(%q): %v", name, bad, err)
			}
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestActivity(t *testing.T) {
	w := start(t, oktatest.Options{PageSize: 2})
	ctx := w.as(oktatest.Frank)
	for _, do := range []func(context.Context, okta.UserID) (okta.Meta, error){w.client.Suspend, w.client.Unsuspend, w.client.ClearSessions, w.client.ExpirePassword} {
		if _, err := do(ctx, oktatest.Bob); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // the log's clock has milliseconds
	}
	p := must(w.client.UserActivity(ctx, oktatest.Bob, 3))(t)
	var types []string
	for _, e := range p.Items {
		types = append(types, e.Type)
		if e.Actor.ID != oktatest.Frank || e.Outcome != "SUCCESS" || e.Time.IsZero() || len(e.Targets) != 1 || e.Targets[0].ID != oktatest.Bob {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"user.account.expire_password", "user.session.clear", "user.lifecycle.unsuspend"}; !slices.Equal(types, want) || !p.More {
		t.Errorf("got %v, more %v, want %v and more", types, p.More, want)
	}
	if p := must(w.client.UserActivity(ctx, oktatest.Bob, 50))(t); len(p.Items) != 5 || p.More {
		t.Errorf("%d events, more %v: want the sign-in and four changes", len(p.Items), p.More)
	}
}

// A token planted in every flow is found nowhere outside of its header.
func TestTheTokenLeaksNowhere(t *testing.T) {
	w := startUnchecked(t, oktatest.Options{})
	token := w.MintToken(oktatest.Frank, allScopes, time.Hour)
	ctx := okta.WithToken(t.Context(), secret.New(token))
	var out strings.Builder
	note := func(v any, err error) { fmt.Fprintf(&out, "%+v %#v %v %+v %v\n", v, v, err, err, okta.Fault(err)) }
	for _, f := range []faults.Fault{{}, {Status: 500}, {Status: 401}, {Status: 403}, {Reset: true}, {Status: 200, Body: "{"}} {
		w.Fail(f)
		u, _, err := w.client.Me(ctx)
		note(u, err)
		m, err := w.client.ExpirePassword(ctx, oktatest.Bob)
		note(m, err)
	}
	fmt.Fprintf(&out, "%+v %v", w.Requests(), ctx)
	if strings.Contains(out.String(), token) {
		t.Error("the token got out")
	}
}

func TestNewRefusesWhatIsNoOrg(t *testing.T) {
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
