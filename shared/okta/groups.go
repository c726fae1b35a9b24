package okta

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// GroupType is the party that manages a group.
type GroupType string

// The group types.
const (
	OktaGroup GroupType = "OKTA_GROUP" // Okta: may be changed
	AppGroup  GroupType = "APP_GROUP"  // the app or directory it comes from
	BuiltIn   GroupType = "BUILT_IN"   // Okta itself, as Everyone
)

// Group is a group in Okta.
type Group struct {
	ID          GroupID
	Name        string
	Description string // "" also when Okta has null
	Type        GroupType
}

// Changeable reports whether Okta lets members, name or description be changed.
// For other groups it answers as if the administrator lacked the role, so check
// this before a change.
func (g Group) Changeable() bool { return g.Type == OktaGroup }

func groupOf(g *sdk.Group) Group {
	p := g.GetProfile()
	return Group{ID: GroupID(g.GetId()), Name: p.GetName(), Description: p.GetDescription(), Type: GroupType(g.GetType())}
}

// FindGroups finds groups whose name contains the query. An empty query lists
// all. The search index may lag a moment behind changes.
func (c *Client) FindGroups(ctx context.Context, query string, limit int) (Page[Group], error) {
	op := read("FindGroups")
	if strings.TrimSpace(query) == "" {
		return c.searchGroups(ctx, op, "", limit)
	}
	query, err := cleanText(op.name, query)
	if err != nil {
		return Page[Group]{}, err
	}
	return c.searchGroups(ctx, op, compare("profile.name", "co", query), limit)
}

func (c *Client) searchGroups(ctx context.Context, op operation, search condition, limit int) (Page[Group], error) {
	return pages(ctx, c, op, limit, groupOf, func(ctx context.Context, size int32) ([]sdk.Group, *sdk.APIResponse, error) {
		r := c.api.GroupAPI.ListGroups(ctx).Limit(size)
		if search != "" {
			r = r.Search(string(search))
		}
		return r.Execute()
	})
}

// GroupByID reads one group.
func (c *Client) GroupByID(ctx context.Context, id GroupID) (Group, Meta, error) {
	return one(ctx, c, read("GroupByID", id), groupOf, c.getGroup(id))
}

func (c *Client) getGroup(id GroupID) func(context.Context) (*sdk.Group, *sdk.APIResponse, error) {
	return func(ctx context.Context) (*sdk.Group, *sdk.APIResponse, error) {
		return c.api.GroupAPI.GetGroup(ctx, string(id)).Execute()
	}
}

// GroupMembers lists the people in a group.
func (c *Client) GroupMembers(ctx context.Context, id GroupID, limit int) (Page[User], error) {
	return pages(ctx, c, read("GroupMembers", id), limit, userOf[sdk.GroupMember],
		func(ctx context.Context, size int32) ([]sdk.GroupMember, *sdk.APIResponse, error) {
			return c.api.GroupAPI.ListGroupUsers(ctx, string(id)).Limit(size).Execute()
		})
}

// AddToGroup makes a person a member. It succeeds too if they are one already.
func (c *Client) AddToGroup(ctx context.Context, group GroupID, user UserID) (Meta, error) {
	return doTwo(ctx, c, set("AddToGroup", group, user), c.api.GroupAPI.AssignUserToGroup)
}

// RemoveFromGroup ends a membership. It succeeds too if there is none.
func (c *Client) RemoveFromGroup(ctx context.Context, group GroupID, user UserID) (Meta, error) {
	meta, err := doTwo(ctx, c, set("RemoveFromGroup", group, user), c.api.GroupAPI.UnassignUserFromGroup)
	if KindOf(err) == KindNotFound {
		// It is not documented whether Okta answers 404 for a membership that
		// does not exist, so read both. A group that does not exist is an error.
		if _, _, groupErr := c.GroupByID(ctx, group); groupErr != nil {
			return meta, err
		}
		if member, _, readErr := c.IsMember(ctx, group, user); readErr == nil && !member {
			return meta, nil
		}
	}
	return meta, err
}

// CreateGroup creates a group that Okta manages.
func (c *Client) CreateGroup(ctx context.Context, name, description string) (Group, Meta, error) {
	op := change("CreateGroup")
	profile := &sdk.GroupProfile{}
	if err := setProfile(op.name, profile, name, &description); err != nil {
		return Group{}, Meta{}, err
	}
	return one(ctx, c, op, groupOf, func(ctx context.Context) (*sdk.Group, *sdk.APIResponse, error) {
		return c.api.GroupAPI.CreateGroup(ctx).Group(sdk.Group{Profile: profile}).Execute()
	})
}

// RenameGroup gives a group another name and, unless description is nil,
// another description. Okta replaces the whole profile, so the profile is read
// first and its other properties are sent back. KindUnsupported if Okta does
// not manage the group.
func (c *Client) RenameGroup(ctx context.Context, id GroupID, name string, description *string) (Group, Meta, error) {
	op := set("RenameGroup", id)
	before, meta, err := one(ctx, c, read(op.name, id), func(g *sdk.Group) *sdk.Group { return g }, c.getGroup(id))
	if err != nil {
		return Group{}, meta, err
	}
	if !groupOf(before).Changeable() {
		err := errors.New("not a group that Okta manages")
		return Group{}, meta, &Error{Op: op.name, Kind: KindUnsupported, RequestID: meta.RequestID, Err: err}
	}
	profile := before.GetProfile()
	if err := setProfile(op.name, &profile, name, description); err != nil {
		return Group{}, meta, err
	}
	return one(ctx, c, op, groupOf, func(ctx context.Context) (*sdk.Group, *sdk.APIResponse, error) {
		return c.api.GroupAPI.ReplaceGroup(ctx, string(id)).Group(sdk.Group{Profile: &profile}).Execute()
	})
}

const maxDescription = 1024

// setProfile sets the name and, unless it is nil, the description of a profile.
// An Error of KindInvalid if Okta does not accept them.
func setProfile(op string, profile *sdk.GroupProfile, name string, description *string) error {
	name, err := newName(op, name)
	if err != nil {
		return err
	}
	profile.Name = &name
	if description == nil {
		return nil
	}
	text := strings.TrimSpace(*description)
	if utf8.RuneCountInString(text) > maxDescription || !Fits(strings.ReplaceAll(text, "\n", "")) {
		return &Error{Op: op, Kind: KindInvalid, Err: errors.New("not a usable description")}
	}
	profile.Description = nil // left out, so empty
	if text != "" {
		profile.Description = &text
	}
	return nil
}

// DeleteGroup deletes a group and with it its memberships and assignments.
func (c *Client) DeleteGroup(ctx context.Context, id GroupID) (Meta, error) {
	return doOne(ctx, c, change("DeleteGroup", id), c.api.GroupAPI.DeleteGroup)
}
