package main_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kept is what docs/operations.md says must be in a backup of the embedded shape;
// everything else in the data directory can be made again from it.
var kept = []string{"log", "archive", "spool"}

// restore copies parts of a data directory into another one.
func restore(t *testing.T, from, to string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err := os.CopyFS(filepath.Join(to, part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatalf("restore %s: %v", part, err)
		}
	}
}

// backedUp is a portal with a history of each kind (folded by batch, known to
// speed alone, in the archive and not yet there) that was stopped, and the calls
// that it took.
func backedUp(t *testing.T) (*portal, *calls) {
	t.Helper()
	p := newPortal(t, "--archive-rows", "150")
	p.up()
	c := newCalls(seed(t))
	c.post(p, 1500)
	c.probe(p)
	p.batch()
	c.post(p, 500)
	c.probe(p)
	compare(t, "before the backup, the answers", c.answers(p), c.count(c.all()))
	p.stop()
	return p, c
}

// elsewhere is the same portal on a directory of its own: another machine.
func (p *portal) elsewhere() *portal {
	p.Helper()
	q := &portal{T: p.T, dir: filepath.Join(p.T.TempDir(), "restored"), doors: [2]string{door(p.T), door(p.T)}, key: p.key}
	for _, arg := range p.args {
		switch arg {
		case p.dir:
			arg = q.dir
		case p.doors[0]:
			arg = q.doors[0]
		case p.doors[1]:
			arg = q.doors[1]
		}
		q.args = append(q.args, arg)
	}
	p.Cleanup(func() {
		q.kill()
		if q.Failed() && q.said != nil {
			q.Logf("the restored process said:\n%s", tailOf(q.said.String()))
		}
	})
	return q
}

// goesOn expects the answers of everything that was sent, then more of them, and
// after a batch run the same again.
func (c *calls) goesOn(p *portal, how string) {
	p.Helper()
	c.probe(p)
	compare(p.T, how+", the answers", c.answers(p), c.count(c.all()))
	c.post(p, 300)
	c.probe(p)
	compare(p.T, how+", with events since", c.answers(p), c.count(c.all()))
	run := p.batch()
	compare(p.T, how+", after a batch run", c.answers(p), c.count(c.all()))
	p.stop()
	for id := range c.archived(p, run).ids {
		if _, sent := c.deeds[id]; !sent {
			p.Errorf("%s, the archive has %s, which nobody sent", how, id)
		}
	}
}

// TestBackupAndRestore: log, archive and spool are enough. Views and documents are
// left out of the backup and come back by themselves.
func TestBackupAndRestore(t *testing.T) {
	p, c := backedUp(t)
	q := p.elsewhere()
	restore(t, p.dir, q.dir, kept...)
	q.up()
	c.goesOn(q, "restored from "+strings.Join(kept, ", "))
}

// TestBackupAndRebuild: a set of views is made from the archive and the log, before
// anything runs on them.
func TestBackupAndRebuild(t *testing.T) {
	p, c := backedUp(t)
	q := p.elsewhere()
	restore(t, p.dir, q.dir, "log", "archive")
	q.run("rebuild", "--views", "restored")
	q.args = append(q.args, "--views", "restored")
	q.up()
	c.goesOn(q, "rebuilt")
}

// TestBackupsThatDoNotBelongTogether: what a portal must never do with them is
// answer. Each says what is wrong.
func TestBackupsThatDoNotBelongTogether(t *testing.T) {
	p, c := backedUp(t)
	older := filepath.Join(t.TempDir(), "older")
	restore(t, p.dir, older, "log")
	p.up()
	c.post(p, 500)
	c.probe(p)
	p.batch()
	p.stop()
	for _, bad := range []struct {
		name string
		make func(dir string)
		says string
	}{
		{"a log older than the archive", func(dir string) {
			restore(t, older, dir, "log")
			restore(t, p.dir, dir, "archive")
		}, "offset out of range of the log"},
		{"a log older than the views", func(dir string) {
			restore(t, older, dir, "log")
			restore(t, p.dir, dir, "views")
		}, "offset out of range of the log"},
		{"an archive without its log", func(dir string) { restore(t, p.dir, dir, "archive") }, "do not belong together"},
		{"views without their log", func(dir string) { restore(t, p.dir, dir, "views") }, "do not belong together"},
	} {
		q := p.elsewhere()
		bad.make(q.dir)
		q.start()
		<-q.gone
		if said := q.said.String(); q.process.ProcessState.Success() || !strings.Contains(said, bad.says) {
			t.Errorf("%s: %v, %s; want it refused with %q", bad.name, q.process.ProcessState, tailOf(said), bad.says)
		}
	}

	q := p.elsewhere()
	restore(t, p.dir, q.dir, kept...)
	lost := q.loseAFile()
	q.up()
	run, err := q.begin()
	if err != nil {
		t.Fatal(err)
	}
	if run = q.finished(run.Number); run.State != "failed" || !strings.Contains(run.Error, lost) {
		t.Errorf("a run on an archive without a file: %s: %s; want it failed with %q", run.State, run.Error, lost)
	}
}

// outOfRange is how the archiver says where the log of a partition ends.
var outOfRange = regexp.MustCompile(`partition (\d+) holds the offsets from 0 to below (\d+), not`)

