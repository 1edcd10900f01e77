package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fernweh/infra/hbase"
	"fernweh/schemas"
)

// What a command may make where it is not there. Everything else it expects: a name
// that was mistyped is no wish for a new portal.
const (
	makesLog   need = 1 << (iota + 8) // a log of this process, and with it a portal
	makesTopic                        // the topics of a log on Kafka
	makesFiles                        // the archive
	makesViews                        // the first set of views of a portal
	makesSet                          // a set of views beside others
	comesEarly                        // may be started before what makes the first set on servers
	makesAll   = makesLog | makesTopic | makesFiles | makesViews
)

// expectDirectory refuses a data directory that lacks what the command expects
// there, before anything is made or locked in it.
func (c *config) expectDirectory(needs need) error {
	dir := c.DataDir
	if len(c.Log.Brokers) > 0 {
		inDir := needs&needFiles != 0 && needs&makesFiles == 0 || needs&needViews != 0 && len(c.HBase.Quorum) == 0 && needs&makesViews == 0
		if inDir && !isDir(dir) {
			return fmt.Errorf("there is no directory %s (data-dir)%s: it holds the archive, which fernweh archive makes%s",
				dir, portalsNear(dir), embeddedViews(c))
		}
		return nil
	}
	if isDir(filepath.Join(dir, "log")) {
		return nil
	}
	if needs&makesLog == 0 {
		return fmt.Errorf("there is no portal in %s (data-dir)%s: fernweh up makes a new one, and a portal on Kafka needs its kafka-brokers here, too",
			dir, portalsNear(dir))
	}
	if left := c.leftovers(); len(left) > 0 {
		return fmt.Errorf("%s (data-dir) holds %s and no log: they do not belong together with a new one; "+
			"put the log that they were made from back, or name its kafka-brokers", dir, strings.Join(left, ", "))
	}
	return nil
}

func embeddedViews(c *config) string {
	if len(c.HBase.Quorum) > 0 {
		return ""
	}
	return ", and the views, which fernweh speed makes"
}

// leftovers are the parts of a portal in the data directory that were made from a
// log. An empty folder is none: images and mounted volumes bring those.
func (c *config) leftovers() (left []string) {
	for _, entry := range entriesOf(c.DataDir) {
		_, ofSet := setOf(entry.Name())
		if (ofSet || entry.Name() == "archive") && !isHollow(filepath.Join(c.DataDir, entry.Name())) {
			left = append(left, entry.Name())
		}
	}
	return left
}

// isHollow says that a directory holds no file at any depth. One that cannot be read
// may hold everything, except the folder that a file system makes for its own repair.
func isHollow(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return filepath.Base(dir) == "lost+found"
	}
	return !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return !e.IsDir() || !isHollow(filepath.Join(dir, e.Name()))
	})
}

// expectViews refuses a name that no set of views in the data directory has, unless the command makes it.
func (c *config) expectViews(needs need) error {
	if needs&needViews == 0 || len(c.HBase.Quorum) > 0 || needs&makesSet != 0 {
		return nil
	}
	var sets []string
	for _, entry := range entriesOf(c.DataDir) {
		if name, ok := setOf(entry.Name()); ok {
			sets = append(sets, name)
		}
	}
	return c.expectSet(sets, "in "+c.DataDir, needs&makesViews != 0)
}

// expectSet refuses a set of views that is not among those which are there. The
// first one may be made.
func (c *config) expectSet(sets []string, where string, first bool) error {
	if slices.Contains(sets, c.Views) {
		return nil
	}
	if len(sets) == 0 && first {
		slog.Info("a new set of views is made", "views", c.Views, "where", where)
		return nil
	}
	there := "there is none, which fernweh up or fernweh speed make"
	if len(sets) > 0 {
		there = "there is " + listed(sets) + didYouMean(nearest(c.Views, sets))
	}
	return fmt.Errorf("there is no set of views %q %s (views): %s; fernweh rebuild --views %s makes this one", c.Views, where, there, c.Views)
}

// tables are where HBase has a set of views.
func (s *stack) tables(views string) hbase.Config {
	return hbase.Config{Quorum: s.config.HBase.Quorum, Root: s.config.HBase.Root, Prefix: views}
}

