package embedded_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
)

func TestFiles(t *testing.T) {
	infratest.Files(t, func(t *testing.T) infratest.FileStore {
		f, err := embedded.OpenFiles(filepath.Join(t.TempDir(), "not", "yet", "there"))
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestUnfinishedFilesAreClearedAway(t *testing.T) {
	dir := t.TempDir()
	f, err := embedded.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []byte
	_, err = f.Create(t.Context(), "events/0/42.parquet", func(w io.Writer) error {
		// What lies here now is what a killed process leaves.
		entries, err := os.ReadDir(filepath.Join(dir, "events", "0"))
		if err != nil || len(entries) != 1 {
			return errors.New("no temporary file to look at")
		}
		left = []byte(filepath.Join(dir, "events", "0", entries[0].Name()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(string(left), []byte("half a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err = embedded.OpenFiles(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the start: the unfinished %s is still there (%v)", left, err)
	}
	if names, err := f.List(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("after the start: got files %q, %v, want the one that was finished", names, err)
	}
}

func TestSharedFilesLeaveWhatOthersAreWriting(t *testing.T) {
	dir := t.TempDir()
	young, old := filepath.Join(dir, ".temp-young"), filepath.Join(dir, ".temp-old")
	for _, name := range []string{young, old} {
		if err := os.WriteFile(name, []byte("half a file"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.OpenSharedFiles(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a file that another process is writing is gone: %v", err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that nobody has written to for two days is still there (%v)", err)
	}
}

func TestDirectoryThatCantBeMadeIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.OpenFiles(filepath.Join(file, "archive")); err == nil || !strings.Contains(err.Error(), "a-file") {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func TestSecondProcessIsToldWhoWorksThere(t *testing.T) {
	dir := t.TempDir()
	unlock, err := embedded.Lock(dir, "http://127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	_, err = embedded.Lock(dir, "the second")
	for _, want := range []string{dir, strconv.Itoa(os.Getpid()), "http://127.0.0.1:8080"} {
		if !errors.Is(err, embedded.ErrLocked) || !strings.Contains(err.Error(), want) {
			t.Errorf("second lock: got %v, want %v with %s in it", err, embedded.ErrLocked, want)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = embedded.Lock(dir, "the second"); err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}
