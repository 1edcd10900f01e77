// Package docs_test holds the documents against the code: a page that no longer
// says what is so fails like any other code.
package docs_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root   = ".."
	module = "fernweh"
)

// A pkg is a package of the module as the Go command sees it.
type pkg struct {
	ImportPath                                  string
	Dir                                         string
	GoFiles, Imports, TestImports, XTestImports []string
}

// path is where the package lies in the module: "model/visitor".
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// top is the folder of the module that a path begins with.
func top(path string) string {
	folder, _, _ := strings.Cut(path, "/")
	return folder
}

// within says whether a path is a folder or lies in it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// list is every package of the module.
var list = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var pkgs []pkg
	for in := json.NewDecoder(out); ; {
		var p pkg
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, cmd.Wait()
		} else if err != nil {
			return nil, errors.Join(err, cmd.Wait())
		}
		pkgs = append(pkgs, p)
	}
})

func packages(t *testing.T) []pkg {
	t.Helper()
	pkgs, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) == 0 {
		t.Fatal("the module has no packages")
	}
	return pkgs
}

// block reads the fenced block of a name out of ARCHITECTURE.md: a line is what
// stands before the arrow, and what stands behind it.
func block(t *testing.T, name string) map[string][]string {
	t.Helper()
	page, err := os.Open("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	lines := make(map[string][]string)
	inside := false
	for in := bufio.NewScanner(page); in.Scan(); {
		switch line := in.Text(); {
		case line == "```"+name:
			inside = true
		case inside && line == "```":
			return lines
		case inside:
			from, to, ok := strings.Cut(line, "->")
			if !ok {
				t.Fatalf("ARCHITECTURE.md, block %s: %q has no arrow", name, line)
			}
			lines[strings.TrimSpace(from)] = strings.FieldsFunc(to, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	t.Fatalf("ARCHITECTURE.md has no whole block %s", name)
	return nil
}

// TestArrows: a package imports of the module only what the arrows say, and its
// own folder. The line of tests says what tests may import beside that.
func TestArrows(t *testing.T) {
	arrows := block(t, "arrows")
	tests := arrows["tests"]
	delete(arrows, "tests")
	used := make(map[string]bool)
	for _, p := range packages(t) {
		from := top(p.path())
		if from == "docs" {
			continue
		}
		may, known := arrows[from]
		if !known {
			t.Errorf("%s is in no arrow", from)
			continue
		}
		used[from] = true
		checkImports(t, p, p.Imports, may)
		checkImports(t, p, slices.Concat(p.TestImports, p.XTestImports), slices.Concat(may, tests))
	}
	for from := range arrows {
		if !used[from] {
			t.Errorf("an arrow begins at %s, and there is no package", from)
		}
	}
}

func checkImports(t *testing.T, p pkg, imports, may []string) {
	t.Helper()
	for _, i := range imports {
		if !within(i, module) {
			continue
		}
		if to := top(strings.TrimPrefix(i, module+"/")); to != top(p.path()) && !slices.Contains(may, to) {
			t.Errorf("%s imports %s; the arrows from %s go to %v", p.path(), i, top(p.path()), may)
		}
	}
}

// TestArrowsToTechnology: a technology has its home, and nobody else imports it.
// Tests may, who hold a home to the technology itself.
func TestArrowsToTechnology(t *testing.T) {
	for technology, homes := range block(t, "homes") {
		used := make(map[string]bool)
		for _, p := range packages(t) {
			if !slices.ContainsFunc(p.Imports, func(i string) bool { return within(i, technology) }) {
				continue
			}
			home := slices.IndexFunc(homes, func(h string) bool { return within(p.path(), h) })
			if home < 0 {
				t.Errorf("%s imports %s, whose home is %v", p.path(), technology, homes)
				continue
			}
			used[homes[home]] = true
		}
		for _, h := range homes {
			if !used[h] {
				t.Errorf("%s is a home of %s and does not import it", h, technology)
			}
		}
	}
}

// TestArrowsKeepModelPure: the mathematics has no clock, no files, no goroutines.
func TestArrowsKeepModelPure(t *testing.T) {
	for folder, never := range block(t, "pure") {
		for _, p := range packages(t) {
			if !within(p.path(), folder) {
				continue
			}
			for _, i := range p.Imports {
				if slices.ContainsFunc(never, func(n string) bool { return within(i, n) }) {
					t.Errorf("%s imports %s, and must not", p.path(), i)
				}
			}
		}
	}
}
