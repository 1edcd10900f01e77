package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A Table of the view store. Each lies in one HBase table, or under one prefix
// of the embedded store.
type Table string

// Tables of the view store.
const (
	TableVisitors Table = "visitors" // a row a device
	TablePersons  Table = "persons"  // a row a customer
	TablePanes    Table = "panes"    // a row a measure, minute and dimension
	TableLists    Table = "lists"    // precomputed lists of a generation
	TableModels   Table = "models"   // artefacts of training
	TableRuns     Table = "runs"     // run records of batch
	TableMeta     Table = "meta"     // what is published, and how far speed is
)

// Tables lists them all.
func Tables() []Table {
	return []Table{TableVisitors, TablePersons, TablePanes, TableLists, TableModels, TableRuns, TableMeta}
}

// Families are the families of a table; a cell lies in one of them. None may have
// a time to live: a stamp is an offset, and a server would take it for a time
// long past.
func (t Table) Families() []string {
	switch t {
	case TableVisitors:
		return []string{FamilyBatch, FamilySpeed, FamilyDecision}
	case TablePanes:
		return []string{FamilyBatch, FamilySpeed}
	case TablePersons:
		return []string{FamilyLink}
	}
	return []string{FamilyValue}
}

// Salted says whether the rows of a table begin with one of the Salts.
func (t Table) Salted() bool { return t == TableVisitors || t == TablePersons }

// A Key names one row.
type Key struct {
	Table Table
	Row   string
}

// A Cell is one value of a row. Its column is "family:qualifier". Of two cells
// at the same place the store keeps the one with the higher stamp, and of two
// with the same stamp the later written, so that a late writer changes nothing.
type Cell struct {
	Key
	Column string
	Stamp  int64 // offset of the last event in it; for a batch cell the run's number
	Value  []byte
}

// A Row is what one atomic read of a row found, its cells ascending by column.
// A row that is not there has no cells.
type Row struct {
	Key
	Cells []Cell
}

// Cell finds the cell in a column.
func (r Row) Cell(column string) (Cell, bool) {
	for _, c := range r.Cells {
		if c.Column == column {
			return c, true
		}
	}
	return Cell{}, false
}

// Families of the tables, as the part of a column before the colon.
const (
	FamilyBatch    = "b" // b:<generation>
	FamilySpeed    = "s" // s:<epoch> or s:<epoch>.<partition>
	FamilyDecision = "d" // d:now
	FamilyLink     = "l" // l:<device>
	FamilyValue    = "v" // v:, the only column of models, runs, lists and meta
)

// ColumnValue is the only column of a row that holds one value.
const ColumnValue = FamilyValue + ":"

// ColumnDecision holds the latest decision of a visitor.
const ColumnDecision = FamilyDecision + ":now"

// ColumnBatch is where generation g of the batch layer writes.
func ColumnBatch(g int64) string { return FamilyBatch + ":" + strconv.FormatInt(g, 10) }

// ColumnSpeed is where the speed layer writes a visitor in an epoch.
func ColumnSpeed(epoch int64) string { return FamilySpeed + ":" + strconv.FormatInt(epoch, 10) }

// ColumnSpeedPane is where the owner of a partition writes a pane in an epoch.
func ColumnSpeedPane(epoch int64, partition int32) string {
	return fmt.Sprintf("%s:%d.%d", FamilySpeed, epoch, partition)
}

// ColumnLink is where the owner of a device writes its link to a person.
func ColumnLink(device string) string { return FamilyLink + ":" + device }

// A Column is a parsed column of the families b and s.
type Column struct {
	Family    string
	Number    int64 // generation or epoch
	Partition int32 // of a pane's speed cell; else -1
}

