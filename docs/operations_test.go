package docs_test

import (
	"go/ast"
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

// operations is the page for whoever is woken.
func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// rows are the lines of a page's tables whose first cell is a name of this form,
// by the name.
func rows(page, name string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `("+name+")` \\|(.*)\\|$").FindAllStringSubmatch(page, -1) {
		found[m[1]] = strings.ReplaceAll(m[2], `\|`, "|")
	}
	return found
}

// metrics are the names of all metrics in the source: where one is made, the name
// stands there as it is; or a function of the file puts its beginning before it, and
// is called with the rest.
func metrics(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, p := range packages(t) {
		for _, f := range source(t, p) {
			text := func(e ast.Expr) (string, bool) {
				lit, ok := e.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return "", false
				}
				s, err := strconv.Unquote(lit.Value)
				return s, err == nil
			}
			beginnings := map[string]string{} // by the function's name
			ast.Inspect(f, func(n ast.Node) bool {
				if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 {
					name, named := a.Lhs[0].(*ast.Ident)
					if literal, ok := a.Rhs[0].(*ast.FuncLit); ok && named {
						ast.Inspect(literal, func(n ast.Node) bool {
							if sum, ok := n.(*ast.BinaryExpr); ok {
								if s, ok := text(sum.X); ok && strings.HasPrefix(s, "fernweh_") {
									beginnings[name.Name] = s
								}
							}
							return true
						})
					}
				}
				return true
			})
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
					of, _ := call.Fun.(*ast.Ident)
					if rest, ok := text(call.Args[0]); ok && of != nil && beginnings[of.Name] != "" {
						names = append(names, beginnings[of.Name]+rest)
					}
				}
				if e, ok := n.(ast.Expr); ok {
					if s, ok := text(e); ok && regexp.MustCompile(`^fernweh(_[a-z]+)+$`).MatchString(s) {
						names = append(names, s)
					}
				}
				return true
			})
		}
	}
	return names
}

// TestOperationsNamesEveryMetric: a metric that the page lacks is of no use at
// night, and one that the source lacks misleads.
func TestOperationsNamesEveryMetric(t *testing.T) {
	said, there := rows(operations(t), `fernweh_\w+`), metrics(t)
	if len(there) < 40 {
		t.Errorf("the source has %d metrics: that shows too little", len(there))
	}
	for _, name := range there {
		if _, ok := said[name]; !ok {
			t.Errorf("operations.md has no row for the metric %s", name)
		}
	}
	for name := range said {
		if !slices.Contains(there, name) {
			t.Errorf("operations.md has a row for the metric %s, which nobody exports", name)
		}
	}
}

// TestOperationsNamesEveryAlert: each alert has a row with its expression, and a
// way to the part of the page that says what to do.
func TestOperationsNamesEveryAlert(t *testing.T) {
	page := operations(t)
	text, err := os.ReadFile(filepath.Join("..", "infra", "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[string]string{}
	for _, m := range regexp.MustCompile(`- alert: (\w+)\n +expr: (.+)\n`).FindAllStringSubmatch(string(text), -1) {
		alerts[m[1]] = m[2]
	}
	if n := strings.Count(string(text), "- alert: "); n == 0 || n != len(alerts) {
		t.Fatalf("of %d alerts %d were understood", n, len(alerts))
	}
	said := rows(page, `Fernweh\w+`)
	for name, expression := range alerts {
		row, ok := said[name]
		if !ok {
			t.Errorf("operations.md has no row for the alert %s", name)
			continue
		}
		if !strings.Contains(row, "`"+expression+"`") {
			t.Errorf("operations.md has another expression for %s than %s: %s", name, expression, row)
		}
		if !regexp.MustCompile(`\]\(#[\w-]+\)`).MatchString(row) {
			t.Errorf("operations.md does not say where it says what to do about %s", name)
		}
	}
	for name := range maps.Keys(said) {
		if _, ok := alerts[name]; !ok {
			t.Errorf("operations.md has a row for the alert %s, which is none", name)
		}
	}
}

// TestOperationsLeadsSomewhere: at night nobody looks for a heading that has
// another name.
func TestOperationsLeadsSomewhere(t *testing.T) {
	headings := map[string]string{}
	for page, text := range texts(t, ".md") {
		for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
			anchor := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
			headings[page+"#"+regexp.MustCompile(`[^\w-]`).ReplaceAllString(anchor, "")] = m[1]
		}
	}
	links := regexp.MustCompile(`\]\(([\w./-]*)#([\w-]+)\)`).FindAllStringSubmatch(operations(t), -1)
	if len(links) < 20 {
		t.Errorf("%d links were found: that shows too little", len(links))
	}
	for _, m := range links {
		page := "docs/operations.md"
		if m[1] != "" {
			page = filepath.Join("docs", m[1])
		}
		if _, ok := headings[page+"#"+m[2]]; !ok {
			t.Errorf("operations.md leads to %s#%s, and there is no such heading", page, m[2])
		}
	}
}
