package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/steward-iam/steward/functions/internal/pipelinetest"
	"github.com/steward-iam/steward/shared/approval"
)

// Okta mails passwords and links. Should it tell us one all the same, as it does where it is asked to, nobody hears of it: not
// the person, not the agent, not the log, the record or the row.
func TestPasswordsAndLinksNeverLeaveOkta(t *testing.T) {
	const canary = "canary-9f3c"
	told := fmt.Sprintf(`{"tempPassword":%q,"resetPasswordUrl":"https://acme.okta.com/reset/%s","activationUrl":"https://acme.okta.com/a/%s","activationToken":%q}`, canary, canary, canary, canary)
	seen := 0
	for _, c := range changes() {
		switch c.Operation {
		case "reset_password", "expire_password", "activate", "reactivate":
		default:
			continue
		}
		seen++
		t.Run(c.name(), func(t *testing.T) {
			w := start(t)
			a := c.asked(w)
			w.Decide("frank", "approve")
			w.ToOkta.Forget()
			w.ToOkta.Fail(pipelinetest.Fault{Match: "POST ", Times: 1, Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "X-Okta-Request-Id": {"request-1"}}, Body: told})
			a = w.ends(a, approval.Done, "Okta")
			if n := w.ToOkta.Count("POST "); n != 1 {
				t.Errorf("Okta got %d calls: %q", n, w.ToOkta.Calls())
			}
			row, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			trail, err := json.Marshal(w.Trail("frank"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(row), canary) || strings.Contains(string(trail), canary) || w.Logged(canary) {
				t.Errorf("it is told in\n%s\n%s\nor in the log", row, trail)
			}
		})
	}
	if seen != 4 {
		t.Errorf("%d of the operations were seen that Okta could answer so, want 4", seen)
	}
}
