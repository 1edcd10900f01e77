package simulate

import (
	"slices"
	"time"

	"fernweh/schemas"
)

// Herr Mueller, in his fifties, opens the pages of quiet, upscale hotels for
// two, night after night, and never books.
const (
	MuellerDevice   = "herr-mueller-laptop"
	MuellerCustomer = "mueller"
)

// evenings is how many nights in a row he has come when the history ends.
const evenings = 5

// mueller makes v Herr Mueller. His evenings are the last of the history that
// are over, and after it every evening.
func (p *Portal) mueller(v *visitor) {
	v.persona = mueller
	v.party = company{adults: 2}
	v.devices = []device{{id: MuellerDevice, class: schemas.DeviceClass_DEVICE_CLASS_DESKTOP, arm: "A"}}
	v.account, v.login = MuellerCustomer, 1
	v.at = p.firstEvening()
	v.left = 400
	v.wish = wish{nights: 10, depart: summer(p.settings.To), only: p.retreats(v)}
	for _, o := range v.wish.only {
		if !slices.Contains(v.wish.places, o.place) {
			v.wish.places = append(v.wish.places, o.place)
		}
	}
}

// firstEvening is when he comes for the first time.
func (p *Portal) firstEvening() int64 {
	day := midnight(p.settings.To, p.settings.Zone)
	if evening(day).Add(90 * time.Minute).After(p.settings.To) {
		day = day.AddDate(0, 0, -1)
	}
	first := evening(day.AddDate(0, 0, 1-evenings))
	for first.Before(p.settings.From) {
		first = evening(midnight(first, p.settings.Zone).AddDate(0, 0, 1))
	}
	return first.UnixMicro()
}

// evening is when he sits down on a day.
func evening(day time.Time) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d, 20, 15, 0, 0, day.Location())
}

// summer is the third of July after t that can still be planned for.
func summer(t time.Time) int32 {
	y := t.Year()
	if t.Month() >= time.May {
		y++
	}
	return date(time.Date(y, time.July, 3, 0, 0, 0, 0, time.UTC))
}

// retreats are the quiet and upscale hotels of three places.
func (p *Portal) retreats(v *visitor) []*Offer {
	byPlace := map[int][]*Offer{}
	var places []int
	for _, o := range p.sold.offers {
		if o.Kind != schemas.OfferKind_OFFER_KIND_HOTEL || !slices.Contains(o.Styles, quiet) || !slices.Contains(o.Styles, upscale) {
			continue
		}
		if byPlace[o.place] == nil {
			places = append(places, o.place)
		}
		byPlace[o.place] = append(byPlace[o.place], o)
	}
	var all []*Offer
	for _, i := range v.rng.Perm(len(places))[:3] {
		all = append(all, byPlace[places[i]]...)
	}
	return all
}
