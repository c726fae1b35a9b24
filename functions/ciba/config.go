package main

import (
	"github.com/steward-iam/steward/functions/internal/pipeline"
	sharedconfig "github.com/steward-iam/steward/shared/config"
)

type config struct {
	pipeline.Config

	Phone pipeline.Phone
}

func parseConfig(lookup sharedconfig.Lookup) (config, error) {
	r := sharedconfig.Read(lookup)
	cfg := config{Config: pipeline.ReadSignIn(r, pipeline.Read(r)), Phone: pipeline.ReadPhone(r)}
	return cfg, r.Err()
}
