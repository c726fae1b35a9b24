package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/secret"
)

// statuses are all that an account can have, and what an answer says of each.
var statuses = map[okta.Status]string{
	okta.Staged: "is not activated yet", okta.Provisioned: "has not chosen a password yet", okta.Active: "is active",
	okta.Recovery: "is in the middle of a password reset", okta.LockedOut: "is locked out", okta.PasswordExpired: "has to choose a new password",
	okta.Suspended: "is suspended", okta.Deprovisioned: "is deactivated",
}

// An operation on an account is asked for exactly where Okta carries it out, in every status.
func TestPushesOnlyForWhatTheStatusAllows(t *testing.T) {
	do := map[string]func(*okta.Client, context.Context, okta.UserID) (okta.Meta, error){
		"reset_password": (*okta.Client).ResetPassword, "expire_password": (*okta.Client).ExpirePassword, "unlock": (*okta.Client).Unlock,
		"suspend": (*okta.Client).Suspend, "unsuspend": (*okta.Client).Unsuspend, "activate": (*okta.Client).Activate, "reactivate": (*okta.Client).Reactivate,
		"deactivate": (*okta.Client).Deactivate, "clear_sessions": (*okta.Client).ClearSessions, "reset_factors": (*okta.Client).ResetFactors,
	}
	f, _ := catalogue.Lookup("manage_user")
	for _, op := range f.Operations {
		t.Run(op.ID, func(t *testing.T) {
			w := start(t)
			frank := w.SignIn("frank")
			as := okta.WithToken(t.Context(), secret.New(w.Okta.MintToken(oktatest.Frank, []string{"okta.users.manage", "okta.users.read"}, time.Hour)))
			for status, says := range statuses {
				login := strings.ToLower(string(status)) + "@example.com"
				id := w.Okta.AddUser("Test", "Person", login, oktatest.Status(status))
				w.Forward(time.Minute + time.Second)
				before := len(w.Pushes("frank"))
				r := w.ask(frank, "manage_user", "action", op.Action, "user", login)
				rang := len(w.Pushes("frank")) > before
				_, err := do[op.ID](w.Clients().Okta, as, okta.UserID(id))
				if works := err == nil; rang != works || (r.Kind == "") != works {
					t.Errorf("%s: the phone rang: %t, kind %q; Okta says %v", status, rang, r.Kind, err)
				}
				if !rang && !strings.HasPrefix(r.Text, login+" "+says+", so ") {
					t.Errorf("%s: %s", status, r.Text)
				}
			}
		})
	}
}

func TestNoPushForAChangeThatCannotWork(t *testing.T) {
	for name, tc := range map[string]struct {
		function string
		args     []string
		says     string
	}{
		"unlocking oneself":           {"manage_user", []string{"action", "unlock"}, "frank@example.com is active, so there is nothing to unlock."},
		"a member already":            {"change_group_membership", []string{"action", "add", "user", "alice", "group", "Engineering"}, `alice@example.com is in the group "Engineering" already.`},
		"no member":                   {"change_group_membership", []string{"action", "remove", "user", "dave", "group", "Engineering"}, `dave@example.com is not in the group "Engineering".`},
		"no member oneself":           {"change_group_membership", []string{"action", "remove", "user", "me", "group", "Finance"}, `frank@example.com is not in the group "Finance".`},
		"has the app":                 {"change_app_assignment", []string{"action", "assign", "app", "Salesforce", "user", "alice"}, `alice@example.com has the app "Salesforce" already.`},
		"has not the app":             {"change_app_assignment", []string{"action", "unassign", "app", "Figma", "user", "alice"}, `alice@example.com does not have the app "Figma".`},
		"has the app through a group": {"change_app_assignment", []string{"action", "unassign", "app", "Salesforce", "user", "bob"}, `bob@example.com has the app "Salesforce" through a group`},
		"the group has the app":       {"change_app_assignment", []string{"action", "assign", "app", "Salesforce", "group", "Support"}, `The group "Support" has the app "Salesforce" already.`},
		"the group has not the app":   {"change_app_assignment", []string{"action", "unassign", "app", "Figma", "group", "Support"}, `The group "Support" does not have the app "Figma".`},
		"an app for somebody gone":    {"change_app_assignment", []string{"action", "assign", "app", "Figma", "user", "dora.gone@example.com"}, "dora.gone@example.com is deactivated, so no app can be assigned."},
		"an app before activation":    {"change_app_assignment", []string{"action", "assign", "app", "Figma", "user", "stella.stage@example.com"}, "stella.stage@example.com is not activated yet, so no app can be assigned."},
		"the name it has":             {"manage_group", []string{"action", "rename", "group", "finance", "new_name", "Finance"}, `The group "Finance" is called that already.`},
		"the name of another":         {"manage_group", []string{"action", "rename", "group", "Finance", "new_name", "support"}, "An Okta group with that name exists already."},
		"a name of two":               {"manage_group", []string{"action", "create", "group", "Twins"}, "An Okta group with that name exists already."},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.Okta.AddGroup("Twins", "", oktatest.AppGroup)
			w.Okta.AddGroup("Twins", "", oktatest.AppGroup)
			w.Forward(time.Minute)
			wants(t, w.ask(w.SignIn("frank"), tc.function, tc.args...), "conflict", tc.says)
			w.nothingAsked("frank")
			if len(w.Approvals("frank")) != 0 {
				t.Error("an approval was stored")
			}
		})
	}
}

