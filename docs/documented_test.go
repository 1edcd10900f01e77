package docs_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fernweh/schemas"
)

// source parses the files of a package that go into the program, but for
// generated ones.
func source(t *testing.T, p pkg) []*ast.File {
	t.Helper()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.IsGenerated(f) {
			files = append(files, f)
		}
	}
	return files
}

// TestDocumentedPackages: a package says what it is for, in one place.
func TestDocumentedPackages(t *testing.T) {
	for _, p := range packages(t) {
		said := 0
		files := source(t, p)
		for _, f := range files {
			if f.Doc.Text() != "" {
				said++
			}
		}
		if len(files) > 0 && said != 1 {
			t.Errorf("%s has %d package comments, want one", p.path(), said)
		}
	}
}

// TestDocumentedNames: an exported name has a sentence, which names it. A
// constant or variable may share that of its group or stand beside it.
func TestDocumentedNames(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range source(t, p) {
			for _, d := range f.Decls {
				for name, text := range undocumented(d) {
					t.Errorf("%s: %s is exported and its comment is %q", p.path(), name, text)
				}
			}
		}
	}
}

// undocumented gives the exported names of a declaration whose comment does not
// name them, with the comment.
func undocumented(d ast.Decl) map[string]string {
	bad := make(map[string]string)
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) && !names(d.Doc, d.Name.Name) {
			bad[d.Name.Name] = d.Doc.Text()
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && !names(s.Doc, s.Name.Name) && !names(d.Doc, s.Name.Name) {
					bad[s.Name.Name] = d.Doc.Text()
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					bad[s.Names[0].Name] = ""
				}
			}
		}
	}
	return bad
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	x := d.Recv.List[0].Type
	if p, ok := x.(*ast.StarExpr); ok {
		x = p.X
	}
	if g, ok := x.(*ast.IndexExpr); ok {
		x = g.X
	}
	name, ok := x.(*ast.Ident)
	return ok && name.IsExported()
}

// names says whether the first sentence of a comment has the name in it.
func names(c *ast.CommentGroup, name string) bool {
	first := new(doc.Package).Synopsis(c.Text())
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(first)
}

// TestDocumentedMap: every package has its place in the map of the files.
func TestDocumentedMap(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		if p.path() != "docs" && !strings.Contains(string(page), "| `"+p.path()+"` |") {
			t.Errorf("the file map of ARCHITECTURE.md lacks %s", p.path())
		}
	}
}

// TestDocumentedFormats: every page of a format that the code points to is
// there, every page is pointed to, and every topic and table has its heading.
func TestDocumentedFormats(t *testing.T) {
	pointer := regexp.MustCompile(`\bformats/([\w-]+\.md)`)
	pointed := make(map[string]string)
	for name, text := range texts(t, ".go", ".proto", ".md") {
		for _, m := range pointer.FindAllStringSubmatch(text, -1) {
			pointed[m[1]] = name
		}
	}
	var pages []string
	for name := range texts(t, ".md") {
		if dir, page := filepath.Split(name); dir == "docs/formats/" {
			pages = append(pages, page)
			if pointed[page] == "" {
				t.Errorf("nothing points to docs/formats/%s", page)
			}
		}
	}
	for page, from := range pointed {
		if !slices.Contains(pages, page) {
			t.Errorf("%s points to docs/formats/%s, which is not there", from, page)
		}
	}
	for _, topic := range schemas.Topics(1) {
		heading(t, "formats/topics.md", topic.Name)
	}
	for _, table := range schemas.Tables() {
		heading(t, "formats/tables.md", string(table))
	}
}

// TestDocumentedDecisions: decisions are numbered from 1 without a gap, each file by
// itself, the heading has its number, and who points to a number finds it.
func TestDocumentedDecisions(t *testing.T) {
	name, number := regexp.MustCompile(`^docs/decisions/(\d{4})-[\w-]+\.md$`), map[string]string{}
	for page, text := range texts(t, ".md") {
		m := name.FindStringSubmatch(page)
		if m == nil {
			continue
		}
		if other := number[m[1]]; other != "" {
			t.Errorf("%s and %s have one number", page, other)
		}
		number[m[1]] = page
		if want := "# " + strings.TrimLeft(m[1], "0") + ". "; !strings.HasPrefix(text, want) {
			t.Errorf("%s begins with %.20q, want %q", page, text, want)
		}
	}
	for n := range len(number) {
		if want := fmt.Sprintf("%04d", n+1); number[want] == "" {
			t.Errorf("of %d decisions none has the number %s", len(number), want)
		}
	}
	pointer := regexp.MustCompile(`\[(\d{4})\]\((?:[\w./]*/)?(\d{4})-|\bdecisions?[/ ](\d{4})\b`)
	for file, text := range texts(t, ".go", ".proto", ".md", ".yaml", ".js") {
		for _, m := range pointer.FindAllStringSubmatch(text, -1) {
			if m[1] != m[2] || number[m[2]+m[3]] == "" {
				t.Errorf("%s points by %q to a decision of another number, or to none", file, m[0])
			}
		}
	}
}

// heading checks that a page has a heading of its own for a name.
func heading(t *testing.T, page, name string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Error(err)
		return
	}
	if !regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(name) + `$`).Match(b) {
		t.Errorf("docs/%s has no heading for %s", page, name)
	}
}

// TestDocumentedThingsExist: the files, functions, tests and pages that the
// documents name are there. A file stands as `folder/file`, a function as
// `folder/file.go:name`, and a page as a link.
func TestDocumentedThingsExist(t *testing.T) {
	file := regexp.MustCompile("`((?:schemas|model|ingest|speed|batch|serving|infra|cmd|docs)/[\\w./-]+)(?::(\\w+))?`")
	test := regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w+)\b`)
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	var tests strings.Builder
	for name, text := range texts(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			tests.WriteString(text)
		}
	}
	for page, text := range texts(t, ".md") {
		if page == "CHANGELOG.md" {
			continue // what was so then
		}
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			exists(t, page, m[1], m[2])
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			exists(t, page, filepath.Join(filepath.Dir(page), m[1]), "")
		}
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(") {
				t.Errorf("%s names the test %s, which is not there", page, m[1])
			}
		}
	}
}

// exists checks a file of the module, and that it has a function of the name.
func exists(t *testing.T, page, name, function string) {
	t.Helper()
	if function == "" {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s: %v", page, err)
		}
		return
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Errorf("%s: %v", page, err)
		return
	}
	if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + function + `[(\[]`).Match(b) {
		t.Errorf("%s names the function %s of %s, which is not there", page, function, name)
	}
}

// texts gives the files of the module with one of the endings, by their names.
// What is not ours, or made by running, is left out.
func texts(t *testing.T, endings ...string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	foreign := []string{".git", "node_modules", "data", "bin"}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(foreign, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || !slices.Contains(endings, filepath.Ext(path)) {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
