package bedrocktest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/steward-iam/steward/shared/catalogue"
)

// Planner is a [Model] without a model: rules about English sentences that pick a function of the catalogue and its
// arguments. It asks back for what is missing, takes the next message as the answer, and passes on what a tool says. It
// keeps nothing: all it knows it reads again from the conversation, each time. The same conversation gives the same reply.
type Planner struct{}

// Next reads the conversation from its beginning and replies to its last message.
func (Planner) Next(_ context.Context, conversation []Message) (Reply, error) {
	var m memory
	var reply Reply
	words := 0
	for _, msg := range conversation {
		words += len(strings.Fields(msg.Text))
		switch {
		case msg.Role == User && len(msg.Results) > 0:
			reply = m.relay(msg.Results)
		case msg.Role == User:
			reply = m.respond(msg.Text)
		}
	}
	reply.InputTokens = 400 + words*4/3
	reply.OutputTokens = 8 + len(strings.Fields(reply.Text))*4/3
	return reply, nil
}

// memory is what the conversation so far amounts to.
type memory struct {
	asked       *intent // waits for the answer to a question about its argument asked.missing()
	called      *intent // the last call
	refused     bool    // whose tool refused or offered candidates
	user, group string  // last spoken of: "him", "that group"
}

// intent is a call in the making.
type intent struct {
	f    catalogue.Function
	args map[string]string
	need []string // arguments that this sentence wants though the catalogue would do without
}

func newIntent(function string, args map[string]string, need ...string) *intent {
	f, ok := catalogue.Lookup(function)
	if !ok {
		return nil
	}
	in := &intent{f: f, args: map[string]string{}, need: need}
	for name, value := range args {
		if _, ok := f.Param(name); ok && value != "" {
			in.args[name] = value
		}
	}
	return in
}

// missing is the first argument without which the call makes no sense; "" if there is none.
func (in *intent) missing() string {
	for _, p := range in.f.Params {
		if (p.Required || slices.Contains(in.need, p.Name)) && in.args[p.Name] == "" {
			return p.Name
		}
	}
	if in.f.Name == "change_app_assignment" && in.args["user"] == "" && in.args["group"] == "" {
		return "user"
	}
	return ""
}

// call is the intent as the model would write it: arguments in the catalogue's order, and the signed-in person left out
// where that is the default.
func (in *intent) call() Call {
	c := Call{Function: in.f.Name}
	for _, p := range in.f.Params {
		value := in.args[p.Name]
		if value == "" || p.Name == "user" && value == me && !p.Required && in.f.Name != "change_app_assignment" {
			continue
		}
		c.Args = append(c.Args, Arg{p.Name, value})
	}
	return c
}

// respond replies to what the person says.
func (m *memory) respond(text string) Reply {
	text = plain(text)
	in := m.understand(text)
	if in == nil {
		m.asked, m.refused = nil, false
		return Reply{Text: smallTalk(text)}
	}
	m.resolve(in)
	if missing := in.missing(); missing != "" {
		m.asked, m.refused = in, false
		return Reply{Text: question(in, missing)}
	}
	m.asked, m.called, m.refused = nil, in, false
	if u := in.args["user"]; u != "" && u != me {
		m.user = u
	}
	if g := in.args["group"]; g != "" {
		m.group = g
	}
	return Reply{Rationale: fmt.Sprintf("The person asks for this: %s I call %s.", in.f.Description, in.f.Name), Calls: []Call{in.call()}}
}

// understand makes an intent of the text: of itself, or as the answer to a question of ours or of a tool.
func (m *memory) understand(text string) *intent {
	if m.asked != nil {
		missing := m.asked.missing()
		if dropIt.MatchString(text) {
			return nil
		}
		free := missing == "query" || missing == "new_name" || missing == "description"
		if !free {
			if in := match(text); in != nil {
				return in
			}
		}
		if in := m.asked.with(missing, text); in != nil {
			return in
		}
		return m.asked // not an answer: the question is asked again
	}
	if in := match(text); in != nil {
		return in
	}
	if m.refused && m.called != nil && !chat.MatchString(text) && len(strings.Fields(text)) <= 4 {
		for _, name := range []string{"user", "group", "app"} { // a choice among candidates
			if name == "user" == email.MatchString(text) && m.called.args[name] != "" {
				return m.called.with(name, text)
			}
		}
	}
	return nil
}

