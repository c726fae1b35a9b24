package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fga"
)

func configChecks() []check {
	area := func(id, what string, belongs func(key string) bool) check {
		return check{id: id, what: what, run: func(_ context.Context, s *Installation) verdict { return s.complete(belongs) }}
	}
	auth0 := func(key string) bool { return strings.HasPrefix(key, "AUTH0_") }
	fga := func(key string) bool { return strings.HasPrefix(key, "FGA_") && key != "FGA_AUTHORIZER_FUNCTION_NAME" }
	okta := func(key string) bool { return key == "OKTA_ORG_URL" }
	return []check{
		area("config.auth0", "the functions know their Auth0 application", auth0),
		area("config.okta", "the functions know their Okta org", okta),
		area("config.fga", "fga-authorizer knows its store", fga),
		area("config.app", "the functions know their tables, queue, agent and each other", func(key string) bool { return !auth0(key) && !fga(key) && !okta(key) }),
	}
}

// ids of FGA are ULIDs.
var ulids = []string{"FGA_STORE_ID", "FGA_MODEL_ID"}

// complete asks for every key that the fleet gives, as the functions do when they start.
func (s *Installation) complete(belongs func(string) bool) verdict {
	var missing, bad []string
	for _, fn := range fleet.Steward().Functions {
		for _, e := range fn.Keys(cmp.Or(s.Env["AGENT_RUNTIME"], "classic")) {
			value := s.Env[e.Key]
			switch {
			case !belongs(e.Key):
			case value == "" && !e.Optional && !s.openFGA(e.Key):
				missing = append(missing, in(e.Key))
			case value != "" && strings.HasSuffix(e.Key, "_URL"):
				if _, err := config.ParseURL(value); err != nil {
					bad = append(bad, in(e.Key)+": want an https URL")
				}
			case value != "" && slices.Contains(ulids, e.Key) && !fga.ValidID(value):
				bad = append(bad, in(e.Key)+": want the 26 characters of an id")
			}
		}
	}
	slices.Sort(missing)
	slices.Sort(bad)
	missing, bad = slices.Compact(missing), slices.Compact(bad)
	if len(missing)+len(bad) == 0 {
		return passed
	}
	var what []string
	if len(missing) > 0 {
		what = append(what, fmt.Sprintf("%d missing", len(missing)))
	}
	if len(bad) > 0 {
		what = append(what, fmt.Sprintf("%d unusable", len(bad)))
	}
	return wrong(strings.Join(append(missing, bad...), "; "), "the environment of the functions has %s", strings.Join(what, ", "))
}

// openFGA says whether a key may be missing since FGA is an OpenFGA without authentication.
func (s *Installation) openFGA(key string) bool {
	return s.Env["FGA_TOKEN_ISSUER_URL"] == "" && slices.Contains([]string{"FGA_TOKEN_ISSUER_URL", "FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"}, key) &&
		s.Env["FGA_AUDIENCE"]+s.Env["FGA_CLIENT_ID"]+s.Env["FGA_CLIENT_SECRET_ARN"] == ""
}
