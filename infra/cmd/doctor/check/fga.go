package check

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/openfga/go-sdk/client"
	"golang.org/x/oauth2"

	"github.com/steward-iam/steward/infra/cmd/setup/plan"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/openfga"
	"github.com/steward-iam/steward/shared/secret"
)

func fgaChecks() []check {
	return []check{
		{id: "fga.audience", what: "the audience ends with a slash", needs: []string{"config.fga"}, run: func(_ context.Context, s *Installation) verdict {
			audience := s.Env["FGA_AUDIENCE"]
			return expect(!strings.Contains(audience, "://") || strings.HasSuffix(audience, "/"),
				in("FGA_AUDIENCE")+": "+audience+"/", "the audience lacks the slash at its end, and tokens are refused without it")
		}},
		{id: "fga.token", what: "fga-authorizer gets its machine token", needs: []string{"fga.audience", "secret.fga"}, run: fgaToken},
		{id: "fga.store", what: "the store is there", needs: []string{"fga.token"}, run: fgaRead(func(ctx context.Context, s *Installation, c *sdk.OpenFgaClient) verdict {
			_, err := c.GetStore(ctx).Execute()
			if status(err) == http.StatusNotFound {
				return wrong(in("FGA_STORE_ID"), "there is no store %s at %s", s.Env["FGA_STORE_ID"], s.Env["FGA_API_URL"])
			}
			return s.fgaFault(err)
		})},
		{id: "fga.model", what: "the pinned model is there", needs: []string{"fga.store"}, run: fgaRead(func(ctx context.Context, s *Installation, c *sdk.OpenFgaClient) verdict {
			id := s.Env["FGA_MODEL_ID"]
			_, err := c.ReadAuthorizationModel(ctx).Options(sdk.ClientReadAuthorizationModelOptions{AuthorizationModelId: &id}).Execute()
			if n := status(err); n == http.StatusNotFound || n == http.StatusBadRequest {
				return wrong(in("FGA_MODEL_ID")+": the id that `make setup` tells", "the store has no model %s", id)
			}
			return s.fgaFault(err)
		})},
		{id: "fga.drift", what: "the pinned model is the repository's", needs: []string{"fga.model"}, run: fgaRead(func(ctx context.Context, s *Installation, c *sdk.OpenFgaClient) verdict {
			id := s.Env["FGA_MODEL_ID"]
			out, err := c.ReadAuthorizationModel(ctx).Options(sdk.ClientReadAuthorizationModelOptions{AuthorizationModelId: &id}).Execute()
			if err != nil {
				return s.fgaFault(err)
			}
			return expect(plan.SameModel(out.GetAuthorizationModel()), in("FGA_MODEL_ID")+": the id that `make setup` tells", "the pinned model is not the one in shared/fga/model")
		})},
		{id: "fga.ask", what: "fga-authorizer gets an answer", needs: []string{"fga.model"}, run: func(ctx context.Context, s *Installation) verdict {
			_, v := s.ask(ctx, fga.ForArea("user:"+probe, fga.ReadOkta, fga.Groups))
			return v
		}},
	}
}

func fgaToken(ctx context.Context, s *Installation) verdict {
	issuer := s.Env["FGA_TOKEN_ISSUER_URL"]
	if issuer == "" {
		return skip("FGA is asked without credentials")
	}
	if s.fgaSecret.IsZero() {
		return skip(noAWS)
	}
	token, err := plan.FGAToken(ctx, s.http, issuer, s.Env["FGA_CLIENT_ID"], s.fgaSecret, s.Env["FGA_AUDIENCE"])
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch r.Response.StatusCode {
		case http.StatusUnauthorized:
			return wrong(in("FGA_CLIENT_ID")+", or the secret of FGA_CLIENT_SECRET_ARN", "%s", text(err))
		case http.StatusForbidden:
			return wrong(in("FGA_AUDIENCE"), "%s", text(err))
		}
	}
	if err != nil {
		return wrong(in("FGA_TOKEN_ISSUER_URL"), "%s", text(err))
	}
	s.fgaToken = token
	return passed
}

// fgaRead reads the store: as the client that may, if steward.yaml has one, since the function's own client may only ask.
func fgaRead(f func(context.Context, *Installation, *sdk.OpenFgaClient) verdict) func(context.Context, *Installation) verdict {
	return func(ctx context.Context, s *Installation) verdict {
		token := s.fgaToken
		if issuer := s.Env["FGA_TOKEN_ISSUER_URL"]; issuer != "" && s.File != nil {
			if key, err := s.Secrets.Get(ctx, s.File.FGA.Setup.ClientSecret); err == nil {
				if t, err := plan.FGAToken(ctx, s.http, issuer, s.File.FGA.Setup.ClientID, key, s.Env["FGA_AUDIENCE"]); err == nil {
					token = t
				}
			}
		}
		if token.IsZero() && s.Env["FGA_TOKEN_ISSUER_URL"] != "" {
			return skip(noAWS)
		}
		c, err := plan.FGAClient(s.Env["FGA_API_URL"], s.Env["FGA_STORE_ID"], token, s.http)
		if err != nil {
			return wrong(in("FGA_STORE_ID"), "%s", text(err))
		}
		return f(ctx, s, c)
	}
}

func status(err error) int {
	if e, ok := errors.AsType[interface {
		error
		ResponseStatusCode() int
	}](err); ok {
		return e.ResponseStatusCode()
	}
	return 0
}

func (s *Installation) fgaFault(err error) verdict {
	switch status(err) {
	case http.StatusForbidden:
		return skip("the client may only ask; fga.setup in steward.yaml may read")
	case http.StatusUnauthorized:
		return wrong(in("FGA_API_URL")+": of the region the token is for", "%s does not accept the token of %s", s.Env["FGA_API_URL"], s.Env["FGA_TOKEN_ISSUER_URL"])
	}
	if err != nil {
		return wrong(in("FGA_API_URL"), "FGA cannot be read: %s", text(err))
	}
	return passed
}

// ask goes the way of the function fga-authorizer.
func (s *Installation) ask(ctx context.Context, c fga.Check) (fga.Decision, verdict) {
	api, err := url.Parse(s.Env["FGA_API_URL"])
	if err != nil {
		return fga.Unknown, wrong(in("FGA_API_URL"), "it is no URL")
	}
	cfg := openfga.Config{APIURL: api, StoreID: s.Env["FGA_STORE_ID"], ModelID: s.Env["FGA_MODEL_ID"]}
	if issuer, err := url.Parse(s.Env["FGA_TOKEN_ISSUER_URL"]); err == nil && issuer.Host != "" {
		if s.fgaSecret.IsZero() {
			return fga.Unknown, skip(noAWS)
		}
		cfg.Credentials = &openfga.Credentials{
			Issuer: issuer, Audience: s.Env["FGA_AUDIENCE"], ClientID: s.Env["FGA_CLIENT_ID"],
			Secret: func(context.Context) (secret.String, error) { return s.fgaSecret, nil },
		}
	}
	client, err := openfga.New(cfg)
	if err != nil {
		return fga.Unknown, wrong(in("FGA_STORE_ID"), "%s", text(err))
	}
	res, err := client.Ask(ctx, fga.Request{Checks: []fga.Check{c}})
	if err != nil {
		return fga.Unknown, wrong(in("FGA_API_URL")+", and the permissions of the client "+s.Env["FGA_CLIENT_ID"], "FGA gives no answer: %s", text(err))
	}
	return res.Decisions[0], passed
}
