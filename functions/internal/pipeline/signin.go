package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// SignInHint says where to sign in and, in the Bedrock console's test window and only where it is switched on, how to bind that
// window to oneself.
type SignInHint struct {
	Base    func(context.Context) (*url.URL, error) // nil where the function does not know the app's address
	Linking bool
	Sealer  func(context.Context) (*seal.Sealer, error)
	Now     func() time.Time
}

// testAlias is the alias of the test window: the working draft.
const testAlias = "TSTALIASID"

// Explain adds the address of the chat to a refusal for want of a live session. It returns every other error as it is, also that of
// somebody we know whose sign-in has ended elsewhere, and this one where the address cannot be found out.
func (h SignInHint) Explain(ctx context.Context, event actiongroup.Event, err error) error {
	if !errors.Is(err, session.ErrNotSignedIn) || h.Base == nil {
		return err
	}
	base, baseErr := h.Base(ctx)
	if baseErr != nil {
		return err
	}
	say := fmt.Sprintf("You are not signed in here. Please sign in at %s and ask there.", base)
	if h.Linking && event.Agent.Alias == testAlias {
		id, idErr := session.ParseID(event.SessionID)
		sealer, sealErr := h.Sealer(ctx)
		if idErr == nil && sealErr == nil {
			if code, codeErr := session.LinkCode(sealer, id, h.Now()); codeErr == nil {
				page := base.JoinPath("link")
				page.RawQuery = url.Values{"session": {string(id)}}.Encode()
				say = fmt.Sprintf("You are not signed in here. To use this test window as yourself, open %s and type the code %s there within ten minutes, then ask again.", page, code)
			}
		}
	}
	return fault.New(fault.Unauthenticated, say, err)
}
