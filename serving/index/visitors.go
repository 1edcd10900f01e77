package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

// A model names segments; nil names none.
type model struct {
	id       string
	segments *cluster.Model
}

// A noModelError says that the model of a generation is not there or makes no
// sense. The store has answered: what needs no model goes on.
type noModelError struct {
	id  string
	why error
}

func (e *noModelError) Error() string { return fmt.Sprintf("read model %s: %v", e.id, e.why) }

func (e *noModelError) Unwrap() error { return e.why }

// model reads the model that a generation was published with; nil if with none.
func (f *Follower) model(ctx context.Context, id string) (*model, error) {
	if id == "" {
		return nil, nil
	}
	rows, err := f.Views.Get(ctx, schemas.ModelKey(id))
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", id, err)
	}
	c, ok := rows[0].Cell(schemas.ColumnValue)
	if !ok {
		return nil, &noModelError{id, errors.New("it is published but not there")}
	}
	m, err := cluster.Decode(c.Value)
	if err == nil {
		err = m.CheckFeatures(visitor.Features())
	}
	if err != nil {
		return nil, &noModelError{id, err}
	}
	return &model{id, m}, nil
}

// exactVisitor is what batch knows of a device.
func (m *model) exactVisitor(device string, c *visitor.Cell, generation int64) schemas.VisitorDocument {
	var customers []string
	for i := range c.Units.Named {
		if login := c.Units.Named[i].Login; login != "" {
			customers = append(customers, login)
		}
	}
	s := serving.SummarizeDevice(c)
	d := schemas.VisitorDocument{
		At: schemas.DocTime(s.LastSeen.UnixMicro()), Device: device, State: schemas.StateExact, Generation: generation,
		Consent: serving.Consent(c.Choice), Login: c.Login, Customers: customers,
		First: schemas.DocTime(s.FirstSeen.UnixMicro()), Last: schemas.DocTime(s.LastSeen.UnixMicro()),
		Sessions: int64(s.Sessions), Bounces: int64(s.Bounces), Events: int64(s.Events),
		Searches: s.Kind(schemas.Kind_KIND_SEARCH), Views: s.Kind(schemas.Kind_KIND_OFFER_VIEW),
		Carts:    s.Kind(schemas.Kind_KIND_CART),
		Bookings: s.Kind(schemas.Kind_KIND_BOOKING), Cancellations: s.Kind(schemas.Kind_KIND_CANCELLATION),
		Styles: most(s.Styles), Party: first(most(s.Party)),
	}
	if len(s.Money) > 0 {
		money := slices.MaxFunc(s.Money, func(a, b serving.Money) int { return cmp.Compare(a.Booked, b.Booked) })
		d.Currency, d.Booked, d.Cancelled = money.Currency, money.Booked, money.Cancelled
	}
	for _, x := range s.Destinations {
		d.Destinations = append(d.Destinations, x.Destination)
	}
	for _, x := range s.Offers {
		d.Offers = append(d.Offers, x.ID)
	}
	d.Segment, d.Distance, d.Model = m.segment(c)
	return d
}

// segment names the segment of the login that answers are given for.
func (m *model) segment(c *visitor.Cell) (id string, distance float64, model string) {
	if m == nil || c.Choice == schemas.Choice_CHOICE_DENIED {
		return "", 0, ""
	}
	h := c.Units.Person(serving.ActiveLogin(c), c.FirstLogin)
	if h == nil {
		return "", 0, ""
	}
	i, distance := m.segments.Nearest(h.Vector(make([]float64, 0, len(m.segments.Features))))
	if i < 0 || math.IsNaN(distance) || math.IsInf(distance, 0) {
		return "", 0, ""
	}
	return m.segments.Segments[i].ID, distance, m.id
}

// most are the names with the highest counts first.
func most(counts map[string]uint32) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
