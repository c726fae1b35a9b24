package okta

import (
	"context"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
)

// LogEvent is one entry of Okta's System Log.
type LogEvent struct {
	Time    time.Time
	Type    string // as user.session.start
	Message string
	Outcome string // SUCCESS, FAILURE, …
}

type eventWire struct {
	Time    time.Time `json:"published"`
	Type    string    `json:"eventType"`
	Message string    `json:"displayMessage"`
	Outcome struct {
		Result string `json:"result"`
	} `json:"outcome"`
}

func (w *eventWire) event() LogEvent { return LogEvent{w.Time, w.Type, w.Message, w.Outcome.Result} }

// activityWindow is how far back UserActivity looks.
const activityWindow = 30 * 24 * time.Hour

// UserActivity lists what a person did and what was done to them in the last
// 30 days, newest first.
func (c *Client) UserActivity(ctx context.Context, id UserID, limit int) (Page[LogEvent], error) {
	now := c.now().UTC()
	about := anyOf(compare("actor.id", "eq", string(id)), compare("target.id", "eq", string(id)))
	list := func(ctx context.Context, size int32) ([]eventWire, *sdk.APIResponse, error) {
		// A query with since and until is bounded: its pages come to an end.
		return decode[[]eventWire](ctx, c.api.SystemLogAPI.ListLogEvents(ctx).
			Since(now.Add(-activityWindow)).Until(now.Add(time.Second)).
			Filter(string(about)).SortOrder("DESCENDING").Limit(size).Execute)
	}
	return pages(ctx, c, read("UserActivity", id), limit, (*eventWire).event, list)
}