// with is the intent with one more argument out of an answer; nil if the answer holds none.
func (in *intent) with(name, answer string) *intent {
	next := &intent{f: in.f, args: map[string]string{}, need: in.need}
	for k, v := range in.args {
		next.args[k] = v
	}
	answer = preamble.ReplaceAllString(answer, "")
	p, _ := in.f.Param(name)
	switch {
	case name == "action":
		for _, value := range p.Enum {
			if strings.Contains(strings.ToLower(answer), strings.ReplaceAll(value, "_", " ")) || strings.EqualFold(answer, value) {
				next.args[name] = value
				break
			}
		}
	case name == "user" && in.f.Name == "change_app_assignment":
		next.assignTo(answer)
	case name == "user":
		next.args[name] = person(answer)
	case name == "group":
		next.args[name] = thing(answer, "group")
	case name == "app":
		next.args[name] = thing(answer, "app")
	default:
		next.args[name] = unquote(answer)
	}
	if next.args[name] == "" && next.missing() == name {
		return nil
	}
	return next
}

// isGroup says that a text calls itself a group: "group X", "the X group".
func isGroup(s string) bool {
	return groupWord.MatchString(s) || strings.HasSuffix(strings.ToLower(s), " group")
}

// assignTo names the person or the group that an app is assigned to.
func (in *intent) assignTo(assignee string) {
	if isGroup(assignee) {
		in.args["group"] = thing(assignee, "group")
		return
	}
	in.args["user"] = person(assignee)
}

// resolve replaces "him" and "it" by whom or what was spoken of.
func (m *memory) resolve(in *intent) {
	if in.args["user"] == thatUser {
		in.args["user"] = m.user
	}
	if in.args["group"] == thatThing {
		in.args["group"] = m.group
	}
	for name, value := range in.args {
		if value == thatUser || value == thatThing {
			in.args[name] = ""
		}
	}
	if _, ok := in.f.Param("user"); ok && in.args["user"] == "" && in.f.Name != "change_app_assignment" {
		in.need = append(in.need, "user")
	}
}

