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
	"time"

	"github.com/steward-iam/steward/shared/fga"
)

// The ids of the one store and its one model.
const (
	StoreID = "01KAFGATESTST0RE0000000000"
	ModelID = "01KAFGATESTM0DE10000000000"
)

// Fake is an OpenFGA API with one store. Make it with [New] and serve it with httptest.NewServer.
type Fake struct {
	// Issuer, if set, answers [TokenPath] and its tokens are required.
	Issuer *Issuer

	model  authorizationModel
	mu     sync.Mutex
	tuples []fga.Tuple
	calls  []Call
	faults []Fault
}

// Call is one request as it was received, before it was judged.
type Call struct {
	Path          string
	Authorization string
	Consistency   string
	ModelID       string
	Checks        []fga.Check
}

// Fault replaces answers.
type Fault struct {
	Path   string // the end of the paths it holds for; "" is all but the token endpoint
	Times  int    // how many answers it replaces; 0 is all of them
	Delay  time.Duration
	Status int // 0 answers properly, after the delay
	Header http.Header
	Body   string
	Reset  bool // breaks the connection instead
}

// New makes a Fake whose store holds the tuples.
func New(tuples ...fga.Tuple) *Fake { return &Fake{model: parseModel(), tuples: tuples} }

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

// Fail sets the faults, in place of those set before; none ends them.
func (f *Fake) Fail(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = slices.Clone(faults)
}

// Calls are the checks received so far, in order.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Invoke plays the fga-authorizer function, for tests of its callers. A [Fault] with a status or a reset ends it with a
// function error.
func (f *Fake) Invoke(ctx context.Context, functionName string, payload []byte) (answer []byte, functionError string, err error) {
	r, invalid := fga.DecodeRequest(payload)
	call := Call{Path: functionName, Checks: r.Checks}
	if r.Higher {
		call.Consistency = "HIGHER_CONSISTENCY"
	}
	fault := f.received(call)
	if err := pause(ctx, fault.Delay); err != nil {
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

// ServeHTTP answers as the OpenFGA API does.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		fail(w, http.StatusBadRequest, "validation_error", err.Error())
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(raw)))
	var in body
	var malformed error
	if len(raw) > 0 {
		malformed = json.Unmarshal(raw, &in)
	}
	call := Call{Path: r.URL.Path, Authorization: r.Header.Get("Authorization"), Consistency: in.Consistency, ModelID: in.ModelID}
	if in.TupleKey != nil {
		call.Checks = append(call.Checks, in.check())
	}
	for _, c := range in.Checks {
		call.Checks = append(call.Checks, c.check())
	}
	fault := f.received(call)
	if pause(r.Context(), fault.Delay) != nil {
		return
	}
	switch {
	case fault.Reset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	case fault.Status != 0:
		for k, v := range fault.Header {
			w.Header()[http.CanonicalHeaderKey(k)] = v
		}
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, in, malformed) })
	switch {
	case f.Issuer == nil:
		api(w, r)
	case r.URL.Path == TokenPath:
		f.Issuer.ServeHTTP(w, r)
	default:
		f.Issuer.Guard(api, true).ServeHTTP(w, r)
	}
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

// received notes a call and takes the fault that holds for it.
func (f *Fake) received(c Call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := c.Path == TokenPath
	if !token {
		f.calls = append(f.calls, c)
	}
	for i, fault := range f.faults {
		if fault.Path == "" && token || !strings.HasSuffix(c.Path, fault.Path) {
			continue
		}
		if fault.Times == 1 {
			f.faults = slices.Delete(f.faults, i, i+1)
		} else if fault.Times > 1 {
			f.faults[i].Times--
		}
		return fault
	}
	return Fault{}
}

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

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
