// Command probe is a small Lambda function that does as its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do      string `json:"do"`
	MS      int    `json:"ms"`
	Env     string `json:"env"`
	Text    string `json:"text"`
	Default string `json:"default"`
}

var calls, ticks atomic.Int64

func handle(ctx context.Context, e event) (any, error) {
	calls.Add(1)
	switch e.Do {
	case "exit":
		os.Exit(3)
	case "panic":
		panic(e.Text)
	case "error":
		return nil, errors.New(e.Text)
	case "sleep":
		time.Sleep(time.Duration(e.MS) * time.Millisecond)
	case "log":
		fmt.Println(e.Text)
		fmt.Fprint(os.Stderr, "no newline")
	case "env":
		return map[string]any{"env": os.Environ(), "value": os.Getenv(e.Env)}, nil
	case "tick":
		go func() {
			for {
				ticks.Add(1)
				time.Sleep(time.Millisecond)
			}
		}()
	case "big":
		return strings.NewReader(strings.Repeat("x", 7<<20)), nil
	case "stream":
		return stream(func(w *io.PipeWriter) {
			for n := range 3 {
				fmt.Fprintf(w, "chunk %d;", n)
				if n == 0 {
					_, _ = http.Get(e.Text) // answers when the chunk has been read
				}
			}
			_ = w.Close()
		}), nil
	case "stream-error":
		return stream(func(w *io.PipeWriter) {
			fmt.Fprint(w, "half")
			_ = w.CloseWithError(errors.New(e.Text))
		}), nil
	case "stream-exit":
		return stream(func(w *io.PipeWriter) {
			fmt.Fprint(w, "half")
			time.Sleep(20 * time.Millisecond)
			os.Exit(4)
		}), nil
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"pid": os.Getpid(), "calls": calls.Load(), "ticks": ticks.Load(), "arn": lc.InvokedFunctionArn, "request_id": lc.AwsRequestID,
		"left_ms": time.Until(deadline).Milliseconds(), "trace": os.Getenv("_X_AMZN_TRACE_ID"),
	}, nil
}

func stream(write func(*io.PipeWriter)) io.Reader {
	r, w := io.Pipe()
	go write(w)
	return r
}

func main() {
	switch os.Getenv("PROBE_START") {
	case "once":
		once()
	case "exit":
		fmt.Fprintln(os.Stderr, "configuration is unusable")
		os.Exit(1)
	case "hang":
		time.Sleep(time.Minute)
	}
	lambda.Start(handle)
}

// once answers one call and ends without asking for another.
func once() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	next, err := http.Get(api + "next")
	if err != nil {
		panic(err)
	}
	answer := strings.NewReader(fmt.Sprintf(`{"pid":%d}`, os.Getpid()))
	if _, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", answer); err != nil {
		panic(err)
	}
	os.Exit(0)
}
