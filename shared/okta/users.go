package okta

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// Status is the state of a person's account.
type Status string

// The statuses.
const (
	Staged          Status = "STAGED"           // created, not yet activated
	Provisioned     Status = "PROVISIONED"      // activated, has not set a password
	Active          Status = "ACTIVE"           //
	Recovery        Status = "RECOVERY"         // a password reset is under way
	LockedOut       Status = "LOCKED_OUT"       // too many failed sign-ins
	PasswordExpired Status = "PASSWORD_EXPIRED" // must choose a new one
	Suspended       Status = "SUSPENDED"        // may not sign in, keeps groups and apps
	Deprovisioned   Status = "DEPROVISIONED"    // deactivated
)

// User is a person in Okta. A zero time means that it has not happened.
type User struct {
	ID        UserID
	Login     string
	Email     string
	FirstName string
	LastName  string
	Status    Status

	LastLogin       time.Time
	PasswordChanged time.Time
}

// Name returns the first and the last name.
func (u User) Name() string { return strings.TrimSpace(u.FirstName + " " + u.LastName) }

// userModel is what the SDK's three types of a user have in common.
type userModel interface {
	GetId() string
	GetStatus() string
	GetProfile() sdk.UserProfile
	GetLastLogin() time.Time
	GetPasswordChanged() time.Time
}

func userOf[M any, P interface {
	*M
	userModel
}](model *M) User {
	m := P(model)
	profile := m.GetProfile()
	return User{
		ID: UserID(m.GetId()), Status: Status(m.GetStatus()), LastLogin: m.GetLastLogin(), PasswordChanged: m.GetPasswordChanged(),
		Login: profile.GetLogin(), Email: profile.GetEmail(), FirstName: profile.GetFirstName(), LastName: profile.GetLastName(),
	}
}

// Me reads the person whose token the context carries.
func (c *Client) Me(ctx context.Context) (User, Meta, error) {
	return c.user(ctx, read("Me"), "me")
}

// User reads one person.
func (c *Client) User(ctx context.Context, id UserID) (User, Meta, error) {
	return c.user(ctx, read("User", id), string(id))
}

func (c *Client) user(ctx context.Context, op operation, id string) (User, Meta, error) {
	return one(ctx, c, op, userOf[sdk.UserGetSingleton], func(ctx context.Context) (*sdk.UserGetSingleton, *sdk.APIResponse, error) {
		return c.api.UserAPI.GetUser(ctx, id).Execute()
	})
}

// FindUsers finds people whose first or last name, login or e-mail starts with
// the query, in any status. An empty query lists everybody. The search index
// may lag a moment behind changes.
func (c *Client) FindUsers(ctx context.Context, query string, limit int) (Page[User], error) {
	op := read("FindUsers")
	if strings.TrimSpace(query) == "" {
		return c.searchUsers(ctx, op, "status pr", limit)
	}
	query, err := cleanText(op.name, query)
	if err != nil {
		return Page[User]{}, err
	}
	return c.searchUsers(ctx, op, startingWith(query), limit)
}

func startingWith(query string) condition {
	return anyOf(append(fullName("sw", query),
		compare("profile.firstName", "sw", query), compare("profile.lastName", "sw", query),
		compare("profile.login", "sw", query), compare("profile.email", "sw", query))...)
}

// fullName returns the ways to take the words of a query as a first and a last
// name, with at most three words in the first.
func fullName(lastOperator, query string) (out []condition) {
	words := strings.Fields(query)
	for i := 1; i < len(words) && i <= 3; i++ {
		out = append(out, allOf(
			compare("profile.firstName", "eq", strings.Join(words[:i], " ")),
			compare("profile.lastName", lastOperator, strings.Join(words[i:], " "))))
	}
	return out
}

func (c *Client) searchUsers(ctx context.Context, op operation, search condition, limit int) (Page[User], error) {
	return pages(ctx, c, op, limit, userOf[sdk.User], func(ctx context.Context, size int32) ([]sdk.User, *sdk.APIResponse, error) {
		return c.api.UserAPI.ListUsers(ctx).Search(string(search)).Limit(size).Execute()
	})
}

// UserGroups lists the groups a person is in.
func (c *Client) UserGroups(ctx context.Context, id UserID, limit int) (Page[Group], error) {
	return c.userGroups(ctx, read("UserGroups", id), id, limit)
}

func (c *Client) userGroups(ctx context.Context, op operation, id UserID, limit int) (Page[Group], error) {
	return pages(ctx, c, op, limit, groupOf, func(ctx context.Context, size int32) ([]sdk.Group, *sdk.APIResponse, error) {
		return c.api.UserAPI.ListUserGroups(ctx, string(id)).Limit(size).Execute()
	})
}

