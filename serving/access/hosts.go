package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// Hosts are the names under which a server may be asked, besides its own
// addresses. A page in a browser can point its own name at this machine and would
// then be of one origin with the API (DNS rebinding); its name gives it away.
type Hosts struct{ names map[string]bool }

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$`)

// NewHosts takes names or addresses, without a port: any is fine.
func NewHosts(names ...string) (Hosts, error) {
	h := Hosts{make(map[string]bool, len(names))}
	for _, name := range names {
		bare := normal(name)
		if _, err := netip.ParseAddr(bare); err != nil && !hostName.MatchString(bare) {
			return h, fmt.Errorf("%q is no host such as portal.example.com or 10.0.0.7: give it without scheme and port", name)
		}
		h.names[bare] = true
	}
	return h, nil
}

// Allow says whether a request names this machine, the address that it came in
// at, or one of the hosts.
func (h Hosts) Allow(r *http.Request) bool {
	host := hostOf(r.Host)
	if IsLoopback(host) || h.names[host] {
		return true
	}
	asked, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap().WithZone("") == asked.Unmap().WithZone("")
}

// Foreign says whether a host is there that is not of this machine alone: then
// somebody passes requests on to it.
func (h Hosts) Foreign() bool {
	for name := range h.names {
		if !IsLoopback(name) {
			return true
		}
	}
	return false
}

// Guard answers only who asks for this server by a name that is its own.
func (h Hosts) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Allow(r) {
			http.Error(w, Misdirected(r), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Misdirected says what is wrong with a request's host, and what would be right.
func Misdirected(r *http.Request) string {
	return fmt.Sprintf("the host %.100q is none of this server's: ask it by its address, or name the host in allowed-hosts", r.Host)
}

// IsLoopback says that only this machine is reached under a host.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// hostOf is the host of host:port as it is compared.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return normal(host)
	}
	return normal(s)
}

// normal writes a host in one way: small letters, no dot at its end, no brackets.
func normal(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return host
}
