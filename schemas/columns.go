package schemas

import (
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/cespare/xxhash/v2"
)

// columns are the archive's columns in order. A column is never removed and
// never changes its meaning; a reader of an older file finds later columns empty.
// "parts" comes last, because reading it takes away what the event lacked.
var columns = []column{
	number("offset", arrow.PrimitiveTypes.Int64,
		func(r *Record) int64 { return r.Offset }, func(r *Record, v int64) { r.Offset = v }),
	micros("appended", func(r *Record) int64 { return r.At }, func(r *Record, v int64) { r.At = v }),
	text("id", func(e *Event) string { return e.Id }, func(e *Event, v string) { e.Id = v }),
	{ColumnID, arrow.PrimitiveTypes.Uint64,
		func(b array.Builder, r *Record) { b.(*array.Uint64Builder).Append(xxhash.Sum64String(r.Event.Id)) },
		func(arrow.Array) func(int, *Record) { return func(int, *Record) {} },
		func(*Record, *Record) {}},
	text("device", func(e *Event) string { return e.Device }, func(e *Event, v string) { e.Device = v }),
	text("user", func(e *Event) string { return e.User }, func(e *Event, v string) { e.User = v }),
	code("kind", func(e *Event) Kind { return e.Kind }, func(e *Event, v Kind) { e.Kind = v }),
	text("name", func(e *Event) string { return e.Name }, func(e *Event, v string) { e.Name = v }),
	micros("time", func(r *Record) int64 { return r.Event.Time }, func(r *Record, v int64) { r.Event.Time = v }),
	micros("received", func(r *Record) int64 { return r.Event.Received }, func(r *Record, v int64) { r.Event.Received = v }),
	text("source", func(e *Event) string { return e.Source }, func(e *Event, v string) { e.Source = v }),
	code("assumed_consent", func(e *Event) uint8 { return bit(e.AssumedConsent) },
		func(e *Event, v uint8) { e.AssumedConsent = v != 0 }),
	code("choice", func(e *Event) Choice { return e.Choice }, func(e *Event, v Choice) { e.Choice = v }),

	text("path", func(e *Event) string { return e.Context.GetPath() }, func(e *Event, v string) { e.Context.Path = v }),
	text("title", func(e *Event) string { return e.Context.GetTitle() }, func(e *Event, v string) { e.Context.Title = v }),
	text("referrer", func(e *Event) string { return e.Context.GetReferrer() }, func(e *Event, v string) { e.Context.Referrer = v }),
	text("campaign_source", func(e *Event) string { return e.Context.GetCampaignSource() },
		func(e *Event, v string) { e.Context.CampaignSource = v }),
	text("campaign_medium", func(e *Event) string { return e.Context.GetCampaignMedium() },
		func(e *Event, v string) { e.Context.CampaignMedium = v }),
	text("campaign_name", func(e *Event) string { return e.Context.GetCampaignName() },
		func(e *Event, v string) { e.Context.CampaignName = v }),
	text("locale", func(e *Event) string { return e.Context.GetLocale() }, func(e *Event, v string) { e.Context.Locale = v }),
	text("timezone", func(e *Event) string { return e.Context.GetTimezone() }, func(e *Event, v string) { e.Context.Timezone = v }),
	code("device_class", func(e *Event) DeviceClass { return e.Context.GetDeviceClass() },
		func(e *Event, v DeviceClass) { e.Context.DeviceClass = v }),
	text("library", func(e *Event) string { return e.Context.GetLibrary() }, func(e *Event, v string) { e.Context.Library = v }),

	text("search_destination", func(e *Event) string { return e.Search.GetDestination() },
		func(e *Event, v string) { e.Search.Destination = v }),
	small("depart", func(e *Event) int32 { return e.Search.GetDepart() }, func(e *Event, v int32) { e.Search.Depart = v }),
	small("nights", func(e *Event) int32 { return e.Search.GetNights() }, func(e *Event, v int32) { e.Search.Nights = v }),
	small("adults", func(e *Event) int32 { return e.Search.GetAdults() }, func(e *Event, v int32) { e.Search.Adults = v }),
	small("children", func(e *Event) int32 { return e.Search.GetChildren() }, func(e *Event, v int32) { e.Search.Children = v }),
	texts("filters", func(e *Event) []string { return e.Search.GetFilters() }, func(e *Event, v []string) { e.Search.Filters = v }),
	small("results", func(e *Event) int32 { return e.Search.GetResults() }, func(e *Event, v int32) { e.Search.Results = v }),
	text("query", func(e *Event) string { return e.Search.GetQuery() }, func(e *Event, v string) { e.Search.Query = v }),

	text("offer", func(e *Event) string { return e.Offer.GetId() }, func(e *Event, v string) { e.Offer.Id = v }),
	code("offer_kind", func(e *Event) OfferKind { return e.Offer.GetKind() }, func(e *Event, v OfferKind) { e.Offer.Kind = v }),
	text("offer_destination", func(e *Event) string { return e.Offer.GetDestination() },
		func(e *Event, v string) { e.Offer.Destination = v }),
	small("latitude", func(e *Event) int32 { return e.Offer.GetLatitude() }, func(e *Event, v int32) { e.Offer.Latitude = v }),
	small("longitude", func(e *Event) int32 { return e.Offer.GetLongitude() }, func(e *Event, v int32) { e.Offer.Longitude = v }),
	small("styles", func(e *Event) int32 { return styleBits(e.Offer.GetStyles()) },
		func(e *Event, v int32) { e.Offer.Styles = appendStyles(e.Offer.Styles[:0], v) }),
	small("stars", func(e *Event) int32 { return e.Offer.GetStars() }, func(e *Event, v int32) { e.Offer.Stars = v }),
	large("price", func(e *Event) int64 { return e.Offer.GetPrice() }, func(e *Event, v int64) { e.Offer.Price = v }),
	text("currency", func(e *Event) string { return e.Offer.GetCurrency() }, func(e *Event, v string) { e.Offer.Currency = v }),
	code("available", func(e *Event) Choice { return e.Offer.GetAvailable() }, func(e *Event, v Choice) { e.Offer.Available = v }),
	small("quantity", func(e *Event) int32 { return e.Offer.GetQuantity() }, func(e *Event, v int32) { e.Offer.Quantity = v }),

	text("order", func(e *Event) string { return e.Order.GetId() }, func(e *Event, v string) { e.Order.Id = v }),
	large("order_amount", func(e *Event) int64 { return e.Order.GetAmount() }, func(e *Event, v int64) { e.Order.Amount = v }),
	text("order_currency", func(e *Event) string { return e.Order.GetCurrency() }, func(e *Event, v string) { e.Order.Currency = v }),
	texts("order_offers", func(e *Event) []string { return e.Order.GetOffers() }, func(e *Event, v []string) { e.Order.Offers = v }),

	text("slot", func(e *Event) string { return e.Placement.GetSlot() }, func(e *Event, v string) { e.Placement.Slot = v }),
	text("placed_offer", func(e *Event) string { return e.Placement.GetOffer() }, func(e *Event, v string) { e.Placement.Offer = v }),
	text("decision", func(e *Event) string { return e.Placement.GetDecision() }, func(e *Event, v string) { e.Placement.Decision = v }),
	text("arm", func(e *Event) string { return e.Placement.GetArm() }, func(e *Event, v string) { e.Placement.Arm = v }),

	text("erasure_login", func(e *Event) string { return e.Erasure.GetLogin() }, func(e *Event, v string) { e.Erasure.Login = v }),
	text("campaign", func(e *Event) string { return e.Action.GetCampaign() }, func(e *Event, v string) { e.Action.Campaign = v }),
	text("campaign_version", func(e *Event) string { return e.Action.GetVersion() }, func(e *Event, v string) { e.Action.Version = v }),
	large("cause", func(e *Event) int64 { return e.Action.GetCause() }, func(e *Event, v int64) { e.Action.Cause = v }),
	small("action_cap", func(e *Event) int32 { return e.Action.GetCap() }, func(e *Event, v int32) { e.Action.Cap = v }),
	large("action_again", func(e *Event) int64 { return e.Action.GetAgain() }, func(e *Event, v int64) { e.Action.Again = v }),
	code("exit_on_booking", func(e *Event) uint8 { return bit(e.Action.GetExitOnBooking()) },
		func(e *Event, v uint8) { e.Action.ExitOnBooking = v != 0 }),
	code("control_group", func(e *Event) uint8 { return bit(e.Action.GetControl()) }, func(e *Event, v uint8) { e.Action.Control = v != 0 }),
	text("properties", func(e *Event) string { return e.Properties }, func(e *Event, v string) { e.Properties = v }),
	code(columnParts, parts, takeParts),
}

