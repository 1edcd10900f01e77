package ingest

import (
	"net/http"
	"sync"
)

// A memory is bytes that requests hold. It is shared so that no flood takes all
// of it: a key may hold as much as is left for everybody else, and an address as
// much as is then left to its key. So one address has a third of it at most, one
// key half of it, and who comes next finds room, however many there are.
type memory struct {
	limit int64

	mu        sync.Mutex
	held      int64            // guarded by mu
	keys      map[string]int64 // by source, of those who hold something; guarded by mu
	addresses map[string]int64 // the same, by address; guarded by mu
}

func newMemory(limit int64) *memory {
	return &memory{limit: limit, keys: map[string]int64{}, addresses: map[string]int64{}}
}

// mostAlone is what a request may come to hold while there is no other.
func (m *memory) mostAlone() int64 { return m.limit / 3 }

// take reserves n bytes, all or none.
func (m *memory) take(key, address string, n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	free := m.limit - m.held - n
	leftToKey := free - (m.keys[key] + n)
	if m.addresses[address]+n > leftToKey {
		return false
	}
	m.held += n
	m.keys[key] += n
	m.addresses[address] += n
	return true
}

// give returns n bytes.
func (m *memory) give(key, address string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= n
	lower(m.keys, key, n)
	lower(m.addresses, address, n)
}

// lower forgets who holds nothing: the maps are no larger than what is under way.
func lower(by map[string]int64, who string, n int64) {
	if by[who] -= n; by[who] == 0 {
		delete(by, who)
	}
}

// holds is how many bytes are reserved.
func (m *memory) holds() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// An account is what one request holds.
type account struct {
	memory  *memory
	key     string // the source; empty: not known
	address string
	held    int64
}

var errBusy = &refusal{http.StatusTooManyRequests, "too many requests of this write key or address at a time"}

// take reserves n bytes more.
func (a *account) take(n int64) error {
	if a.held+n > a.memory.mostAlone() {
		return &refusal{http.StatusRequestEntityTooLarge, "request takes more memory than one may have: send it in parts"}
	}
	if !a.memory.take(a.key, a.address, n) {
		return errBusy
	}
	a.held += n
	return nil
}

// give returns n bytes.
func (a *account) give(n int64) {
	a.memory.give(a.key, a.address, n)
	a.held -= n
}

// close returns everything.
func (a *account) close() { a.give(a.held) }

// move holds everything as another key's, in the memory of those who have one.
func (a *account) move(to *memory, key string) error {
	moved := account{memory: to, key: key, address: a.address}
	if err := moved.take(a.held); err != nil {
		return err
	}
	a.close()
	*a = moved
	return nil
}