// IsMember reports whether a person is in a group, according to the person's
// own list of groups, which does not lag behind changes.
func (c *Client) IsMember(ctx context.Context, group GroupID, user UserID) (bool, Meta, error) {
	p, err := c.userGroups(ctx, read("IsMember", group, user), user, 0)
	if err != nil {
		return false, p.Meta, err
	}
	member := slices.ContainsFunc(p.Items, func(g Group) bool { return g.ID == group })
	if !member && p.More {
		err := errors.New("more groups than are read")
		return false, p.Meta, &Error{Op: "IsMember", Kind: KindGarbled, RequestID: p.Meta.RequestID, Err: err}
	}
	return member, p.Meta, nil
}

// Factor is an enrolled factor, without the phone number or key it is enrolled with.
type Factor struct {
	Type     string // push, token:software:totp, sms, …
	Provider string
	Status   string
}

type factorWire struct {
	Type     string `json:"factorType"`
	Provider string `json:"provider"`
	Status   string `json:"status"`
}

func (w *factorWire) factor() Factor { return Factor(*w) }

// UserFactors lists the factors a person has enrolled, including types that the
// SDK does not know.
func (c *Client) UserFactors(ctx context.Context, id UserID) (Page[Factor], error) {
	list := func(ctx context.Context, _ int32) ([]factorWire, *sdk.APIResponse, error) {
		return decode[[]factorWire](ctx, c.api.UserFactorAPI.ListFactors(ctx, string(id)).Execute)
	}
	return pages(ctx, c, read("UserFactors", id), 0, (*factorWire).factor, list)
}

// ResetPassword makes Okta mail the person a link to choose a new password.
func (c *Client) ResetPassword(ctx context.Context, id UserID) (Meta, error) {
	return doByMail(ctx, c, change("ResetPassword", id), c.api.UserAPI.GenerateResetPasswordToken)
}

// ExpirePassword makes the person choose a new password at the next sign-in.
func (c *Client) ExpirePassword(ctx context.Context, id UserID) (Meta, error) {
	return c.do(ctx, change("ExpirePassword", id), func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.ExpirePassword(ctx, string(id)).Execute()
		return err
	})
}

// Unlock lets a locked-out person sign in again.
func (c *Client) Unlock(ctx context.Context, id UserID) (Meta, error) {
	return doOne(ctx, c, transition("Unlock", id), c.api.UserAPI.UnlockUser)
}

// Suspend stops an active person from signing in.
func (c *Client) Suspend(ctx context.Context, id UserID) (Meta, error) {
	return doOne(ctx, c, transition("Suspend", id), c.api.UserAPI.SuspendUser)
}

// Unsuspend lets a suspended person sign in again.
func (c *Client) Unsuspend(ctx context.Context, id UserID) (Meta, error) {
	return doOne(ctx, c, transition("Unsuspend", id), c.api.UserAPI.UnsuspendUser)
}

// Activate activates a staged or deactivated person; Okta mails them the link.
func (c *Client) Activate(ctx context.Context, id UserID) (Meta, error) {
	return doByMail(ctx, c, transition("Activate", id), c.api.UserAPI.ActivateUser)
}

// Reactivate makes Okta mail the activation link once more to a person who was
// activated and has not signed in yet.
func (c *Client) Reactivate(ctx context.Context, id UserID) (Meta, error) {
	return doByMail(ctx, c, transition("Reactivate", id), c.api.UserAPI.ReactivateUser)
}

// Deactivate deactivates a person. Okta takes their apps away for good.
func (c *Client) Deactivate(ctx context.Context, id UserID) (Meta, error) {
	meta, err := doOne(ctx, c, transition("Deactivate", id), c.api.UserAPI.DeactivateUser)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindNotFound {
		// Okta's answer for a person who is deactivated already, whom a read finds.
		if u, _, readErr := c.User(ctx, id); readErr == nil && u.Status == Deprovisioned {
			e.Kind = KindState
		}
	}
	return meta, err
}

// ClearSessions signs the person out everywhere.
func (c *Client) ClearSessions(ctx context.Context, id UserID) (Meta, error) {
	return doOne(ctx, c, set("ClearSessions", id), c.api.UserAPI.RevokeUserSessions)
}

// ResetFactors removes every factor the person has enrolled.
func (c *Client) ResetFactors(ctx context.Context, id UserID) (Meta, error) {
	return doOne(ctx, c, change("ResetFactors", id), c.api.UserAPI.ResetFactors)
}
