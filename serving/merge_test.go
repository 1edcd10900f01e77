package serving_test

import (
	"slices"
	"strings"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

const minute = 60_000_000 // microseconds

// at is an event time so many minutes into the story.
func at(minutes int64) int64 { return 1_780_000_000_000_000/minute*minute + minutes*minute }

// history folds pages at the given minutes, for one login.
func history(login string, minutes ...int64) visitor.Unit {
	u := visitor.Unit{Login: login}
	for _, m := range minutes {
		u.Add(&schemas.Event{Kind: schemas.Kind_KIND_PAGE, Time: at(m)})
	}
	return u
}

// cell is a cell of a visitor's row.
func cell(t *testing.T, column string, stamp int64, c visitor.Cell) schemas.Cell {
	t.Helper()
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return schemas.Cell{Column: column, Stamp: stamp, Value: b}
}

// rowOf is a visitor's row of the cells, in the store's order.
func rowOf(device string, cells ...schemas.Cell) schemas.Row {
	slices.SortFunc(cells, func(a, b schemas.Cell) int { return strings.Compare(a.Column, b.Column) })
	return schemas.Row{Key: schemas.VisitorKey(device), Cells: cells}
}

// horizon of one partition: generations published with their cuts, youngest
// first, and where speed is.
func horizon(w schemas.Position, kept ...schemas.Generation) serving.Horizon {
	h := serving.Horizon{Positions: []schemas.Position{w}}
	if len(kept) > 0 {
		h.Published = schemas.Published{Current: kept[0].Run, Kept: kept}
	}
	return h
}

func generation(run, cut int64) schemas.Generation {
	return schemas.Generation{Run: run, Cuts: []int64{cut}}
}

func TestAVisitorIsMergedFromTheGenerationAndTheEpochsAfterIt(t *testing.T) {
	pages := func(minutes ...int64) visitor.Cell {
		return visitor.Cell{Units: visitor.Units{Named: []visitor.Unit{history("", minutes...)}}}
	}
	forgotten := pages(90)
	forgotten.Forgot.All = true

	tests := []struct {
		name     string
		horizon  serving.Horizon
		cells    []schemas.Cell
		pages    uint32
		sessions int
		epochs   []int64
		through  int64
	}{
		{"before any run speed alone answers", horizon(schemas.Position{Offset: 8}),
			[]schemas.Cell{cell(t, "s:0", 7, pages(0, 10))}, 2, 1, []int64{0}, 8},
		{"a session that spans the cut is one", horizon(schemas.Position{Offset: 60, Epoch: 3}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0, 10)), cell(t, "s:3", 55, pages(20, 30))}, 4, 1, []int64{3}, 60},
		{"epochs before the generation are in it", horizon(schemas.Position{Offset: 60, Epoch: 3}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0, 10)), cell(t, "s:2", 40, pages(10)), cell(t, "s:0", 4, pages(0))}, 2, 1, nil, 60},
		{"ten comes after nine", horizon(schemas.Position{Offset: 120, Epoch: 10}, generation(9, 50)),
			[]schemas.Cell{cell(t, "b:9", 9, pages(0)), cell(t, "s:9", 60, pages(40)), cell(t, "s:10", 110, forgotten)}, 1, 1, []int64{9, 10}, 120},
		{"speed lags behind the cut", horizon(schemas.Position{Offset: 30, Epoch: 2}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0, 10)), cell(t, "s:2", 29, pages(0))}, 2, 1, nil, 51},
		{"a position of an older epoch says nothing", horizon(schemas.Position{Offset: 60, Epoch: 2}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0))}, 1, 1, nil, 51},
		{"a cell is ahead of the position", horizon(schemas.Position{Offset: 52, Epoch: 3}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0)), cell(t, "s:3", 77, pages(5))}, 2, 1, []int64{3}, 78},
		{"speed overtook the cut after the horizon was read", horizon(schemas.Position{Offset: 30, Epoch: 2}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0)), cell(t, "s:3", 77, pages(5))}, 2, 1, []int64{3}, 78},
		{"rolled back to an older generation", horizon(schemas.Position{Offset: 99, Epoch: 5}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0)), cell(t, "b:5", 5, pages(0, 40, 80)),
				cell(t, "s:3", 60, pages(40)), cell(t, "s:5", 90, pages(80))}, 3, 3, []int64{3, 5}, 99},
		{"an epoch of a run that failed counts", horizon(schemas.Position{Offset: 99, Epoch: 4}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0)), cell(t, "s:3", 60, pages(1)), cell(t, "s:4", 90, pages(2))}, 3, 1, []int64{3, 4}, 99},
		{"unknown columns are left out", horizon(schemas.Position{Offset: 60, Epoch: 3}, generation(3, 50)),
			[]schemas.Cell{cell(t, "b:3", 3, pages(0)), {Column: "z:3", Value: []byte("?")}, {Column: "s:3.0", Value: []byte("?")},
				{Column: "s:x", Value: []byte("?")}, {Column: "d:now", Value: []byte("said")}}, 1, 1, nil, 60},
		{"nothing is known", horizon(schemas.Position{Offset: 60, Epoch: 3}, generation(3, 50)), nil, 0, 0, nil, 60},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := serving.MergeVisitor(test.horizon, rowOf("d", test.cells...))
			if err != nil {
				t.Fatal(err)
			}
			var pages uint32
			for h := range v.Merged.Units.Histories {
				pages += h.Counters.Kind(schemas.Kind_KIND_PAGE)
			}
			sessions := len(v.Merged.Units.Sessions())
			if pages != test.pages || sessions != test.sessions {
				t.Errorf("pages, sessions: got %d, %d, want %d, %d", pages, sessions, test.pages, test.sessions)
			}
			if !slices.Equal(v.Epochs, test.epochs) || v.Through != test.through {
				t.Errorf("epochs, through: got %v, %d, want %v, %d", v.Epochs, v.Through, test.epochs, test.through)
			}
		})
	}
}

