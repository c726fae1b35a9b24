package bedrocktest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
)

// rule makes an intent of a sentence that fits. Named groups of the pattern are arguments; make, if set, reads them
// itself and may still say no (nil).
type rule struct {
	function string
	action   string
	pattern  *regexp.Regexp
	need     []string
	make     func(r rule, s sentence) *intent
}

// sentence is a text together with what the pattern found in it.
type sentence struct {
	text string
	part map[string]string
}

const code = `(?P<approval>(?-i:[A-Z0-9]{3,12})|[a-z0-9-]*[0-9][a-z0-9-]*)`

// The rules, the first that fits wins: from those with words of their own to those that fit almost anything.
var rules = []rule{
	// how an approval stands
	{function: "check_approval", action: "cancel", pattern: re(`^(?:cancel|withdraw|abort|stop)\s+(?:the\s+|my\s+)?(?:pending\s+|open\s+|last\s+)?(?:approval|request|change|push)?\s*(?:with\s+)?(?:the\s+)?(?:code\s+)?` + code + `$`)},
	{function: "check_approval", action: "cancel", pattern: re(`^(?:cancel|withdraw|abort|stop)(?:\s+(?:it|that|this|everything|(?:the|my|all)\b.*\b(?:approvals?|requests?|changes?|push)))?$`)},
	{function: "check_approval", pattern: re(`^(?:did|has|have|is|was|does|what about|what happened (?:to|with)|status of|check|show)\s+(?:the\s+|my\s+)?(?:approval\s+|request\s+|change\s+)?(?:with\s+)?(?:the\s+)?(?:code\s+)?(?P<approval>(?-i:[A-Z0-9]*[0-9][A-Z0-9]*))\b(?:\s+(?:worked|work|approved|done|through|finished|been|succeed|stand|go).*)?$`)},
	{function: "check_approval", pattern: re(`^(?:status|state|what is the (?:status|state)|what's the (?:status|state))\s+of\s+(?:the\s+|my\s+)?(?:approval|request|change)s?\s*` + code + `?$`)},
	{function: "check_approval", pattern: re(`^(?:check|show|list|what are|any|how (?:is|are|does)|where is)\s+(?:me\s+)?(?:the\s+|my\s+|all\s+)?(?:pending\s+|open\s+|waiting\s+)?(?:approvals?|requests?|changes)\b`)},
	{function: "check_approval", pattern: re(`\b(?:pending|waiting|open|outstanding)\s+(?:approvals?|requests?|changes)\b|^(?:status|any (?:news|updates?)|what happened|is it (?:done|ready|through)|done yet)$`)},
	{function: "check_approval", action: "cancel", pattern: re(`^(?:cancel|withdraw|abort)\b`)},
	{function: "check_approval", pattern: re(`\bwhat (?:happened|about|is) (?:to|with)?\s*(?:my|the|that|this)\s+(?:last\s+)?(?:approval|request|change)s?$`)},
	{function: "check_approval", pattern: re(`^(?:did|has|have|is|was|were)\s+(?:it|that|this|everything|the\b.*|my\b.*|[^\s]+(?:['’]s)?\b.*)\s*\b(?:work|worked|done|happen|happened|succeed|succeeded|go through|gone through|went through|finish|finished|complete|completed|approved|carried out|executed)\b`)},
	{function: "check_approval", pattern: re(`^(?:was|were|has|have|did)\b.*\b(?:reset|unlocked|suspended|unsuspended|added|removed|created|deleted|renamed|assigned|unassigned|activated|deactivated|expired)\b`)},

	// what am I allowed
	{function: "list_my_permissions", pattern: re(`\b(?:my|which|what)\s+(?:permissions?|rights|privileges|entitlements)\b|\b(?:am i|i am|i'm)\s+(?:allowed|permitted|entitled|an?\s+admin\w*|(?:in\s+)?(?:the\s+)?helpdesk)\b|\bwhat\s+(?:can|may)\s+i\b|^(?:list|show)\s+(?:me\s+)?permissions?$`)},

	// apps
	{function: "change_app_assignment", action: "assign", pattern: re(`^(?:give|grant)\s+(?P<assignee>.+?)\s+access\s+to\s+(?P<app>.+)$`), make: access},
	{function: "change_app_assignment", action: "assign", pattern: re(`^(?:give|grant)\s+access\s+to\s+(?P<app>.+?)\s+to\s+(?P<assignee>.+)$`), make: access},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^(?:revoke|remove|take away|withdraw)\s+access\s+to\s+(?P<app>.+?)\s+(?:from|for|of)\s+(?P<assignee>.+)$`), make: access},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^(?:revoke|remove|take away|withdraw)\s+(?P<assignee>.+?)(?:['’]s)?\s+access\s+to\s+(?P<app>.+)$`), make: access},
	{function: "change_app_assignment", action: "assign", pattern: re(`^assign\s+(?P<a>.+?)\s+to\s+(?P<b>.+)$`), make: eitherWay},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^unassign\s+(?P<a>.+?)\s+from\s+(?P<b>.+)$`), make: eitherWay},
	{function: "change_app_assignment", action: "assign", pattern: re(`^assign\b\s*(?P<app>.*)$`), make: access},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^unassign\b\s*(?P<app>.*)$`), make: access},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^take\s+(?P<app>.+?)\s+away\s+from\s+(?P<assignee>.+)$`), make: access},
	{function: "change_app_assignment", action: "unassign", pattern: re(`^(?:remove|revoke|take)\s+(?P<app>.+?)\s+(?:from|away from)\s+(?P<assignee>.+)$`), make: appFromPerson},
	{function: "change_app_assignment", action: "assign", pattern: re(`^add\s+(?P<app>.+?)\s+to\s+(?P<assignee>.+)$`), make: appFromPerson},

	// groups themselves
	{function: "manage_group", action: "create", pattern: re(`^(?:create|make|set up|open|add)\s+(?:me\s+)?(?:an?\s+|the\s+)?(?:new\s+)?(?:okta\s+)?group\b\s*(?P<group>.*)$`), make: describedGroup},
	{function: "manage_group", action: "create", pattern: re(`^(?:create|set up)\s+(?:an?\s+|the\s+)?(?:new\s+)?(?P<group>.+?)\s+group$`)},
	{function: "manage_group", action: "rename", need: []string{"new_name"}, pattern: re(`^(?:rename|change the name of)\s+(?P<group>.+?)\s+(?:to|into|as)\s+(?P<new_name>.+)$`)},
	{function: "manage_group", action: "rename", need: []string{"new_name"}, pattern: re(`^rename\b\s*(?P<group>.*)$`)},
	{function: "manage_group", action: "delete", pattern: re(`^(?:delete|remove|drop|destroy|get rid of)\s+(?:an?\s+|the\s+)?(?:okta\s+)?group\b\s*(?P<group>.*)$`), make: unlessFrom},
	{function: "manage_group", action: "delete", pattern: re(`^(?:delete|remove|drop|destroy|get rid of)\s+(?P<group>.+?)\s+group$`), make: unlessFrom},
	{function: "manage_group", action: "delete", pattern: re(`^(?:delete|destroy)\s+(?P<group>[^@]+)$`), make: unlessFrom},

	// membership
	{function: "change_group_membership", action: "add", pattern: re(`^(?:add|put|place|invite|enrol+|move|get)\s+(?P<user>.+?)\s+(?:to|into|in)\s+(?P<group>.+)$`)},
	{function: "change_group_membership", action: "add", pattern: re(`^make\s+(?P<user>.+?)\s+(?:an?\s+)?(?:member|part)\s+of\s+(?P<group>.+)$`)},
	{function: "change_group_membership", action: "add", pattern: re(`^(?:let me\s+)?join\s+(?P<group>.+)$`), make: forMe},
	{function: "change_group_membership", action: "remove", pattern: re(`^(?:remove|take|kick|drop|delete|throw|get)\s+(?P<user>.+?)\s+(?:from|out of|off)\s+(?P<group>.+)$`)},
	{function: "change_group_membership", action: "remove", pattern: re(`^release\s+(?P<group>.+)$`), make: forMe},
	{function: "change_group_membership", action: "add", pattern: re(`^add\b\s*(?P<user>.*)$`)},
	{function: "change_group_membership", action: "remove", pattern: re(`^remove\b\s*(?P<user>.*)$`)},

	// somebody's state, before the verbs that would change it
	{function: "get_user", pattern: re(`^(?:is|are|am)\s+(?P<user>.+?)\s+(?:still\s+|currently\s+)?(?:locked|suspended|active|activated|deactivated|enabled|disabled|staged|provisioned)\b.*$`)},

	// accounts
	{function: "manage_user", action: "reset_factors", pattern: re(`\breset\b.*\b(?:mfa|2fa|factors?|authenticators?|multi-?factor)\b|\b(?:mfa|2fa|factors?)\s+reset\b`), make: account},
	{function: "manage_user", action: "expire_password", pattern: re(`\bexpire\b.*\bpasswords?\b|\bpasswords?\b.*\bexpire\b`), make: account},
	{function: "manage_user", action: "reset_password", pattern: re(`\b(?:reset|change|forgot|forgotten|lost|recover|renew)\b.*\bpasswords?\b|\bpasswords?\b.*\b(?:reset|forgotten|lost)\b|\bpasswords? reset\b`), make: account},
	{function: "manage_user", action: "unsuspend", pattern: re(`\b(?:unsuspend|reinstate)\b|\b(?:lift|end|undo|remove)\b.*\bsuspension\b`), make: account},
	{function: "manage_user", action: "reset_password", pattern: re(`\bpasswords?\b.*\b(?:has\s+|is\s+)?expired\b`), make: account},
	{function: "manage_user", action: "unlock", pattern: re(`^(?P<user>[^\s,]+(?:\s[^\s,]+)?)\s+is\s+locked(?:\s+out)?\b`)},
	{function: "manage_user", action: "unlock", pattern: re(`\bunlock\b|\b(?:am|i'm|is|got)\s+locked out\b`), make: account},
	{function: "manage_user", action: "suspend", pattern: re(`\b(?:suspend|freeze)\b`), make: account},
	{function: "manage_user", action: "deactivate", pattern: re(`\b(?:deactivate|disable|offboard)\b`), make: account},
	{function: "manage_user", action: "reactivate", pattern: re(`\breactivate\b`), make: account},
	{function: "manage_user", action: "activate", pattern: re(`\b(?:activate|enable)\b`), make: account},
	{function: "manage_user", action: "clear_sessions", pattern: re(`\b(?:clear|kill|end|revoke|terminate|close)\b.*\bsessions?\b|\b(?:sign|log)\b.*\bout\b|\blogout\b`), make: account},

	// who is in a group
	{function: "list_group_members", pattern: re(`^who(?:\s+(?:all|else))?(?:['’]s|\s+is|\s+are)\s+(?:all\s+)?(?:in|inside|part of|an?\s+members?\s+of|members?\s+of|the\s+members?\s+of)\s+(?P<group>.+)$`)},
	{function: "list_group_members", pattern: re(`^who\s+belongs\s+to\s+(?P<group>.+)$`)},
	{function: "list_group_members", pattern: re(`\b(?:members|people|users|everyone|everybody)\s+(?:are\s+)?(?:there\s+)?(?:of|in|inside)\s+(?P<group>.+)$`)},
	{function: "list_group_members", pattern: re(`^(?:list|show|get|give me|display|what are|who are)\s+(?:me\s+)?(?:all\s+)?(?:the\s+)?(?P<group>.*?)(?:['’]s)?\s*\bmembers$`)},

	// somebody's groups
	{function: "list_user_groups", pattern: re(`^is\s+(?P<user>.+?)\s+(?:in|an?\s+member\s+of|part\s+of)\s+.+$`)},
	{function: "list_user_groups", pattern: re(`\bmy\s+(?:okta\s+)?(?:own\s+)?(?:groups?|memberships?|group memberships?)\b|\bgroups?\b.*\b(?:am i|i am|i'm|do i|i belong|i have|for me|of mine|have i)\b|\bam i in\b`), make: forMe},
	{function: "list_user_groups", pattern: re(`\b(?:groups|memberships?)\b.*?\b(?:for|of|does|do|is|has)\s+(?P<user>.+?)(?:\s+(?:belong(?:s)?|have|has|got|in|member|members|a|of|to|is|are|part))*$`)},
	{function: "list_user_groups", pattern: re(`\bgroups\s+(?P<user>.+?)\s+(?:belongs?\s+to|is\s+(?:in|an?\s+member\s+of))$`)},
	{function: "list_user_groups", pattern: re(`^(?:okta\s+)?groups$`)},
	{function: "list_user_groups", pattern: re(`^(?:list|show|get|give me|what are|which are|display|tell me)?\s*(?:me\s+)?(?P<user>\S.*?)['’]s?\s+(?:okta\s+)?(?:groups|group memberships?|memberships?)$`)},
	{function: "list_user_groups", pattern: re(`^(?:list|show|get|give me)\s+(?:me\s+)?(?:the\s+)?(?:okta\s+)?user(?:'s)?\s+groups$`)},

	// search
	{function: "find_groups", pattern: re(`\bgroups?\b.*?\b(?:named|called|like|with|matching|containing|starting with|beginning with|that start with|that contain|for|about)\s+(?P<query>.+)$`)},
	{function: "find_groups", pattern: re(`^(?:find|search(?: for)?|look (?:up|for)|show|list|get|display)\s+(?:me\s+)?(?:all\s+)?(?:the\s+)?(?:okta\s+)?groups?\b\s*(?P<query>.*)$`), make: search},
	{function: "find_groups", pattern: re(`^(?:find|search(?: for)?|look (?:up|for))\s+(?:the\s+|an?\s+)?(?P<query>.+?)\s+groups?$`), make: search},
	{function: "find_groups", pattern: re(`^(?:which|what|how many|are there)\b.*\bgroups\b`)},
	{function: "find_users", pattern: re(`\b(?:users?|people|persons?|employees?|colleagues?|accounts?|someone|somebody|anyone)\b.*?\b(?:named|called|like|with the name|matching|whose name (?:is|starts with|contains)|with the e-?mail(?: address)?|starting with|beginning with)\s+(?P<query>.+)$`)},
	{function: "find_users", pattern: re(`^(?:find|search(?: for)?|look(?:ing)? (?:up|for))\s+(?:me\s+)?(?:all\s+)?(?:the\s+|an?\s+)?(?:okta\s+)?(?:users?|people|persons?|employees?|colleagues?|accounts?|someone|somebody)?\b\s*(?P<query>.*)$`), make: search},
	{function: "find_users", pattern: re(`^(?:list|show)\s+(?:me\s+)?(?:all\s+)?(?:the\s+)?(?:okta\s+)?(?:users|people|employees)\s*(?P<query>.*)$`), make: search},

	// one account
	{function: "get_user", pattern: re(`^who am i$|\bmy\s+(?:own\s+)?(?:okta\s+)?(?:account|profile|status|details|data|info(?:rmation)?|mfa|factors?|authenticators?|apps?|applications?|activity|log-?ins?|sign-?ins?)\b|\b(?:apps?|applications?|factors?)\b.*\b(?:do i have|have i|i have|am i assigned|can i use)\b`), make: forMe},
	{function: "get_user", pattern: re(`\b(?:account|profile|status|details|data|info(?:rmation)?|mfa|factors?|authenticators?|apps?|applications?|activity|log-?ins?|sign-?ins?|record)\s+(?:of|for|about|on)\s+(?P<user>.+)$`)},
	{function: "get_user", pattern: re(`^when did\s+(?P<user>.+?)\s+last\s+(?:log|sign)\b`)},
	{function: "get_user", pattern: re(`\b(?:apps?|applications?|factors?)\b.*?\b(?:does|do|has|is)\s+(?P<user>.+?)(?:\s+(?:have|has|got|use|uses|assigned|to))*$`)},
	{function: "get_user", pattern: re(`^(?:(?:show|get|give|display|describe|check|open|see|view|tell me about|look at|look up|what is|what's|what are)\s+)?(?:me\s+)?(?P<user>\S.*?)['’]s?\s+(?:(?:okta|recent|last|latest|full)\s+)?(?:account|profile|status|details|data|info(?:rmation)?|mfa|factors?|authenticators?|apps?|applications?|activity|log-?ins?|sign-?ins?|record)\b.*$`)},
	{function: "get_user", pattern: re(`^(?:who is|who['’]s|tell me about|what do you know about|describe|look at|show(?: me)?(?: the)? (?:user|account|profile)|get(?: the)? (?:user|account|profile))\b\s*(?P<user>.*)$`)},
	{function: "get_user", pattern: re(`^(?:show|display|get|check|see|view)\s+(?:me\s+)?(?P<user>\S+@\S+)$`)},
}

