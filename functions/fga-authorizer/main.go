// The function fga-authorizer asks OpenFGA or Auth0 FGA whether a user may do something to an object.
//
// It alone holds the credentials of OpenFGA / Auth0 FGA. Its callers invoke it directly with a list of checks and get a
// decision for each, in the same order:
//
//	{"checks":[{"user":"user:a@x.org","relation":"read_okta","object":"okta:groups"}],"higher_consistency":false}
//	{"decisions":["allowed"],"model_id":"01K…"}
//
// A decision is allowed, denied, or unknown when OpenFGA could not be asked; a reason then says why. None of them is an
// error of the function, so that no caller can take a crash for an answer.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secretsmanager"
)

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := parseConfig(os.LookupEnv)
	if err != nil {
		log.Error("configuration is unusable", "err", err)
		os.Exit(1)
	}
	aws, err := awsconfig.Load(context.Background())
	if err != nil {
		log.Error("AWS configuration is unusable", "err", err)
		os.Exit(1)
	}
	client, err := openfga.New(cfg.openFGA(secretsmanager.New(aws)))
	if err != nil {
		log.Error("OpenFGA configuration is unusable", "err", err)
		os.Exit(1)
	}
	lambda.Start(handler{fga: client, log: log}.Handle)
}
