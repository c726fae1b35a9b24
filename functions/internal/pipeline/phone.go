package pipeline

import (
	"time"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/auth0"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/config"
)

// Phone is the configuration of the functions that ask the person's phone.
type Phone struct {
	QueueURL             string // of the approvals under way
	ApprovalKeySecretARN string
	// API and DetailType turn on rich authorization requests, see [ciba.Client]; both or neither.
	API, DetailType string
	Style           ciba.Style // of binding messages
}

// ReadPhone takes the keys of those functions.
func ReadPhone(r *config.Reader) Phone {
	p := Phone{ApprovalKeySecretARN: r.String("APPROVAL_KEY_SECRET_ARN")}
	if u := r.URL("APPROVAL_QUEUE_URL"); u != nil {
		p.QueueURL = u.String()
	}
	p.Style = ciba.Style(r.OptionalEnum("APPROVALS_MESSAGE", string(ciba.StyleSentence), string(ciba.StyleToken)))
	p.API, p.DetailType = r.OptionalPair("APPROVALS_API", "APPROVALS_DETAIL_TYPE")
	return p
}

// ApprovalKey marks what was asked and what was approved. No other function may read it.
func (p Phone) ApprovalKey(c *Clients) Key { return c.key("marks approvals", p.ApprovalKeySecretARN) }

// Client asks phones through that tenant.
func (p Phone) Client(tenant *auth0.Client) *ciba.Client {
	return &ciba.Client{Auth0: tenant, Audience: p.API, DetailType: p.DetailType, Style: p.Style}
}

// Question is what the phone is asked about a change that may be approved at the time now, to the end of its life.
func Question(a approval.Approval, now time.Time) ciba.Request {
	return ciba.Request{
		Subject: string(a.Owner),
		Message: ciba.Message{
			Operation: a.Operation, Phrase: approval.Phrase(a.Operation), Names: approval.Names(a.Target, a.Member, a.Args), Code: a.Code,
		},
		Instruction: a.Summary,
		Expiry:      a.Deadline().Sub(now).Truncate(time.Second),
	}
}