// match finds the intent of a text by the rules, and failing those by likeness to the catalogue's examples.
func match(text string) *intent {
	limit := ""
	if m := limits.FindStringSubmatch(text); m != nil && len(text) > len(m[0]) {
		limit = strings.TrimLeft(m[1], "0")
	}
	for _, r := range rules {
		s := sentence{text: text}
		if limit != "" && takes(r.function, "limit") {
			s.text = strings.TrimSpace(limits.ReplaceAllString(text, ""))
		}
		if r.function == "get_user" {
			s.text = extras.ReplaceAllString(s.text, "")
		}
		m := r.pattern.FindStringSubmatch(s.text)
		if m == nil {
			continue
		}
		s.part = map[string]string{}
		for i, name := range r.pattern.SubexpNames() {
			if name != "" && strings.TrimSpace(m[i]) != "" {
				s.part[name] = strings.TrimSpace(m[i])
			}
		}
		build := r.make
		if build == nil {
			build = asGiven
		}
		in := build(r, s)
		if in == nil {
			continue
		}
		if n := len(limit); n > 0 && takes(r.function, "limit") {
			if p, _ := in.f.Param("limit"); n > 2 || n == 2 && limit > fmt.Sprint(p.Max) {
				limit = fmt.Sprint(p.Max)
			}
			in.args["limit"] = limit
		}
		if r.function == "get_user" {
			in.args["include"] = include(text)
		}
		if several(text) {
			delete(in.args, "user") // one at a time: which?
		}
		return in
	}
	return likeExample(text)
}

