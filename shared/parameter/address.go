package parameter

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/steward-iam/steward/shared/config"
)

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
	store := New(cfg)
	var known atomic.Pointer[url.URL]
	return func(ctx context.Context) (*url.URL, error) {
		if u := known.Load(); u != nil {
			return u, nil
		}
		value, err := store.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		u, err := config.ParseURL(value)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		known.Store(u)
		return u, nil
	}
}
