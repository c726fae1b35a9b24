// Command doctor tries each link between Steward, Auth0, FGA, Okta and AWS as the functions do, and names the setting
// that is wrong.
//
//	doctor [-config steward.yaml] [-local build/local.env.json | -stack steward-dev] [-ciba] [-json]
//
// Without -local or -stack it examines the run of `make local` that is under way. steward.yaml, if there is one, adds what only the
// tenant's own settings show. The exit code is 1 when something is wrong, 2 when nothing could be examined.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/steward-iam/steward/infra/cmd/doctor/check"
	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/secret"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wrong, err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env config.Lookup, out, log io.Writer) (wrong int, err error) {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	path := flags.String("config", "steward.yaml", "the file of `make setup`; it may be absent")
	local := flags.String("local", "build/local.env.json", "examine the local run that wrote this file")
	stack := flags.String("stack", "", "examine this CloudFormation stack, such as steward-dev")
	push := flags.Bool("ciba", false, "send a push to the tester's phone")
	asJSON := flags.Bool("json", false, "write JSON")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	s := &check.Installation{CIBA: *push, Secrets: tenant.Secrets{Env: env}, Transport: &reach.Transport{OnWait: func(host string, wait time.Duration) {
		_, _ = fmt.Fprintf(log, "%s asks to wait: going on in %s\n", host, wait.Round(time.Second))
	}}}
	region := ""
	if _, err := os.Stat(*path); !errors.Is(err, os.ErrNotExist) {
		f, err := tenant.Read(*path)
		if err != nil {
			return 0, err
		}
		s.File, region = &f, f.AWS.Region
	}
	vars, cfg, ok, err := check.Environment(ctx, *local, *stack, region, env)
	if err != nil {
		return 0, err
	}
	s.Env = vars
	if ok {
		s.AWS = &cfg
		store := plan.SecretsManager{Client: secretsmanager.NewFromConfig(cfg)}
		s.Secrets.Manager = func(ctx context.Context, id string) (secret.String, error) { return store.Value(ctx, id) }
	}
	report := check.Run(ctx, s)
	if *asJSON {
		err = report.JSON(out)
	} else {
		report.Print(out)
	}
	return len(report.Wrong()), err
}
