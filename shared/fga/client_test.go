package fga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/fga"
)

type invokerFunc func(ctx context.Context, name string, payload []byte) ([]byte, string, error)

func (f invokerFunc) Invoke(ctx context.Context, name string, payload []byte) ([]byte, string, error) {
	return f(ctx, name, payload)
}

// TestClientDoubt goes through every way of not getting an answer: none of them allows.
func TestClientDoubt(t *testing.T) {
	answers := func(payload, functionError string, err error) fga.Invoker {
		return invokerFunc(func(context.Context, string, []byte) ([]byte, string, error) {
			return []byte(payload), functionError, err
		})
	}
	both := fga.Request{Checks: []fga.Check{fga.ForArea(alice, fga.ReadOkta, fga.Groups), fga.ForArea(alice, fga.ReadOkta, fga.Users)}}
	unknown := []fga.Decision{fga.Unknown, fga.Unknown}
	for name, tc := range map[string]struct {
		invoker fga.Invoker
		want    []fga.Decision
		kind    fault.Kind
	}{
		"both known":                      {answers(`{"decisions":["allowed","denied"]}`, "", nil), []fga.Decision{fga.Allowed, fga.Denied}, ""},
		"one unknown":                     {answers(`{"decisions":["allowed","unknown"],"reason":"timeout"}`, "", nil), []fga.Decision{fga.Allowed, fga.Unknown}, fault.Upstream},
		"a word we do not know":           {answers(`{"decisions":["allowed","yes"]}`, "", nil), []fga.Decision{fga.Allowed, fga.Unknown}, fault.Upstream},
		"function error":                  {answers(`{"errorMessage":"boom"}`, "Unhandled", nil), unknown, fault.Upstream},
		"function error with an answer":   {answers(`{"decisions":["allowed","allowed"]}`, "Unhandled", nil), unknown, fault.Upstream},
		"invoke fails":                    {answers("", "", errors.New("connection reset")), unknown, fault.Upstream},
		"invoke fails with an answer":     {answers(`{"decisions":["allowed","allowed"]}`, "", errors.New("reset")), unknown, fault.Upstream},
		"no JSON":                         {answers("<html>", "", nil), unknown, fault.Upstream},
		"nothing":                         {answers("", "", nil), unknown, fault.Upstream},
		"null":                            {answers("null", "", nil), unknown, fault.Upstream},
		"too few":                         {answers(`{"decisions":["allowed"]}`, "", nil), unknown, fault.Upstream},
		"too many":                        {answers(`{"decisions":["allowed","allowed","allowed"]}`, "", nil), unknown, fault.Upstream},
		"no decisions":                    {answers(`{"model_id":"01K"}`, "", nil), unknown, fault.Upstream},
		"decisions of another kind":       {answers(`{"decisions":[true,true]}`, "", nil), unknown, fault.Upstream},
		"the shape of the OpenFGA answer": {answers(`{"allowed":true}`, "", nil), unknown, fault.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fga.NewClient(tc.invoker, "fga-authorizer").Ask(t.Context(), both)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("decisions (-want +got):\n%s", diff)
			}
			if fault.KindOf(err) != tc.kind {
				t.Errorf("err = %v, want kind %q", err, tc.kind)
			}
			if e, ok := errors.AsType[*fault.Error](err); ok && (!strings.Contains(e.Say, "could not check") || strings.Contains(e.Say, "boom")) {
				t.Errorf("says %q", e.Say)
			}
		})
	}
}

func TestClientDoesNotSendWhatCannotBeAsked(t *testing.T) {
	never := invokerFunc(func(context.Context, string, []byte) ([]byte, string, error) {
		t.Error("invoked")
		return []byte(`{"decisions":["allowed"]}`), "", nil
	})
	got, err := fga.NewClient(never, "fga-authorizer").Ask(t.Context(), fga.Request{Checks: []fga.Check{fga.ForUser(alice, "can_read", "../00u1 x", false)}})
	if diff := cmp.Diff([]fga.Decision{fga.Unknown}, got); diff != "" || fault.KindOf(err) != fault.Invalid {
		t.Errorf("Ask() = %v, %v, want unknown and kind invalid", got, err)
	}
}

func TestClientStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := invokerFunc(func(ctx context.Context, _ string, _ []byte) ([]byte, string, error) {
			<-ctx.Done()
			return nil, "", ctx.Err()
		})
		began := time.Now()
		got, err := fga.NewClient(hangs, "fga-authorizer").Ask(t.Context(), fga.Request{Checks: []fga.Check{fga.ForArea(alice, fga.ReadOkta, fga.Groups)}})
		if got[0] != fga.Unknown || fault.KindOf(err) != fault.Upstream || time.Since(began) > 10*time.Second {
			t.Errorf("Ask() = %v, %v after %s", got, err, time.Since(began))
		}
	})
}

func ExampleClient_Ask() {
	authorizer := fgatest.New(fga.Tuple{User: "user:erin@example.com", Relation: fga.ReadOkta, Object: fga.Groups})
	client := fga.NewClient(authorizer, "fga-authorizer")

	decisions, err := client.Ask(context.Background(), fga.Request{Checks: []fga.Check{
		fga.ForArea("user:erin@example.com", fga.ReadOkta, fga.Groups),
		fga.ForArea("user:erin@example.com", fga.ReadOkta, fga.Users),
	}})
	fmt.Println(decisions, err)
	// Output: [allowed denied] <nil>
}
