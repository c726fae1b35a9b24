// Command bundle packs build/<function>/bootstrap into build/<function>.zip, the form in which Lambda takes it. With -list
// it prints the names of the functions, for the Makefile. The
// same binary gives the same bytes whoever packs it and whenever, so an unchanged function keeps its asset hash and is
// not deployed again.
package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/steward-iam/steward/infra/fleet"
)

func main() {
	list := flag.Bool("list", false, "print the names of the functions and pack nothing")
	flag.Parse()
	var names []string
	for _, fn := range fleet.Steward().Functions {
		names = append(names, fn.Name)
	}
	if *list {
		_, _ = fmt.Println(strings.Join(names, " ")) //nolint:forbidigo // the output of the command
		return
	}
	if err := run("../build", names); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string, functions []string) error {
	for _, name := range functions {
		if err := bundle(filepath.Join(dir, name, "bootstrap"), filepath.Join(dir, name+".zip")); err != nil {
			return fmt.Errorf("bundle %s: %w", name, err)
		}
	}
	return nil
}

func bundle(binary, archive string) (err error) {
	in, err := os.Open(binary) //nolint:gosec // our own build
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(archive) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	z := zip.NewWriter(out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return z.Close()
}