// several says that the text names more than one person by address.
func several(text string) bool {
	all := email.FindAllString(text, 2)
	return len(all) > 1 && !strings.EqualFold(all[0], all[1])
}

func takes(function, param string) bool {
	f, _ := catalogue.Lookup(function)
	_, ok := f.Param(param)
	return ok
}

// asGiven takes the named parts as what they are.
func asGiven(r rule, s sentence) *intent {
	args := map[string]string{"action": r.action}
	for name, value := range s.part {
		switch name {
		case "user":
			args[name] = person(value)
		case "group", "app":
			args[name] = thing(value, name)
		case "approval":
			args[name] = strings.ToUpper(value)
		default:
			args[name] = unquote(value)
		}
	}
	return newIntent(r.function, args, r.need...)
}

func forMe(r rule, s sentence) *intent {
	in := asGiven(r, s)
	in.args["user"] = me
	return in
}

// search does without a query if the words after the noun are only a way to say "all".
func search(r rule, s sentence) *intent {
	query := unquote(filler.ReplaceAllString(s.part["query"], ""))
	if r.function == "find_users" && (strings.EqualFold(query, "me") || strings.EqualFold(query, "users")) {
		query = ""
	}
	return newIntent(r.function, map[string]string{"query": query})
}

// describedGroup takes a description off the name.
func describedGroup(r rule, s sentence) *intent {
	name, description := s.part["group"], ""
	if m := described.FindStringSubmatch(name); m != nil {
		name, description = m[1], unquote(m[2])
	}
	if strings.HasPrefix(strings.ToLower(s.text), "add ") && wordTo.MatchString(name) {
		return nil // "add the group X to …"
	}
	return newIntent(r.function, map[string]string{"action": r.action, "group": thing(name, "group"), "description": description})
}

