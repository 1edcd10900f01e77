package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // half a megabyte, so that zones are known on a machine without them

	"fernweh/batch"
	"fernweh/serving/access"
)

// A kind is what a setting may be: set parses and keeps it, or says what would
// be right.
type kind struct {
	noun string // placeholder in help
	set  func(text string) error
	bare string              // what a flag without a value means; empty: it needs one
	mask func(string) string // how it is shown; nil: as it is
}

// text is any string.
func text(to *string) kind {
	return kind{noun: "text", set: func(s string) error { *to = s; return nil }}
}

// filled is any string but the empty one.
func filled(to *string) kind {
	return kind{noun: "text", set: func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		*to = s
		return nil
	}}
}

// secret is a kind that is never shown.
func secret(k kind) kind {
	k.mask = func(string) string { return "***" }
	return k
}

// whole is a whole number within bounds.
func whole[N int | int32 | uint64](to *N, least, most int64) kind {
	return kind{noun: "number", set: func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a whole number from %d to %d", s, least, most)
		}
		*to = N(n)
		return nil
	}}
}

// yesNo is true or false; the flag alone means true.
func yesNo(to *bool) kind {
	return kind{noun: "true|false", bare: "true", set: func(s string) error {
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*to = s == "true"
		return nil
	}}
}

// span is a duration within bounds.
func span(to *time.Duration, least, most time.Duration) kind {
	return kind{noun: "duration", set: func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return fmt.Errorf("%q is not a duration from %v to %v, such as 50ms or 2s", s, least, most)
		}
		*to = d
		return nil
	}}
}

// size is a number of bytes within bounds.
func size(to *int64, least, most int64) kind {
	return kind{noun: "size", set: func(s string) error {
		n, ok := parseSize(s)
		if !ok || n < least || n > most {
			return fmt.Errorf("%q is not a size from %s to %s, in bytes or with KiB, MiB, GiB or TiB",
				s, formatSize(least), formatSize(most))
		}
		*to = n
		return nil
	}}
}

// sizeUnits are in steps of 1,024.
func sizeUnits() []string { return []string{"", "KiB", "MiB", "GiB", "TiB"} }

func parseSize(s string) (n int64, ok bool) {
	for i, unit := range sizeUnits() {
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(s, unit)), 10, 64)
		if err == nil && n >= 0 && n <= math.MaxInt64>>(10*i) {
			return n << (10 * i), true
		}
	}
	return 0, false
}

// formatSize takes the greatest unit that leaves a whole number.
func formatSize(n int64) string {
	units := sizeUnits()
	for n%1024 == 0 && n > 0 && len(units) > 1 {
		n /= 1024
		units = units[1:]
	}
	return strconv.FormatInt(n, 10) + units[0]
}

// level is a level of the log.
func level(to *slog.Level) kind {
	return kind{noun: "level", set: func(s string) error {
		levels := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}
		l, ok := levels[s]
		if !ok {
			return fmt.Errorf("%q is none of debug, info, warn, error", s)
		}
		*to = l
		return nil
	}}
}

// zone is a time zone of the IANA database. The machine's own is no answer: two
// machines would report other days.
func zone(to **time.Location) kind {
	return kind{noun: "zone", set: func(s string) error {
		z, err := time.LoadLocation(s)
		if err != nil || s == "" || s == "Local" {
			return fmt.Errorf("%q is not a time zone such as Europe/Berlin or UTC", s)
		}
		*to = z
		return nil
	}}
}

// address is where to listen.
func address(to *string) kind {
	return kind{noun: "host:port", set: func(s string) error {
		if _, _, err := splitAddress(s); err != nil {
			return err
		}
		*to = s
		return nil
	}}
}

func splitAddress(s string) (host string, port uint64, err error) {
	host, text, err := net.SplitHostPort(s)
	if err == nil {
		port, err = strconv.ParseUint(text, 10, 16)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port with a port from 0 to 65535, such as 127.0.0.1:8080", s)
	}
	return host, port, nil
}

