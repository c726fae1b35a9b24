// Package bedrocktest is a fake of Amazon Bedrock's two agent runtimes over HTTP, with a rule-based planner as the
// model.
//
// It serves InvokeAgent of Bedrock Agents Classic and InvokeHarness (with StopRuntimeSession) of AgentCore to unmodified
// SDKs: their paths, headers, errors and event-stream framing. In place of a language model stands a [Model]; the default
// is [Planner], which knows what people say in English about the catalogue's functions.
//
//	POST /agents/{agentId}/agentAliases/{agentAliasId}/sessions/{sessionId}/text
//	POST /harnesses/invoke?harnessArn=…&qualifier=…
//	POST /runtimes/{arn}/stopruntimesession
//
// Like the services, it refuses ids that do not fit, bodies it cannot read, a second call on a busy session, a tool result
// nobody asked for and a message while a tool call is open; it forgets idle sessions; a Classic function that fails or
// answers in any other shape ends the stream with dependencyFailedException. Where they may be difficult it is: chunks
// of the answer end anywhere, also within a character, and the arguments of a tool call come in pieces.
//
// What the model is given is the conversation and nothing else: session attributes and prompt session attributes reach the
// function and are never shown to it.
//
// What it does not do: check signatures, run agents with knowledge bases, files, return of control, memory or
// guardrails, or apply a harness call's overrides of model, prompt and tools (they are accepted and change nothing).
package bedrocktest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// Options configure a [Server]. The zero value serves both runtimes with the planner; only tools cannot be called then.
type Options struct {
	// Invoke is Lambda Invoke: it runs a function by name and returns its payload and, if the function failed, the
	// value of X-Amz-Function-Error. Action groups are functions of the same name.
	Invoke func(ctx context.Context, function string, payload []byte) (answer []byte, functionError string, err error)

	Model Model        // in place of the language model; default the planner
	Log   *slog.Logger // default: nothing
	Now   func() time.Time
	// ChunkDelay is the pause before each piece of an answer; a person sees it being written.
	ChunkDelay time.Duration
	// ChunkBytes is the size of such a piece; default 24.
	ChunkBytes int
	// IdleTTL is when an unused session is forgotten; default 10 minutes.
	IdleTTL time.Duration

	// AgentID and AliasID, or HarnessARN, if set, are the only ones that exist.
	AgentID, AliasID, HarnessARN string
	// AgentName goes into the event; default "steward".
	AgentName string
}

// Server is the fake. It is an http.Handler; the other methods are for the test that drives it.
type Server struct {
	faults.Engine

	opt Options
	mux *http.ServeMux

	mu       sync.Mutex
	sessions map[string]*session
}

// New makes a Server.
func New(opt Options) *Server {
	if opt.Model == nil {
		opt.Model = Planner{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.ChunkBytes <= 0 {
		opt.ChunkBytes = 24
	}
	if opt.IdleTTL <= 0 {
		opt.IdleTTL = 10 * time.Minute
	}
	if opt.AgentName == "" {
		opt.AgentName = "steward"
	}
	s := &Server{Engine: faults.Engine{Describe: describe}, opt: opt, mux: http.NewServeMux(), sessions: map[string]*session{}}
	s.mux.HandleFunc("POST /agents/{agentId}/agentAliases/{agentAliasId}/sessions/{sessionId}/text", s.invokeAgent)
	s.mux.HandleFunc("POST /harnesses/invoke", s.invokeHarness)
	s.mux.HandleFunc("POST /runtimes/{arn}/stopruntimesession", s.stopSession)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &Exception{Code: "UnknownOperationException", Status: http.StatusNotFound})
	})
	return s
}

// ServeHTTP serves both runtimes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amzn-requestid", strings.ToLower(rand.Text()))
	s.Wrap(faults.AWS, s.mux).ServeHTTP(w, r)
}

// Protocols is what a server of a [Server] without TLS should speak: HTTP/1.1, and HTTP/2 for the AWS SDK for JavaScript,
// whose Bedrock agent runtime client speaks nothing else.
func Protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Request is a call as it was received.
type Request struct {
	Time                    time.Time
	Runtime                 string // "classic" or "harness"
	SessionID               string
	Text                    string // the person's words
	EnableTrace             bool
	End                     bool // the session was ended
	SessionAttributes       map[string]string
	PromptSessionAttributes map[string]string
	ToolResults             []string // texts of the tool results of a harness call
	Body                    []byte
}