func TestAnErasureOfALoginLeavesTheOtherUnits(t *testing.T) {
	mueller := []uint64{visitor.HashLogin("mueller")}
	before := visitor.Cell{Units: visitor.Units{Known: mueller, Named: []visitor.Unit{history("", 0), history("mueller", 1, 2)}}}
	after := visitor.Cell{Units: visitor.Units{Known: mueller, Named: []visitor.Unit{history("", 90)}}}
	after.Forgot.Logins = mueller
	v, err := serving.MergeVisitor(horizon(schemas.Position{Offset: 9, Epoch: 1}, generation(1, 4)),
		rowOf("d", cell(t, "b:1", 1, before), cell(t, "s:1", 8, after)))
	if err != nil {
		t.Fatal(err)
	}
	if u := v.Merged.Units.Unit("mueller"); u != nil {
		t.Errorf("unit of mueller: got %d events, want none", u.Events())
	}
	if u := v.Merged.Units.Unit(""); u == nil || u.Events() != 2 {
		t.Errorf("unit before any login: got %v, want 2 events", u)
	}
}

func TestABrokenCellIsAnErrorThatNamesIt(t *testing.T) {
	_, err := serving.MergeVisitor(horizon(schemas.Position{}), rowOf("anna", schemas.Cell{Column: "s:0", Value: []byte{9}}))
	const want = "read s:0 of device anna: decode visitor cell: version 9, this program knows 2"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAPaneIsMergedByPartition(t *testing.T) {
	value := func(column string, stamp, n int64) schemas.Cell {
		b, err := (&kpi.Value{Sum: n}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return schemas.Cell{Column: column, Stamp: stamp, Value: b}
	}
	h := serving.Horizon{
		Published: schemas.Published{Current: 3, Kept: []schemas.Generation{{Run: 3, Cuts: []int64{50, 70, 10}}}},
		Positions: []schemas.Position{{Offset: 60, Epoch: 3}, {Offset: 20, Epoch: 2}, {Offset: 30, Epoch: 4}},
	}
	row := schemas.Row{Key: schemas.PaneKey("sessions", 29666666, ""), Cells: []schemas.Cell{
		value("b:2", 2, 1000), value("b:3", 3, 100), value("s:2.1", 19, 1000),
		value("s:3.0", 64, 7), value("s:3.2", 25, -2), value("s:4.2", 28, 1),
	}}
	v, err := serving.MergePane(h, row)
	if err != nil {
		t.Fatal(err)
	}
	if v.Value.Sum != 106 {
		t.Errorf("sessions: got %d, want 106", v.Value.Sum)
	}
	if want := []int64{65, 71, 30}; !slices.Equal(v.Through, want) {
		t.Errorf("through: got %v, want %v", v.Through, want)
	}
	if want := []int64{3, 4}; !slices.Equal(v.Epochs, want) {
		t.Errorf("epochs: got %v, want %v", v.Epochs, want)
	}
	row.Cells = append(row.Cells, value("s:4.3", 1, 1))
	if _, err := serving.MergePane(h, row); err == nil {
		t.Errorf("a cell of a partition that the log does not have: got no error")
	}
}
