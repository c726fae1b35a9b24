// Chat is the web app: sign in, connect Okta, ask, watch approvals, read one's own audit trail.
//
// It is a plain http.Handler behind a Lambda function URL with response streaming. Package web holds all of what a
// browser sees; here it is put together from the configuration.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	log := lambdacontext.NewLogger()
	cfg, err := parseConfig(os.LookupEnv)
	if err != nil {
		log.Error("configuration is unusable", "err", err)
		os.Exit(1)
	}
	aws, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Error("AWS configuration is unusable", "err", err)
		os.Exit(1)
	}
	lambdaurl.Start(newHandler(cfg, aws, log, time.Now))
}
