package oktatest

import (
	"net/http"
	"slices"
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
	if attr == "actor.id" {
		return []string{e.actor.id}
	}
	var ids []string
	for _, t := range e.targets {
		ids = append(ids, t.id)
	}
	return ids
}

var logFilter = grammar{attributes: []string{"actor.id", "target.id"}, operators: []string{"eq"}}

const retention = 180 * 24 * time.Hour

// listEvents answers a bounded query, newest first; polling is not implemented.
func (c *call) listEvents() {
	if !c.only("since", "until", "filter", "sortOrder") {
		return
	}
	q := c.r.URL.Query()
	since, err1 := time.Parse(time.RFC3339, q.Get("since"))
	until, err2 := time.Parse(time.RFC3339, q.Get("until"))
	switch {
	case !q.Has("since") || !q.Has("until") || q.Get("sortOrder") != "DESCENDING":
		c.notImplemented("a log without since, until and sortOrder=DESCENDING")
		return
	case err1 != nil || err2 != nil:
		c.invalid("since", "since: The value is not a date")
		return
	case c.now.Sub(since) > retention:
		c.fail(http.StatusBadRequest, "E0000053", "Invalid filter: since is more than 180 days ago")
		return
	}
	e, ok := c.query("filter", logFilter)
	if !ok {
		return
	}
	var found []*event
	for _, v := range c.events {
		if !v.published.Before(since) && !v.published.After(until) && e.eval(v.values) {
			found = append(found, v)
		}
	}
	slices.SortStableFunc(found, func(a, b *event) int { return a.published.Compare(b.published) })
	slices.Reverse(found)
	page(c, found, func(v *event) string { return v.uuid }, 100, 1000, (*event).json)
}
