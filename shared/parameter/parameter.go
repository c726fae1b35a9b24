// Package parameter reads the app's address from AWS Systems Manager Parameter Store: it is known only after the
// deployment has made it.
//
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
package parameter

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/steward-iam/steward/shared/awsconfig"
	"github.com/steward-iam/steward/shared/cached"
	"github.com/steward-iam/steward/shared/config"
)

const timeout = 4 * time.Second // all attempts together

// Address is where the app is reached: fixed, or else what the parameter of that name holds once the deployment has
// filled it. It is read when first asked for and remembered from then on; a read that failed is tried again by the next
// caller. Nil where there is neither.
func Address(cfg aws.Config, fixed *url.URL, name string) func(context.Context) (*url.URL, error) {
	switch {
	case fixed != nil:
		return func(context.Context) (*url.URL, error) { return fixed, nil }
	case name == "":
		return nil
	}
	client := ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Retryer = awsconfig.Retryer() })
	address := cached.Value[*url.URL]{Timeout: timeout, Fetch: func(ctx context.Context) (*url.URL, error) {
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return nil, fmt.Errorf("read parameter %s: %w", name, err)
		}
		if out.Parameter == nil {
			return nil, fmt.Errorf("parameter %s: the answer holds none", name)
		}
		u, err := config.ParseURL(aws.ToString(out.Parameter.Value))
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		return u, nil
	}}
	return address.Get
}
