// Package catalogue lists what the agent can do: its functions, their parameters and the operations behind them. The
// schema of the agent, the tools of the harness, dispatch, validation and the documents are read from it.
package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/label"
)

// The two action groups. Each is one Lambda function of the same name.
const (
	GroupOkta = "okta-groups" // reads
	GroupCIBA = "ciba"        // elevated changes
)

// Area is the part of the organisation an operation works in; the object of the look-up check is `okta:<area>`.
type Area string

// The areas.
const (
	AreaGroups Area = "groups"
	AreaUsers  Area = "users"
	AreaApps   Area = "apps"
)

// Target says what an operation is done to, and so which kind of object its relation is asked on.
type Target string

// The targets: types of the authorization model.
const (
	TargetArea  Target = fga.TypeOkta      // the area itself, e.g. okta:groups
	TargetUser  Target = fga.TypeOktaUser  // one Okta user
	TargetGroup Target = fga.TypeOktaGroup // one Okta group
	TargetApp   Target = fga.TypeOktaApp   // one Okta app
	TargetNone  Target = ""                // nothing but the caller's own records; being signed in is enough
)

// Kind describes one kind of Okta object.
type Kind struct {
	Param string // the parameter that names one, as people call it
	Area  Area   // where it is looked up
	Word  string // what it is called in a sentence
}

var kinds = map[Target]Kind{
	TargetUser:  {Param: "user", Area: AreaUsers, Word: label.WordPerson},
	TargetGroup: {Param: "group", Area: AreaGroups, Word: "group"},
	TargetApp:   {Param: "app", Area: AreaApps, Word: "app"},
}

// Kind is the description of the objects of a target; zero for [TargetArea] and [TargetNone].
func (t Target) Kind() Kind { return kinds[t] }

// TargetOf is the kind of object that a parameter names; [TargetNone] for every other parameter.
func TargetOf(param string) Target {
	for t, k := range kinds {
		if k.Param == param {
			return t
		}
	}
	return TargetNone
}

// Operation is one thing that can be done, the unit of authorization and of approval.
type Operation struct {
	ID       string // e.g. "reset_password"; unique in the catalogue
	Action   string // value of the parameter "action" that picks it; "" where the function is one operation
	Relation string // the FGA relation asked on the target
	Area     Area   // that the operation belongs to; the object itself for [TargetArea]
	Target   Target
	// Object is the parameter that names the object; of [TargetArea], one that is yet to be created. Members are the parameters one
	// of which names who or what is added, removed or assigned. Both are looked up by [TargetOf], and that is authorized first.
	Object  string
	Members []string
	// Scopes are the Okta API scopes that it needs, the look-ups before it included (Okta Management API, OpenAPI 2026.06).
	Scopes []string
	// Phrase says what it does, with a place for everything that decides the effect: {target}, {party} for who is added or
	// assigned, and each argument by its name.
	Phrase label.Phrase
	// Past says that it was done, behind "You ", with the same places.
	Past label.Phrase
	// Idempotent says that doing it twice leaves what doing it once leaves. Whatever is not is tried at most once.
	Idempotent bool
}

// Param is a parameter of a function. Values arrive as text whatever the type.
type Param struct {
	Name        string
	Type        Type
	Description string
	Required    bool
	Enum        []string // closed set of values, if any
	Max         int      // integers: the largest; texts: the most characters
}

// Type is how a value is read.
type Type string

// The types in use, in the words of Bedrock and JSON Schema.
const (
	TypeString  Type = "string"
	TypeInteger Type = "integer"
)

// Function is what the agent can call.
type Function struct {
	Name        string
	Group       string
	Description string
	Params      []Param
	Elevated    bool // approved on the person's phone before it is carried out
	Operations  []Operation
	Examples    []string // what people say; the planner of the laptop run and the page's suggestions read them
}

const (
	maxName = 120 // characters of a name, login or query
	maxText = 400 // characters of a description
	maxList = 50  // entries of a list
)

func user(required bool, description string) Param {
	return Param{Name: "user", Type: TypeString, Required: required, Description: description, Max: maxName}
}

func group(description string) Param {
	return Param{Name: "group", Type: TypeString, Required: true, Description: description, Max: maxName}
}

// ParamReason is the name of the parameter that holds why a change is asked for. It is recorded and has no effect at Okta.
const ParamReason = "reason"

func reason() Param {
	return Param{Name: ParamReason, Type: TypeString, Description: "Why, in the person's own words, only if they gave a reason. It is recorded.", Max: maxName}
}

