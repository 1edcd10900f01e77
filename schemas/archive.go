package schemas

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"google.golang.org/protobuf/proto"
)

// The archive is a chain of Parquet files of this schema, one row an event
// (docs/formats/archive.md). Every field of Event has its column, so that a row
// gives the event back as it lay in the log.

// Span is what a file of the archive holds of its partition: the offsets
// [First, Next), of which Skipped are not events. It lies in the file's footer,
// and the next file of the partition begins at Next.
type Span struct {
	Partition int32
	First     int64 // offset of the first record
	Next      int64 // offset behind the last record
	Epoch     int64 // the greatest cut before First
	Cut       int64 // the run whose cut is the last record; 0: the file ends without a cut
	Rows      int64 // events
	Skipped   int64 // cut records, and records that every reader leaves out
	Bytes     int64 // of the rows, as RowSize counts them; 0: written before they were counted
	CutAt     int64 // when the broker appended the cut, UTC microseconds; 0: no cut, or written before it was noted
}

// EpochAfter is the epoch in which the next file begins.
func (s Span) EpochAfter() int64 { return max(s.Epoch, s.Cut) }

// Check says whether the span accounts for each of its offsets.
func (s Span) Check() error {
	if s.Rows+s.Skipped != s.Next-s.First {
		return fmt.Errorf("%d rows and %d skipped records do not make the %d offsets from %d to %d",
			s.Rows, s.Skipped, s.Next-s.First, s.First, s.Next)
	}
	return nil
}

// spanKeys are the footer's keys, in the order of the fields.
var spanKeys = [...]string{
	"fernweh.partition", "fernweh.first", "fernweh.next", "fernweh.epoch", "fernweh.cut", "fernweh.rows", "fernweh.skipped",
	"fernweh.bytes", "fernweh.cut_at",
}

// alwaysThere is how many of the footer's keys every file has: the others were
// added, and are 0 where they are missing.
const alwaysThere = 7

// Footer is the span as key-value metadata of the Parquet footer.
func (s Span) Footer() (keys, values []string) {
	for _, n := range [len(spanKeys)]int64{int64(s.Partition), s.First, s.Next, s.Epoch, s.Cut, s.Rows, s.Skipped, s.Bytes, s.CutAt} {
		values = append(values, strconv.FormatInt(n, 10))
	}
	return spanKeys[:], values
}

// ParseSpan reads what Footer wrote; find looks a key up.
func ParseSpan(find func(key string) *string) (Span, error) {
	var ns [len(spanKeys)]int64
	for i, key := range spanKeys {
		v := find(key)
		if v == nil && i >= alwaysThere {
			continue
		}
		if v == nil {
			return Span{}, fmt.Errorf("footer lacks %s", key)
		}
		n, err := strconv.ParseInt(*v, 10, 64)
		if err != nil {
			return Span{}, fmt.Errorf("footer %s: %w", key, err)
		}
		ns[i] = n
	}
	s := Span{int32(ns[0]), ns[1], ns[2], ns[3], ns[4], ns[5], ns[6], ns[7], ns[8]}
	return s, s.Check()
}

// Parts of an event that it may lack, as bits of the column "parts".
const (
	partContext = 1 << iota
	partSearch
	partOffer
	partOrder
	partPlacement
	partErasure
	partAction
)

// A column is one column of the archive: how it is typed, what of a record goes
// into it, and how it goes back into an event.
type column struct {
	name   string
	typ    arrow.DataType
	append func(b array.Builder, r *Record)
	bind   func(a arrow.Array) func(i int, r *Record)
}

var utc = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// ArchiveSchema is the Arrow schema of the archive.
func ArchiveSchema() *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ}
	}
	return arrow.NewSchema(fields, nil)
}

// AppendRow appends a record that holds an event to the columns of a builder of
// ArchiveSchema.
func AppendRow(b *array.RecordBuilder, r *Record) {
	for i := range columns {
		columns[i].append(b.Field(i), r)
	}
}

// RowSize is how many bytes a record that holds an event takes in the columns.
func RowSize(r *Record) int64 {
	const perText = 4 // of a list, beside its bytes: where it ends
	texts := len(r.Event.GetSearch().GetFilters()) + len(r.Event.GetOrder().GetOffers())
	return rowBytes + int64(proto.Size(r.Event)) + int64(texts)*perText
}

// rowBytes is what every row takes, of whatever event: numbers, and where each
// text ends.
var rowBytes = func() (n int64) {
	const end = 4
	for _, c := range columns {
		if fixed, ok := c.typ.(arrow.FixedWidthDataType); ok {
			n += int64(fixed.Bytes())
		} else {
			n += end
		}
	}
	return n
}()

// ColumnID is the hash by which the filter knows the event's id; the archive keeps it
// beside the id, since a fold needs nothing else of it.
const ColumnID = "id_hash"

// columnParts is the column that says which parts an event has.
const columnParts = "parts"

// FoldColumns are the columns that a fold reads.
func FoldColumns() []string {
	return []string{
		"offset", ColumnID, "device", "user", "kind", "time", "received", "assumed_consent", "choice", "parts",
		"referrer", "campaign_source", "campaign_name", "device_class",
		"search_destination", "depart", "nights", "adults", "children", "query",
		"offer", "offer_kind", "offer_destination", "styles", "stars", "price",
		"order_amount", "order_currency", "erasure_login",
		"campaign", "campaign_version", "cause", "action_cap", "action_again", "exit_on_booking", "control_group",
	}
}

// AllColumns are the names of all columns.
func AllColumns() []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// A RowReader puts rows of a record batch into records. What it fills it
// overwrites with the next row: nothing of the event may be kept but its strings.
type RowReader struct {
	set   []func(i int, r *Record)
	parts bool // the batch says which parts an event has
	event scratch
}

// scratch is an event with all its parts.
type scratch struct {
	Event
	context   Context
	search    Search
	offer     Offer
	order     Order
	placement Placement
	erasure   Erasure
	action    Action
}

// Bind makes the reader read the columns of a batch, found by name. Columns that
// the batch lacks leave their fields empty, whatever was read before.
func (rr *RowReader) Bind(batch arrow.Record) error {
	rr.set = rr.set[:0]
	rr.event = scratch{}
	rr.parts = len(batch.Schema().FieldIndices(columnParts)) > 0
	for i := range columns {
		at := batch.Schema().FieldIndices(columns[i].name)
		if len(at) == 0 {
			continue
		}
		set := columns[i].bind(batch.Column(at[0]))
		if set == nil {
			return fmt.Errorf("column %s is %s, want %s", columns[i].name, batch.Column(at[0]).DataType(), columns[i].typ)
		}
		rr.set = append(rr.set, set)
	}
	return nil
}

// Read fills r with row i. r.Event stays the reader's own.
func (rr *RowReader) Read(i int, r *Record) {
	s := &rr.event
	*r = Record{Event: &s.Event}
	s.Context, s.Search, s.Offer = &s.context, &s.search, &s.offer
	s.Order, s.Placement, s.Erasure, s.Action = &s.order, &s.placement, &s.erasure, &s.action
	for _, set := range rr.set {
		set(i, r)
	}
	if !rr.parts {
		takeParts(r.Event, 0)
	}
}
