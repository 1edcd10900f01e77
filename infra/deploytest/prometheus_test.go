package deploytest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/dns"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const alerts = "../prometheus/alerts.yaml"

var promqlParser = parser.NewParser(parser.Options{})

// expressions are every query of rules and dashboards, by where it stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	groups, errs := rulefmt.ParseFile(alerts, false, model.UTF8Validation, promqlParser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			all["alert "+r.Alert] = r.Expr
		}
	}
	boards, err := filepath.Glob("../grafana/dashboards/*.json")
	if err != nil || len(boards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, name := range boards {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, RefID string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range board.Panels {
			for _, q := range p.Targets {
				all[filepath.Base(name)+": "+p.Title+" "+q.RefID] = q.Expr
			}
		}
	}
	return all
}

// metricsOf are the names of the metrics in a query.
func metricsOf(query string) (names []string, err error) {
	expr, err := promqlParser.ParseExpr(query)
	if err != nil {
		return nil, err
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for _, m := range s.LabelMatchers {
				if m.Name == labels.MetricName {
					names = append(names, m.Value)
				}
			}
		}
		return nil
	})
	return names, nil
}

// sources are the files of which the program is built. They are asked of the compiler,
// so that no folder has to be listed here, and none counts that is built into something else.
func sources(t *testing.T) (paths []string) {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f",
		`{{with .Module}}{{if .Main}}{{range $.GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "./cmd/fernweh")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list the program's files: %v", err)
	}
	return strings.Fields(string(out))
}

// literals are the strings in the program's source, file by file: of them the names
// of metrics are made.
func literals(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, path := range sources(t) {
		f, err := goparser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					all[path] = append(all[path], s)
				}
			}
			return true
		})
	}
	return all
}

// exported says whether the program has a metric of the name: its source has the
// name whole, or a beginning with fernweh_ and the rest in one file.
func exported(source map[string][]string, name string) bool {
	for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
		base := strings.TrimSuffix(name, suffix)
		for _, words := range source {
			if slices.Contains(words, base) {
				return true
			}
			for _, w := range words {
				rest, ok := strings.CutPrefix(base, w)
				if ok && strings.HasPrefix(w, "fernweh_") && strings.HasSuffix(w, "_") && slices.Contains(words, rest) {
					return true
				}
			}
		}
	}
	return false
}

// foreign are metrics of Prometheus itself and of Go's client library.
var foreign = []string{"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines"}

// TestEveryMetricIsExported: what alerts and dashboards ask for is there; a metric
// that was renamed would leave an alert silent for ever.
func TestEveryMetricIsExported(t *testing.T) {
	source := literals(t)
	asked := 0
	for where, query := range expressions(t) {
		names, err := metricsOf(query)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		for _, name := range names {
			asked++
			if !slices.Contains(foreign, name) && !exported(source, name) {
				t.Errorf("%s asks for %s, which nobody exports", where, name)
			}
		}
	}
	if asked < 20 {
		t.Errorf("%d metrics are asked for: that shows too little", asked)
	}
	for _, wrong := range []string{"fernweh_speed_evnts_total", "fernweh_ingest_spool_generation", "fernweh_"} {
		if exported(source, wrong) {
			t.Errorf("%s counts as exported", wrong)
		}
	}
}

// prometheusSettings is what of Prometheus' settings we use, in its own types
// where they say more. (Its whole package drags in every cloud there is.)
type prometheusSettings struct {
	Global struct {
		ScrapeInterval     model.Duration `yaml:"scrape_interval"`
		EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	}
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName string                       `yaml:"job_name"`
		DNS     []dns.SDConfig               `yaml:"dns_sd_configs"`
		Static  []struct{ Targets []string } `yaml:"static_configs"`
		Relabel []relabel.Config             `yaml:"relabel_configs"`
	} `yaml:"scrape_configs"`
}

// TestPrometheusTakesItsSettings: every field is one that Prometheus knows, every
// service that it asks for is one of compose's and answers at that port, and every
// alert has somebody whom it concerns and says what is the matter.
func TestPrometheusTakesItsSettings(t *testing.T) {
	text, err := os.ReadFile("../prometheus/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c prometheusSettings
	in := yaml.NewDecoder(bytes.NewReader(text))
	in.KnownFields(true)
	if err := in.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for _, name := range c.RuleFiles {
		if _, err := os.Stat(filepath.Join("../prometheus", name)); err != nil {
			t.Error(err)
		}
	}
	services, found := project(t).Services, 0
	for _, job := range c.ScrapeConfigs {
		for _, names := range job.DNS {
			for _, name := range names.Names {
				found++
				admin := services[name].Environment["FERNWEH_ADMIN_ADDR"]
				if admin == nil || *admin != "0.0.0.0:"+strconv.Itoa(names.Port) {
					t.Errorf("job %s asks %s at port %d, where it does not answer", job.JobName, name, names.Port)
				}
			}
		}
	}
	if found != 5 {
		t.Errorf("Prometheus asks %d layers, want 5", found)
	}
	groups, errs := rulefmt.ParseFile(alerts, false, model.UTF8Validation, promqlParser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if s := r.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("%s has severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s does not say what is the matter", r.Alert)
			}
		}
	}
	if _, errs := rulefmt.Parse([]byte("groups: [{name: a, rules: [{alert: b, expr: 'sum(rate(x[5m])'}]}]"), false, model.UTF8Validation, promqlParser, slog.New(slog.DiscardHandler)); len(errs) == 0 {
		t.Error("an expression without its bracket is taken")
	}
}

// TestTheChartHasTheSameAlerts: what the chart carries is the file itself.
func TestTheChartHasTheSameAlerts(t *testing.T) {
	theirs, err := os.ReadFile(filepath.Join(chart, "files/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	if string(theirs) != string(ours) {
		t.Error("infra/helm/fernweh/files/alerts.yaml is not infra/prometheus/alerts.yaml")
	}
}
