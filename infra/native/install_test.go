package native_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fernweh/infra/native"
)

// write makes a file, and gives its checksum.
func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestSumsNameTheFile(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string // "" if nothing is wrong
	}{
		{"as committed", func(*testing.T, string) {}, ""},
		{"moved within the folder", func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "lib", "a.jar"), filepath.Join(dir, "a.jar")); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"damaged", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "lib", "a.jar"), "A") }, "a.jar has the SHA-256 559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd, and SHA256SUMS says"},
		{"cut short", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "lib", "b.jar"), "") }, "b.jar has the SHA-256"},
		{"missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "lib", "b.jar")); err != nil {
				t.Fatal(err)
			}
		}, "b.jar is missing"},
		{"one too many", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "c.jar"), "c") }, "c.jar has no line in SHA256SUMS"},
		{"no jar", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "readme.txt"), "c") }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			sums := make(map[string]string)
			for _, jar := range []string{"a.jar", "b.jar"} {
				sums[jar] = write(t, filepath.Join(dir, "lib", jar), jar)
			}
			test.spoil(t, dir)
			err := native.CheckSums(sums, dir)
			if test.want == "" {
				if err != nil {
					t.Errorf("what is as committed is refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestSumsBelongToTheVersion: whoever raises a version in a pom writes the sums anew.
func TestSumsBelongToTheVersion(t *testing.T) {
	main := map[native.Kind]string{native.Kafka: "kafka_2.13", native.HBase: "hbase-server", native.Elastic: "elasticsearch"}
	line := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, kind := range native.Kinds() {
		sums := native.Sums(kind)
		if jar := main[kind] + "-" + kind.Version() + ".jar"; sums[jar] == "" {
			t.Errorf("%s is of version %s, and its SHA256SUMS have no %s: make servers-sums", kind, kind.Version(), jar)
		}
		for jar, sum := range sums {
			if !line.MatchString(sum) {
				t.Errorf("SHA256SUMS of %s have %q for %s", kind, sum, jar)
			}
		}
	}
}

// standIn puts a program of the name before all others.
func standIn(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestFetchThatFails: nothing of it is run or kept, and the error says what to do.
func TestFetchThatFails(t *testing.T) {
	jars := strings.Join(slices.Collect(maps.Keys(native.Sums(native.Kafka))), " ")
	const copied = `for a; do case $a in -DoutputDirectory=*) lib=${a#*=};; esac; done; mkdir -p "$lib"; `
	tests := []struct {
		name   string
		maven  string
		broken func(*testing.T)
		want   []string
	}{
		{"no Maven", "", func(t *testing.T) { t.Setenv("PATH", t.TempDir()) }, []string{"mvn is not in the path", "apt-get install maven"}},
		{"Maven fails", "echo '[INFO] hello'; echo '[ERROR] no route to the registry' >&2; exit 1", nil, []string{"[ERROR] no route to the registry"}},
		{"a jar that nobody has checked", copied + "for jar in " + jars + `; do echo evil >"$lib/$jar"; done`, nil, []string{".jar has the SHA-256", "and 42 more"}},
		{"half of it", copied, nil, []string{"is missing"}},
		{"a jar more", copied + `echo evil >"$lib/a.jar"`, nil, []string{"a.jar has no line in SHA256SUMS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.broken != nil {
				test.broken(t)
			} else {
				standIn(t, "mvn", test.maven)
			}
			dir, cache := t.TempDir(), t.TempDir()
			ports, err := native.FreePorts(native.Kafka)
			if err != nil {
				t.Fatal(err)
			}
			err = server(t, native.Kafka, native.Options{Dir: dir, Cache: cache, Ports: ports}).Start(t.Context())
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Start says %v, want %q", err, want)
				}
			}
			if left := entries(t, filepath.Join(cache, "kafka")); len(left) != 1 || left[0] != "LOCK" {
				t.Errorf("the cache holds %v", left)
			}
		})
	}
}
