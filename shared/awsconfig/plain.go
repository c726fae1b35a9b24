package awsconfig

import (
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Plain makes a client safe for answers that go on while the SDK has done with the request.
//
// smithy-go closes the request's body as soon as an answer has begun, and a closed one answers WriteTo with io.EOF
// instead of nil. If net/http is just then looking whether there is more of the body, it takes that for a failed write
// and closes the connection: the answer breaks off, or the request is sent a second time without anybody's knowledge.
// Over Read, io.EOF is what it should be: the end.
//
// Instead of nil it takes the SDK's own client, with its connections and no overall time limit.
func Plain(next aws.HTTPClient) aws.HTTPClient {
	switch p := next.(type) {
	case nil:
		return plain{awshttp.NewBuildableClient()}
	case plain:
		return p
	}
	return plain{next}
}

// tryTimeout bounds one try of a call that is answered at once or not at all. The SDK repeats what may be repeated.
const tryTimeout = 3 * time.Second

// Brief is cfg for services that answer in milliseconds, such as tables and queues: one that hangs is given up and
// tried again, rather than taking the whole time a function has.
func Brief(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.HTTPClient = plain{awshttp.NewBuildableClient().WithTimeout(tryTimeout)}
	return cfg
}

type plain struct{ next aws.HTTPClient }

func (c plain) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
