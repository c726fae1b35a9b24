// Package awstest is a fake of the AWS endpoints that the functions call, faithful enough for unmodified AWS SDK
// clients.
//
//	POST /                                       X-Amz-Target names service and operation (AWS JSON 1.0 and 1.1)
//	POST /2015-03-31/functions/NAME/invocations  Lambda Invoke
//
// A [Server] refuses what the real service refuses: a condition that does not
// hold, a reserved word, an unused placeholder, an empty key, an item over
// 400 KB, a consistent read of a global index, a stale receipt handle, a delay
// over 15 minutes. By default there is also chaos, from a seed that is logged
// and can be replayed: first attempts are throttled, pages are small, eventually
// consistent reads are stale for a while, messages arrive twice.
// [Options.NoChaos] turns that off.
//
// A [Poller] stands for Lambda's event source mapping: it takes messages from a
// queue in batches and hands them to a function, partial batch answers included.
//
// Sources: Amazon DynamoDB Developer Guide and API Reference, Amazon SQS API
// Reference, AWS Secrets Manager API Reference, AWS Lambda Developer Guide
// ("Using Lambda with Amazon SQS", "Invoke"). Contract tests in this package
// pass against moto as well; see .ci/moto.
//
// It does not check signatures, permissions or quotas of throughput, and keeps
// nothing on disk. It implements what our code and the clients under test call and no
// more: of expressions whole attributes, comparisons with values, AND, OR,
// attribute_exists, attribute_not_exists and begins_with, SET (with +), REMOVE
// and ADD; indexes that project all; messages without attributes; synchronous
// invocations. A parameter, function or value it does not implement is refused with
// 501, an operation as unknown; none is ever ignored.
package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/steward-iam/steward/shared/fake/faults"
)

// Options describe the account a [Server] starts with. The zero value is an
// empty account with chaos.
type Options struct {
	// Now is the clock; time.Now if nil. Waiting (long polls) uses real timers.
	Now func() time.Time
	// Region and Account appear in ARNs and queue URLs: "us-east-1" and
	// "000000000000" if empty.
	Region, Account string

	Tables     []Table
	Queues     []Queue
	Secrets    map[string]string // name to value; empty is a secret without a value yet
	Parameters map[string]string // SSM parameters of type String

	// Functions are the functions that exist. If nil, Invoke is asked for every
	// name.
	Functions []string
	// Invoke runs a function for Lambda Invoke. An error that is
	// [ErrNoFunction] is answered 404, any other 500. A functionError is
	// "Handled" or "Unhandled" and goes out as X-Amz-Function-Error.
	Invoke func(ctx context.Context, name string, payload []byte) (out []byte, functionError string, err error)

	// Fallback answers what no service here does; 404 if nil.
	Fallback http.Handler
	// Log gets a line per answered error; nothing is logged if nil.
	Log *slog.Logger

	// Chaos is the seed of an earlier run, whose chaos it replays; 0 chooses one.
	Chaos uint64
	// NoChaos turns all chaos off.
	NoChaos bool
}

// Server is one AWS account in one region. It is an [http.Handler].
type Server struct {
	faults.Engine

	opts  Options
	chaos *faults.Chaos
	ops   map[string]operation

	mu    sync.Mutex
	db    *database
	sqs   *queues
	vault *vault
}

// New makes the account that opts describe.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Region == "" {
		opts.Region = "us-east-1"
	}
	if opts.Account == "" {
		opts.Account = "000000000000"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, chaos: faults.NewChaos(opts.Chaos, opts.NoChaos)}
	if !opts.NoChaos {
		opts.Log.Info("awstest throttles and delays now and then", "seed", s.chaos.Seed)
	}
	s.ops = s.operations()
	s.Reset()
	return s
}

// Reset takes the account back to what its Options describe and forgets every
// request.
func (s *Server) Reset() {
	s.Fail()
	s.Forget()
	db := newDatabase(s.opts, s.chaos)
	sqs := newQueues(s.opts, s.chaos)
	vault := newVault(s.opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sqs != nil {
		s.sqs.close()
	}
	s.db, s.sqs, s.vault = db, sqs, vault
}

func (s *Server) state() (*database, *queues, *vault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db, s.sqs, s.vault
}

// Seed is the seed of this server's chaos.
func (s *Server) Seed() uint64 { return s.chaos.Seed }

// TableARN is the ARN of the table of that name.
func (s *Server) TableARN(name string) string {
	return s.arn("dynamodb", "table/"+name)
}

// QueueARN is the ARN of the queue of that name.
func (s *Server) QueueARN(name string) string { return s.arn("sqs", name) }

// QueueURL is the address of the queue of that name on a server that listens
// at base, such as "http://localhost:3004".
func (s *Server) QueueURL(base, name string) string {
	return strings.TrimSuffix(base, "/") + "/" + s.opts.Account + "/" + name
}

// SecretARN is the ARN of the secret of that name, with the six characters
// Secrets Manager adds. They depend on the name alone.
func (s *Server) SecretARN(name string) string { return secretARN(s.opts, name) }

func (s *Server) arn(service, rest string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.opts.Region, s.opts.Account, rest)
}

