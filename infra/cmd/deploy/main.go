// Command deploy creates, updates or removes the stack in an AWS account, and fills and rotates its secrets.
//
// Before the CDK's command line is started it asks the account what would make a deployment fail half-way, and says
// what to do in a sentence: example values in cdk.json, no Node.js, no credentials, no region, an account that is not
// bootstrapped, a region without the model, an account that cannot create agents of the kind that was chosen or that
// has no concurrency to reserve. Whatever it asks only reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/infra/tenant/reach"
)

// cdkVersion is the command line that reads the assemblies of the CDK library in go.mod.
const cdkVersion = "2.1148.1"

const usage = `usage: deploy [flags] deploy|diff|destroy|secrets|rotate

  deploy   create or update the stack
  diff     show what a deployment would change
  destroy  remove the stack; a prod stack keeps its data and is protected
  secrets  fill the Auth0 and FGA client secrets, typed unseen
  rotate   put a fresh key above those that seal and mark, after asking for each

`

// pairs collects -c key=value.
type pairs map[string]string

func (p pairs) String() string { return "" }

// Set adds one pair.
func (p pairs) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return errors.New("want key=value")
	}
	p[key] = value
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		printFaults(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// printFaults writes every fault that was found, each with its cause below it.
func printFaults(w io.Writer, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the outermost error is meant
		for i, e := range joined.Unwrap() {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			printFaults(w, e)
		}
		return
	}
	_, _ = fmt.Fprintln(w, err)
	if a, ok := errors.AsType[*reach.Problem](err); ok && a.Err != nil {
		_, _ = fmt.Fprintf(w, "  (%v)\n", a.Err)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	given := pairs{}
	flags := flag.NewFlagSet("deploy", flag.ContinueOnError)
	flags.Usage = func() { _, _ = fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	root := flags.String("root", "..", "the project's root, with cdk.json")
	stage := flags.String("stage", "dev", "dev or prod")
	agent := flags.String("agent", "classic", "classic or harness")
	force := flags.Bool("force-classic", false, "deploy a classic agent although the account shows no earlier use")
	flags.Var(given, "c", "a setting, key=value, before what cdk.json says")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return errors.New("want one command")
	}
	given["stage"], given["agent"] = *stage, *agent
	lookup, err := settings.File(filepath.Join(*root, "cdk.json"), given)
	if err != nil {
		return err
	}
	s, err := settings.Parse(lookup)
	if err != nil {
		return &reach.Problem{Say: "cdk.json cannot be deployed as it is:\n" + err.Error()}
	}

	account := func() (*account, error) {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, &reach.Problem{Say: "The AWS configuration cannot be read. See `aws configure`.", Err: err}
		}
		return open(ctx, cfg, out)
	}
	cdk := func(command string, more ...string) error { return cdk(ctx, *root, s, given, command, more...) }

	switch command := flags.Arg(0); command {
	case "deploy":
		if examples := settings.Examples(lookup, s.Stage); len(examples) > 0 {
			return &reach.Problem{Say: "cdk.json still holds example values for " + string(s.Stage) + ": " + strings.Join(examples, ", ") + ".\nPut in those of your Auth0 tenant, Okta org and FGA store."}
		}
		if err := node(exec.LookPath); err != nil {
			return err
		}
		a, err := account()
		if err != nil {
			return err
		}
		if err := a.ready(ctx, s, *force); err != nil {
			return err
		}
		if err := cdk("deploy", "--outputs-file", "build/outputs.json"); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, "\nDeployed. Next: paste the two Auth0… outputs into the Auth0 application, then run `make secrets`.")
		return nil
	case "diff", "destroy":
		if err := node(exec.LookPath); err != nil {
			return err
		}
		a, err := account()
		if err != nil {
			return err
		}
		if command == "destroy" && s.Stage == settings.Prod {
			return &reach.Problem{Say: "A prod stack is protected: it holds who signed in and who did what. To remove it all the same, first turn off\n" +
				"termination protection of " + s.StackName() + " and deletion protection of its tables, then run `npx aws-cdk@" + cdkVersion + " destroy`."}
		}
		if err := a.bootstrapped(ctx); err != nil {
			return err
		}
		return cdk(command)
	case "secrets":
		a, err := account()
		if err != nil {
			return err
		}
		return a.fillSecrets(ctx, s, unseen(in, out), out)
	case "rotate":
		a, err := account()
		if err != nil {
			return err
		}
		return a.rotate(ctx, s, yes(in, out), out)
	default:
		flags.Usage()
		return fmt.Errorf("there is no command %q", command)
	}
}

// node looks for what the CDK needs besides Go.
func node(look func(string) (string, error)) error {
	for _, tool := range []string{"node", "npx"} {
		if _, err := look(tool); err != nil {
			return &reach.Problem{Say: "Node.js is missing (" + tool + "): the CDK runs on it. Install version 22 or newer from https://nodejs.org and try again."}
		}
	}
	return nil
}

// cdk runs the CDK's command line, pinned, at the root.
func cdk(ctx context.Context, root string, s settings.Settings, given pairs, command string, more ...string) error {
	args := []string{"--yes", "aws-cdk@" + cdkVersion, command, s.StackName()}
	for key, value := range given {
		args = append(args, "-c", key+"="+value)
	}
	c := exec.CommandContext(ctx, "npx", append(args, more...)...) //nolint:gosec // the arguments are the user's own
	c.Dir, c.Stdin, c.Stdout, c.Stderr = root, os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("cdk %s: %w", command, err)
	}
	return nil
}
