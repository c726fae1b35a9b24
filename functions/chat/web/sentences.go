package web

import (
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/label"
)

// The activity describes each act to the person who did it, in one sentence that begins with "You" and says no more than its
// entries.

// reasons complete the sentence "You asked to …; …." by the result.
var reasons = map[audit.Result]string{
	audit.Failed:    "I did not do it",
	audit.Unknown:   "I do not know whether it took effect",
	audit.Refused:   "you denied it on your phone",
	audit.Expired:   "nobody answered in time",
	audit.Cancelled: "you cancelled it before I began",
	audit.SignedOut: "you signed out before I began",

	audit.Result(fault.Invalid):         "I did not understand the request",
	audit.Result(fault.Unauthenticated): "you were not signed in any more",
	audit.Result(fault.Denied):          "Okta did not allow it",
	audit.Result(fault.Pending):         "it already waits for your phone",
	audit.Result(fault.Rejected):        "the approval did not come from you",
	audit.Result(fault.NotFound):        "nothing by that name was found",
	audit.Result(fault.Conflict):        "it was not possible",
	audit.Result(fault.Upstream):        "a system that I need did not answer",
	audit.Result(fault.Internal):        "something went wrong",
}

// loginSentences are the sentences about sign-in and the Okta account, by operation and result. {target} is the account.
var loginSentences = map[string]map[audit.Result]label.Phrase{
	audit.SignIn:  {audit.OK: "You signed in."},
	audit.SignOut: {audit.OK: "You signed out.", audit.Failed: "You signed out; I could not delete your stored sign-in."},
	audit.ConnectOkta: {
		audit.OK:                     "You connected an Okta account[: that of {target}].",
		audit.Unknown:                "You connected an Okta account; I could not find out whose it is.",
		audit.Result(fault.Conflict): "You connected an Okta account that is not yours[: that of {target}]. I did not use it.",
	},
	audit.DisconnectOkta: {
		audit.OK:     "You disconnected an Okta account[: that of {target}].",
		audit.Failed: "I could not disconnect an Okta account that is not yours[: that of {target}]. I did not use it.",
	},
	audit.LinkConsole: {audit.OK: "You linked a session of the Bedrock console."},
}

// sentence describes the act.
func (a act) sentence() string {
	last := a.last()
	if phrase, ok := loginSentences[last.Operation][last.Result]; ok {
		return phrase.Say(a.name)
	}
	op, ok := catalogue.OperationByID(last.Operation)
	if !ok { // of another version
		op.Phrase = label.Phrase(operationName(last.Operation) + "[ {target}][, {party}]")
		op.Past = label.Phrase("did this: " + strings.ReplaceAll(last.Operation, "_", " ") + "[ {target}][, {party}]")
	}
	switch last.Result {
	case audit.Done, audit.OK:
		return "You " + op.Past.Say(a.name) + "."
	case audit.Approved:
		return "You asked to " + a.request(op) + ". I am doing it."
	case audit.None:
		if last.ApprovalID != "" {
			return "You asked to " + a.request(op) + ". It waits for your phone."
		}
		return "You " + op.Past.Say(a.name) + "."
	default:
		return "You asked to " + a.request(op) + "; " + a.reason() + "."
	}
}

// request returns what the person asked for, to follow "You asked to ".
func (a act) request(op catalogue.Operation) string {
	phrase := op.Phrase.Say(a.name)
	return strings.ToLower(phrase[:1]) + phrase[1:]
}

// reason returns why the act had no effect.
func (a act) reason() string {
	last := a.last()
	later := ""
	if last.ApprovalID != "" { // it was allowed when it was asked for
		later = " any more"
	}
	switch {
	case last.Permission == audit.Denied:
		return "you were not allowed to" + later
	case last.Permission == audit.Unchecked && (last.Result == audit.Result(fault.Upstream) || last.ApprovalID != ""):
		return "I could not check whether you may"
	}
	if reason, ok := reasons[last.Result]; ok {
		return reason
	}
	return "it ended with " + strings.ReplaceAll(string(last.Result), "_", " ")
}

// unnamed is used for an object without a name.
var unnamed = map[catalogue.Target]string{catalogue.TargetUser: "a person", catalogue.TargetGroup: "a group", catalogue.TargetApp: "an app"}

// name returns the name for a placeholder of the operation's phrase.
func (a act) name(place string) string {
	last := a.last()
	args := last.Args
	if last.Operation == "create_group" && args[approval.ArgName] == "" { // refused before there was a change
		args = map[string]string{approval.ArgName: last.Object.Label}
	}
	names := approval.Names(ref(last.Object), ref(last.Member), args)
	if i := slices.IndexFunc(names, func(n label.Name) bool { return n.Place == place }); i >= 0 && names[i].Text != "" {
		return names[i].Quoted(longestName)
	}
	op, ok := catalogue.OperationByID(last.Operation)
	if !ok {
		return ""
	}
	switch place {
	case "target":
		return unnamed[op.Target]
	case "party":
		return "somebody"
	case approval.ArgName, approval.ArgNewName:
		return "without a name"
	}
	return ""
}

const longestName = 120

// ref returns the object of an entry; a missing id or label is replaced by the other. A request that was refused early has a
// label only.
func ref(r audit.Ref) approval.Ref {
	k := approval.Ref{Type: r.Type, ID: r.ID, Label: r.Label}
	if k.ID == "" {
		k.ID = k.Label
	}
	if k.Label == "" {
		k.Label = k.ID
	}
	return k
}
