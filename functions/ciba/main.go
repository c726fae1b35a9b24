// The function ciba is the agent's action group for changes: it checks, sends the push for approval, and answers at
// once. Carrying the change out is approval-worker's part.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/steward-iam/steward/functions/internal/pipeline"
)

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := parseConfig(os.LookupEnv)
	if err != nil {
		log.Error("configuration is unusable", "err", err)
		os.Exit(1)
	}
	clients, err := pipeline.NewClients(context.Background(), cfg.Config, time.Now)
	if err != nil {
		log.Error("clients cannot be made", "err", err)
		os.Exit(1)
	}
	path, err := newPipeline(clients, newApprover(clients, cfg.Phone, log, time.Now), log, time.Now)
	if err != nil {
		log.Error("operations do not fit the catalogue", "err", err)
		os.Exit(1)
	}
	lambda.Start(path.Handle)
}
