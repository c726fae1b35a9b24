package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/steward-iam/steward/infra/settings"
	"github.com/steward-iam/steward/infra/tenant/reach"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
)

// ownKey is a secret that the stack generated, with one key a line: see package seal.
type ownKey struct {
	id   string // of the resource in the stack
	name string
	// older is how many older keys are kept below a new one, and why is what they are still needed for.
	older int
	why   string
}

var ownKeys = []ownKey{
	{"TokenKey", "token key", 3, "opens what was sealed in the last 8 hours, the life of a session"},
	{"ApprovalKey", "approval key", 3, "verifies what waits for a phone or for the worker"},
	{"AuditKey", "audit key", seal.MaxKeys - 1, "verifies older entries of the record"},
}

// rotate puts a fresh key above the others in each of Steward's own keys that the person says yes to.
func (a *account) rotate(ctx context.Context, s settings.Settings, agrees func(question string) (bool, error), out io.Writer) error {
	stacks := cloudformation.NewFromConfig(a.config)
	vault := secretsmanager.NewFromConfig(a.config)
	for _, key := range ownKeys {
		stored, err := stacks.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{
			StackName: aws.String(s.StackName()), LogicalResourceId: aws.String(key.id),
		})
		if err != nil {
			return &reach.Problem{Say: fmt.Sprintf("The stack %s in %s has no %s that can be read. Run `make deploy` first; the credentials need cloudformation:DescribeStackResource.", s.StackName(), a.region, key.id), Err: err}
		}
		id := stored.StackResourceDetail.PhysicalResourceId
		now, err := vault.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
		if err != nil {
			return &reach.Problem{Say: "The " + key.name + " cannot be read: the credentials need secretsmanager:GetSecretValue on " + aws.ToString(id) + " and kms:Decrypt on the stack's key.", Err: err}
		}
		keys, err := rotated(aws.ToString(now.SecretString), seal.GenerateKey(), key.older)
		if err != nil {
			return &reach.Problem{Say: "The " + key.name + " in " + aws.ToString(id) + " cannot be used as it is, so it is left alone.", Err: err}
		}
		if key.id == "AuditKey" && keys.dropped > 0 {
			return &reach.Problem{Say: fmt.Sprintf("The audit key has %d lines already, as many as fit. Move its oldest line to where the archive of the record is kept, then try again.", seal.MaxKeys)}
		}
		yes, err := agrees(fmt.Sprintf("The %s: a fresh one above, %d older kept (each %s), %d dropped. Rotate it? (yes/no) ", key.name, keys.kept, key.why, keys.dropped))
		if err != nil {
			return err
		}
		if !yes {
			_, _ = fmt.Fprintln(out, "left as it is")
			continue
		}
		if _, err := vault.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String(keys.text.Reveal())}); err != nil {
			return &reach.Problem{Say: "The " + key.name + " could not be stored: the credentials need secretsmanager:PutSecretValue on " + aws.ToString(id) + ".", Err: err}
		}
		_, _ = fmt.Fprintln(out, "rotated; every function uses it within ten minutes")
	}
	return nil
}

// keyList is the text of a secret after a rotation, one key a line.
type keyList struct {
	text          secret.String
	kept, dropped int
}

// rotated puts fresh above the lines of text and keeps at most so many older ones. The error is that of a text that the
// functions could not use.
func rotated(text string, fresh secret.String, older int) (keyList, error) {
	if _, err := seal.New(secret.New(text)); err != nil {
		return keyList{}, err
	}
	lines := []string{fresh.Reveal()}
	dropped := 0
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case line == "":
		case len(lines) > older:
			dropped++
		default:
			lines = append(lines, line)
		}
	}
	return keyList{secret.New(strings.Join(lines, "\n")), len(lines) - 1, dropped}, nil
}

// yes asks a question that only the word yes answers with yes.
func yes(in io.Reader, out io.Writer) func(question string) (bool, error) {
	lines := bufio.NewReader(in)
	return func(question string) (bool, error) {
		_, _ = fmt.Fprint(out, question)
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read the answer: %w", err)
		}
		return strings.TrimSpace(line) == "yes", nil
	}
}
