// Package docs_test keeps the documents true: it generates what can be generated, and checks that every file, test,
// make target and alarm they name exists.
package docs_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

var update = flag.Bool("update", false, "rewrite what is generated")

// documents are all pages there are, by path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{"README.md": read(t, "README.md")}
	err := filepath.WalkDir(filepath.Join(root, "shared/docs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			name, _ := filepath.Rel(root, path)
			docs[filepath.ToSlash(name)] = read(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // a file of the repository
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var generated = regexp.MustCompile(`(?s)<!-- generated: ([a-z-]+) -->\n(.*?)<!-- end -->`)

// TestGeneratedPartsAreCurrent holds every generated part to what it is generated from.
func TestGeneratedPartsAreCurrent(t *testing.T) {
	parts := map[string]func(*testing.T) string{
		"catalogue": catalogueTable, "targets": targets, "settings": settingsTable, "functions": functionsTable, "environment": environment, "packages": packages,
	}
	seen := map[string]bool{}
	for name, text := range documents(t) {
		want := generated.ReplaceAllStringFunc(text, func(old string) string {
			id := generated.FindStringSubmatch(old)[1]
			make, ok := parts[id]
			if !ok {
				t.Errorf("%s: nothing generates %q", name, id)
				return old
			}
			seen[id] = true
			return "<!-- generated: " + id + " -->\n" + make(t) + "<!-- end -->"
		})
		if want == text {
			continue
		}
		if !*update {
			t.Errorf("%s is not what the code says; run `make golden`", name)
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(want), 0o600); err != nil {
			t.Error(err)
		}
	}
	for id := range parts {
		if !seen[id] {
			t.Errorf("no document shows %q", id)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)

// TestLinksExist holds that every link within the repository, and every heading it points at, exists.
func TestLinksExist(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			page := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				page = name
			}
			if _, err := os.Stat(filepath.Join(root, page)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, target)
				continue
			}
			if anchor != "" && !slices.Contains(headings(read(t, page)), anchor) {
				t.Errorf("%s: %s has no heading #%s", name, page, anchor)
			}
		}
	}
}

var fence = regexp.MustCompile("(?s)\n```.*?\n```")

func withoutCode(text string) string { return fence.ReplaceAllString(text, "") }

var heading = regexp.MustCompile(`(?m)^#+ (.+)$`)

// headings are the anchors of a page.
func headings(text string) (anchors []string) {
	for _, m := range heading.FindAllStringSubmatch(withoutCode(text), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		anchors = append(anchors, kept)
	}
	return anchors
}

var span = regexp.MustCompile("`([^`\n]+)`")

// TestPathsExist holds that every file and folder that is named exists.
func TestPathsExist(t *testing.T) {
	path := regexp.MustCompile(`^(?:shared|functions|infra|\.ci)/[A-Za-z0-9_./-]+$`)
	for name, text := range documents(t) {
		for _, m := range span.FindAllStringSubmatch(withoutCode(text), -1) {
			if !path.MatchString(m[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
}

var (
	named = regexp.MustCompile(`^((?:shared|functions|infra)/[a-z0-9/-]+) ((?:Test|Fuzz)[A-Za-z0-9]+)$`)
	bare  = regexp.MustCompile(`^(?:Test|Fuzz)[A-Z][A-Za-z0-9]+$`)
)

// cited are the tests a text names: `functions/ciba TestNoPushWhereACheckFails`.
func cited(text string) (tests []string) {
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		if named.MatchString(m[1]) {
			tests = append(tests, m[1])
		}
	}
	return tests
}

// TestNamedTestsExist holds that whatever test a document names as proof is there, in the package it names.
func TestNamedTestsExist(t *testing.T) {
	all := tests(t)
	for name, text := range documents(t) {
		for _, test := range cited(text) {
			if !all[test] {
				t.Errorf("%s: there is no test %s", name, test)
			}
		}
		for _, m := range span.FindAllStringSubmatch(text, -1) {
			if bare.MatchString(m[1]) && !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(test string) bool { return strings.HasSuffix(test, " "+m[1]) }) {
				t.Errorf("%s: there is no test %s", name, m[1])
			}
		}
	}
}

// tests are all tests and fuzz targets of the repository, as "folder Name".
func tests(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, module := range []string{"shared", "functions", "infra"} {
		err := filepath.WalkDir(filepath.Join(root, module), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir, _ := filepath.Rel(root, filepath.Dir(path))
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && bare.MatchString(f.Name.Name) {
					all[filepath.ToSlash(dir)+" "+f.Name.Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestEveryClaimHasATest holds that each rule of proofs.md and each threat of threat-model.md names a test.
func TestEveryClaimHasATest(t *testing.T) {
	next := 1
	rule := regexp.MustCompile(`^\| (\d+) \|`)
	for line := range strings.Lines(read(t, "shared/docs/proofs.md")) {
		m := rule.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != next {
			t.Errorf("proofs.md: rule %d comes where %d is due", n, next)
		}
		next++
		if len(cited(line)) == 0 {
			t.Errorf("proofs.md: rule %s names no test", m[1])
		}
	}
	if next == 1 {
		t.Error("proofs.md has no rules")
	}
	threat := regexp.MustCompile(`^\| ([STRIDE]\d+) \|`)
	threats := 0
	for line := range strings.Lines(read(t, "shared/docs/threat-model.md")) {
		if m := threat.FindStringSubmatch(line); m != nil {
			threats++
			if len(cited(line)) == 0 {
				t.Errorf("threat-model.md: %s names no test", m[1])
			}
		}
	}
	if threats == 0 {
		t.Error("threat-model.md has no threats")
	}
}

// TestEveryAlarmIsInTheRunbook holds the runbook's table to the alarms of the golden templates, no fewer and no more.
func TestEveryAlarmIsInTheRunbook(t *testing.T) {
	templates, err := filepath.Glob(filepath.Join(root, "infra/stack/testdata/*.template.json"))
	if err != nil || len(templates) == 0 {
		t.Fatal("no golden templates", err)
	}
	alarms := map[string]bool{}
	for _, path := range templates {
		raw, err := os.ReadFile(path) //nolint:gosec // a file of the repository
		if err != nil {
			t.Fatal(err)
		}
		var template struct {
			Resources map[string]struct{ Type string }
		}
		if err := json.Unmarshal(raw, &template); err != nil {
			t.Fatal(err)
		}
		for id, r := range template.Resources {
			if r.Type == "AWS::CloudWatch::Alarm" {
				alarms[strings.TrimSuffix(id, "Alarm")] = true
			}
		}
	}
	documented := map[string]bool{}
	line := regexp.MustCompile(`(?m)^\*\*Alarms?: (.+)\*\*$`)
	for _, m := range line.FindAllStringSubmatch(read(t, "shared/docs/runbook.md"), -1) {
		for _, s := range span.FindAllStringSubmatch(m[1], -1) {
			documented[s[1]] = true
		}
	}
	for a := range alarms {
		if !documented[a] {
			t.Errorf("the runbook does not speak of the alarm %s", a)
		}
	}
	for a := range documented {
		if !alarms[a] {
			t.Errorf("the runbook speaks of %s, which is no alarm", a)
		}
	}
}

var target = regexp.MustCompile(`(?m)^([a-z][a-z-]*):.*?## (.+)$`)

// targets is the list of make targets, as `make` prints it.
func targets(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| | |\n|---|---|\n")
	for _, m := range target.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		fmt.Fprintf(&b, "| `make %s` | %s |\n", m[1], cell(m[2]))
	}
	return b.String()
}

// TestMakeTargetsExist holds that every target that is named exists.
func TestMakeTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	run := regexp.MustCompile("(?m)(?:`|^ *|&& )(?:[A-Z_]+=\\S+ )*make ([a-z][a-z-]*)(?:$|`| )")
	for name, text := range documents(t) {
		for _, m := range run.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no `make %s`", name, m[1])
			}
		}
	}
}

// cell is a text in a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(text)
}

// TestPicturesAreNotEmpty holds that a picture is one: a screenshot that was not taken is an empty file.
func TestPicturesAreNotEmpty(t *testing.T) {
	pictures, err := filepath.Glob(filepath.Join(root, "shared/docs/screenshots/*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pictures {
		raw, err := os.ReadFile(path) //nolint:gosec // a file of the repository
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(raw, []byte("\x89PNG\r\n")) || len(raw) < 5000 {
			t.Errorf("%s is no picture", filepath.Base(path))
		}
	}
}

// TestVersionsArePinned holds that what builds and tests is named exactly: the same versions in every module, no latest anywhere.
func TestVersionsArePinned(t *testing.T) {
	for _, name := range []string{"LICENSE", ".ci/run", ".golangci.yaml"} {
		read(t, name)
	}
	require := regexp.MustCompile(`(?m)^(?:require )?\s*([a-z0-9.]+\.[a-z]+/\S+) (v\S+)`)
	versions := map[string]string{}
	for _, module := range []string{"shared", "functions", "infra", "infra/local"} {
		mod := read(t, module+"/go.mod")
		if !strings.Contains(mod, "\ngo 1.26") {
			t.Errorf("%s: another Go", module)
		}
		for _, m := range require.FindAllStringSubmatch(mod, -1) {
			if strings.HasPrefix(m[1], "github.com/steward-iam/") || strings.Contains(mod, m[1]+" "+m[2]+" // indirect") {
				continue
			}
			if other, ok := versions[m[1]]; ok && other != m[2] {
				t.Errorf("%s has %s %s, another module has %s", module, m[1], m[2], other)
			}
			versions[m[1]] = m[2]
		}
	}
	if len(versions) < 10 {
		t.Errorf("only %d requirements were found", len(versions))
	}
	for _, name := range []string{"Makefile", ".ci/run"} {
		if strings.Contains(read(t, name), "@latest") {
			t.Errorf("%s takes whatever is latest", name)
		}
	}
}
