package promise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"fernweh/batch/archive"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

// horizon is what a reader asks for first.
func (w *world) horizon(ctx context.Context) (serving.Horizon, error) {
	h, err := serving.ReadHorizon(ctx, w.views, partitions, w.now)
	h.Limits = w.limits
	return h, err
}

// check holds every view against the fold of the prefix that it names.
func (w *world) check(ctx context.Context) error {
	h, err := w.horizon(ctx)
	if err != nil {
		return err
	}
	if err := w.checkWithin(ctx, h); err != nil {
		return err
	}
	return w.checkFrozen(ctx, h)
}

// checkWithin holds what a reader of a horizon reads now against what it names.
func (w *world) checkWithin(ctx context.Context, h serving.Horizon) error {
	for p := range partitions {
		for device := range w.truth[p].visitors {
			if err := w.checkVisitor(ctx, h, device, p); err != nil {
				return err
			}
		}
	}
	if err := w.checkLinks(ctx, h); err != nil {
		return err
	}
	return w.checkPanes(ctx, h)
}

func (w *world) checkVisitor(ctx context.Context, h serving.Horizon, device string, p int) error {
	rows, err := w.views.Get(ctx, schemas.VisitorKey(device))
	if err != nil {
		return err
	}
	v, err := serving.MergeVisitor(h, rows[0])
	if err != nil {
		return err
	}
	if err := w.judgeVisitor(device, p, &v); err != nil {
		return err
	}
	want := at(w.truth[p].visitors[device], v.Through)
	if want == nil {
		want, _ = new(visitor.Cell).AppendBinary(nil)
	}
	got, err := v.Merged.AppendBinary(nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		var exact visitor.Cell
		exact.UnmarshalBinary(want)
		return fmt.Errorf("visitor %s of generation %d and epochs %v is not the fold of %d:[0,%d):\ngot  %+v\nwant %+v",
			device, v.Generation.Run, v.Epochs, p, v.Through, *v.Merged, exact)
	}
	return nil
}

// checkLinks: whoever is a unit of a device at the horizon is found from its person.
func (w *world) checkLinks(ctx context.Context, h serving.Horizon) error {
	for p := range partitions {
		for device, versions := range w.truth[p].visitors {
			var c visitor.Cell
			b := at(versions, h.Through(int32(p)))
			if b == nil {
				continue
			}
			if err := c.UnmarshalBinary(b); err != nil {
				return err
			}
			for _, u := range c.Units.Named {
				if u.Login == "" {
					continue
				}
				rows, err := w.views.Get(ctx, schemas.PersonKey(u.Login))
				if err != nil {
					return err
				}
				l, ok := rows[0].Cell(schemas.ColumnLink(device))
				link, _ := schemas.DecodeJSON[schemas.Link](l.Value)
				if erased := l.Stamp >= h.Through(int32(p)); (!ok || !link.Linked) && !erased {
					return fmt.Errorf("device %s has a unit of %s at %d:%d, and the person no link to it", device, u.Login, p, h.Through(int32(p)))
				}
			}
		}
	}
	return nil
}

func (w *world) checkPanes(ctx context.Context, h serving.Horizon) error {
	seen := map[kpi.Pane]bool{}
	err := w.views.Scan(ctx, schemas.TablePanes, "", "", func(row schemas.Row) error {
		v, err := serving.MergePane(h, row)
		if err != nil {
			return err
		}
		seen[v.Pane] = true
		return w.samePane(v.Pane, &v.Value, v.Through)
	})
	if err != nil {
		return err
	}
	through := make([]int64, partitions)
	for p := range through {
		through[p] = h.Through(int32(p))
	}
	if err := w.judgeMissing(seen, through); err != nil {
		return err
	}
	for p := range w.truth {
		for pane := range w.truth[p].panes {
			if !seen[pane] {
				if err := w.samePane(pane, new(kpi.Value), through); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *world) samePane(pane kpi.Pane, got *kpi.Value, through []int64) error {
	a, err := got.AppendBinary(nil)
	if err != nil {
		return err
	}
	if w.judged.again("pane "+fmt.Sprint(pane), through, a) {
		return nil
	}
	if err := w.judgePane(pane, got, through); err != nil {
		return err
	}
	var want kpi.Value
	for p, t := range w.truth {
		v := at(t.panes[pane], through[p])
		want.Merge(&v)
	}
	b, _ := want.AppendBinary(nil)
	if !bytes.Equal(a, b) {
		return fmt.Errorf("pane %s %d %q is %d (%d devices), the fold of the prefix %v says %d (%d devices)", pane.Measure, pane.Minute,
			pane.Dim, got.Sum, got.Devices.Estimate(), through, want.Sum, want.Devices.Estimate())
	}
	return nil
}

// drain lets everything come to an end, and then every view must be the fold of
// all that was acknowledged.
func (w *world) drain(ctx context.Context) error {
	for p := range partitions {
		for slot := range w.owners[p] {
			if o := w.owners[p][slot]; o != nil && o.done != nil {
				if err := w.drive(ctx, p, slot, o, true); err != nil {
					return err
				}
			}
		}
		if err := w.check(ctx); err != nil {
			return fmt.Errorf("after the frozen woke: %w", err)
		}
		if err := w.catchUp(ctx, p); err != nil {
			return err
		}
	}
	if err := errors.Join(w.complete(ctx), w.checkActions()); err != nil {
		return err
	}
	w.now = w.now.Add(time.Hour)
	w.nested += 2 // no run begins beside this one
	d := &desk{world: w, failIn: -1}
	w.layer.Views, w.layer.Log, w.layer.Files = quiet{d}, d, d
	_, err := w.layer.Run(ctx, nil)
	for ; errors.Is(err, errFault) || overtaken(err); _, err = w.layer.Run(ctx, nil) {
		w.now = w.now.Add(time.Hour) // the lease of the run that failed runs out
	}
	if err != nil && !errors.Is(err, archive.ErrNoCut) {
		return fmt.Errorf("last run: %w", err)
	}
	if d.broken != nil {
		return d.broken
	}
	return w.check(ctx)
}

// catchUp lets one owner read its partition to the end.
func (w *world) catchUp(ctx context.Context, p int) error {
	for range 1000 {
		o := w.owners[p][0]
		if o == nil {
			o = w.newOwner()
			w.owners[p][0] = o
		}
		if o.partition != nil && int(o.partition.Start()) >= len(w.log[p]) {
			return nil
		}
		if err := w.drive(ctx, p, 0, o, true); err != nil {
			return err
		}
	}
	return fmt.Errorf("owner %d/0 does not get to the end of its partition", p)
}

// complete checks that the views name the whole log.
func (w *world) complete(ctx context.Context) error {
	h, err := w.horizon(ctx)
	if err != nil {
		return err
	}
	for p := range w.log {
		if got := h.Through(int32(p)); got != int64(len(w.log[p])) {
			return fmt.Errorf("drained, the views hold %d:[0,%d), the log has %d records", p, got, len(w.log[p]))
		}
	}
	return w.check(ctx)
}