// call is one request on its way through.
type call struct {
	service, operation string
	first              bool // the client's first attempt
}

// operation is one operation of one JSON service.
type operation func(ctx context.Context, body []byte) (any, error)

// op gives an operation its typed input.
func op[In any](f func(context.Context, *In) (any, error)) operation {
	return func(ctx context.Context, body []byte) (any, error) {
		in := new(In)
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(in); err != nil {
			return nil, decodeError(err)
		}
		return f(ctx, in)
	}
}

// decodeError tells a parameter that is not implemented from a malformed request.
func decodeError(err error) error {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return notImplemented("parameter " + field)
	}
	return &apiError{
		status: http.StatusBadRequest, code: "SerializationException",
		namespace: "com.amazon.coral.service", message: err.Error(),
	}
}

func notImplemented(what string) error {
	return &apiError{
		status: http.StatusNotImplemented, code: "NotImplementedException",
		message: "awstest does not implement " + what,
	}
}

// apiError is an error in the words of the service.
type apiError struct {
	status    int
	namespace string // of __type
	code      string
	query     string         // the code of the older query protocol, which SQS repeats in a header
	message   string         //
	more      map[string]any // further members of the error's body
	header    map[string]string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

const maxBody = 20 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Wrap(faults.AWS, http.HandlerFunc(s.serve)).ServeHTTP(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := &call{
		first: !strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=") || strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1;"),
	}
	target := r.Header.Get("X-Amz-Target")
	switch {
	case target != "":
		s.serveJSON(w, r, c, target)
	case isInvoke(r):
		s.serveInvoke(w, r, c)
	case s.opts.Fallback != nil:
		s.opts.Fallback.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// services maps the prefix of X-Amz-Target to the name we record.
var services = map[string]string{
	"DynamoDB_20120810": "dynamodb",
	"AmazonSQS":         "sqs",
	"secretsmanager":    "secretsmanager",
	"AmazonSSM":         "ssm",
}

// serveJSON is the one path of AWS JSON 1.0 and 1.1.
func (s *Server) serveJSON(w http.ResponseWriter, r *http.Request, c *call, target string) {
	prefix, name, _ := strings.Cut(target, ".")
	c.service, c.operation = services[prefix], name

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var out any
	operate, known := s.ops[c.service+"."+name]
	switch {
	case err != nil:
		err = &apiError{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLargeException", message: err.Error()}
	case r.Method != http.MethodPost || !known:
		err = &apiError{
			status: http.StatusBadRequest, namespace: "com.amazon.coral.service",
			code: "UnknownOperationException", message: "awstest does not implement " + target,
		}
	case c.first && s.chaos.OneIn(oneInThrottled):
		err = throttle(c.service)
	default:
		out, err = operate(r.Context(), body)
	}
	contentType := "application/x-amz-json-1.0"
	if strings.HasSuffix(r.Header.Get("Content-Type"), "1.1") {
		contentType = "application/x-amz-json-1.1"
	}
	w.Header().Set("Content-Type", contentType)
	s.answer(w, r, c, out, err)
}

// answer writes what an operation gave, with the checksum DynamoDB's clients
// verify.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call, out any, err error) {
	status := http.StatusOK
	if err != nil {
		status, out = s.refusal(w, r, c, err)
	}
	body, err := json.Marshal(out)
	if err != nil { // our own answers always encode
		panic(err)
	}
	h := w.Header()
	h.Set("X-Amzn-Requestid", newID(s.chaos))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if c.service == "dynamodb" {
		h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// refusal is the status and body of an error answer; it sets the headers that go with it.
func (s *Server) refusal(w http.ResponseWriter, r *http.Request, c *call, err error) (int, any) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, code: "InternalServerError", message: err.Error()}
	}
	s.opts.Log.InfoContext(r.Context(), "refused", "service", c.service, "operation", c.operation,
		"code", e.code, "message", e.message)

	for k, v := range e.header {
		w.Header().Set(k, v)
	}
	if c.service == "lambda" {
		w.Header().Set("X-Amzn-Errortype", e.code)
		return e.status, map[string]any{"Type": "User", "Message": e.message}
	}
	if c.service == "sqs" {
		query := e.query
		if query == "" {
			query = e.code
		}
		w.Header().Set("X-Amzn-Query-Error", query+";Sender")
	}
	body := map[string]any{"__type": e.code}
	if e.namespace != "" {
		body["__type"] = e.namespace + "#" + e.code
	}
	if e.message != "" {
		body["message"] = e.message
	}
	for k, v := range e.more {
		body[k] = v
	}
	return e.status, body
}

// operations is every operation there is.
func (s *Server) operations() map[string]operation {
	ops := map[string]operation{}
	s.dynamodbOperations(ops)
	s.sqsOperations(ops)
	s.vaultOperations(ops)
	return ops
}
