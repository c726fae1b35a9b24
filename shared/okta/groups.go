package okta

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// GroupType says who manages a group.
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

// Changeable says whether Okta lets members, name or description be changed.
// For other groups it answers as if the administrator lacked the role, so ask
// before calling.
func (g Group) Changeable() bool { return g.Type == OktaGroup }

type groupWire struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Profile map[string]any `json:"profile"`
}

func (w groupWire) group() Group {
	g := Group{ID: GroupID(w.ID), Type: GroupType(w.Type)}
	g.Name, _ = w.Profile["name"].(string)
	g.Description, _ = w.Profile["description"].(string)
	return g
}

// FindGroups finds groups whose name contains the query. An empty query lists
// all. The index behind it may lag a moment behind changes.
func (c *Client) FindGroups(ctx context.Context, query string, limit int) (Page[Group], error) {
	op := read("FindGroups")
	if strings.TrimSpace(query) == "" {
		return c.searchGroups(ctx, op, "", limit)
	}
	query, err := text(op.name, query)
	if err != nil {
		return Page[Group]{}, err
	}
	return c.searchGroups(ctx, op, compare("profile.name", "co", query), limit)
}

func (c *Client) searchGroups(ctx context.Context, op operation, search condition, limit int) (Page[Group], error) {
	return pages(ctx, c, op, limit, groupWire.group, func(ctx context.Context, size int32) error {
		r := c.api.GroupAPI.ListGroups(ctx).Limit(size)
		if search != "" {
			r = r.Search(string(search))
		}
		_, _, err := r.Execute()
		return err
	})
}

// GroupByID reads one group.
func (c *Client) GroupByID(ctx context.Context, id GroupID) (Group, Meta, error) {
	w, meta, err := c.groupProfile(ctx, read("GroupByID"), id)
	return w.group(), meta, err
}

func (c *Client) groupProfile(ctx context.Context, op operation, id GroupID) (groupWire, Meta, error) {
	if err := checked(op.name, id); err != nil {
		return groupWire{}, Meta{}, err
	}
	return one(ctx, c, op, func(w groupWire) groupWire { return w }, func(ctx context.Context) error {
		_, _, err := c.api.GroupAPI.GetGroup(ctx, string(id)).Execute()
		return err
	})
}

// GroupMembers lists the people in a group.
func (c *Client) GroupMembers(ctx context.Context, id GroupID, limit int) (Page[User], error) {
	op := read("GroupMembers")
	if err := checked(op.name, id); err != nil {
		return Page[User]{}, err
	}
	return pages(ctx, c, op, limit, userWire.user, func(ctx context.Context, size int32) error {
		_, _, err := c.api.GroupAPI.ListGroupUsers(ctx, string(id)).Limit(size).Execute()
		return err
	})
}

// AddToGroup makes a person a member. Doing it again changes nothing.
func (c *Client) AddToGroup(ctx context.Context, group GroupID, user UserID) (Meta, error) {
	op := set("AddToGroup")
	if err := checked(op.name, group, user); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := c.api.GroupAPI.AssignUserToGroup(ctx, string(group), string(user)).Execute()
		return err
	})
}

// RemoveFromGroup ends a membership. Doing it again changes nothing.
func (c *Client) RemoveFromGroup(ctx context.Context, group GroupID, user UserID) (Meta, error) {
	op := set("RemoveFromGroup")
	if err := checked(op.name, group, user); err != nil {
		return Meta{}, err
	}
	meta, err := c.do(ctx, op, func(ctx context.Context) error {
		_, err := c.api.GroupAPI.UnassignUserFromGroup(ctx, string(group), string(user)).Execute()
		return err
	})
	if KindOf(err) == KindNotFound {
		// Whether Okta answers 404 for a membership that is already gone is
		// not documented, so look. A group that is gone is another matter.
		if _, _, groupErr := c.GroupByID(ctx, group); groupErr != nil {
			return meta, err
		}
		if in, _, readErr := c.IsMember(ctx, group, user); readErr == nil && !in {
			return meta, nil
		}
	}
	return meta, err
}

// CreateGroup makes a group that Okta manages.
func (c *Client) CreateGroup(ctx context.Context, name, description string) (Group, Meta, error) {
	op := change("CreateGroup")
	profile, err := groupProfile(op.name, name, &description, nil)
	if err != nil {
		return Group{}, Meta{}, err
	}
	return one(ctx, c, op, groupWire.group, func(ctx context.Context) error {
		_, _, err := c.api.GroupAPI.CreateGroup(ctx).Group(sdk.Group{Profile: profile}).Execute()
		return err
	})
}

// RenameGroup gives a group another name and, unless description is nil,
// another description. The rest of its profile stays: Okta replaces the whole,
// so the whole is read and sent back.
func (c *Client) RenameGroup(ctx context.Context, id GroupID, name string, description *string) (Group, Meta, error) {
	op := set("RenameGroup")
	before, meta, err := c.groupProfile(ctx, read(op.name), id)
	if err != nil {
		return Group{}, meta, err
	}
	if !before.group().Changeable() {
		return Group{}, meta, &Error{Op: op.name, Kind: KindUnsupported, RequestID: meta.RequestID, Err: errors.New("not a group that Okta manages")}
	}
	profile, err := groupProfile(op.name, name, description, before.Profile)
	if err != nil {
		return Group{}, meta, err
	}
	return one(ctx, c, op, groupWire.group, func(ctx context.Context) error {
		_, _, err := c.api.GroupAPI.ReplaceGroup(ctx, string(id)).Group(sdk.Group{Profile: profile}).Execute()
		return err
	})
}

const maxDescription = 1024

// groupProfile checks and assembles what a group is to be, over what it was.
func groupProfile(op, name string, description *string, before map[string]any) (*sdk.GroupProfile, error) {
	name, err := newName(op, name)
	if err != nil {
		return nil, err
	}
	p := &sdk.GroupProfile{Name: &name, AdditionalProperties: map[string]any{}}
	for k, v := range before {
		switch k {
		case "name":
		case "description":
			if s, isText := v.(string); isText && description == nil {
				p.Description = &s
			}
		default:
			p.AdditionalProperties[k] = v
		}
	}
	if description == nil || strings.TrimSpace(*description) == "" {
		return p, nil
	}
	d := strings.TrimSpace(*description)
	if utf8.RuneCountInString(d) > maxDescription || strings.ContainsFunc(d, func(r rune) bool { return r != '\n' && unfit(r) }) {
		return nil, &Error{Op: op, Kind: KindInvalid, Err: errors.New("not a usable description")}
	}
	p.Description = &d
	return p, nil
}

// DeleteGroup deletes a group and with it its memberships and assignments.
func (c *Client) DeleteGroup(ctx context.Context, id GroupID) (Meta, error) {
	op := change("DeleteGroup")
	if err := checked(op.name, id); err != nil {
		return Meta{}, err
	}
	return c.do(ctx, op, func(ctx context.Context) error {
		_, err := c.api.GroupAPI.DeleteGroup(ctx, string(id)).Execute()
		return err
	})
}