// relay passes on what the tools answered.
func (m *memory) relay(results []Result) Reply {
	var texts []string
	m.refused = false
	for _, r := range results {
		m.refused = m.refused || r.Refused
		if text := strings.TrimSpace(r.Text); text != "" {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 {
		return Reply{Text: "The tool gave no answer, so I do not know."}
	}
	return Reply{Text: strings.Join(texts, "\n\n")}
}

func question(in *intent, missing string) string {
	switch {
	case missing == "user" && in.f.Name == "change_app_assignment":
		return "For whom? Name a user, or say \"group\" and its name."
	case missing == "user":
		return "Which user? Give one login, e-mail address or name, or say \"me\"."
	case missing == "group":
		return "Which group?"
	case missing == "app":
		return "Which app?"
	case missing == "new_name":
		return "What should its new name be?"
	case missing == "query":
		return "What should I look for? Give a part of the name."
	}
	p, _ := in.f.Param(missing)
	if len(p.Enum) > 0 {
		return "Which of these: " + strings.ReplaceAll(strings.Join(p.Enum, ", "), "_", " ") + "?"
	}
	return "I need one more thing: " + p.Description
}

func smallTalk(text string) string {
	var b strings.Builder
	switch {
	case dropIt.MatchString(text):
		return "All right, I leave it."
	case thanks.MatchString(text):
		return "You are welcome."
	case greeting.MatchString(text):
		b.WriteString("Hello, I am Steward. ")
	case chat.MatchString(text):
	default:
		b.WriteString("I did not understand that. ")
	}
	b.WriteString("I help with Okta access. You can ask, for example:")
	for _, f := range catalogue.Functions() {
		for _, example := range f.Examples[:min(1, len(f.Examples))] {
			b.WriteString("\n- " + example)
		}
	}
	return b.String()
}

// Marks in arguments until they are resolved.
const (
	me        = "me"
	thatUser  = "\x00user"
	thatThing = "\x00thing"
)

func re(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern) }

var (
	facts    = re(`^\[[^\]]*\]\s*`)
	polite   = re(`^(?:(?:hi|hello|hey|dear)(?: there)?(?: steward)?[,!. ]+|steward[,: ]+|please[, ]+|kindly +|ok(?:ay)?[,. ]+|and +|then +|now +|so +|(?:can|could|would|will) you(?: please)? +|(?:i want|i'd like|i would like|i need|we need|i have)(?: you)? to +|how (?:do|can|could|would) i +|how to +|help me(?: to)? +|can i +|let's +|go ahead and +)`)
	politeAt = re(`(?:[,.!?;: ]+(?:in okta|please|thanks|thank you|for me please|right now|now|asap|again))*[\s.!?;:,]*$`)
	preamble = re(`^(?:it'?s|its|it is|for|to|of|from|in|the user is|the group is|the app is|named|called|i mean|i meant|make it|use)\s+`)

	dropIt   = re(`^(?:never ?mind|forget (?:it|that|about it)|cancel|stop|no(?:thing)?|no thanks|leave it|abort)$`)
	thanks   = re(`^(?:thanks?|thank you|thx|cheers|great|perfect|cool)\b`)
	greeting = re(`^(?:hi|hello|hey|good (?:morning|afternoon|evening)|moin|hallo)\b`)
	chat     = re(`^(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?|thank you|great|ok(?:ay)?|yes|no|sure|help|what can you do|what do you do|who are you|what are you)\b`)

	email     = re(`[a-z0-9._%+'-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*`)
	quoted    = re(`["“”„«]([^"“”„«»]+)["“”»]|(?:^|\s)'([^']+)'(?:$|[\s.?!])|‘([^’]+)’`)
	groupWord = re(`^(?:the\s+|a\s+)?(?:okta\s+)?group\b`)
	limits    = re(`[,\s]*\b(?:(?:the )?first|top|limit(?: of| to)?|at most|max(?:imum)?|up to|only)\s+(\d{1,4})\b`)
	extras    = re(`\s*,?\s*(?:with|including|include|plus|and)\s+(?:also\s+)?(?:(?:the|his|her|their|my|all|recent)\s+)*(?:mfa|factors?|authenticators?|groups?|apps?|applications?|activity|log-?ins?|sign-?ins?|events?)\b.*$`)

	meWords        = re(`^(?:me|my|myself|i|mine|us|my ?self|my own(?: account)?|my (?:okta )?(?:account|user|profile|password))$`)
	thatUserWords  = re(`^(?:him|her|them|his|hers|their|theirs|he|she|they|(?:that|this|the same) (?:user|person|account|one)|the user|the person)$`)
	nobody         = re(`^(?:an?|the|some|any|another|which|what|okta|my)?\s*(?:okta )?(?:users?|persons?|people|colleagues?|accounts?|someone|somebody|anyone|one|passwords?|else)?(?: else| account)?$`)
	lead           = re(`^(?:(?:the|an?|okta|user|person|colleague|account|accounts|login|employee|member|named|called|of|for|-|–|:)\s+)+`)
	tail           = re(`(?:['’]s?)?\s+(?:okta )?(?:user|account|profile|login|password|sessions?|everywhere|too|as well)$|['’]s?$`)
	thatThingWords = re(`^(?:it|that|this|there|(?:that|this|the same|the) (?:group|one|team))$`)
)

// plain is the text without the line of verified facts, politeness and closing marks.
func plain(text string) string {
	text = facts.ReplaceAllString(strings.TrimSpace(text), "")
	text = strings.Join(strings.Fields(text), " ")
	text = strings.TrimSpace(politeAt.ReplaceAllString(text, ""))
	for range 4 {
		next := polite.ReplaceAllString(text, "")
		if next == text || next == "" {
			break
		}
		text = next
	}
	return text
}

func unquote(s string) string {
	if m := quoted.FindStringSubmatch(s); m != nil {
		return strings.TrimSpace(m[1] + m[2] + m[3])
	}
	return strings.Trim(s, ` "'“”‘’.,;:!?`)
}

// person is who is meant: an address, a name, [me], [thatUser], or "" for nobody in particular.
func person(s string) string {
	s = strings.Trim(strings.TrimSpace(s), ".,;:!?")
	if m := email.FindString(s); m != "" {
		return strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(m, "'s"), "'"), ".")
	}
	if quoted.MatchString(s) {
		return unquote(s)
	}
	for range 3 {
		switch {
		case meWords.MatchString(s):
			return me
		case thatUserWords.MatchString(s):
			return thatUser
		case nobody.MatchString(s):
			return ""
		}
		s = strings.Trim(tail.ReplaceAllString(lead.ReplaceAllString(s, ""), ""), ` .,;:!?"'`)
	}
	return s
}

// nouns is what stands before and after the name of a thing.
var nouns = map[string][2]*regexp.Regexp{
	"group": {re(`^(?:(?:the|an?|my|our|new|okta|some|any|another|groups?|called|named|with the name|-|:)(?:\s+|$))+`), re(`(?:^|\s+)groups?$`)},
	"app":   {re(`^(?:(?:the|an?|my|our|new|okta|some|any|another|apps?|application|called|named|-|:)(?:\s+|$))+`), re(`(?:^|\s+)(?:apps?|application)$`)},
}

// thing is the name of a group or an app: a name, [thatThing], or "" for none in particular.
func thing(s, kind string) string {
	s = strings.Trim(strings.TrimSpace(s), ".,;:!?")
	if quoted.MatchString(s) {
		return unquote(s)
	}
	if thatThingWords.MatchString(s) {
		return thatThing
	}
	noun := nouns[kind]
	return strings.Trim(noun[1].ReplaceAllString(noun[0].ReplaceAllString(s, ""), ""), ` .,;:!?"'`)
}
