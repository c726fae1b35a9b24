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

// Acts are told to the person whose they are, in sentences that begin with "You". A sentence says what the entries say and no more.

// why is how a sentence "You asked to …" goes on, by what came of it.
var why = map[audit.Result]string{
	audit.Failed:    "it was not carried out",
	audit.Unknown:   "whether it took effect is not known",
	audit.Refused:   "you denied it on your phone",
	audit.Expired:   "nobody answered in time",
	audit.Cancelled: "you cancelled it before it was carried out",
	audit.SignedOut: "you signed out before it was carried out",

	audit.Result(fault.Invalid):         "it could not be understood",
	audit.Result(fault.Unauthenticated): "you were not signed in any more",
	audit.Result(fault.Denied):          "Okta did not allow it",
	audit.Result(fault.Pending):         "it waits for your phone already",
	audit.Result(fault.Rejected):        "it did not come from you",
	audit.Result(fault.NotFound):        "nothing by that name was found",
	audit.Result(fault.Conflict):        "it was not possible",
	audit.Result(fault.Upstream):        "something that Steward needs did not answer",
	audit.Result(fault.Internal):        "something went wrong",
}

// own are the sentences about the person's own sign-in, by operation and result. {target} is the account.
var own = map[string]map[audit.Result]label.Phrase{
	audit.SignIn:  {audit.OK: "You signed in."},
	audit.SignOut: {audit.OK: "You signed out.", audit.Failed: "You signed out; the stored sign-in could not be removed."},
	audit.ConnectOkta: {
		audit.OK:                     "You connected an Okta account[: that of {target}].",
		audit.Unknown:                "You connected an Okta account; whose it is could not be found out then.",
		audit.Result(fault.Conflict): "You connected an Okta account that is not yours[: that of {target}]. Steward did not use it.",
	},
	audit.DisconnectOkta: {
		audit.OK:     "An Okta account was disconnected[: that of {target}].",
		audit.Failed: "An Okta account that is not yours[, that of {target},] could not be disconnected. Steward did not use it.",
	},
	audit.LinkConsole: {audit.OK: "You linked a session of the Bedrock console."},
}

// sentence tells the act.
func (a act) sentence() string {
	last := a.last()
	if phrase, ok := own[last.Operation][last.Result]; ok {
		return phrase.Say(a.name)
	}
	op, ok := catalogue.OperationByID(last.Operation)
	if !ok { // of another version
		op.Phrase = label.Phrase(sentence(last.Operation) + "[ {target}][, {party}]")
		op.Past = label.Phrase("did this: " + strings.ReplaceAll(last.Operation, "_", " ") + "[ {target}][, {party}]")
	}
	switch last.Result {
	case audit.Done, audit.OK:
		return "You " + op.Past.Say(a.name) + "."
	case audit.Approved:
		return "You asked to " + a.asked(op) + ". It is being carried out."
	case audit.None:
		if last.ApprovalID != "" {
			return "You asked to " + a.asked(op) + ". It waits for your phone."
		}
		return "You " + op.Past.Say(a.name) + "."
	default:
		return "You asked to " + a.asked(op) + "; " + a.why() + "."
	}
}

// asked is what was asked for, as it stands behind "You asked to ".
func (a act) asked(op catalogue.Operation) string {
	said := op.Phrase.Say(a.name)
	return strings.ToLower(said[:1]) + said[1:]
}

// why says why nothing came of it.
func (a act) why() string {
	last := a.last()
	later := ""
	if last.ApprovalID != "" { // it was allowed when it was asked for
		later = " any more"
	}
	switch {
	case last.Permission == audit.Denied:
		return "you were not allowed to" + later
	case last.Permission == audit.Unchecked && (last.Result == audit.Result(fault.Upstream) || last.ApprovalID != ""):
		return "whether you may could not be checked"
	}
	if said, ok := why[last.Result]; ok {
		return said
	}
	return "it ended with " + strings.ReplaceAll(string(last.Result), "_", " ")
}

// unnamed stands for what an entry does not name.
var unnamed = map[catalogue.Target]string{catalogue.TargetUser: "a person", catalogue.TargetGroup: "a group", catalogue.TargetApp: "an app"}

// name is the name for a place of the operation's phrase.
func (a act) name(place string) string {
	last := a.last()
	args := last.Args
	if last.Operation == "create_group" && args[approval.ArgName] == "" { // refused before there was a change
		args = map[string]string{approval.ArgName: last.Object.Label}
	}
	names := approval.Names(known(last.Object), known(last.Member), args)
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

// known is an object by whatever the entry knows of it. What was refused early has a name only.
func known(r audit.Ref) approval.Ref {
	k := approval.Ref{Type: r.Type, ID: r.ID, Label: r.Label}
	if k.ID == "" {
		k.ID = k.Label
	}
	if k.Label == "" {
		k.Label = k.ID
	}
	return k
}
