// The function approval-worker polls Auth0 until a person has answered the push, and then carries out what they
// approved.
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
	lambda.Start(newHandler(clients, cfg.Phone, log, time.Now).Handle)
}
