package native_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fernweh/infra/native"
)

// classDataOf are the class data that the process of a server has in its memory.
func classDataOf(t *testing.T, s *native.Server) string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) == 6 && strings.HasPrefix(filepath.Base(fields[5]), "classes-") {
			return fields[5]
		}
	}
	return ""
}

// startWithCache starts a Kafka of the test's own on artifacts of the test's own.
func startWithCache(t *testing.T, cache string) *native.Server {
	t.Helper()
	ports, err := native.FreePorts(native.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, native.Kafka, native.Options{Dir: t.TempDir(), Cache: cache, Ports: ports})
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	start(t, s)
	return s
}

// TestClassData: damaged ones are made again, and where the virtual machine makes
// none the server starts without.
func TestClassData(t *testing.T) {
	real(t)
	shared, err := native.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	folder := native.Artifact(native.Kafka, cache)
	if err := os.CopyFS(folder, os.DirFS(native.Artifact(native.Kafka, shared))); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(filepath.Join(folder, "classes-*.jsa"))
	if err != nil || len(made) == 0 {
		t.Fatalf("no class data among the artifacts of Kafka (%v)", err)
	}
	for _, name := range made {
		if err := os.Truncate(name, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	s := startWithCache(t, cache)
	if name := classDataOf(t, s); name == "" || filepath.Dir(name) != folder {
		t.Errorf("with damaged class data Kafka runs with %q, want new ones in %s", name, folder)
	}

	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	write(t, filepath.Join(home, "bin", "java"), fmt.Sprintf(`#!/bin/sh
case "$*" in *ArchiveClassesAtExit*) echo "no class data here"; exit 1;; esac
exec %s "$@"
`, java))
	t.Setenv("JAVA_HOME", home)
	s = startWithCache(t, cache)
	if name := classDataOf(t, s); name != "" {
		t.Errorf("a virtual machine that makes no class data runs with %s", name)
	}
	why, err := filepath.Glob(filepath.Join(folder, "classes-*-none.log"))
	if err != nil || len(why) != 1 {
		t.Fatalf("files that say why there are no class data: %v (%v), want one", why, err)
	}
	if text, err := os.ReadFile(why[0]); err != nil || !strings.Contains(string(text), "no class data here") {
		t.Errorf("%s says %q (%v), want what the virtual machine said", why[0], text, err)
	}
}