// expectTables refuses a name that no set of views in HBase has, unless the command
// makes it. Other portals may keep theirs in the same HBase: the first of a portal is
// the first that was made from its log.
func (s *stack) expectTables(ctx context.Context) error {
	if s.needs&makesSet != 0 {
		return nil
	}
	sets, err := hbase.Sets(ctx, s.tables(s.config.Views))
	if err != nil || slices.Contains(sets, s.config.Views) {
		return err
	}
	first := s.needs&(makesViews|comesEarly) != 0
	if first {
		if sets, err = s.ofThisLog(ctx, sets); err != nil {
			return err
		}
	}
	return s.config.expectSet(sets, "in HBase", first)
}

// ofThisLog are the sets that were made from the log of this stack.
func (s *stack) ofThisLog(ctx context.Context, sets []string) (ours []string, err error) {
	here, err := s.origin(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range sets {
		value, err := hbase.OriginOf(ctx, s.tables(name))
		if err != nil {
			return nil, err
		}
		if there, err := schemas.DecodeJSON[schemas.Origin](value); err == nil && there.Topic == here.Topic {
			ours = append(ours, name)
		}
	}
	return ours, nil
}

// setOf is the set of views that a directory holds.
func setOf(directory string) (views string, ok bool) {
	if directory == "views" {
		return defaultViews, true
	}
	return strings.CutPrefix(directory, "views-")
}

// expectFiles refuses a data directory without the archive, unless the command may
// make it. An archive of this process's own log may be gone: it is made of that again.
func (c *config) expectFiles(needs need) error {
	if needs&needFiles == 0 || len(c.Log.Brokers) == 0 || hasArchive(c.DataDir) {
		return nil
	}
	if needs&makesFiles == 0 {
		return fmt.Errorf("there is no archive in %s (data-dir)%s: fernweh archive makes one of what the log still has", c.DataDir, portalsNear(c.DataDir))
	}
	slog.Info("a new archive is made", "data-dir", c.DataDir)
	return nil
}

// portalsNear names the data directories that somebody may have meant who named dir.
func portalsNear(dir string) string {
	var near []string
	look := func(folder string) {
		for _, entry := range entriesOf(folder) {
			if at := filepath.Join(folder, entry.Name()); isPortal(at) && at != filepath.Clean(dir) && !slices.Contains(near, at) {
				near = append(near, at)
			}
		}
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if isPortal(parent) {
		near = append(near, parent)
	}
	look(dir)
	look(parent)
	look(".")
	if len(near) == 0 {
		return ""
	}
	const most = 5
	return "; there is one in " + listed(near[:min(len(near), most)]) + didYouMean(nearest(filepath.Clean(dir), near))
}

// isPortal says that a directory is the data directory of a portal: it has a log and
// was locked by who worked there, or an archive.
func isPortal(dir string) bool {
	return isDir(filepath.Join(dir, "log")) && isThere(filepath.Join(dir, "LOCK")) || hasArchive(dir)
}

func hasArchive(dir string) bool { return isThere(filepath.Join(dir, "archive", "origin.json")) }

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// expectFile refuses a file that is not there, and names those beside it that may
// have been meant.
func expectFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory, want a file", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	folder := filepath.Dir(path)
	if !isDir(folder) {
		return fmt.Errorf("there is no file %s, nor a directory %s", path, folder)
	}
	var names []string
	for _, entry := range entriesOf(folder) {
		names = append(names, filepath.Join(folder, entry.Name()))
	}
	return fmt.Errorf("there is no file %s%s", path, didYouMean(nearest(filepath.Clean(path), names)))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// entriesOf are what lies in a directory; none where it cannot be read, which
// whoever opens it will say.
func entriesOf(dir string) []os.DirEntry {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	return entries
}

// listed is a list in a sentence.
func listed(names []string) string { return strings.Join(names, ", ") }

// worksOn finds in what a lock says which set of views its process works on.
var worksOn = regexp.MustCompile(`, it works on the views (\w+)`)

// viewsNote is what a second process is told beside where to ask.
func viewsNote(c *config) string { return ", it works on the views " + c.Views }

// expectAsked refuses to ask a process for something to be done to a set of views
// that it does not work on. A set that nobody has named is whichever it has.
func (c *config) expectAsked(locked error) error {
	m := worksOn.FindStringSubmatch(locked.Error())
	if m == nil || m[1] == c.Views || !c.named("views") {
		return nil
	}
	return errors.Join(fmt.Errorf("the process that has %s works on the views %q, not on %q: leave --views out to mean those, or stop it",
		c.DataDir, m[1], c.Views), locked)
}

// named says that somebody has chosen a setting.
func (c *config) named(name string) bool {
	i := slices.IndexFunc(c.inForce, func(f choice) bool { return f.setting.name == name })
	return i >= 0 && c.inForce[i].origin != "default" && c.inForce[i].origin != "real"
}
