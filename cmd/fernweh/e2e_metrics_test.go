package main_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryExportedMetricIsInOperations: what a running portal tells Prometheus
// stands in docs/operations.md, as the type and with the labels that it has.
func TestEveryExportedMetricIsInOperations(t *testing.T) {
	admin := door(t)
	p := newPortal(t, "--admin-addr", admin)
	p.up()
	c := newCalls(seed(t))
	c.post(p, 500)
	c.probe(p)
	p.batch()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	exported, _, err := send("GET", "http://"+admin+"/metrics", nil, http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (fernweh_\w+) (\w+)$`).FindAllStringSubmatch(string(exported), -1) {
		name, kind := m[1], m[2]
		seen[name] = true
		row := regexp.MustCompile("(?m)^\\| `" + name + "` \\| (\\w+) \\| ([^|]*) ?\\|").FindStringSubmatch(string(page))
		if row == nil {
			t.Errorf("docs/operations.md has no row for %s, a %s", name, kind)
			continue
		}
		if row[1] != kind {
			t.Errorf("docs/operations.md calls %s a %s, it is a %s", name, row[1], kind)
		}
		labels := strings.TrimSpace(strings.ReplaceAll(row[2], ",", ""))
		for _, sample := range regexp.MustCompile(`(?m)^`+name+`(?:_bucket|_sum|_count)?\{(.*)\}`).FindAllStringSubmatch(string(exported), -1) {
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(sample[1], -1) {
				if l[1] != "le" && !strings.Contains(" "+labels+" ", " "+l[1]+" ") {
					t.Fatalf("docs/operations.md gives %s the labels %q, it has %s", name, labels, l[1])
				}
			}
		}
	}
	for _, layer := range []string{"ingest_events_total", "log_lag", "speed_events_total", "serving_ready", "index_generation"} {
		if !seen["fernweh_"+layer] {
			t.Errorf("a running portal does not export fernweh_%s: that shows too little", layer)
		}
	}
}
