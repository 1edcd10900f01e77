package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"fernweh/schemas"
)

// A Head says which files have taken the place of others. Each head is an object
// of its own, created only if absent and never changed, and the one with the
// greatest number counts: so to write the next one is a compare-and-set, on any
// store. The zero value is an archive in which nothing was rewritten.
type Head struct {
	Number     int64        `json:"number"`
	Run        int64        `json:"run"`        // that has written it
	Partitions [][]FileSpan `json:"partitions"` // by partition: the files that supersede what archivers wrote, by offset
	Gone       []Gone       `json:"gone"`       // files that no longer count, and still lie there
}

// Gone is a file that was superseded.
type Gone struct {
	Name string `json:"name"`
	At   int64  `json:"at"` // when, UTC microseconds
}

const headRoot = "head/"

func headName(number int64) string { return fmt.Sprintf("%s%019d.json", headRoot, number) }

// ReadHead reads the head that counts.
func ReadHead(ctx context.Context, files Files) (h Head, err error) {
	names, err := files.List(ctx, headRoot)
	if err != nil {
		return h, fmt.Errorf("list heads of the archive: %w", err)
	}
	if len(names) == 0 {
		return h, nil
	}
	name := names[len(names)-1]
	err = files.Open(ctx, name, func(r io.ReaderAt, size int64) error {
		return json.NewDecoder(io.NewSectionReader(r, 0, size)).Decode(&h)
	})
	if err == nil && headName(h.Number) != name {
		err = fmt.Errorf("it says that it is number %d", h.Number)
	}
	if err != nil {
		return Head{}, fmt.Errorf("read %s: %w", name, err)
	}
	return h, nil
}

// set writes the head behind h. It is ErrOvertaken if another has: then nothing
// has changed, and who wanted it begins again from what is there.
func (h Head) set(ctx context.Context, files Files, next Head) (Head, error) {
	next.Number = h.Number + 1
	name := headName(next.Number)
	created, err := files.Create(ctx, name, func(w io.Writer) error { return json.NewEncoder(w).Encode(next) })
	if err != nil {
		return h, fmt.Errorf("write %s: %w", name, err)
	}
	if !created {
		return h, fmt.Errorf("write %s: %w", name, ErrOvertaken)
	}
	return next, nil
}

// of are the superseding files of a partition.
func (h Head) of(partition int32) []FileSpan {
	if int(partition) >= len(h.Partitions) {
		return nil
	}
	return h.Partitions[partition]
}

// resolve gives the files of a partition's chain in order: those that supersede,
// and between them what archivers have written. What lies there beside is left
// out: it was superseded, or is a stray, which a run has written that died before
// its switch.
func (h Head) resolve(partition int32, names []string) (chain, strays []string) {
	over := h.of(partition)
	for _, f := range over {
		chain = append(chain, f.Name)
	}
	for _, name := range names {
		if slices.Contains(chain[:len(over)], name) {
			continue
		}
		first, run, _ := parseName(name) // list has looked at it
		i, found := slices.BinarySearchFunc(over, first, func(f FileSpan, at int64) int { return cmp.Compare(f.First, at) })
		covered := found || i > 0 && first < over[i-1].Next
		switch {
		case run > 0:
			strays = append(strays, name)
		case !covered:
			chain = append(chain, name)
		}
	}
	sortByOffset(chain)
	return chain, strays
}

// parseName takes the name of a file apart: its first offset, and the run that has
// rewritten it; 0: none, an archiver wrote it.
func parseName(name string) (first, run int64, err error) {
	base, ok := strings.CutSuffix(path.Base(name), ".parquet")
	offset, version, rewritten := strings.Cut(base, "-r")
	first, err = strconv.ParseInt(offset, 10, 64)
	if err == nil && rewritten {
		run, err = strconv.ParseInt(version, 10, 64)
		ok = ok && run > 0
	}
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("archive: %s is not named by its first offset", name)
	}
	return first, run, nil
}

// rewrittenName is the name under which a run writes a file anew.
func rewrittenName(name string, run int64) (string, error) {
	first, _, err := parseName(name)
	return fmt.Sprintf("%s/%019d-r%019d.parquet", path.Dir(name), first, run), err
}

// Same says whether two manifests have the same content as far as both go: the
// same offsets in every partition up to their cuts, with the same rows of them
// erased. Which files it lies in makes no difference.
func (m *Manifest) Same(o *Manifest) bool {
	return slices.Equal(m.content(), o.content())
}

// content is what a manifest holds of one partition. Rows are erased and never come
// back, so that as many erased rows below the same offset are the same ones.
type content struct{ next, cut, stubs int64 }

func (m *Manifest) content() []content {
	all := make([]content, len(m.Partitions))
	for p, files := range m.Partitions {
		for _, f := range files {
			all[p].next, all[p].cut = f.Next, f.Cut
			all[p].stubs += f.Stubs
		}
	}
	return all
}

// Below is the part of a manifest that an earlier run's had: up to that run's cuts.
func (m *Manifest) Below(run int64) *Manifest {
	below := &Manifest{Run: run}
	for _, files := range m.Partitions {
		end := slices.IndexFunc(files, func(f FileSpan) bool { return f.Cut == run })
		below.Partitions = append(below.Partitions, files[:end+1])
	}
	return below
}