// unlessFrom leaves "remove dave from the Support group" to the rules about membership.
func unlessFrom(r rule, s sentence) *intent {
	if wordFrom.MatchString(s.part["group"]) {
		return nil
	}
	return asGiven(r, s)
}

// access is an app and whom it is for.
func access(r rule, s sentence) *intent {
	if r.action == "assign" && isGroup(s.part["app"]) { // access to a group is membership
		return newIntent("change_group_membership", map[string]string{"action": "add", "user": person(s.part["assignee"]), "group": thing(s.part["app"], "group")})
	}
	in := newIntent(r.function, map[string]string{"action": r.action, "app": thing(s.part["app"], "app")})
	if assignee := s.part["assignee"]; assignee != "" {
		in.assignTo(assignee)
	}
	return in
}

// eitherWay tells "assign Figma to erin" from "assign erin to Figma".
func eitherWay(r rule, s sentence) *intent {
	app, assignee := s.part["a"], s.part["b"]
	if looksLikePerson(app) || isGroup(app) || appWord.MatchString(assignee) {
		app, assignee = assignee, app
	}
	in := newIntent(r.function, map[string]string{"action": r.action, "app": thing(app, "app")})
	in.assignTo(assignee)
	return in
}

// appFromPerson is "remove Figma from erin@example.com", which is about an app only because its end is a person, or
// because it says so.
func appFromPerson(r rule, s sentence) *intent {
	isApp := appWord.MatchString(s.part["app"])
	if !isApp && (looksLikePerson(s.part["app"]) || !looksLikePerson(s.part["assignee"])) {
		return nil
	}
	return access(r, s)
}

