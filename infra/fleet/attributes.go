package fleet

import (
	"slices"

	"github.com/steward-iam/steward/shared/dynamo"
)

// The attributes that a function may name when it writes to a table, and no others: a role that is taken over can change
// neither who a session belongs to nor what was approved. Reads of the session table are of whole rows. A condition counts as
// a write, since IAM does not tell the two apart, so conditions name as little as they can.
//
// TestAttributesAreThoseOfTheStore in infra/local/iam holds these lists to what the store names, and the laptop refuses the
// rest as IAM does.
var (
	rowKey  = []string{dynamo.PartitionKey, dynamo.SortKey}
	counter = []string{"count", dynamo.TTLAttribute, "write_token"}                           // how often something was done in a window of time
	account = []string{"okta_token", "okta_expires", "okta_user_id", "okta_login"}            // of a session
	move    = []string{"status", "changed_at", "moved_by", "digest", "result", "auth_req_id"} // of an approval
	push    = []string{"auth_req_id", "interval_ms", "pushes", "request_expires_at", "status", "digest", "since"}

	groupsUpdates = union(rowKey, counter, account)
	cibaUpdates   = union(rowKey, counter, account, move, push)
	workerUpdates = union(rowKey, counter, account, move, push, []string{"okta_request", "permission", "signed_out", "approved_mac", "claimed_until", "poll_at", "polled_by"})
	chatUpdates   = union(rowKey, counter, account, move, []string{"signed_out", "current", "sessions", "turn_until", "turn_token"})

	// newApproval is an approval and the row that keeps the same change from being asked for twice.
	newApproval = union(rowKey, []string{
		dynamo.OwnerKey, "front", "operation", "args", "digest", "asked_mac", "code", "summary", "reason", "status",
		"target_type", "target_id", "target_label", "party_type", "party_id", "party_label",
		"created_at", "changed_at", "expires_at", "interval_ms", "pushes", dynamo.TTLAttribute, "approval_id", "by_session",
	})
	// newSession is a session or a login.
	newSession = union(rowKey, []string{
		"subject", "email", "email_verified", "name", "picture", "front", "login", "current", "sessions", "refresh_token",
		"created_at", "expires_at", dynamo.TTLAttribute, "write_token",
	})

	newEntry = []string{
		dynamo.AuditPartitionKey, dynamo.AuditSortKey, "at", "kind", "front", "session", "operation", "args", "reason",
		"object_type", "object_id", "object_label", "member_type", "member_id", "member_label",
		"decision", "outcome", "decision_id", "approval_id", "requester", "approver", "step", "okta_request", "reference",
		"previous", "previous_mac", "mac",
	}
	// newestLink is what the writer of an entry may read of the one before.
	newestLink = []string{dynamo.AuditPartitionKey, dynamo.AuditSortKey, "mac"}
)

// union is all names of the lists, each once and in order.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
