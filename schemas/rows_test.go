package schemas_test

import (
	"fmt"
	"slices"
	"testing"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"google.golang.org/protobuf/proto"
)

// fullEvent is an event with every field of every part.
func fullEvent() *schemas.Event {
	e := proto.Clone(goldenMessages()["event-1.hex"]).(*schemas.Event)
	proto.Merge(e, &schemas.Event{Action: goldenMessages()["event-2.hex"].(*schemas.Event).Action})
	return e
}

// batchOf is a record batch of the archive's columns, all but those left out.
func batchOf(t *testing.T, records []schemas.Record, without ...string) arrow.Record {
	t.Helper()
	b := schemas.NewRowBuilder()
	defer b.Release()
	for i := range records {
		b.Append(b.Row(&records[i]))
	}
	whole := b.Batch()
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range whole.Schema().Fields() {
		if !slices.Contains(without, f.Name) {
			fields, columns = append(fields, f), append(columns, whole.Column(i))
		}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, whole.NumRows())
}

// readRow is row i of a batch, as an event of its own.
func readRow(t *testing.T, rows *schemas.RowReader, b arrow.Record, i int, into schemas.Record) schemas.Record {
	t.Helper()
	if err := rows.Bind(b); err != nil {
		t.Fatal(err)
	}
	if err := rows.Read(i, &into); err != nil {
		t.Fatal(err)
	}
	into.Event = proto.Clone(into.Event).(*schemas.Event)
	return into
}

// silent are the columns that say nothing of this event.
var silent = []string{schemas.ColumnID, schemas.ColumnUnknown, schemas.ColumnRaw}

// TestRowReaderKeepsNothingOfAnotherFile: behind a file with every column, one
// that lacks a column reads as it does to a reader that has seen nothing; and
// there the column is empty.
func TestRowReaderKeepsNothingOfAnotherFile(t *testing.T) {
	full := schemas.Record{Partition: 3, Offset: 7, At: 11, Cut: 13, Event: fullEvent()}
	whole := batchOf(t, []schemas.Record{full})
	for _, column := range schemas.AllColumns() {
		lacking := batchOf(t, []schemas.Record{{Offset: 8, At: 12, Event: fullEvent()}}, column)
		var used, fresh schemas.RowReader
		readRow(t, &used, whole, 0, schemas.Record{})
		got := readRow(t, &used, lacking, 0, full)
		want := readRow(t, &fresh, lacking, 0, schemas.Record{})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("without column %s, behind a file that has it:\ngot  %+v\nwant %+v", column, got, want)
		}
		if empty := got.Offset == 0 || got.At == 0 || !proto.Equal(got.Event, fullEvent()); !empty && !slices.Contains(silent, column) {
			t.Errorf("without column %s nothing of the event is missing: %+v", column, got)
		}
	}
}
