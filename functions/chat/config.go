package main

import (
	"errors"
	"net/url"

	"github.com/steward-iam/steward/shared/config"
)

// The agent runtimes.
const (
	runtimeClassic = "classic"
	runtimeHarness = "harness"
)

// settings is the environment of the function.
type settings struct {
	SessionTable string
	AuditTable   string

	Issuer          *url.URL
	ClientID        string
	ClientSecretARN string
	Connection      string
	TokenKeyARN     string
	AuditKeyARN     string
	OktaOrg         *url.URL

	Runtime    string
	AgentID    string // classic
	AgentAlias string
	HarnessARN string // harness, as are the names of the functions behind its tools
	OktaGroups string
	CIBA       string

	BaseURL          *url.URL // this, or
	BaseURLParameter string   // the Systems Manager parameter with the URL, which exists only after the function URL does

	Linking bool // whether console sessions can be linked; not for production
}

// parseConfig reads the environment. The error names every fault.
func parseConfig(lookup config.Lookup) (settings, error) {
	r := config.Read(lookup)
	s := settings{
		SessionTable:     r.String("SESSION_TABLE_NAME"),
		AuditTable:       r.String("AUDIT_TABLE_NAME"),
		Issuer:           r.URL("AUTH0_ISSUER_URL"),
		ClientID:         r.String("AUTH0_CLIENT_ID"),
		ClientSecretARN:  r.String("AUTH0_CLIENT_SECRET_ARN"),
		Connection:       r.String("AUTH0_CONNECTION_NAME"),
		TokenKeyARN:      r.String("TOKEN_KEY_SECRET_ARN"),
		AuditKeyARN:      r.String("AUDIT_KEY_SECRET_ARN"),
		OktaOrg:          r.URL("OKTA_ORG_URL"),
		Runtime:          r.Enum("AGENT_RUNTIME", runtimeClassic, runtimeHarness),
		BaseURL:          r.OptionalURL("APP_BASE_URL"),
		BaseURLParameter: r.Optional("APP_BASE_URL_PARAMETER", ""),
		Linking:          r.OptionalSwitch("CONSOLE_LINKING"),
	}
	switch s.Runtime {
	case runtimeClassic:
		s.AgentID = r.String("BEDROCK_AGENT_ID")
		s.AgentAlias = r.String("BEDROCK_AGENT_ALIAS_ID")
	case runtimeHarness:
		s.HarnessARN = r.String("HARNESS_ARN")
		s.OktaGroups = r.String("OKTA_GROUPS_FUNCTION_NAME")
		s.CIBA = r.String("CIBA_FUNCTION_NAME")
	}
	var base error
	if url, _ := lookup("APP_BASE_URL"); (url == "") == (s.BaseURLParameter == "") {
		base = errors.New("APP_BASE_URL: want this or APP_BASE_URL_PARAMETER, and only one of them")
	}
	return s, errors.Join(r.Err(), base)
}