// isLoopback says that only this machine reaches the address.
func isLoopback(addr string) bool {
	host, _, err := splitAddress(addr)
	ip, _ := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || ip.IsLoopback())
}

// anyPort says that the system chooses the port.
func anyPort(addr string) bool {
	_, port, err := splitAddress(addr)
	return err == nil && port == 0
}

// addressOrNone is where to listen; empty is nowhere.
func addressOrNone(to *string) kind {
	k := address(to)
	return kind{noun: k.noun, set: func(s string) error {
		if s == "" {
			return nil
		}
		return k.set(s)
	}}
}

// oneOf is one of a few words.
func oneOf(to *string, words ...string) kind {
	return kind{noun: "word", set: func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is none of %q", s, words)
		}
		*to = s
		return nil
	}}
}

var (
	viewsNames    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)
	topicPrefixes = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,100}$`)
)

// viewsName is a name that HBase, Elasticsearch and a file system all take.
func viewsName(to *string) kind {
	return matching(to, "name", viewsNames, "small letters, digits and underscores, a letter first, 60 at most")
}

// topicPrefix is what Kafka takes as the beginning of a topic's name.
func topicPrefix(to *string) kind {
	return matching(to, "name", topicPrefixes, "letters, digits, hyphens and underscores, 100 at most")
}

func matching(to *string, noun string, pattern *regexp.Regexp, want string) kind {
	return kind{noun: noun, set: func(s string) error {
		if !pattern.MatchString(s) {
			return fmt.Errorf("%q is not a name: %s", s, want)
		}
		*to = s
		return nil
	}}
}

// secretFile is the name of a file whose one line is a secret; empty is none.
func secretFile(to *string) kind {
	return kind{noun: "file", set: func(name string) error {
		if name == "" {
			return nil
		}
		if err := expectFile(name); err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if *to = strings.TrimSpace(string(b)); *to == "" {
			return fmt.Errorf("the file %s is empty", name)
		}
		return nil
	}}
}

// file is the name of a file that is there; empty is none.
func file(to *string) kind {
	return kind{noun: "file", set: func(name string) error {
		*to = name
		if name == "" {
			return nil
		}
		return expectFile(name)
	}}
}

// brokers is a list of servers; empty is none.
func brokers(to *[]string) kind {
	return list(to, "host:port,...", func(s string) error {
		host, port, err := splitAddress(s)
		if err == nil && (host == "" || port == 0) {
			return fmt.Errorf("%q lacks a host or a port", s)
		}
		return err
	})
}

// origins are what browsers call the origin of a page, or * for any.
func origins(to *[]string) kind {
	return list(to, "origin,...", func(s string) error {
		u, err := url.Parse(s)
		if s == "*" || err == nil && isHTTP(u) && u.Scheme+"://"+u.Host == s {
			return nil
		}
		return fmt.Errorf("%q is neither * nor an origin such as https://www.example.com", s)
	})
}

// networks is a comma-separated list of networks or single addresses.
func networks(to *[]netip.Prefix) kind {
	return kind{noun: "network,...", set: func(s string) error {
		var all []netip.Prefix
		for _, part := range splitList(s) {
			network, err := netip.ParsePrefix(part)
			if err != nil {
				addr, err := netip.ParseAddr(part)
				if err != nil {
					return fmt.Errorf("%q is neither a network such as 10.0.0.0/8 nor an address", part)
				}
				network = netip.PrefixFrom(addr, addr.BitLen())
			}
			all = append(all, network)
		}
		*to = all
		return nil
	}}
}

func isHTTP(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" }

// list is a comma-separated list; empty is none.
func list(to *[]string, noun string, check func(string) error) kind {
	return kind{noun: noun, set: func(s string) error {
		var parts []string
		for _, part := range splitList(s) {
			if err := check(part); err != nil {
				return err
			}
			parts = append(parts, part)
		}
		*to = parts
		return nil
	}}
}

func splitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return parts
}

// digests is source=sha256,... and at least one. It is shown without the
// digests: a weak key could be found from its own.
func digests(to *map[string]digest) kind {
	set := func(s string) error {
		keys := map[string]digest{}
		for _, part := range splitList(s) {
			source, text, _ := strings.Cut(part, "=")
			sum, err := hex.DecodeString(text)
			if err != nil || len(sum) != len(digest{}) || source == "" {
				return fmt.Errorf("source %q: want source=digest, the digest being the 64 hex digits of "+
					"printf %%s KEY | sha256sum", source)
			}
			if _, twice := keys[source]; twice {
				return fmt.Errorf("source %q stands there twice", source)
			}
			keys[source] = digest(sum)
		}
		if len(keys) == 0 {
			return errors.New("nobody could send: want source=digest,...")
		}
		*to = keys
		return nil
	}
	return kind{noun: "source=sha256,...", set: set, mask: maskDigests}
}

// keyDigests is name=sha256,... of administrators' keys; empty is none.
func keyDigests(to *map[string]digest) kind {
	k := digests(to)
	set := func(s string) error {
		if strings.TrimSpace(s) == "" {
			return nil
		}
		if err := k.set(s); err != nil {
			return err
		}
		for name := range *to {
			if err := access.CheckName(name); err != nil {
				return err
			}
		}
		return nil
	}
	return kind{noun: "name=sha256,...", set: set, mask: maskDigests}
}

// adminKey is an administrator's key; empty is none. It is checked where it is
// used, together with that of a file.
func adminKey(to *string) kind {
	return kind{noun: "key", set: func(s string) error {
		if s != "" {
			*to = s
		}
		return nil
	}}
}

// hosts are names or addresses without a port; empty is none.
func hosts(to *access.Hosts) kind {
	return kind{noun: "host,...", set: func(s string) (err error) {
		*to, err = access.NewHosts(splitList(s)...)
		return err
	}}
}

func maskDigests(s string) string {
	parts := splitList(s)
	for i, part := range parts {
		source, _, _ := strings.Cut(part, "=")
		parts[i] = source + "=***"
	}
	return strings.Join(parts, ",")
}

// A clock is a time of day.
type clock = batch.Clock

func parseClock(s string) (clock, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return clock{}, fmt.Errorf("%q is not a time of day such as 10:30", s)
	}
	return clock{Hour: t.Hour(), Minute: t.Minute()}, nil
}

// clocks is a list of times of day; empty is none.
func clocks(to *[]clock) kind {
	return kind{noun: "hh:mm,...", set: func(s string) error {
		var times []clock
		for _, part := range splitList(s) {
			c, err := parseClock(part)
			if err != nil {
				return err
			}
			times = append(times, c)
		}
		*to = times
		return nil
	}}
}

// clockSpan is a part of the day, which may go over midnight; empty is none.
func clockSpan(to *[2]clock) kind {
	return kind{noun: "hh:mm-hh:mm", set: func(s string) error {
		if s == "" {
			*to = [2]clock{}
			return nil
		}
		first, second, _ := strings.Cut(s, "-")
		from, err := parseClock(first)
		till, failed := parseClock(second)
		if err != nil || failed != nil || from == till {
			return fmt.Errorf("%q is not a part of the day such as 22:00-10:00", s)
		}
		*to = [2]clock{from, till}
		return nil
	}}
}

// httpURLs are the roots of servers; empty is none.
func httpURLs(to *[]string) kind {
	return list(to, "url,...", func(s string) error { return httpURL(new(string)).set(s) })
}

// httpURL is the root of a server.
func httpURL(to *string) kind {
	return kind{noun: "url", set: func(s string) error {
		u, err := url.Parse(s)
		if err != nil || !isHTTP(u) || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%q is not a URL such as http://127.0.0.1:8080", s)
		}
		*to = strings.TrimSuffix(s, "/")
		return nil
	}}
}
