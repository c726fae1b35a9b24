package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/steward-iam/steward/shared/config"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

// settings is the environment of the function.
type settings struct {
	APIURL  *url.URL
	StoreID string
	ModelID string

	// TokenIssuer and what follows are unset for an OpenFGA without authentication.
	TokenIssuer     *url.URL
	Audience        string
	ClientID        string
	ClientSecretARN string
}

// parseConfig reads the environment and names all its faults. Without FGA_TOKEN_ISSUER_URL there are no credentials,
// which only an OpenFGA on this machine may do without; any other key of the four beside its absence is a mistake.
func parseConfig(lookup config.Lookup) (settings, error) {
	r := config.Read(lookup)
	s := settings{
		APIURL:  r.URL("FGA_API_URL"),
		StoreID: r.String("FGA_STORE_ID"),
		ModelID: r.String("FGA_MODEL_ID"),
	}
	var faults []error
	fault := func(key, is string) { faults = append(faults, fmt.Errorf("%s: %s", key, is)) }
	if s.StoreID != "" && !fga.ValidID(s.StoreID) {
		fault("FGA_STORE_ID", "is not a ULID, want 26 characters like 01ARZ3NDEKTSV4RRFFQ69G5FAV")
	}
	if s.ModelID != "" && !fga.ValidID(s.ModelID) {
		fault("FGA_MODEL_ID", "is not a ULID, want 26 characters like 01ARZ3NDEKTSV4RRFFQ69G5FAV")
	}
	if _, ok := lookup("FGA_TOKEN_ISSUER_URL"); ok {
		s.TokenIssuer = r.URL("FGA_TOKEN_ISSUER_URL")
		s.Audience = r.String("FGA_AUDIENCE")
		s.ClientID = r.String("FGA_CLIENT_ID")
		s.ClientSecretARN = r.String("FGA_CLIENT_SECRET_ARN")
	} else {
		for _, key := range []string{"FGA_AUDIENCE", "FGA_CLIENT_ID", "FGA_CLIENT_SECRET_ARN"} {
			if _, ok := lookup(key); ok {
				fault(key, "is set, but FGA_TOKEN_ISSUER_URL is not; want all four or none")
			}
		}
		if s.APIURL != nil && !config.Loopback(s.APIURL.Hostname()) {
			fault("FGA_TOKEN_ISSUER_URL", "is missing; only an OpenFGA on a loopback address is asked without credentials")
		}
	}
	return s, errors.Join(append(faults, r.Err())...)
}

// secrets is where the client secret comes from.
type secrets interface {
	Get(ctx context.Context, arn string) (secret.String, error)
	Fresh(ctx context.Context, arn string) (secret.String, error)
}

// openFGA is the client's configuration. The secret is read when the first token is needed.
func (s settings) openFGA(from secrets) openfga.Config {
	c := openfga.Config{APIURL: s.APIURL, StoreID: s.StoreID, ModelID: s.ModelID}
	if s.TokenIssuer != nil {
		c.Credentials = &openfga.Credentials{
			Issuer:      s.TokenIssuer,
			Audience:    s.Audience,
			ClientID:    s.ClientID,
			Secret:      func(ctx context.Context) (secret.String, error) { return from.Get(ctx, s.ClientSecretARN) },
			FreshSecret: func(ctx context.Context) (secret.String, error) { return from.Fresh(ctx, s.ClientSecretARN) },
		}
	}
	return c
}
