package ingest

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// address is who sends, as limits know him: the last address on the way here
// that is no proxy of ours. What stands before it in X-Forwarded-For, the sender
// may have written himself. Of IPv6 it is the network that one customer is given.
func (c *Collector) address(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := at.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !c.isProxy(addr) {
			break
		}
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		addr = before.Unmap()
	}
	if addr.Is6() {
		network, _ := addr.WithZone("").Prefix(64) // 64 bits are never too many
		return network.String()
	}
	return addr.String()
}

func (c *Collector) isProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(c.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
