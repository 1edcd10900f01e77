package segment

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// parseTime reads the forms of time that clients send, as UTC microseconds:
// RFC 3339 with any fraction, the zone also without colon or missing (UTC), a
// space for the T, a date only, and seconds or milliseconds since 1970.
func parseTime(s string) (micros int64, ok bool) {
	if digits(s) {
		return parseEpoch(s)
	}
	for _, layout := range [...]string{
		time.RFC3339Nano,
		"2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05Z0700",
		"2006-01-02 15:04:05",
		time.DateOnly,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// parseEpoch takes a number below 10^11 for seconds (until the year 5138), any
// other for milliseconds.
func parseEpoch(s string) (micros int64, ok bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n > 1e15:
		return 0, false
	case n < 1e11:
		return n * 1e6, true
	}
	return n * 1e3, true
}

// Bounds of event time.
const (
	earliest    = 631152000000000                     // 1990-01-01: no portal is older, and clocks that were reset are
	lateClock   = int64(24 * time.Hour / 1e3)         // how far ahead of receipt a time may lie
	dateSeconds = int64(24 * time.Hour / time.Second) // of a day
)

// unset stands for a time that the client didn't send.
const unset = math.MinInt64

// eventTime is when an event happened by our clock: what the client's clock said
// (original), moved by how far that clock was off when it sent. Without a time
// of sending it is taken as it is, without a time of its own it is the receipt.
func eventTime(original, sent, received int64) (int64, error) {
	at := original
	switch {
	case original == unset:
		at = received
	case sent != unset:
		at = received - (sent - original)
	}
	if at < earliest || at > received+lateClock {
		return 0, fmt.Errorf("impossible time %s", time.UnixMicro(at).UTC().Format(time.RFC3339))
	}
	return at, nil
}

// parseDay reads a date, or the date of a time, as days since 1970.
func parseDay(s string) (days int32, ok bool) {
	if len(s) > len(time.DateOnly) && (s[10] == 'T' || s[10] == ' ') {
		s = s[:10]
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Unix() <= 0 {
		return 0, false
	}
	return int32(t.Unix() / dateSeconds), true
}
