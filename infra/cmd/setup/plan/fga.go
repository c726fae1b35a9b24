package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	openfga "github.com/openfga/go-sdk"
	"github.com/openfga/go-sdk/client"
	"github.com/openfga/go-sdk/credentials"
	"golang.org/x/oauth2"

	"github.com/steward-iam/steward/infra/tenant"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/fga/model"
	"github.com/steward-iam/steward/shared/secret"
)

const tuplesInOneWrite = 40 // Auth0 FGA's limit; OpenFGA takes 100

type fgaStore struct {
	*client.OpenFgaClient

	storeID string // known once it is there
	modelID string
}

// openFGA gets a token as the client that may write, and makes an SDK client with it.
func (w *tenants) openFGA(ctx context.Context) error {
	f := w.File.FGA
	var token secret.String
	if f.TokenIssuer.URL != nil {
		key, err := w.Secrets.Get(ctx, f.Setup.ClientSecret)
		if err != nil {
			return &reach.Problem{Say: "fga.setup.client_secret: " + err.Error(), Err: err}
		}
		if token, err = FGAToken(ctx, w.http, f.TokenIssuer.String(), f.Setup.ClientID, key, f.Audience); err != nil {
			return err
		}
	}
	c, err := FGAClient(f.APIURL.String(), f.StoreID, token, w.http)
	if err != nil {
		return err
	}
	w.fga = &fgaStore{OpenFgaClient: c, storeID: f.StoreID}
	return nil
}

// FGAToken gets a machine's token for FGA, and says what is wrong if there is none.
func FGAToken(ctx context.Context, c *http.Client, issuer, clientID string, key secret.String, audience string) (secret.String, error) {
	endpoint := issuer
	if !strings.Contains(strings.TrimPrefix(strings.TrimPrefix(issuer, "https://"), "http://"), "/") || strings.HasSuffix(issuer, "/") {
		endpoint = strings.TrimSuffix(issuer, "/") + "/oauth/token"
	}
	token, _, err := reach.Machine(ctx, c, endpoint, clientID, key, audience)
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch r.Response.StatusCode {
		case http.StatusUnauthorized:
			return token, &reach.Problem{Say: fmt.Sprintf("%s does not accept the FGA client %s: its id or its secret is another", issuer, clientID), Err: err}
		case http.StatusForbidden:
			return token, &reach.Problem{Say: fmt.Sprintf("%s gives no tokens for the audience %s: it is the API's URL with a slash at its end", issuer, audience), Err: err}
		}
		return token, &reach.Problem{Say: fmt.Sprintf("%s answered %d %s when asked for a token", issuer, r.Response.StatusCode, r.ErrorCode), Err: err}
	}
	return token, Explain("FGA", err)
}

// FGAClient is openfga's own client, with our patience instead of its retries.
func FGAClient(apiURL, storeID string, token secret.String, c *http.Client) (*client.OpenFgaClient, error) {
	cfg := &client.ClientConfiguration{
		ApiUrl: strings.TrimSuffix(apiURL, "/"), StoreId: storeID, HTTPClient: c,
		RetryParams: &openfga.RetryParams{MaxRetry: 0, MinWaitInMs: 1},
	}
	if !token.IsZero() {
		cfg.Credentials = &credentials.Credentials{Method: credentials.CredentialsMethodApiToken, Config: &credentials.Config{ApiToken: token.Reveal()}}
	}
	made, err := client.NewSdkClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure the OpenFGA client: %w", err)
	}
	return made, nil
}

type fgaError interface {
	error
	ResponseStatusCode() int
}

func explainFGA(what string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[fgaError](err); ok {
		text := fmt.Sprintf("FGA answered %d when asked to %s", e.ResponseStatusCode(), what)
		switch e.ResponseStatusCode() {
		case http.StatusUnauthorized, http.StatusForbidden:
			text = fmt.Sprintf("The FGA client of fga.setup may not %s (status %d): give it the permissions to read and write models and tuples (Settings > Authorized Clients)", what, e.ResponseStatusCode())
		case http.StatusTooManyRequests:
			text = "FGA is busy: its rate limit did not end in time; wait a minute"
		}
		return &reach.Problem{Say: text, Err: err}
	}
	return Explain("FGA", err)
}

func (w *tenants) planStore(ctx context.Context, p *Plan) error {
	f := w.File.FGA
	if f.StoreID != "" {
		if _, err := w.fga.GetStore(ctx).Execute(); err != nil {
			if e, ok := errors.AsType[fgaError](err); ok && e.ResponseStatusCode() == http.StatusNotFound {
				return &reach.Problem{Say: fmt.Sprintf("There is no FGA store %s at %s; correct fga.store_id", f.StoreID, f.APIURL), Err: err}
			}
			return explainFGA("read the store", err)
		}
		return nil
	}
	step := Step{Resource: fmt.Sprintf("FGA store %q", f.StoreName), Action: Nothing}
	var found []string
	next := ""
	for {
		list, err := w.fga.ListStores(ctx).Options(client.ClientListStoresOptions{ContinuationToken: &next}).Execute()
		if err != nil {
			return explainFGA("list stores", err)
		}
		for _, s := range list.GetStores() {
			if s.GetName() == f.StoreName {
				found = append(found, s.GetId())
			}
		}
		if next = list.GetContinuationToken(); next == "" {
			break
		}
	}
	switch len(found) {
	case 0:
		step.Action = Create
		step.apply = func(ctx context.Context) error {
			made, err := w.fga.CreateStore(ctx).Body(client.ClientCreateStoreRequest{Name: f.StoreName}).Execute()
			if err != nil {
				return explainFGA("create a store", err)
			}
			return w.useStore(made.GetId())
		}
	case 1:
		if err := w.useStore(found[0]); err != nil {
			return err
		}
	default:
		return &reach.Problem{Say: fmt.Sprintf("There are %d FGA stores named %q; say with fga.store_id which one is meant", len(found), f.StoreName)}
	}
	p.add(step)
	return nil
}

