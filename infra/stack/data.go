package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/steward-iam/steward/shared/dynamo"
)

// key encrypts tables, secrets, queues and the alarm topic.
func (b *builder) key() {
	days := 7
	if b.keeps() {
		days = 30
	}
	k := awskms.NewCfnKey(b.stack, text(key), &awskms.CfnKeyProps{
		Description:         text("Tables, secrets, queue and alarms of " + b.StackName()),
		EnableKeyRotation:   jsii.Bool(true),
		PendingWindowInDays: number(days),
		KeyPolicy: document(
			// Without this nobody could ever administer the key; it hands the decision to IAM policies.
			statement{
				Sid: "AccountDecidesByIam", Principal: map[string]any{"AWS": *sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
				Actions: []string{"kms:*"}, Resources: []*string{text("*")},
			},
			statement{
				Sid: "AlarmsToEncryptedTopic", Principal: service("cloudwatch.amazonaws.com"),
				Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resources: []*string{text("*")}, Conditions: ownAccount(),
			},
		),
	})
	b.retain(k)
}

func (b *builder) tables() {
	sessions := b.table(sessionTable, dynamo.PartitionKey, dynamo.SortKey, dynamo.OwnerKey)
	sessions.SetTimeToLiveSpecification(&awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{
		AttributeName: text(dynamo.TTLAttribute), Enabled: jsii.Bool(true),
	})
	sessions.SetGlobalSecondaryIndexes(&[]any{&awsdynamodb.CfnTable_GlobalSecondaryIndexProperty{
		IndexName:  text(dynamo.OwnerIndex),
		KeySchema:  keySchema(dynamo.OwnerKey, dynamo.SortKey),
		Projection: &awsdynamodb.CfnTable_ProjectionProperty{ProjectionType: text("ALL")},
	}})
	if b.SessionTableName != "" {
		sessions.SetTableName(text(b.SessionTableName))
	}
	b.table(auditTable, dynamo.AuditPartitionKey, dynamo.AuditSortKey)
}

func (b *builder) table(id, partition, sort string, more ...string) awsdynamodb.CfnTable {
	var attributes []any
	for _, name := range append([]string{partition, sort}, more...) {
		attributes = append(attributes, &awsdynamodb.CfnTable_AttributeDefinitionProperty{AttributeName: text(name), AttributeType: text("S")})
	}
	t := awsdynamodb.NewCfnTable(b.stack, text(id), &awsdynamodb.CfnTableProps{
		KeySchema:                        keySchema(partition, sort),
		AttributeDefinitions:             &attributes,
		BillingMode:                      text("PAY_PER_REQUEST"),
		DeletionProtectionEnabled:        jsii.Bool(b.keeps()),
		PointInTimeRecoverySpecification: &awsdynamodb.CfnTable_PointInTimeRecoverySpecificationProperty{PointInTimeRecoveryEnabled: jsii.Bool(true)},
		SseSpecification: &awsdynamodb.CfnTable_SSESpecificationProperty{
			SseEnabled: jsii.Bool(true), SseType: text("KMS"), KmsMasterKeyId: att(key, "Arn"),
		},
	})
	b.retain(t)
	return t
}

func keySchema(partition, sort string) *[]any {
	return &[]any{
		&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: text(partition), KeyType: text("HASH")},
		&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: text(sort), KeyType: text("RANGE")},
	}
}

// secrets that others issue are empty until somebody fills them (`make secrets`), and no deployment touches them
// again. Steward's own keys are generated once, and changed by `make rotate` alone.
func (b *builder) secrets() {
	secret := func(id, description string, generate any) {
		b.retain(awssecretsmanager.NewCfnSecret(b.stack, text(id), &awssecretsmanager.CfnSecretProps{
			Description: text(description), KmsKeyId: att(key, "Arn"), GenerateSecretString: generate,
		}))
	}
	secret(auth0Secret, "Steward: client secret of the Auth0 application", nil)
	secret(fgaSecret, "Steward: client secret for FGA", nil)
	generated := &awssecretsmanager.CfnSecret_GenerateSecretStringProperty{PasswordLength: number(64), ExcludePunctuation: jsii.Bool(true)}
	secret(tokenKey, "Steward: key that seals tokens at rest; losing it signs everybody out", generated)
	secret(approvalKey, "Steward: key of the marks on approvals; losing it ends what is under way", generated)
	secret(auditKey, "Steward: key of the marks on audit entries; without it no older entry can be verified", generated)
}

func (b *builder) queue() {
	days := func(n int) *float64 { return number(n * 24 * 60 * 60) }
	awssqs.NewCfnQueue(b.stack, text(deadLetters), &awssqs.CfnQueueProps{
		KmsMasterKeyId: att(key, "Arn"), MessageRetentionPeriod: days(14),
	})
	awssqs.NewCfnQueue(b.stack, text(queue), &awssqs.CfnQueueProps{
		KmsMasterKeyId:         att(key, "Arn"),
		VisibilityTimeout:      number(int(b.fleet.Queue.VisibilityTimeout.Seconds())),
		MessageRetentionPeriod: number(int(b.fleet.Queue.Retention.Seconds())),
		RedrivePolicy: map[string]any{
			"deadLetterTargetArn": *att(deadLetters, "Arn"), "maxReceiveCount": b.fleet.Queue.MaxReceives,
		},
	})
	for _, id := range []string{deadLetters, queue} {
		awssqs.NewCfnQueuePolicy(b.stack, text(id+"Policy"), &awssqs.CfnQueuePolicyProps{
			Queues:         list(ref(id)),
			PolicyDocument: document(encryptedOnly("sqs:*", att(id, "Arn"))),
		})
	}
}
