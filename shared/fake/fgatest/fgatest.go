// Package fgatest is a fake OpenFGA for tests that must not compile the real server, which has 600 packages.
//
// [Fake] answers the HTTP API's check and batch-check out of tuples and the repository's own model, refuses what the
// server refuses with the server's codes, and can be told to fail. It can also stand in for the fga-authorizer function
// as a whole: it is an [fga.Invoker]. [Issuer] is the token endpoint of Auth0 FGA; the laptop run puts the same one in
// front of the real server.
//
// What it does not do: conditions, list-objects, list-users, read, write, models; caches and their stale answers. The
// texts of its refusals are its own. A test in infra/local puts the same requests to it and to the real server and
// compares.
package fgatest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fga"
)

// The ids of the one store and its one model.
const (
	StoreID = "01KAFGATESTST0RE0000000000"
	ModelID = "01KAFGATESTM0DE10000000000"
)

// Fake is an OpenFGA API with one store. Make it with [New] and serve it with httptest.NewServer.
type Fake struct {
	faults.Engine

	// Issuer, if set, answers [TokenPath] and its tokens are required.
	Issuer *Issuer

	model  authorizationModel
	mu     sync.Mutex
	tuples []fga.Tuple
}

// Call is one request as it was received, before it was judged.
type Call struct {
	Path          string
	Authorization string
	Consistency   string
	ModelID       string
	Checks        []fga.Check
}

// New makes a Fake whose store holds the tuples.
func New(tuples ...fga.Tuple) *Fake {
	return &Fake{Engine: faults.Engine{Describe: describe}, model: parseModel(), tuples: tuples}
}

// Grant adds a tuple to the store.
func (f *Fake) Grant(user, relation, object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tuples = append(f.tuples, fga.Tuple{User: user, Relation: relation, Object: object})
}

// Revoke takes a tuple out of the store.
func (f *Fake) Revoke(user, relation, object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tuples = slices.DeleteFunc(f.tuples, func(t fga.Tuple) bool { return t == fga.Tuple{User: user, Relation: relation, Object: object} })
}

// Calls are the checks received so far, in order.
func (f *Fake) Calls() []Call {
	var all []Call
	for _, r := range f.Requests() {
		all = append(all, r.Detail.(Call)) //nolint:errcheck,forcetypeassert // describe and Invoke put nothing else there
	}
	return all
}

// Invoke stands for the fga-authorizer function, for tests of its callers. A fault with a status or a reset ends it with
// a function error.
func (f *Fake) Invoke(ctx context.Context, functionName string, payload []byte) (answer []byte, functionError string, err error) {
	r, invalid := fga.DecodeRequest(payload)
	call := Call{Path: functionName, Checks: r.Checks}
	if r.Higher {
		call.Consistency = "HIGHER_CONSISTENCY"
	}
	fault := f.Receive(&faults.Request{Service: faults.FGA, Path: functionName, Detail: call})
	if err := faults.Wait(ctx, fault.Delay); err != nil {
		return nil, "", err
	}
	if fault.Reset || fault.Status != 0 {
		return []byte(`{"errorMessage":"told to fail","errorType":"errorString"}`), "Unhandled", nil
	}
	res := fga.Response{ModelID: ModelID}
	for _, c := range r.Checks {
		d, refused := f.decide(c)
		if invalid != nil || refused != nil {
			d, res.Reason = fga.Unknown, fga.ReasonInvalid
		}
		res.Decisions = append(res.Decisions, d)
	}
	answer, err = json.Marshal(res)
	return answer, "", err
}

type (
	tupleKey struct {
		User     string `json:"user"`
		Relation string `json:"relation"`
		Object   string `json:"object"`
	}
	tupleKeys struct {
		TupleKeys []tupleKey `json:"tuple_keys"`
	}
	item struct {
		TupleKey         *tupleKey `json:"tuple_key"`
		ContextualTuples tupleKeys `json:"contextual_tuples"`
		CorrelationID    string    `json:"correlation_id"`
	}
	body struct {
		item

		Checks      []item `json:"checks"`
		Consistency string `json:"consistency"`
		ModelID     string `json:"authorization_model_id"`
	}
)

func (i item) check() fga.Check {
	var c fga.Check
	if i.TupleKey != nil {
		c.Tuple = fga.Tuple(*i.TupleKey)
	}
	for _, t := range i.ContextualTuples.TupleKeys {
		c.Contextual = append(c.Contextual, fga.Tuple(t))
	}
	return c
}

var (
	ulid        = regexp.MustCompile(`^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$`)
	correlation = regexp.MustCompile(`^[\w\d-]{1,36}$`)
	checkPath   = regexp.MustCompile(`^/stores/([^/]+)/(check|batch-check)$`)
)

// describe notes the checks of a request.
func describe(entry *faults.Request, r *http.Request, raw []byte) {
	var in body
	_ = json.Unmarshal(raw, &in) // serve says what is wrong with it
	call := Call{Path: r.URL.Path, Authorization: r.Header.Get("Authorization"), Consistency: in.Consistency, ModelID: in.ModelID}
	if in.TupleKey != nil {
		call.Checks = append(call.Checks, in.check())
	}
	for _, c := range in.Checks {
		call.Checks = append(call.Checks, c.check())
	}
	entry.Detail = call
}

