package deploytest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// TestAlerts: an alert is about to fire on the series that it is for, as it would
// be at noon UTC a day after they began, and is silent on those beside them. What
// it waits for before it wakes somebody is not part of it.
func TestAlerts(t *testing.T) {
	groups, errs := rulefmt.ParseFile(alerts, false, model.UTF8Validation, promqlParser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules := map[string]string{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			rules[r.Alert] = r.Expr
		}
	}
	const both = "up{layer=\"ingest\"} 1x2300\nup{layer=\"serve\"} 1x2300\n"
	for _, c := range []struct {
		alert, name, series string
		fires               int
	}{
		{"FernwehSpoolFills", "an empty spool", "fernweh_ingest_spool_oldest_seconds 0x2300", 0},
		{"FernwehSpoolFills", "a spool that waits", "fernweh_ingest_spool_oldest_seconds 0+1x2300", 1},
		{"FernwehSpoolNearlyFull", "it grows", "fernweh_ingest_spool_bytes 0+100x2300\nfernweh_ingest_spool_limit_bytes 220000x2300\nfernweh_ingest_spool_records 5x2300", 1},
		{"FernwehSpoolNearlyFull", "it has room", "fernweh_ingest_spool_bytes 0+100x2300\nfernweh_ingest_spool_limit_bytes 900000x2300\nfernweh_ingest_spool_records 5x2300", 0},
		{"FernwehEventsRefused", "all is taken", `fernweh_ingest_request_seconds_count{status="200"} 0+9x2300`, 0},
		{"FernwehEventsRefused", "come back later", `fernweh_ingest_request_seconds_count{status="429"} 0+1x2300`, 1},
		{"FernwehManyRejected", "one in ten", "fernweh_ingest_events_total{verdict=\"accepted\"} 0+90x2300\nfernweh_ingest_events_total{verdict=\"rejected\"} 0+10x2300", 1},
		{"FernwehManyRejected", "one in a hundred", "fernweh_ingest_events_total{verdict=\"accepted\"} 0+99x2300\nfernweh_ingest_events_total{verdict=\"rejected\"} 0+1x2300", 0},
		{"FernwehLag", "behind", "fernweh_serving_lag_records{partition=\"0\"} 30000x2300\nfernweh_serving_lag_records{partition=\"1\"} 30000x2300", 1},
		{"FernwehLag", "with the log", `fernweh_serving_lag_records{partition="0"} 10x2300`, 0},
		{"FernwehArchiveBehind", "another reader", `fernweh_log_lag{reader="fernweh-speed"} 9000000x2300`, 0},
		{"FernwehArchiveBehind", "the archive of a portal of another name", `fernweh_log_lag{reader="north-archive"} 9000000x2300`, 1},
		{"FernwehNotReady", "ready", "fernweh_serving_ready 1x2300", 0},
		{"FernwehNotReady", "not", "fernweh_serving_ready 0x2300", 1},
		{"FernwehNoNewGeneration", "the same for a day", "fernweh_serving_generation 7x2300", 1},
		{"FernwehNoNewGeneration", "one more an hour ago", "fernweh_serving_generation 7x2100 8x199", 0},
		{"FernwehLayerGone", "both are there", both, 0},
		{"FernwehLayerGone", "serve is not", `up{layer="ingest"} 1x2300`, 1},
		{"FernwehLayerGone", "each serve is down", "up{layer=\"ingest\"} 1x2300\nup{layer=\"serve\"} 0x2300", 1},
		{"FernwehLayerGone", "one serve of two is down", both + `up{layer="serve",instance="b"} 0x2300`, 0},
		{"FernwehViewsFail", "errors", `fernweh_hbase_errors_total{layer="speed"} 0+1x2300`, 1},
		{"FernwehSpeedRestarts", "again and again", "fernweh_speed_restarts_total 0+1x2300", 1},
		{"FernwehSpeedRestarts", "once", "fernweh_speed_restarts_total 1x2300", 0},
		{"FernwehStandsStill", "no series, as there is no trouble", "fernweh_ready 1x2300", 0},
		{"FernwehStandsStill", "trouble began within this minute", `fernweh_trouble_seconds{component="log",state="down"} _x2160 1 61 121`, 0},
		{"FernwehStandsStill", "one stands still since now, another long since", "fernweh_trouble_seconds{component=\"archive\",state=\"down\"} 0+60x2300\nfernweh_trouble_seconds{component=\"log\",state=\"down\"} _x2157 1 61 121 181", 2},
		{"FernwehStandsStill", "it has ended", `fernweh_trouble_seconds{component="log",state="down"} 0+60x2100`, 0},
		{"FernwehStandsStill", "it goes on with less", `fernweh_trouble_seconds{component="log",state="limited"} 0+60x2300`, 0},
		{"FernwehLimited", "for an hour", `fernweh_trouble_seconds{component="log",state="limited"} 3600x2300`, 1},
		{"FernwehLimited", "for a minute", `fernweh_trouble_seconds{component="log",state="limited"} 60x2300`, 0},
		{"FernwehLimited", "it stands still", `fernweh_trouble_seconds{component="log",state="down"} 3600x2300`, 0},
	} {
		t.Run(c.alert+"/"+c.name, func(t *testing.T) {
			if rules[c.alert] == "" {
				t.Fatal("there is no such alert")
			}
			storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(c.series, "\n", "\n  "))
			engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
			noon := time.Unix(0, 0).Add(36 * time.Hour) // 2160 minutes
			query, err := engine.NewInstantQuery(context.Background(), storage, nil, rules[c.alert], noon)
			if err != nil {
				t.Fatal(err)
			}
			defer query.Close()
			found, err := query.Exec(context.Background()).Vector()
			if err != nil || len(found) != c.fires {
				t.Errorf("on %s: %v, %v, want %d", c.series, found, err, c.fires)
			}
		})
	}
}