// ErrGone says that a file of a manifest is no longer there: it was superseded for
// longer than a run may take. The run must begin again with the files of today.
var ErrGone = errors.New("the file was superseded, and is no longer kept")

// A Store is the archive's files for who may remove what was superseded. Remove of
// one that is not there is no error. Replace puts other content in the place of a
// file, at once: a reader has the one or the other.
type Store interface {
	Files
	Remove(ctx context.Context, name string) error
	Replace(ctx context.Context, name string, write func(io.Writer) error) error
}

// A Change makes of a file another one that says the same, but for what was erased;
// nil: it stays as it is. It writes with write, once.
type Change func(ctx context.Context, f FileSpan, write func(schemas.Span, func(io.Writer) error) error) error

// Rewrite gives change every file of a manifest and switches, with one
// compare-and-set of the head, from those that it wrote anew to what it wrote. Until
// then nobody sees them; after an error nothing has changed. Only a run calls it,
// under its lease; now is the time in UTC microseconds.
func Rewrite(ctx context.Context, files Files, m *Manifest, now int64, change Change) (h Head, err error) {
	if h, err = ReadHead(ctx, files); err != nil {
		return h, err
	}
	next := Head{Run: m.Run, Partitions: make([][]FileSpan, len(m.Partitions)), Gone: slices.Clone(h.Gone)}
	for p := range m.Partitions {
		next.Partitions[p] = slices.Clone(h.of(int32(p)))
	}
	changed := false
	for p, spans := range m.Partitions {
		for _, f := range spans {
			wrote, err := rewrite(ctx, files, f, m.Run, change)
			if err != nil {
				return h, fmt.Errorf("rewrite %s: %w", f.Name, err)
			}
			if wrote.Name != "" {
				next.supersede(p, f, wrote, now)
				changed = true
			}
		}
	}
	if !changed {
		return h, nil
	}
	return h.set(ctx, files, next)
}

// rewrite lets one file be written anew, if change wants it.
func rewrite(ctx context.Context, files Files, f FileSpan, run int64, change Change) (wrote FileSpan, err error) {
	name, err := rewrittenName(f.Name, run)
	if err != nil {
		return wrote, err
	}
	err = change(ctx, f, func(s schemas.Span, content func(io.Writer) error) error {
		if err := s.Check(); err != nil {
			return err
		}
		if s.Partition != f.Partition || s.First != f.First || s.Next != f.Next || s.Epoch != f.Epoch || s.Cut != f.Cut {
			return fmt.Errorf("it would hold %d:[%d,%d) in epoch %d with cut %d, and held %d:[%d,%d) in epoch %d with cut %d",
				s.Partition, s.First, s.Next, s.Epoch, s.Cut, f.Partition, f.First, f.Next, f.Epoch, f.Cut)
		}
		created, err := files.Create(ctx, name, content)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if !created { // only another process that goes by the same number can have been here
			return fmt.Errorf("write %s: %w", name, ErrOvertaken)
		}
		wrote = FileSpan{name, s}
		return nil
	})
	return wrote, err
}

// supersede puts a file in the place of another.
func (h *Head) supersede(partition int, old, wrote FileSpan, now int64) {
	over := slices.DeleteFunc(h.Partitions[partition], func(f FileSpan) bool { return f.Name == old.Name })
	i, _ := slices.BinarySearchFunc(over, wrote.First, func(f FileSpan, at int64) int { return cmp.Compare(f.First, at) })
	h.Partitions[partition] = slices.Insert(over, i, wrote)
	h.Gone = append(h.Gone, Gone{old.Name, now})
}

// Sweep removes what was superseded before a time, in UTC microseconds, and puts
// down for a later sweep what a run has written that died before its switch. What
// the head names stays. Only a run calls it, under its lease.
//
// The name of a file that an archiver has written stays taken, by an empty file: a
// frozen archiver that wakes late would else make it again, end it elsewhere, and
// lead a second chain through the gaps of the first.
func Sweep(ctx context.Context, store Store, partitions int32, run, before, now int64) (removed int64, err error) {
	h, err := ReadHead(ctx, store)
	if err != nil {
		return 0, err
	}
	next := h
	next.Run, next.Gone = run, nil
	for _, g := range h.Gone {
		if g.At >= before {
			next.Gone = append(next.Gone, g)
			continue
		}
		if err := remove(ctx, store, g.Name); err != nil {
			return removed, err
		}
		removed++
	}
	for p := range partitions {
		_, strays, err := list(ctx, store, h, p)
		if err != nil {
			return removed, err
		}
		for _, name := range strays {
			if !slices.ContainsFunc(h.Gone, func(g Gone) bool { return g.Name == name }) {
				next.Gone = append(next.Gone, Gone{name, now})
			}
		}
	}
	if slices.Equal(next.Gone, h.Gone) {
		return removed, nil
	}
	_, err = h.set(ctx, store, next)
	return removed, err
}

func remove(ctx context.Context, store Store, name string) error {
	_, run, err := parseName(name)
	switch {
	case err != nil:
	case run > 0:
		err = store.Remove(ctx, name)
	default:
		err = store.Replace(ctx, name, func(io.Writer) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}
