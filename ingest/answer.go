package ingest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"fernweh/ingest/segment"
	"fernweh/schemas"
)

// What becomes of a call.
const (
	accepted = "accepted" // in the log
	spooled  = "spooled"  // in the spool, on its way to the log
	rejected = "rejected" // in the dead letters
)

// A verdict is what became of one call.
type verdict struct {
	id, status string
	partition  int32
	offset     int64 // negative: the log didn't say
	reason     string
}

// verdicts says of each item what became of it. places are those of the events.
func (c *Collector) verdicts(items []segment.Item, places []place) []verdict {
	vs := make([]verdict, len(items))
	counts := map[string]int{}
	for i, item := range items {
		v := verdict{id: item.ID, status: spooled}
		switch {
		case item.Event == nil:
			v.status, v.reason = rejected, item.Reason
		default:
			if !places[0].spooled {
				v.status, v.offset = accepted, places[0].offset
				v.partition = schemas.Partition(item.Event.Device, c.cfg.Partitions)
			}
			places = places[1:]
		}
		counts[v.status]++
		vs[i] = v
	}
	for status, n := range counts {
		c.metrics.events.WithLabelValues(status).Add(float64(n))
	}
	return vs
}

// reply writes the verdicts, or the status that err stands for.
func (c *Collector) reply(w http.ResponseWriter, vs []verdict, err error) (status int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.cfg.Limits.WriteTimeout)) // as above: a test's
	h := w.Header()
	h.Set("Content-Type", "application/json")
	var no *refusal
	switch {
	case err == nil:
		if after := reached(vs); after != "" {
			h.Set("Fernweh-After", after)
		}
		w.Write(appendAnswer(nil, vs)) // the client is gone if this fails; it will send again
		return http.StatusOK
	case !errors.As(err, &no):
		c.cfg.Logger.Error("request was not taken", "error", err)
		no = &refusal{http.StatusInternalServerError, "internal error"}
	}
	if no.status == http.StatusTooManyRequests {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(no.status)
	w.Write(append(appendText([]byte(`{"success":false,"error":`), no.reason), "}\n"...))
	return no.status
}

// reached is, by partition, the offset that a reader must have come to to have
// seen the accepted events.
func reached(vs []verdict) string {
	next := map[int32]int64{}
	for _, v := range vs {
		if v.status == accepted && v.offset >= 0 {
			next[v.partition] = max(next[v.partition], v.offset+1)
		}
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(next)) {
		parts = append(parts, fmt.Sprintf("%d:%d", p, next[p]))
	}
	return strings.Join(parts, ",")
}

// appendAnswer is the body of the answer. It is written by hand because every
// request of every visitor ends here.
func appendAnswer(b []byte, vs []verdict) []byte {
	b = slices.Grow(b, 64+96*len(vs))
	b = append(b, `{"success":true,"events":[`...)
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"id":`...), v.id)
		b = append(append(append(b, `,"status":"`...), v.status...), '"')
		switch {
		case v.status == accepted && v.offset >= 0:
			b = strconv.AppendInt(append(b, `,"partition":`...), int64(v.partition), 10)
			b = strconv.AppendInt(append(b, `,"offset":`...), v.offset, 10)
		case v.status == rejected:
			b = appendText(append(b, `,"reason":`...), v.reason)
		}
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

// appendText quotes s as JSON.
func appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // text that isn't UTF-8 is mended, which is the only error
	return b
}