// ServeHTTP answers as the OpenFGA API does.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.Issuer != nil && r.URL.Path == TokenPath {
		f.Issuer.ServeHTTP(w, r)
		return
	}
	f.Wrap(faults.FGA, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			fail(w, http.StatusBadRequest, "validation_error", err.Error())
			return
		}
		var in body
		if len(raw) > 0 {
			err = json.Unmarshal(raw, &in)
		}
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, in, err) })
		if f.Issuer == nil {
			api(w, r)
			return
		}
		f.Issuer.Guard(api, true).ServeHTTP(w, r)
	})).ServeHTTP(w, r)
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, in body, malformed error) {
	path := checkPath.FindStringSubmatch(r.URL.Path)
	switch {
	case path == nil:
		fail(w, http.StatusNotFound, "undefined_endpoint", "Not Found")
		return
	case r.Method != http.MethodPost:
		fail(w, http.StatusNotImplemented, "unimplemented", "Method Not Allowed")
		return
	case malformed != nil:
		fail(w, http.StatusBadRequest, "validation_error", malformed.Error())
		return
	}
	store, batch := path[1], path[2] == "batch-check"
	w.Header().Set("X-Request-Id", rand.Text())
	w.Header().Set("Openfga-Store-Id", store)
	checks := in.Checks
	if !batch {
		checks = []item{in.item}
	}
	if err := wellFormed(store, in.ModelID, batch, checks); err != nil {
		err.answer(w)
		return
	}
	switch {
	case in.ModelID == "" && store != StoreID:
		fail(w, http.StatusBadRequest, "latest_authorization_model_not_found", "No authorization models found for store '"+store+"'")
		return
	case store != StoreID || in.ModelID != "" && in.ModelID != ModelID:
		fail(w, http.StatusBadRequest, "authorization_model_not_found", "Authorization Model '"+in.ModelID+"' not found")
		return
	}
	w.Header().Set("Openfga-Authorization-Model-Id", ModelID)
	if !batch {
		d, err := f.decide(in.check())
		if err != nil {
			err.answer(w)
			return
		}
		answer(w, http.StatusOK, map[string]any{"allowed": d == fga.Allowed, "resolution": ""})
		return
	}
	result := map[string]any{}
	for _, c := range checks {
		if _, twice := result[c.CorrelationID]; twice || len(checks) > fga.MaxChecks {
			fail(w, http.StatusBadRequest, "validation_error", "batch-check takes at most 50 checks, each with a correlation id of its own")
			return
		}
		d, err := f.decide(c.check())
		if err != nil {
			result[c.CorrelationID] = map[string]any{"error": map[string]any{"input_error": err.code, "message": err.message}}
			continue
		}
		result[c.CorrelationID] = map[string]any{"allowed": d == fga.Allowed}
	}
	answer(w, http.StatusOK, map[string]any{"result": result})
}

// refusal is an error of the API, of status 400.
type refusal struct{ code, message string }

func (r *refusal) answer(w http.ResponseWriter) { fail(w, http.StatusBadRequest, r.code, r.message) }

func invalid(message string) *refusal { return &refusal{"validation_error", message} }

// wellFormed is the part of validation that knows neither store nor model: it fails a whole batch.
func wellFormed(store, modelID string, batch bool, checks []item) *refusal {
	if !ulid.MatchString(store) || modelID != "" && !ulid.MatchString(modelID) {
		return invalid("value does not match regex pattern " + ulid.String())
	}
	if len(checks) == 0 {
		return invalid("batch check requires at least one check to evaluate, no checks were received")
	}
	for _, c := range checks {
		if c.TupleKey == nil {
			return &refusal{"tuple_key_value_not_specified", "value is required"}
		}
		if batch && !correlation.MatchString(c.CorrelationID) {
			return invalid("value does not match regex pattern " + correlation.String())
		}
		if len(c.ContextualTuples.TupleKeys) > fga.MaxContextual {
			return invalid("value must contain no more than 100 item(s)")
		}
		for _, t := range append([]tupleKey{*c.TupleKey}, c.ContextualTuples.TupleKeys...) {
			switch {
			case len(t.User) < 2 || len(t.User) > 512 || strings.ContainsAny(t.User, space):
				return invalid("invalid user")
			case t.Relation == "" || len(t.Relation) > 50 || strings.ContainsAny(t.Relation, ":#@"+space):
				return invalid("invalid relation")
			case len(t.Object) < 2 || len(t.Object) > 256 || strings.ContainsAny(t.Object, space):
				return invalid("invalid object")
			}
		}
	}
	return nil
}

const space = " \t\r\n\f\v"

func (f *Fake) decide(c fga.Check) (fga.Decision, *refusal) {
	f.mu.Lock()
	stored := slices.Clone(f.tuples)
	f.mu.Unlock()
	ok, err := f.model.check(c, stored)
	switch {
	case err != nil:
		return fga.Unknown, err
	case ok:
		return fga.Allowed, nil
	}
	return fga.Denied, nil
}
