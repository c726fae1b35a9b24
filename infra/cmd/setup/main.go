// Command setup brings an Auth0 tenant and an FGA store to the state that steward.yaml describes, and lists what is
// left to do in Okta.
//
//	setup [-config steward.yaml] [-yes] [-plan]
//
// It shows a plan first and changes nothing before somebody says yes. Run it as often as you like: what is as wanted stays as it is,
// and a run that broke off is finished by the next. Client secrets go from Auth0 straight into AWS Secrets Manager.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/secret"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env config.Lookup, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("setup", flag.ContinueOnError)
	path := flags.String("config", "steward.yaml", "what is wanted; infra/tenant/steward.example.yaml explains it")
	yes := flags.Bool("yes", false, "change without asking")
	only := flags.Bool("plan", false, "show the plan and change nothing")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	file, err := tenant.Read(*path)
	if err != nil {
		return err
	}
	transport := &reach.Transport{OnWait: func(host string, wait time.Duration) {
		_, _ = fmt.Fprintf(out, "%s asks to wait: going on in %s\n", host, wait.Round(time.Second))
	}}
	o := plan.Options{File: file, Secrets: tenant.Secrets{Env: env}, Transport: transport}
	aws, ok, err := reach.AWS(ctx, file.AWS.Region, env)
	if err != nil {
		return err
	}
	if ok {
		store := plan.SecretsManager{Client: secretsmanager.NewFromConfig(aws)}
		o.Store, o.Secrets.Manager = store, func(ctx context.Context, id string) (secret.String, error) {
			value, err := store.Value(ctx, id)
			if err == nil && value.IsZero() {
				err = fmt.Errorf("the secret %s has no value yet", id)
			}
			return value, err
		}
	}
	p, err := plan.New(ctx, o)
	if err != nil {
		return fmt.Errorf("%w\nNothing was changed", err)
	}
	p.Print(out)
	_, _ = fmt.Fprintln(out)
	switch n := p.Changes(); {
	case n == 0:
		_, _ = fmt.Fprintln(out, "Nothing to change.")
	case *only:
		_, _ = fmt.Fprintf(out, "%d to change. Nothing was changed.\n", n)
		return nil
	default:
		if !*yes {
			_, _ = fmt.Fprintf(out, "Make these %d changes in %s and %s? [y/N] ", n, file.Auth0.Issuer(), file.FGA.APIURL)
			answer, err := bufio.NewReader(in).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the answer: %w", err)
			}
			if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
				_, _ = fmt.Fprintln(out, "Nothing was changed.")
				return nil
			}
		}
		if err := p.Apply(ctx, out); err != nil {
			return err
		}
	}
	printResult(out, p, file)
	return nil
}

// printResult shows what goes into cdk.json, and what is for people to do.
func printResult(out io.Writer, p *plan.Plan, f tenant.File) {
	r := p.Result()
	_, _ = fmt.Fprintf(out, "\nFor cdk.json, under the stage:\n")
	for _, kv := range [][2]string{
		{"auth0IssuerUrl", r.Issuer},
		{"auth0ClientId", r.ClientID},
		{"auth0Connection", r.Connection},
		{"oktaOrgUrl", f.Okta.URL.String()},
		{"fgaApiUrl", f.FGA.APIURL.String()},
		{"fgaStoreId", r.FGAStoreID},
		{"fgaModelId", r.FGAModelID},
		{"fgaTokenIssuerUrl", f.FGA.TokenIssuer.String()},
		{"fgaAudience", f.FGA.Audience},
		{"fgaClientId", f.FGA.Checker.ClientID},
		{"approvalsApi", f.Auth0.Approvals.Identifier},
		{"approvalsDetailType", f.Auth0.Approvals.DetailType},
	} {
		if kv[1] != "" {
			_, _ = fmt.Fprintf(out, "  %q: %q,\n", kv[0], kv[1])
		}
	}
	if len(p.Notes) > 0 {
		_, _ = fmt.Fprintln(out, "\nFor you to do:")
		for _, n := range p.Notes {
			_, _ = fmt.Fprintf(out, "- %s\n", n)
		}
	}
}
