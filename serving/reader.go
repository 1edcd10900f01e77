package serving

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fernweh/schemas"
)

// HorizonLife is how long after its reading a horizon may still be used. What
// it names is deleted at the earliest 60 s after it was replaced; a third of
// that leaves room for clocks that run apart and a store that is slow.
const HorizonLife = 20 * time.Second

// errExpired: the rows came so late that the generation may have been deleted
// beneath them.
var errExpired = errors.New("the view store is too slow to answer from one generation")

// A Reader reads merged rows.
type Reader struct {
	Views   Views
	Horizon func(context.Context) (Horizon, error) // as fresh as the answer shall be
	Now     func() time.Time
}

// within calls read with a horizon, and once more with a new one if it took
// longer than a horizon lives.
func (r *Reader) within(ctx context.Context, read func(Horizon) error) error {
	for range 2 {
		h, err := r.Horizon(ctx)
		if err != nil {
			return err
		}
		if err := read(h); err != nil {
			return err
		}
		if r.Now().Sub(h.Read) <= HorizonLife {
			return nil
		}
	}
	return errExpired
}

// get reads rows within a horizon.
func (r *Reader) get(ctx context.Context, keys ...schemas.Key) (h Horizon, rows []schemas.Row, err error) {
	err = r.within(ctx, func(now Horizon) error {
		h = now
		rows, err = r.Views.Get(ctx, keys...)
		if err == nil && len(rows) != len(keys) {
			err = fmt.Errorf("%d rows for %d keys", len(rows), len(keys))
		}
		return err
	})
	return h, rows, err
}

// Visitor reads a device. One that nothing is known of is an empty view.
func (r *Reader) Visitor(ctx context.Context, device string) (VisitorView, error) {
	h, rows, err := r.get(ctx, schemas.VisitorKey(device))
	if err != nil {
		return VisitorView{}, fmt.Errorf("read device %s: %w", device, err)
	}
	return MergeVisitor(h, rows[0])
}

// A PersonView is a customer's devices side by side.
type PersonView struct {
	Customer string
	Horizon  Horizon
	Devices  []VisitorView // that have a unit of this customer, ascending
	LeftOut  int           // devices beyond MaxDevices
}

// MaxDevices bounds how many devices of one person are read.
const MaxDevices = 100

// Person reads a customer. One that nothing is known of has no devices. The
// person's row only says where to look: what a device holds is in its own row.
func (r *Reader) Person(ctx context.Context, customer string) (p PersonView, err error) {
	err = r.within(ctx, func(h Horizon) error {
		p = PersonView{Customer: customer, Horizon: h}
		rows, err := r.Views.Get(ctx, schemas.PersonKey(customer))
		if err != nil || len(rows) == 0 {
			return err
		}
		devices, err := linked(rows[0])
		if err != nil || len(devices) == 0 {
			return err
		}
		p.LeftOut = max(0, len(devices)-MaxDevices)
		return r.devices(ctx, &p, devices[:len(devices)-p.LeftOut])
	})
	if err != nil {
		return p, fmt.Errorf("read customer %s: %w", customer, err)
	}
	return p, nil
}

// linked are the devices that a person's row links, ascending.
func linked(row schemas.Row) (devices []string, err error) {
	for _, c := range row.Cells {
		device, ok := strings.CutPrefix(c.Column, schemas.FamilyLink+":")
		if !ok {
			continue
		}
		link, err := schemas.DecodeJSON[schemas.Link](c.Value)
		if err != nil {
			return nil, fmt.Errorf("read link to device %s: %w", device, err)
		}
		if link.Linked {
			devices = append(devices, device)
		}
	}
	return devices, nil
}

// devices reads the rows of a person's devices and keeps those that have a unit
// of the person: a link may be ahead of what the horizon holds, or behind it.
func (r *Reader) devices(ctx context.Context, p *PersonView, devices []string) error {
	keys := make([]schemas.Key, len(devices))
	for i, device := range devices {
		keys[i] = schemas.VisitorKey(device)
	}
	rows, err := r.Views.Get(ctx, keys...)
	if err != nil {
		return err
	}
	for _, row := range rows {
		v, err := MergeVisitor(p.Horizon, row)
		if err != nil {
			return err
		}
		if v.Merged.Units.Unit(p.Customer) != nil {
			p.Devices = append(p.Devices, v)
		}
	}
	return nil
}
