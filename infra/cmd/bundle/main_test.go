package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSameBinaryGivesSameBundle(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "chat", "bootstrap")
	if err := os.Mkdir(filepath.Dir(binary), 0o700); err != nil {
		t.Fatal(err)
	}
	var bundles [][]byte
	for i, mode := range []os.FileMode{0o700, 0o600} { // neither mode nor time may show
		if err := os.WriteFile(binary, []byte("a program"), mode); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(binary, when, when); err != nil {
			t.Fatal(err)
		}
		if err := run(dir, []string{"chat"}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, "chat.zip"))
		if err != nil {
			t.Fatal(err)
		}
		bundles = append(bundles, raw)
	}
	if !bytes.Equal(bundles[0], bundles[1]) {
		t.Error("the same binary gives two bundles")
	}

	z, err := zip.NewReader(bytes.NewReader(bundles[0]), int64(len(bundles[0])))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode() != 0o755 {
		t.Fatalf("bundle holds %v, mode %v", z.File[0].Name, z.File[0].Mode())
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "a program" {
		t.Errorf("bootstrap is %q, %v", got, err)
	}

	if err := run(dir, []string{"missing"}); err == nil {
		t.Error("a function that was not built is bundled")
	}
}
