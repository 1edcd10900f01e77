package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"fernweh/schemas"
)

// A visitor is one traveller (or bot) with a plan.
type visitor struct {
	rng     *rand.Rand
	number  int
	persona int
	party   company
	devices []device
	login   int    // visits until he logs in; never: -1
	account string // customer number; empty: none
	wish    wish
	left    int            // visits that the plan still has
	trips   int            // trips planned
	at      int64          // of the next visit, UTC microseconds
	visits  int            // made so far
	events  int64          // sent so far, for their ids
	bought  *schemas.Order // what he will cancel; nil: nothing
}

// A company is who travels with the visitor.
type company struct{ adults, children int32 }

// A device is one browser of a visitor.
type device struct {
	id       string
	class    schemas.DeviceClass
	skew     time.Duration
	arm      string // of the experiment on the home page
	asked    bool   // the consent banner has been there
	loggedIn bool
}

// A wish is the trip that a visitor looks for.
type wish struct {
	depart int32 // days since 1970-01-01
	nights int32
	places []int    // destinations in favour
	list   []*Offer // looked at and liked, at most listed
	only   []*Offer // Herr Mueller looks at nothing else, nor is he led astray
	books  bool
}

// listed bounds the offers that a visitor comes back to.
const listed = 5

// visitor makes visitor i.
func (p *Portal) visitor(i int) *visitor {
	v := &visitor{rng: p.rng(i), number: i, login: -1}
	if i == 0 {
		p.mueller(v)
		return v
	}
	day := p.arrival(i)
	v.persona = p.demand.persona(v.rng, day)
	who := &p.personas[v.persona]
	v.party = company{int32(who.group.adults.draw(v.rng)), int32(who.group.children.draw(v.rng))}
	v.equip(who, p.tag)
	v.dream(p, p.demand.days[day])
	v.at = v.hour(p, p.demand.days[day])
	if who.name != robot && v.rng.Float64() < .25+.5*who.mind.books {
		v.account = "c" + p.tag + strconv.Itoa(i)
		v.login = v.rng.IntN(v.left + 1)
	}
	return v
}

// equip gives a visitor his devices.
func (v *visitor) equip(who *persona, tag string) {
	n := 1
	if who.name != robot {
		n += v.rng.IntN(5) / 3 // three in five have one, the rest two,
		n += v.rng.IntN(12) / 11
	}
	for i := range n {
		d := device{id: fmt.Sprintf("%s-%s-%d", tag, strconv.FormatInt(int64(v.number), 36), i)}
		d.class = v.class(who)
		d.arm = string(rune('A' + v.rng.IntN(2)))
		if v.rng.Float64() < .03 {
			d.skew = skews()[v.rng.IntN(len(skews()))]
		}
		v.devices = append(v.devices, d)
	}
}

// class draws what a device is.
func (v *visitor) class(who *persona) schemas.DeviceClass {
	x := v.rng.Float64()
	switch {
	case who.name == robot && x < .6:
		return schemas.DeviceClass_DEVICE_CLASS_BOT
	case who.name == robot: // says it is a browser
		return schemas.DeviceClass_DEVICE_CLASS_DESKTOP
	case x < who.habit.mobile:
		return schemas.DeviceClass_DEVICE_CLASS_MOBILE
	case x > .92:
		return schemas.DeviceClass_DEVICE_CLASS_TABLET
	}
	return schemas.DeviceClass_DEVICE_CLASS_DESKTOP
}

// skews are how far clocks are off. They are few, because a request has one
// sending clock: any number of them would make any number of small requests.
func skews() []time.Duration {
	return []time.Duration{-3 * time.Hour, -time.Hour, -7 * time.Minute, 40 * time.Second, 25 * time.Minute, 2 * time.Hour}
}

// dream plans a trip that is first thought of on a day.
func (v *visitor) dream(p *Portal, day time.Time) {
	who := &p.personas[v.persona]
	v.trips++
	w := wish{nights: int32(who.trip.nights.draw(v.rng)), books: v.rng.Float64() < who.mind.books}
	depart := day
	for range 8 { // a month that is wished for twice as much is taken twice as often
		depart = day.AddDate(0, 0, who.trip.lead.draw(v.rng))
		if v.rng.Float64()*2 < who.trip.wish(depart) {
			break
		}
	}
	w.depart = date(depart)
	for range 1 + v.rng.IntN(3) {
		w.places = append(w.places, p.sold.offers[p.appeals[v.persona].pick(v.rng, 0, len(p.sold.offers))].place)
	}
	v.wish = w
	v.left = 1 + v.poisson(who.habit.weeks*who.habit.visits)
}

// date is the day of t as the log counts days.
func date(t time.Time) int32 {
	y, m, d := t.Date()
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// poisson draws a number with a mean.
func (v *visitor) poisson(mean float64) int {
	n, limit, x := 0, math.Exp(-mean), v.rng.Float64()
	for x > limit {
		n++
		x *= v.rng.Float64()
	}
	return n
}

// hour is a moment of a day that suits the visitor's habit, in the history.
func (v *visitor) hour(p *Portal, day time.Time) int64 {
	h := &p.personas[v.persona].habit
	free := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday
	switch {
	case free && h.weekend == 0: // works, and looks at work
		day = day.AddDate(0, 0, 2)
	case !free && v.chance(h.weekend):
		day = day.AddDate(0, 0, 6-int(day.Weekday()))
	}
	hour := math.Mod(h.hour+h.spread*v.rng.NormFloat64()+48, 24)
	at := day.UnixMicro() + int64(hour*3600e6)
	for at < p.settings.From.UnixMicro() {
		at += (24 * time.Hour).Microseconds()
	}
	return at
}
