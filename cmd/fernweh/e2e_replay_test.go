package main_test

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bookings is the recorded file, from the folder that FERNWEH_DATA names.
func bookings(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("FERNWEH_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	path, err := filepath.Abs(filepath.Join(dir, "hotel-bookings", "resort.csv.gz"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("the recorded data is not there, set FERNWEH_DATA: %v", err)
	}
	return path
}

// A stay is one row of the file, understood with nothing but the file's own
// description and arithmetic on decimals.
type stay struct {
	row               int
	adults, children  int
	cents             int64 // price a night times nights
	lead              int64 // days
	booked, cancelled time.Time
}

// stays reads the raw file.
func stays(t *testing.T, path string) []stay {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := csv.NewReader(plain)
	header, err := in.Read()
	if err != nil {
		t.Fatal(err)
	}
	var all []stay
	for {
		fields, err := in.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, name := range header {
			row[name] = fields[i]
		}
		s := stayOf(t, row)
		s.row = len(all)
		all = append(all, s)
	}
}

func stayOf(t *testing.T, row map[string]string) (s stay) {
	t.Helper()
	number := func(column string) int64 {
		n, err := strconv.ParseInt(row[column], 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", column, err)
		}
		return n
	}
	arrival, err := time.Parse("2006 January 2", row["arrival_date_year"]+" "+row["arrival_date_month"]+" "+row["arrival_date_day_of_month"])
	if err != nil {
		t.Fatal(err)
	}
	rate, ok := new(big.Rat).SetString(row["adr"])
	if !ok {
		t.Fatalf("adr %q is no number", row["adr"])
	}
	nights := number("stays_in_weekend_nights") + number("stays_in_week_nights")
	sum := rate.Mul(rate, big.NewRat(100*nights, 1))
	if !sum.IsInt() {
		t.Fatalf("%s for %d nights is no whole number of cents", row["adr"], nights)
	}
	s.cents, s.lead = sum.Num().Int64(), number("lead_time")
	s.adults, s.children = int(number("adults")), int(number("children")+number("babies"))
	s.booked = arrival.AddDate(0, 0, -int(s.lead))
	if row["is_canceled"] == "1" {
		if s.cancelled, err = time.Parse(time.DateOnly, row["reservation_status_date"]); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// party is who travels.
func (s stay) party() string {
	switch {
	case s.children > 0:
		return "family"
	case s.adults == 1:
		return "solo"
	case s.adults == 2:
		return "couple"
	case s.adults > 2:
		return "group"
	}
	return ""
}

// TestReplayedBookings sends what a hotel recorded over years through the door
// and compares the answers with the raw file.
func TestReplayedBookings(t *testing.T) {
	path := bookings(t)
	p := newPortal(t)
	p.up()
	replay := fernweh(t, "replay", "--replay-format", "hotel-bookings", "--collector-url", "http://"+p.doors[0], path)
	out, err := replay.CombinedOutput()
	if err != nil {
		t.Fatalf("replay: %v\n%s", err, tailOf(string(out)))
	}
	all := stays(t, path)
	accepted := all[:0:0]
	for _, s := range all {
		if s.cents >= 0 { // the door takes no negative price
			accepted = append(accepted, s)
		}
	}
	if len(all) != 40_060 || len(accepted) != 40_059 {
		t.Fatalf("the file has %d rows, %d with a price; want 40060 and 40059", len(all), len(accepted))
	}
	if want := "51181 accepted, 0 spooled, 1 rejected"; !strings.Contains(string(out), want) {
		t.Errorf("replay said %q, want %q", tailOf(string(out)), want)
	}
	p.batch()
	cancelled, family := months(t, p, accepted), 0
	for _, s := range accepted {
		if s.party() == "family" && !s.cancelled.IsZero() && s.cents > 0 && family < 20 {
			family++
			sameGuest(t, p, s)
		}
	}
	for _, row := range []int{0, 1, 4321, 14_968, 40_059} {
		sameGuest(t, p, all[row])
	}
	if cancelled == 0 || family == 0 {
		t.Errorf("%d cancellations, %d cancelled families: that shows too little", cancelled, family)
	}
}

// month is a calendar month of a day.
func month(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// months compares the portal's numbers of every calendar month, which a window
// can just hold, and returns how many cancellations there were.
func months(t *testing.T, p *portal, all []stay) (cancellations int64) {
	t.Helper()
	type sums struct{ bookings, cancellations, booked, cancelled int64 }
	want := map[time.Time]sums{}
	for _, s := range all {
		m := want[month(s.booked)]
		m.bookings++
		m.booked += s.cents
		want[month(s.booked)] = m
		if !s.cancelled.IsZero() {
			m := want[month(s.cancelled)]
			m.cancellations++
			m.cancelled += s.cents
			want[month(s.cancelled)] = m
			cancellations++
		}
	}
	var total sums
	for from := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC); from.Year() < 2018; from = from.AddDate(0, 1, 0) {
		w := read[window](p, "/v1/kpis?"+url.Values{
			"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 1, 0).Format(time.RFC3339)},
			"measures": {"bookings,cancellations,revenue,refunds"},
		}.Encode())
		got := sums{bookings: w.Measures["bookings"].Value, cancellations: w.Measures["cancellations"].Value}
		for _, r := range w.Revenue {
			if r.Currency == "EUR" {
				got.booked, got.cancelled = r.Booked, r.Cancelled
			}
		}
		if got != want[from] {
			t.Errorf("%s: got %+v, want %+v", from.Format("2006-01"), got, want[from])
		}
		total.bookings += got.bookings
		total.cancellations += got.cancellations
	}
	if total.bookings != int64(len(all)) || total.cancellations != cancellations {
		t.Errorf("all months together: got %d bookings, %d cancellations, want %d, %d",
			total.bookings, total.cancellations, len(all), cancellations)
	}
	return cancellations
}

// sameGuest compares what is known of one guest with the guest's row.
func sameGuest(t *testing.T, p *portal, s stay) {
	t.Helper()
	device := fmt.Sprintf("hotel-bookings-resort-hotel-%06d", s.row)
	got := read[person](p, "/v1/visitors/"+device).Totals
	kinds, paid := map[string]int64{"booking": 1}, money{Currency: "EUR", Booked: s.cents}
	first, last := s.booked, s.booked
	if !s.cancelled.IsZero() {
		kinds["cancellation"], paid.Cancelled, last = 1, s.cents, s.cancelled
	}
	if fmt.Sprint(got.Kinds) != fmt.Sprint(kinds) {
		t.Errorf("%s: got %v, want %v", device, got.Kinds, kinds)
	}
	party := map[string]int64{}
	if who := s.party(); who != "" {
		party[who] = 1
	}
	if fmt.Sprint(got.Party) != fmt.Sprint(party) {
		t.Errorf("%s: party: got %v, want %v", device, got.Party, party)
	}
	if s.cents > 0 && (len(got.Money) != 1 || got.Money[0] != paid) {
		t.Errorf("%s: money: got %v, want %v", device, got.Money, paid)
	}
	if !got.FirstSeen.Truncate(24*time.Hour).Equal(first) || !got.LastSeen.Truncate(24*time.Hour).Equal(last) {
		t.Errorf("%s: got from %v to %v, want the days %v and %v", device, got.FirstSeen, got.LastSeen, first, last)
	}
	if len(got.Destinations) != 1 || got.Destinations[0].Bookings != 1 || got.Destinations[0].Destination != "Resort Hotel" {
		t.Errorf("%s: destinations: got %v, want one booking of Resort Hotel", device, got.Destinations)
	}
}
