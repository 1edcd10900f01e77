package simulate

import (
	"math"
	"strconv"
	"time"

	"fernweh/schemas"
)

// A walk is one visit under way: it turns what the visitor does into events and
// the mishaps that befall them.
type walk struct {
	r     *run
	v     *visitor
	who   *persona
	d     *device
	visit int   // number of the visit
	now   int64 // UTC microseconds
	held  int64 // the device is offline: how much later all of it arrives
	shows *schemas.Context
	from  source
	seen  *Offer // the offer looked at last
}

// A source is where a visit came from.
type source struct{ referrer, campaign, medium, name string }

// sources are where visits come from, the commonest more than once.
func sources() []source {
	return []source{
		{}, {}, {}, {}, {referrer: "search.example"}, {referrer: "search.example"},
		{campaign: "search", medium: "cpc", name: "brand"}, {campaign: "social", medium: "paid", name: "inspiration"},
	}
}

// Of a thousand events or visits that many have a mishap.
const (
	lateEvents   = 4 // an event arrives minutes to days after it happened
	offlineVisit = 6 // a whole visit arrives hours later
	sentTwice    = 6 // the client sends an event again at once
	sentLater    = 2 // or days later
)

// walk begins a visit.
func (r *run) walk(v *visitor, at int64) *walk {
	w := &walk{r: r, v: v, who: &r.personas[v.persona], now: at, visit: v.visits}
	v.visits++
	w.d = &v.devices[0]
	if len(v.devices) > 1 && v.chance(.3) {
		w.d = &v.devices[1+v.rng.IntN(len(v.devices)-1)]
	}
	if v.number > 0 && v.chance(offlineVisit/1000.) {
		w.held = int64(v.rng.ExpFloat64() * 5 * 3600e6)
	}
	from := sources()
	w.from = from[v.rng.IntN(len(from))]
	if v.chance(w.who.mind.letter / 2) {
		w.from = source{campaign: "newsletter", medium: "email", name: "weekly"}
	}
	return w
}

// today is the day of the visit in the portal's zone.
func (w *walk) today() time.Time { return time.UnixMicro(w.now).In(w.r.settings.Zone) }

// open moves to a page that tells of itself by another event.
func (w *walk) open(path, title string) {
	w.shows = &schemas.Context{
		Path: path, Title: title, Referrer: w.from.referrer,
		CampaignSource: w.from.campaign, CampaignMedium: w.from.medium, CampaignName: w.from.name,
		Locale: "de-DE", Timezone: "Europe/Berlin", DeviceClass: w.d.class,
	}
}

// page opens a page that tells of nothing but itself.
func (w *walk) page(path, title string) {
	w.open(path, title)
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_PAGE, Name: title})
}

// id is the visitor's next message id.
func (w *walk) id() string {
	b := make([]byte, 0, 24)
	b = append(append(b, w.r.tag...), '-')
	b = strconv.AppendInt(b, int64(w.v.number), 36)
	b = strconv.AppendInt(append(b, '-'), w.v.events, 36)
	w.v.events++
	return string(b)
}

// send completes an event and queues it, with its mishaps, for the moment that
// it arrives. Then time goes on. A phone's app says who its user is only once.
func (w *walk) send(e *schemas.Event) {
	e.Id, e.Device, e.Time, e.Context = w.id(), w.d.id, w.now, w.shows
	if w.d.loggedIn && w.d.class != schemas.DeviceClass_DEVICE_CLASS_MOBILE {
		e.User = w.v.account
	}
	due := w.now + w.held
	switch x := w.v.rng.IntN(1000); {
	case w.v.number == 0: // spared, his evenings are told in the tutorial
	case x < lateEvents:
		due += int64(120e6 * math.Pow(2000, w.v.rng.Float64())) // two minutes to almost three days
	case x < lateEvents+sentTwice:
		w.queue(e, due+int64(1e6+w.v.rng.Float64()*59e6))
	case x < lateEvents+sentTwice+sentLater:
		w.queue(e, due+int64(86400e6*(1+5*w.v.rng.Float64())))
	}
	w.queue(e, due)
	w.now += w.think()
}

// queue lets an event arrive at a moment.
func (w *walk) queue(e *schemas.Event, due int64) {
	w.r.queue.push(task{due: due, event: e, skew: w.d.skew})
}

// think is how long the visitor looks before he goes on, always less than what
// ends a session.
func (w *walk) think() int64 {
	if w.who.name == robot {
		return int64(300e3 + w.v.rng.Float64()*2e6)
	}
	return int64(2e6 + min(w.v.rng.ExpFloat64()*30e6, 600e6))
}