// ParseColumn reads a column of the families b and s; ok is false for any other.
func ParseColumn(column string) (c Column, ok bool) {
	family, rest, found := strings.Cut(column, ":")
	if !found || family != FamilyBatch && family != FamilySpeed {
		return Column{}, false
	}
	c = Column{Family: family, Partition: -1}
	if number, partition, both := strings.Cut(rest, "."); both {
		p, err := strconv.ParseInt(partition, 10, 32)
		if err != nil || p < 0 {
			return Column{}, false
		}
		c.Partition, rest = int32(p), number
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || n < 0 {
		return Column{}, false
	}
	c.Number = n
	return c, true
}

// Salts is the number of leading values that the rows of visitors and persons
// are spread over: 00 to ff, so that a table can be split before it has rows.
const Salts = 256

// VisitorKey is the row of a device.
func VisitorKey(device string) Key { return Key{TableVisitors, salted(device)} }

// VisitorOf is the device of a row of visitors.
func VisitorOf(row string) string { return row[min(2, len(row)):] }

// PersonKey is the row of a customer.
func PersonKey(customer string) Key { return Key{TablePersons, salted(customer)} }

// salted puts two hex digits that follow from the id before it.
func salted(id string) string {
	const hex = "0123456789abcdef"
	h := xxhash.Sum64String(id) % Salts
	return string([]byte{hex[h>>4], hex[h&15]}) + id
}

// PaneKey is the row of a measure in one minute (minutes since 1970 UTC),
// total (dimension empty) or of one dimension.
func PaneKey(measure string, minute int64, dimension string) Key {
	return Key{TablePanes, fmt.Sprintf("%s|%010d|%s", measure, minute, dimension)}
}

// PaneRange is the range of rows [from, to) that holds the minutes [from, to)
// of a measure, in all dimensions.
func PaneRange(measure string, from, to int64) (first, end string) {
	return fmt.Sprintf("%s|%010d|", measure, from), fmt.Sprintf("%s|%010d|", measure, to)
}

// ParsePaneKey takes the row of a pane apart.
func ParsePaneKey(row string) (measure string, minute int64, dimension string, err error) {
	parts := strings.SplitN(row, "|", 3)
	if len(parts) != 3 {
		return "", 0, "", fmt.Errorf("pane row %q is not measure|minute|dimension", row)
	}
	minute, err = strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return "", 0, "", fmt.Errorf("pane row %q: minute: %w", row, err)
	}
	return parts[0], minute, parts[2], nil
}

// ModelKey is the row of a model's artefact.
func ModelKey(id string) Key { return Key{TableModels, id} }

// RunKey is the row of a run; rows ascend with the run's number.
func RunKey(run int64) Key { return Key{TableRuns, fmt.Sprintf("%019d", run)} }

// Rows of the table meta.
var (
	KeyPublished = Key{TableMeta, "published"} // Published, switched by compare-and-set
	KeyNextRun   = Key{TableMeta, "next-run"}  // the run counter, decimal
	KeyLease     = Key{TableMeta, "lease"}     // who runs batch
	KeyTopic     = Key{TableMeta, "topic"}     // Origin: what log the views were made from
)

// KeyPosition is the row that says how far speed is in a partition.
func KeyPosition(partition int32) Key {
	return Key{TableMeta, "w:" + strconv.Itoa(int(partition))}
}

// Since picks what a reader of generation g merges, in the order of the log: the
// youngest cell of the generation's lineage, if there is one, then every epoch's from
// the generation to the given epoch (for a reader: math.MaxInt64), ascending. Cells of
// other generations, of older epochs and of unknown columns are not for it.
func (r Row) Since(g Generation, epoch int64) []Cell {
	type numbered struct {
		at   Column
		cell Cell
	}
	var picked []numbered
	if c, ok := r.Batch(g); ok {
		picked = append(picked, numbered{Column{Family: FamilyBatch}, c})
	}
	for _, c := range r.Cells {
		col, ok := ParseColumn(c.Column)
		if ok && col.Family == FamilySpeed && col.Number >= g.Run && col.Number <= epoch {
			picked = append(picked, numbered{col, c})
		}
	}
	slices.SortFunc(picked, func(a, b numbered) int {
		return cmp.Or(strings.Compare(a.at.Family, b.at.Family),
			cmp.Compare(a.at.Number, b.at.Number), cmp.Compare(a.at.Partition, b.at.Partition))
	})
	cells := make([]Cell, len(picked))
	for i, p := range picked {
		cells[i] = p.cell
	}
	return cells
}

// Batch is the cell that a reader of generation g takes for the generation's: the
// youngest of its lineage.
func (r Row) Batch(g Generation) (youngest Cell, found bool) {
	var run int64
	for _, c := range r.Cells {
		col, ok := ParseColumn(c.Column)
		if ok && col.Family == FamilyBatch && col.Partition < 0 && col.Number > run && g.Takes(col.Number) {
			youngest, run, found = c, col.Number, true
		}
	}
	return youngest, found
}

// DescribeRows names rows in an error.
func DescribeRows(keys []Key) string {
	if len(keys) == 0 {
		return "no rows"
	}
	first := fmt.Sprintf("%s %q", keys[0].Table, keys[0].Row)
	if len(keys) == 1 {
		return first
	}
	return fmt.Sprintf("%s and %d more", first, len(keys)-1)
}

// DescribeCells names the rows of cells in an error.
func DescribeCells(cells []Cell) string {
	keys := make([]Key, len(cells))
	for i, c := range cells {
		keys[i] = c.Key
	}
	return DescribeRows(keys)
}
