package operation

import (
	"context"
	"fmt"
	"slices"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/okta"
)

// Executor carries approved changes out at Okta, each by the ids that were approved, with the token in the context.
type Executor struct{ Okta *okta.Client }

// change is the row of an approved change.
func change(a approval.Approval) (Row, error) {
	rows := Changes()
	i := slices.IndexFunc(rows, func(r Row) bool { return r.ID == a.Operation })
	if i < 0 {
		return Row{}, fmt.Errorf("operation %q has no row", a.Operation)
	}
	return rows[i], nil
}

// Do carries a out and says so in one sentence, from Okta's answer alone.
func (e Executor) Do(ctx context.Context, a approval.Approval) (done string, meta okta.Meta, err error) {
	row, err := change(a)
	if err == nil {
		meta, err = row.Do(ctx, e.Okta, a)
	}
	return row.Done, meta, err
}

// Verify says whether a shows in Okta. If it does not show, that is no proof that it was not made.
func (e Executor) Verify(ctx context.Context, a approval.Approval) (bool, error) {
	row, err := change(a)
	if err != nil {
		return false, err
	}
	return row.Verify(ctx, e.Okta, a)
}

// Unknown says how a person finds out what became of a change that nobody can tell about.
func Unknown(a approval.Approval) string {
	where := lookAtObject(a)
	if row, err := change(a); err == nil {
		where = row.Explain(a)
	}
	return "I began it, but I do not know whether it took effect. " + where + " before you ask again."
}
