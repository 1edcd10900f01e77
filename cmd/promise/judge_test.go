package promise_test

import (
	"fmt"

	"fernweh/cmd/promise/judge"
	"fernweh/cmd/promise/oracle"
	"fernweh/model/kpi"
	"fernweh/serving"
)

// judgeVisitor holds the fields of a device's view against what the documents say
// of the prefix that it names.
func (w *world) judgeVisitor(device string, p int, v *serving.VisitorView) error {
	b, err := v.Merged.AppendBinary(nil)
	if err != nil {
		return err
	}
	if w.judged.again("visitor "+device, v.Through, b) {
		return nil
	}
	if err := judge.Cell(v.Merged, w.witness[p].device(device, v.Through)); err != nil {
		return fmt.Errorf("visitor %.30q of generation %d and epochs %v, as the fold of %d:[0,%d):\n%w",
			device, v.Generation.Run, v.Epochs, p, v.Through, err)
	}
	return nil
}

// judgePane holds a pane against the sum over the prefixes that it names.
func (w *world) judgePane(pane kpi.Pane, got *kpi.Value, through []int64) error {
	var sum int64
	seen := map[string]bool{}
	for p, t := range w.witness {
		c := t.count(through[p])
		sum += c.sums[judge.Name(pane)]
		if pane.Measure == kpi.Visitors {
			for device := range c.seen[pane.Minute] {
				seen[device] = true
			}
		}
	}
	if err := judge.Pane(pane, got, sum, seen); err != nil {
		return fmt.Errorf("of the prefix %v: %w", through, err)
	}
	return nil
}

// judgeMissing checks that no pane is missing that has something to say.
func (w *world) judgeMissing(seen map[kpi.Pane]bool, through []int64) error {
	sums, there := oracle.Panes{}, map[oracle.Pane]bool{}
	for pane := range seen {
		there[judge.Name(pane)] = true
	}
	for p, t := range w.witness {
		c := t.count(through[p])
		for pane, n := range c.sums {
			sums[pane] += n
		}
		for minute, devices := range c.seen {
			sums[oracle.Pane{Measure: "visitors", Minute: minute}] += int64(len(devices))
		}
	}
	for pane, n := range sums {
		if n != 0 && !there[pane] {
			return fmt.Errorf("pane %v is missing, the prefix %v counts %d", pane, through, n)
		}
	}
	return nil
}
