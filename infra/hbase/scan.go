package hbase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"

	"fernweh/schemas"
)

// pageRows is the most rows of a page; the server ends it sooner at 2 MiB.
const pageRows = 2000

// pageExtra is how much longer than another attempt a page may take: a server
// looks for 30 s through rows that were deleted before it says where it is.
const pageExtra = 35 * time.Second

// Scan calls fn with the rows [from, to) of a table, ascending; an empty bound is
// open. Each row is from a moment of its own. A row is fn's to keep. The first
// error of fn ends the scan.
//
// Each page is a question by itself, from the row after the last: so it may be
// asked again, and a server that was restarted meanwhile, or a connection
// that broke, leaves no gap. (A scanner that lives on the server would be read
// on where the lost page ended.)
func (v *Views) Scan(
	ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error,
) (err error) {
	leave, err := v.enter(ctx, v.metrics.scan)
	if err == nil {
		defer func() { leave(err) }()
		err = v.scan(ctx, table, span{[]byte(from), []byte(to)}, fn)
	}
	if err != nil {
		return fmt.Errorf("scan %s from %q to %q: %w", table, from, to, err)
	}
	return nil
}

// A span is a range of rows [from, to); an empty bound is open.
type span struct{ from, to []byte }

// empty says whether no row can lie in it.
func (s span) empty() bool { return len(s.to) > 0 && bytes.Compare(s.from, s.to) >= 0 }

func (v *Views) scan(ctx context.Context, table schemas.Table, rest span, fn func(schemas.Row) error) error {
	if err := known(table); err != nil {
		return err
	}
	for !rest.empty() {
		p, err := v.page(ctx, table, rest)
		if err != nil {
			return err
		}
		for _, cells := range p.rows {
			row := toRow(schemas.Key{Table: table, Row: string(cells[0].GetRow())}, cells)
			if len(row.Cells) == 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		if p.torn != nil {
			if err := v.scanTorn(ctx, schemas.Key{Table: table, Row: string(p.torn)}, fn); err != nil {
				return err
			}
		}
		if p.last {
			return nil
		}
		rest.from = p.next
	}
	return nil
}

// scanTorn reads a row as a whole that is larger than a page.
func (v *Views) scanTorn(ctx context.Context, key schemas.Key, fn func(schemas.Row) error) error {
	row, err := v.getRow(ctx, key)
	if err != nil || len(row.Cells) == 0 {
		return err
	}
	return fn(row)
}

// A page is what one question brought.
type page struct {
	rows [][]*pb.Cell // whole rows, none of them empty
	torn []byte       // the row after them, of which the page had only a part
	next []byte       // where the next page begins
	last bool         // there is none
}

// page asks for the first rows of a span.
func (v *Views) page(ctx context.Context, table schemas.Table, rest span) (p page, err error) {
	land, err := v.fly(ctx, 0)
	if err != nil {
		return p, err
	}
	defer land()
	err = v.tries(v.metrics.scan, v.cfg.Deadline+pageExtra).do(ctx, func(ctx context.Context) error {
		call, err := hrpc.NewScanRange(ctx, []byte(v.cfg.table(table)), rest.from, rest.to,
			hrpc.NumberOfRows(pageRows), hrpc.CloseScanner())
		if err != nil {
			return err
		}
		msg, err := v.ask(ctx, call)
		if err != nil {
			return err
		}
		answer, ok := msg.(*pb.ScanResponse)
		if !ok {
			return fmt.Errorf("the server answers a scan with a %T", msg)
		}
		p, err = readPage(answer, rest, call.Region().StopKey())
		return err
	})
	return p, err
}

// errStuck is an answer that a scan can't go on from.
var errStuck = errors.New("the server found no row in half a minute: the table has long runs of deleted rows, compact it")

// readPage takes the answer of a region apart that ends before the row stop, or
// with the table.
func readPage(answer *pb.ScanResponse, rest span, stop []byte) (p page, err error) {
	p.next = rest.from
	for _, result := range answer.GetResults() {
		cells := result.GetCell()
		if len(cells) == 0 {
			continue
		}
		row := cells[0].GetRow()
		if bytes.Compare(row, p.next) < 0 {
			return page{}, fmt.Errorf("the server gave row %q after %q", row, p.next)
		}
		p.next = append(bytes.Clone(row), 0)
		if result.GetPartial() {
			p.torn = bytes.Clone(row)
			return p, nil // what follows is read after it
		}
		p.rows = append(p.rows, cells)
	}
	switch {
	case answer.GetMoreResultsInRegion() && bytes.Equal(p.next, rest.from):
		return page{}, errStuck
	case answer.GetMoreResultsInRegion():
		return p, nil
	}
	p.next = stop
	p.last = len(stop) == 0
	return p, nil
}
