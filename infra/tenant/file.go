// Package tenant reads steward.yaml: what an installation needs from an Auth0 tenant, an Okta org and an FGA store. The
// commands setup and doctor both start from it.
//
// The file holds no secrets, only where each one is ([Ref]). All faults are named at once, each with its line: keys that do
// not exist, values of the wrong shape, and anything that looks like a secret in clear.
package tenant

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fga"
)

// File is steward.yaml.
type File struct {
	Auth0  Auth0  `yaml:"auth0"`
	Okta   Okta   `yaml:"okta"`
	FGA    FGA    `yaml:"fga"`
	AWS    AWS    `yaml:"aws"`
	Tester Tester `yaml:"tester"`
}

// Auth0 is the tenant.
type Auth0 struct {
	Domain     URL           `yaml:"domain"` // the canonical domain, not a custom one: the Management API lives there alone
	Management MachineClient `yaml:"management"`

	Application Application `yaml:"application"`
	Connection  Connection  `yaml:"connection"`
	Approvals   Approvals   `yaml:"approvals_api"`
}

// MachineClient is a client of the client credentials grant: its id, and where its secret is.
type MachineClient struct {
	ClientID     string `yaml:"client_id"`
	ClientSecret Ref    `yaml:"client_secret"`
}

// Application is the web application people sign in to.
type Application struct {
	Name     string `yaml:"name"`
	ClientID string `yaml:"client_id"` // only to adopt an application that setup did not make
	URLs     []URL  `yaml:"urls"`      // where the chat lives: callbacks and logout URLs follow from it
	// RefreshTokenDays and IdleDays end a sign-in: after so many days, and after so many without use.
	RefreshTokenDays int    `yaml:"refresh_token_days"`
	IdleDays         int    `yaml:"refresh_token_idle_days"`
	SecretTo         Secret `yaml:"client_secret_to"`
}

// Connection is how people sign in: OpenID Connect to the Okta org.
type Connection struct {
	Name             string `yaml:"name"`
	DisplayName      string `yaml:"display_name"`
	OktaClientID     string `yaml:"okta_client_id"`
	OktaClientSecret Ref    `yaml:"okta_client_secret"`
}

// Approvals is the API that names rich authorization requests (RFC 9396). Without it the binding message alone says what is
// approved.
type Approvals struct {
	Identifier string `yaml:"identifier"`
	DetailType string `yaml:"detail_type"`
}

// Okta is the org.
type Okta struct {
	URL URL `yaml:"org_url"`
	// AdminToken, if given, lets setup and doctor read the OIDC app's own grants: an API token, or an access token with
	// okta.apps.read and okta.appGrants.read.
	AdminToken Ref `yaml:"admin_token"`
}

// FGA is the store.
type FGA struct {
	APIURL      URL    `yaml:"api_url"`
	TokenIssuer URL    `yaml:"token_issuer"` // absent for an OpenFGA without authentication
	Audience    string `yaml:"audience"`     // default the API URL with a slash at its end
	StoreID     string `yaml:"store_id"`
	StoreName   string `yaml:"store_name"` // instead of store_id: made if there is none; Auth0 FGA makes stores in its dashboard alone

	Setup   MachineClient `yaml:"setup"`   // writes the model and the tuples
	Checker Checker       `yaml:"checker"` // asks, and nothing else
	Tuples  []Tuple       `yaml:"tuples"`
}

// Checker is the client of the function fga-authorizer.
type Checker struct {
	MachineClient `yaml:",inline"`
	SecretTo      Secret `yaml:"client_secret_to"`
}

// Tuple is one grant.
type Tuple struct {
	User     string `yaml:"user"`
	Relation string `yaml:"relation"`
	Object   string `yaml:"object"`
}

// AWS is where secrets are kept.
type AWS struct {
	Region string `yaml:"region"`
}

// Tester is somebody whom doctor may try things for.
type Tester struct {
	Email        string `yaml:"email"`
	Subject      string `yaml:"sub"`           // the Auth0 user id; found by the e-mail address if absent
	RefreshToken Ref    `yaml:"refresh_token"` // lets doctor do the Token Vault exchange
	Relation     string `yaml:"relation"`      // what the person is expected to have, default read_okta
	Object       string `yaml:"object"`        // on what, default okta:groups
}

// Defaults.
const (
	defaultName       = "Steward"
	defaultConnection = "okta-corp"
	defaultDays       = 30
	defaultIdleDays   = 15
)

// Issuer is the tenant's issuer, with its slash.
func (a Auth0) Issuer() string { return strings.TrimSuffix(a.Domain.String(), "/") + "/" }

// Callbacks are where Auth0 may send a browser back to.
func (a Application) Callbacks() (all []string) {
	for _, u := range a.URLs {
		base := strings.TrimSuffix(u.String(), "/")
		all = append(all, base+"/callback", base+"/connect/callback")
	}
	return all
}

