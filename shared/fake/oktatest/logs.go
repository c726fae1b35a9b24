package oktatest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type target struct{ id, kind, alternate, name string }

func (u *user) target() target  { return target{u.id, "User", u.login, u.name()} }
func (g *group) target() target { return target{g.id, "UserGroup", "unknown", g.name} }
func (a *app) target() target   { return target{a.id, "AppInstance", a.label, a.label} }

type event struct {
	uuid, kind, message string
	published           time.Time
	actor               target
	targets             []target
	agent, ip           string
	transaction         string
}

// log writes what the caller just did into the System Log.
func (c *call) log(kind, message string, targets ...target) {
	ip, _, _ := strings.Cut(c.r.RemoteAddr, ":")
	c.events = append(c.events, &event{
		uuid: c.uuid(), kind: kind, message: message, published: c.now, actor: c.actor.target(), targets: targets,
		agent: c.r.UserAgent(), ip: ip, transaction: c.requestID,
	})
}

func (o *Org) uuid() string {
	h := o.randomHex(32)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func (t target) json() map[string]any {
	return map[string]any{"id": t.id, "type": t.kind, "alternateId": t.alternate, "displayName": t.name, "detailEntry": nil}
}

func (e *event) json() any {
	targets := make([]any, 0, len(e.targets))
	for _, t := range e.targets {
		targets = append(targets, t.json())
	}
	return map[string]any{
		"uuid": e.uuid, "published": stamp(e.published), "eventType": e.kind, "version": "0", "severity": "INFO",
		"legacyEventType": nil, "displayMessage": e.message, "actor": e.actor.json(), "target": targets,
		"client": map[string]any{
			"userAgent": map[string]any{"rawUserAgent": e.agent, "os": "Unknown", "browser": "UNKNOWN"},
			"zone":      "null", "device": "Unknown", "id": nil, "ipAddress": e.ip, "geographicalContext": nil,
		},
		"outcome":         map[string]any{"result": "SUCCESS", "reason": nil},
		"transaction":     map[string]any{"type": "WEB", "id": e.transaction, "detail": map[string]any{}},
		"debugContext":    map[string]any{"debugData": map[string]any{"requestId": e.transaction}},
		"securityContext": map[string]any{"asNumber": nil, "asOrg": nil, "isp": nil, "domain": nil, "isProxy": nil},
		"authenticationContext": map[string]any{
			"authenticationStep": 0, "externalSessionId": "unknown", "interface": nil, "issuer": nil,
			"authenticationProvider": nil, "credentialProvider": nil, "credentialType": nil,
		},
		"request": map[string]any{"ipChain": []any{}},
	}
}

func (e *event) values(attr string) []string {
	pick := func(of func(target) string) (out []string) {
		for _, t := range e.targets {
			out = append(out, of(t))
		}
		return out
	}
	switch attr {
	case "eventType":
		return []string{e.kind}
	case "uuid":
		return []string{e.uuid}
	case "displayMessage":
		return []string{e.message}
	case "outcome.result":
		return []string{"SUCCESS"}
	case "severity":
		return []string{"INFO"}
	case "transaction.id":
		return []string{e.transaction}
	case "actor.id":
		return []string{e.actor.id}
	case "actor.type":
		return []string{e.actor.kind}
	case "actor.alternateId":
		return []string{e.actor.alternate}
	case "actor.displayName":
		return []string{e.actor.name}
	case "target.id":
		return pick(func(t target) string { return t.id })
	case "target.type":
		return pick(func(t target) string { return t.kind })
	case "target.alternateId":
		return pick(func(t target) string { return t.alternate })
	case "target.displayName":
		return pick(func(t target) string { return t.name })
	}
	return nil
}

var logAttrs = []string{
	"eventType", "uuid", "displayMessage", "outcome.result", "severity", "transaction.id", "actor.id", "actor.type",
	"actor.alternateId", "actor.displayName", "target.id", "target.type", "target.alternateId", "target.displayName",
}

var logFilter = grammar{fold: true, not: true, ops: func(attr string) []string {
	if attr == "published" || slices.Contains(logAttrs, attr) {
		if attr == "published" {
			return []string{"pr"} // the window is what since and until are for
		}
		return []string{"eq", "sw", "co", "ew", "gt", "ge", "lt", "le", "pr"}
	}
	return nil
}}

const retention = 180 * 24 * time.Hour

func (c *call) listEvents() {
	q := c.r.URL.Query()
	when := func(name string, standard time.Time) (time.Time, bool) {
		s := q.Get(name)
		if s == "" {
			return standard, true
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			c.invalid(name, name+": The value is not a date")
			return t, false
		}
		return t, true
	}
	until, ok := when("until", c.now)
	if !ok {
		return
	}
	since, ok := when("since", until.Add(-7*24*time.Hour))
	if !ok {
		return
	}
	if c.now.Sub(since) > retention {
		c.fail(http.StatusBadRequest, "E0000053", "Invalid filter: since is more than 180 days ago")
		return
	}
	limit := 100
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 1000 {
			c.invalid("limit", "limit: must be between 0 and 1000")
			return
		}
		limit = n
	}
	keep := func(*event) bool { return true }
	if q.Get("filter") != "" {
		e, ok := c.query("filter", logFilter)
		if !ok {
			return
		}
		keep = func(v *event) bool { return e.eval(v.values) }
	}
	words := strings.Fields(strings.ToLower(q.Get("q")))
	if len(words) > 10 || slices.ContainsFunc(words, func(w string) bool { return len(w) > 40 }) {
		c.invalid("q", "q: at most 10 keywords of 40 characters")
		return
	}

	var found []*event
	for _, e := range c.events {
		text := e.text()
		if !e.published.Before(since) && !e.published.After(until) && keep(e) &&
			!slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *event) int { return a.published.Compare(b.published) })
	descending := strings.EqualFold(q.Get("sortOrder"), "DESCENDING")
	if descending {
		slices.Reverse(found)
	}
	from := 0
	if after := q.Get("after"); after != "" && after != "start" {
		i := slices.IndexFunc(found, func(e *event) bool { return e.uuid == after })
		if i < 0 {
			c.fail(http.StatusBadRequest, "E0000031", "Invalid search criteria.", "Invalid cursor.")
			return
		}
		from = i + 1
	}
	size := limit
	if c.opts.PageSize > 0 {
		size = min(size, c.opts.PageSize)
	}
	to := min(from+size, len(found))
	out := make([]any, 0, to-from)
	for _, e := range found[from:to] {
		out = append(out, e.json())
	}
	c.link("self", q)
	polling := !q.Has("until") && !descending
	if to < len(found) || polling {
		after := "start"
		if to > 0 {
			after = found[to-1].uuid
		}
		q.Set("after", after)
		c.link("next", q)
	}
	c.ok(out)
}

func (e *event) text() string {
	parts := []string{e.kind, e.message, e.actor.id, e.actor.alternate, e.actor.name}
	for _, t := range e.targets {
		parts = append(parts, t.id, t.alternate, t.name)
	}
	return strings.ToLower(strings.Join(parts, " "))
}
