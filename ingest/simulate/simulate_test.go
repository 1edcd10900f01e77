package simulate_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fernweh/ingest/client"
	"fernweh/ingest/simulate"
	"fernweh/schemas"
)

// noon is when the histories of the tests end.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// year is a portal with a year of history.
func year(t testing.TB, seed uint64, visitors int) *simulate.Portal {
	t.Helper()
	return portal(t, simulate.Settings{Seed: seed, Visitors: visitors, From: noon.AddDate(-1, 0, 0), To: noon})
}

// portal makes one of settings that are right.
func portal(t testing.TB, s simulate.Settings) *simulate.Portal {
	t.Helper()
	p, err := simulate.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// digest is a hash of every byte of the stream.
func digest(t testing.TB, p *simulate.Portal) [32]byte {
	t.Helper()
	h := sha256.New()
	var b []byte
	for e := range p.Events() {
		var err error
		if b, err = e.AppendJSON(b[:0]); err != nil {
			t.Fatal(err)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(e.Due))
		h.Write(binary.BigEndian.AppendUint64(b, uint64(e.Skew)))
	}
	return [32]byte(h.Sum(nil))
}

func TestSameSettingsSameBytes(t *testing.T) {
	first := year(t, 1, 300)
	want := digest(t, first)
	if got := digest(t, first); got != want {
		t.Error("the same portal told its history a second time, and it was another")
	}
	if got := digest(t, year(t, 1, 300)); got != want {
		t.Error("a portal of the same settings has another history")
	}
	if got := digest(t, year(t, 2, 300)); got == want {
		t.Error("another seed gave the same history")
	}
}

// TestHistoryKeepsWithinItsSpan holds for any settings: in order of sending,
// nothing before the beginning, nothing later than now, everything readable.
func TestHistoryKeepsWithinItsSpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := simulate.Settings{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Visitors: rapid.IntRange(1, 40).Draw(t, "visitors"),
			To:       noon.Add(-time.Duration(rapid.Int64Range(0, 1e17).Draw(t, "before noon"))),
			Zone:     time.FixedZone("portal", 3600*rapid.IntRange(-11, 12).Draw(t, "zone")),
		}
		s.From = s.To.Add(-time.Duration(rapid.Int64Range(1, 5e15).Draw(t, "span")))
		p, err := simulate.New(s)
		if err != nil {
			t.Fatal(err)
		}
		due := int64(0)
		for e := range p.Events() {
			if e.Due < due {
				t.Fatalf("%s is sent at %d, after one that is sent at %d", e.Id, e.Due, due)
			}
			due = e.Due
			if e.Time < s.From.UnixMicro() || e.Time > e.Due || e.Due > s.To.UnixMicro() {
				t.Fatalf("%s happened at %d and was sent at %d, outside of %d to %d",
					e.Id, e.Time, e.Due, s.From.UnixMicro(), s.To.UnixMicro())
			}
			if err := e.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestHerrMueller is the walk of the design: quiet and upscale hotels for two,
// evening after evening up to now, and never a booking.
func TestHerrMueller(t *testing.T) {
	berlin := time.FixedZone("Berlin", 3600)
	for _, seed := range []uint64{1, 2, 3, 4711} {
		p := portal(t, simulate.Settings{Seed: seed, Visitors: 50, From: noon.AddDate(0, -1, 0), To: noon, Zone: berlin})
		nights, views := map[string]int{}, 0
		for e := range p.Events() {
			if e.Device != simulate.MuellerDevice {
				continue
			}
			at := time.UnixMicro(e.Time).In(berlin)
			if at.Hour() < 20 || at.Hour() > 22 {
				t.Errorf("seed %d: he was there at %s, want an evening", seed, at)
			}
			switch e.Kind {
			case schemas.Kind_KIND_OFFER_VIEW:
				views++
				nights[at.Format(time.DateOnly)]++
				if s := e.Offer.Styles; !slices.Contains(s, schemas.Style_STYLE_QUIET) || !slices.Contains(s, schemas.Style_STYLE_UPSCALE) {
					t.Errorf("seed %d: he looked at %v", seed, e.Offer)
				}
			case schemas.Kind_KIND_SEARCH:
				if e.Search.Adults+e.Search.Children > 0 && (e.Search.Adults != 2 || e.Search.Children != 0) {
					t.Errorf("seed %d: he searched for %d and %d children, want for two", seed, e.Search.Adults, e.Search.Children)
				}
			case schemas.Kind_KIND_BOOKING, schemas.Kind_KIND_CART, schemas.Kind_KIND_CHECKOUT:
				t.Errorf("seed %d: %v, but he never books", seed, e.Kind)
			}
		}
		for back := 1; back <= 4; back++ {
			night := noon.AddDate(0, 0, -back).Format(time.DateOnly)
			if nights[night] == 0 {
				t.Errorf("seed %d: he opened no hotel on the evening of %s, only on %v", seed, night, nights)
			}
		}
		if views < 12 {
			t.Errorf("seed %d: he looked at %d hotels, want a researcher's dozen", seed, views)
		}
	}
}

// TestEveryMishapBefallsSomebody looks for each thing that makes real events hard.
func TestEveryMishapBefallsSomebody(t *testing.T) {
	seen := watch(year(t, 7, 2500))
	for _, what := range []string{
		"sent again within a minute", "sent again after a day", "arrived a minute late", "arrived a day late",
		"clock ahead", "clock behind", "device logged in midway", "customer on two devices", "browser naming its user", "consent granted",
		"consent refused", "consent withdrawn", "booking cancelled", "teaser clicked", "bot that says so",
		"bot in disguise", "newsletter", "basket abandoned", "booking with complements",
	} {
		if seen[what] == 0 {
			t.Errorf("in a year nobody's %s", what)
		}
	}
	if n := seen["wrong"]; n > 0 {
		t.Errorf("%d events don't fit what their device did before", n)
	}
}

// watch counts what happens in a portal.
func watch(p *simulate.Portal) map[string]int {
	w := watcher{map[string]int{}, map[string]int64{}, map[string]*device{}, map[string]string{}, map[string]int64{}}
	bots := map[string]bool{}
	for t := range p.Truth() {
		bots[t.Device] = t.Bot
	}
	for e := range p.Events() {
		w.event(e, bots[e.Device])
	}
	for _, d := range w.devices {
		if d.carts > 0 && d.booked == 0 {
			w.seen["basket abandoned"]++
		}
	}
	return w.seen
}

// A watcher remembers what it needs to know what an event is.
type watcher struct {
	seen     map[string]int
	sent     map[string]int64 // by id
	devices  map[string]*device
	customer map[string]string // customer -> a device
	orders   map[string]int64  // order -> amount
}

// device is what one device did.
type device struct {
	events, carts, booked int
	choice                schemas.Choice
	shown                 string // decision
	user                  string // who logged in
}

// event counts one event.
func (w *watcher) event(e client.Event, bot bool) {
	at, again := w.sent[e.Id]
	w.mark(again && e.Due-at <= 60e6, "sent again within a minute")
	w.mark(again && e.Due-at >= 86400e6, "sent again after a day")
	if again {
		return
	}
	w.sent[e.Id] = e.Due
	w.mark(e.Due-e.Time > 60e6, "arrived a minute late")
	w.mark(e.Due-e.Time > 86400e6, "arrived a day late")
	w.mark(e.Skew > 0, "clock ahead")
	w.mark(e.Skew < 0, "clock behind")
	class := e.Context.DeviceClass
	w.mark(bot && class == schemas.DeviceClass_DEVICE_CLASS_BOT, "bot that says so")
	w.mark(bot && class != schemas.DeviceClass_DEVICE_CLASS_BOT, "bot in disguise")
	w.mark(!bot && class == schemas.DeviceClass_DEVICE_CLASS_BOT, "wrong")
	d := w.devices[e.Device]
	if d == nil {
		d = new(device)
		w.devices[e.Device] = d
	}
	phone := class == schemas.DeviceClass_DEVICE_CLASS_MOBILE
	w.mark(d.user != "" && e.User == d.user && !phone, "browser naming its user")
	w.mark(d.user != "" && e.User != d.user && !phone && e.Due == e.Time, "wrong")
	w.kind(e, d)
	d.events++
}

// kind counts what an event says.
func (w *watcher) kind(e client.Event, d *device) {
	switch e.Kind {
	case schemas.Kind_KIND_IDENTIFY:
		w.mark(d.events > 3, "device logged in midway")
		w.mark(d.user != "", "wrong") // logs in twice
		d.user = e.User
		other := w.customer[e.User]
		w.mark(other != "" && other != e.Device, "customer on two devices")
		w.customer[e.User] = e.Device
	case schemas.Kind_KIND_CONSENT:
		denied := e.Choice == schemas.Choice_CHOICE_DENIED
		w.mark(!denied, "consent granted")
		w.mark(denied && d.choice != schemas.Choice_CHOICE_GRANTED, "consent refused")
		w.mark(denied && d.choice == schemas.Choice_CHOICE_GRANTED, "consent withdrawn")
		d.choice = e.Choice
	case schemas.Kind_KIND_CART:
		d.carts++
	case schemas.Kind_KIND_BOOKING:
		d.booked++
		w.orders[e.Order.Id] = e.Order.Amount
		w.mark(len(e.Order.Offers) > 1, "booking with complements")
		w.mark(e.Order.Offers[0] != e.Offer.Id || e.Order.Amount <= 0 || e.Search.Adults == 0, "wrong")
	case schemas.Kind_KIND_CANCELLATION:
		paid, known := w.orders[e.Order.Id]
		w.mark(known && paid == e.Order.Amount, "booking cancelled")
		w.mark(known && paid != e.Order.Amount, "wrong")
	case schemas.Kind_KIND_PLACEMENT_SHOWN:
		d.shown = e.Placement.Decision
	case schemas.Kind_KIND_PLACEMENT_CLICKED:
		w.mark(d.shown == e.Placement.Decision, "teaser clicked")
	case schemas.Kind_KIND_NEWSLETTER:
		w.seen["newsletter"]++
	}
}

// mark counts a thing that is so.
func (w *watcher) mark(so bool, what string) {
	if so {
		w.seen[what]++
	}
}

func TestTruthFitsWhatDevicesDo(t *testing.T) {
	p := year(t, 3, 2500)
	truth := map[string]simulate.Truth{}
	personas := map[string]int{}
	for x := range p.Truth() {
		if _, twice := truth[x.Device]; twice {
			t.Errorf("two truths about %s", x.Device)
		}
		truth[x.Device] = x
		personas[x.Persona]++
	}
	if len(personas) < 12 {
		t.Errorf("got personas %v, want a dozen", personas)
	}
	liked, all := 0, 0
	for e := range p.Events() {
		x, known := truth[e.Device]
		if !known {
			t.Fatalf("no truth about %s", e.Device)
		}
		if e.User != "" && e.User != x.Customer {
			t.Errorf("%s logged in as %s, want %s", e.Device, e.User, x.Customer)
		}
		if e.Kind == schemas.Kind_KIND_SEARCH && e.Search.Adults > 0 && partyOf(e.Search) != x.Party {
			t.Errorf("%s, a %s, searched for %d adults and %d children", x.Persona, x.Party, e.Search.Adults, e.Search.Children)
		}
		if e.Kind == schemas.Kind_KIND_OFFER_VIEW && len(e.Offer.Styles) > 0 && !x.Bot {
			all++
			if slices.ContainsFunc(e.Offer.Styles, func(s schemas.Style) bool { return slices.Contains(x.Styles, s) }) {
				liked++
			}
		}
	}
	if share := float64(liked) / float64(all); share < .75 || share > .99 {
		t.Errorf("%.0f%% of the stays looked at suit the taste, want most and not all", 100*share)
	}
	if m := truth[simulate.MuellerDevice]; m.Customer != simulate.MuellerCustomer || m.Persona != "quiet-upscale-couple" ||
		m.Party != "couple" || m.Season != "summer" || m.Books {
		t.Errorf("the truth about Herr Mueller is %+v", m)
	}
}

// partyOf names who travels.
func partyOf(s *schemas.Search) string {
	switch {
	case s.Children > 0:
		return "family"
	case s.Adults == 1:
		return "solo"
	case s.Adults == 2:
		return "couple"
	}
	return "group"
}

func TestDemandFollowsTheSeason(t *testing.T) {
	p := year(t, 5, 4000)
	persona := map[string]string{}
	for x := range p.Truth() {
		persona[x.Device] = x.Persona
	}
	departs := map[string]map[time.Month]float64{}
	for e := range p.Events() {
		if e.Kind != schemas.Kind_KIND_SEARCH || e.Search.Depart == 0 {
			continue
		}
		who := persona[e.Device]
		if departs[who] == nil {
			departs[who] = map[time.Month]float64{}
		}
		departs[who][time.Unix(int64(e.Search.Depart)*86400, 0).UTC().Month()]++
		departs[who][0]++
	}
	share := func(who string, months ...time.Month) (s float64) {
		for _, m := range months {
			s += departs[who][m] / departs[who][0]
		}
		return s
	}
	for _, tt := range []struct {
		who    string
		months []time.Month
	}{
		{"beach-family", []time.Month{time.July, time.August}},
		{"snow-family", []time.Month{time.December, time.January, time.February, time.March}},
		{"party-group", []time.Month{time.June, time.July, time.August}},
	} {
		if got, flat := share(tt.who, tt.months...), float64(len(tt.months))/12; got < 1.7*flat {
			t.Errorf("%s: %.0f%% of the searches are for %v, want well above the %.0f%% of a flat year",
				tt.who, 100*got, tt.months, 100*flat)
		}
	}
}

func TestCatalogueHasItsPlantedRelations(t *testing.T) {
	p := year(t, 1, 1500)
	offers := p.Offers()
	if len(offers) < 500 || len(offers) > 1000 {
		t.Errorf("got %d offers, want 500 to 1000", len(offers))
	}
	ids := map[string]bool{}
	for _, o := range offers {
		if ids[o.Id] || o.Price <= 0 || o.Latitude == 0 || o.Longitude == 0 || !slices.IsSorted(o.Styles) {
			t.Errorf("offer %v", o.Offer)
		}
		ids[o.Id] = true
		for _, s := range o.Substitutes {
			if !slices.Contains(s.Substitutes, o) || s.Destination != o.Destination || !slices.Equal(s.Styles, o.Styles) {
				t.Errorf("%s stands for %s, but not the other way round", s.Id, o.Id)
			}
		}
		for _, c := range o.Complements {
			if c.Destination != o.Destination || c.Kind == o.Kind {
				t.Errorf("%s goes with %s of another place, or of its own kind", c.Id, o.Id)
			}
		}
	}
	const taste = 20 // without any plan: offers of one kind please the same travellers
	if got := follows(p); got < 2*taste {
		t.Errorf("a substitute is looked at next %.1f times as often as another hotel of the place, want %d", got, 2*taste)
	}
}

// follows is how much likelier, per hotel, a substitute is the next hotel looked
// at than a hotel of the same place that is none.
func follows(p *simulate.Portal) float64 {
	byID := map[string]*simulate.Offer{}
	for _, o := range p.Offers() {
		byID[o.Id] = o
	}
	last := map[string]*simulate.Offer{}
	var planted, others, mates, rest float64
	for e := range p.Events() {
		if e.Kind != schemas.Kind_KIND_OFFER_VIEW {
			continue
		}
		o, prev := byID[e.Offer.Id], last[e.Device]
		last[e.Device] = o
		if prev == nil || prev == o || len(prev.Substitutes) == 0 {
			continue
		}
		switch {
		case slices.Contains(prev.Substitutes, o):
			planted++
		case o.Destination == prev.Destination && o.Kind == prev.Kind:
			others++
		}
		mates += float64(len(prev.Substitutes))
		rest += float64(8 - len(prev.Substitutes))
	}
	return planted / mates / (others / rest)
}

func TestEventsTargetIsMet(t *testing.T) {
	for _, days := range []int{2, 30, 365} {
		p := portal(t, simulate.Settings{Seed: 9, Events: 60_000, From: noon.AddDate(0, 0, -days), To: noon})
		n := 0
		for range p.Events() {
			n++
		}
		if math.Abs(float64(n)/60_000-1) > .15 {
			t.Errorf("over %d days: got %d events, want about 60000", days, n)
		}
	}
}

// TestLiveStreamGoesOnAtItsRate watches the hour after the history.
func TestLiveStreamGoesOnAtItsRate(t *testing.T) {
	const rate = 20.
	p := portal(t, simulate.Settings{Seed: 1, Visitors: 20, From: noon.AddDate(0, 0, -7), To: noon, Rate: rate})
	devices := map[string]bool{}
	n, due := 0, int64(0)
	for e := range p.Events() {
		if e.Due < due || e.Time > e.Due {
			t.Fatalf("%s happened at %d and is due at %d, after one at %d", e.Id, e.Time, e.Due, due)
		}
		due = e.Due
		if due > noon.Add(time.Hour).UnixMicro() {
			break
		}
		devices[e.Device] = true
		if due > noon.UnixMicro() {
			n++
		}
	}
	if got := float64(n) / 3600; math.Abs(got/rate-1) > .2 {
		t.Errorf("got %.1f events a second, want about %.0f", got, rate)
	}
	for x := range p.Truth() {
		delete(devices, x.Device)
	}
	if len(devices) > 0 {
		t.Errorf("no truth about %d devices of the live stream", len(devices))
	}
}

func TestSecondRunHasOtherDevices(t *testing.T) {
	today := map[string]bool{}
	for e := range year(t, 1, 100).Events() {
		today[e.Id] = true
	}
	tomorrow := portal(t, simulate.Settings{Seed: 1, Visitors: 100, From: noon.AddDate(-1, 0, 1), To: noon.AddDate(0, 0, 1)})
	for e := range tomorrow.Events() {
		if today[e.Id] {
			t.Fatalf("tomorrow's event %s would be taken for today's", e.Id)
		}
	}
}

func TestImpossibleSettings(t *testing.T) {
	tests := []struct {
		name string
		s    simulate.Settings
		want string
	}{
		{"nobody", simulate.Settings{From: noon.AddDate(0, 0, -1), To: noon}, "nothing to simulate"},
		{"backwards", simulate.Settings{Visitors: 1, From: noon, To: noon}, "at or after its end"},
		{"before time", simulate.Settings{Visitors: 1, To: noon}, "before 1970"},
		{"negative", simulate.Settings{Visitors: -1, From: noon.AddDate(0, 0, -1), To: noon}, "negative"},
	}
	for _, tt := range tests {
		if _, err := simulate.New(tt.s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want one that says %q", tt.name, err, tt.want)
		}
	}
}

func TestTruthAndOffersAsTables(t *testing.T) {
	p := year(t, 1, 200)
	var truth, offers bytes.Buffer
	if err := p.WriteTruth(&truth); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteOffers(&offers); err != nil {
		t.Fatal(err)
	}
	const mueller = "herr-mueller-laptop,mueller,quiet-upscale-couple,couple,quiet,quiet upscale wellness,summer,false,false\n"
	if !strings.Contains(truth.String(), mueller) {
		t.Errorf("the truth doesn't say %s", mueller)
	}
	rows, err := csv.NewReader(&offers).ReadAll()
	if err != nil || len(rows) != 1+len(p.Offers()) {
		t.Errorf("got %d rows, %v, want a header and %d offers", len(rows), err, len(p.Offers()))
	}
}

// TestPersonasAreDocumented holds the table of docs/simulator.md against the truth.
func TestPersonasAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(doc)) {
		if cells := strings.Split(line, " | "); len(cells) == 12 {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[2] + ": " + cells[3]
		}
	}
	for x := range year(t, 1, 1000).Truth() {
		var styles []string
		for _, s := range x.Styles {
			styles = append(styles, strings.ToLower(strings.TrimPrefix(s.String(), "STYLE_")))
		}
		row := rows[x.Persona]
		if !x.Bot && (!strings.HasPrefix(row, x.Party) || !strings.HasSuffix(row, ": "+strings.Join(styles, " "))) || row == "" {
			t.Fatalf("the table says of %s %q, the truth is %s: %v", x.Persona, row, x.Party, styles)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	p := portal(b, simulate.Settings{Seed: 1, Visitors: 50_000, From: noon.AddDate(0, 0, -90), To: noon})
	b.ReportAllocs()
	n := 0
	for n < b.N {
		for range p.Events() {
			if n++; n == b.N {
				break
			}
		}
	}
}
