package settings

import (
	"regexp"
	"slices"
	"strings"
)

// Model is the model the agent thinks with. Most models are reached through an inference profile, which may carry a
// request to another region; the role must then name the model in each of them.
type Model struct {
	// ID is what is invoked: a model id, or the id of an inference profile (a prefix, a dot and the model id).
	ID string
	// Base is the model id without the profile's prefix.
	Base string
	// Profile says that ID is an inference profile.
	Profile bool
	// Global says that the profile may use any commercial region.
	Global bool
	// Regions are those a geographic profile may use.
	Regions []string
}

const defaultModel = "global.anthropic.claude-sonnet-4-6"

// profileRegions are the regions that the geographic profiles may carry a request to, seen from the regions in which
// agents exist. A profile's own list (GetInferenceProfile) is what counts: `deploy` compares, modelRegions overrides.
var profileRegions = map[string][]string{
	"us": {"us-east-1", "us-east-2", "us-west-2"},
	"eu": {"eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"},
	"au": {"ap-southeast-2", "ap-southeast-4"},
	"jp": {"ap-northeast-1", "ap-northeast-3"},
	// These differ from region to region: modelRegions must name them.
	"apac": nil, "ca": nil, "us-gov": nil,
}

var (
	modelPattern  = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?$`)
	regionPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

func (r *reader) model() Model {
	id := r.match("model", defaultModel, modelPattern, "a model id, or the id of an inference profile such as "+defaultModel)
	m := Model{ID: id, Base: id}
	prefix, rest, _ := strings.Cut(id, ".")
	if regions, ok := profileRegions[prefix]; ok || prefix == "global" {
		m.Profile, m.Global, m.Base, m.Regions = true, prefix == "global", rest, slices.Clone(regions)
	}
	given := r.strings("modelRegions")
	if len(given) == 0 {
		if m.Profile && !m.Global && len(m.Regions) == 0 {
			r.fault("modelRegions", "is missing: name the regions the profile %s may use (aws bedrock get-inference-profile)", id)
		}
		return m
	}
	if !m.Profile || m.Global {
		r.fault("modelRegions", "is only for a geographic inference profile, and the model is %s", id)
	}
	for _, region := range given {
		if !regionPattern.MatchString(region) {
			r.fault("modelRegions", "%q is no region", region)
		}
	}
	m.Regions = slices.Sorted(slices.Values(given))
	return m
}

// strings is a list, or a text with commas, as the command line has it.
func (r *reader) strings(key string) (list []string) {
	switch v := r.get(key).(type) {
	case nil:
	case string:
		for part := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(part))
		}
	case []any:
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				r.fault(key, "want a list of texts")
			}
			list = append(list, text)
		}
	default:
		r.fault(key, "want a list of texts")
	}
	return list
}
