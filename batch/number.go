package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"

	"fernweh/schemas"
)

// errNoNumber: 2^31 cuts, each as far above the one before as it may be, make it.
var errNoNumber = errors.New("the log's cuts have come to the greatest number that there is")

// number draws the next number from the run counter. Numbers never repeat: one
// that is drawn and not used is lost. The counter lies in the views; where it is
// lost, or another set of views lives on the same log, what the archive's cuts, the
// records of runs and what is published say keeps a cut from being overtaken before
// it is written. A counter that the log would not follow is no number of a run
// either: it says nothing.
func (l *Layer) number(ctx context.Context, epochs []int64, records []schemas.Run) (int64, error) {
	published, _, err := l.published(ctx)
	if err != nil {
		return 0, err
	}
	reached := slices.Max(epochs)
	if reached > math.MaxInt64-schemas.MaxStep {
		return 0, errNoNumber
	}
	least := reached
	for _, r := range records {
		least = atMost(least, r.Number, reached+schemas.MaxStep)
	}
	for _, g := range published.Kept {
		least = atMost(least, g.Run, reached+schemas.MaxStep)
	}
	for {
		old, err := l.value(ctx, schemas.KeyNextRun)
		if err != nil {
			return 0, fmt.Errorf("read run counter: %w", err)
		}
		counter, err := strconv.ParseInt(string(old), 10, 64)
		if old != nil && (err != nil || counter <= 0 || counter > reached+schemas.MaxStep) {
			slog.WarnContext(ctx, "the run counter is damaged and begins again behind the last cut", "counter", string(old), "cut", reached)
			counter = 0
		}
		next := max(counter, least+1)
		done, err := l.Views.CompareAndSet(ctx, schemas.KeyNextRun, schemas.ColumnValue, bytes.Clone(old),
			strconv.AppendInt(nil, next+1, 10))
		if err != nil {
			return 0, fmt.Errorf("draw run number: %w", err)
		}
		if done {
			return next, nil
		}
	}
}

// atMost is the greater of two numbers, of which the second counts up to a limit.
func atMost(least, n, limit int64) int64 {
	if n >= limit {
		return least
	}
	return max(least, n)
}

// records are the records of all runs, ascending by number; a few hundred a year.
// One that cannot be read is left out: it is about a run that has been.
func (l *Layer) records(ctx context.Context) (records []schemas.Run, err error) {
	err = l.Views.Scan(ctx, schemas.TableRuns, "", "~", func(row schemas.Row) error {
		c, _ := row.Cell(schemas.ColumnValue)
		record, err := schemas.DecodeJSON[schemas.Run](c.Value)
		if err != nil {
			slog.WarnContext(ctx, "the record of a run cannot be read", "run", row.Row, "error", err)
			return nil
		}
		records = append(records, record)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the records of runs: %w", err)
	}
	return records, nil
}
