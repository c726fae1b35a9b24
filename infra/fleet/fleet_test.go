package fleet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
)

// TestSignalsMatchLogs holds that the lines the functions write are counted by the signal they are meant for, and by no
// other.
func TestSignalsMatchLogs(t *testing.T) {
	answered := func(kind fault.Kind, cause string) string {
		var b bytes.Buffer
		fault.Answer(t.Context(), slog.New(slog.NewJSONHandler(&b, nil)), fault.New(kind, "…", errors.New(cause)))
		return b.String()
	}
	logged := func(level slog.Level, message string, attributes ...any) string {
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: asLambda})).Log(t.Context(), level, message, attributes...)
		return b.String()
	}
	cases := []struct {
		name, function, line string
		want                 []string
	}{
		{"FGA does not answer", fleet.FGAAuthorizer, logged(slog.LevelError, "checked", "reason", "timeout"), []string{"CouldNotAskFGA"}},
		{"FGA says no", fleet.FGAAuthorizer, logged(slog.LevelInfo, "checked"), nil},
		{"a person is denied", fleet.OktaGroups, answered(fault.Denied, "can_read"), []string{"DeniedBurst"}},
		{"a change is denied", fleet.CIBA, answered(fault.Denied, "can_delete"), []string{"DeniedBurst"}},
		{"Okta is busy", fleet.OktaGroups, answered(fault.Upstream, "okta groups: rate_limited, status 429, code E0000047"), []string{"AnsweredWithOurFault", "OktaRateLimited"}},
		{"Okta is down", fleet.OktaGroups, answered(fault.Upstream, "okta groups: unavailable, status 503"), []string{"AnsweredWithOurFault"}},
		{"nobody answers a push", fleet.ApprovalWorker, logged(slog.LevelInfo, "approval ended", "status", "expired"), []string{"ApprovalExpiring"}},
		{"a mark does not verify", fleet.ApprovalWorker, logged(slog.LevelError, "approval mark does not verify", "status", "approved"), []string{"AnsweredWithOurFault", "ApprovalNotGenuine"}},
		{"an approval of the version before", fleet.ApprovalWorker, logged(slog.LevelWarn, "approval without a mark"), nil},
		{"an approval is done", fleet.ApprovalWorker, logged(slog.LevelInfo, "approval ended", "status", "done"), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(c.line), &fields); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range fleet.Steward().Signals {
				if slices.Contains(s.Functions, c.function) && slices.ContainsFunc(s.Values, func(v string) bool {
					text, _ := fields[s.Field].(string)
					ok, err := path.Match(v, strings.ReplaceAll(text, "/", " "))
					return err == nil && ok
				}) {
					got = append(got, s.Name)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s counts as %v, want %v", c.line, got, c.want)
			}
		})
	}
}

// asLambda names the message as lambdacontext.NewLogger does.
func asLambda(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.MessageKey {
		a.Key = "message"
	}
	return a
}

// TestFleetIsConsistent holds the description to itself.
func TestFleetIsConsistent(t *testing.T) {
	f := fleet.Steward()
	names := map[string]bool{}
	for _, fn := range f.Functions {
		if names[fn.Name] {
			t.Errorf("%s is described twice", fn.Name)
		}
		names[fn.Name] = true
		keys := map[string]bool{}
		for _, e := range fn.Env {
			if keys[e.Key] || e.Value == "" || e.Only != "" && e.Only != "classic" && e.Only != "harness" {
				t.Errorf("%s: %+v", fn.Name, e)
			}
			keys[e.Key] = true
		}
		for _, a := range fn.Access {
			for _, action := range a.Actions {
				if strings.Contains(action, "*") || !strings.Contains(action, ":") {
					t.Errorf("%s may %q", fn.Name, action)
				}
			}
		}
	}
	for _, g := range catalogue.Functions() {
		if fn, ok := f.Function(g.Group); !ok || !fn.ActionGroup {
			t.Errorf("%s is served by %q, which is no action group", g.Name, g.Group)
		}
	}
	for _, s := range f.Signals {
		for _, name := range s.Functions {
			if !names[name] {
				t.Errorf("signal %s is read from %q", s.Name, name)
			}
		}
	}
}
