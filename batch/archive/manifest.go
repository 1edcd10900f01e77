package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"fernweh/schemas"
)

// A Manifest pins what a run folds: every file of every partition up to the
// run's cut. It is written once and never changed.
type Manifest struct {
	Run        int64        `json:"run"`
	Partitions [][]FileSpan `json:"partitions"` // by partition, in the order of the chain
}

// A FileSpan is a file and what its footer says of it.
type FileSpan struct {
	Name string `json:"name"`
	schemas.Span
}

// Rows is the number of events in the manifest.
func (m *Manifest) Rows() int64 {
	var n int64
	for _, files := range m.Partitions {
		for _, f := range files {
			n += f.Rows
		}
	}
	return n
}

// Cuts are the offsets of the run's cut records by partition.
func (m *Manifest) Cuts() []int64 {
	cuts := make([]int64, len(m.Partitions))
	for p, files := range m.Partitions {
		cuts[p] = files[len(files)-1].Next - 1
	}
	return cuts
}

// CutTimes are when the broker appended the run's cut records, by partition, UTC
// microseconds; 0 where the archive does not say.
func (m *Manifest) CutTimes() []int64 {
	times := make([]int64, len(m.Partitions))
	for p, files := range m.Partitions {
		times[p] = files[len(files)-1].CutAt
	}
	return times
}

var (
	// ErrNotYet says that the archive has not reached a run's cut in some partition.
	ErrNotYet = errors.New("the archive has not reached the cut")
	// ErrNoCut says that a run's cut record was overtaken by a younger one, and is
	// therefore no cut: the run cannot publish.
	ErrNoCut = errors.New("a younger cut stands before it")
)

// A Chain reads the archive of all partitions for one run, and remembers what does
// not change for it: which files have taken the place of others, the footers that it has read, and the partitions that have reached the cut it was
// asked for last. An object store bills every listing.
type Chain struct {
	files      Files
	partitions int32
	spans      map[string]schemas.Span
	run        int64                // that was asked for last
	reached    map[int32][]FileSpan // the partitions that have its cut
	head       *Head                // when it was asked first; nil: not yet
}

// NewChain reads the archive in files.
func NewChain(files Files, partitions int32) *Chain {
	return &Chain{files: files, partitions: partitions, spans: make(map[string]schemas.Span)}
}

// Manifest gives every file up to the cut of a run, in every partition, checked
// to be a chain without a hole from the log's beginning. It is ErrNotYet while
// the archive is behind, ErrNoCut if the run has no cut in some partition.
func (c *Chain) Manifest(ctx context.Context, run int64) (*Manifest, error) {
	if c.run != run || c.reached == nil {
		c.run, c.reached = run, make(map[int32][]FileSpan)
	}
	m := &Manifest{Run: run}
	for p := range c.partitions {
		files, known := c.reached[p]
		if !known {
			var err error
			if files, err = c.upTo(ctx, p, run); err != nil {
				return nil, fmt.Errorf("partition %d, cut %d: %w", p, run, err)
			}
			c.reached[p] = files
		}
		m.Partitions = append(m.Partitions, files)
	}
	return m, nil
}

// upTo is one partition's part of a manifest.
func (c *Chain) upTo(ctx context.Context, partition int32, run int64) ([]FileSpan, error) {
	names, err := c.list(ctx, partition)
	if err != nil {
		return nil, err
	}
	var files []FileSpan
	var before schemas.Span
	for _, name := range names {
		s, err := c.span(ctx, name)
		if err != nil {
			return nil, err
		}
		if s.Partition != partition || s.First != before.Next || s.Epoch != before.EpochAfter() {
			return nil, fmt.Errorf("%s holds partition %d from offset %d in epoch %d; the chain goes on with partition %d at %d in epoch %d",
				name, s.Partition, s.First, s.Epoch, partition, before.Next, before.EpochAfter())
		}
		files = append(files, FileSpan{name, s})
		before = s
		if s.Cut == run {
			return files, nil
		}
		if s.Cut > run {
			return nil, fmt.Errorf("cut %d ends %s: %w", s.Cut, name, ErrNoCut)
		}
	}
	return nil, ErrNotYet
}

// Epochs are the greatest cuts that the archive holds, by partition; 0: none. A
// run's number must follow each of them.
func (c *Chain) Epochs(ctx context.Context) ([]int64, error) {
	epochs := make([]int64, c.partitions)
	for p := range c.partitions {
		names, err := c.list(ctx, p)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			continue
		}
		s, err := c.span(ctx, names[len(names)-1])
		if err != nil {
			return nil, err
		}
		epochs[p] = s.EpochAfter()
	}
	return epochs, nil
}

// list gives the files of a partition's chain, by the head of when the chain was
// asked first. A file that was superseded since is kept for longer than a run takes.
func (c *Chain) list(ctx context.Context, partition int32) ([]string, error) {
	if c.head == nil {
		head, err := ReadHead(ctx, c.files)
		if err != nil {
			return nil, err
		}
		c.head = &head
	}
	names, _, err := list(ctx, c.files, *c.head, partition)
	return names, err
}

func (c *Chain) span(ctx context.Context, name string) (schemas.Span, error) {
	if s, known := c.spans[name]; known {
		return s, nil
	}
	s, err := ReadSpan(ctx, c.files, name)
	if err != nil {
		return s, err
	}
	c.spans[name] = s
	return s, nil
}

func manifestName(run int64) string { return fmt.Sprintf("manifests/%019d.json", run) }

// Pin writes the manifest, unless the run has one already: then that one counts.
func Pin(ctx context.Context, files Files, m *Manifest) (*Manifest, error) {
	name := manifestName(m.Run)
	_, err := files.Create(ctx, name, func(w io.Writer) error { return json.NewEncoder(w).Encode(m) })
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return ReadManifest(ctx, files, m.Run)
}

// ReadManifest reads what a run has pinned.
func ReadManifest(ctx context.Context, files Files, run int64) (*Manifest, error) {
	m := new(Manifest)
	err := files.Open(ctx, manifestName(run), func(r io.ReaderAt, size int64) error {
		return json.NewDecoder(io.NewSectionReader(r, 0, size)).Decode(m)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run %d has pinned no manifest: %w", run, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", manifestName(run), err)
	}
	return m, nil
}

func sortByOffset(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		x, _, _ := parseName(a)
		y, _, _ := parseName(b)
		return cmp.Compare(x, y)
	})
}
