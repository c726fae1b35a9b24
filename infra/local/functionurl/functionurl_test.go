package functionurl_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/steward-iam/steward/infra/local/functionurl"
	"github.com/steward-iam/steward/infra/local/runtimeapi"
)

// serve puts h behind a function URL through lambdaurl, the library the functions use.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	wrapped := lambdaurl.Wrap(h)
	return start(t, func(_ context.Context, payload []byte) (*runtimeapi.Response, error) {
		var event events.LambdaFunctionURLRequest
		if err := json.Unmarshal(payload, &event); err != nil {
			return nil, err
		}
		res, err := wrapped(t.Context(), &event)
		if err != nil {
			return nil, err
		}
		return &runtimeapi.Response{ContentType: res.ContentType(), Body: res}, nil
	})
}

func start(t *testing.T, invoke func(context.Context, []byte) (*runtimeapi.Response, error)) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(&functionurl.Handler{Invoke: invoke})
	t.Cleanup(s.Close)
	return s
}

func do(t *testing.T, method, url, body string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestRequestAndAnswerPassThrough(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c, _ := r.Cookie("b")
		http.SetCookie(w, &http.Cookie{Name: "one", Value: "1", HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "two", Value: "2"})
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "1")
		w.WriteHeader(http.StatusTeapot)
		event, _ := lambdaurl.RequestFromContext(r.Context())
		_, _ = io.WriteString(w, strings.Join([]string{
			r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Two"), c.Value, string(body), event.RequestContext.HTTP.SourceIP,
		}, "|"))
	})
	for contentType, body := range map[string]string{
		"application/json":                  `{"message":"grüezi"}`,
		"application/x-www-form-urlencoded": "a=b&c=d",
		"image/png":                         "\x89PNG\x00\xff",
	} {
		res := do(t, "POST", s.URL+"/a%2Fb?x=1&y=%20", body, "Content-Type", contentType, "Cookie", "a=1; b=2", "X-Two", "first", "X-Two", "second")
		got, _ := io.ReadAll(res.Body)
		if want := "POST|/a%2Fb|x=1&y=%20|first,second|2|" + body + "|127.0.0.1"; string(got) != want {
			t.Errorf("%s: got %q, want %q", contentType, got, want)
		}
		if res.StatusCode != http.StatusTeapot || len(res.Cookies()) != 2 || res.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: got %d with %v", contentType, res.StatusCode, res.Header)
		}
	}
}

// The function goes on only when the chunk it wrote has been read.
func TestEachChunkAtOnce(t *testing.T) {
	read := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			select {
			case <-read:
			case <-time.After(10 * time.Second):
				t.Error("a chunk was held back")
				return
			}
		}
	})
	res := do(t, "GET", s.URL, "")
	buf := make([]byte, 100)
	for range 3 {
		if n, err := res.Body.Read(buf); err != nil || string(buf[:n]) != "data: x\n\n" {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
		read <- struct{}{}
	}
}

func TestRedirectsAndEmptyAnswers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/go":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		}
	})
	for path, want := range map[string]int{"/go": 302, "/none": 204, "/same": 304, "/": 200} {
		if res := do(t, "GET", s.URL+path, ""); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
		if res := do(t, "HEAD", s.URL+path, ""); res.StatusCode != want {
			t.Errorf("HEAD %s: got %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestFunctionFails(t *testing.T) {
	failed := &runtimeapi.FunctionError{Kind: "Unhandled", Payload: []byte(`{"errorMessage":"secret detail"}`)}
	answer := func(contentType, body string, end error) func(context.Context, []byte) (*runtimeapi.Response, error) {
		return func(context.Context, []byte) (*runtimeapi.Response, error) {
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, body)
				_ = w.CloseWithError(end)
			}()
			return &runtimeapi.Response{ContentType: contentType, Body: r}, nil
		}
	}
	for name, invoke := range map[string]func(context.Context, []byte) (*runtimeapi.Response, error){
		"at once":             func(context.Context, []byte) (*runtimeapi.Response, error) { return nil, failed },
		"within the prelude":  answer(functionurl.ContentType, `{"statusCode":`, failed),
		"no prelude":          answer(functionurl.ContentType, `{"statusCode":200}`, nil),
		"prelude is no JSON":  answer(functionurl.ContentType, "hello\x00\x00\x00\x00\x00\x00\x00\x00", nil),
		"prelude with status": answer(functionurl.ContentType, "{\"statusCode\":7}\x00\x00\x00\x00\x00\x00\x00\x00", nil),
	} {
		res := do(t, "GET", start(t, invoke).URL, "")
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusBadGateway || err != nil || strings.Contains(string(body), "secret") {
			t.Errorf("%s: got %d %q %v, want 502 and no detail", name, res.StatusCode, body, err)
		}
	}
	res := do(t, "GET", start(t, answer(functionurl.ContentType, "{\"statusCode\":200}\x00\x00\x00\x00\x00\x00\x00\x00half", failed)).URL, "")
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half way: got %d %q %v, want a broken answer", res.StatusCode, body, err)
	}
}

func TestBodyTooBig(t *testing.T) {
	s := start(t, func(context.Context, []byte) (*runtimeapi.Response, error) { return nil, errors.New("was called") })
	if res := do(t, "POST", s.URL, strings.Repeat("x", runtimeapi.MaxPayload+1)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", res.StatusCode)
	}
}

func FuzzPrelude(f *testing.F) {
	f.Add("{\"statusCode\":200,\"headers\":{\"a\":\"b\"},\"cookies\":[\"c=d\"]}\x00\x00\x00\x00\x00\x00\x00\x00body")
	f.Add("{}\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Fuzz(func(t *testing.T, answer string) {
		h := &functionurl.Handler{Invoke: func(context.Context, []byte) (*runtimeapi.Response, error) {
			return &runtimeapi.Response{ContentType: functionurl.ContentType, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		if w.Code < 100 {
			t.Errorf("got status %d", w.Code)
		}
	})
}