// LogoutURLs are where Auth0 may send a browser after signing out.
func (a Application) LogoutURLs() (all []string) {
	for _, u := range a.URLs {
		base := strings.TrimSuffix(u.String(), "/")
		all = append(all, base, base+"/")
	}
	return all
}

// Read reads the file at path.
func Read(path string) (File, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the user's own
	if errors.Is(err, os.ErrNotExist) {
		return File{}, fmt.Errorf("there is no file %s: copy infra/tenant/steward.example.yaml to it and fill it in", path)
	}
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	f, err := Parse(raw)
	if err != nil {
		return File{}, fmt.Errorf("%s cannot be used as it is:\n%w", path, err)
	}
	return f, nil
}

// Parse reads a file. Its error joins every fault found.
func Parse(raw []byte) (File, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return File{}, fmt.Errorf("it is not YAML: %s", quiet(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	f := File{Auth0: Auth0{
		Application: Application{Name: defaultName, RefreshTokenDays: defaultDays, IdleDays: defaultIdleDays},
		Connection:  Connection{Name: defaultConnection, DisplayName: "Okta"},
	}, Tester: Tester{Relation: fga.ReadOkta, Object: fga.Groups}}
	p := &parser{root: &root}
	p.clear(&root, "")
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	dec.KnownFields(true)
	var typed *yaml.TypeError
	switch err := dec.Decode(&f); {
	case errors.As(err, &typed):
		for _, text := range typed.Errors {
			p.faults = append(p.faults, errors.New(plain(text)))
		}
	case err != nil:
		p.faults = append(p.faults, errors.New(quiet(err.Error())))
	}
	if f.FGA.Audience == "" && f.FGA.APIURL.URL != nil {
		f.FGA.Audience = strings.TrimSuffix(f.FGA.APIURL.String(), "/") + "/"
	}
	p.validate(f)
	slices.SortStableFunc(p.faults, func(a, b error) int { return lineOf(a) - lineOf(b) })
	return f, errors.Join(p.faults...)
}

type parser struct {
	root   *yaml.Node
	faults []error
}

// validate asks for what is needed and not there, and for what does not fit together.
func (p *parser) validate(f File) {
	for path, missing := range map[string]bool{
		"auth0.domain":                        f.Auth0.Domain.URL == nil,
		"auth0.management.client_id":          f.Auth0.Management.ClientID == "",
		"auth0.management.client_secret":      f.Auth0.Management.ClientSecret == "",
		"auth0.application.name":              f.Auth0.Application.Name == "",
		"auth0.application.urls":              len(f.Auth0.Application.URLs) == 0,
		"auth0.connection.okta_client_id":     f.Auth0.Connection.OktaClientID == "",
		"auth0.connection.okta_client_secret": f.Auth0.Connection.OktaClientSecret == "",
		"okta.org_url":                        f.Okta.URL.URL == nil,
		"fga.api_url":                         f.FGA.APIURL.URL == nil,
	} {
		// A value that is there but unusable has its own fault, with its line.
		if missing && !p.has(path) {
			p.fault(path, "is missing")
		}
	}
	if (f.FGA.StoreID == "") == (f.FGA.StoreName == "") {
		p.fault("fga.store_id", "want this or store_name, and only one of them")
	}
	if f.FGA.StoreID != "" && !fga.ValidID(f.FGA.StoreID) {
		p.fault("fga.store_id", "want the 26 characters of a store id")
	}
	if f.FGA.TokenIssuer.URL != nil {
		for path, value := range map[string]string{
			"fga.setup.client_id": f.FGA.Setup.ClientID, "fga.setup.client_secret": string(f.FGA.Setup.ClientSecret),
			"fga.checker.client_id": f.FGA.Checker.ClientID, "fga.checker.client_secret": string(f.FGA.Checker.ClientSecret),
		} {
			if value == "" && !p.has(path) {
				p.fault(path, "is missing, and fga.token_issuer wants it")
			}
		}
	} else if f.FGA.APIURL.URL != nil && !config.Loopback(f.FGA.APIURL.Hostname()) && !p.has("fga.token_issuer") {
		p.fault("fga.token_issuer", "is missing; only an OpenFGA on a loopback address is asked without credentials")
	}
	if !connectionName.MatchString(f.Auth0.Connection.Name) {
		p.fault("auth0.connection.name", "want letters, digits and hyphens")
	}
	life, idle := f.Auth0.Application.RefreshTokenDays, f.Auth0.Application.IdleDays
	if life < 1 || life > 365 {
		p.fault("auth0.application.refresh_token_days", "want 1 to 365")
	}
	if idle < 1 || idle > life {
		p.fault("auth0.application.refresh_token_idle_days", "want 1 to refresh_token_days")
	}
	for i, u := range f.Auth0.Application.URLs {
		if u.URL != nil && strings.Trim(u.Path, "/") != "" {
			p.fault(fmt.Sprintf("auth0.application.urls.%d", i), "has a path, want none: the app lives at the root")
		}
	}
	if (f.Auth0.Approvals.Identifier == "") != (f.Auth0.Approvals.DetailType == "") {
		p.fault("auth0.approvals_api", "want identifier and detail_type, or neither")
	}
	for i, t := range f.FGA.Tuples {
		if err := fga.Tuple(t).ValidateStored(); err != nil {
			p.fault(fmt.Sprintf("fga.tuples.%d", i), "is no tuple: %v", err)
		}
	}
}

var connectionName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,126}[A-Za-z0-9])?$`)

func (p *parser) fault(path, format string, args ...any) {
	text := fmt.Sprintf(path+" "+format, args...)
	if n := p.find(path); n != nil {
		text = fmt.Sprintf("line %d: %s", n.Line, text)
	}
	p.faults = append(p.faults, errors.New(text))
}

func (p *parser) has(path string) bool {
	n := p.find(path)
	return n != nil && n.Value+n.Tag != "!!null" && (n.Kind != yaml.ScalarNode || n.Value != "")
}

// find is the node at a path of keys and indices.
func (p *parser) find(path string) *yaml.Node {
	n := p.root
	if len(n.Content) == 0 {
		return nil
	}
	n = n.Content[0]
	for step := range strings.SplitSeq(path, ".") {
		var next *yaml.Node
		switch n.Kind { //nolint:exhaustive // nothing is below the others
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			for i, item := range n.Content {
				if fmt.Sprint(i) == step {
					next = item
				}
			}
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}

// clear refuses whatever looks like a secret in clear, wherever it stands, comments included. The value is never repeated.
func (p *parser) clear(n *yaml.Node, key string) {
	for i, child := range n.Content {
		name := key
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				p.clear(child, "")
				continue
			}
			name = n.Content[i-1].Value
		}
		p.clear(child, name)
	}
	suspects := strings.Fields(n.HeadComment + " " + n.LineComment + " " + n.FootComment)
	if n.Kind == yaml.ScalarNode {
		if _, err := parseRef(n.Value); err != nil {
			suspects = append(suspects, n.Value)
		}
	}
	for _, word := range suspects {
		if looksSecret(word) {
			p.faults = append(p.faults, fmt.Errorf("line %d: something that looks like a secret stands here in clear; keep it elsewhere and say where, as in env:NAME", n.Line))
			return
		}
	}
}

var (
	token = regexp.MustCompile(`^[A-Za-z0-9_.~+/=-]+$`)
	okta  = regexp.MustCompile(`^00[A-Za-z0-9_-]{38,}$`)
)

// looksSecret guesses: a JWT, an Okta API token, an Auth0 refresh token, or a long random text.
func looksSecret(s string) bool {
	if !token.MatchString(s) {
		return false
	}
	switch {
	case strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2, okta.MatchString(s), strings.HasPrefix(s, "v1.") && len(s) > 20:
		return true
	}
	if len(s) < 40 || strings.Contains(s, "://") {
		return false
	}
	return strings.ContainsAny(s, "0123456789") && strings.ToLower(s) != s && strings.ToUpper(s) != s && strings.Count(s, "/") < 3
}

var (
	unknownKey = regexp.MustCompile(`^(line \d+: )field (\S+) not found in type .*$`)
	quoted     = regexp.MustCompile("`[^`]*`")
	line       = regexp.MustCompile(`line (\d+)`)
	goType     = regexp.MustCompile(`into (?:\S*\.)?(\S+)$`)
)

// plain is an error of the YAML package in our words and without the value.
func plain(text string) string {
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		return m[1] + "there is no key " + m[2] + " here"
	}
	return goType.ReplaceAllString(quiet(text), "into $1")
}

func quiet(text string) string { return quoted.ReplaceAllString(text, "the value") }

func lineOf(err error) (n int) {
	if m := line.FindStringSubmatch(err.Error()); m != nil {
		_, _ = fmt.Sscan(m[1], &n)
	}
	return n
}

// URL is an address: https, or http on a loopback address. A host alone is taken for https.
type URL struct{ *url.URL }

// UnmarshalYAML reads it.
func (u *URL) UnmarshalYAML(n *yaml.Node) error {
	text := n.Value
	if text != "" && !strings.Contains(text, "://") {
		text = "https://" + text
	}
	parsed, err := config.ParseURL(text)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want an https URL, or http on a loopback address", n.Line)}}
	}
	u.URL = parsed
	return nil
}

// String is the URL as text, "" if there is none.
func (u URL) String() string {
	if u.URL == nil {
		return ""
	}
	return u.URL.String()
}
