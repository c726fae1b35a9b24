// The function chat is the web app: sign in, connect Okta, talk to the agent, follow approvals, read one's own audit
// trail.
//
// It is a plain http.Handler behind a Lambda function URL with response streaming. Package web holds all of what a
// browser sees; here it is put together from the configuration.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/steward-iam/steward/functions/chat/web"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/okta"
	"github.com/steward-iam/steward/shared/parameter"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
	"github.com/steward-iam/steward/shared/secretsmanager"
	"github.com/steward-iam/steward/shared/tokenvault"
)

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := parseConfig(os.LookupEnv)
	if err != nil {
		log.Error("configuration is unusable", "err", err)
		os.Exit(1)
	}
	from, err := awsconfig.Load(context.Background())
	if err != nil {
		log.Error("AWS configuration is unusable", "err", err)
		os.Exit(1)
	}
	handler, err := newHandler(cfg, from, log, time.Now)
	if err != nil {
		log.Error("clients cannot be made", "err", err)
		os.Exit(1)
	}
	lambdaurl.Start(handler)
}

// newHandler puts the app together. It calls nobody: keys and secrets are fetched when first needed.
func newHandler(cfg settings, from aws.Config, log *slog.Logger, now func() time.Time) (http.Handler, error) {
	org, err := okta.New(okta.Options{OrgURL: cfg.OktaOrg, TryTimeout: 3 * time.Second, Timeout: 6 * time.Second, Now: now})
	if err != nil {
		return nil, fmt.Errorf("okta client: %w", err)
	}
	secrets := secretsmanager.New(from)
	db := dynamodb.NewFromConfig(awsconfig.Brief(from))
	sessions := dynamo.NewSessions(db, cfg.SessionTable)
	key := func(use, arn string) func(context.Context) (*seal.Sealer, error) {
		return seal.FromStore(use, func(ctx context.Context) (secret.String, error) { return secrets.Fresh(ctx, arn) }, now)
	}
	sealer, auditKey := key("seals sign-ins", cfg.TokenKeyARN), key("marks the record", cfg.AuditKeyARN)
	trail := dynamo.NewAudit(db, cfg.AuditTable, func(ctx context.Context) (audit.Marker, error) { return auditKey(ctx) })
	auth := auth0.New(auth0.Config{
		Issuer:      cfg.Issuer,
		ClientID:    cfg.ClientID,
		Secret:      func(ctx context.Context) (secret.String, error) { return secrets.Get(ctx, cfg.ClientSecretARN) },
		FreshSecret: func(ctx context.Context) (secret.String, error) { return secrets.Fresh(ctx, cfg.ClientSecretARN) },
		Now:         now,
	})
	return web.New(web.Config{
		Base:       parameter.Address(from, cfg.BaseURL, cfg.BaseURLParameter),
		Issuer:     auth.Issuer(),
		Connection: cfg.Connection,
		Auth:       auth,
		Vault:      &tokenvault.Vault{Exchanger: auth, Sessions: sessions, Okta: org, Sealer: sealer, Connection: cfg.Connection, Now: now},
		Sealer:     sealer,
		Sessions:   sessions,
		Limits:     limits{dynamo.NewLimits(db, cfg.SessionTable)},
		Approvals:  dynamo.NewApprovals(db, cfg.SessionTable),
		Activity:   trail,
		Audit:      trail,
		Agent:      runtime(cfg, from),
		Linking:    cfg.Linking,
		Log:        log,
		Now:        now,
	}), nil
}
