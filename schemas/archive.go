package schemas

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// The archive is a chain of Parquet files of this schema, one row a record
// (docs/formats/archive.md). Every field of Event has its column; what they do not
// say lies beside them, so that a row gives the record back as it lay in the log.

// Span is what a file of the archive holds of its partition: the offsets
// [First, Next), each in a row of its own. It lies in the file's footer, and the
// next file of the partition begins at Next.
type Span struct {
	Partition int32
	First     int64 // offset of the first record
	Next      int64 // offset behind the last record
	Epoch     int64 // the greatest cut before First
	Cut       int64 // the run whose cut is the last record; 0: the file ends without a cut
	Rows      int64 // that the archiver read as events
	Skipped   int64 // offsets without a row: files of v0.1.0 kept events only
	Bytes     int64 // of the rows, as ArchiveRow.Size counts them; 0: written before they were counted
	CutAt     int64 // when the broker appended the cut, UTC microseconds; 0: no cut, or written before it was noted
	Raw       int64 // rows of everything else: control records, and what the archiver left out
	Fold      int64 // FoldVersion of the archiver, which said what is an event; 0: written before it was noted
	Stubs     int64 // rows that an erasure has left as stubs
}

// All is the number of rows, of events and of everything else.
func (s Span) All() int64 { return s.Rows + s.Raw }

// EpochAfter is the epoch in which the next file begins.
func (s Span) EpochAfter() int64 { return max(s.Epoch, s.Cut) }

// Check says whether the span accounts for each of its offsets.
func (s Span) Check() error {
	if s.Rows+s.Raw+s.Skipped != s.Next-s.First || min(s.Rows, s.Raw, s.Skipped) < 0 {
		return fmt.Errorf("%d rows, %d raw rows and %d skipped records do not make the %d offsets from %d to %d",
			s.Rows, s.Raw, s.Skipped, s.Next-s.First, s.First, s.Next)
	}
	return nil
}

// spanKeys are the footer's keys, in the order of the fields.
var spanKeys = [...]string{
	"fernweh.partition", "fernweh.first", "fernweh.next", "fernweh.epoch", "fernweh.cut", "fernweh.rows", "fernweh.skipped",
	"fernweh.bytes", "fernweh.cut_at", "fernweh.raw", "fernweh.fold", "fernweh.stubs",
}

// alwaysThere is how many of the footer's keys every file has: the others were
// added, and are 0 where they are missing.
const alwaysThere = 7

// Footer is the span as key-value metadata of the Parquet footer.
func (s Span) Footer() (keys, values []string) {
	for _, n := range [len(spanKeys)]int64{
		int64(s.Partition), s.First, s.Next, s.Epoch, s.Cut, s.Rows, s.Skipped, s.Bytes, s.CutAt, s.Raw, s.Fold, s.Stubs,
	} {
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
	s := Span{int32(ns[0]), ns[1], ns[2], ns[3], ns[4], ns[5], ns[6], ns[7], ns[8], ns[9], ns[10], ns[11]}
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
	copy   func(from, to *Record) // what append and bind do together
}

// Columns behind the others: what those do not say (ArchiveRow). Most files have no value in them.
const (
	ColumnUnknown = "unknown"
	ColumnRaw     = "raw"
)

var restColumns = []string{ColumnUnknown, ColumnRaw}

var utc = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// ArchiveSchema is the Arrow schema of the archive.
func ArchiveSchema() *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ}
	}
	for _, name := range restColumns {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.Binary, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// rowBytes is what every row takes, of whatever event: numbers, and where each
// text ends.
var rowBytes = func() (n int64) {
	const end int64 = 4
	for _, c := range columns {
		if fixed, ok := c.typ.(arrow.FixedWidthDataType); ok {
			n += int64(fixed.Bytes())
		} else {
			n += end
		}
	}
	return n + end*int64(len(restColumns))
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
	return append(names, restColumns...)
}
