// Package compat_test holds the promise of an upgrade: what a release wrote, today's
// program opens, answers from as that release did, and goes on writing into.
//
// Each folder of testdata is a release: the directory that it left behind when it
// was killed, with events still in its spool, and what it answered itself when it
// was started on that directory again. make golden-release VERSION=... makes one
// (docs/releases.md).
package compat_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A golden is what a release said of the directory that it left behind.
type golden struct {
	Release string                     // as `fernweh version` prints it
	Made    time.Time                  // after it, the log keeps its records for a year
	Args    []string                   // that the directory belongs to
	Answers map[string]json.RawMessage // by path and query
	Rows    int64                      // events of its log once the spool is drained, repeated ones counted

	passes []string // fields that today's fold counts otherwise
}

// restated are the fields that a later fold counts otherwise, by the release whose
// views it made useless. docs/releases.md says what they are.
var restated = map[string][]string{
	"v0.1.0": {"sessions", "bounces", "bounceRate", "conversion"}, // the rates are of sessions
}

// releases are the folders of testdata.
func releases(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("testdata/v*")
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) == 0 {
		t.Fatal("there is no folder of any release in testdata")
	}
	return folders
}

func readGolden(t *testing.T, folder string) (g golden) {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, "answers.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(plain).Decode(&g)
	}
	if err != nil {
		t.Fatalf("read %s: %v", f.Name(), err)
	}
	return g
}

// TestReleasesAreRead: on a copy of what a release wrote, today's program gives
// the release's answers, from its rows, its log and its spool; again after a
// batch run over its Parquet files; and again, and one more, after an event.
func TestReleasesAreRead(t *testing.T) {
	for _, folder := range releases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			g := readGolden(t, folder)
			if age := time.Since(g.Made); age > 350*24*time.Hour {
				t.Fatalf("the folder is %d days old, and its log keeps a year: remove it, as docs/releases.md says", int(age.Hours()/24))
			}
			dir := t.TempDir()
			if err := unpack(filepath.Join(folder, "data.tar.gz"), dir); err != nil {
				t.Fatal(err)
			}
			p := &portal{T: t, program: today(t), dir: dir, args: g.Args}
			runs := int64(1)
			if folded := restated[filepath.Base(folder)]; folded != nil {
				g.passes = folded
				p.rebuild()
				runs++
			}
			p.up()
			p.settle(g.Rows + cuts(runs))
			g.compare(p, "as it was found", runs > 1)

			if rows := p.batch(); rows != g.Rows {
				t.Errorf("the batch run folded %d rows, the log of %s has %d", rows, g.Release, g.Rows)
			}
			runs++
			p.settle(g.Rows + cuts(runs))
			g.compare(p, "after a batch run", true)

			p.post(`{"batch":[{"type":"page","anonymousId":"herr-mueller-laptop","messageId":"today"}]}`)
			p.settle(g.Rows + cuts(runs) + 1)
			was := eventsIn(t, g.Answers["/v1/visitors/herr-mueller-laptop"])
			if n := eventsIn(t, p.get("/v1/visitors/herr-mueller-laptop")); n != was+1 {
				t.Errorf("Herr Mueller has %d events, want one more than %d", n, was)
			}
			p.stop()
			p.up() // what today's program has written into it, it reads
			if n := eventsIn(t, p.get("/v1/visitors/herr-mueller-laptop")); n != was+1 {
				t.Errorf("after another start Herr Mueller has %d events, want %d", n, was+1)
			}
			p.stop()
		})
	}
}

// cuts is how many records of the log so many batch runs have written.
func cuts(runs int64) int64 { return runs * partitions }

// eventsIn is the number of a visitor's events in an answer.
func eventsIn(t *testing.T, answer []byte) int64 {
	t.Helper()
	var v struct{ Totals struct{ Events int64 } }
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return v.Totals.Events
}

