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
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// The CDK itself runs in Node.js, from files that are unpacked here. jsii.Close would remove them as well, but tells
	// of a crash where there was none.
	unpacked, err := os.MkdirTemp("", "steward-cdk-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(unpacked) }()
	if err := os.Setenv("TMPDIR", unpacked); err != nil {
		return err
	}

	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false)})
	s, err := settings.Parse(func(key string) any { return app.Node().TryGetContext(jsii.String(key)) })
	if err != nil {
		return fmt.Errorf("the context (cdk.json, -c key=value) cannot be deployed:\n%w", err)
	}
	stack.New(app, s, fleet.Steward(), "build")
	app.Synth(nil)
	return nil
}
