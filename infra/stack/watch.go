package stack

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"

	"github.com/steward-iam/steward/infra/fleet"
)

// metric is a sum over five minutes (or the window of an alarm) of one CloudWatch metric.
type metric struct {
	namespace, name string
	dimension       string // its one dimension, "" for none
	of              *string
	statistic       string
}

func onFunction(name, measure string) metric {
	return metric{"AWS/Lambda", measure, "FunctionName", ref(functionID(name)), "Sum"}
}

func onQueue(id, measure string) metric {
	return metric{"AWS/SQS", measure, "QueueName", att(id, "QueueName"), "Maximum"}
}

func (b *builder) onSignal(s fleet.Signal) metric {
	return metric{"Steward/" + b.StackName(), s.Name, "", nil, "Sum"}
}

// watch tells somebody when something is wrong, and draws all of it on one dashboard.
func (b *builder) watch() {
	awssns.NewCfnTopic(b.stack, text(alarmTopic), &awssns.CfnTopicProps{
		DisplayName: text("Steward " + b.StackName()), KmsMasterKeyId: att(key, "Arn"),
	})
	awssns.NewCfnTopicPolicy(b.stack, text(alarmTopic+"Policy"), &awssns.CfnTopicPolicyProps{
		Topics: list(ref(alarmTopic)),
		PolicyDocument: document(
			statement{
				Sid: "OwnAlarms", Principal: service("cloudwatch.amazonaws.com"), Actions: []string{"sns:Publish"}, Resources: []*string{ref(alarmTopic)},
				Conditions: ownResource(sub("arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:" + b.StackName() + "-*")),
			},
			encryptedOnly("sns:Publish", ref(alarmTopic)),
		),
	})
	if b.AlarmEmail != "" {
		awssns.NewCfnSubscription(b.stack, text("AlarmEmail"), &awssns.CfnSubscriptionProps{
			TopicArn: ref(alarmTopic), Protocol: text("email"), Endpoint: text(b.AlarmEmail),
		})
	}

	for _, fn := range b.fleet.Functions {
		b.alarm(camel(fn.Name)+"Errors", "Function "+fn.Name+" fails.", onFunction(fn.Name, "Errors"), 1, 5*time.Minute)
		b.alarm(camel(fn.Name)+"Throttles", "Function "+fn.Name+" is throttled: raise its concurrency.", onFunction(fn.Name, "Throttles"), 1, 5*time.Minute)
	}
	b.alarm("DeadLetters", "Approvals could not be carried on with; see the runbook.", onQueue(deadLetters, "ApproximateNumberOfMessagesVisible"), 1, 5*time.Minute)
	for _, s := range b.fleet.Signals {
		for _, name := range s.Functions {
			awslogs.NewCfnMetricFilter(b.stack, text(s.Name+"In"+camel(name)), &awslogs.CfnMetricFilterProps{
				LogGroupName: ref(logGroupID(name)), FilterPattern: text(pattern(s)),
				MetricTransformations: &[]any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
					MetricNamespace: text(b.onSignal(s).namespace), MetricName: text(s.Name), MetricValue: text("1"), DefaultValue: number(0),
				}},
			})
		}
		b.alarm(s.Name, s.Description, b.onSignal(s), s.Threshold, s.Window)
	}
	awscloudwatch.NewCfnDashboard(b.stack, text("Dashboard"), &awscloudwatch.CfnDashboardProps{DashboardBody: b.dashboard()})
}

// pattern selects the lines of a JSON log that a signal counts.
func pattern(s fleet.Signal) string {
	var terms []string
	for _, v := range s.Values {
		quoted := `"` + v + `"`
		if strings.Trim(v, "0123456789") == "" {
			quoted = v
		}
		terms = append(terms, fmt.Sprintf("($.%s = %s)", s.Field, quoted))
	}
	return "{ " + strings.Join(terms, " || ") + " }"
}

func (b *builder) alarm(id, description string, m metric, threshold int, window time.Duration) {
	props := &awscloudwatch.CfnAlarmProps{
		AlarmDescription: text(description), Namespace: text(m.namespace), MetricName: text(m.name), Statistic: text(m.statistic),
		Period: number(int(window.Seconds())), EvaluationPeriods: number(1), Threshold: number(threshold),
		ComparisonOperator: text("GreaterThanOrEqualToThreshold"), TreatMissingData: text("notBreaching"),
		AlarmActions: &[]any{ref(alarmTopic)}, OkActions: &[]any{ref(alarmTopic)},
	}
	if m.dimension != "" {
		props.Dimensions = &[]any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: text(m.dimension), Value: m.of}}
	}
	awscloudwatch.NewCfnAlarm(b.stack, text(id+"Alarm"), props)
}

// dashboard is five charts: calls, duration, failures, approvals, signals.
func (b *builder) dashboard() *string {
	line := func(m metric, label, statistic string) []any {
		l := []any{m.namespace, m.name}
		if m.dimension != "" {
			l = append(l, m.dimension, *m.of)
		}
		return append(l, map[string]any{"label": label, "stat": statistic})
	}
	var calls, durations, failures, signals []any
	for _, fn := range b.fleet.Functions {
		calls = append(calls, line(onFunction(fn.Name, "Invocations"), fn.Name, "Sum"))
		durations = append(durations, line(onFunction(fn.Name, "Duration"), fn.Name, "p95"))
		failures = append(failures, line(onFunction(fn.Name, "Errors"), fn.Name+" errors", "Sum"), line(onFunction(fn.Name, "Throttles"), fn.Name+" throttles", "Sum"))
	}
	for _, s := range b.fleet.Signals {
		signals = append(signals, line(b.onSignal(s), s.Name, "Sum"))
	}
	approvals := []any{
		line(onQueue(queue, "ApproximateNumberOfMessagesDelayed"), "waiting for their next poll", "Maximum"),
		line(onQueue(queue, "ApproximateAgeOfOldestMessage"), "age of the oldest (s)", "Maximum"),
		line(onQueue(deadLetters, "ApproximateNumberOfMessagesVisible"), "dead letters", "Maximum"),
	}
	charts := []struct {
		title string
		lines []any
	}{{"Calls", calls}, {"Duration, p95 (ms)", durations}, {"Errors and throttles", failures}, {"Approvals", approvals}, {"Signals", signals}}
	var widgets []any
	for i, c := range charts {
		widgets = append(widgets, map[string]any{
			"type": "metric", "x": i % 2 * 12, "y": i / 2 * 6, "width": 12, "height": 6,
			"properties": map[string]any{
				"title": c.title, "metrics": c.lines, "region": *ref("AWS::Region"), "period": 300, "view": "timeSeries",
			},
		})
	}
	body, err := json.Marshal(map[string]any{"widgets": widgets})
	if err != nil {
		panic(err) // texts and numbers
	}
	return text(string(body))
}