func looksLikePerson(s string) bool {
	return email.MatchString(s) || meWords.MatchString(s) || thatUserWords.MatchString(s) || userWord.MatchString(s)
}

var (
	filler    = re(`^(?:(?:named|called|like|with|for|in okta|there are|are there|available|please|exist)\b\s*)+`)
	described = re(`^(.*?)[,\s]+(?:with (?:the )?description|described as|description:?)\s+(.+)$`)
	wordTo    = re(`\bto\b`)
	wordFrom  = re(`\b(?:from|out of|off)\b`)
	appWord   = re(`^(?:the )?app(?:lication)?\b|\bapp(?:lication)?$`)
	userWord  = re(`^(?:the )?user\b`)
	ofWords   = re(`\b(?:of|for|from|on)\b`)

	accountWhose = re(`\b(?:of|for|from|on)\s+(?P<user>.+)$`)
	accountOwn   = re(`\b(?:my|me|myself|mine)\b|\b(?:i|i'm|i've)\b`)
	accountTheir = re(`\b(?:his|her|their|him|them)\b`)
	accountOf    = re(`(?:^|\s)(\S+(?:\s\S+)??)['’]s\b`)
	accountWords = re(`\b(?:(?:un)?suspend|suspension|unlock|lock(?:ed)?|freeze|(?:de|re)?activate|enable|disable|offboard|reinstate|reset|change|expire|forgot(?:ten)?|lost|recover|renew|lift|undo|clear|kill|end|revoke|terminate|close|sign|log|logout|out|of|every|all|everywhere|session|sessions|password|passwords|mfa|2fa|multi-?factor|factor|factors|authenticator|authenticators|the|an?|is|got|am|okta|account|user|users|active|and|immediately|everything)\b`)
)

