package access

import (
	"net/netip"
	"sync"
	"time"
)

// An Allowance lets each address do something a few times at once and then ever
// so often. Addresses that it has no room for share one allowance: a stranger
// with many of them gets no more, and costs no more memory.
type Allowance struct {
	AtOnce int           // how often without waiting
	Every  time.Duration // after which it is allowed once more

	mu    sync.Mutex
	spent map[netip.Prefix]time.Time // when all is allowed again; guarded by mu
}

// mostAddresses bounds what an Allowance remembers.
const mostAddresses = 1024

// Take says whether the address may do it once more, at a time.
func (a *Allowance) Take(from netip.Addr, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	network := networkOf(from)
	if _, known := a.spent[network]; !known && len(a.spent) >= mostAddresses {
		a.forget(now)
		if len(a.spent) >= mostAddresses {
			network = netip.Prefix{}
		}
	}
	full := a.spent[network]
	if full.Before(now) {
		full = now
	}
	full = full.Add(a.Every)
	if full.Sub(now) > time.Duration(a.AtOnce)*a.Every {
		return false
	}
	if a.spent == nil {
		a.spent = make(map[netip.Prefix]time.Time)
	}
	a.spent[network] = full
	return true
}

// forget leaves out who has all of it again.
func (a *Allowance) forget(now time.Time) {
	for network, full := range a.spent {
		if !full.After(now) {
			delete(a.spent, network)
		}
	}
}

// networkOf is what one customer of a network provider has: one address of IPv4,
// a /64 of IPv6.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix of the zero Addr
	return p
}
