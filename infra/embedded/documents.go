package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	index "github.com/blevesearch/bleve_index_api"

	"fernweh/schemas"
)

// Documents holds documents and what they are found by in one directory: an
// index of Bleve's a folder, and a file of aliases. All of it may be called from any
// number of goroutines. A write is fsynced before it returns; one that ends in
// an error may have been written or not, and may be repeated.
//
// Writers of one index come one after the other, each with an fsync: write a few
// hundred documents at a time. A search looks at every document that meets its
// terms and ranges, which is quick for a hundred thousand of them.
type Documents struct {
	dir      string
	analysts *index.AnalysisQueue

	// set is held shared by every call, and alone by those that change which
	// indices and aliases there are: so a search sees them all at one moment.
	set     sync.RWMutex
	closed  bool                // guarded by set
	shelves map[string]*shelf   // guarded by set: the indices by name
	aliases map[string][]string // guarded by set: what is in the file

	desk desk
}

// aliasFile is where aliases lie, beside the folders of indices.
const aliasFile = "aliases.json"

// dropped is put behind the name of a folder that is being removed: no index's
// name has it.
const dropped = "~dropped"

// OpenDocuments opens the documents that lie in a directory, which is made if it
// is not there, and clears away what an earlier process had not finished.
func OpenDocuments(dir string) (*Documents, error) {
	d := &Documents{dir: dir, shelves: make(map[string]*shelf), aliases: make(map[string][]string)}
	if err := d.load(); err != nil {
		return nil, fmt.Errorf("open documents %s: %w", dir, err)
	}
	const analysts = 2 // goroutines that take documents apart, for all indices
	d.analysts = index.NewAnalysisQueue(analysts)
	return d, nil
}

// load finds out what is there. Indices are opened when they are used.
func (d *Documents) load() error {
	if err := makeDirs(d.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(d.dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), dropped), strings.HasPrefix(e.Name(), tempPrefix):
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		case e.IsDir() && schemas.CheckIndex(e.Name()) == nil:
			d.shelves[e.Name()] = &shelf{path: at}
		}
	}
	b, err := os.ReadFile(filepath.Join(d.dir, aliasFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &d.aliases); err != nil {
		return fmt.Errorf("read %s: %w", aliasFile, err)
	}
	return nil
}

// Close waits for the calls under way and closes every index.
func (d *Documents) Close() error {
	d.set.Lock()
	defer d.set.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	var errs []error
	for _, s := range d.shelves {
		errs = append(errs, d.desk.close(s))
	}
	d.analysts.Close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close documents %s: %w", d.dir, err)
	}
	return nil
}

// enter begins a call that holds the set shared; each has its d.set.RUnlock.
func (d *Documents) enter(ctx context.Context) error {
	d.set.RLock()
	if err := d.ready(ctx); err != nil {
		d.set.RUnlock()
		return err
	}
	return nil
}

// enterAlone begins a call that holds the set alone; each has its d.set.Unlock.
func (d *Documents) enterAlone(ctx context.Context) error {
	d.set.Lock()
	if err := d.ready(ctx); err != nil {
		d.set.Unlock()
		return err
	}
	return nil
}

