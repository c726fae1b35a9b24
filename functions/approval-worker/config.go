package main

import (
	"github.com/steward-iam/steward/functions/internal/acting"
	sharedconfig "github.com/steward-iam/steward/shared/config"
)

type config struct {
	acting.Config

	Phone acting.Phone
}

func parseConfig(lookup sharedconfig.Lookup) (config, error) {
	r := sharedconfig.Read(lookup)
	cfg := config{Config: acting.Read(r), Phone: acting.ReadPhone(r)}
	return cfg, r.Err()
}
