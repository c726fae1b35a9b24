// The function approval-worker waits, in the background, for what people approve on their phones, and carries it out.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/steward-iam/steward/functions/internal/acting"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/queue"
)

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := parseConfig(os.LookupEnv)
	if err != nil {
		log.Error("configuration is unusable", "err", err)
		os.Exit(1)
	}
	clients, err := acting.New(context.Background(), cfg.Config)
	if err != nil {
		log.Error("clients cannot be made", "err", err)
		os.Exit(1)
	}
	lambda.Start((&handler{
		desk:      clients.Desk,
		okta:      executor{clients.Okta},
		audit:     clients.Audit,
		approvals: clients.Approvals,
		phone:     &ciba.Client{Auth0: clients.Auth0},
		queue:     queue.New(clients.AWS, cfg.ApprovalQueueURL),
		box:       clients.Box,
		log:       log,
		now:       time.Now,
	}).Handle)
}
