package replay_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fernweh/ingest/client"
	"fernweh/ingest/replay"
	"fernweh/schemas"
)

// recorded is a file of the real data. A test without the data has proved
// nothing, so it fails.
func recorded(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("FERNWEH_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("the recorded data is not there, set FERNWEH_DATA: %v", err)
	}
	return file
}

// read replays a file.
func read(t testing.TB, format, file string) []client.Event {
	t.Helper()
	f, err := replay.Lookup(format)
	if err != nil {
		t.Fatal(err)
	}
	events, err := f.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// table is a file as encoding/csv alone sees it, row by column.
func table(t testing.TB, file string, comma rune) []map[string]string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	c := csv.NewReader(plain)
	c.Comma = comma
	all, err := c.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, fields := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = fields[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// number is a cell that is a number.
func number(t testing.TB, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// inOrder checks what must hold of every replay: whole events, in order of time,
// each id once. It gives the number of those that no log can hold.
func inOrder(t testing.TB, events []client.Event) (refused int) {
	t.Helper()
	ids := map[string]bool{}
	for i, e := range events {
		if e.Device == "" || e.Id == "" || e.Kind == 0 {
			t.Fatalf("event %v lacks a device, an id or a kind", e.Event)
		}
		if ids[e.Id] {
			t.Fatalf("two events have the id %s", e.Id)
		}
		ids[e.Id] = true
		if e.Check() != nil {
			refused++
		}
		if i > 0 && e.Time < events[i-1].Time {
			t.Fatalf("%s happened before %s, but is sent after it", e.Id, events[i-1].Id)
		}
		if e.Due != 0 || e.Skew != 0 {
			t.Fatalf("%s waits until %d with skew %s, want its own time and to be sent at once", e.Id, e.Due, e.Skew)
		}
	}
	return refused
}

func TestHotelBookings(t *testing.T) {
	file := recorded(t, "hotel-bookings/resort.csv.gz")
	events := read(t, "hotel-bookings", file)
	if refused := inOrder(t, events); refused > 0 {
		t.Errorf("%d events can't be taken into the log", refused)
	}

	var booked, cancelled int
	var revenue, back int64
	nights, guests := int32(0), int32(0)
	arrivals := map[int32]int{}
	byID := map[string]client.Event{}
	for _, e := range events {
		byID[e.Id] = e
		switch e.Kind {
		case schemas.Kind_KIND_BOOKING:
			booked++
			revenue += e.Order.Amount
			nights += e.Search.Nights
			guests += e.Search.Adults + e.Search.Children
			arrivals[e.Search.Depart]++
		case schemas.Kind_KIND_CANCELLATION:
			cancelled++
			back += e.Order.Amount
		}
	}
	rows := table(t, file, ',')
	var wantRevenue, wantBack, wantNights, wantGuests float64
	wantCancelled := 0
	for _, r := range rows {
		stay := number(t, r["stays_in_weekend_nights"]) + number(t, r["stays_in_week_nights"])
		wantNights += stay
		wantGuests += number(t, r["adults"]) + number(t, r["children"]) + number(t, r["babies"])
		wantRevenue += number(t, r["adr"]) * stay
		if r["reservation_status"] != "Check-Out" {
			wantCancelled++
			wantBack += number(t, r["adr"]) * stay
		}
	}
	if booked != len(rows) || cancelled != wantCancelled || booked != 40060 || cancelled != 11122 {
		t.Errorf("got %d bookings, %d cancellations, want %d and %d", booked, cancelled, len(rows), wantCancelled)
	}
	if want := math.Round(wantRevenue * 100); float64(revenue) != want {
		t.Errorf("got bookings of %d cents, want %.0f", revenue, want)
	}
	if want := math.Round(wantBack * 100); float64(back) != want {
		t.Errorf("got cancellations of %d cents, want %.0f", back, want)
	}
	if float64(nights) != wantNights || float64(guests) != wantGuests {
		t.Errorf("got %d nights and %d guests, want %.0f and %.0f", nights, guests, wantNights, wantGuests)
	}
	oneBooking(t, byID, rows[100], 100)
	arrivalsByDay(t, arrivals, rows)
}

// oneBooking compares one row field by field.
func oneBooking(t *testing.T, byID map[string]client.Event, row map[string]string, n int) {
	t.Helper()
	id := "hotel-bookings-resort-hotel-" + strings.Repeat("0", 6-len(strconv.Itoa(n))) + strconv.Itoa(n)
	e, found := byID[id+"-0"]
	if !found || e.Device != id {
		t.Fatalf("row %d has no booking %s-0", n, id)
	}
	arrival, err := time.Parse("2006 January 2", row["arrival_date_year"]+" "+row["arrival_date_month"]+" "+row["arrival_date_day_of_month"])
	if err != nil {
		t.Fatal(err)
	}
	lead := time.Duration(number(t, row["lead_time"])) * 24 * time.Hour
	if got, want := time.UnixMicro(e.Time).UTC(), arrival.Add(12*time.Hour-lead); !got.Equal(want) {
		t.Errorf("%s was booked %s, want %s", id, got, want)
	}
	var extra map[string]any
	if err := json.Unmarshal([]byte(e.Properties), &extra); err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"meal", "country", "market_segment"} {
		if extra[column] != row[column] {
			t.Errorf("%s: %s is %v, want %s", id, column, extra[column], row[column])
		}
	}
	if want := "resort-hotel-" + strings.ToLower(row["reserved_room_type"]); e.Offer.Id != want {
		t.Errorf("%s: offer is %s, want %s", id, e.Offer.Id, want)
	}
}

// arrivalsByDay compares the trips with the file's own calendar.
func arrivalsByDay(t *testing.T, got map[int32]int, rows []map[string]string) {
	t.Helper()
	want := map[int32]int{}
	for _, r := range rows {
		day, err := time.Parse("2006 January 2", r["arrival_date_year"]+" "+r["arrival_date_month"]+" "+r["arrival_date_day_of_month"])
		if err != nil {
			t.Fatal(err)
		}
		want[int32(day.Unix()/86400)]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("got arrivals on %d days, want %d days, or other numbers on them", len(got), len(want))
	}
}

func TestYoochooseClicks(t *testing.T) {
	for _, tt := range []struct {
		file             string
		clicks, sessions int
	}{
		{"yoochoose-100k/train.tsv.gz", 70278, 17794},
		{"yoochoose-100k/test.tsv.gz", 13568, 3416},
	} {
		file := recorded(t, tt.file)
		events := read(t, "yoochoose-100k", file)
		if refused := inOrder(t, events); refused > 0 {
			t.Errorf("%s: %d events can't be taken into the log", tt.file, refused)
		}
		clicks := map[string][]string{}
		for _, e := range events {
			clicks[e.Device] = append(clicks[e.Device], e.Offer.Id)
		}
		if len(events) != tt.clicks || len(clicks) != tt.sessions {
			t.Errorf("%s: got %d clicks of %d devices, want %d of %d", tt.file, len(events), len(clicks), tt.clicks, tt.sessions)
		}
		rows := table(t, file, '\t')
		slices.SortStableFunc(rows, func(a, b map[string]string) int {
			return int(math.Copysign(1, number(t, a["Time"])-number(t, b["Time"])))
		})
		want := map[string][]string{}
		var sum int64
		for _, r := range rows {
			d := "yoochoose-" + r["SessionId"]
			want[d] = append(want[d], r["ItemId"])
			sum += int64(math.Round(number(t, r["Time"]) * 1000))
		}
		if !maps.EqualFunc(clicks, want, slices.Equal) {
			t.Errorf("%s: the sessions are not those of the file", tt.file)
		}
		for _, e := range events {
			sum -= e.Time / 1000
		}
		if sum != 0 {
			t.Errorf("%s: the times are off by %d ms in sum", tt.file, sum)
		}
	}
}

func TestFlickrTours(t *testing.T) {
	before1970 := map[string]int{"glasgow": 3}
	for city, users := range map[string]int{"osaka": 450, "glasgow": 601, "edinburgh": 1454} {
		file := recorded(t, "flickr-tours/"+city+"-traj.csv.gz")
		events := read(t, "flickr-tours", file)
		if refused, want := inOrder(t, events), before1970[city]; refused != want {
			t.Errorf("%s: %d visits can't be taken into the log, want the %d before 1970", city, refused, want)
		}
		rows := table(t, file, ',')
		devices, places := map[string]bool{}, map[string]int{}
		for _, e := range events {
			devices[e.Device] = true
			places[e.Offer.Id]++
			if e.Offer.Destination != city || e.Offer.Latitude == 0 || e.Offer.Longitude == 0 {
				t.Fatalf("%s is at %v", e.Id, e.Offer)
			}
		}
		want := map[string]int{}
		for _, r := range rows {
			want[city+"-"+r["poiID"]]++
		}
		if len(events) != len(rows) || len(devices) != users || !maps.Equal(places, want) {
			t.Errorf("%s: got %d visits of %d devices to %v, want %d of %d to %v",
				city, len(events), len(devices), places, len(rows), users, want)
		}
	}
	const castle = `"theme":"Historical"`
	found := slices.ContainsFunc(read(t, "flickr-tours", recorded(t, "flickr-tours/edinburgh-traj.csv.gz")),
		func(e client.Event) bool {
			return e.Offer.Id == "edinburgh-1" && e.Offer.Latitude == 55_948_847 && e.Offer.Longitude == -3_199_862 &&
				strings.Contains(e.Properties, castle)
		})
	if !found {
		t.Error("nobody was at edinburgh-1, where the file of places has it")
	}
}

func TestSecondReplayIsTheSame(t *testing.T) {
	file := recorded(t, "flickr-tours/osaka-traj.csv.gz")
	wire := func() string {
		var b []byte
		for _, e := range read(t, "flickr-tours", file) {
			var err error
			if b, err = e.AppendJSON(b); err != nil {
				t.Fatal(err)
			}
		}
		return string(b)
	}
	if wire() != wire() {
		t.Error("the same file gave other events the second time")
	}
}

// save writes a file of a test.
func save(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// header is the hotel's, and fine a row of it.
const (
	header = "hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_week_number," +
		"arrival_date_day_of_month,stays_in_weekend_nights,stays_in_week_nights,adults,children,babies,meal,country," +
		"market_segment,distribution_channel,is_repeated_guest,previous_cancellations,previous_bookings_not_canceled," +
		"reserved_room_type,assigned_room_type,booking_changes,deposit_type,agent,company,days_in_waiting_list," +
		"customer_type,adr,required_car_parking_spaces,total_of_special_requests,reservation_status,reservation_status_date\n"
	fine = "Resort Hotel,1,342,2015,July,27,1,0,2,2,1,0,BB,PRT,Direct,Direct,0,0,0,C,C,3,No Deposit,NULL,NULL,0," +
		"Transient,82.5,0,0,Canceled,2015-06-01\n"
)

func TestBadFilesAreNamedByLineAndColumn(t *testing.T) {
	tests := []struct {
		name, format, file, content string
		want                        []string
	}{
		{"empty", "hotel-bookings", "h.csv", "", []string{"h.csv", "line 1", "want a header"}},
		{"other file", "hotel-bookings", "h.csv", "a,b\n1,2\n", []string{"line 1", `column 1 is "a", want "hotel"`}},
		{"column missing", "yoochoose-100k", "y.tsv", "SessionId\tItemId\n", []string{"line 1", `want "Time"`}},
		{"column too many", "yoochoose-100k", "y.tsv", "SessionId\tItemId\tTime\tPrice\n", []string{`column 4 is "Price"`}},
		{"row cut short", "hotel-bookings", "h.csv", header + fine + "Resort Hotel,0\n", []string{"h.csv", "line 3", "wrong number of fields"}},
		{"no number", "hotel-bookings", "h.csv", header + fine + strings.Replace(fine, ",342,", ",many,", 1),
			[]string{"line 3", "column lead_time", `"many"`, "a whole number from 0"}},
		{"no such day", "hotel-bookings", "h.csv", header + strings.Replace(fine, ",27,1,", ",27,32,", 1),
			[]string{"line 2", "column arrival_date_day_of_month", "from 1 to 31"}},
		{"no such day of the month", "hotel-bookings", "h.csv", header + strings.Replace(fine, "July,27,1,", "June,27,31,", 1),
			[]string{"line 2", `"31" is not a day of June 2015`}},
		{"no price", "hotel-bookings", "h.csv", header + strings.Replace(fine, "82.5", "82,5", 1), []string{"line 2", "wrong number"}},
		{"price too fine", "hotel-bookings", "h.csv", header + strings.Replace(fine, "82.5", "82.505", 1),
			[]string{"column adr", "at most 2 places"}},
		{"cancelled, but left", "hotel-bookings", "h.csv", header + strings.Replace(fine, "Canceled", "Check-Out", 1),
			[]string{"column reservation_status", "one of Canceled, No-Show"}},
		{"no time", "yoochoose-100k", "y.tsv", "SessionId\tItemId\tTime\n1\t2\tnoon\n", []string{"line 2", "column Time", `"noon"`}},
		{"no session", "yoochoose-100k", "y.tsv", "SessionId\tItemId\tTime\n\t2\t7\n", []string{"line 2", "column SessionId"}},
		{"name without city", "flickr-tours", "tours.csv", "", []string{"CITY-traj.csv"}},
		{"no places beside", "flickr-tours", "bonn-traj.csv", "", []string{"bonn-poi.csv", "no such file"}},
		{"no file", "yoochoose-100k", "", "", []string{"no such file"}},
		{"gzip cut in half", "yoochoose-100k", "y.tsv.gz", "\x1f\x8b\x08\x00", []string{"y.tsv.gz", "unexpected EOF"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := replay.Lookup(tt.format)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "none")
			if tt.file != "" {
				file = save(t, tt.file, tt.content)
			}
			_, err = f.Read(file)
			if err == nil {
				t.Fatal("it was read without error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %q, want one that says %q", err, want)
				}
			}
		})
	}
}

func TestUnknownFormatNamesTheKnown(t *testing.T) {
	_, err := replay.Lookup("parquet")
	if err == nil || !strings.Contains(err.Error(), "flickr-tours, hotel-bookings, yoochoose-100k") {
		t.Errorf("got error %v, want one that lists the formats", err)
	}
}

func TestCancellationFollowsABookingOfTheSameDay(t *testing.T) {
	row := strings.Replace(fine, ",342,", ",30,", 1)
	events := read(t, "hotel-bookings", save(t, "h.csv", header+row)) // both on 2015-06-01
	if len(events) != 2 || events[0].Kind != schemas.Kind_KIND_BOOKING || events[1].Time-events[0].Time != 1e6 {
		t.Errorf("got %v, want a booking and, a second later, its cancellation", events)
	}
	if events[1].Order.Id != events[0].Order.Id || events[1].Order.Amount != 165_00 {
		t.Errorf("got order %v cancelled, want %v", events[1].Order, events[0].Order)
	}
}

// fuzz reads any content as a file of a format: an error that names a line, or
// events that may go into the log and onto the wire.
func fuzz(f *testing.F, format, name string) {
	f.Fuzz(func(t *testing.T, content string) {
		layout, err := replay.Lookup(format)
		if err != nil {
			t.Fatal(err)
		}
		file := save(t, name, content)
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "bonn-poi.csv"),
			[]byte("poiID,poiCat,poiLon,poiLat\n1,Museum,7.1,50.7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		events, err := layout.Read(file)
		if err != nil {
			gz := strings.HasPrefix(content, "\x1f\x8b")
			if !gz && !strings.Contains(err.Error(), "line ") {
				t.Errorf("the error %q names no line", err)
			}
			return
		}
		inOrder(t, events)
		for _, e := range events {
			if b, err := e.AppendJSON(nil); err != nil || !json.Valid(b) {
				t.Errorf("%s on the wire is %s, %v", e.Id, b, err)
			}
		}
	})
}

func FuzzHotelBookings(f *testing.F) {
	f.Add(header + fine)
	f.Add(header + fine + fine + "Resort Hotel,0")
	f.Add(strings.ReplaceAll(header, ",", ";"))
	fuzz(f, "hotel-bookings", "h.csv")
}

func FuzzYoochoose(f *testing.F) {
	f.Add("SessionId\tItemId\tTime\n3\t214716935\t1396437466.94\n3\t214832672\t1396438212.318\n")
	f.Add("SessionId\tItemId\tTime\n\"\t'\t-1\n")
	fuzz(f, "yoochoose-100k", "y.tsv")
}

func FuzzFlickrTours(f *testing.F) {
	f.Add("userID,trajID,poiID,startTime,endTime,numPhotos,trajLen,poiDuration\n1,1,1,1168492531,1168492558,3,1,27\n")
	f.Add("userID,trajID,poiID,startTime,endTime,numPhotos,trajLen,poiDuration\n1,1,2,9,8,3,1,27\n")
	fuzz(f, "flickr-tours", "bonn-traj.csv")
}
