package okta

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Status is where a person is in their life cycle.
type Status string

// The statuses.
const (
	Staged          Status = "STAGED"           // made, not yet activated
	Provisioned     Status = "PROVISIONED"      // activated, has not set a password
	Active          Status = "ACTIVE"           //
	Recovery        Status = "RECOVERY"         // a password reset is under way
	LockedOut       Status = "LOCKED_OUT"       // too many failed sign-ins
	PasswordExpired Status = "PASSWORD_EXPIRED" // must choose a new one
	Suspended       Status = "SUSPENDED"        // may not sign in, keeps groups and apps
	Deprovisioned   Status = "DEPROVISIONED"    // deactivated
)

// User is a person in Okta. Zero times are times that never were.
type User struct {
	ID        UserID
	Login     string
	Email     string
	FirstName string
	LastName  string
	Status    Status

	Created         time.Time
	Activated       time.Time
	StatusChanged   time.Time
	LastLogin       time.Time
	PasswordChanged time.Time
}

// Name is how people call the person.
func (u User) Name() string { return strings.TrimSpace(u.FirstName + " " + u.LastName) }

type userWire struct {
	ID              string     `json:"id"`
	Status          string     `json:"status"`
	Created         *time.Time `json:"created"`
	Activated       *time.Time `json:"activated"`
	StatusChanged   *time.Time `json:"statusChanged"`
	LastLogin       *time.Time `json:"lastLogin"`
	PasswordChanged *time.Time `json:"passwordChanged"`
	Profile         struct {
		Login     string `json:"login"`
		Email     string `json:"email"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	} `json:"profile"`
}

func (w userWire) user() User {
	return User{
		ID: UserID(w.ID), Login: w.Profile.Login, Email: w.Profile.Email,
		FirstName: w.Profile.FirstName, LastName: w.Profile.LastName, Status: Status(w.Status),
		Created: or(w.Created), Activated: or(w.Activated), StatusChanged: or(w.StatusChanged),
		LastLogin: or(w.LastLogin), PasswordChanged: or(w.PasswordChanged),
	}
}

func or(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Me is the person whose token the context carries.
func (c *Client) Me(ctx context.Context) (User, Meta, error) {
	return one(ctx, c, read("Me"), userWire.user, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.GetUser(ctx, "me").Execute()
		return err
	})
}

// User reads one person.
func (c *Client) User(ctx context.Context, id UserID) (User, Meta, error) {
	op := read("User")
	if err := checked(op.name, id); err != nil {
		return User{}, Meta{}, err
	}
	return one(ctx, c, op, userWire.user, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.GetUser(ctx, string(id)).Execute()
		return err
	})
}

// FindUsers finds people whose first or last name, login or e-mail starts with
// the query, in any status. An empty query lists everybody. The index behind it
// may lag a moment behind changes.
func (c *Client) FindUsers(ctx context.Context, query string, limit int) (Page[User], error) {
	op := read("FindUsers")
	if strings.TrimSpace(query) == "" {
		return c.searchUsers(ctx, op, condition("status pr"), limit)
	}
	query, err := text(op.name, query)
	if err != nil {
		return Page[User]{}, err
	}
	return c.searchUsers(ctx, op, startingWith(query), limit)
}

func startingWith(query string) condition {
	single := []condition{
		compare("profile.firstName", "sw", query), compare("profile.lastName", "sw", query),
		compare("profile.login", "sw", query), compare("profile.email", "sw", query),
	}
	return either(append(single, fullName("sw", query)...)...)
}

// fullName takes the words of a query for a first and a last name, at each of
// the places it may be cut.
func fullName(lastOperator, query string) (out []condition) {
	words := strings.Fields(query)
	for i := 1; i < len(words) && i <= 3; i++ {
		out = append(out, both(
			compare("profile.firstName", "eq", strings.Join(words[:i], " ")),
			compare("profile.lastName", lastOperator, strings.Join(words[i:], " "))))
	}
	return out
}

func (c *Client) searchUsers(ctx context.Context, op operation, search condition, limit int) (Page[User], error) {
	return pages(ctx, c, op, limit, userWire.user, func(ctx context.Context, size int32) error {
		_, _, err := c.api.UserAPI.ListUsers(ctx).Search(string(search)).Limit(size).Execute()
		return err
	})
}

// UserByLogin reads the person of a login, in whatever case it is written.
func (c *Client) UserByLogin(ctx context.Context, login string) (User, Meta, error) {
	op := read("UserByLogin")
	login, err := text(op.name, login)
	if err != nil {
		return User{}, Meta{}, err
	}
	p, err := c.searchUsers(ctx, op, compare("profile.login", "eq", login), 1)
	if err != nil {
		return User{}, p.Meta, err
	}
	if len(p.Items) != 1 || !strings.EqualFold(p.Items[0].Login, login) {
		return User{}, p.Meta, &Error{Op: op.name, Kind: KindNotFound, RequestID: p.Meta.RequestID}
	}
	return p.Items[0], p.Meta, nil
}

// UserGroups lists the groups a person is in.
func (c *Client) UserGroups(ctx context.Context, id UserID, limit int) (Page[Group], error) {
	op := read("UserGroups")
	if err := checked(op.name, id); err != nil {
		return Page[Group]{}, err
	}
	return pages(ctx, c, op, limit, groupWire.group, func(ctx context.Context, size int32) error {
		_, _, err := c.api.UserAPI.ListUserGroups(ctx, string(id)).Limit(size).Execute()
		return err
	})
}

// IsMember says whether a person is in a group, from the person's own list,
// which does not lag.
func (c *Client) IsMember(ctx context.Context, group GroupID, user UserID) (bool, Meta, error) {
	if err := checked("IsMember", group, user); err != nil {
		return false, Meta{}, err
	}
	p, err := c.UserGroups(ctx, user, 0)
	if err != nil {
		return false, p.Meta, err
	}
	for _, g := range p.Items {
		if g.ID == group {
			return true, p.Meta, nil
		}
	}
	if p.More {
		return false, p.Meta, &Error{Op: "IsMember", Kind: KindGarbled, RequestID: p.Meta.RequestID, Err: errors.New("too many groups to say")}
	}
	return false, p.Meta, nil
}

// Factor is an enrolled factor, without what it is enrolled with.
type Factor struct {
	ID       string
	Type     string // push, token:software:totp, sms, …
	Provider string
	Status   string
	Created  time.Time
}

type factorWire struct {
	ID       string     `json:"id"`
	Type     string     `json:"factorType"`
	Provider string     `json:"provider"`
	Status   string     `json:"status"`
	Created  *time.Time `json:"created"`
}

func (w factorWire) factor() Factor {
	return Factor{w.ID, w.Type, w.Provider, w.Status, or(w.Created)}
}

// UserFactors lists the factors a person has enrolled.
func (c *Client) UserFactors(ctx context.Context, id UserID) (Page[Factor], error) {
	op := read("UserFactors")
	if err := checked(op.name, id); err != nil {
		return Page[Factor]{}, err
	}
	return pages(ctx, c, op, 0, factorWire.factor, func(ctx context.Context, _ int32) error {
		_, _, err := c.api.UserFactorAPI.ListFactors(ctx, string(id)).Execute()
		return err
	})
}

// ResetPassword makes Okta mail the person a link to choose a new password.
func (c *Client) ResetPassword(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, change("ResetPassword"), id, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.GenerateResetPasswordToken(ctx, string(id)).SendEmail(true).Execute()
		return err
	})
}

// ExpirePassword makes the person choose a new password at the next sign-in.
func (c *Client) ExpirePassword(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, change("ExpirePassword"), id, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.ExpirePassword(ctx, string(id)).Execute()
		return err
	})
}

// Unlock lets a locked-out person in again.
func (c *Client) Unlock(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, lifecycle("Unlock"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.UnlockUser(ctx, string(id)).Execute()
		return err
	})
}

// Suspend keeps an active person out.
func (c *Client) Suspend(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, lifecycle("Suspend"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.SuspendUser(ctx, string(id)).Execute()
		return err
	})
}

// Unsuspend lets a suspended person in again.
func (c *Client) Unsuspend(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, lifecycle("Unsuspend"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.UnsuspendUser(ctx, string(id)).Execute()
		return err
	})
}

// Activate activates a staged or deactivated person; Okta mails them the link.
func (c *Client) Activate(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, lifecycle("Activate"), id, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.ActivateUser(ctx, string(id)).SendEmail(true).Execute()
		return err
	})
}

// Reactivate makes Okta mail the activation link once more to a person who was
// activated and has not signed in yet.
func (c *Client) Reactivate(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, lifecycle("Reactivate"), id, func(ctx context.Context) error {
		_, _, err := c.api.UserAPI.ReactivateUser(ctx, string(id)).SendEmail(true).Execute()
		return err
	})
}

// Deactivate deactivates a person. Okta takes their apps away for good.
func (c *Client) Deactivate(ctx context.Context, id UserID) (Meta, error) {
	meta, err := c.lifecycle(ctx, lifecycle("Deactivate"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.DeactivateUser(ctx, string(id)).Execute()
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindNotFound {
		// Okta's answer for somebody already deactivated, whom a read finds.
		if u, _, readErr := c.User(ctx, id); readErr == nil && u.Status == Deprovisioned {
			e.Kind = KindState
		}
	}
	return meta, err
}

// ClearSessions signs the person out everywhere.
func (c *Client) ClearSessions(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, set("ClearSessions"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.RevokeUserSessions(ctx, string(id)).Execute()
		return err
	})
}

// ResetFactors removes every factor the person has enrolled.
func (c *Client) ResetFactors(ctx context.Context, id UserID) (Meta, error) {
	return c.lifecycle(ctx, change("ResetFactors"), id, func(ctx context.Context) error {
		_, err := c.api.UserAPI.ResetFactors(ctx, string(id)).Execute()
		return err
	})
}

func (c *Client) lifecycle(ctx context.Context, op operation, id UserID, send func(context.Context) error) (Meta, error) {
	if err := checked(op.name, id); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, send)
}