// TestALogOlderThanItsArchive goes the way of docs/operations.md: what lies beyond
// the log's end leaves the archive, and views are made of the rest.
func TestALogOlderThanItsArchive(t *testing.T) {
	p, c := backedUp(t)
	q := p.elsewhere()
	restore(t, p.dir, q.dir, "log")
	sent := c.all()
	p.up()
	c.post(p, 500)
	c.probe(p)
	p.batch()
	p.stop()
	restore(t, p.dir, q.dir, "archive")
	// The log that is restored does not know the others.
	maps.DeleteFunc(c.deeds, func(id string, _ deed) bool { return !sent[id] })
	c.ids = slices.DeleteFunc(c.ids, func(id string) bool { return !sent[id] })

	var removed []string
	for end := q.archiveEnds(); end != nil; end = q.archiveEnds() {
		removed = append(removed, q.cutOff(end)...)
	}
	if len(removed) == 0 {
		t.Error("the archive is younger than the log, and no file had to go")
	}
	q.forgetRuns(removed)
	q.run("rebuild", "--views", "restored")
	q.args = append(q.args, "--views", "restored")
	q.up()
	compare(t, "made of what the log still has, the answers", c.answers(q), c.count(sent))
	c.goesOn(q, "cut to the log's end")
}

// run runs a command on the portal's directory to its end.
func (p *portal) run(command string, args ...string) {
	p.Helper()
	c := fernweh(p.T, append([]string{command, "--data-dir", p.dir, "--partitions", fmt.Sprint(partitions)}, args...)...)
	if out, err := c.CombinedOutput(); err != nil {
		p.Fatalf("fernweh %s: %v\n%s", command, err, tailOf(string(out)))
	}
}

// archiveEnds starts the archiver. It gives the partition that it stops at and
// the end of the log there, or nothing once every partition is read.
func (p *portal) archiveEnds() []string {
	p.Helper()
	admin := door(p.T)
	a := &portal{T: p.T, args: []string{"archive", "--data-dir", p.dir, "--partitions", fmt.Sprint(partitions), "--admin-addr", admin}}
	a.start()
	defer a.kill()
	var end []string
	p.until("the archiver reads, or stops", 20*time.Second, func() error {
		select {
		case <-a.gone:
			if end = outOfRange.FindStringSubmatch(a.said.String()); end == nil {
				p.Fatalf("the archiver ended: %s", tailOf(a.said.String()))
			}
			return nil
		default:
		}
		told, _, err := send("GET", "http://"+admin+"/metrics", nil, http.Header{})
		if n := strings.Count(string(told), `reader="fernweh-archive"} `); err == nil && n < partitions+1 {
			err = fmt.Errorf("it has opened %d of %d partitions", n, partitions)
		}
		return err
	})
	return end
}

// cutOff removes from a partition's chain the files from the log's end on, or,
// where there are none, the last one, which reaches across it.
func (p *portal) cutOff(end []string) (removed []string) {
	p.Helper()
	number, err := strconv.Atoi(end[1])
	offset, bad := strconv.ParseInt(end[2], 10, 64)
	if err = errors.Join(err, bad); err != nil {
		p.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, fmt.Sprintf("archive/events/p%04d/*/*.parquet", number)))
	if err != nil || len(files) == 0 {
		p.Fatalf("partition %d has no files: %v", number, err)
	}
	first := fmt.Sprintf("%019d.parquet", offset)
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	from := slices.IndexFunc(files, func(f string) bool { return filepath.Base(f) >= first })
	if from < 0 {
		from = len(files) - 1
	}
	for _, f := range files[from:] {
		if err := os.Remove(f); err != nil {
			p.Fatal(err)
		}
	}
	return files[from:]
}

// forgetRuns removes the manifests that name one of the files.
func (p *portal) forgetRuns(files []string) {
	p.Helper()
	manifests, err := filepath.Glob(filepath.Join(p.dir, "archive/manifests/*"))
	if err != nil {
		p.Fatal(err)
	}
	for _, m := range manifests {
		text, err := os.ReadFile(m)
		if err != nil {
			p.Fatal(err)
		}
		names := func(f string) bool {
			name, err := filepath.Rel(filepath.Join(p.dir, "archive"), f)
			return err == nil && strings.Contains(string(text), name)
		}
		if !slices.ContainsFunc(files, names) {
			continue
		}
		if err := os.Remove(m); err != nil {
			p.Fatal(err)
		}
	}
}

// loseAFile takes a file out of the middle of one of the archive's chains, and
// says what a run must say of it: where the chain should have gone on.
func (p *portal) loseAFile() string {
	p.Helper()
	files := map[string][]string{} // by partition, in order
	root := filepath.Join(p.dir, "archive", "events")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".parquet" {
			partition, _, _ := strings.Cut(strings.TrimPrefix(path, root+"/"), "/")
			files[partition] = append(files[partition], path)
		}
		return err
	})
	for partition, chain := range files {
		if len(chain) < 3 {
			continue
		}
		slices.Sort(chain)
		if err = errors.Join(err, os.Remove(chain[1])); err != nil {
			break
		}
		first := strings.TrimLeft(strings.TrimSuffix(filepath.Base(chain[1]), ".parquet"), "0")
		n := strings.TrimLeft(strings.TrimPrefix(partition, "p"), "0")
		return fmt.Sprintf("the chain goes on with partition %s at %s", cmp.Or(n, "0"), first)
	}
	p.Fatalf("no chain of three files in %s: %v", root, err)
	return ""
}