// parts says which parts an event has; takeParts takes away the others.
func parts(e *Event) uint8 {
	return bit(e.Context != nil)*partContext | bit(e.Search != nil)*partSearch | bit(e.Offer != nil)*partOffer |
		bit(e.Order != nil)*partOrder | bit(e.Placement != nil)*partPlacement | bit(e.Erasure != nil)*partErasure | bit(e.Action != nil)*partAction
}

func takeParts(e *Event, has uint8) {
	if has&partContext == 0 {
		e.Context = nil
	}
	if has&partSearch == 0 {
		e.Search = nil
	}
	if has&partOffer == 0 {
		e.Offer = nil
	}
	if has&partOrder == 0 {
		e.Order = nil
	}
	if has&partPlacement == 0 {
		e.Placement = nil
	}
	if has&partErasure == 0 {
		e.Erasure = nil
	}
	if has&partAction == 0 {
		e.Action = nil
	}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// styleBits packs styles, each at the bit of its number.
func styleBits(styles []Style) int32 {
	var bits int32
	for _, s := range styles {
		if s > 0 && s < 31 {
			bits |= 1 << s
		}
	}
	return bits
}

func appendStyles(styles []Style, bits int32) []Style {
	for s := Style(1); bits>>s != 0; s++ {
		if bits>>s&1 != 0 {
			styles = append(styles, s)
		}
	}
	return styles
}

// number is a column of 64-bit numbers.
func number(name string, typ arrow.DataType, get func(*Record) int64, set func(*Record, int64)) column {
	return column{name, typ,
		func(b array.Builder, r *Record) { b.(*array.Int64Builder).Append(get(r)) },
		func(a arrow.Array) func(int, *Record) {
			x, ok := a.(*array.Int64)
			if !ok {
				return nil
			}
			values := x.Int64Values()
			return func(i int, r *Record) { set(r, values[i]) }
		},
		func(from, to *Record) { set(to, get(from)) }}
}

func large(name string, get func(*Event) int64, set func(*Event, int64)) column {
	return number(name, arrow.PrimitiveTypes.Int64,
		func(r *Record) int64 { return get(r.Event) }, func(r *Record, v int64) { set(r.Event, v) })
}

// micros is a column of times in UTC microseconds.
func micros(name string, get func(*Record) int64, set func(*Record, int64)) column {
	return column{name, utc,
		func(b array.Builder, r *Record) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(get(r))) },
		func(a arrow.Array) func(int, *Record) {
			x, ok := a.(*array.Timestamp)
			if !ok {
				return nil
			}
			values := x.TimestampValues()
			return func(i int, r *Record) { set(r, int64(values[i])) }
		},
		func(from, to *Record) { set(to, get(from)) }}
}

