package agent

import (
	"io"
	"net/http"
)

// httpClient is what both SDK clients call.
type httpClient interface {
	Do(*http.Request) (*http.Response, error)
}

// plainBody hides that a request's body can write itself out.
//
// smithy-go closes the body as soon as an answer has begun, and a closed one answers WriteTo with io.EOF instead of nil.
// If net/http is just then looking whether there is more of the body, it takes that for a failed write and closes the
// connection under the answer, which for us goes on for seconds. Over Read, io.EOF is what it should be: the end.
type plainBody struct{ next httpClient }

func (c plainBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