// Requests is what was received, in order.
func (s *Server) Requests() []Request {
	var all []Request
	for _, r := range s.Engine.Requests() {
		if call, ok := r.Detail.(Request); ok {
			all = append(all, call)
		}
	}
	return all
}

// Reset forgets sessions, requests and faults.
func (s *Server) Reset() {
	s.Fail()
	s.Forget()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Exception is an error of the service.
type Exception struct {
	Code         string // "ThrottlingException"
	Status       int    // as an HTTP answer
	Message      string
	ResourceName string // of dependencyFailedException
}

// Failing is the fault that answers with an exception, or, with chunk set, ends the stream with it before that piece of text.
func Failing(code, message string, chunk int) faults.Fault {
	e := &Exception{Code: code, Message: message}
	return faults.Fault{Status: e.status(), Header: http.Header{errorType: {code}}, Body: string(e.payload()), Chunk: chunk}
}

const errorType = "X-Amzn-Errortype"

// describe decodes a call for the journal.
func describe(entry *faults.Request, r *http.Request, raw []byte) {
	call := Request{Time: entry.At, Body: raw, SessionID: r.Header.Get(sessionHeader), Runtime: "harness"}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "agents" && len(parts) == 7:
		var in agentRequest
		_ = json.Unmarshal(raw, &in) // the handler says what is wrong with it
		call.Runtime, call.SessionID, call.Text, call.EnableTrace, call.End = "classic", parts[5], in.InputText, in.EnableTrace, in.EndSession
		call.SessionAttributes, call.PromptSessionAttributes = in.SessionState.SessionAttributes, in.SessionState.PromptSessionAttributes
	case parts[0] == "harnesses":
		var in harnessRequest
		_ = json.Unmarshal(raw, &in)
		var results []Result
		call.Text, results, _ = in.last()
		for _, result := range results {
			call.ToolResults = append(call.ToolResults, result.Text)
		}
	case parts[0] == "runtimes":
		call.End = true
	default:
		return
	}
	entry.Detail = call
}

// session is one conversation. It is used by one call at a time.
type session struct {
	busy         bool
	used         time.Time
	conversation []Message
	attributes   map[string]string // of Classic: they last for the session
	open         *Call             // of the harness: handed out, its result awaited
	queue        []Call            // of the harness: calls of the same reply, handed out one at a time
	results      []Result          // of the harness: results of that reply so far
}

// acquire takes the session for one call, made new if there is none or if it idled too long; nil if it is busy.
func (s *Server) acquire(key string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opt.Now()
	for k, old := range s.sessions {
		if !old.busy && now.Sub(old.used) >= s.opt.IdleTTL {
			delete(s.sessions, k)
		}
	}
	sess := s.sessions[key]
	if sess == nil {
		sess = &session{}
		s.sessions[key] = sess
	}
	if sess.busy {
		return nil
	}
	sess.busy, sess.used = true, now
	return sess
}

// releaser returns what ends the call's hold on the session, once. It must happen before the client can know that the answer is over.
func (s *Server) releaser(sess *session) func() {
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		sess.busy, sess.used = false, s.opt.Now()
	})
}

func (s *Server) forget(key string) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known = s.sessions[key]
	delete(s.sessions, key)
	return known
}

// maxBody is far below the services' limits and far above what a chat sends.
const maxBody = 4 << 20

// body reads and decodes a request. Members that it does not know are ignored.
func body(r *http.Request, into any) *Exception {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(raw) > maxBody {
		return invalid("The request body cannot be read.")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return &Exception{Code: "SerializationException", Status: http.StatusBadRequest, Message: "The request body is not the JSON it should be."}
	}
	return nil
}

