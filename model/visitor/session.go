package visitor

import (
	"fernweh/model/kpi"
	"fernweh/schemas"
)

// Gap is how long a visitor may be silent within a session, in microseconds:
// 30 minutes. A longer silence ends it.
const Gap = 30 * microsPerMinute

// A Session is a run of time of one device without a silence longer than Gap, in
// event time, whoever is logged in. It is derived from the minutes when it is
// read, so that an event which comes late and joins two sessions needs no care.
type Session struct {
	Start, End int64         // event time of its first and last event, UTC microseconds
	Kinds      [kinds]uint32 // events by schemas.Kind
}

// Sessions are the sessions of this history alone, ascending.
func (h *History) Sessions() []Session {
	var out []Session
	h.eachSession(func(s *Session) { out = append(out, *s) })
	return out
}

func (h *History) eachSession(yield func(*Session)) {
	ms := make([]*Minute, len(h.Minutes))
	for i := range h.Minutes {
		ms[i] = &h.Minutes[i]
	}
	eachSession(ms, yield)
}

// eachSession divides minutes in the order of time into sessions. The session is
// valid until yield returns.
func eachSession(ms []*Minute, yield func(*Session)) {
	for i := 0; i < len(ms); {
		s := Session{Start: ms[i].First, End: ms[i].Last}
		for ; i < len(ms) && ms[i].First-s.End <= Gap; i++ {
			s.End = max(s.End, ms[i].Last)
			for k, n := range ms[i].Kinds {
				s.Kinds[k] += uint32(n)
			}
		}
		yield(&s)
	}
}

// measureSessions emits the sessions of minutes in the order of time, which must
// be whole sessions.
func measureSessions(ms []*Minute, emit func(kpi.Pane, int64)) {
	eachSession(ms, func(s *Session) {
		minute := s.Start / microsPerMinute
		emit(kpi.Pane{Measure: kpi.Sessions, Minute: minute}, 1)
		if s.Bounced() {
			emit(kpi.Pane{Measure: kpi.Bounces, Minute: minute}, 1)
		}
	})
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
