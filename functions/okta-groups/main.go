// The function okta-groups is the agent's action group for reading Okta: groups, members, users, and one's own
// permissions.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/steward-iam/steward/functions/internal/operation"
	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/catalogue"
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
	path, err := newPipeline(clients, log, time.Now)
	if err != nil {
		log.Error("operations do not fit the catalogue", "err", err)
		os.Exit(1)
	}
	lambda.Start(path.Handle)
}

// newPipeline is the path of every read.
func newPipeline(c *pipeline.Clients, log *slog.Logger, now func() time.Time) (*pipeline.Pipeline, error) {
	return pipeline.New(c, catalogue.GroupOkta, nil, log, now, append(operation.Reads(), operation.Permissions(c.Enforcer.Decide))...)
}
