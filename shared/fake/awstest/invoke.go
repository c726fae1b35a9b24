package awstest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrNoFunction is what an Invoke hook returns for a function that does not
// exist.
var ErrNoFunction = errors.New("function not found")

// maxPayload is the payload limit of Lambda Invoke.
const maxPayload = 6 << 20

const functionsPath = "/2015-03-31/functions/"

func isInvoke(r *http.Request) bool {
	return strings.HasPrefix(r.URL.EscapedPath(), functionsPath) && strings.HasSuffix(r.URL.EscapedPath(), "/invocations")
}

// functionID takes a function's name, partial ARN or ARN apart.
var functionID = regexp.MustCompile(`^(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:|\d{12}:function:)?([a-zA-Z0-9_-]{1,64})(?::([a-zA-Z0-9$_-]+))?$`)

// serveInvoke is Lambda Invoke.
func (s *Server) serveInvoke(w http.ResponseWriter, r *http.Request, c *call) {
	c.service, c.operation = "lambda", "Invoke"
	w.Header().Set("Content-Type", "application/json")

	escaped := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), functionsPath), "/invocations")
	given, err := url.PathUnescape(escaped)
	id := functionID.FindStringSubmatch(given)
	refuse := func(status int, code, message string) {
		s.answer(w, r, c, nil, &apiError{status: status, code: code, message: message})
	}
	switch {
	case r.Method != http.MethodPost:
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowedException", "Method not allowed")
		return
	case err != nil || id == nil:
		refuse(http.StatusBadRequest, "ValidationException", "1 validation error detected: Value '"+given+"' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: "+functionID.String())
		return
	}
	name := id[1]
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	kind := r.Header.Get("X-Amz-Invocation-Type")
	switch {
	case err != nil:
		refuse(http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request must be smaller than the maximum size for the InvokeFunction operation")
		return
	case len(payload) > 0 && !json.Valid(payload):
		refuse(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: it is not valid JSON")
		return
	case c.first && s.chaos.OneIn(oneInThrottled):
		s.answer(w, r, c, nil, throttle("lambda"))
		return
	case s.opts.Invoke == nil, s.opts.Functions != nil && !slices.Contains(s.opts.Functions, name):
		s.answer(w, r, c, nil, s.noFunction(name))
		return
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if kind != "" && kind != "RequestResponse" {
		s.answer(w, r, c, nil, notImplemented("the invocation type "+kind))
		return
	}
	s.invoke(w, r, c, name, payload)
}

func (s *Server) invoke(w http.ResponseWriter, r *http.Request, c *call, name string, payload []byte) {
	out, functionError, err := s.opts.Invoke(r.Context(), name, payload)
	switch {
	case errors.Is(err, ErrNoFunction):
		s.answer(w, r, c, nil, s.noFunction(name))
		return
	case err != nil:
		s.answer(w, r, c, nil, &apiError{status: http.StatusInternalServerError, code: "ServiceException", message: err.Error()})
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	w.Header().Set("X-Amzn-Requestid", newID(s.chaos))
	if functionError != "" {
		w.Header().Set("X-Amz-Function-Error", functionError)
	}
	if len(out) == 0 {
		out = []byte("null")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(out)
}

func (s *Server) noFunction(name string) error {
	return &apiError{status: http.StatusNotFound, code: "ResourceNotFoundException", message: "Function not found: " + s.arn("lambda", "function:"+name)}
}
