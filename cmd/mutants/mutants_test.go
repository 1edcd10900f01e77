package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aModule is a module of one function and one test of it.
func aModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module small\n\ngo 1.24\n",
		"add.go": "package small\n\nfunc add(a, b int) int { return a + b }\n\nfunc sub(a, b int) int { return a - b }\n",
		"add_test.go": "package small\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif add(2, 3) != 5 {\n\t\tt.Error(\"wrong\")\n\t}\n" +
			"\tsub(1, 1)\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRun: each mistake is noticed, survives or proves nothing, the last line
// counts, and anything but a kill is an error.
func TestRun(t *testing.T) {
	root := aModule(t)
	tests := []struct {
		name, old, new string
		want, last     string
		err            string
	}{
		{"noticed", "a + b", "a - 2*b", "killed    noticed (sums): . TestAdd", "killed 1 of 1", ""},
		{"panics", "a - b", "a / (a - b)", "killed    panics (sums): . TestAdd", "killed 1 of 1", ""},
		{"nobody looks", "a - b", "b - a", "SURVIVED  nobody looks", "killed 0 of 1", "1 mistakes survived"},
		{"not there", "a * b", "a", `VOID      not there (sums, add.go): proves nothing: "a * b" stands 0 times`, "killed 0 of 1", "prove nothing"},
		{"there twice", "int { return a", "a", `stands 2 times`, "killed 0 of 1", "prove nothing"},
		{"no Go", "a + b", "a +", "it does not compile", "killed 0 of 1", "prove nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), &out, root, []mutant{{tt.name, "sums", "add.go", tt.old, tt.new, []string{". -run TestNone", "."}}}, 1)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if !strings.Contains(out.String(), tt.want) || lines[len(lines)-1] != tt.last {
				t.Errorf("it says\n%s\nwant %q and at last %q", out.String(), tt.want, tt.last)
			}
		})
	}
	t.Run("a test that fails by itself", func(t *testing.T) {
		var out strings.Builder
		wrong := "package small\n\nimport \"testing\"\n\nfunc TestWrong(t *testing.T) { t.Error(1) }\n"
		if err := os.WriteFile(filepath.Join(root, "wrong_test.go"), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		err := run(t.Context(), &out, root, []mutant{{"any", "sums", "add.go", "a + b", "a", []string{"."}}}, 1)
		if err == nil || !strings.Contains(err.Error(), "TestWrong fails without any mistake") {
			t.Errorf("error %v and %q, want the run refused", err, out.String())
		}
	})
	if text, err := os.ReadFile(filepath.Join(root, "add.go")); err != nil || !strings.Contains(string(text), "a + b") {
		t.Errorf("the tree was touched: %s %v", text, err)
	}
}

// TestTableFollowsTheCode: each mistake of the table can be made, once, and its
// name is its own.
func TestTableFollowsTheCode(t *testing.T) {
	names := map[string]bool{}
	for _, m := range table() {
		if names[m.name] {
			t.Errorf("two mistakes are called %q", m.name)
		}
		names[m.name] = true
		if len(m.tests) == 0 || m.old == m.new {
			t.Errorf("%s: it has %d tests and changes %q into %q", m.name, len(m.tests), m.old, m.new)
		}
		if _, err := write(t.TempDir(), "../..", m); err != nil {
			t.Errorf("%s in %s: %v", m.name, m.file, err)
			if !errors.Is(err, errVoid) {
				return
			}
		}
	}
	if len(names) < 40 {
		t.Errorf("%d mistakes, want 40 at least", len(names))
	}
}
