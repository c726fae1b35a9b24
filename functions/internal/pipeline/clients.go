package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/shared/access"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/lambdainvoke"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/parameter"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/secretsmanager"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

// Config is read from the environment.
type Config struct {
	SessionTable      string
	AuditTable        string
	Auth0Issuer       *url.URL
	Auth0ClientID     string
	Auth0SecretARN    string
	Auth0Connection   string
	OktaOrg           *url.URL
	AuthorizerName    string
	FGAUserClaim      fga.Claim
	TokenKeySecretARN string
	AuditKeySecretARN string

	BaseURL          *url.URL // for telling people where to sign in; this or
	BaseURLParameter string   // the parameter that holds it, or neither
	ConsoleLinking   bool
}

// calls bounds what one session may have a function do. A turn of the agent makes at most twelve calls, and nobody reads more than
// a few answers in a minute; a model in a loop is stopped before it has looked up a whole directory.
var calls = dynamo.Limit{Name: "calls", Most: 60, Window: time.Minute}

var errTooManyCalls = errors.New("too many calls in this session within a minute")

// Read takes the keys that every acting function needs; r collects what is wrong.
func Read(r *config.Reader) Config {
	return Config{
		SessionTable:      r.String("SESSION_TABLE_NAME"),
		AuditTable:        r.String("AUDIT_TABLE_NAME"),
		Auth0Issuer:       r.URL("AUTH0_ISSUER_URL"),
		Auth0ClientID:     r.String("AUTH0_CLIENT_ID"),
		Auth0SecretARN:    r.String("AUTH0_CLIENT_SECRET_ARN"),
		Auth0Connection:   r.String("AUTH0_CONNECTION_NAME"),
		OktaOrg:           r.URL("OKTA_ORG_URL"),
		AuthorizerName:    r.String("FGA_AUTHORIZER_FUNCTION_NAME"),
		FGAUserClaim:      fga.Claim(r.Enum("FGA_USER_CLAIM", string(fga.ClaimEmail), string(fga.ClaimSub))),
		TokenKeySecretARN: r.String("TOKEN_KEY_SECRET_ARN"),
		AuditKeySecretARN: r.String("AUDIT_KEY_SECRET_ARN"),
	}
}

// ReadSignIn takes the keys of the functions that the agent calls, which tell people where to sign in.
func ReadSignIn(r *config.Reader, cfg Config) Config {
	cfg.BaseURL = r.OptionalURL("APP_BASE_URL")
	cfg.BaseURLParameter = r.Optional("APP_BASE_URL_PARAMETER", "")
	cfg.ConsoleLinking = r.OptionalSwitch("CONSOLE_LINKING")
	return cfg
}

// Clients are made once and shared by every call.
type Clients struct {
	AWS       aws.Config
	Enforcer  *access.Enforcer
	Okta      *okta.Client
	Auth0     *auth0.Client
	Sessions  *dynamo.Sessions
	Approvals *dynamo.Approvals
	Audit     audit.Recorder
	Sealer    Key // seals sign-ins and tokens
	AuditKey  Key // marks audit entries
	SignIn    SignInHint

	secrets *secretsmanager.Source
	now     func() time.Time
	keys    []Key // all that were made, see [Clients.key]
}

// Key gives the sealer of one of Steward's keys, read when it is first needed.
type Key = func(context.Context) (*seal.Sealer, error)

// key returns the key in the secret with that ARN; use completes "the key that …". The first call of a process reads all keys that
// were made before it, side by side.
func (c *Clients) key(use, arn string) Key {
	k := seal.FromStore(use, func(ctx context.Context) (secret.String, error) { return c.secrets.Fresh(ctx, arn) }, c.now)
	c.keys = append(c.keys, k)
	return k
}

// NewClients makes the clients and asks for nothing yet. They share the clock now.
func NewClients(ctx context.Context, cfg Config, now func() time.Time) (*Clients, error) {
	awsCfg, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	orgClient, err := okta.New(okta.Options{OrgURL: cfg.OktaOrg, TryTimeout: 6 * time.Second, Timeout: 15 * time.Second, Now: now})
	if err != nil {
		return nil, fmt.Errorf("okta client: %w", err)
	}
	secrets := secretsmanager.New(awsCfg)
	table := dynamodb.NewFromConfig(awsconfig.Brief(awsCfg))
	c := &Clients{
		AWS:  awsCfg,
		Okta: orgClient,
		Auth0: auth0.New(auth0.Config{
			Issuer:      cfg.Auth0Issuer,
			ClientID:    cfg.Auth0ClientID,
			Secret:      func(ctx context.Context) (secret.String, error) { return secrets.Get(ctx, cfg.Auth0SecretARN) },
			FreshSecret: func(ctx context.Context) (secret.String, error) { return secrets.Fresh(ctx, cfg.Auth0SecretARN) },
			HTTP:        &http.Client{Timeout: 8 * time.Second},
			Now:         now,
		}),
		Sessions:  dynamo.NewSessions(table, cfg.SessionTable),
		Approvals: dynamo.NewApprovals(table, cfg.SessionTable),
		secrets:   secrets,
		now:       now,
	}
	c.Sealer = c.key("seals sign-ins", cfg.TokenKeySecretARN)
	c.AuditKey = c.key("marks the record", cfg.AuditKeySecretARN)
	trail := dynamo.NewAudit(table, cfg.AuditTable, func(ctx context.Context) (audit.Marker, error) { return c.AuditKey(ctx) })
	limits := dynamo.NewLimits(table, cfg.SessionTable)
	c.Audit = trail
	c.SignIn = SignInHint{Base: parameter.Address(awsCfg, cfg.BaseURL, cfg.BaseURLParameter), Linking: cfg.ConsoleLinking, Sealer: c.Sealer, Now: now}
	c.Enforcer = &access.Enforcer{
		Sessions:   c.Sessions,
		Vault:      &tokenvault.Vault{Exchanger: c.Auth0, Sessions: c.Sessions, Okta: c.Okta, Sealer: c.Sealer, Connection: cfg.Auth0Connection, Now: now},
		Authorizer: fga.NewClient(lambdainvoke.New(awsCfg), cfg.AuthorizerName),
		Claim:      cfg.FGAUserClaim,
		Now:        now,
		Prepare: func(ctx context.Context) { // each is remembered
			parallel.Go(func() error { _, err := secrets.Get(ctx, cfg.Auth0SecretARN); return err })
			for _, key := range c.keys {
				parallel.Go(func() error { _, err := key(ctx); return err })
			}
		},
		Identified: trail.Prepare,
		Count: func(ctx context.Context, id session.ID) error {
			wait, err := limits.OfSession(ctx, id, calls, now())
			if err == nil && wait > 0 {
				err = fault.New(fault.Conflict, fmt.Sprintf("You are asking too often. Please try again in %d seconds.", int(wait/time.Second)+1), errTooManyCalls)
			}
			return err
		},
	}
	return c, nil
}
