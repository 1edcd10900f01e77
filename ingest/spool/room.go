package spool

import "sync"

// A Room is disk that several spools share, so that a full one leaves the others
// theirs: none takes more than four times what is then left. One that fills alone
// has four fifths; when all fill, each has as much as any other, and together they
// come ever closer to the limit.
type Room struct {
	limit int64
	most  int64 // times what is left; 0: all of it

	mu   sync.Mutex
	used int64 // guarded by mu
}

// NewRoom is disk for several spools, in bytes.
func NewRoom(limit int64) *Room { return &Room{limit: limit, most: 4} }

// take reserves n bytes for a spool that has some already, or none.
func (r *Room) take(n, has int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.limit - r.used - n
	if left < 0 || r.most > 0 && has+n > r.most*left {
		return false
	}
	r.used += n
	return true
}

// force reserves n bytes that are on the disk already; negative gives them back.
func (r *Room) force(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
}
