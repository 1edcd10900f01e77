package promise_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fernweh/cmd/promise/oracle"
	"fernweh/serving"
)

// A frozen reader has asked for its horizon, and for nothing else yet.
type frozen struct {
	horizon serving.Horizon
	views   views
}

// checkFrozen lets a reader wake that froze between its horizon and its rows, for
// no longer than a horizon lives, and now and then freezes another one.
func (w *world) checkFrozen(ctx context.Context, h serving.Horizon) error {
	if f := w.frozen; f != nil && w.chance(3) {
		w.frozen = nil
		if f.views == w.views && w.now.Sub(f.horizon.Read) <= serving.HorizonLife {
			if err := w.checkWithin(ctx, f.horizon); err != nil {
				return fmt.Errorf("to a reader that was frozen since %v: %w", f.horizon.Positions, err)
			}
		}
	}
	if w.frozen == nil && w.chance(2) {
		w.frozen = &frozen{h, w.views}
	}
	if w.chance(4) {
		return w.checkPersons(ctx, h)
	}
	return nil
}

// checkPersons holds the devices that are found of each customer against those
// that have a unit of this login: all that have one at the horizon and still, none
// that has none.
func (w *world) checkPersons(ctx context.Context, h serving.Horizon) error {
	r := serving.Reader{
		Views: w.views, Now: func() time.Time { return w.now },
		Horizon: func(context.Context) (serving.Horizon, error) { return h, nil },
	}
	for _, login := range w.gen.Logins {
		p, err := r.Person(ctx, login)
		if err != nil {
			return err
		}
		var found []string
		for _, d := range p.Devices {
			found = append(found, d.Device)
			if !has(w.witness[d.Partition].device(d.Device, d.Through), login) {
				return fmt.Errorf("device %.9q is shown for customer %.9q, and has no unit of it at %d:%d", d.Device, login, d.Partition, d.Through)
			}
		}
		for p, t := range w.witness {
			for device := range t.told {
				through := h.Through(int32(p))
				if has(t.device(device, through), login) && has(t.device(device, int64(len(w.log[p]))), login) && !w.everErased(p, device, through) &&
					!slices.Contains(found, device) {
					return fmt.Errorf("device %.9q has a unit of customer %.9q at %d:%d, and is not found of it: %.9q are", device, login, p, through, found)
				}
			}
		}
	}
	return nil
}

// has says whether a device has a unit of a login.
func has(d *oracle.Device, login string) bool {
	_, there := d.Units()[login]
	return there
}

// everErased says whether something of the device was erased behind an offset:
// then its rows may be ahead of the horizon, and without the unit for a while.
func (w *world) everErased(p int, device string, through int64) bool {
	return slices.ContainsFunc(w.witness[p].told[device], func(x told) bool {
		return x.offset >= through && x.event.GetErasure() != nil
	})
}
