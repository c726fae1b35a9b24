package pipeline_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/functions/internal/pipeline"
	"github.com/steward-iam/steward/shared/actiongroup"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/session"
)

// In the console's test window nobody is signed in: the answer says where to, and holds a code only where linking is on.
func TestSignInHint(t *testing.T) {
	sealer, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	code, err := session.LinkCode(sealer, "console-1", at)
	if err != nil {
		t.Fatal(err)
	}
	base := func(context.Context) (*url.URL, error) { return url.Parse("https://chat.example.com/") }
	nobody := session.NotSignedIn(nil)
	for _, c := range []struct {
		name    string
		linking bool
		base    func(context.Context) (*url.URL, error)
		alias   string
		err     error
		want    []string
		not     []string
	}{
		{"linking off", false, base, "TSTALIASID", nobody, []string{"sign in at https://chat.example.com/"}, []string{code, "/link"}},
		{"linking on, in the test window", true, base, "TSTALIASID", nobody, []string{"https://chat.example.com/link?session=console-1", code}, nil},
		{"linking on, elsewhere", true, base, "PRODALIAS1", nobody, []string{"sign in at https://chat.example.com/"}, []string{code, "/link"}},
		{"no address known", true, nil, "TSTALIASID", nobody, []string{"You are not signed in here"}, []string{code}},
		{"address cannot be had", true, func(context.Context) (*url.URL, error) { return nil, errors.New("throttled") }, "TSTALIASID", nobody, []string{"You are not signed in here"}, []string{code}},
		{"a token that Okta refuses", true, base, "TSTALIASID", fault.New(fault.Unauthenticated, "Please connect Okta again.", nil), []string{"Please connect Okta again."}, []string{code, "Nobody"}},
		{"another refusal", true, base, "TSTALIASID", fault.New(fault.Denied, "You may not.", nil), []string{"You may not."}, []string{code, "sign in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hint := pipeline.SignInHint{Base: c.base, Linking: c.linking, Sealer: func(context.Context) (*seal.Sealer, error) { return sealer, nil }, Now: func() time.Time { return at }}
			event := actiongroup.Event{SessionID: "console-1", Agent: actiongroup.Agent{Alias: c.alias}}
			got := hint.Explain(t.Context(), event, c.err)
			if fault.KindOf(got) != fault.KindOf(c.err) {
				t.Errorf("kind %q, want %q", fault.KindOf(got), fault.KindOf(c.err))
			}
			e, ok := errors.AsType[*fault.Error](got)
			if !ok {
				t.Fatalf("got %v", got)
			}
			for _, want := range c.want {
				if !strings.Contains(e.Say, want) {
					t.Errorf("%q lacks %q", e.Say, want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(e.Say, not) {
					t.Errorf("%q holds %q", e.Say, not)
				}
			}
		})
	}
}
