package okta_test

import (
	"context"
	"testing"

	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/okta"
)

// What lets a person in goes to them by Okta's mail. It is asked for in so many words: told otherwise, Okta hands the link or
// a temporary password to whoever called.
func TestPasswordsAndLinksGoByMail(t *testing.T) {
	const life = "POST /api/v1/users/"
	for want, do := range map[string]func(context.Context, *okta.Client) (okta.Meta, error){
		life + oktatest.Bob + "/lifecycle/reset_password?true": func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.ResetPassword(ctx, oktatest.Bob)
		},
		life + oktatest.StagedPerson + "/lifecycle/activate?true": func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			return c.Activate(ctx, oktatest.StagedPerson)
		},
		life + oktatest.StagedPerson + "/lifecycle/reactivate?true": func(ctx context.Context, c *okta.Client) (okta.Meta, error) {
			if m, err := c.Activate(ctx, oktatest.StagedPerson); err != nil {
				return m, err
			}
			return c.Reactivate(ctx, oktatest.StagedPerson)
		},
		life + oktatest.Bob + "/lifecycle/expire_password?": func(ctx context.Context, c *okta.Client) (okta.Meta, error) { // not expire_password_with_temp_password
			return c.ExpirePassword(ctx, oktatest.Bob)
		},
	} {
		w := start(t, oktatest.Options{})
		if _, err := do(w.as(oktatest.Frank), w.client); err != nil {
			t.Fatal(err)
		}
		all := w.Requests()
		if last := all[len(all)-1]; last.Method+" "+last.Path+"?"+last.Query["sendEmail"] != want || last.Body != nil {
			t.Errorf("Okta got %+v, want %s", last, want)
		}
	}
}
