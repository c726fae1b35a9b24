package reach

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/steward-iam/steward/shared/config"
)

// AWS is the AWS configuration of this terminal; ok is false if no region is chosen, so that there is no account to speak of. An
// AWS_ENDPOINT_URL on this computer (`make local`) is spoken to without credentials.
func AWS(ctx context.Context, region string, env config.Lookup) (cfg aws.Config, ok bool, err error) {
	var opts []func(*awsconfig.LoadOptions) error
	if region != "" {
		opts = append(opts, awsconfig.WithRegion(region))
	}
	if endpoint, _ := env("AWS_ENDPOINT_URL"); endpoint != "" {
		opts = append(opts, awsconfig.WithBaseEndpoint(endpoint))
		if u, err := url.Parse(endpoint); err == nil && config.Loopback(u.Hostname()) {
			opts = append(opts, awsconfig.WithCredentialsProvider(aws.AnonymousCredentials{}), awsconfig.WithDefaultRegion("us-east-1"))
		}
	}
	cfg, err = awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, false, fmt.Errorf("the AWS configuration cannot be read: %w", err)
	}
	return cfg, cfg.Region != "", nil
}
