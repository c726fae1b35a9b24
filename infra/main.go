// Command infra is the CDK app: it synthesizes the stack that the context of cdk.json asks for.
//
//	cdk synth -c stage=dev -c agent=harness
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/infra/stack"
)

func main() {
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false)})
	s, err := settings.Parse(func(key string) any { return app.Node().TryGetContext(jsii.String(key)) })
	if err != nil {
		fmt.Fprintf(os.Stderr, "The context (cdk.json, -c key=value) cannot be deployed:\n%s\n", err)
		jsii.Close()
		os.Exit(1)
	}
	stack.New(app, s, fleet.Steward(), "build")
	app.Synth(nil)
	jsii.Close()
}
