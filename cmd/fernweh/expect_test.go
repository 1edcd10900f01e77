package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// aPortal is a data directory as a portal leaves it, with sets of views of these
// directories, which are empty: what expects others opens none of them.
func aPortal(t *testing.T, dir string, sets ...string) {
	t.Helper()
	for _, name := range append([]string{"log", "archive"}, sets...) {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"LOCK", filepath.Join("archive", "origin.json")} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// entries are the names in a directory.
func entries(dir string) (names []string) {
	for _, e := range entriesOf(dir) {
		names = append(names, e.Name())
	}
	return names
}

// onPortal are the ways to call each command that works on a portal, and what each
// expects to be there. A command that is missing fails the test.
var onPortal = map[string][]struct {
	args     []string
	portal   bool // it refuses a data directory without one
	set      bool // it refuses a set of views that is not there
	settings []string
}{
	"up":     {{set: true, settings: []string{"--ingest-addr=127.0.0.1:0", "--serve-addr=127.0.0.1:0"}}},
	"ingest": {{portal: true, settings: []string{"--ingest-addr=127.0.0.1:0"}}},
	"speed":  {{portal: true, set: true}}, "archive": {{portal: true}}, "index": {{portal: true, set: true}},
	"serve":   {{portal: true, set: true, settings: []string{"--serve-addr=127.0.0.1:0"}}},
	"rebuild": {{portal: true}},
	"erase":   {{portal: true, set: true, settings: []string{"--device=phone"}}, {portal: true, settings: []string{"--device=phone", "--force"}}},
	"batch":   {{portal: true, set: true}, {args: []string{"run"}, portal: true, set: true}, {args: []string{"history"}, portal: true, set: true}, {args: []string{"rollback", "1"}, portal: true, set: true}},
	"key": {
		{args: []string{"new", "anna"}, portal: true}, {args: []string{"list"}, portal: true}, {args: []string{"remove", "anna"}, portal: true},
	},
	"repair":   {{portal: true}},
	"simulate": nil, "replay": nil, "config": nil, "health": nil, "version": nil,
}

// TestAMistypedNameMakesNothing calls every command with a data directory, and with
// a set of views, that is not there.
func TestAMistypedNameMakesNothing(t *testing.T) {
	for _, c := range commands() {
		calls, known := onPortal[c.name]
		if !known {
			t.Errorf("%s: say here what it expects to be there", c.name)
		}
		for _, way := range calls {
			name := strings.Join(append([]string{c.name}, way.args...), " ")
			args := slices.Concat([]string{c.name}, way.args, way.settings)
			if way.portal {
				t.Run(name+" on no portal", func(t *testing.T) {
					parent := t.TempDir()
					aPortal(t, filepath.Join(parent, "portal"), "views")
					dir := filepath.Join(parent, "potal")
					_, _, err := call(nil, append(args, "--data-dir="+dir)...)
					refusedWith(t, err, dir, "data-dir", "did you mean "+filepath.Join(parent, "portal")+"?", "fernweh up", "kafka-brokers")
					if got := entries(parent); !slices.Equal(got, []string{"portal"}) {
						t.Errorf("afterwards there are %v, want nothing new", got)
					}
				})
			}
			if way.set {
				t.Run(name+" on no set of views", func(t *testing.T) {
					dir := t.TempDir()
					aPortal(t, dir, "views", "views-summer")
					before := entries(dir)
					_, _, err := call(nil, append(args, "--data-dir="+dir, "--views=sumer")...)
					refusedWith(t, err, `"sumer"`, dir, "fernweh, summer", "did you mean summer?", "fernweh rebuild --views sumer")
					if got := entries(dir); !slices.Equal(got, before) {
						t.Errorf("afterwards there are %v, want %v", got, before)
					}
				})
			}
		}
	}
}

func refusedWith(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil || exitCode(err) == 0 {
		t.Fatalf("it did it (%v), want it refused", err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says %q, want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("it says %q, want one line", err)
	}
}

// TestALogIsNotMadeBesideWhatWasMadeFromAnother: the log is what everything else
// came from.
func TestALogIsNotMadeBesideWhatWasMadeFromAnother(t *testing.T) {
	for _, file := range []string{"archive/origin.json", "archive/events/0/1.parquet", "views/CURRENT", "views-summer/wal/1.log", "archive"} {
		left, _, _ := strings.Cut(file, "/")
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755), os.WriteFile(filepath.Join(dir, file), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			_, _, err := call(nil, "up", "--data-dir="+dir, "--ingest-addr=127.0.0.1:0", "--serve-addr=127.0.0.1:0")
			refusedWith(t, err, dir, left, "do not belong together")
			if got := entries(dir); !slices.Equal(got, []string{left}) {
				t.Errorf("afterwards there are %v, want %s alone", got, left)
			}
		})
	}
}

