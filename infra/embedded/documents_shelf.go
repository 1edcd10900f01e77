package embedded

import (
	"fmt"
	"sync"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
)

// A shelf is one index. It is open while it is used, and for a while after.
type shelf struct {
	path  string
	write sync.Mutex // held from the look at versions to the end of the write

	index index.Index // guarded by desk.mu; nil: closed
	users int         // guarded by desk.mu
	used  int64       // guarded by desk.mu; the greater, the later
}

// A desk opens shelves. At rest it keeps a few open: each costs three
// goroutines and its segments' pages, and there is a shelf for every day.
type desk struct {
	mu   sync.Mutex
	open []*shelf // guarded by mu
	uses int64    // guarded by mu
}

// atRest is how many indices stay open that nobody uses.
const atRest = 8

// borrow opens a shelf, if need be; it stays open until give.
func (k *desk) borrow(s *shelf, analysts *index.AnalysisQueue) (index.Index, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.index == nil {
		opened, err := openShelf(s.path, analysts)
		if err != nil {
			return nil, fmt.Errorf("open index %s: %w", s.path, err)
		}
		s.index = opened
		k.open = append(k.open, s)
	}
	k.uses++
	s.users, s.used = s.users+1, k.uses
	return s.index, nil
}

// openShelf opens or makes what lies in a folder. Bleve itself waits in each batch
// until it is on the disk, for that is what it does unless it is told otherwise.
func openShelf(path string, analysts *index.AnalysisQueue) (index.Index, error) {
	i, err := scorch.NewScorch(scorch.Name, map[string]any{
		"path":         path,
		"bolt_timeout": "3s", // another process has it; without this, opening waits for ever

		"asyncErrorCallbackName": faultCallback,
	}, analysts)
	if err != nil {
		return nil, err
	}
	if err := i.Open(); err != nil {
		return nil, err
	}
	return i, nil
}

// give says that a borrowed shelf is not needed any more, and closes those that
// were not needed for longest.
func (k *desk) give(s *shelf) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.users--
	for len(k.open) > atRest {
		oldest := -1
		for i, o := range k.open {
			if o.users == 0 && (oldest < 0 || o.used < k.open[oldest].used) {
				oldest = i
			}
		}
		if oldest < 0 {
			return nil
		}
		if err := k.shut(oldest); err != nil {
			return err
		}
	}
	return nil
}

// close closes a shelf that nobody uses.
func (k *desk) close(s *shelf) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, o := range k.open {
		if o == s {
			return k.shut(i)
		}
	}
	return nil
}

// shut closes one of the open shelves. The caller holds mu.
func (k *desk) shut(i int) error {
	s := k.open[i]
	k.open = append(k.open[:i], k.open[i+1:]...)
	err := s.index.Close()
	s.index = nil
	if err != nil {
		return fmt.Errorf("close index %s: %w", s.path, err)
	}
	return nil
}
