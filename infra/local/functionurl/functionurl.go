// Package functionurl serves a Lambda function over HTTP as a function URL with invoke mode RESPONSE_STREAM does.
//
//	{"statusCode":200,"headers":{…},"cookies":[…]} 00 00 00 00 00 00 00 00 body…
//	└────────────── prelude ─────────────────────┘ └──── 8 NUL ─────────┘
//
// Like the real one it lower-cases header names and joins repeated ones, sends a body that is not plain text as base64, refuses
// a body over 6 MB with 413, answers 502 when the function fails before its prelude, and cuts the connection when it fails later.
// A client that goes away does not stop the function.
//
// It does not do IAM authorization, CORS settings, buffered URLs, TLS (the scheme in x-forwarded-proto is what came in) and
// the cap of 2 MB a second.
//
// Sources: AWS Lambda Developer Guide, "Invoking Lambda function URLs", "Response streaming"; the lambdaurl package of
// github.com/aws/aws-lambda-go v1.55.1 and its recorded events.
package functionurl

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/steward-iam/steward/infra/local/runtimeapi"
)

// ContentType is how a function says that its stream begins with a prelude.
const ContentType = "application/vnd.awslambda.http-integration-response"

const (
	separator  = "\x00\x00\x00\x00\x00\x00\x00\x00"
	maxPrelude = 1 << 20
)

// Handler is the function URL.
type Handler struct {
	// Invoke runs the function.
	Invoke func(ctx context.Context, payload []byte) (*runtimeapi.Response, error)
	// Log gets what went wrong; nothing is logged if nil.
	Log *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

func (h *Handler) log() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, runtimeapi.MaxPayload))
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		}
		return
	}
	payload, err := json.Marshal(h.event(r, body))
	if err != nil { // strings, maps and numbers always encode
		panic(err)
	}
	res, err := h.Invoke(r.Context(), payload)
	if err != nil {
		h.log().ErrorContext(r.Context(), "function failed", "path", r.URL.Path, "err", err)
		refuse(w, http.StatusBadGateway, "Internal Server Error")
		return
	}
	defer func() { _ = res.Body.Close() }()
	stop := context.AfterFunc(r.Context(), func() { _ = res.Body.Close() })
	defer stop()

	in := bufio.NewReaderSize(res.Body, 32<<10)
	if res.ContentType == ContentType {
		p, err := readPrelude(in)
		if err != nil {
			h.log().ErrorContext(r.Context(), "function answered no prelude", "path", r.URL.Path, "err", err)
			refuse(w, http.StatusBadGateway, "Internal Server Error")
			return
		}
		p.write(w)
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	if err := stream(w, in); err != nil && r.Context().Err() == nil {
		h.log().ErrorContext(r.Context(), "function failed half way", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // the client must not take it for the whole answer
	}
}

// event is the request in payload format 2.0.
func (h *Handler) event(r *http.Request, body []byte) events.LambdaFunctionURLRequest {
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	at := now()
	source, port, _ := net.SplitHostPort(r.RemoteAddr)
	e := events.LambdaFunctionURLRequest{
		Version:        "2.0",
		RawPath:        r.URL.EscapedPath(),
		RawQueryString: r.URL.RawQuery,
		Headers:        map[string]string{},
		RequestContext: events.LambdaFunctionURLRequestContext{
			AccountID: "anonymous", APIID: "local", DomainName: r.Host, DomainPrefix: "local",
			RequestID: rand.Text(), Time: at.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: at.UnixMilli(),
			HTTP: events.LambdaFunctionURLRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent(),
			},
		},
	}
	for name, values := range r.Header {
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	if cookies := r.Header["Cookie"]; len(cookies) > 0 {
		joined := strings.Join(cookies, "; ")
		e.Headers["cookie"] = joined
		e.Cookies = strings.Split(joined, "; ")
	}
	e.Headers["host"] = r.Host
	e.Headers["x-forwarded-for"], e.Headers["x-forwarded-port"], e.Headers["x-forwarded-proto"] = source, port, "http"
	if r.TLS != nil {
		e.Headers["x-forwarded-proto"] = "https"
	}
	if query := r.URL.Query(); len(query) > 0 {
		e.QueryStringParameters = map[string]string{}
		for k, v := range query {
			e.QueryStringParameters[k] = strings.Join(v, ",")
		}
	}
	if len(body) > 0 {
		if e.IsBase64Encoded = !plain(r.Header.Get("Content-Type"), body); e.IsBase64Encoded {
			e.Body = base64.StdEncoding.EncodeToString(body)
		} else {
			e.Body = string(body)
		}
	}
	return e
}

// plain says whether a body goes into the event as it is. Forms do not, at the real function URL either.
func plain(contentType string, body []byte) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	text := strings.HasPrefix(media, "text/") || media == "application/json" || media == "application/xml" || media == "application/javascript"
	return text && utf8.Valid(body)
}

// prelude is the head of an answer.
type prelude struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Cookies    []string          `json:"cookies"`
}

func readPrelude(in *bufio.Reader) (prelude, error) {
	var raw []byte
	for !bytes.HasSuffix(raw, []byte(separator)) {
		b, err := in.ReadByte()
		if err != nil {
			return prelude{}, err
		}
		if raw = append(raw, b); len(raw) > maxPrelude {
			return prelude{}, errors.New("the prelude has no end")
		}
	}
	p := prelude{StatusCode: http.StatusOK}
	if err := json.Unmarshal(bytes.TrimSuffix(raw, []byte(separator)), &p); err != nil {
		return prelude{}, err
	}
	if p.StatusCode < 100 || p.StatusCode > 999 {
		return prelude{}, errors.New("the prelude has no status code")
	}
	return p, nil
}

func (p prelude) write(w http.ResponseWriter) {
	h := w.Header()
	for k, v := range p.Headers {
		switch http.CanonicalHeaderKey(k) {
		case "Content-Length", "Transfer-Encoding", "Connection": // the stream is chunked, whatever the function thought
		default:
			h.Set(k, v)
		}
	}
	for _, c := range p.Cookies {
		h.Add("Set-Cookie", c)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(p.StatusCode)
}

// stream passes the body on, flushing whatever there is at once.
func stream(w http.ResponseWriter, in *bufio.Reader) error {
	out, buf := http.NewResponseController(w), make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		_, werr := w.Write(buf[:n])
		if werr != nil || errors.Is(err, io.EOF) {
			return nil //nolint:nilerr // no body is allowed (304, HEAD), the client went away, or this was all
		}
		if err != nil {
			return err
		}
		_ = out.Flush() // as with Write
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"Message":"`+message+`"}`)
}
