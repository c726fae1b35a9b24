package fault_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/fault"
)

func TestAnswerSaysFixedSentencesOnly(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7: canary-cause")
	for _, c := range []struct {
		name  string
		err   error
		kind  fault.Kind
		say   string
		level string
	}{
		{"a denial", fault.New(fault.Denied, "You may not do this.", cause), fault.Denied, "You may not do this.", "INFO"},
		{"wrapped", fmt.Errorf("read: %w", fault.New(fault.Upstream, "Okta did not answer.", cause)), fault.Upstream, "Okta did not answer.", "ERROR"},
		{"foreign", cause, fault.Internal, "Something went wrong", "ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var buf bytes.Buffer
			say, ref := fault.Answer(t.Context(), slog.New(slog.NewTextHandler(&buf, nil)), c.err)
			if !strings.HasPrefix(say, c.say) || strings.Contains(say, "canary") {
				t.Errorf("say = %q, want it to start with %q and to hide the cause", say, c.say)
			}
			if got := fault.KindOf(c.err); got != c.kind {
				t.Errorf("KindOf = %q, want %q", got, c.kind)
			}
			log := buf.String()
			for _, want := range []string{"level=" + c.level, "canary-cause", ref, "kind=" + string(c.kind)} {
				if !strings.Contains(log, want) {
					t.Errorf("log %q lacks %q", log, want)
				}
			}
		})
	}
	if got := fault.New(fault.Conflict, "“canary@example.com” does not name one person.", nil).Error(); strings.Contains(got, "canary") || !strings.Contains(got, "conflict") {
		t.Errorf("without a cause the log shows %q, want the kind and nothing of the sentence", got)
	}
	if fault.KindOf(nil) != "" || fault.ActionOf(nil) != fault.NoAction {
		t.Error("nil has a kind or an action")
	}
	plain := fault.New(fault.Conflict, "Not connected.", nil)
	if wrapped := fmt.Errorf("token: %w", plain.WithAction(fault.ConnectOkta)); fault.ActionOf(wrapped) != fault.ConnectOkta || plain.Action != fault.NoAction {
		t.Errorf("actions %q and %q", fault.ActionOf(wrapped), plain.Action)
	}
}