func limit() Param {
	return Param{Name: "limit", Type: TypeInteger, Description: "How many to list, 1 to 50. Default 20.", Max: maxList}
}

// actions lists the actions of operations: "add or remove".
func actions(operations []Operation) string {
	var names []string
	for _, op := range operations {
		names = append(names, op.Action)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func action(operations []Operation) Param {
	p := Param{Name: "action", Type: TypeString, Required: true, Description: actions(operations) + "."}
	for _, op := range operations {
		p.Enum = append(p.Enum, op.Action)
	}
	return p
}

// The Okta API scopes.
const (
	usersRead    = "okta.users.read"
	usersManage  = "okta.users.manage"
	groupsRead   = "okta.groups.read"
	groupsManage = "okta.groups.manage"
	appsRead     = "okta.apps.read"
	appsManage   = "okta.apps.manage"
	logsRead     = "okta.logs.read"
)

var (
	membership = []Operation{
		onMembership("add_to_group", "add", "Add {party} to {target}", "added {party} to {target}"),
		onMembership("remove_from_group", "remove", "Remove {party} from {target}", "removed {party} from {target}"),
	}
	userOperations = []Operation{
		onUser("reset_password", "Reset the password of {target}", "reset the password of {target}", false),
		onUser("expire_password", "Expire the password of {target}", "expired the password of {target}", true),
		onUser("unlock", "Unlock the account of {target}", "unlocked the account of {target}", true),
		onUser("suspend", "Suspend the account of {target}", "suspended the account of {target}", true),
		onUser("unsuspend", "Lift the suspension of {target}", "lifted the suspension of {target}", true),
		onUser("activate", "Activate the account of {target}", "activated the account of {target}", false),
		onUser("reactivate", "Resend the activation mail of {target}", "resent the activation mail of {target}", false),
		onUser("deactivate", "Deactivate the account of {target}", "deactivated the account of {target}", true),
		onUser("clear_sessions", "Sign {target} out of every session", "signed {target} out of every session", true),
		onUser("reset_factors", "Reset all MFA factors of {target}", "reset all MFA factors of {target}", true),
	}
	groupOperations = []Operation{
		{
			ID: "create_group", Action: "create", Relation: "can_create_group", Area: AreaGroups, Target: TargetArea, Object: "group", Scopes: []string{groupsManage, groupsRead},
			Phrase: "Create the group {name}[ with the description {description}]", Past: "created the group {name}[ with the description {description}]",
		},
		onGroup("rename_group", "rename", "Rename {target} to {new_name}[ with the description {description}]", "renamed {target} to {new_name}[ with the description {description}]"),
		onGroup("delete_group", "delete", "Delete {target}", "deleted {target}"),
	}
	appOperations = []Operation{
		onApp("assign_app", "assign", "Assign {party} to {target}", "assigned {party} to {target}"),
		onApp("unassign_app", "unassign", "Unassign {party} from {target}", "unassigned {party} from {target}"),
	}
)

func onUser(action string, phrase, past label.Phrase, idempotent bool) Operation {
	return Operation{
		ID: action, Action: action, Relation: "can_" + action, Area: AreaUsers, Target: TargetUser, Object: "user", Scopes: []string{usersManage, usersRead},
		Phrase: phrase, Past: past, Idempotent: idempotent,
	}
}

func onGroup(id, action string, phrase, past label.Phrase) Operation {
	return Operation{
		ID: id, Action: action, Relation: "can_" + action, Area: AreaGroups, Target: TargetGroup, Object: "group", Scopes: []string{groupsManage, groupsRead},
		Phrase: phrase, Past: past, Idempotent: true,
	}
}

func onMembership(id, action string, phrase, past label.Phrase) Operation {
	return Operation{
		ID: id, Action: action, Relation: "can_change_members", Area: AreaGroups, Target: TargetGroup, Object: "group", Members: []string{"user"},
		Scopes: []string{groupsManage, groupsRead, usersRead}, Phrase: phrase, Past: past, Idempotent: true,
	}
}

func onApp(id, action string, phrase, past label.Phrase) Operation {
	return Operation{
		ID: id, Action: action, Relation: "can_assign", Area: AreaApps, Target: TargetApp, Object: "app", Members: []string{"group", "user"},
		Scopes: []string{appsManage, appsRead, usersRead, groupsRead}, Phrase: phrase, Past: past, Idempotent: true,
	}
}

func read(id, relation string, area Area, target Target, phrase, past label.Phrase, scopes ...string) []Operation {
	return []Operation{{
		ID: id, Relation: relation, Area: area, Target: target, Object: kinds[target].Param, Scopes: scopes, Phrase: phrase, Past: past, Idempotent: true,
	}}
}

// catalogue is the only place where a function is described. The Classic function schema, the harness tools, dispatch
// and validation, the laptop's planner and the README's table are readings of it.
var catalogue = []Function{
	{
		Name: "list_user_groups", Group: GroupOkta,
		Description: "List the Okta groups a user is a member of. Leave user out for the person who is signed in.",
		Params:      []Param{user(false, "Login, e-mail address or name of the user. Leave out for the person who is signed in.")},
		Operations:  read("list_user_groups", "can_list_groups", AreaGroups, TargetUser, "Look up the groups of {target}", "looked up the groups of {target}", usersRead),
		Examples:    []string{"What are my Okta groups?", "Give me Okta groups for a user - alice@example.com"},
	},
	{
		Name: "find_groups", Group: GroupOkta,
		Description: "Find Okta groups whose name starts with or contains a text.",
		Params:      []Param{{Name: "query", Type: TypeString, Required: true, Description: "Part of the group's name.", Max: maxName}, limit()},
		Operations:  read("find_groups", "read_okta", AreaGroups, TargetArea, "Search for groups[ named {query}]", "searched for groups[ named {query}]", groupsRead),
		Examples:    []string{"Find groups named Eng"},
	},
	{
		Name: "list_group_members", Group: GroupOkta,
		Description: "List the people in an Okta group.",
		Params:      []Param{group("Name or id of the group."), limit()},
		Operations:  read("list_group_members", "can_list_members", AreaGroups, TargetGroup, "Look up the members of {target}", "looked up the members of {target}", groupsRead),
		Examples:    []string{"Who is in Engineering?"},
	},
	{
		Name: "find_users", Group: GroupOkta,
		Description: "Find Okta users by name, login or e-mail address.",
		Params:      []Param{{Name: "query", Type: TypeString, Required: true, Description: "Start of a name, login or e-mail address.", Max: maxName}, limit()},
		Operations:  read("find_users", "read_okta", AreaUsers, TargetArea, "Search for people[ named {query}]", "searched for people[ named {query}]", usersRead),
		Examples:    []string{"Find users named Taylor"},
	},
	{
		Name: "get_user", Group: GroupOkta,
		Description: "Show one Okta user: status and profile, and on request groups, apps, factors or recent activity. Leave user out for the person who is signed in.",
		Params: []Param{
			user(false, "Login, e-mail address or name of the user. Leave out for the person who is signed in."),
			{Name: "include", Type: TypeString, Description: "What to add, comma-separated: groups, apps, factors, activity.", Max: maxName},
		},
		Operations: read("get_user", "can_read", AreaUsers, TargetUser, "Look up {target}", "looked up {target}", usersRead, logsRead),
		Examples:   []string{"Show the account of bob@example.com with factors"},
	},
	{
		Name: "list_my_permissions", Group: GroupOkta,
		Description: "List what the person who is signed in may do with this assistant.",
		Operations:  read("list_my_permissions", "", "", TargetNone, "Look up what you may do", "looked up what you may do"),
		Examples:    []string{"What am I allowed to do?"},
	},
	{
		Name: "change_group_membership", Group: GroupCIBA, Elevated: true,
		Description: "Add a user to an Okta group or remove one from it. The person who is signed in approves it on their phone; Steward does it as soon as they approve.",
		Params: []Param{
			action(membership),
			user(true, "Login, e-mail address or name of the user to add or remove; me for the person who is signed in."),
			group("Name or id of the group."),
			reason(),
		},
		Operations: membership,
		Examples:   []string{"Add dave@example.com to Engineering"},
	},
	{
		Name: "manage_user", Group: GroupCIBA, Elevated: true,
		Description: "Change an Okta account: " + actions(userOperations) + ". The person who is signed in approves it on their phone; Steward does it as soon as they approve.",
		Params: []Param{
			user(false, "Login, e-mail address or name of the user. Leave out for the person who is signed in."),
			action(userOperations),
			reason(),
		},
		Operations: userOperations,
		Examples:   []string{"How do I reset my password?", "Unlock erin@example.com"},
	},
	{
		Name: "manage_group", Group: GroupCIBA, Elevated: true,
		Description: "Create, rename or delete an Okta group. The person who is signed in approves it on their phone; Steward does it as soon as they approve.",
		Params: []Param{
			action(groupOperations),
			group("Name of the group to create, or name or id of the group to rename or delete."),
			{Name: "new_name", Type: TypeString, Description: "The new name, for rename.", Max: maxName},
			{Name: "description", Type: TypeString, Description: "Description of the group, for create and rename.", Max: maxText},
			reason(),
		},
		Operations: groupOperations,
		Examples:   []string{"Create the group Design"},
	},
	{
		Name: "change_app_assignment", Group: GroupCIBA, Elevated: true,
		Description: "Assign an Okta app to a user or to a group, or take it away. Name either the user or the group. The person who is signed in approves it on their phone; Steward does it as soon as they approve.",
		Params: []Param{
			action(appOperations),
			{Name: "app", Type: TypeString, Required: true, Description: "Name or id of the app.", Max: maxName},
			user(false, "Login, e-mail address or name of the user; me for the person who is signed in."),
			{Name: "group", Type: TypeString, Description: "Name or id of the group.", Max: maxName},
		},
		Operations: appOperations,
		Examples:   []string{"Assign Figma to erin@example.com"},
	},
	{
		Name: "check_approval", Group: GroupCIBA,
		Description: "Show the state of changes that wait for approval on the phone, or cancel one. Without an approval it shows the latest ones.",
		Params: []Param{
			{Name: "approval", Type: TypeString, Description: "The code of the approval, such as K7Q2.", Max: 64},
			{Name: "action", Type: TypeString, Description: "status (default) or cancel.", Enum: []string{"status", "cancel"}},
		},
		Operations: read("check_approval", "", "", TargetNone, "Look up your changes", "looked up your changes"),
		Examples:   []string{"Did it work?", "Cancel the approval K7Q2"},
	},
}

// Functions are all the agent can do, in a fixed order. The caller owns the slice, not what it points to.
func Functions() []Function { return slices.Clone(catalogue) }

// Lookup finds a function by its exact name.
func Lookup(name string) (Function, bool) {
	i := slices.IndexFunc(catalogue, func(f Function) bool { return f.Name == name })
	if i < 0 {
		return Function{}, false
	}
	return catalogue[i], true
}

// OperationByID finds an operation by its id.
func OperationByID(id string) (Operation, bool) {
	for _, f := range catalogue {
		for _, op := range f.Operations {
			if op.ID == id {
				return op, true
			}
		}
	}
	return Operation{}, false
}

// Operation is the operation that a value of the parameter "action" picks.
func (f Function) Operation(action string) (Operation, bool) {
	if len(f.Operations) == 1 && f.Operations[0].Action == "" {
		return f.Operations[0], true
	}
	i := slices.IndexFunc(f.Operations, func(op Operation) bool { return op.Action == action })
	if i < 0 {
		return Operation{}, false
	}
	return f.Operations[i], true
}

// Param finds a parameter by its exact name.
func (f Function) Param(name string) (Param, bool) {
	i := slices.IndexFunc(f.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return f.Params[i], true
}

// InputSchema is the function's parameters as JSON Schema, in the subset that harness tools accept: type, description,
// properties and required, nothing else.
func (f Function) InputSchema() map[string]any {
	properties := map[string]any{}
	required := []string{}
	for _, p := range f.Params {
		properties[p.Name] = map[string]any{"type": string(p.Type), "description": p.Description}
		if p.Required {
			required = append(required, p.Name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// Parse reads one value as its declaration says. Models are sloppy about blanks, case and "3.0"; nothing else passes.
func (p Param) Parse(value string) (string, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return "", nil
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return "", invalid(errors.New("control characters in a parameter"), "The parameter %s contains invalid characters.", p.Name)
	}
	switch {
	case len(p.Enum) > 0:
		value = strings.ToLower(value)
		if !slices.Contains(p.Enum, value) {
			return "", invalid(errors.New("value outside the closed set"), "The parameter %s must be one of: %s.", p.Name, strings.Join(p.Enum, ", "))
		}
	case p.Type == TypeInteger:
		n, err := strconv.Atoi(strings.TrimSuffix(value, ".0"))
		if err != nil || n < 1 || n > p.Max {
			return "", invalid(errors.New("not an integer in range"), "The parameter %s must be a whole number from 1 to %d.", p.Name, p.Max)
		}
		value = strconv.Itoa(n)
	case utf8.RuneCountInString(value) > p.Max:
		return "", invalid(errors.New("parameter too long"), "The parameter %s is longer than %d characters.", p.Name, p.Max)
	}
	return value, nil
}

func invalid(cause error, say string, args ...any) error {
	return fault.New(fault.Invalid, fmt.Sprintf(say, args...), cause)
}
