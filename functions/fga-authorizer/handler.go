package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/steward-iam/steward/shared/fga"
)

// asker is what the handler needs of OpenFGA. The response is complete whatever the error, which is for the log.
type asker interface {
	Ask(context.Context, fga.Request) (fga.Response, error)
}

type handler struct {
	fga asker
	log *slog.Logger
}

// Handle decodes, asks, records what was decided and answers. It never returns an error: whatever goes wrong is a
// decision that is unknown.
func (h handler) Handle(ctx context.Context, payload json.RawMessage) (fga.Response, error) {
	request, err := fga.DecodeRequest(payload)
	if err != nil {
		h.log.LogAttrs(ctx, slog.LevelError, "request cannot be asked", slog.Any("err", err), slog.Int("checks", len(request.Checks)))
		return unknown(len(request.Checks), fga.ReasonInvalid), nil
	}
	response, err := h.fga.Ask(ctx, request)
	if len(response.Decisions) != len(request.Checks) {
		response = unknown(len(request.Checks), fga.ReasonUpstream)
	}
	h.record(ctx, request, response, err)
	return response, nil
}

func unknown(n int, reason fga.Reason) fga.Response {
	r := fga.Response{Reason: reason}
	for range min(n, fga.MaxChecks) {
		r.Decisions = append(r.Decisions, fga.Unknown)
	}
	return r
}

// record writes one line a request: which relation on which object, and the decision. The user is an e-mail address as
// a rule and so is left out; the audit table of the callers knows it. At debug level it is written too.
func (h handler) record(ctx context.Context, request fga.Request, response fga.Response, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.Bool("higher_consistency", request.Higher), slog.String("model_id", response.ModelID)}
	if err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("reason", string(response.Reason)), slog.Any("err", err))
	}
	type line struct {
		User     string       `json:"user,omitempty"`
		Relation string       `json:"relation"`
		Object   string       `json:"object"`
		Decision fga.Decision `json:"decision"`
	}
	lines := make([]line, len(request.Checks))
	debug := h.log.Enabled(ctx, slog.LevelDebug)
	for i, c := range request.Checks {
		lines[i] = line{Relation: c.Relation, Object: c.Object, Decision: response.Decisions[i]}
		if debug {
			lines[i].User = c.User
		}
	}
	h.log.LogAttrs(ctx, level, "checked", append(attrs, slog.Any("checks", lines))...)
}