// TestEmptyFoldersAreNoLeftovers: an image and a volume that is mounted for the first
// time bring the folders of a portal without anything in them.
func TestEmptyFoldersAreNoLeftovers(t *testing.T) {
	dir, disk := t.TempDir(), t.TempDir()
	for _, folder := range []string{"archive", "views", "views-summer/wal", "archive/lost+found"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(disk, filepath.Join(dir, "views-winter")); err != nil {
		t.Fatal(err)
	}
	c := &config{DataDir: dir}
	if err := c.expectDirectory(makesAll); err != nil {
		t.Errorf("beside empty folders: %v, want a log made", err)
	}
	if err := os.WriteFile(filepath.Join(disk, "CURRENT"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.expectDirectory(makesAll); err == nil || !strings.Contains(err.Error(), "holds views-winter and no log") {
		t.Errorf("beside a set on another disk: %v, want that one named", err)
	}
}

// TestServersNeedAnArchiveToFold: with the log on Kafka and the views in HBase a
// mistyped data directory would have no archive.
func TestServersNeedAnArchiveToFold(t *testing.T) {
	parent := t.TempDir()
	aPortal(t, filepath.Join(parent, "portal"))
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"batch", "run"}, {"rebuild", "--views=summer", "--elastic-urls=http://127.0.0.1:1"}} {
		for _, dir := range []string{filepath.Join(parent, "potal"), empty} {
			args := append(slices.Clone(command), "--data-dir="+dir, "--kafka-brokers=127.0.0.1:1", "--hbase-quorum=127.0.0.1:1")
			_, _, err := call(nil, args...)
			refusedWith(t, err, dir, "archive", filepath.Join(parent, "portal"))
		}
	}
	if got := entries(parent); !slices.Equal(got, []string{"empty", "portal"}) || len(entries(empty)) > 0 {
		t.Errorf("afterwards there are %v, and %v in one, want nothing new", got, entries(empty))
	}
}

// TestATopicThatIsNotThereIsNotMade: of what only wants to do one thing and end.
func TestATopicThatIsNotThereIsNotMade(t *testing.T) {
	broker, err := embedded.OpenBroker(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	dir := t.TempDir()
	aPortal(t, dir, "views")
	there := []string{"--data-dir=" + dir, "--kafka-brokers=" + broker.Addr(), "--partitions=2"}
	coast := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Prefix: "coast"}
	if err := kafka.EnsureTopics(t.Context(), coast, schemas.Topics(2), 1); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"batch", "run"}, {"batch", "history"}, {"batch", "rollback", "1"}, {"erase", "--device=phone"}, {"rebuild", "--views=summer"},
	} {
		_, _, err := call(nil, append(append(args, there...), "--kafka-prefix=cost")...)
		refusedWith(t, err, "cost.events", "coast.events", "kafka-prefix")
	}
	if got := entries(dir); slices.Contains(got, "views-summer") {
		t.Errorf("afterwards there are %v, want no new set", got)
	}
}

// TestSendersNeedACollector: what sends says at once that nobody is there, and sends
// and makes nothing.
func TestSendersNeedACollector(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome") }))
	t.Cleanup(website.Close)
	missing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(missing.Close)
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "unknown write key", http.StatusUnauthorized)
	}))
	t.Cleanup(stranger.Close)
	dir := t.TempDir()
	truth := filepath.Join(dir, "truth.json")
	for _, url := range []string{"http://" + nobody.Addr().String(), website.URL, missing.URL, stranger.URL, "http://nobody.invalid:8080"} {
		for _, args := range [][]string{
			{"simulate", "--simulate-visitors=1", "--simulate-days=1", "--simulate-truth=" + truth},
			{"replay", "--replay-format=hotel-bookings", "main.go"},
		} {
			_, _, err := call(nil, append(args, "--collector-url="+url)...)
			refusedWith(t, err, url, "collector-url", "fernweh up")
		}
	}
	if got := entries(dir); len(got) > 0 {
		t.Errorf("afterwards there is %v, want nothing made", got)
	}
}

// TestAllFilesOfAReplayAreThereBeforeAnyIsSent: the second is missing.
func TestAllFilesOfAReplayAreThereBeforeAnyIsSent(t *testing.T) {
	var asked atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, `{"events":[]}`)
	}))
	t.Cleanup(collector.Close)
	dir := t.TempDir()
	there, missing := filepath.Join(dir, "resort.csv"), filepath.Join(dir, "resrt.csv")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := call(nil, "replay", "--replay-format=hotel-bookings", "--collector-url="+collector.URL, there, missing)
	refusedWith(t, err, missing, "did you mean "+there+"?")
	_, _, err = call(nil, "replay", "--replay-format=hotel-bookings", "--collector-url="+collector.URL, there, dir)
	refusedWith(t, err, dir, "is a directory")
	if n := asked.Load(); n > 0 {
		t.Errorf("the collector was asked %d times, want not at all", n)
	}
}

// TestAnotherProcessIsNotAskedForAnotherSet: the process that has the directory
// works on one set of views.
func TestAnotherProcessIsNotAskedForAnotherSet(t *testing.T) {
	locked := fmt.Errorf("lock directory data: %w: process 7, %s127.0.0.1:8081%s", embedded.ErrLocked, notePrefix, viewsNote(&config{Views: "summer"}))
	a := noteOf.FindStringSubmatch(locked.Error())
	if a == nil || a[1] != "127.0.0.1:8081" {
		t.Errorf("the API is found as %v in %q", a, locked)
	}
	for _, test := range []struct {
		args    []string
		refused bool
	}{{nil, false}, {[]string{"--views=summer"}, false}, {[]string{"--views=winter"}, true}} {
		cmd, err := findCommand("batch")
		if err != nil {
			t.Fatal(err)
		}
		c, err := load(cmd, append([]string{"run"}, test.args...), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = c.expectAsked(locked)
		if (err != nil) != test.refused {
			t.Errorf("batch run %v: %v, want it refused: %t", test.args, err, test.refused)
		}
		if test.refused && (!strings.Contains(err.Error(), `"summer"`) || !errors.Is(err, embedded.ErrLocked)) {
			t.Errorf("batch run %v: %v, want both sets named", test.args, err)
		}
	}
}
