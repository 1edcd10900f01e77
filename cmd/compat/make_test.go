package compat_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	release = flag.String("release", "", "make the folder of this `version` instead of testing")
	binary  = flag.String("binary", "", "the `program` of that version; empty: today's")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "fernweh-compat-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// TestMakeRelease makes the folder of a release with the release's own program: a
// simulated portal, a batch run, more of the portal, a kill, and events that only
// a spool has. Then the release itself, started again on a copy, says what is right.
// Without -release it makes one in a temporary directory, and so holds that it can
// be made.
func TestMakeRelease(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "vtoday")
	if *release != "" {
		folder = filepath.Join("testdata", *release)
	}
	path := *binary
	if path == "" {
		path = today(t)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	g := golden{Made: time.Now().UTC(), Args: []string{"--partitions", fmt.Sprint(partitions), "--batch-schedule", ""}, Answers: map[string]json.RawMessage{}}
	p := &portal{T: t, program: path, dir: filepath.Join(t.TempDir(), "data"), args: g.Args}
	g.Release = strings.TrimSpace(strings.SplitN(p.out("version"), "\n", 2)[0])
	if *release != "" && !strings.HasSuffix(g.Release, " "+*release) {
		t.Fatalf("the program says that it is %q, not %s: build it with that version", g.Release, *release)
	}

	devices, customers, accepted := p.live()
	data := filepath.Join(folder, "data.tar.gz")
	if err := pack(p.dir, data); err != nil {
		t.Fatal(err)
	}
	p.up()
	p.settle(accepted + inSpool + cuts(1))
	now := time.Now().UTC().Truncate(time.Hour)
	for _, path := range questions(now.AddDate(0, 0, -8), now.AddDate(0, 0, 1), devices, customers) {
		if answer, known := p.find(path); known {
			g.Answers[path] = answer
		}
	}
	if g.Rows = p.batch(); g.Rows != accepted+inSpool {
		t.Errorf("the batch run folded %d rows, want %d and %d", g.Rows, accepted, inSpool)
	}
	p.stop()
	if err := writeGolden(folder, g); err != nil {
		t.Fatal(err)
	}
	if len(g.Answers) < 20 || g.Rows < 300 {
		t.Errorf("%d answers over %d rows: that shows too little", len(g.Answers), g.Rows)
	}
	if info, err := os.Stat(data); err != nil || info.Size() > 300_000 {
		t.Errorf("%s has %d bytes (%v), and stays in the repository for ever", data, info.Size(), err)
	}
}

// writeGolden writes what readGolden reads.
func writeGolden(folder string, g golden) error {
	f, err := os.Create(filepath.Join(folder, "answers.json.gz"))
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(f)
	out := json.NewEncoder(zip)
	out.SetIndent("", " ")
	return errors.Join(out.Encode(g), zip.Close(), f.Close())
}

// live is a short life of a portal, to its violent end. What it leaves is the
// directory; the events that came last lie in the spool alone.
func (p *portal) live() (devices, customers []string, accepted int64) {
	p.Helper()
	broker := door(p.T)
	p.up("--broker-port", strings.Split(broker, ":")[1])
	for _, seed := range []string{"7", "8"} {
		truth := filepath.Join(p.TempDir(), "truth.csv")
		said := p.out("simulate", "--collector-url", "http://"+p.doors[0], "--simulate-visitors", "20", "--simulate-days", "6",
			"--simulate-seed", seed, "--simulate-truth", truth)
		var n int64
		if _, err := fmt.Sscanf(said, "%d accepted, 0 spooled, 0 rejected", &n); err != nil {
			p.Fatalf("simulate said %q: %v", said, err)
		}
		accepted += n
		d, c := whoIs(p.T, truth)
		devices, customers = append(devices, d...), append(customers, c...)
		if seed == "7" {
			p.batch()
		}
	}
	p.settle(accepted + cuts(1))

	second := &portal{T: p.T, program: p.program, dir: filepath.Join(p.TempDir(), "second")}
	second.doors[0] = door(p.T)
	second.start("ingest", "--data-dir", second.dir, "--kafka-brokers", broker, "--partitions", fmt.Sprint(partitions), "--ingest-addr", second.doors[0])
	second.until("the second collector takes events", func() error {
		_, err := second.ask("GET", "http://"+second.doors[0]+"/healthz", "")
		return err
	})
	p.kill()
	if answer := second.post(waiting); spooled(answer) != inSpool {
		p.Fatalf("three events without a log: %s", answer)
	}
	second.kill()
	spool := filepath.Join(p.dir, "spool")
	if err := os.RemoveAll(spool); err != nil {
		p.Fatal(err)
	}
	if err := os.Rename(filepath.Join(second.dir, "spool"), spool); err != nil {
		p.Fatal(err)
	}
	slices.Sort(customers)
	return append(devices, "waits-1", "waits-2"), append(slices.Compact(customers), "patient"), accepted
}

// kill is kill -9.
func (p *portal) kill() {
	p.Helper()
	if err := p.end(syscall.SIGKILL); err == nil {
		p.Fatal("a killed process ended well")
	}
}

// out is what a command of the program prints.
func (p *portal) out(args ...string) string {
	p.Helper()
	b, err := p.run(args...).Output()
	if err != nil {
		p.Fatalf("fernweh %v: %v", args, err)
	}
	return string(b)
}

// find asks the API for somebody who may have come without consent, or not at all
// yet: then there is nothing to remember.
func (p *portal) find(path string) (answer []byte, known bool) {
	p.Helper()
	b, err := p.ask("GET", "http://"+p.doors[1]+path, "")
	if err != nil && !strings.Contains(err.Error(), "404 Not Found") {
		p.Fatal(err)
	}
	return b, err == nil
}

// whoIs reads the devices and customers out of the simulator's truth.
func whoIs(t *testing.T, name string) (devices, customers []string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		devices = append(devices, row[0])
		if row[1] != "" {
			customers = append(customers, row[1])
		}
	}
	return devices, customers
}