// ready says whether a call may go on. The caller holds the set.
func (d *Documents) ready(ctx context.Context) error {
	if d.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Refresh has nothing to do: what is written is found at once.
func (d *Documents) Refresh(ctx context.Context, indices ...string) error {
	if err := d.enter(ctx); err != nil {
		return fmt.Errorf("refresh %s: %w", strings.Join(indices, ", "), err)
	}
	d.set.RUnlock()
	return nil
}

// Alias makes a name mean exactly some indices, from one moment to the next. One
// that is not there is made, empty.
func (d *Documents) Alias(ctx context.Context, name string, indices ...string) error {
	if err := d.alias(ctx, name, indices); err != nil {
		return fmt.Errorf("set alias %s to %s: %w", name, strings.Join(indices, ", "), err)
	}
	return nil
}

func (d *Documents) alias(ctx context.Context, name string, indices []string) error {
	if err := schemas.CheckAlias(name, indices...); err != nil {
		return err
	}
	if err := d.enterAlone(ctx); err != nil {
		return err
	}
	defer d.set.Unlock()
	for _, index := range indices {
		if err := d.make(index); err != nil {
			return err
		}
	}
	aliases := maps.Clone(d.aliases)
	aliases[name] = slices.Compact(slices.Sorted(slices.Values(indices)))
	return d.saveAliases(aliases)
}

// saveAliases replaces the file of aliases. The caller holds the set alone.
func (d *Documents) saveAliases(aliases map[string][]string) error {
	b, err := json.Marshal(aliases)
	if err != nil {
		return err
	}
	temp := filepath.Join(d.dir, tempPrefix+aliasFile)
	if err := writeFile(temp, b); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(d.dir, aliasFile)); err != nil {
		return err
	}
	d.aliases = aliases
	return syncDir(d.dir)
}

// writeFile writes a file and waits until it is on the disk.
func writeFile(at string, b []byte) error {
	f, err := os.Create(at)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// make makes an index, unless it is there. The caller holds the set alone.
func (d *Documents) make(name string) error {
	if d.shelves[name] != nil {
		return nil
	}
	s := &shelf{path: filepath.Join(d.dir, name)}
	if err := makeDirs(s.path); err != nil {
		return err
	}
	d.shelves[name] = s
	return nil
}

// means are the indices that a name stands for. The caller holds the set.
func (d *Documents) means(name string) []string {
	if name == schemas.KindDecisions {
		return d.beginning(schemas.KindDecisions + "-")
	}
	if d.shelves[name] != nil {
		return []string{name}
	}
	return d.aliases[name]
}

// beginning are the indices whose names begin with a prefix, ascending. The
// caller holds the set.
func (d *Documents) beginning(prefix string) []string {
	var names []string
	for name := range d.shelves {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Indices lists the indices whose names begin with prefix, ascending.
func (d *Documents) Indices(ctx context.Context, prefix string) ([]string, error) {
	if err := d.enter(ctx); err != nil {
		return nil, fmt.Errorf("list indices %q: %w", prefix, err)
	}
	defer d.set.RUnlock()
	return d.beginning(prefix), nil
}

// Drop removes indices with all that is in them. One that is not there is no error.
func (d *Documents) Drop(ctx context.Context, indices ...string) error {
	if err := d.drop(ctx, indices); err != nil {
		return fmt.Errorf("drop %s: %w", strings.Join(indices, ", "), err)
	}
	return nil
}

func (d *Documents) drop(ctx context.Context, indices []string) error {
	for _, index := range indices {
		if err := schemas.CheckIndex(index); err != nil {
			return err
		}
	}
	if err := d.enterAlone(ctx); err != nil {
		return err
	}
	defer d.set.Unlock()
	if err := d.unalias(indices); err != nil {
		return err
	}
	for _, index := range indices {
		if s := d.shelves[index]; s != nil {
			if err := d.discard(index, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// unalias takes indices out of every alias.
func (d *Documents) unalias(indices []string) error {
	aliases := make(map[string][]string, len(d.aliases))
	changed := false
	for name, means := range d.aliases {
		kept := slices.DeleteFunc(slices.Clone(means), func(index string) bool { return slices.Contains(indices, index) })
		changed = changed || len(kept) < len(means)
		aliases[name] = kept
	}
	if !changed {
		return nil
	}
	return d.saveAliases(aliases)
}

// discard removes the folder of an index: first its name, so that a process
// that is killed within leaves either all of it or nothing to be found.
func (d *Documents) discard(name string, s *shelf) error {
	if err := d.desk.close(s); err != nil {
		return err
	}
	gone := s.path + dropped
	if err := os.Rename(s.path, gone); err != nil {
		return err
	}
	delete(d.shelves, name)
	return errors.Join(syncDir(d.dir), os.RemoveAll(gone))
}