// How things stand is told only to those who may change them.
func TestTheDeniedLearnNothingOfTheState(t *testing.T) {
	w := start(t)
	wants(t, w.ask(w.SignIn("carol"), "change_group_membership", "action", "remove", "user", "dave", "group", "Finance"), "denied", denied)
}

// The search behind a name lags: a refusal rests on the account as it is now.
func TestRefusalsRestOnTheAccountItself(t *testing.T) {
	w := start(t)
	frank := w.SignIn("frank")
	wants(t, w.ask(frank, "manage_user", "action", "unlock"), "conflict") // from here on one's own id is known
	w.Okta.SetStatus(oktatest.Dave, oktatest.Suspended)
	w.ToOkta.Fail(pipelinetest.Fault{
		Match: "GET /api/v1/users", Nth: 1, Status: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `[{"id":"` + oktatest.Dave + `","status":"ACTIVE","profile":{"login":"dave@example.com","email":"dave@example.com"}}]`,
	})
	w.ToOkta.Forget()
	wants(t, w.ask(frank, "manage_user", "action", "unsuspend", "user", "dave"), "", "Please approve it on your phone")
	w.Okta.SetStatus(oktatest.Frank, oktatest.LockedOut)
	wants(t, w.ask(frank, "manage_user", "action", "unlock"), "", "Please approve it on your phone")
}

func TestNewNamesHaveNoInvisibleCharacters(t *testing.T) {
	const invisible = "A name must not contain invisible characters"
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"a blank of no width": {[]string{"action", "create", "group", "Fin\u200bance"}, invisible},
		"from right to left":  {[]string{"action", "create", "group", "\u202eFinance"}, ""},
		"a variation":         {[]string{"action", "create", "group", "Finance\ufe0f"}, invisible},
		"two blanks":          {[]string{"action", "create", "group", "Design  Team"}, invisible},
		"a blank of its own":  {[]string{"action", "rename", "group", "Finance", "new_name", "Design\u00a0Team"}, invisible},
		"a soft hyphen":       {[]string{"action", "rename", "group", "Finance", "new_name", "Trea\u00adsure"}, invisible},
		"an emoji":            {[]string{"action", "create", "group", "Member", "description", "\U0001F389"}, "Okta does not accept emoji"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			wants(t, w.ask(w.SignIn("frank"), "manage_group", tc.args...), "invalid", tc.says)
			w.nothingAsked("frank")
		})
	}
}

// Whatever a call can say that decides the effect stands in the sentence, in the push and in its details.
func TestEveryArgumentAndBothPartiesAreShown(t *testing.T) {
	const kind, api = "urn:auth0:schemas:authorization-details:v1:steward", "https://steward.test/api"
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			if !f.Elevated {
				continue
			}
			for _, alternative := range []string{"user", "group"} {
				t.Run(op.ID+" "+alternative, func(t *testing.T) {
					w := start(t, func(o *auth0test.Options) {
						o.APIs = append(o.APIs, auth0test.ResourceServer{Name: "Steward", Identifier: api, AuthorizationDetails: []auth0test.DetailsType{{Type: kind}}})
					})
					w.Env["APPROVALS_API"], w.Env["APPROVALS_DETAIL_TYPE"] = api, kind
					w.restart()
					status := okta.Active
					if needed, ok := map[string]okta.Status{"unlock": okta.LockedOut, "unsuspend": okta.Suspended, "activate": okta.Staged, "reactivate": okta.Provisioned}[op.ID]; ok {
						status = needed
					}
					said := map[string]string{"user": "pat@example.com", "group": "Team", "app": "Figma", "new_name": "Treasure", "description": "People of the north"}
					w.Okta.AddGroup("Team", "", oktatest.OktaGroup)
					person := w.Okta.AddUser("Pat", "Person", said["user"], oktatest.Status(status))
					switch op.ID {
					case "create_group":
						said["group"] = "Newcomers"
					case "remove_from_group":
						w.Okta.AddGroup("Old team", "", oktatest.OktaGroup, person)
						said["group"] = "Old team"
					case "unassign_app":
						said["user"], said["group"], said["app"] = "alice@example.com", "Support", "Salesforce"
					}
					w.Forward(time.Minute)
					args := []string{"action", op.Action}
					for _, p := range f.Params {
						other := f.Name == "change_app_assignment" && (p.Name == "user" || p.Name == "group") && p.Name != alternative
						if said[p.Name] != "" && !other {
							args = append(args, p.Name, said[p.Name])
						}
					}
					wants(t, w.ask(w.SignIn("frank"), f.Name, args...), "", "Please approve it on your phone")
					a, push := w.Approvals("frank")[0], w.Pushes("frank")[0]
					shown := slices.Collect(func(yield func(string) bool) {
						_ = yield(a.Target.Label) && (a.Member.ID == "" || yield(a.Member.Label))
					})
					for key, v := range a.Args {
						if shown = append(shown, v); !strings.Contains(string(push.Details), `"`+key+`"`) {
							t.Errorf("the details lack %s: %s", key, push.Details)
						}
					}
					for _, v := range shown {
						if v == "" || !strings.Contains(a.Summary, v) || !strings.Contains(string(push.Details), v) {
							t.Errorf("%q is missing in %s or in %s", v, a.Summary, push.Details)
						}
					}
				})
			}
		}
	}
}
