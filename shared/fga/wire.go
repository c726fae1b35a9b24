package fga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The payloads of the fga-authorizer function:
//
//	{"checks":[{"user":"user:a@x.org","relation":"read_okta","object":"okta:groups",
//	            "contextual":[{"user":"okta:main","relation":"org","object":"okta:groups"}]}],"higher_consistency":true}
//	{"decisions":["allowed"],"model_id":"01K…"}
type (
	wireTuple struct {
		User     string `json:"user"`
		Relation string `json:"relation"`
		Object   string `json:"object"`
	}
	wireCheck struct {
		wireTuple

		Contextual []wireTuple `json:"contextual,omitempty"`
	}
	wireRequest struct {
		Checks []wireCheck `json:"checks"`
		Higher bool        `json:"higher_consistency,omitempty"`
	}
	wireResponse struct {
		Decisions []Decision `json:"decisions"`
		ModelID   string     `json:"model_id,omitempty"`
		Reason    Reason     `json:"reason,omitempty"`
	}
)

// MarshalJSON writes the function's input.
func (r Request) MarshalJSON() ([]byte, error) {
	w := wireRequest{Checks: make([]wireCheck, len(r.Checks)), Higher: r.Higher}
	for i, c := range r.Checks {
		w.Checks[i].wireTuple = wireTuple(c.Tuple)
		for _, t := range c.Contextual {
			w.Checks[i].Contextual = append(w.Checks[i].Contextual, wireTuple(t))
		}
	}
	return json.Marshal(w)
}

// DecodeRequest reads the function's input. It refuses fields it does not know, anything after the value, and whatever
// [Request.Validate] refuses; the request that could be read is returned beside the error.
func DecodeRequest(payload []byte) (Request, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	var w wireRequest
	if err := d.Decode(&w); err != nil {
		return Request{}, fmt.Errorf("decode request: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Request{}, errors.New("decode request: more than one value")
	}
	r := Request{Checks: make([]Check, len(w.Checks)), Higher: w.Higher}
	for i, c := range w.Checks {
		r.Checks[i].Tuple = Tuple(c.wireTuple)
		for _, t := range c.Contextual {
			r.Checks[i].Contextual = append(r.Checks[i].Contextual, Tuple(t))
		}
	}
	return r, r.Validate()
}

// MarshalJSON writes the function's answer.
func (r Response) MarshalJSON() ([]byte, error) {
	if r.Decisions == nil {
		r.Decisions = []Decision{}
	}
	return json.Marshal(wireResponse(r))
}

// UnmarshalJSON reads the function's answer. A decision it does not know becomes [Unknown].
func (r *Response) UnmarshalJSON(data []byte) error {
	var w wireResponse
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	for i, d := range w.Decisions {
		if d != Allowed && d != Denied {
			w.Decisions[i] = Unknown
		}
	}
	*r = Response(w)
	return nil
}