// account finds whose account it is about.
func account(r rule, s sentence) *intent {
	text, user := s.text, ""
	switch {
	case email.MatchString(text), quoted.MatchString(text):
		user = person(text)
	case accountOf.MatchString(text):
		owner := accountOf.FindStringSubmatch(text)[1]
		user = person(strings.TrimSpace(accountWords.ReplaceAllString(owner, "")))
	case accountOwn.MatchString(text):
		user = me
	case accountTheir.MatchString(text):
		user = thatUser
	}
	if user == "" {
		rest := text
		if m := accountWhose.FindStringSubmatch(text); m != nil {
			if user = person(strings.Join(strings.Fields(accountWords.ReplaceAllString(m[1], " ")), " ")); user != "" {
				rest = ""
			}
		}
		if rest != "" {
			rest = ofWords.ReplaceAllString(rest, " ")
			user = person(strings.Join(strings.Fields(accountWords.ReplaceAllString(rest, " ")), " "))
		}
	}
	if len(strings.Fields(user)) > 4 { // a whole story, not a name
		user = ""
	}
	return newIntent(r.function, map[string]string{"action": r.action, "user": user})
}

var includes = []struct {
	value string
	words *regexp.Regexp
}{
	{"groups", re(`\bgroups?\b`)},
	{"apps", re(`\b(?:apps?|applications?)\b`)},
	{"factors", re(`\b(?:mfa|2fa|factors?|authenticators?)\b`)},
	{"activity", re(`\b(?:activity|log-?ins?|sign-?ins?|events?|last (?:log|sign))\b`)},
}

// include is what get_user should add, out of the words used.
func include(text string) string {
	var parts []string
	for _, p := range includes {
		if p.words.MatchString(text) {
			parts = append(parts, p.value)
		}
	}
	return strings.Join(parts, ",")
}

// likeExample picks the function one of whose examples shares most words with the text, if it shares most of them.
func likeExample(text string) *intent {
	words := func(s string) map[string]bool {
		set := map[string]bool{}
		for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			set[w] = true
		}
		return set
	}
	said := words(text)
	best, bestScore := "", 0.6
	for _, f := range catalogue.Functions() {
		for _, example := range f.Examples {
			shared, all := 0, len(said)
			for w := range words(plain(example)) {
				if said[w] {
					shared++
				} else {
					all++
				}
			}
			if score := float64(shared) / float64(max(all, 1)); score > bestScore {
				best, bestScore = f.Name, score
			}
		}
	}
	if best == "" {
		return nil
	}
	return newIntent(best, nil)
}