// compare asks everything that the release was asked. later: a generation has been
// published since, so of an answer only the facts must be the same.
func (g golden) compare(p *portal, when string, later bool) {
	p.Helper()
	for _, path := range slices.Sorted(maps.Keys(g.Answers)) {
		var want, got any
		if err := json.Unmarshal(g.Answers[path], &want); err != nil {
			p.Fatal(err)
		}
		if err := json.Unmarshal(p.get(path), &got); err != nil {
			p.Fatal(err)
		}
		for _, difference := range differences(path, want, got, later, g.passes...) {
			p.Errorf("%s, %s: %s", when, g.Release, difference)
		}
	}
}

// passing are the fields that change while nothing happens.
var passing = []string{"ageSeconds", "behind", "now", "version", "stale"}

// opinions are the fields that a batch run may change: what an answer is made of,
// and what a model says, which is no fold.
var opinions = []string{"provenance", "state", "segment", "decision"}

// differences are where an answer is not what it was. A field more is none: an
// answer may grow.
func differences(where string, want, got any, later bool, passes ...string) (all []string) {
	switch want := want.(type) {
	case map[string]any:
		other, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, was %v", where, got, want)}
		}
		if measure, _ := want["measure"].(string); slices.Contains(passes, measure) {
			return nil // a series of it
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !slices.Contains(passing, name) && !slices.Contains(passes, name) && !(later && slices.Contains(opinions, name)) {
				all = append(all, differences(where+"."+name, want[name], other[name], later, passes...)...)
			}
		}
	case []any:
		other, ok := got.([]any)
		if !ok || len(other) != len(want) {
			return []string{fmt.Sprintf("%s is %v, was %v", where, got, want)}
		}
		for i := range want {
			all = append(all, differences(fmt.Sprintf("%s[%d]", where, i), want[i], other[i], later, passes...)...)
		}
	default:
		if !reflect.DeepEqual(want, got) {
			return []string{fmt.Sprintf("%s is %v, was %v", where, got, want)}
		}
	}
	return all
}

// TestDifferencesAreSeen: the comparison finds what it is for.
func TestDifferencesAreSeen(t *testing.T) {
	for _, c := range []struct {
		name, want, got string
		later           bool
		found           int
	}{
		{"the same", `{"a":[1,{"b":"c"}]}`, `{"a":[1,{"b":"c"}]}`, false, 0},
		{"a field more", `{"a":1}`, `{"a":1,"b":2}`, false, 0},
		{"a field less", `{"a":1,"b":2}`, `{"a":1}`, false, 1},
		{"another number", `{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3}]}`, false, 1},
		{"a row less", `{"a":[1,2]}`, `{"a":[1]}`, false, 1},
		{"older by now", `{"ageSeconds":1}`, `{"ageSeconds":2}`, false, 0},
		{"exact too early", `{"state":"live"}`, `{"state":"exact"}`, false, 1},
		{"exact after a run", `{"state":"live"}`, `{"state":"exact"}`, true, 0},
	} {
		var want, got any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.got), &got); err != nil {
			t.Fatal(err)
		}
		if d := differences("answer", want, got, c.later); len(d) != c.found {
			t.Errorf("%s: found %q, want %d", c.name, d, c.found)
		}
	}
}

// questions are what a release is asked: the portal's numbers of all its time, by
// destination and day, everybody, and the persons.
func questions(from, to time.Time, devices, customers []string) (paths []string) {
	window := url.Values{"from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}.Encode()
	paths = append(paths, "/v1/kpis?"+window, "/v1/kpis?by=destination&"+window, "/v1/kpis?bucket=24h&"+window)
	for _, d := range devices {
		paths = append(paths, "/v1/visitors/"+url.PathEscape(d))
	}
	for _, c := range customers {
		paths = append(paths, "/v1/persons/"+url.PathEscape(c))
	}
	return paths
}

// waiting is what lies in the spool of a release: nobody had it but the spool.
const waiting = `{"batch":[{"type":"page","anonymousId":"waits-1","messageId":"w1"},` +
	`{"type":"identify","anonymousId":"waits-2","messageId":"w2","userId":"patient"},` +
	`{"type":"page","anonymousId":"herr-mueller-laptop","messageId":"w3"}]}`

// partitions of the portals here, and events of each that only a spool has.
const (
	partitions = 2
	inSpool    = 3
)

// spooled counts the verdicts in a collector's answer.
func spooled(answer string) int { return strings.Count(answer, `"spooled"`) }