// small is a column of 32-bit numbers.
func small(name string, get func(*Event) int32, set func(*Event, int32)) column {
	return column{name, arrow.PrimitiveTypes.Int32,
		func(b array.Builder, r *Record) { b.(*array.Int32Builder).Append(get(r.Event)) },
		func(a arrow.Array) func(int, *Record) {
			x, ok := a.(*array.Int32)
			if !ok {
				return nil
			}
			values := x.Int32Values()
			return func(i int, r *Record) { set(r.Event, values[i]) }
		},
		func(from, to *Record) { set(to.Event, get(from.Event)) }}
}

// code is a column of enumerated values.
func code[T ~int32 | ~uint8](name string, get func(*Event) T, set func(*Event, T)) column {
	return column{name, arrow.PrimitiveTypes.Uint8,
		func(b array.Builder, r *Record) { b.(*array.Uint8Builder).Append(uint8(get(r.Event))) },
		func(a arrow.Array) func(int, *Record) {
			x, ok := a.(*array.Uint8)
			if !ok {
				return nil
			}
			values := x.Uint8Values()
			return func(i int, r *Record) { set(r.Event, T(values[i])) }
		},
		func(from, to *Record) { set(to.Event, T(uint8(get(from.Event)))) }}
}

// text is a column of strings, which may come as a dictionary.
func text(name string, get func(*Event) string, set func(*Event, string)) column {
	return column{name, arrow.BinaryTypes.String,
		func(b array.Builder, r *Record) { b.(*array.StringBuilder).Append(get(r.Event)) },
		func(a arrow.Array) func(int, *Record) {
			switch x := a.(type) {
			case *array.String:
				return func(i int, r *Record) { set(r.Event, strings.Clone(x.Value(i))) }
			case *array.Dictionary:
				values, indices := Dictionary(x)
				if values == nil {
					return nil
				}
				return func(i int, r *Record) { set(r.Event, values[indices[i]]) }
			}
			return nil
		},
		func(from, to *Record) { set(to.Event, get(from.Event)) }}
}

// Dictionary takes a dictionary of strings apart: its values, as strings of
// their own, and each row's index. Both are nil if it is of another type.
func Dictionary(a *array.Dictionary) (values []string, indices []int32) {
	dict, ok := a.Dictionary().(*array.String)
	if !ok {
		return nil, nil
	}
	index, ok := a.Indices().(*array.Int32)
	if !ok {
		return nil, nil
	}
	values = make([]string, dict.Len())
	for i := range values {
		values[i] = strings.Clone(dict.Value(i))
	}
	return values, index.Int32Values()
}

// texts is a column of lists of strings.
func texts(name string, get func(*Event) []string, set func(*Event, []string)) column {
	return column{name, arrow.ListOfNonNullable(arrow.BinaryTypes.String),
		func(b array.Builder, r *Record) {
			list := b.(*array.ListBuilder)
			list.Append(true)
			for _, s := range get(r.Event) {
				list.ValueBuilder().(*array.StringBuilder).Append(s)
			}
		},
		func(a arrow.Array) func(int, *Record) {
			list, ok := a.(*array.List)
			if !ok {
				return nil
			}
			values, ok := list.ListValues().(*array.String)
			if !ok {
				return nil
			}
			return func(i int, r *Record) {
				from, to := list.ValueOffsets(i)
				var out []string
				for j := from; j < to; j++ {
					out = append(out, strings.Clone(values.Value(int(j))))
				}
				set(r.Event, out)
			}
		},
		func(from, to *Record) { set(to.Event, get(from.Event)) }}
}
