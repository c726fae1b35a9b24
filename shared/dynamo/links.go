package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/shared/session"
)

// AddSession counts id among a login's sessions, to end with it. The browser goes on talking in its own.
func (s *Sessions) AddSession(ctx context.Context, k session.LoginKey, id session.ID) error {
	return s.touch(ctx, change{
		partition: loginPartition(k), sort: loginItem,
		update: "ADD sessions :ids",
		values: item{":ids": &types.AttributeValueMemberSS{Value: []string{string(id)}}},
	})
}