func invalid(format string, args ...any) *Exception {
	return &Exception{Code: "ValidationException", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// statuses are the HTTP classes of the services' exceptions.
var statuses = map[string]int{
	"AccessDeniedException":         http.StatusForbidden,
	"BadGatewayException":           http.StatusBadGateway,
	"ConflictException":             http.StatusConflict,
	"DependencyFailedException":     http.StatusFailedDependency,
	"InternalServerException":       http.StatusInternalServerError,
	"ModelNotReadyException":        http.StatusFailedDependency,
	"ResourceNotFoundException":     http.StatusNotFound,
	"RuntimeClientError":            http.StatusFailedDependency,
	"ServiceQuotaExceededException": http.StatusBadRequest,
	"ThrottlingException":           http.StatusTooManyRequests,
	"ValidationException":           http.StatusBadRequest,
}

func (e *Exception) status() int {
	return cmp.Or(e.Status, statuses[e.Code], http.StatusInternalServerError)
}

func (e *Exception) payload() []byte {
	out := map[string]any{"message": e.Message}
	if e.ResourceName != "" {
		out["resourceName"] = e.ResourceName
	}
	return encode(out)
}

// refuse answers before any stream has begun.
func refuse(w http.ResponseWriter, e *Exception) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(errorType, e.Code)
	w.WriteHeader(e.status())
	_, _ = w.Write(e.payload()) // the client may have gone away
}

// stream writes an event stream, every event flushed on its own. After the first error it writes nothing more.
type stream struct {
	s       *Server
	w       http.ResponseWriter
	enc     *eventstream.Encoder
	release func()       // ends the hold on the session
	fault   faults.Fault // within the stream, if its Chunk is set
	texts   int          // pieces of text written
	err     error
	ended   bool // by an exception
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, release func()) *stream {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	w.WriteHeader(http.StatusOK)
	st := &stream{s: s, w: w, enc: eventstream.NewEncoder(), release: release}
	st.fault, _ = faults.InStream(r.Context())
	st.flush()
	return st
}

func (st *stream) flush() {
	if err := http.NewResponseController(st.w).Flush(); err != nil && st.err == nil {
		st.err = err
	}
}

func (st *stream) write(kind, typeHeader, name string, payload []byte) {
	if st.err != nil || st.ended {
		return
	}
	var msg eventstream.Message
	msg.Headers.Set(typeHeader, eventstream.StringValue(name))
	msg.Headers.Set(eventstreamapi.ContentTypeHeader, eventstream.StringValue("application/json"))
	msg.Headers.Set(eventstreamapi.MessageTypeHeader, eventstream.StringValue(kind))
	msg.Payload = payload
	var buf bytes.Buffer
	if st.err = st.enc.Encode(&buf, msg); st.err != nil {
		return
	}
	if _, st.err = st.w.Write(buf.Bytes()); st.err == nil {
		st.flush()
	}
}

// event writes one event.
func (st *stream) event(name string, payload any) {
	st.applyFault()
	st.write(eventstreamapi.EventMessageType, eventstreamapi.EventTypeHeader, name, encode(payload))
}

// text writes one event that carries a piece of the answer, after the delay.
func (st *stream) text(ctx context.Context, name string, payload any) {
	if st.err == nil && !st.ended {
		st.err = faults.Wait(ctx, st.s.opt.ChunkDelay)
	}
	st.event(name, payload)
	st.texts++
}

// applyFault lets the fault happen when its piece is due.
func (st *stream) applyFault() {
	if f := st.fault; f.Chunk > 0 && st.texts+1 >= f.Chunk && st.err == nil && !st.ended {
		if f.Reset {
			panic(http.ErrAbortHandler)
		}
		st.end(f.Header.Get(errorType), []byte(f.Body))
	}
}

// exception ends the stream.
func (st *stream) exception(e *Exception) {
	st.s.opt.Log.Info("stream ends with an exception", "code", e.Code, "message", e.Message)
	st.end(e.Code, e.payload())
}

func (st *stream) end(code string, payload []byte) {
	st.release()
	st.write(eventstreamapi.ExceptionMessageType, eventstreamapi.ExceptionTypeHeader, strings.ToLower(code[:1])+code[1:], payload)
	st.ended = true
}

// complete says whether all of it was written.
func (st *stream) complete() bool {
	if st.fault.Chunk > 0 { // the answer was shorter than that
		st.fault.Chunk = 1
		st.applyFault()
	}
	return st.err == nil && !st.ended
}

// encode writes JSON as it is read by people and clients: without HTML escapes. What is encoded here always can be.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(buf.Bytes())
}
