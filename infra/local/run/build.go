package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
)

// Root finds the repository's root from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "functions", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no directory above this one has functions/go.mod")
		}
		dir = parent
	}
}

// Flags are those of the shipped binaries, as the Makefile has them.
func Flags() []string {
	return []string{"-tags=lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}
}

// Build compiles every function for this computer, with the flags of the shipped ones, to <dir>/<function>/bootstrap. progress,
// if not nil, is told what was built and how long it took.
func Build(ctx context.Context, dir string, progress func(string)) error {
	root, err := Root()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	for _, fn := range fleet.Steward().Functions {
		begun := time.Now()
		//nolint:gosec // our own names
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, Flags(),
			[]string{"-o", filepath.Join(dir, fn.Name, "bootstrap"), "./" + fn.Name})...)
		cmd.Dir = filepath.Join(root, "functions")
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", fn.Name, err, strings.TrimSpace(string(out)))
		}
		if progress != nil {
			progress(fmt.Sprintf("built %s in %.1f s", fn.Name, time.Since(begun).Seconds()))
		}
	}
	return nil
}
