package visitor

import "fernweh/schemas"

// Gap is how long a visitor may be silent within a session, in microseconds:
// 30 minutes. A longer silence ends it.
const Gap = 30 * microsPerMinute

// A Session is a run of minutes without a silence longer than Gap, in event
// time. It is derived from the minutes when it is read, so that an event which
// comes late and joins two sessions needs no care.
type Session struct {
	Start, End int64         // event time of its first and last event, UTC microseconds
	Kinds      [kinds]uint32 // events by schemas.Kind
}

// Sessions are the sessions of the history, ascending. Above the cap there are none.
func (h *History) Sessions() []Session {
	var out []Session
	for i := 0; i < len(h.Minutes); {
		s, next := h.session(i)
		out = append(out, s)
		i = next
	}
	return out
}

// session is the session that begins with minute i, and the minute after it.
func (h *History) session(i int) (s Session, next int) {
	s.Start, s.End = h.Minutes[i].First, h.Minutes[i].Last
	for next = i; next < len(h.Minutes); next++ {
		m := &h.Minutes[next]
		if m.First-s.End > Gap {
			break
		}
		s.End = m.Last
		for k, n := range m.Kinds {
			s.Kinds[k] += uint32(n)
		}
	}
	return s, next
}

// Events is the number of events in the session.
func (s *Session) Events() int {
	n := 0
	for _, c := range s.Kinds {
		n += int(c)
	}
	return n
}

// Bounced says that the visitor did only one thing: what the site shows and what
// is said about consent or identity are no doing of the visitor.
func (s *Session) Bounced() bool {
	passive := s.Kinds[schemas.Kind_KIND_CONSENT] + s.Kinds[schemas.Kind_KIND_IDENTIFY] +
		s.Kinds[schemas.Kind_KIND_PLACEMENT_SHOWN]
	return s.Events()-int(passive) <= 1
}

// around finds the minutes [from, to) of all sessions that an event at time t
// belongs to or would touch.
func (h *History) around(t int64) (from, to int) {
	from, _ = h.search(t / microsPerMinute)
	to = from
	first, last := t, t
	for to < len(h.Minutes) && h.Minutes[to].First-last <= Gap {
		first, last = min(first, h.Minutes[to].First), max(last, h.Minutes[to].Last)
		to++
	}
	for from > 0 && first-h.Minutes[from-1].Last <= Gap {
		from--
		first = h.Minutes[from].First
	}
	return from, to
}