func (w *tenants) useStore(id string) error {
	w.fga.storeID = id
	if err := w.fga.SetStoreId(id); err != nil {
		return fmt.Errorf("FGA store %s: %w", id, err)
	}
	return nil
}

// planModel writes the repository's model unless the store has it already, among its newest ones. A model is never changed and
// never deleted: the functions pin the one they use.
func (w *tenants) planModel(ctx context.Context, p *Plan) error {
	step := Step{Resource: "FGA authorization model", Action: Create, Details: []string{"as in shared/fga/model; the id to pin is told at the end"}}
	if w.fga.storeID != "" {
		size := int32(50)
		list, err := w.fga.ReadAuthorizationModels(ctx).Options(client.ClientReadAuthorizationModelsOptions{PageSize: &size}).Execute()
		if err != nil {
			return explainFGA("read models", err)
		}
		for _, m := range list.GetAuthorizationModels() {
			if SameModel(m) {
				w.fga.modelID = m.GetId()
				step.Action, step.Details = Nothing, nil
				step.Resource += " " + m.GetId()
				break
			}
		}
	}
	step.apply = func(ctx context.Context) error {
		var body client.ClientWriteAuthorizationModelRequest
		if err := json.Unmarshal(model.JSON, &body); err != nil {
			return fmt.Errorf("read model.json: %w", err)
		}
		made, err := w.fga.WriteAuthorizationModel(ctx).Body(body).Execute()
		if err != nil {
			return explainFGA("write a model", err)
		}
		w.fga.modelID = made.GetAuthorizationModelId()
		return nil
	}
	p.add(step)
	return nil
}

// SameModel says whether a stored model means what the repository's means: the same but for ids and empty fields.
func SameModel(stored openfga.AuthorizationModel) bool {
	raw, err := json.Marshal(stored)
	if err != nil {
		return false
	}
	var have, want map[string]any
	if json.Unmarshal(raw, &have) != nil || json.Unmarshal(model.JSON, &want) != nil {
		return false
	}
	delete(have, "id")
	delete(want, "id")
	return reflect.DeepEqual(prune(have), prune(want))
}

// prune drops what is empty, but for "this", which means something by being there.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			child = prune(child)
			v[k] = child
			if k != "this" && empty(child) {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

func empty(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || (r.Kind() == reflect.String || r.Kind() == reflect.Map || r.Kind() == reflect.Slice) && r.Len() == 0
}

// planTuples adds the file's tuples. It deletes none: others may have written theirs.
func (w *tenants) planTuples(ctx context.Context, p *Plan) error {
	if len(w.File.FGA.Tuples) == 0 {
		p.note("steward.yaml has no tuples, so nobody may do anything until there are some (fga.tuples).")
		return nil
	}
	add := w.File.FGA.Tuples
	if w.fga.storeID != "" {
		var err error
		if add, err = w.absent(ctx, add); err != nil {
			return err
		}
	}
	resource := fmt.Sprintf("FGA tuples (%d)", len(w.File.FGA.Tuples))
	if len(add) == 0 {
		p.update(resource, nil, nil)
		return nil
	}
	var details []string
	for _, t := range add {
		details = append(details, fmt.Sprintf("add %s %s %s", t.User, t.Relation, t.Object))
	}
	p.create(resource, details, func(ctx context.Context) error {
		for part := range slices.Chunk(add, tuplesInOneWrite) {
			var keys []client.ClientTupleKey
			for _, t := range part {
				keys = append(keys, client.ClientTupleKey{User: t.User, Relation: t.Relation, Object: t.Object})
			}
			_, err := w.fga.Write(ctx).Body(client.ClientWriteRequest{Writes: keys}).Options(client.ClientWriteOptions{
				AuthorizationModelId: &w.fga.modelID,
				Conflict:             client.ClientWriteConflictOptions{OnDuplicateWrites: client.CLIENT_WRITE_REQUEST_ON_DUPLICATE_WRITES_IGNORE},
			}).Execute()
			if err != nil {
				return explainFGA("write tuples", err)
			}
		}
		return nil
	})
	return nil
}

// absent are the tuples that the store does not have.
func (w *tenants) absent(ctx context.Context, tuples []tenant.Tuple) (add []tenant.Tuple, err error) {
	for _, t := range tuples {
		page, err := w.fga.Read(ctx).Body(client.ClientReadRequest{User: &t.User, Relation: &t.Relation, Object: &t.Object}).Execute()
		if err != nil {
			return nil, explainFGA("read tuples", err)
		}
		if len(page.GetTuples()) == 0 {
			add = append(add, t)
		}
	}
	return add, nil
}

// planCheckerSecret carries the secret of the client that only asks into Secrets Manager.
func (w *tenants) planCheckerSecret(ctx context.Context, p *Plan) error {
	f := w.File.FGA
	if f.TokenIssuer.URL == nil {
		return nil
	}
	read := func(ctx context.Context) (secret.String, error) {
		key, err := w.Secrets.Get(ctx, f.Checker.ClientSecret)
		if err != nil {
			return key, &reach.Problem{Say: "fga.checker.client_secret: " + err.Error(), Err: err}
		}
		return key, nil
	}
	return w.planSecret(ctx, p, "FGA client secret", f.Checker.SecretTo, "fga.checker.client_secret_to", read, read)
}
