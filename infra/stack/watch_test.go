package stack

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/settings"
)

// TestAlarms holds what is watched: each function's errors and throttles, the dead letters, every signal of the fleet. Once is
// enough where once is wrong, and each alarm tells the topic when it begins and when it is over.
func TestAlarms(t *testing.T) {
	each(t, func(t *testing.T, s settings.Settings, tpl template) {
		signals := "Steward/" + s.StackName()
		want, counted := map[string]string{}, map[string]bool{}
		for _, fn := range fleet.Steward().Functions {
			for _, measure := range []string{"Errors", "Throttles"} {
				want["AWS/Lambda "+measure+" ${"+functionID(fn.Name)+"}"] = "Sum of 1 in 300 s"
			}
		}
		want["AWS/SQS ApproximateNumberOfMessagesVisible ${"+deadLetters+".QueueName}"] = "Maximum of 1 in 300 s"
		for _, signal := range fleet.Steward().Signals {
			want[signals+" "+signal.Name+" "] = fmt.Sprintf("Sum of %d in %v s", signal.Threshold, signal.Window.Seconds())
			for _, name := range signal.Functions {
				counted[signals+" "+signal.Name+" ${"+logGroupID(name)+"}"] = true
			}
		}
		got, filters := map[string]string{}, map[string]bool{}
		for id, r := range tpl.of("AWS::CloudWatch::Alarm") {
			p, of := r.Properties, ""
			if dimensions, ok := p["Dimensions"].([]any); ok && len(dimensions) == 1 {
				of = plain(dimensions[0].(map[string]any)["Value"])
			}
			got[fmt.Sprintf("%v %v %s", p["Namespace"], p["MetricName"], of)] = fmt.Sprintf("%v of %v in %v s", p["Statistic"], p["Threshold"], p["Period"])
			topic := []any{map[string]any{"Ref": alarmTopic}}
			if !cmp.Equal(p["AlarmActions"], any(topic)) || !cmp.Equal(p["OKActions"], any(topic)) || p["ActionsEnabled"] == false || p["ComparisonOperator"] != "GreaterThanOrEqualToThreshold" || p["EvaluationPeriods"] != 1.0 {
				t.Errorf("%s does not tell the topic when it begins and ends: %v", id, p)
			}
		}
		for _, r := range tpl.of("AWS::Logs::MetricFilter") {
			to := r.Properties["MetricTransformations"].([]any)[0].(map[string]any)
			filters[fmt.Sprintf("%v %v %s", to["MetricNamespace"], to["MetricName"], plain(r.Properties["LogGroupName"]))] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("alarms, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff(counted, filters); diff != "" {
			t.Errorf("logs that are counted, -want +got:\n%s", diff)
		}
		if got := tpl.Resources[deadLetters].Properties["MessageRetentionPeriod"]; got != 14*24*60*60.0 {
			t.Errorf("dead letters are kept for %v s, want 14 days, the longest there is", got)
		}
		mails := tpl.of("AWS::SNS::Subscription")
		if (len(mails) == 1) != (s.AlarmEmail != "") {
			t.Errorf("%d subscriptions for the address %q", len(mails), s.AlarmEmail)
		}
		for _, m := range mails {
			if plain(m.Properties["TopicArn"]) != "${"+alarmTopic+"}" || m.Properties["Endpoint"] != s.AlarmEmail {
				t.Errorf("alarms go to %v", m.Properties)
			}
		}
	})
}
