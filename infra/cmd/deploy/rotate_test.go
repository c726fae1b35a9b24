package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
)

// TestRotatePutsAFreshKeyFirst puts a fresh key above those there are, in the secrets that were agreed to, and keeps what is still needed.
func TestRotatePutsAFreshKeyFirst(t *testing.T) {
	many := func(n int) (lines []string) {
		for range n {
			lines = append(lines, seal.GenerateKey().Reveal())
		}
		return lines
	}
	start := func(c *cloud, audit int) (*account, map[string][]string) {
		t.Helper()
		a, err := open(t.Context(), c.config(t), t.Output())
		if err != nil {
			t.Fatal(err)
		}
		before := map[string][]string{"arn:TokenKey": many(1), "arn:ApprovalKey": many(4), "arn:AuditKey": many(audit)}
		for id, lines := range before {
			c.stored[id] = strings.Join(lines, "\n")
		}
		return a, before
	}
	c := &cloud{}
	a, before := start(c, 7)
	var out bytes.Buffer
	if err := a.rotate(t.Context(), chosen(t, map[string]string{}), yes(strings.NewReader("yes\nyes\nyes\n"), &out), &out); err != nil {
		t.Fatal(err)
	}
	for id, kept := range map[string]int{"arn:TokenKey": 1, "arn:ApprovalKey": 3, "arn:AuditKey": 7} {
		after := strings.Split(c.stored[id], "\n")
		if len(after) != kept+1 || strings.Join(after[1:], "\n") != strings.Join(before[id][:kept], "\n") || len(after[0]) < seal.MinKeyLength {
			t.Errorf("%s has %d lines, want a fresh one above %d older", id, len(after), kept)
		}
		if strings.Contains(out.String(), after[0]) || strings.Contains(out.String(), after[1]) {
			t.Errorf("a key is shown: %s", out.String())
		}
		if _, err := seal.New(secret.New(c.stored[id])); err != nil {
			t.Errorf("%s cannot be used: %v", id, err)
		}
	}

	a, before = start(c, seal.MaxKeys)
	err := a.rotate(t.Context(), chosen(t, map[string]string{}), yes(strings.NewReader("no\n"), &out), &out)
	if err == nil || !strings.Contains(err.Error(), "Move its oldest line") {
		t.Errorf("a full audit key: %v", err)
	}
	for id, lines := range before {
		if c.stored[id] != strings.Join(lines, "\n") {
			t.Errorf("%s was changed without a yes", id)
		}
	}
	c.stored["arn:TokenKey"] = canary
	if err := a.rotate(t.Context(), chosen(t, map[string]string{}), yes(strings.NewReader("yes\n"), &out), &out); err == nil || strings.Contains(err.Error(), canary) || c.stored["arn:TokenKey"] != canary {
		t.Errorf("a text that holds no key: %v", err)
	}
}

// TestGeneratedKeysCanBeRotated holds that exactly the secrets that a stack generates can be rotated.
func TestGeneratedKeysCanBeRotated(t *testing.T) {
	raw, err := os.ReadFile("../../stack/testdata/classic-prod.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct{ Properties map[string]any }
	}
	if err := json.Unmarshal(raw, &template); err != nil {
		t.Fatal(err)
	}
	for _, key := range ownKeys {
		if _, generated := template.Resources[key.id].Properties["GenerateSecretString"]; !generated {
			t.Errorf("the stack generates no %s", key.id)
		}
		delete(template.Resources, key.id)
	}
	for id, r := range template.Resources {
		if _, generated := r.Properties["GenerateSecretString"]; generated {
			t.Errorf("%s cannot be rotated", id)
		}
	}
}
