package replay

import (
	"fmt"
	"strings"
	"time"

	"fernweh/schemas"
)

// hotelBookings is the layout of Antonio, de Almeida and Nunes 2019: a row is a
// booking of a hotel. It names no guest, so each row is a device of its own; it
// has days without hours, so what it tells is said of noon, UTC: that is the same
// day from UTC-12 to UTC+11.
func hotelBookings() Format {
	return Format{
		Name:  "hotel-bookings",
		About: "bookings and cancellations of a hotel (Antonio, de Almeida, Nunes 2019)",
		columns: []string{"hotel", "is_canceled", "lead_time", "arrival_date_year", "arrival_date_month",
			"arrival_date_week_number", "arrival_date_day_of_month", "stays_in_weekend_nights", "stays_in_week_nights",
			"adults", "children", "babies", "meal", "country", "market_segment", "distribution_channel",
			"is_repeated_guest", "previous_cancellations", "previous_bookings_not_canceled", "reserved_room_type",
			"assigned_room_type", "booking_changes", "deposit_type", "agent", "company", "days_in_waiting_list",
			"customer_type", "adr", "required_car_parking_spaces", "total_of_special_requests",
			"reservation_status", "reservation_status_date"},
		comma: ',',
		open:  func(string) (tell, error) { return booking, nil },
	}
}

// booking is one row: a booking at arrival minus lead time, and a cancellation
// on the day it was cancelled or the guest did not appear.
func booking(r *row) []*schemas.Event {
	arrival := arrivalOf(r)
	hotel := slug(r.id("hotel"))
	device := fmt.Sprintf("hotel-bookings-%s-%06d", hotel, r.number)
	order, trip, extra := stay(r, device, arrival)
	room := slug(r.id("reserved_room_type"))
	lead := int(r.whole("lead_time", 0, 3650))
	events := []*schemas.Event{{
		Id:         device + "-0",
		Device:     device,
		Kind:       schemas.Kind_KIND_BOOKING,
		Time:       noon(arrival.AddDate(0, 0, -lead)),
		Search:     trip,
		Order:      order,
		Properties: extra,
		Offer: &schemas.Offer{
			Id:          hotel + "-" + room,
			Kind:        schemas.OfferKind_OFFER_KIND_HOTEL,
			Destination: trip.Destination,
			Price:       price(r),
			Currency:    currency,
		},
	}}
	order.Offers = []string{events[0].Offer.Id}
	if r.one("is_canceled", "0", "1") == "0" {
		return events
	}
	return append(events, cancellation(r, device, order))
}

// currency is that of the hotels' country; the file doesn't say.
const currency = "EUR"

// price is the average daily rate.
func price(r *row) int64 { return r.fixed("adr", 2, -100_000_00, 100_000_00) }

// cancellation takes the order back, a second after the booking if that was on
// the same day.
func cancellation(r *row, device string, order *schemas.Order) *schemas.Event {
	day := r.date("reservation_status_date")
	status := r.one("reservation_status", "Canceled", "No-Show")
	return &schemas.Event{
		Id:         device + "-1",
		Device:     device,
		Kind:       schemas.Kind_KIND_CANCELLATION,
		Time:       noon(day) + time.Second.Microseconds(),
		Order:      &schemas.Order{Id: order.Id, Amount: order.Amount, Currency: order.Currency},
		Properties: properties(cancellationExtra{status}),
	}
}

// cancellationExtra says how a booking ended.
type cancellationExtra struct {
	Status string `json:"status"`
}

// arrivalOf is the day of arrival, told in three columns.
func arrivalOf(r *row) time.Time {
	month := r.month("arrival_date_month")
	year := int(r.whole("arrival_date_year", 1990, 2100))
	day := int(r.whole("arrival_date_day_of_month", 1, 31))
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day {
		r.wrong("arrival_date_day_of_month", fmt.Sprintf("a day of %s %d", month, year))
	}
	return t
}

// stay is what was booked: the order, the trip, and what the events have no
// field for.
func stay(r *row, id string, arrival time.Time) (*schemas.Order, *schemas.Search, string) {
	nights := r.whole("stays_in_weekend_nights", 0, 1000) + r.whole("stays_in_week_nights", 0, 1000)
	order := &schemas.Order{Id: id, Amount: price(r) * nights, Currency: currency}
	trip := &schemas.Search{
		Destination: r.id("hotel"),
		Depart:      int32(arrival.Unix() / 86400),
		Nights:      int32(nights),
		Adults:      int32(r.whole("adults", 0, 1000)),
		Children:    children(r) + int32(r.whole("babies", 0, 1000)),
		Results:     -1,
	}
	return order, trip, properties(bookingExtra{
		Meal:        said(r, "meal"),
		Country:     said(r, "country"),
		Segment:     said(r, "market_segment"),
		Channel:     said(r, "distribution_channel"),
		Customer:    said(r, "customer_type"),
		Deposit:     said(r, "deposit_type"),
		Agent:       said(r, "agent"),
		Company:     said(r, "company"),
		Repeated:    r.one("is_repeated_guest", "0", "1") == "1",
		SpecialWish: r.whole("total_of_special_requests", 0, 100),
	})
}

// bookingExtra is what a booking's row tells beyond the fields of an event.
type bookingExtra struct {
	Meal        string `json:"meal,omitempty"`
	Country     string `json:"country,omitempty"`
	Segment     string `json:"market_segment,omitempty"`
	Channel     string `json:"distribution_channel,omitempty"`
	Customer    string `json:"customer_type,omitempty"`
	Deposit     string `json:"deposit_type,omitempty"`
	Agent       string `json:"agent,omitempty"`
	Company     string `json:"company,omitempty"`
	Repeated    bool   `json:"is_repeated_guest"`
	SpecialWish int64  `json:"total_of_special_requests"`
}

// said is a text, empty where the file marks it as not known.
func said(r *row, column string) string {
	v := r.text(column)
	if v == "NULL" || v == "Undefined" {
		return ""
	}
	return v
}

// children is their number; the City Hotel's file has four rows that don't know.
func children(r *row) int32 {
	if r.text("children") == "NA" {
		return 0
	}
	return int32(r.whole("children", 0, 1000))
}

// noon is the middle of a day, in UTC microseconds.
func noon(day time.Time) int64 { return day.UnixMicro() + 12*time.Hour.Microseconds() }

// slug is a name as part of an id.
func slug(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
