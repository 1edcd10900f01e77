package archive

import "sync"

// Memory bounds what the writers of a process hold together of files that are not
// written yet. Where a row finds no room, the largest of these files ends early:
// so a partition of which little comes does not keep the others from full files.
//
// Only the rows are counted. A file that is being written takes about as much
// again, for a moment.
type Memory struct {
	limit int64

	mu   sync.Mutex
	used int64             // guarded by mu
	held map[*Writer]int64 // guarded by mu
}

// NewMemory bounds to so many bytes, above 0.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, held: make(map[*Writer]int64)}
}

// take books bytes for a writer, or names the writer whose file must end first.
// A row that is larger than the bound is taken when nothing else is held.
func (m *Memory) take(w *Writer, bytes int64) (largest *Writer) {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used > 0 && m.used+bytes > m.limit {
		for other, held := range m.held {
			if largest == nil || held > m.held[largest] {
				largest = other
			}
		}
		return largest
	}
	m.used += bytes
	m.held[w] += bytes
	return nil
}

// give takes back all that a writer has booked.
func (m *Memory) give(w *Writer) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= m.held[w]
	delete(m.held, w)
}

// Used is how many bytes the writers hold.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}
