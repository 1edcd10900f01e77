package visitor_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

var create = flag.Bool("create", false, "write the golden files that are not there yet")

// golden reads a golden file, which must decode for ever: it is never written over.
func golden(t *testing.T, name string, now []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && *create {
		text = []byte(hex.EncodeToString(now) + "\n")
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

// fullCell is a cell with every part.
func fullCell() *visitor.Cell {
	const minute0 = 28_333_333 // 2023-11-14 22:13 UTC
	var early, late visitor.Counters
	early[schemas.Kind_KIND_SEARCH], early[schemas.Kind_KIND_OFFER_VIEW] = 1, 2
	late[schemas.Kind_KIND_BOOKING], late[len(late)-17] = 300, 1
	return &visitor.Cell{
		Filter: visitor.Filter{
			IDs: []uint64{1, 0xfedcba9876543210}, Login: "K-1001", FirstLogin: "K-7", Nobody: true, FirstGone: true,
			Choice: schemas.Choice_CHOICE_GRANTED, Events: 300, Bytes: 70_000, Booked: 12,
			Campaigns: []visitor.Campaign{{ID: 5, Cause: 40, Accepted: 2, At: 9}, {ID: 1 << 60, Cause: 41}},
			Erased:    1_600_000_000_000_000, ErasedUnnamed: 8, ErasedOthers: 9,
			ErasedLogins: []visitor.ErasedLogin{{Login: 3, At: 5}, {Login: 4, At: 6}},
		},
		Forgot: visitor.Forgotten{All: true, Before: true, Logins: []uint64{3, 4}},
		Units: visitor.Units{Known: []uint64{7, 1 << 63}, Shared: visitor.History{First: 9, Last: 9, Counters: late}, Named: []visitor.Unit{
			{History: visitor.History{
				First: minute0*minute + 1, Last: (minute0+90)*minute + 5,
				Counters: early,
				Minutes: []visitor.Minute{
					{Minute: minute0, First: minute0*minute + 1, Last: minute0*minute + 59_999_999,
						Kinds:  [16]uint16{schemas.Kind_KIND_SEARCH: 1, schemas.Kind_KIND_OFFER_VIEW: 1},
						Places: []visitor.Place{{Destination: "Sylt", Searches: 1, Views: 1}, {Destination: "Südtirol", Bookings: 400}}},
					{Minute: minute0 + 90, First: (minute0+90)*minute + 5, Last: (minute0+90)*minute + 5,
						Kinds: [16]uint16{schemas.Kind_KIND_OFFER_VIEW: 1},
						Money: []visitor.Money{{Currency: "CHF", Booked: 1}, {Currency: "EUR", Booked: 250_000, Cancelled: -3}}},
				},
				Offers: []visitor.Offer{{ID: "h1", Views: 2, Last: (minute0+90)*minute + 5}, {ID: "h2", Bookings: 300, Last: minute0*minute + 1}},
			}},
			{Login: "K-1001", History: visitor.History{First: 7, Last: 7, Counters: late}},
		}},
		Beyond: visitor.Beyond{Counters: late, Money: []visitor.Money{{Currency: "EUR", Booked: 5, Cancelled: 6}},
			Others: visitor.Money{Booked: 1, Cancelled: -2}},
		Aspects: []visitor.Aspect{{ID: 900, Version: 3, From: 1, Through: 500, Bytes: []byte("unknown")}},
		Decided: []visitor.Decided{
			{Offset: 41, Panes: kpi.Deltas{
				{Pane: kpi.Pane{Measure: kpi.Searches, Minute: minute0, Dim: kpi.Dim{By: kpi.ByDestination, Value: "Sylt"}}, N: 1},
				{Pane: kpi.Pane{Measure: kpi.Bounces, Minute: minute0}, N: -1},
				{Pane: kpi.Pane{Measure: kpi.Visitors, Minute: minute0}, N: -2},
			}},
			{Offset: 300, Links: []visitor.LinkChange{{Login: "K-3", Linked: false}, {Login: "K-1001", Linked: true}},
				Reversed: []visitor.Minute{{Minute: minute0, First: minute0 * minute, Last: minute0 * minute,
					Kinds: [16]uint16{schemas.Kind_KIND_PAGE: 1}}},
				Proposed: []visitor.Proposal{{Campaign: "c1", Version: "9f", Cap: 2, Again: 3, ExitOnBooking: true, Control: true}}, Login: "K-1001",
				Said: []visitor.Segment{{Login: "K-3"}, {ID: "s2", Distance: 1.25, Model: "segments-7", Login: "K-1001"}}},
		},
	}
}

// TestCellGolden: a cell that was ever written reads as what it was.
func TestCellGolden(t *testing.T) {
	want := fullCell()
	now, err := want.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := golden(t, "cell-2.hex", now)
	var got visitor.Cell
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("golden cell reads as\n%+v, want\n%+v", got, *want)
	}
	if !bytes.Equal(now, b) {
		t.Errorf("the same cell is written as\n%x, golden\n%x", now, b)
	}
}
